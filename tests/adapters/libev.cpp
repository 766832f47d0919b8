#include <tocsin/adapters/libev.hpp>

#include <ev.h>

#include "scenarios.hpp"

namespace {

class libev_loop {
public:
    explicit libev_loop(unsigned flags = EVFLAG_AUTO)
        : loop_(::ev_loop_new(flags))
    {
        ev_timer_init(
            &heartbeat_, [](struct ev_loop*, ev_timer*, int) {}, 0.02, 0.02);
        ::ev_timer_start(loop_, &heartbeat_);
    }
    libev_loop(const libev_loop&) = delete;
    libev_loop& operator=(const libev_loop&) = delete;
    ~libev_loop()
    {
        ::ev_timer_stop(loop_, &heartbeat_);
        EXPECT_EQ(::ev_run(loop_, EVRUN_NOWAIT), 0); // no watcher is left
        ::ev_loop_destroy(loop_);
    }
    [[nodiscard]] struct ev_loop* native_handle() { return loop_; }
    void run_once() { ::ev_run(loop_, EVRUN_ONCE); }
    void after_fork() { ::ev_loop_fork(loop_); }

private:
    struct ev_loop* loop_;
    ev_timer heartbeat_{};
};

using driver =
    scenarios::callback_driver<libev_loop, tocsin::libev::signals, tocsin::libev::timer, tocsin::libev::timers>;
CALLBACK_SCENARIOS(libev, driver)
TEST(libev, a_child_that_only_ends) { scenarios::child_that_only_ends<driver>(); }

// A backend of libev's: what it keeps of descriptors differs.
template <unsigned Backend>
struct on_backend : libev_loop {
    on_backend()
        : libev_loop(Backend)
    {}
};
template <unsigned Backend>
void all_on()
{
    using other = scenarios::callback_driver<on_backend<Backend>, tocsin::libev::signals, tocsin::libev::timer,
                                             tocsin::libev::timers>;
    scenarios::flood<other>();
    scenarios::fork_window<other>();
    scenarios::cancel_in_another_callback<other>();
    scenarios::destroyed_with_events_pending<other>();
    scenarios::timer_after_fork<other>();
    scenarios::subscription_that_outlives_its_adapter<other>();
}
TEST(libev, with_poll) { all_on<EVBACKEND_POLL>(); }
TEST(libev, with_select) { all_on<EVBACKEND_SELECT>(); }

// libev sees by itself that it was forked, if it is told to look.
TEST(libev, with_its_own_check_for_fork)
{
    libev_loop loop(EVFLAG_FORKCHECK);
    tocsin::libev::signals signals(loop.native_handle());
    int calls = 0;
    const auto subscribed = signals.on(SIGUSR1, [&] { ++calls; });
    loop.run_once();
    const int status = support::in_child([&] {
        ::raise(SIGUSR1);
        return scenarios::run_until(loop, [&] { return calls == 1; }) ? 0 : 1;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    scenarios::settle<driver>(loop);
    EXPECT_EQ(calls, 0);
}

// libev restores the default action, not what was there before: its watcher has to be the first.
TEST(libev, beside_signal_watchers)
{
    libev_loop loop;
    int ours = 0;
    int theirs = 0;
    ev_signal other;
    ev_signal_init(
        &other, [](struct ev_loop*, ev_signal* watcher, int) { ++*static_cast<int*>(watcher->data); }, SIGUSR2);
    other.data = &theirs;
    ::ev_signal_start(loop.native_handle(), &other);
    {
        tocsin::libev::signals signals(loop.native_handle());
        tocsin::subscription_options options;
        options.chain = true;
        const auto subscribed = signals.on(
            {SIGUSR1, SIGUSR2}, [&] { ++ours; }, options);
        ::raise(SIGUSR1);
        ::raise(SIGUSR2);
        EXPECT_TRUE(scenarios::run_until(loop, [&] { return ours == 2 && theirs == 1; }));
    }
    ::raise(SIGUSR2);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return theirs == 2; }));
    EXPECT_EQ(ours, 2);
    ::ev_signal_stop(loop.native_handle(), &other);
}

TEST(libev, run_returns_when_nothing_is_left_or_only_what_does_not_count)
{
    struct ev_loop* const loop = ::ev_loop_new(EVFLAG_AUTO);
    auto signals = std::make_unique<tocsin::libev::signals>(loop);
    EXPECT_TRUE(ev_is_active(signals->native_handle()));
    {
        tocsin::libev::timer timer(loop, [](std::uint64_t) {});
        ::ev_unref(loop);
        const auto subscribed = signals->on(SIGUSR1, [&] { signals.reset(); });
        ::raise(SIGUSR1);
        EXPECT_EQ(::ev_run(loop, 0), 0);
        EXPECT_FALSE(subscribed.active());
        ::ev_ref(loop);
    }
    ::ev_loop_destroy(loop);
}

TEST(libev, is_as_urgent_as_its_priority)
{
    libev_loop loop;
    std::string order;
    tocsin::libev::timer timer(loop.native_handle(), [&](std::uint64_t) { order += "timer "; });
    tocsin::libev::signals signals(loop.native_handle());
    const auto set = [&](ev_io* io, int priority) {
        ::ev_io_stop(loop.native_handle(), io);
        ev_set_priority(io, priority);
        ::ev_io_start(loop.native_handle(), io);
    };
    const auto subscribed = signals.on(SIGUSR1, [&] { order += "signal "; });
    for (const int urgent : {EV_MAXPRI, EV_MINPRI}) {
        set(signals.native_handle(), urgent);
        timer.fd().settime_ns(std::chrono::nanoseconds(1));
        pollfd expired{timer.fd().native_handle(), POLLIN, 0};
        ASSERT_EQ(::poll(&expired, 1, -1), 1);
        ::raise(SIGUSR1);
        loop.run_once();
    }
    EXPECT_EQ(order, "signal timer timer signal ");
}

} // namespace
