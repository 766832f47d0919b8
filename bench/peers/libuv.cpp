// libuv: uv_signal_t.

#include <uv.h>

#include <map>

#include "peer.hpp"

namespace {

class libuv_peer : public peer {
    uv_loop_t* loop_ = uv_default_loop();
    uv_timer_t timer_;
    std::map<int, uv_signal_t> handles_;

    void on(int sig) override
    {
        const auto [place, is_new] = handles_.try_emplace(sig);
        if (is_new)
            uv_signal_init(loop_, &place->second);
        uv_signal_start(
            &place->second, [](uv_signal_t*, int got) { called(got); }, sig);
    }
    void off(int sig) override { uv_signal_stop(&handles_.at(sig)); }
    bool turn(int ms) override
    {
        uv_update_time(loop_);
        // Repeats: one that expires before the loop waits would not end the wait.
        uv_timer_start(
            &timer_, [](uv_timer_t*) {}, static_cast<std::uint64_t>(ms), static_cast<std::uint64_t>(ms));
        mark();
        uv_run(loop_, ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
        uv_timer_stop(&timer_);
        return true;
    }
    void in_child() override { uv_loop_fork(loop_); }

public:
    libuv_peer() { uv_timer_init(loop_, &timer_); }
};

} // namespace

int main()
{
    libuv_peer asked;
    return serve(asked);
}
