// Standalone Asio: asio::signal_set, one per signal.

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <map>

#include "peer.hpp"

namespace {

class asio_peer : public peer {
    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
    std::map<int, asio::signal_set> sets_;

    void wait(asio::signal_set& set)
    {
        set.async_wait([this, &set](const asio::error_code& error, int sig) {
            if (error)
                return; // the set is gone
            wait(set);
            called(sig);
        });
    }

    void on(int sig) override { wait(sets_.try_emplace(sig, io_, sig).first->second); }
    void off(int sig) override { sets_.erase(sig); }
    bool turn(int ms) override
    {
        mark();
        if (ms == 0)
            io_.poll();
        else
            io_.run_one_for(std::chrono::milliseconds{ms});
        return true;
    }
    void before_fork() override { io_.notify_fork(asio::io_context::fork_prepare); }
    void in_parent() override { io_.notify_fork(asio::io_context::fork_parent); }
    void in_child() override { io_.notify_fork(asio::io_context::fork_child); }
};

} // namespace

int main()
{
    asio_peer asked;
    return serve(asked);
}
