// libev: ev_signal, and ev_timer, which takes seconds as a floating-point number.

#include <ev.h>

#include <chrono>
#include <map>

#include "peer.hpp"

namespace {

class libev_peer : public peer {
    struct ev_loop* loop_ = ev_default_loop(EVFLAG_AUTO);
    ev_timer timer_;
    std::map<int, ev_signal> watchers_;

    void on(int sig) override
    {
        ev_signal& made = watchers_[sig];
        ev_signal_init(
            &made, [](struct ev_loop*, ev_signal* got, int) { called(got->signum); }, sig);
        ev_signal_start(loop_, &made);
    }
    void off(int sig) override { ev_signal_stop(loop_, &watchers_.at(sig)); }
    bool turn(int ms) override
    {
        ev_now_update(loop_);
        ev_timer_set(&timer_, ms / 1000.0, 0.0);
        ev_timer_start(loop_, &timer_);
        mark();
        ev_run(loop_, EVRUN_ONCE);
        ev_timer_stop(loop_, &timer_);
        return true;
    }
    void in_child() override { ev_loop_fork(loop_); }
    std::string timer(double seconds) override
    {
        static bool fired;
        fired = false;
        ev_timer asked;
        ev_timer_init(
            &asked, [](struct ev_loop*, ev_timer*, int) { fired = true; }, seconds, 0.0);
        ev_now_update(loop_);
        ev_timer_start(loop_, &asked);
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{300};
        while (!fired && std::chrono::steady_clock::now() < end)
            turn(50);
        ev_timer_stop(loop_, &asked);
        return fired ? "fired" : "silent";
    }

public:
    libev_peer()
    {
        ev_timer_init(
            &timer_, [](struct ev_loop*, ev_timer*, int) {}, 0.0, 0.0);
    }
};

} // namespace

int main()
{
    libev_peer asked;
    return serve(asked);
}
