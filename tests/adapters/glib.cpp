#include <tocsin/adapters/glib.hpp>

#include "scenarios.hpp"

namespace {

using namespace std::chrono_literals;

class glib_loop {
public:
    glib_loop()
    {
        ::g_source_set_callback(heartbeat_, G_SOURCE_FUNC(+[](gpointer) -> gboolean { return G_SOURCE_CONTINUE; }),
                                nullptr, nullptr);
        ::g_source_attach(heartbeat_, context_);
    }
    glib_loop(const glib_loop&) = delete;
    glib_loop& operator=(const glib_loop&) = delete;
    ~glib_loop()
    {
        ::g_source_unref(heartbeat_);
        ::g_main_context_unref(context_);
    }

    [[nodiscard]] GMainContext* native_handle() const { return context_; }
    void run_once() { ::g_main_context_iteration(context_, TRUE); }
    void after_fork() {}

private:
    GMainContext* context_ = ::g_main_context_new();
    GSource* heartbeat_ = ::g_timeout_source_new(20);
};

using driver =
    scenarios::callback_driver<glib_loop, tocsin::glib::signals, tocsin::glib::timer, tocsin::glib::timers, true>;
CALLBACK_SCENARIOS(glib, driver)

TEST(glib, the_default_context_and_g_main_loop_run)
{
    GMainLoop* const loop = ::g_main_loop_new(nullptr, FALSE);
    tocsin::glib::signals adapter;
    tocsin::glib::timer ticks(nullptr, [](std::uint64_t) { ::raise(SIGTERM); });
    const auto held = adapter.on(SIGTERM, [&] { ::g_main_loop_quit(loop); });
    ticks.fd().settime_ns(1ms);
    ::g_main_loop_run(loop);
    ::g_main_loop_unref(loop);
}

TEST(glib, sources_have_the_priority_they_are_given)
{
    glib_loop loop;
    std::vector<int> order;
    tocsin::glib::signals late(loop.native_handle());
    tocsin::glib::signals early(loop.native_handle());
    const auto first = late.on(SIGUSR1, [&] { order.push_back(2); });
    const auto second = early.on(SIGUSR1, [&] { order.push_back(1); });
    ::g_source_set_priority(late.native_handle(), G_PRIORITY_LOW);
    ::g_source_set_priority(early.native_handle(), G_PRIORITY_HIGH);
    ::raise(SIGUSR1);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return order.size() == 2; }));
    EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST(glib, a_child_goes_over_to_a_context_of_its_own)
{
    glib_loop loop;
    tocsin::glib::signals adapter(loop.native_handle());
    int calls = 0;
    const auto held = adapter.on(SIGUSR1, [&] { ++calls; });
    const int status = support::in_child([&] {
        glib_loop own;
        ::raise(SIGUSR1);
        adapter.attach(own.native_handle());
        loop.run_once();
        if (calls != 0)
            return 1;
        return scenarios::run_until(own, [&] { return calls == 1; }) ? 0 : 2;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    ::raise(SIGUSR1);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return calls == 1; }));
}

// As a dialogue does that a callback opens.
TEST(glib, a_loop_inside_a_callback_calls_others_if_it_may)
{
    for (const bool may : {false, true}) {
        glib_loop loop;
        tocsin::glib::signals adapter(loop.native_handle());
        ::g_source_set_can_recurse(adapter.native_handle(), may ? TRUE : FALSE);
        int calls = 0;
        bool finished = false;
        const auto inner = adapter.on(SIGUSR2, [&] { ++calls; });
        const auto outer = adapter.on(SIGUSR1, [&] {
            ::raise(SIGUSR2);
            (void)adapter.inbox().native_handle(); // polled from here on
            loop.run_once();
            loop.run_once();
            EXPECT_EQ(calls, may ? 1 : 0);
            finished = true;
        });
        ::raise(SIGUSR1);
        EXPECT_TRUE(scenarios::run_until(loop, [&] { return finished && calls == 1; }));
    }
}

TEST(glib, timers_go_on_in_a_loop_inside_a_callback_if_they_may)
{
    for (const bool may : {false, true}) {
        glib_loop loop;
        tocsin::glib::timers timers(loop.native_handle());
        ::g_source_set_can_recurse(timers.native_handle(), may ? TRUE : FALSE);
        tocsin::timer_queue& queue = timers.queue();
        int calls = 0;
        bool finished = false;
        const auto outer = queue.after(0s, [&] {
            const auto inner = queue.after(1ms, [&] { ++calls; });
            EXPECT_EQ(may, scenarios::run_until(
                               loop, [&] { return calls == 1; }, may ? 30s : 100ms));
            const auto later = queue.after(1000s, [] {});
            EXPECT_LT(scenarios::rounds_in_200_ms(loop), 100);
            EXPECT_EQ(calls, may ? 1 : 0);
            finished = true;
        });
        EXPECT_TRUE(scenarios::run_until(loop, [&] { return finished; }));
    }
}

// g_unix_signal_add() takes a signal for the whole process; each signal belongs to one of them.
TEST(glib, works_beside_glibs_own_signals)
{
    tocsin::glib::signals adapter;
    int own = 0;
    int calls = 0;
    const guint source = ::g_unix_signal_add(
        SIGUSR2,
        [](gpointer count) -> gboolean {
            ++*static_cast<int*>(count);
            return G_SOURCE_CONTINUE;
        },
        &own);
    const auto held = adapter.on(SIGUSR1, [&] { ++calls; });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    while (own == 0 || calls == 0) // the case has a time limit
        ::g_main_context_iteration(nullptr, TRUE);
    ::g_source_remove(source);
}

} // namespace
