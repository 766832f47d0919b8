// tocsin: signal(), and a descriptor that the handler writes to ends blocking::poll(). Real-time signals, to have each one:
// on() with a queue.

#include <sys/eventfd.h>

#include <tocsin/tocsin.hpp>

#include <map>

#include "peer.hpp"

namespace {

class tocsin_peer : public peer {
    int wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    std::map<int, tocsin::handler> before_;
    std::map<int, tocsin::subscription> queued_;

    void on(int sig) override
    {
        const tocsin::handler callback([this](const tocsin::event& e) {
            ::eventfd_write(wake_, 1);
            const tocsin::siginfo& info = e.info;
            called(e.signo, {info.pid().has_value(), info.pid().value_or(0), static_cast<int>(info.uid().value_or(0)),
                             info.code(), info.value().value_or(sigval{}).sival_int});
            if (slow_handler)
                ::usleep(300'000);
        });
        if (sig >= SIGRTMIN)
            queued_[sig] = tocsin::on(sig, callback, {.delivery = tocsin::delivery::queue});
        else
            before_[sig] = tocsin::signal(sig, callback);
    }
    void off(int sig) override
    {
        if (queued_.erase(sig) == 0)
            tocsin::signal(sig, before_.at(sig));
    }
    bool turn(int ms) override
    {
        pollfd one{wake_, POLLIN, 0};
        mark();
        if (tocsin::blocking::poll(&one, 1, ms) > 0) {
            eventfd_t times;
            ::eventfd_read(wake_, &times);
        }
        return true;
    }
    std::string sleep(int ms) override
    {
        tocsin::blocking::sleep_for(std::chrono::milliseconds{ms});
        return "ok";
    }
    std::string timed_wait(int ms) override
    {
        const tocsin::mask_guard blocked({SIGUSR2});
        slow_handler = true;
        const auto got = tocsin::sigtimedwait({SIGUSR2}, std::chrono::milliseconds{ms});
        slow_handler = false;
        return got ? std::to_string(got->signo()) : "none";
    }
    std::string timer(double seconds) override
    {
        on(SIGALRM);
        try {
            tocsin::setitimer(tocsin::itimer::real, seconds);
        } catch (const std::exception&) {
            return "refused";
        }
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{300};
        while (!was_called(SIGALRM) && std::chrono::steady_clock::now() < end)
            turn(50);
        return was_called(SIGALRM) ? "fired" : "silent";
    }

    bool slow_handler = false;
};

} // namespace

int main()
{
    tocsin_peer asked;
    return serve(asked);
}
