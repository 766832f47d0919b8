// Inboxes and subscriptions of one process, by everything their headers promise.

#include <tocsin/tocsin.hpp>

#include <tocsin/inbox.hpp>

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "storm.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using tocsin::at_cancel;
using tocsin::delivery;

namespace {

// ThreadSanitizer's runtime keeps one of several signals until the next system call.
#define SKIP_WHERE_SIGNALS_MERGE()                                                                                     \
    if (support::thread_sanitizer)                                                                                     \
    GTEST_SKIP() << "ThreadSanitizer merges signals"

struct thrown {};

bool readable(int fd)
{
    pollfd each{fd, POLLIN, 0};
    return ::poll(&each, 1, 0) == 1;
}

void queue(int sig, int value) { ASSERT_EQ(::sigqueue(::getpid(), sig, {.sival_int = value}), 0); }

int foreign_calls = 0;
void foreign(int /*sig*/) { ++foreign_calls; }
void foreign_with_info(int /*sig*/, siginfo_t* info, void* context)
{
    foreign_calls += context != nullptr ? info->si_value.sival_int : 1000;
}

struct sigaction current_action(int sig)
{
    struct sigaction now = {};
    ::sigaction(sig, nullptr, &now);
    return now;
}

TEST(inbox, a_callback_runs_in_run_pending_with_its_siginfo)
{
    tocsin::inbox box;
    std::vector<int> seen;
    const auto sub = box.on(SIGUSR1, [&](const tocsin::event& e) {
        EXPECT_EQ(e.info.pid(), ::getpid());
        EXPECT_EQ(e.count, 1U);
        seen.push_back(e.signo);
    });
    ::raise(SIGUSR1);
    EXPECT_TRUE(seen.empty());
    EXPECT_EQ(box.run_pending(), 1U);
    EXPECT_EQ(seen, std::vector<int>{SIGUSR1});
    EXPECT_EQ(box.run_pending(), 0U);
    EXPECT_EQ(sub.delivered(), 1U);
}

TEST(inbox, refuses_what_it_cannot_do_and_changes_nothing)
{
    tocsin::inbox box;
    const auto nothing = [] {};
    EXPECT_THROW((void)box.on(0, nothing), std::out_of_range);
    EXPECT_THROW((void)box.on(65, nothing), std::out_of_range);
    for (const int sig : {SIGKILL, SIGSTOP, 32, 33})
        EXPECT_EQ(support::errno_of([&] { (void)box.on(sig, nothing); }), EINVAL) << sig;
    EXPECT_EQ(support::errno_of([&] { (void)box.on(tocsin::signal_set{SIGUSR1, SIGKILL}, nothing); }), EINVAL);
    EXPECT_EQ(current_action(SIGUSR1).sa_handler, SIG_DFL);
    EXPECT_THROW((void)box.on(tocsin::signal_set(), nothing), std::invalid_argument);
    EXPECT_THROW((void)box.on(SIGUSR1, tocsin::handler(tocsin::ignore)), std::invalid_argument);
    EXPECT_THROW((void)box.on(SIGUSR1, tocsin::handler()), std::invalid_argument);
    for (const std::size_t capacity : {std::size_t{0}, (std::size_t{1} << 20) + 1})
        EXPECT_THROW((void)box.on(SIGUSR1, nothing, {.delivery = delivery::queue, .capacity = capacity}),
                     std::invalid_argument);
    EXPECT_THROW((void)box.wait(-1.0), std::invalid_argument);
    EXPECT_EQ(current_action(SIGUSR1).sa_handler, SIG_DFL);
}

TEST(inbox, sixty_three_at_once_and_no_more)
{
    std::vector<std::unique_ptr<tocsin::inbox>> all;
    for (std::size_t n = 0; n < tocsin::inbox::max_inboxes; ++n)
        all.push_back(std::make_unique<tocsin::inbox>());
    EXPECT_THROW(tocsin::inbox(), std::length_error);
    std::vector<tocsin::subscription> subs;
    int calls = 0;
    for (const auto& each : all)
        subs.push_back(each->on(SIGUSR1, [&] { ++calls; }));
    ::raise(SIGUSR1);
    for (const auto& each : all)
        each->run_pending();
    EXPECT_EQ(calls, 63);
    all[7].reset();
    EXPECT_NO_THROW(tocsin::inbox());
}

TEST(inbox, a_subscription_that_outlives_its_inbox_keeps_nothing_of_it)
{
    std::vector<tocsin::subscription> dead;
    for (int n = 0; n < 200; ++n) {
        tocsin::inbox box;
        dead.push_back(box.on(SIGUSR1, [] {}));
    }
    for (auto& each : dead) {
        EXPECT_FALSE(each.active());
        each.cancel();
    }
}

TEST(inbox, wake_ends_one_wait)
{
    tocsin::inbox box;
    box.wake();
    EXPECT_FALSE(box.wait());
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(box.wait(0.05)) << "nothing is left of the first";
    EXPECT_GE(support::elapsed_since(start), 50ms);
    const std::jthread other([&] { box.wake(); });
    EXPECT_FALSE(box.wait());
    EXPECT_FALSE(box.wait(0.01));
}

TEST(inbox, a_limited_next_ends_though_callbacks_are_always_due)
{
    tocsin::inbox box;
    const auto again = box.on(SIGUSR1, [] { ::raise(SIGUSR1); }, {.pending = at_cancel::drop});
    const auto events = box.on(SIGUSR2);
    ::raise(SIGUSR1);
    EXPECT_FALSE(box.next(0.02));
}

TEST(inbox, next_gives_queued_values_in_order)
{
    SKIP_WHERE_SIGNALS_MERGE();
    tocsin::inbox box;
    const auto sub = box.on(SIGRTMIN, {.delivery = delivery::queue});
    for (int n = 0; n < 100; ++n)
        queue(SIGRTMIN, n);
    for (int n = 0; n < 100; ++n) {
        const auto e = box.next();
        ASSERT_EQ(e.info.native().si_value.sival_int, n);
    }
    EXPECT_FALSE(box.try_next());
    EXPECT_EQ(sub.delivered(), 100U);
}

TEST(inbox, every_capacity_keeps_that_many_and_counts_the_rest)
{
    SKIP_WHERE_SIGNALS_MERGE();
    for (const auto& [capacity, kept] : {std::pair{1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {1000, 1024}}) {
        for (int round = 0; round < 3; ++round) {
            tocsin::inbox box;
            int calls = 0;
            const auto sub = box.on(SIGRTMIN, [&] { ++calls; },
                                    {.delivery = delivery::queue, .capacity = static_cast<std::size_t>(capacity)});
            for (int turn = 1; turn <= 3; ++turn) {
                for (int n = 0; n < kept + 7; ++n)
                    queue(SIGRTMIN, n);
                box.run_pending();
                EXPECT_EQ(calls, turn * kept) << capacity;
                EXPECT_EQ(sub.dropped(), static_cast<unsigned>(turn) * 7U) << capacity;
            }
        }
    }
}

TEST(inbox, merge_and_count_see_the_same_arrivals)
{
    SKIP_WHERE_SIGNALS_MERGE();
    tocsin::inbox box;
    std::vector<std::uint64_t> merged;
    std::vector<std::uint64_t> counted;
    const auto a = box.on(SIGRTMIN, [&](const tocsin::event& e) { merged.push_back(e.count); });
    const auto b =
        box.on(SIGRTMIN, [&](const tocsin::event& e) { counted.push_back(e.count); }, {.delivery = delivery::count});
    for (int n = 0; n < 5; ++n)
        queue(SIGRTMIN, n);
    EXPECT_EQ(box.run_pending(), 6U);
    EXPECT_EQ(merged, std::vector<std::uint64_t>{5});
    EXPECT_EQ(counted, std::vector<std::uint64_t>(5, 1));
}

TEST(inbox, the_handle_is_level_and_edge_triggered)
{
    tocsin::inbox box;
    const auto sub = box.on(SIGUSR1, [] {});
    const int fd = box.native_handle();
    const support::descriptor poller(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event want{EPOLLIN | EPOLLET, {}};
    ASSERT_EQ(::epoll_ctl(poller, EPOLL_CTL_ADD, fd, &want), 0);
    epoll_event got{};
    for (int round = 0; round < 3; ++round) {
        EXPECT_FALSE(readable(fd));
        EXPECT_EQ(::epoll_wait(poller, &got, 1, 0), 0);
        ::raise(SIGUSR1);
        EXPECT_TRUE(readable(fd));
        EXPECT_TRUE(readable(fd));
        EXPECT_EQ(::epoll_wait(poller, &got, 1, 0), 1);
        EXPECT_EQ(::epoll_wait(poller, &got, 1, 0), 0);
        EXPECT_EQ(box.run_pending(), 1U);
    }
    box.wake();
    EXPECT_TRUE(readable(fd));
    box.run_pending();
    EXPECT_FALSE(readable(fd));
}

TEST(G11, what_a_callback_throws_leaves_the_rest_pending_and_the_handle_readable)
{
    tocsin::inbox box;
    const int fd = box.native_handle();
    int later = 0;
    const auto a = box.on(SIGUSR1, [] { throw thrown(); });
    const auto b = box.on(SIGUSR1, [&] { ++later; });
    const auto c = box.on(SIGUSR2, [&] { later += 10; });
    ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    EXPECT_THROW(box.run_pending(), thrown);
    EXPECT_EQ(later, 0);
    EXPECT_TRUE(readable(fd));
    EXPECT_TRUE(box.wait(0));
    EXPECT_EQ(box.run_pending(), 2U);
    EXPECT_EQ(later, 11);
    EXPECT_FALSE(readable(fd));
}

TEST(G11, a_handler_of_the_main_thread_throws_out_of_wait_and_nothing_is_lost)
{
    tocsin::inbox box;
    int calls = 0;
    const auto sub = box.on(SIGUSR2, [&] { ++calls; });
    support::make_due(SIGUSR1, [] { throw thrown(); });
    EXPECT_THROW(box.wait(), thrown);
    ::raise(SIGUSR2);
    EXPECT_TRUE(box.wait());
    EXPECT_EQ(box.run_pending(), 1U);
    EXPECT_FALSE(box.wait(0.01));
}

TEST(inbox, a_main_handler_may_destroy_the_inbox_that_waits)
{
    auto box = std::make_unique<tocsin::inbox>();
    tocsin::signal(SIGUSR1, [&] {
        box.reset();
        throw thrown();
    });
    {
        const tocsin::defer_signals later;
        tocsin::raise_signal(SIGUSR1);
    }
    EXPECT_THROW(box->wait(), thrown);
}

TEST(subscription, callbacks_may_cancel_themselves_each_other_and_the_inbox)
{
    auto box = std::make_unique<tocsin::inbox>();
    tocsin::subscription a;
    tocsin::subscription b;
    int calls = 0;
    a = box->on(SIGUSR1, [&] {
        ++calls;
        a.cancel();
        b.cancel();
        a = box->on(SIGUSR1, [&] {
            calls += 10;
            box.reset();
        });
    });
    b = box->on(SIGUSR1, [&] { calls += 100; }, {.pending = at_cancel::drop});
    ::raise(SIGUSR1);
    EXPECT_EQ(box->run_pending(), 1U);
    EXPECT_EQ(calls, 1);
    ::raise(SIGUSR1);
    box->run_pending();
    EXPECT_EQ(calls, 11);
    EXPECT_EQ(box, nullptr);
    EXPECT_FALSE(a.active());
    EXPECT_EQ(current_action(SIGUSR1).sa_handler, SIG_DFL);
}

TEST(subscription, moved_from_holds_nothing)
{
    tocsin::inbox box;
    auto a = box.on(SIGUSR1, [] {});
    const auto b = std::move(a);
    EXPECT_FALSE(a.active()); // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(a.dropped() + a.delivered(), 0U);
    EXPECT_TRUE(a.subscribed_signals().empty());
    a.cancel();
    EXPECT_TRUE(b.active());
    a = {};
    const tocsin::inbox other(std::move(box));
    EXPECT_TRUE(b.active());
}

TEST(subscription, cancel_waits_for_a_callback_that_has_run_itself_again_inside)
{
    tocsin::inbox box;
    std::atomic<bool> inside{false};
    std::atomic<bool> go_on{false};
    std::atomic<bool> over{false};
    std::atomic<bool> over_at_return{false};
    int depth = 0;
    auto sub = box.on(SIGUSR1, [&] {
        if (++depth == 2)
            return;
        ::raise(SIGUSR1);
        box.run_pending();
        inside = true;
        EXPECT_TRUE(support::eventually([&] { return go_on.load(); }));
        over = true;
    });
    ::raise(SIGUSR1);
    std::thread canceller([&] {
        while (!inside)
            ::sched_yield();
        sub.cancel();
        over_at_return = over.load();
    });
    std::thread releaser([&] { // after cancel() has taken the subscription out
        while (sub.active())
            ::sched_yield();
        for (int n = 0; n < 1000; ++n)
            ::sched_yield();
        go_on = true;
    });
    box.run_pending();
    canceller.join();
    releaser.join();
    EXPECT_TRUE(over_at_return);
}

TEST(subscription, at_cancel_run_calls_as_often_as_delivery_says)
{
    SKIP_WHERE_SIGNALS_MERGE();
    for (const auto how : {delivery::merge, delivery::count, delivery::queue}) {
        for (const bool with_other : {false, true}) {
            tocsin::inbox box;
            tocsin::subscription other;
            if (with_other)
                other = box.on(SIGRTMIN, [] {}, {.pending = at_cancel::drop});
            std::uint64_t calls = 0;
            std::uint64_t sum = 0;
            auto sub = box.on(SIGRTMIN,
                              [&](const tocsin::event& e) {
                                  ++calls;
                                  sum += e.count;
                              },
                              {.delivery = how, .pending = at_cancel::run});
            for (int n = 0; n < 5; ++n)
                queue(SIGRTMIN, n);
            sub.cancel();
            EXPECT_EQ(sum, 5U);
            EXPECT_EQ(calls, how == delivery::merge ? 1U : 5U);
            EXPECT_EQ(sub.delivered(), calls);
            other.cancel();
        }
    }
}

TEST(subscription, once_is_once_whatever_is_pending)
{
    for (const auto then : {at_cancel::drop, at_cancel::run}) {
        tocsin::inbox box;
        std::vector<int> values;
        const auto sub =
            box.on(SIGRTMIN, [&](const tocsin::event& e) { values.push_back(e.info.native().si_value.sival_int); },
                   {.delivery = delivery::queue, .once = true, .pending = then});
        for (int n = 1; n <= 3; ++n)
            queue(SIGRTMIN, n);
        EXPECT_EQ(box.run_pending(), 1U);
        EXPECT_EQ(values, std::vector<int>{1});
        EXPECT_FALSE(sub.active());
    }
}

TEST(G8, at_the_end_a_pending_signal_meets_what_is_put_back)
{
    SKIP_WHERE_SIGNALS_MERGE();
    foreign_calls = 0;
    struct sigaction theirs = {};
    theirs.sa_sigaction = foreign_with_info;
    theirs.sa_flags = SA_SIGINFO;
    ::sigaction(SIGRTMIN, &theirs, nullptr);
    tocsin::inbox box;
    auto sub = box.on(SIGRTMIN, [] { FAIL(); }, {.delivery = delivery::queue});
    queue(SIGRTMIN, 3);
    queue(SIGRTMIN, 4);
    EXPECT_EQ(foreign_calls, 0);
    sub.cancel();
    EXPECT_EQ(foreign_calls, 7);
    EXPECT_EQ(current_action(SIGRTMIN).sa_sigaction, foreign_with_info);
}

TEST(G7, a_handler_put_over_ours_stays)
{
    tocsin::inbox box;
    auto sub = box.on(SIGUSR1, [] {});
    ::signal(SIGUSR1, foreign);
    sub.cancel();
    EXPECT_EQ(current_action(SIGUSR1).sa_handler, foreign);
}

TEST(subscription, chain_calls_what_was_there)
{
    SKIP_WHERE_SIGNALS_MERGE();
    for (const bool with_info : {false, true}) {
        foreign_calls = 0;
        struct sigaction theirs = {};
        if (with_info) {
            theirs.sa_sigaction = foreign_with_info;
            theirs.sa_flags = SA_SIGINFO;
        } else {
            theirs.sa_handler = foreign;
        }
        ::sigaction(SIGRTMIN, &theirs, nullptr);
        tocsin::inbox box;
        const auto sub = box.on(SIGRTMIN, [] {}, {.chain = true});
        queue(SIGRTMIN, 1);
        EXPECT_EQ(foreign_calls, 1);
        EXPECT_EQ(box.run_pending(), 1U);
    }
}

TEST(subscription, respects_what_is_ignored)
{
    ::signal(SIGHUP, SIG_IGN);
    tocsin::inbox box;
    const auto sub = box.on(tocsin::signal_set{SIGHUP, SIGUSR1}, [] {}, {.respect_ignore = true});
    EXPECT_EQ(sub.subscribed_signals(), tocsin::signal_set{SIGUSR1});
    EXPECT_EQ(current_action(SIGHUP).sa_handler, SIG_IGN);
    auto all = box.on(SIGHUP, [] {});
    EXPECT_NE(current_action(SIGHUP).sa_handler, SIG_IGN);
    all.cancel();
    EXPECT_EQ(current_action(SIGHUP).sa_handler, SIG_IGN);
}

TEST(subscription, the_second_signal_takes_the_default_action)
{
    for (const bool on_main : {false, true}) {
        const int status = support::in_child([&] {
            tocsin::inbox box;
            int calls = 0;
            const auto count = [&] { ++calls; };
            const tocsin::subscription_options options{.second_is_default = true};
            const auto sub = on_main ? tocsin::on(SIGTERM, count, options) : box.on(SIGTERM, count, options);
            ::raise(SIGTERM);
            box.run_pending();
            if (calls != 1)
                return 1;
            ::raise(SIGTERM);
            ::_exit(2); // at its end the inbox would pass on what it has
        });
        EXPECT_TRUE(support::died_of(status, SIGTERM)) << on_main << ": " << status;
        const int first = support::in_child([&] {
            tocsin::inbox box;
            int calls = 0;
            const auto count = [&] { ++calls; };
            const tocsin::subscription_options options{.second_is_default = true};
            const auto sub = on_main ? tocsin::on(SIGTERM, count, options) : box.on(SIGTERM, count, options);
            ::raise(SIGTERM);
            box.run_pending();
            return calls;
        });
        EXPECT_TRUE(support::exited_with(first, 1)) << on_main << ": " << first;
    }
}

TEST(G8, a_signal_that_an_inbox_had_does_not_meet_the_default_action_too)
{
    const int status = support::in_child([] {
        tocsin::signal(SIGUSR1, [] {});
        tocsin::inbox box;
        int calls = 0;
        auto sub = box.on(SIGUSR1, [&] { ++calls; });
        tocsin::signal(SIGUSR1, tocsin::default_action);
        std::thread([&] { // no safe point of the main thread meanwhile
            ::kill(::getpid(), SIGUSR1);
            box.wait();
            box.run_pending();
            sub.cancel();
        })
            .join();
        tocsin::check_signals();
        return calls;
    });
    EXPECT_TRUE(support::exited_with(status, 1)) << status;
}

TEST(G7, signal_and_subscriptions_keep_apart)
{
    ::signal(SIGUSR1, foreign);
    tocsin::inbox box;
    int by_box = 0;
    int by_main = 0;
    auto sub = box.on(SIGUSR1, [&] { ++by_box; });
    EXPECT_TRUE(tocsin::getsignal(SIGUSR1).is_foreign());
    EXPECT_TRUE(tocsin::signal(SIGUSR1, [&] { ++by_main; }).is_foreign());
    ::raise(SIGUSR1);
    EXPECT_EQ(box.run_pending(), 1U);
    EXPECT_EQ(by_main, 1);
    tocsin::signal(SIGUSR1, tocsin::ignore);
    EXPECT_EQ(tocsin::getsignal(SIGUSR1), tocsin::ignore);
    ::raise(SIGUSR1);
    box.run_pending();
    EXPECT_EQ(by_box, 2);
    EXPECT_EQ(by_main, 1);
    sub.cancel();
    EXPECT_EQ(current_action(SIGUSR1).sa_handler, SIG_IGN);
}

TEST(subscription, calls_are_restarted_or_not_as_asked)
{
    tocsin::inbox box;
    auto a = box.on(SIGUSR1, [] {});
    EXPECT_NE(current_action(SIGUSR1).sa_flags & SA_RESTART, 0);
    auto b = box.on(SIGUSR1, [] {}, {.restart = false});
    EXPECT_EQ(current_action(SIGUSR1).sa_flags & SA_RESTART, 0);
    b.cancel();
    EXPECT_NE(current_action(SIGUSR1).sa_flags & SA_RESTART, 0);
    tocsin::signal(SIGUSR1, [] {});
    EXPECT_EQ(current_action(SIGUSR1).sa_flags & SA_RESTART, 0);
    tocsin::signal(SIGUSR1, tocsin::default_action);
    EXPECT_NE(current_action(SIGUSR1).sa_flags & SA_RESTART, 0);
}

TEST(subscription, a_later_one_takes_nothing_from_the_handler_of_signal)
{
    int handled = 0;
    int first = 0;
    tocsin::signal(SIGUSR1, [&] { ++handled; });
    const auto a = tocsin::on(SIGUSR1, [&] { ++first; });
    tocsin::subscription b;
    {
        const tocsin::defer_signals guard;
        ::raise(SIGUSR1);
        b = tocsin::on(SIGUSR1, [] {});
    }
    tocsin::check_signals();
    EXPECT_EQ(handled, 1);
    EXPECT_EQ(first, 1);
}

TEST(subscription, a_callback_that_runs_in_cancel_may_assign_to_it)
{
    tocsin::inbox box;
    int calls = 0;
    tocsin::subscription sub;
    sub = box.on(SIGUSR1,
                 [&, kept = std::make_shared<int>(7)] {
                     sub = tocsin::subscription();
                     calls += *kept;
                 },
                 {.pending = at_cancel::run});
    ::raise(SIGUSR1);
    sub.cancel();
    EXPECT_EQ(calls, 7);
}

TEST(subscription, what_came_before_the_end_of_a_runtime_is_due_at_the_next_safe_point)
{
    int calls = 0;
    const auto sub = tocsin::on(SIGUSR1, [&] { ++calls; }, {.second_is_default = true});
    {
        const tocsin::runtime scope;
        ::raise(SIGUSR1);
    }
    tocsin::check_signals();
    EXPECT_EQ(calls, 1);
}

TEST(G6, a_child_may_run_and_end_what_another_thread_of_its_parent_was_in)
{
    tocsin::inbox box;
    std::atomic<bool> inside{false};
    std::atomic<bool> go_on{false};
    auto sub = box.on(SIGUSR1, [&] {
        if (inside.exchange(true))
            return; // in the child
        while (!go_on)
            ::sched_yield();
    });
    ::raise(SIGUSR1);
    std::thread owner([&] { box.run_pending(); });
    while (!inside)
        ::sched_yield();
    const int status = support::in_child([&] {
        ::alarm(20);
        ::raise(SIGUSR1);
        const bool ran = box.run_pending() == 1;
        sub.cancel();
        return ran ? 0 : 1;
    });
    go_on = true;
    owner.join();
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}

TEST(inbox, the_nudge_s_signal_can_be_subscribed_to)
{
    tocsin::signal(SIGUSR1, [] {});
    tocsin::inbox box;
    auto sub = box.on(SIGURG, [] {});
    EXPECT_NE(tocsin::nudge_signal(), SIGURG);
    ::raise(SIGURG);
    EXPECT_EQ(box.run_pending(), 1U);
    sub.cancel();
    EXPECT_EQ(current_action(SIGURG).sa_handler, SIG_DFL);
}

TEST(on_main, callbacks_follow_the_handler_and_wait_for_guards)
{
    std::vector<int> order;
    const auto a = tocsin::on(SIGUSR1, [&] { order.push_back(2); });
    tocsin::signal(SIGUSR1, [&] { order.push_back(1); });
    const auto b = tocsin::on(SIGUSR1, [&] { order.push_back(3); });
    tocsin::defer_signals guard;
    ::raise(SIGUSR1);
    tocsin::check_signals();
    EXPECT_TRUE(order.empty());
    guard.release();
    EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
    std::thread([] { EXPECT_THROW((void)tocsin::on(SIGUSR1, [] {}), tocsin::thread_error); }).join();
}

TEST(on_main, what_the_handler_throws_leaves_the_callbacks_pending)
{
    int calls = 0;
    tocsin::signal(SIGUSR1, [] { throw thrown(); });
    const auto sub = tocsin::on(SIGUSR1, [&] { ++calls; });
    ::raise(SIGUSR1);
    EXPECT_THROW(tocsin::check_signals(), thrown);
    EXPECT_EQ(calls, 0);
    tocsin::check_signals();
    EXPECT_EQ(calls, 1);
}

} // namespace
