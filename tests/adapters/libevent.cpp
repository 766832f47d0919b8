#include <tocsin/adapters/libevent.hpp>

#include <event2/event.h>
#include <event2/thread.h>

#include <sys/time.h>

#include "scenarios.hpp"

namespace {

class libevent_loop {
public:
    libevent_loop() { ::event_add(heartbeat_, &every); }
    libevent_loop(const libevent_loop&) = delete;
    libevent_loop& operator=(const libevent_loop&) = delete;
    ~libevent_loop()
    {
        ::event_free(heartbeat_);
        ::event_base_free(base_);
    }
    [[nodiscard]] event_base* native_handle() const { return base_; }
    void run_once() { EXPECT_EQ(::event_base_loop(base_, EVLOOP_ONCE), 0); }
    void after_fork() { EXPECT_EQ(::event_reinit(base_), 0); }

private:
    static constexpr timeval every{0, 20'000};
    event_base* base_ = ::event_base_new();
    ::event* heartbeat_ = ::event_new(
        base_, -1, EV_PERSIST, [](evutil_socket_t, short, void*) {}, nullptr);
};

using driver = scenarios::callback_driver<libevent_loop, tocsin::libevent::signals, tocsin::libevent::timer,
                                          tocsin::libevent::timers>;
CALLBACK_SCENARIOS(libevent, driver)
TEST(libevent, a_child_that_only_ends) { scenarios::child_that_only_ends<driver>(); }

// As most programs with threads do. Every base made after it has locks.
TEST(libevent, with_locks)
{
    ASSERT_EQ(::evthread_use_pthreads(), 0);
    scenarios::cancel_from_another_thread<driver>();
    scenarios::fork_window<driver>();
    scenarios::cancel_in_its_own_callback<driver>();
    scenarios::destroyed_with_events_pending<driver>();
}

// libevent's own signal events put back what was there before them: ours.
TEST(libevent, beside_signal_events)
{
    libevent_loop loop;
    tocsin::libevent::signals signals(loop.native_handle());
    int ours = 0;
    int theirs = 0;
    const auto count = [](evutil_socket_t, short, void* calls) { ++*static_cast<int*>(calls); };
    const auto subscribed = signals.on({SIGUSR1, SIGUSR2}, [&] { ++ours; });
    ::event* const other = evsignal_new(loop.native_handle(), SIGUSR2, count, &theirs);
    ASSERT_EQ(::event_add(other, nullptr), 0);
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return ours == 1 && theirs == 1; }));
    ::event_free(other);
    ::raise(SIGUSR2);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return ours == 2; }));
    EXPECT_EQ(theirs, 1);
}

TEST(libevent, is_as_urgent_as_its_priority)
{
    event_base* const base = ::event_base_new();
    ASSERT_EQ(::event_base_priority_init(base, 2), 0);
    std::string order;
    ::event* const other = ::event_new(
        base, -1, 0, [](evutil_socket_t, short, void* said) { *static_cast<std::string*>(said) += "other "; }, &order);
    ASSERT_EQ(::event_priority_set(other, 1), 0);
    {
        tocsin::libevent::signals signals(base);
        ASSERT_EQ(::event_priority_set(signals.native_handle(), 0), 0);
        const auto subscribed = signals.on(SIGUSR1, [&] { order += "signal "; });
        ::event_active(other, 0, 0);
        ::raise(SIGUSR1);
        ASSERT_EQ(::event_base_loop(base, EVLOOP_ONCE), 0);
    }
    EXPECT_EQ(order, "signal other ");
    ::event_free(other);
    ::event_base_free(base);
}

TEST(libevent, dispatch_returns_when_nothing_is_left)
{
    event_base* const base = ::event_base_new();
    auto signals = std::make_unique<tocsin::libevent::signals>(base);
    auto subscribed = signals->on(SIGUSR1, [&] { signals.reset(); });
    ::raise(SIGUSR1);
    EXPECT_EQ(::event_base_dispatch(base), 1);
    EXPECT_FALSE(subscribed.active());
    ::event_base_free(base);
}

} // namespace
