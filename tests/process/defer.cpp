// defer_signals: G12.

#include <tocsin/tocsin.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "dispositions.hpp"

namespace {

struct counts {
    int usr1 = 0;
    std::uint64_t arrivals = 0;
};

void count_usr1(counts& into)
{
    tocsin::signal(SIGUSR1, [&into](const tocsin::event& e) {
        ++into.usr1;
        into.arrivals += e.count;
    });
}

TEST(G12, a_guard_postpones_handlers_and_loses_nothing)
{
    counts seen;
    count_usr1(seen);
    {
        const tocsin::defer_signals guard;
        for (int n = 0; n < 5; ++n) {
            tocsin::raise_signal(SIGUSR1);
            tocsin::check_signals();
        }
        EXPECT_EQ(seen.usr1, 0);
    }
    tocsin::check_signals();
    EXPECT_EQ(seen.usr1, 1);
    EXPECT_EQ(seen.arrivals, 5U);
    tocsin::check_signals();
    EXPECT_EQ(seen.usr1, 1);
}

TEST(G12, the_destructor_runs_no_handler_even_one_that_would_throw)
{
    bool ran = false;
    tocsin::signal(SIGUSR1, [&] {
        ran = true;
        throw std::runtime_error("late");
    });
    {
        const tocsin::defer_signals guard;
        tocsin::raise_signal(SIGUSR1);
    }
    EXPECT_FALSE(ran);
    EXPECT_EQ(support::message_of<std::runtime_error>([] { tocsin::check_signals(); }), "late");
    EXPECT_TRUE(ran);
}

TEST(G12, guards_nest_and_the_outermost_one_counts)
{
    counts seen;
    count_usr1(seen);
    {
        const tocsin::defer_signals outer;
        {
            tocsin::defer_signals inner;
            tocsin::raise_signal(SIGUSR1);
            inner.release();
            EXPECT_EQ(seen.usr1, 0);
        }
        {
            const tocsin::defer_signals inner;
        }
        tocsin::check_signals();
        EXPECT_EQ(seen.usr1, 0);
    }
    tocsin::check_signals();
    EXPECT_EQ(seen.usr1, 1);
}

TEST(G12, guards_may_end_in_any_order)
{
    counts seen;
    count_usr1(seen);
    auto first = std::make_unique<tocsin::defer_signals>();
    auto second = std::make_unique<tocsin::defer_signals>();
    tocsin::raise_signal(SIGUSR1);
    first.reset();
    tocsin::check_signals();
    EXPECT_EQ(seen.usr1, 0);
    second->release();
    EXPECT_EQ(seen.usr1, 1);
}

TEST(G12, release_is_a_safe_point_and_ends_the_guard_once)
{
    counts seen;
    count_usr1(seen);
    const tocsin::defer_signals outer_of_nothing_else;
    std::optional<tocsin::defer_signals> guard(std::in_place);
    tocsin::raise_signal(SIGUSR1);
    guard->release();
    guard->release();
    guard.reset();
    tocsin::check_signals();
    EXPECT_EQ(seen.usr1, 0); // the guard above still holds
}

TEST(G12, release_runs_handlers_at_its_own_place)
{
    unsigned line = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { line = e.where.line(); });
    tocsin::defer_signals guard;
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(line, 0U);
    guard.release();
    EXPECT_EQ(line, static_cast<unsigned>(__LINE__ - 1));
}

TEST(G12, what_a_handler_throws_from_release_leaves_the_guard_ended)
{
    counts seen;
    count_usr1(seen);
    tocsin::signal(SIGHUP, [] { throw std::runtime_error("hangup"); });
    tocsin::defer_signals guard;
    tocsin::raise_signal(SIGUSR1);
    tocsin::raise_signal(SIGHUP);
    EXPECT_EQ(support::message_of<std::runtime_error>([&] { guard.release(); }), "hangup");
    EXPECT_EQ(seen.usr1, 0); // the rest stays pending
    tocsin::check_signals();
    EXPECT_EQ(seen.usr1, 1);
}

TEST(G12, an_exception_that_leaves_the_guarded_scope_ends_the_guard)
{
    counts seen;
    count_usr1(seen);
    EXPECT_THROW(
        {
            const tocsin::defer_signals guard;
            tocsin::raise_signal(SIGUSR1);
            throw std::runtime_error("out");
        },
        std::runtime_error);
    EXPECT_EQ(seen.usr1, 0);
    tocsin::check_signals();
    EXPECT_EQ(seen.usr1, 1);
}

TEST(G12, no_call_that_is_a_safe_point_runs_a_handler)
{
    counts seen;
    count_usr1(seen);
    {
        const tocsin::defer_signals guard;
        tocsin::raise_signal(SIGUSR1);
        tocsin::signal(SIGUSR2, SIG_IGN);
        tocsin::pthread_sigmask(tocsin::sigmask::block, {});
        tocsin::pthread_kill(::pthread_self(), 0);
        tocsin::blocking::sleep_for(0);
        EXPECT_EQ(seen.usr1, 0);
    }
    tocsin::check_signals();
    EXPECT_EQ(seen.usr1, 1);
}

TEST(G12, a_guard_on_another_thread_postpones_nothing)
{
    counts seen;
    count_usr1(seen);
    std::thread([&] {
        tocsin::defer_signals guard;
        guard.release();
        const tocsin::defer_signals another;
    }).join();
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(seen.usr1, 1);
}

TEST(G12, a_guard_inside_a_handler_holds_back_the_others_until_it_ends)
{
    std::string order;
    tocsin::signal(SIGUSR1, [&] {
        const tocsin::defer_signals guard;
        tocsin::raise_signal(SIGHUP);
        tocsin::check_signals();
        order += "usr1 ";
    });
    tocsin::signal(SIGUSR2, [&] { order += "usr2 "; });
    tocsin::signal(SIGHUP, [&] { order += "hup "; });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    tocsin::check_signals();
    tocsin::check_signals();
    EXPECT_EQ(order, "usr1 usr2 hup ");
}

TEST(G12, a_guard_that_outlives_the_handler_that_made_it_stops_the_pass)
{
    std::optional<tocsin::defer_signals> guard;
    bool ran = false;
    tocsin::signal(SIGUSR1, [&] { guard.emplace(); });
    tocsin::signal(SIGUSR2, [&] { ran = true; });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    tocsin::check_signals();
    EXPECT_FALSE(ran);
    guard.reset();
    tocsin::check_signals();
    EXPECT_TRUE(ran);
}

TEST(G12, a_postponed_signal_meets_the_handler_set_meanwhile)
{
    std::string got;
    tocsin::signal(SIGUSR1, [&] { got += "old "; });
    {
        const tocsin::defer_signals guard;
        tocsin::raise_signal(SIGUSR1);
        tocsin::signal(SIGUSR1, [&] { got += "new "; });
    }
    tocsin::check_signals();
    EXPECT_EQ(got, "new ");
}

TEST(G12, a_postponed_signal_meets_the_default_action_set_meanwhile)
{
    const int status = support::in_child([] {
        tocsin::signal(SIGUSR1, [] {});
        {
            const tocsin::defer_signals guard;
            tocsin::raise_signal(SIGUSR1);
            tocsin::signal(SIGUSR1, SIG_DFL);
        }
        tocsin::check_signals();
        return 0;
    });
    EXPECT_TRUE(support::died_of(status, SIGUSR1)) << status;
}

TEST(G12, a_postponed_signal_that_is_ignored_meanwhile_is_dropped)
{
    bool ran = false;
    tocsin::signal(SIGUSR1, [&] { ran = true; });
    {
        const tocsin::defer_signals guard;
        tocsin::raise_signal(SIGUSR1);
        tocsin::signal(SIGUSR1, SIG_IGN);
    }
    tocsin::check_signals();
    EXPECT_FALSE(ran);
}

TEST(G12, pause_refuses_to_wait_for_what_cannot_run)
{
    const tocsin::defer_signals guard;
    const std::string text = support::message_of<std::logic_error>([] { tocsin::pause(); });
    EXPECT_NE(text.find("deferred"), std::string::npos) << text;
}

} // namespace
