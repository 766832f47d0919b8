// tocsin: an inbox with subscriptions.

#include <tocsin/tocsin.hpp>

#include <map>

#include "peer.hpp"

namespace {

class inbox_peer : public peer {
    tocsin::inbox box_;
    std::map<int, tocsin::subscription> subscriptions_;

    void on(int sig) override
    {
        const auto callback = [](const tocsin::event& e) {
            const tocsin::siginfo& info = e.info;
            called(e.signo, {info.pid().has_value(), info.pid().value_or(0), static_cast<int>(info.uid().value_or(0)),
                             info.code(), info.value().value_or(sigval{}).sival_int});
        };
        const auto how = sig >= SIGRTMIN ? tocsin::delivery::queue : tocsin::delivery::merge;
        subscriptions_[sig] = box_.on(sig, callback, {.delivery = how});
    }
    void off(int sig) override { subscriptions_.erase(sig); }
    bool turn(int ms) override
    {
        mark();
        if (box_.wait(std::chrono::milliseconds{ms}))
            box_.run_pending();
        return true;
    }
};

} // namespace

int main()
{
    inbox_peer asked;
    return serve(asked);
}
