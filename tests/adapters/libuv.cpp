#include <tocsin/adapters/libuv.hpp>

#include <uv.h>

#include "scenarios.hpp"

namespace {

class libuv_loop {
public:
    libuv_loop()
    {
        EXPECT_EQ(::uv_loop_init(&loop_), 0);
        EXPECT_EQ(::uv_timer_init(&loop_, &heartbeat_), 0);
        EXPECT_EQ(::uv_timer_start(
                      &heartbeat_, [](uv_timer_t*) {}, 20, 20),
                  0);
    }
    libuv_loop(const libuv_loop&) = delete;
    libuv_loop& operator=(const libuv_loop&) = delete;
    ~libuv_loop()
    {
        ::uv_close(reinterpret_cast<uv_handle_t*>(&heartbeat_), nullptr);
        EXPECT_EQ(::uv_run(&loop_, UV_RUN_DEFAULT), 0); // returns: all that was in it has been closed
        EXPECT_EQ(::uv_loop_close(&loop_), 0);
    }
    [[nodiscard]] uv_loop_t* native_handle() { return &loop_; }
    void run_once() { ::uv_run(&loop_, UV_RUN_ONCE); }
    void after_fork() { EXPECT_EQ(::uv_loop_fork(&loop_), 0); }

private:
    uv_loop_t loop_{};
    uv_timer_t heartbeat_{};
};

using driver =
    scenarios::callback_driver<libuv_loop, tocsin::libuv::signals, tocsin::libuv::timer, tocsin::libuv::timers>;
CALLBACK_SCENARIOS(libuv, driver)
TEST(libuv, a_child_that_only_ends) { scenarios::child_that_only_ends<driver>(); }

// libuv restores the default action, not what was there before: its watcher has to be the first.
TEST(libuv, beside_signal_watchers)
{
    libuv_loop loop;
    int ours = 0;
    int theirs = 0;
    uv_signal_t other;
    ASSERT_EQ(::uv_signal_init(loop.native_handle(), &other), 0);
    other.data = &theirs;
    const auto count = [](uv_signal_t* watcher, int) { ++*static_cast<int*>(watcher->data); };
    ASSERT_EQ(::uv_signal_start(&other, count, SIGUSR2), 0);
    {
        tocsin::libuv::signals signals(loop.native_handle());
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
    ::uv_close(reinterpret_cast<uv_handle_t*>(&other), nullptr);
    loop.run_once();
}

TEST(libuv, run_returns_when_nothing_is_left_or_only_what_does_not_count)
{
    uv_loop_t loop;
    ASSERT_EQ(::uv_loop_init(&loop), 0);
    auto signals = std::make_unique<tocsin::libuv::signals>(&loop);
    EXPECT_EQ(::uv_is_active(signals->native_handle()), 1);
    {
        tocsin::libuv::timer timer(&loop, [](std::uint64_t) {});
        ::uv_unref(timer.native_handle());
        const auto subscribed = signals->on(SIGUSR1, [&] { signals.reset(); });
        ::raise(SIGUSR1);
        EXPECT_EQ(::uv_run(&loop, UV_RUN_DEFAULT), 0);
        EXPECT_FALSE(subscribed.active());
        EXPECT_EQ(::uv_loop_close(&loop), UV_EBUSY);
    }
    EXPECT_EQ(::uv_run(&loop, UV_RUN_DEFAULT), 0);
    EXPECT_EQ(::uv_loop_close(&loop), 0);
}

} // namespace
