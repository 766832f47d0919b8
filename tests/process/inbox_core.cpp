// The core under inboxes and subscriptions where it is easily wrong: see registry.cpp and mailbox.cpp.

#include <tocsin/tocsin.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <ctime>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

namespace {

using tocsin::at_cancel;
using tocsin::delivery;
using tocsin::inbox;
using tocsin::subscription_options;

std::atomic<int> foreign_calls{0};
struct sigaction below_foreign {};

void foreign(int) { ++foreign_calls; }

// As a library does that was loaded later: its own business, then whoever was there before.
void on_top(int sig, siginfo_t* info, void* context)
{
    if (++foreign_calls > 100)
        ::_exit(99); // called by its own doing, for ever
    if ((below_foreign.sa_flags & SA_SIGINFO) != 0)
        below_foreign.sa_sigaction(sig, info, context);
    else if (below_foreign.sa_handler != SIG_DFL && below_foreign.sa_handler != SIG_IGN)
        below_foreign.sa_handler(sig);
}

void put_on_top(int sig)
{
    struct sigaction action = {};
    action.sa_sigaction = on_top;
    action.sa_flags = SA_SIGINFO;
    ASSERT_EQ(::sigaction(sig, &action, &below_foreign), 0);
}

bool is_on_top(int sig)
{
    struct sigaction now = {};
    ::sigaction(sig, nullptr, &now);
    return now.sa_sigaction == on_top;
}

std::int64_t processor_time()
{
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

subscription_options queue_of(std::size_t capacity)
{
    subscription_options options;
    options.delivery = delivery::queue;
    options.capacity = capacity;
    return options;
}

TEST(G4, a_queue_for_one_signal_keeps_it_and_counts_the_others)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "its runtime keeps one arrival of each signal for a thread";
    inbox box;
    std::vector<int> values;
    const auto held = box.on(
        SIGRTMIN, [&](const tocsin::event& e) { values.push_back(e.info.value()->sival_int); }, queue_of(1));
    std::uint64_t sent = 0;
    for (int round = 0; round < 10; ++round) {
        for (int n = 0; n < 5; ++n, ++sent)
            ASSERT_EQ(::sigqueue(::getpid(), SIGRTMIN, sigval{static_cast<int>(sent)}), 0);
        const std::size_t before = values.size();
        EXPECT_GE(box.run_pending(), 1U);
        ASSERT_GT(values.size(), before);
        EXPECT_EQ(values[before], round * 5); // the oldest is kept
    }
    EXPECT_EQ(values.size() + held.dropped(), sent);
}

TEST(subscription, the_first_signal_of_two_runs_the_callback_on_the_main_thread)
{
    const int status = support::in_child([] {
        int calls = 0;
        subscription_options options;
        options.second_is_default = true;
        const auto held = tocsin::on(
            SIGTERM, [&] { ++calls; }, options);
        ::raise(SIGTERM);
        tocsin::check_signals();
        ::dprintf(2, "%d call\n", calls); // in vain if the first one has ended it
        if (calls == 1)
            ::signal(SIGALRM, SIG_DFL);
        return calls == 1 ? 7 : 1;
    });
    EXPECT_TRUE(support::exited_with(status, 7)) << status;
}

TEST(G7, a_handler_put_over_ours_that_calls_ours_gets_each_signal_once)
{
    int calls = 0;
    auto held = tocsin::on(SIGUSR1, [&] { ++calls; });
    put_on_top(SIGUSR1);
    for (int n = 1; n <= 3; ++n) {
        ::raise(SIGUSR1);
        tocsin::check_signals();
        tocsin::check_signals();
        EXPECT_EQ(calls, n);
        EXPECT_EQ(foreign_calls, n);
    }
    held.cancel();
    EXPECT_TRUE(is_on_top(SIGUSR1));
    ::raise(SIGUSR1);
    EXPECT_EQ(foreign_calls, 4);
}

TEST(G7, a_handler_put_over_ours_is_put_back_by_the_next_subscription_and_does_not_loop)
{
    ASSERT_NE(::signal(SIGUSR1, foreign), SIG_ERR);
    for (const bool chain : {false, true}) {
        inbox box;
        int calls = 0;
        auto first = box.on(SIGUSR1, [&] { ++calls; });
        put_on_top(SIGUSR1);
        first.cancel();
        ASSERT_TRUE(is_on_top(SIGUSR1));
        foreign_calls = 0;
        ::raise(SIGUSR1);
        EXPECT_EQ(foreign_calls, 2); // the one on top, and through ours the one below
        subscription_options options;
        options.chain = chain;
        auto second = box.on(
            SIGUSR1, [&] { ++calls; }, options);
        foreign_calls = 0;
        ::raise(SIGUSR1);
        EXPECT_EQ(box.run_pending(), 1U);
        EXPECT_EQ(calls, 1);
        EXPECT_EQ(foreign_calls, chain ? 1 : 0); // the one below: the one on top would call ours again
        second.cancel();
        EXPECT_TRUE(is_on_top(SIGUSR1));
        foreign_calls = 0;
        ::raise(SIGUSR1);
        EXPECT_EQ(foreign_calls, 2);
        ASSERT_NE(::signal(SIGUSR1, foreign), SIG_ERR);
    }
}

TEST(G7, a_handler_put_over_ours_outlives_a_further_subscription)
{
    inbox box;
    auto first = box.on(SIGUSR1, [] {});
    put_on_top(SIGUSR1);
    int calls = 0;
    auto second = box.on(SIGUSR1, [&] { ++calls; });
    ::raise(SIGUSR1);
    box.run_pending();
    EXPECT_EQ(calls, 1);
    second.cancel();
    first.cancel();
    EXPECT_TRUE(is_on_top(SIGUSR1));
    foreign_calls = 0;
    ::raise(SIGUSR1);
    EXPECT_EQ(foreign_calls, 1);
}

TEST(G7, the_main_slot_has_nothing_of_a_signal_whose_handler_was_removed_while_others_listen)
{
    inbox box;
    tocsin::signal(SIGUSR1, [] {});
    int calls = 0;
    const auto held = box.on(SIGUSR1, [&] { ++calls; });
    tocsin::signal(SIGUSR1, tocsin::ignore);
    ::raise(SIGUSR1);
    EXPECT_EQ(tocsin::detail::main_pending, 0U);
    box.run_pending();
    EXPECT_EQ(calls, 1);
}

// Real-time signals, each of which counts; the handler before is other code's.
TEST(G8, each_signal_is_delivered_or_meets_the_handler_before_while_inboxes_come_and_go)
{
    SKIP_WITHOUT_ATOMIC_DISPOSITIONS();
    if (support::thread_sanitizer)
        GTEST_SKIP() << "its runtime keeps one arrival of each signal for a thread";
    constexpr int senders = 2;
    constexpr int each = 20'000;
    ASSERT_NE(::signal(SIGRTMIN, foreign), SIG_ERR);
    std::atomic<int> running{senders};
    std::uint64_t called = 0;
    std::uint64_t dropped = 0;
    int rounds = 0;
    std::thread owner([&] {
        while (running != 0 || rounds == 0) {
            inbox box;
            for (int n = 0; n < 4; ++n, ++rounds) {
                auto held = box.on(
                    SIGRTMIN, [&] { ++called; }, queue_of(16));
                box.run_pending();
                held.cancel();
                dropped += held.dropped();
            }
        }
    });
    std::vector<std::thread> threads;
    for (int n = 0; n < senders; ++n) {
        threads.emplace_back([&] {
            for (int sent = 0; sent < each; ++sent) {
                while (::sigqueue(::getpid(), SIGRTMIN, sigval{sent}) != 0)
                    std::this_thread::yield();
            }
            --running;
        });
    }
    for (std::thread& one : threads)
        one.join();
    owner.join();
    EXPECT_TRUE(support::eventually([&] { return tocsin::sigpending().empty(); }));
    EXPECT_EQ(called + dropped + static_cast<unsigned>(foreign_calls), std::uint64_t{senders} * each);
    RecordProperty("rounds", rounds);
}

// A trip routine that comes too late looks into a slot that is somebody else's by then.
TEST(inbox, slots_change_hands_under_a_flood)
{
    std::atomic<bool> done{false};
    std::vector<std::thread> owners;
    for (int n = 0; n < 4; ++n) {
        owners.emplace_back([&] {
            while (!done) {
                inbox box;
                auto options = subscription_options{};
                options.pending = tocsin::at_cancel::drop;
                const auto held = box.on(
                    SIGUSR1, [] {}, options);
                box.run_pending();
            }
        });
    }
    inbox mine;
    std::uint64_t calls = 0;
    const auto held = mine.on(SIGUSR1, [&] { ++calls; });
    for (int n = 0; n < 30'000; ++n)
        ::pthread_kill(owners[static_cast<std::size_t>(n) % owners.size()].native_handle(), SIGUSR1);
    done = true;
    for (std::thread& one : owners)
        one.join();
    mine.run_pending();
    EXPECT_GT(calls, 0U);
}

TEST(inbox, a_wait_after_wake_does_not_burn_the_processor)
{
    inbox box;
    const auto held = box.on(SIGUSR1, [] {});
    box.wake();
    EXPECT_FALSE(box.wait());
    const auto before = processor_time();
    EXPECT_FALSE(box.wait(0.5));
    EXPECT_LT(processor_time() - before, 100'000'000);
}

TEST(subscription, a_callback_that_runs_again_inside_itself_is_waited_for)
{
    inbox box;
    std::atomic<int> depth{0};
    std::atomic<bool> inner_done{false};
    std::atomic<bool> go_on{false};
    std::atomic<bool> outer_done{false};
    tocsin::subscription held = box.on(SIGUSR1, [&] {
        if (++depth == 1) {
            ::raise(SIGUSR1);
            box.run_pending();
            inner_done = true;
            while (!go_on)
                std::this_thread::yield();
            std::this_thread::yield();
            outer_done = true;
        }
    });
    std::thread canceller([&] {
        while (!inner_done)
            std::this_thread::yield();
        std::thread let_go([&] {
            while (held.active()) // the subscription has ended, and is waiting now
                std::this_thread::yield();
            go_on = true;
        });
        held.cancel();
        EXPECT_TRUE(outer_done);
        let_go.join();
    });
    ::raise(SIGUSR1);
    box.run_pending();
    canceller.join();
    EXPECT_EQ(depth, 2);
}

TEST(subscription, what_is_pending_runs_at_the_end_although_others_listen_too)
{
    inbox box;
    int mine = 0;
    int others = 0;
    subscription_options options;
    options.pending = tocsin::at_cancel::run;
    auto held = box.on(
        SIGUSR1, [&] { ++mine; }, options);
    const auto other = box.on(SIGUSR1, [&] { ++others; });
    ::raise(SIGUSR1);
    held.cancel();
    EXPECT_EQ(mine, 1);
    EXPECT_EQ(box.run_pending(), 1U);
    EXPECT_EQ(mine, 1);
    EXPECT_EQ(others, 1);
}

TEST(subscription, a_later_one_is_not_told_of_what_came_before_it)
{
    for (const auto how : {delivery::merge, delivery::queue}) {
        int handled = 0;
        int first = 0;
        int second = 0;
        tocsin::signal(SIGUSR1, [&] { ++handled; });
        const auto a = tocsin::on(SIGUSR1, [&] { ++first; }, {.delivery = how});
        tocsin::subscription b;
        {
            const tocsin::defer_signals guard;
            ::raise(SIGUSR1);
            b = tocsin::on(SIGUSR1, [&] { ++second; }, {.delivery = how, .capacity = 4096});
        }
        tocsin::check_signals();
        EXPECT_EQ(handled, 1);
        EXPECT_EQ(first, 1);
        EXPECT_EQ(second, 0);
        ::raise(SIGUSR1);
        tocsin::check_signals();
        EXPECT_EQ(handled, 2);
        EXPECT_EQ(first, 2);
        EXPECT_EQ(second, 1);
    }
}

TEST(subscription, what_is_pending_is_run_at_the_end_beside_a_handler_of_signal_which_has_it_too)
{
    for (const auto how : {delivery::merge, delivery::queue}) {
        std::uint64_t handled = 0;
        int calls = 0;
        tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { handled += e.count; });
        auto sub = tocsin::on(SIGUSR1, [&] { ++calls; }, {.delivery = how, .pending = at_cancel::run});
        {
            const tocsin::defer_signals guard;
            ::raise(SIGUSR1);
            sub.cancel();
            EXPECT_EQ(calls, 1);
            ::raise(SIGUSR1);
        }
        tocsin::check_signals();
        EXPECT_EQ(handled, 2U);
        EXPECT_EQ(calls, 1);
    }
}

TEST(G4, a_queue_has_its_own_capacity_whatever_was_there_before_it)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "its runtime keeps one arrival of each signal for a thread";
    int calls = 0;
    tocsin::signal(SIGUSR1, [] {});
    {
        const auto small = tocsin::on(SIGUSR1, [] {}, {.delivery = delivery::queue, .capacity = 1});
    }
    tocsin::signal(SIGUSR1, tocsin::default_action);
    const auto first = tocsin::on(SIGUSR1, [] {}, {.delivery = delivery::queue, .capacity = 2});
    const auto large = tocsin::on(SIGUSR1, [&] { ++calls; }, {.delivery = delivery::queue, .capacity = 64});
    {
        const tocsin::defer_signals guard;
        for (int n = 0; n < 60; ++n)
            ::raise(SIGUSR1);
    }
    tocsin::check_signals();
    EXPECT_EQ(calls, 60);
    EXPECT_EQ(large.dropped(), 0U);
    EXPECT_EQ(first.delivered() + first.dropped(), 60U);
}

TEST(G8, once_the_callback_has_run_the_rest_meets_what_is_put_back)
{
    const int status = support::in_child([] {
        tocsin::inbox box;
        bool saved = false;
        const auto sub =
            box.on(SIGTERM,
                   [&] {
                       saved = true;
                       ::signal(SIGTERM, [](int) { ::_exit(7); }); // what is put back, as the rest finds it
                   },
                   {.delivery = delivery::queue, .once = true});
        ::raise(SIGTERM);
        ::raise(SIGTERM);
        box.run_pending();
        return saved ? 1 : 2;
    });
    EXPECT_TRUE(support::exited_with(status, 7)) << status;
}

TEST(G6, a_child_forked_in_a_callback_that_cancel_runs_runs_none_of_the_rest)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "its runtime keeps one arrival of each signal for a thread";
    tocsin::inbox box;
    int calls = 0;
    pid_t child = -1;
    auto sub = box.on(SIGUSR1,
                      [&] {
                          if (++calls == 1)
                              child = ::fork();
                      },
                      {.delivery = delivery::queue, .pending = at_cancel::run});
    for (int n = 0; n < 3; ++n)
        ::raise(SIGUSR1);
    sub.cancel();
    if (child == 0)
        ::_exit(calls);
    EXPECT_EQ(calls, 3);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(support::exited_with(status, 1)) << status;
}

TEST(subscription, the_callback_ends_with_cancel)
{
    tocsin::inbox box;
    const auto held = std::make_shared<int>(0);
    std::atomic<bool> inside{false};
    std::atomic<bool> go_on{false};
    auto sub = box.on(SIGUSR1, [&inside, &go_on, held] {
        inside = true;
        while (!go_on)
            ::sched_yield();
    });
    auto idle = box.on(SIGUSR2, [held] {});
    idle.cancel();
    EXPECT_EQ(held.use_count(), 2); // although `idle` is still there
    ::raise(SIGUSR1);
    std::thread owner([&] { box.run_pending(); });
    while (!inside)
        ::sched_yield();
    std::thread releaser([&] {
        while (sub.active())
            ::sched_yield();
        go_on = true;
    });
    sub.cancel();
    EXPECT_EQ(held.use_count(), 1);
    owner.join();
    releaser.join();
}

TEST(subscription, signal_after_the_second_one_s_default_action_outlasts_the_subscription)
{
    ::signal(SIGWINCH, SIG_IGN);
    {
        tocsin::inbox box;
        const auto sub = box.on(SIGWINCH, [] {}, {.second_is_default = true, .pending = at_cancel::drop});
        ::raise(SIGWINCH);
        tocsin::signal(SIGWINCH, tocsin::default_action);
    }
    struct sigaction now = {};
    ::sigaction(SIGWINCH, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL);
}

TEST(inbox, a_wait_ends_when_a_handler_destroys_the_inbox)
{
    for (const bool next : {false, true}) {
        auto box = std::make_unique<tocsin::inbox>();
        tocsin::signal(SIGUSR1, [&] { box.reset(); });
        std::thread sender([main = ::pthread_self()] { ::pthread_kill(main, SIGUSR1); });
        if (next)
            EXPECT_THROW(static_cast<void>(box->next()), std::logic_error);
        else
            EXPECT_FALSE(box->wait());
        sender.join();
        EXPECT_EQ(box, nullptr);
    }
}

TEST(inbox, the_nudge_s_signal_is_for_the_main_thread_to_give_away)
{
    tocsin::signal(SIGUSR1, [] {});
    const tocsin::signum nudge = *tocsin::nudge_signal();
    std::thread([&] {
        tocsin::inbox box;
        try {
            static_cast<void>(box.on({SIGUSR2, nudge}, [] {}));
            ADD_FAILURE() << "accepted";
        } catch (const std::invalid_argument& e) {
            EXPECT_EQ(std::string(e.what()), "inbox::on: " + nudge.name() +
                                                 " is kept for nudging: subscribe to it on the main thread, or see "
                                                 "set_nudge_signal()");
        }
    }).join();
    EXPECT_EQ(tocsin::nudge_signal(), nudge);
    struct sigaction now = {};
    ::sigaction(SIGUSR2, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL); // nothing has changed
    tocsin::inbox box;
    const auto sub = box.on(nudge, [] {});
    EXPECT_NE(tocsin::nudge_signal(), nudge);
}

} // namespace
