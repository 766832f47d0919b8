// Subscriptions where their beginnings and ends meet what is pending, forks and callbacks that run: see mailbox.cpp.

#include <tocsin/tocsin.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using support::died_of;
using support::exited_with;
using support::in_child;
using tocsin::at_cancel;
using tocsin::delivery;
using tocsin::inbox;
using tocsin::subscription;

std::atomic<int> foreign_calls{0};
void foreign(int) { ++foreign_calls; }

// For what must not happen: long enough to see it if it does.
template <class Condition>
bool happens(Condition condition)
{
    return support::eventually(condition, 300ms);
}

TEST(G6, a_child_forked_in_a_last_callback_passes_nothing_on)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "its runtime keeps one arrival of each signal for a thread";
    ASSERT_NE(::signal(SIGUSR1, foreign), SIG_ERR);
    inbox box;
    pid_t child = -1;
    const auto sub = box.on(SIGUSR1, [&] { child = ::fork(); }, {.delivery = delivery::queue, .once = true});
    for (int n = 0; n < 3; ++n)
        ::raise(SIGUSR1);
    box.run_pending();
    if (child == 0)
        ::_exit(foreign_calls);
    EXPECT_EQ(foreign_calls, 2);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

TEST(G8, the_first_subscription_has_what_waits_for_a_handler_that_is_gone)
{
    for (const auto how : {delivery::merge, delivery::queue}) {
        int handled = 0;
        int calls = 0;
        tocsin::signal(SIGUSR1, [&] { ++handled; });
        subscription sub;
        {
            const tocsin::defer_signals guard;
            ::raise(SIGUSR1);
            tocsin::signal(SIGUSR1, tocsin::default_action);
            sub = tocsin::on(SIGUSR1, [&] { ++calls; }, {.delivery = how});
        }
        tocsin::check_signals();
        EXPECT_EQ(handled, 0);
        EXPECT_EQ(calls, 1);
    }
}

TEST(G8, reset_for_exec_finds_what_is_kept_for_a_handler)
{
    const int status = in_child([] {
        tocsin::signal(SIGTERM, [] {});
        auto sub = tocsin::on(SIGTERM, [] {});
        const tocsin::defer_signals guard;
        ::raise(SIGTERM);
        sub.cancel();
        tocsin::reset_for_exec();
        return 1;
    });
    EXPECT_TRUE(died_of(status, SIGTERM)) << status;
}

TEST(G1, what_is_kept_for_a_handler_goes_with_the_last_who_listen)
{
    tocsin::signal(SIGUSR1, [] { ADD_FAILURE() << "replaced before it could run"; });
    {
        auto a = tocsin::on(SIGUSR1, [] {});
        const tocsin::defer_signals guard;
        ASSERT_EQ(::sigqueue(::getpid(), SIGUSR1, {.sival_int = 111}), 0);
        auto b = tocsin::on(SIGUSR1, [] {});
        tocsin::signal(SIGUSR1, tocsin::ignore);
        a.cancel();
        b.cancel();
    }
    std::uint64_t count = 0;
    int value = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) {
        count += e.count;
        value = e.info.value()->sival_int;
    });
    ASSERT_EQ(::sigqueue(::getpid(), SIGUSR1, {.sival_int = 222}), 0);
    tocsin::check_signals();
    EXPECT_EQ(count, 1U);
    EXPECT_EQ(value, 222);
}

TEST(G1, what_is_kept_for_a_handler_outlasts_subscriptions_of_inboxes)
{
    int handled = 0;
    tocsin::signal(SIGUSR1, [&] { ++handled; });
    auto a = tocsin::on(SIGUSR1, [] {});
    {
        const tocsin::defer_signals guard;
        ::raise(SIGUSR1);
        a.cancel();
        inbox box;
        auto other = box.on(SIGUSR1, [] {});
        other.cancel();
    }
    tocsin::check_signals();
    EXPECT_EQ(handled, 1);
}

// Set by signal() while the disposition was not ours; or by other code, then by signal().
TEST(G8, a_signal_that_an_inbox_had_does_not_meet_what_was_set_for_the_main_thread)
{
    for (const bool other_code : {false, true}) {
        const int status = in_child([&] {
            tocsin::signal(SIGUSR1, [] {});
            inbox box;
            {
                const auto first = box.on(SIGUSR1, [] {}, {.second_is_default = !other_code});
                if (other_code) {
                    ::signal(SIGUSR1, SIG_IGN);
                } else {
                    ::raise(SIGUSR1);
                    box.run_pending();
                }
                tocsin::signal(SIGUSR1, tocsin::default_action);
            }
            int calls = 0;
            {
                const auto second = box.on(SIGUSR1, [&] { ++calls; });
                ::raise(SIGUSR1);
                std::thread([&] { box.run_pending(); }).join(); // no safe point of the main thread
            }
            tocsin::check_signals();
            return calls == 1 ? 7 : 1;
        });
        EXPECT_TRUE(exited_with(status, 7)) << status << (other_code ? ", by other code" : "");
    }
}

TEST(G8, the_end_of_a_runtime_leaves_nothing_of_a_signal_to_the_main_thread)
{
    const int status = in_child([] {
        inbox box;
        subscription first;
        {
            const tocsin::runtime active;
            tocsin::signal(SIGUSR1, [] {});
            first = box.on(SIGUSR1, [] {});
            ::signal(SIGUSR1, foreign); // not the runtime's to replace
        }
        int calls = 0;
        auto second = box.on(SIGUSR1, [&] { ++calls; });
        ::raise(SIGUSR1);
        std::thread([&] { box.run_pending(); }).join();
        second.cancel();
        first.cancel();
        tocsin::check_signals();
        return calls == 1 && foreign_calls == 0 ? 7 : 1;
    });
    EXPECT_TRUE(exited_with(status, 7)) << status;
}

TEST(G8, a_callback_that_runs_elsewhere_has_returned_before_the_rest_is_passed_on)
{
    ASSERT_NE(::signal(SIGUSR1, foreign), SIG_ERR);
    inbox box;
    std::atomic<bool> inside{false};
    std::atomic<bool> sent{false};
    subscription sub = box.on(SIGUSR1, [&] {
        inside = true;
        while (!sent || sub.active())
            std::this_thread::yield();
        EXPECT_FALSE(happens([] { return foreign_calls != 0; }));
    });
    ::raise(SIGUSR1);
    std::thread owner([&] { box.run_pending(); });
    while (!inside)
        std::this_thread::yield();
    ::raise(SIGUSR1);
    sent = true;
    sub.cancel();
    EXPECT_TRUE(support::eventually([] { return foreign_calls == 1; }));
    owner.join();
}

// The callback goes on in the child, where another thread ends the subscription.
void expect_wait_in_child(bool once, bool ended)
{
    inbox box;
    pid_t child = -1;
    std::atomic<bool> over{false};
    std::atomic<bool> inside{false};
    std::atomic<bool> early{false};
    std::thread in_child;
    std::thread in_parent;
    subscription sub;
    sub = box.on(SIGUSR1,
                 [&] {
                     inside = true;
                     while (ended && sub.active()) // another thread waits in cancel()
                         std::this_thread::yield();
                     child = ::fork();
                     if (child != 0)
                         return;
                     std::atomic<bool> returned{false};
                     in_child = std::thread([&] {
                         sub.cancel();
                         early = !over;
                         returned = true;
                     });
                     EXPECT_FALSE(happens([&] { return early || returned; }));
                     over = true;
                 },
                 {.once = once});
    if (ended) {
        in_parent = std::thread([&] {
            while (!inside)
                std::this_thread::yield();
            sub.cancel();
        });
    }
    ::raise(SIGUSR1);
    box.run_pending();
    if (child == 0) {
        in_child.join();
        ::_exit(early ? 1 : 0);
    }
    if (ended)
        in_parent.join();
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

TEST(G7, a_child_waits_for_the_callback_that_it_was_forked_in) { expect_wait_in_child(false, false); }
TEST(G7, a_child_waits_for_the_last_callback_that_it_was_forked_in) { expect_wait_in_child(true, false); }
TEST(G7, a_child_waits_for_the_ended_callback_that_it_was_forked_in)
{
    SKIP_WITHOUT_THREADS_IN_A_CHILD();
    if (support::thread_sanitizer)
        GTEST_SKIP() << "it refuses threads in a child of threads";
    expect_wait_in_child(false, true);
}

TEST(on_main, what_is_collected_early_keeps_its_turn)
{
    std::string order;
    tocsin::signal(SIGUSR1, [&] { order += "handler "; });
    tocsin::signal(SIGINT, [&] { order += "interrupt "; });
    const auto first = tocsin::on(SIGUSR1, [&] { order += "first "; });
    subscription second;
    {
        const tocsin::defer_signals guard;
        ::raise(SIGUSR1);
        ::raise(SIGINT);
        second = tocsin::on(SIGUSR1, [&] { order += "second "; });
    }
    tocsin::check_signals();
    EXPECT_EQ(order, "interrupt handler first ");
}

TEST(subscription, the_callback_ends_with_a_subscription_that_it_ends_itself)
{
    inbox box;
    const auto held = std::make_shared<int>(0);
    subscription sub;
    sub = box.on(SIGUSR1, [&sub, held] { sub.cancel(); });
    const auto last = box.on(SIGUSR1, [held] {}, {.once = true});
    const auto run_at_the_end = box.on(SIGUSR1, [held] {}, {.once = true, .pending = at_cancel::run});
    const auto throws = box.on(SIGUSR1, [held] { throw 1; }, {.once = true});
    EXPECT_EQ(held.use_count(), 5);
    ::raise(SIGUSR1);
    EXPECT_THROW(box.run_pending(), int);
    EXPECT_EQ(held.use_count(), 1);
    sub = box.on(SIGUSR1, [held] { throw 1; }, {.pending = at_cancel::run});
    ::raise(SIGUSR1);
    EXPECT_THROW(sub.cancel(), int);
    EXPECT_EQ(held.use_count(), 1);
}

} // namespace
