// sigwait, sigwaitinfo, sigtimedwait, pause.

#include <tocsin/tocsin.hpp>

#include <cmath>
#include <limits>
#include <thread>

#include "storm.hpp"

using support::errno_of;
using support::message_of;
using support::storm;
using tocsin::signal_set;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

class blocked : public testing::Test {
protected:
    tocsin::mask_guard guard{{SIGUSR1, SIGUSR2, SIGRTMIN, SIGRTMIN + 1}};
};

TEST_F(blocked, sigwait_returns_the_number_and_calls_no_handler)
{
    int calls = 0;
    tocsin::signal(SIGUSR1, [&] { ++calls; });
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(tocsin::sigwait({SIGUSR1, SIGUSR2}), SIGUSR1);
    tocsin::check_signals();
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(tocsin::sigpending(), signal_set{});
}

TEST_F(blocked, sigwait_takes_the_lowest_of_several_first)
{
    for (const int sig : {SIGRTMIN + 1, SIGRTMIN, SIGUSR2, SIGUSR1})
        tocsin::raise_signal(sig);
    for (const int sig : {SIGUSR1, SIGUSR2, SIGRTMIN, SIGRTMIN + 1})
        EXPECT_EQ(tocsin::sigwait({SIGUSR1, SIGUSR2, SIGRTMIN, SIGRTMIN + 1}), sig);
}

TEST_F(blocked, sigwaitinfo_tells_the_sender)
{
    const support::child sender([] { ::kill(::getppid(), SIGUSR1); });
    const auto info = tocsin::sigwaitinfo({SIGUSR1});
    EXPECT_EQ(info.signo(), SIGUSR1);
    EXPECT_EQ(info.code(), SI_USER);
    EXPECT_EQ(info.origin(), tocsin::origin::user);
    EXPECT_EQ(info.pid(), sender.pid());
    EXPECT_EQ(info.uid(), ::getuid());
    EXPECT_FALSE(info.value().has_value());
}

TEST_F(blocked, sigwaitinfo_tells_a_raised_signal_from_a_sent_one)
{
    tocsin::raise_signal(SIGUSR1);
    const auto info = tocsin::sigwaitinfo({SIGUSR1});
    EXPECT_EQ(info.code(), SI_TKILL);
    EXPECT_EQ(info.pid(), ::getpid());
}

TEST_F(blocked, sigwaitinfo_returns_queued_values_in_order)
{
    for (int i = 0; i < 5; ++i)
        tocsin::sigqueue(::getpid(), SIGRTMIN, sigval{.sival_int = 100 + i});
    for (int i = 0; i < 5; ++i) {
        const auto info = tocsin::sigwaitinfo({SIGRTMIN});
        EXPECT_EQ(info.code(), SI_QUEUE);
        ASSERT_TRUE(info.value().has_value());
        EXPECT_EQ(info.value()->sival_int, 100 + i);
        EXPECT_EQ(info.pid(), ::getpid());
    }
    EXPECT_EQ(tocsin::sigtimedwait({SIGRTMIN}, 0), std::nullopt);
}

TEST_F(blocked, sigwaitinfo_takes_a_child_that_ended_with_its_status)
{
    const tocsin::mask_guard also({SIGCHLD});
    const support::child ends([] { ::_exit(7); });
    const auto info = tocsin::sigwaitinfo({SIGCHLD});
    EXPECT_EQ(info.origin(), tocsin::origin::child);
    EXPECT_EQ(info.pid(), ends.pid());
    EXPECT_EQ(info.status(), 7);
}

TEST_F(blocked, all_three_run_the_handlers_of_other_signals_while_they_wait)
{
    const auto wait_under_storm = [](auto wait) {
        std::uint_least32_t line = 0;
        int count = 0;
        const storm interrupts([&](const tocsin::event& e) {
            if (++count <= 5) // a later one may run inside raise_signal()
                line = e.where.line();
            if (count == 5)
                tocsin::raise_signal(SIGUSR1);
        });
        const auto result = wait();
        EXPECT_GE(count, 5);
        return std::pair(result, line);
    };
    const auto here = static_cast<std::uint_least32_t>(__LINE__);
    const auto [number, line1] = wait_under_storm([] { return tocsin::sigwait({SIGUSR1}); });
    const auto [info, line2] = wait_under_storm([] { return tocsin::sigwaitinfo({SIGUSR1}); });
    const auto [maybe, line3] = wait_under_storm([] { return tocsin::sigtimedwait({SIGUSR1}, 60); });
    EXPECT_EQ(number, SIGUSR1);
    EXPECT_EQ(line1, here + 1);
    EXPECT_EQ(info.signo(), SIGUSR1);
    EXPECT_EQ(line2, here + 2);
    ASSERT_TRUE(maybe.has_value());
    EXPECT_EQ(maybe->signo(), SIGUSR1);
    EXPECT_EQ(line3, here + 3);
}

TEST_F(blocked, what_another_handler_throws_comes_out_of_all_three)
{
    const storm interrupts([](const tocsin::event&) { throw support::stop(); });
    EXPECT_THROW(tocsin::sigwait({SIGUSR1}), support::stop);
    EXPECT_THROW(tocsin::sigwaitinfo({SIGUSR1}), support::stop);
    EXPECT_THROW(tocsin::sigtimedwait({SIGUSR1}, 60), support::stop);
}

TEST_F(blocked, a_handler_that_is_due_runs_before_they_wait)
{
    int calls = 0;
    support::make_due(SIGTERM, [&] {
        ++calls;
        tocsin::raise_signal(SIGUSR1);
    });
    EXPECT_EQ(tocsin::sigwait({SIGUSR1}), SIGUSR1);
    EXPECT_EQ(calls, 1);
}

TEST_F(blocked, they_work_on_another_thread_and_run_no_handler_there)
{
    int calls = 0;
    support::make_due(SIGTERM, [&] { ++calls; });
    std::thread([] {
        ::raise(SIGUSR1);
        EXPECT_EQ(tocsin::sigwait({SIGUSR1}), SIGUSR1);
        EXPECT_EQ(tocsin::sigtimedwait({SIGUSR1}, 1ms), std::nullopt);
    }).join();
    EXPECT_EQ(calls, 0);
    tocsin::check_signals();
    EXPECT_EQ(calls, 1);
}

TEST_F(blocked, sets_with_bad_members_are_refused_by_value)
{
    for (const int sig : {0, 65, -1})
        EXPECT_NE(message_of<std::out_of_range>([&] { tocsin::sigwait({sig}); }).find(std::to_string(sig)),
                  std::string::npos);
    for (const int sig : {32, 33}) {
        EXPECT_NE(message_of<std::invalid_argument>([&] { tocsin::sigwait({sig}); }).find(std::to_string(sig)),
                  std::string::npos);
        EXPECT_THROW(tocsin::sigwaitinfo({sig}), std::invalid_argument);
        EXPECT_THROW(tocsin::sigtimedwait({sig}, 0), std::invalid_argument);
    }
}

TEST_F(blocked, sigtimedwait_zero_polls)
{
    EXPECT_EQ(tocsin::sigtimedwait({SIGUSR1}, 0), std::nullopt);
    EXPECT_EQ(tocsin::sigtimedwait({}, 0), std::nullopt);
    tocsin::raise_signal(SIGUSR1);
    const auto info = tocsin::sigtimedwait({SIGUSR1}, 0);
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(info->signo(), SIGUSR1);
}

TEST_F(blocked, sigtimedwait_refuses_times_that_are_none)
{
    for (const double time : {-1.0, -0.001, -1e-9, -1e-12})
        EXPECT_NE(message_of<std::invalid_argument>([&] { tocsin::sigtimedwait({SIGUSR1}, time); }).find("negative"),
                  std::string::npos)
            << time;
    const auto text = message_of<std::invalid_argument>([] { tocsin::sigtimedwait({SIGUSR1}, -1.5); });
    EXPECT_NE(text.find("-1.5"), std::string::npos) << text;
    EXPECT_NE(message_of<std::invalid_argument>([] { tocsin::sigtimedwait({SIGUSR1}, std::nan("")); }).find("NaN"),
              std::string::npos);
    EXPECT_THROW(tocsin::sigtimedwait({SIGUSR1}, infinity), std::overflow_error);
    EXPECT_NE(message_of<std::overflow_error>([] { tocsin::sigtimedwait({SIGUSR1}, 1e300); }).find("1e+300"),
              std::string::npos);
    EXPECT_THROW(tocsin::sigtimedwait({SIGUSR1}, std::chrono::hours::max()), std::overflow_error);
}

TEST_F(blocked, sigtimedwait_takes_a_time_of_centuries)
{
    tocsin::raise_signal(SIGUSR1);
    EXPECT_TRUE(tocsin::sigtimedwait({SIGUSR1}, std::chrono::nanoseconds::max()).has_value());
    const storm interrupts([](const tocsin::event&) { tocsin::raise_signal(SIGUSR1); });
    EXPECT_TRUE(tocsin::sigtimedwait({SIGUSR1}, std::chrono::nanoseconds::max()).has_value());
    EXPECT_TRUE(tocsin::sigtimedwait({SIGUSR1}, 9.2e9).has_value());
}

class G9 : public blocked {};

TEST_F(G9, a_timed_wait_is_never_early_and_keeps_its_deadline_under_a_storm)
{
    const storm interrupts;
    for (const auto time : {1ns, 999'999ns, 30'000'001ns}) {
        const auto start = steady_clock::now();
        EXPECT_EQ(tocsin::sigtimedwait({SIGUSR1}, time), std::nullopt);
        EXPECT_GE(support::elapsed_since(start), time);
        EXPECT_LT(support::elapsed_since(start), 20s);
    }
}

TEST_F(G9, a_handler_that_runs_past_the_deadline_gives_a_clean_timeout)
{
    int calls = 0;
    const auto end = steady_clock::now() + 30ms;
    const storm interrupts([&](const tocsin::event&) {
        ++calls;
        support::spin_until(end + 5ms);
    });
    EXPECT_EQ(tocsin::sigtimedwait({SIGUSR1}, 20ms), std::nullopt);
    EXPECT_GE(calls, 1);
}

TEST_F(G9, the_last_look_finds_a_signal_that_came_while_a_handler_ran_past_the_deadline)
{
    support::make_due(SIGTERM, [] {
        support::spin_until(steady_clock::now() + 20ms);
        tocsin::sigqueue(::getpid(), SIGRTMIN, sigval{.sival_int = 42});
    });
    const auto info = tocsin::sigtimedwait({SIGRTMIN}, 5ms);
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(info->signo(), SIGRTMIN);
    EXPECT_EQ(info->value()->sival_int, 42);
}

TEST_F(G9, many_handlers_past_the_deadline_never_make_up_a_signal)
{
    const storm interrupts([](const tocsin::event&) { support::spin_until(steady_clock::now() + 300us); });
    for (int i = 0; i < 200; ++i)
        ASSERT_EQ(tocsin::sigtimedwait({SIGUSR1, SIGRTMIN}, 200us), std::nullopt) << i;
}

TEST(pause, returns_after_a_handler_ran)
{
    const storm interrupts;
    for (int i = 1; i <= 20; ++i) {
        const int before = interrupts.ticks();
        tocsin::pause();
        if constexpr (!support::thread_sanitizer) { // the trip routine may run after pause there
            EXPECT_GT(interrupts.ticks(), before);
        }
    }
}

TEST(pause, a_signal_that_came_before_is_not_slept_through)
{
    for (int i = 0; i < 1000; ++i) {
        int calls = 0;
        std::uint_least32_t line = 0;
        support::make_due(SIGUSR1, [&](const tocsin::event& e) {
            ++calls;
            line = e.where.line();
        });
        const auto here = static_cast<std::uint_least32_t>(__LINE__ + 1);
        tocsin::pause();
        ASSERT_EQ(calls, 1);
        ASSERT_EQ(line, here);
    }
}

TEST(pause, wakes_for_each_of_many_single_signals_at_random_moments)
{
    // Each signal is sent once: one lost wake-up and the test hangs.
    int calls = 0;
    tocsin::signal(SIGUSR1, [&] { ++calls; });
    const support::pipe_pair turn;
    const support::child sender([&] {
        unsigned spin = 12345;
        while (support::get(turn.reader) == 'x') {
            spin = spin * 1103515245U + 12345U;
            support::spin_until(steady_clock::now() + std::chrono::nanoseconds((spin >> 16) % 20'000));
            ::kill(::getppid(), SIGUSR1);
        }
    });
    for (int i = 1; i <= 2000; ++i) {
        support::put(turn.writer);
        while (calls < i) // ThreadSanitizer may end pause before the handler runs
            tocsin::pause();
        ASSERT_EQ(calls, i);
    }
    support::put(turn.writer, 'q');
}

TEST(pause, an_ignored_signal_does_not_end_it)
{
    int ignored = 0;
    tocsin::signal(SIGUSR1, tocsin::ignore);
    int calls = 0;
    tocsin::signal(SIGUSR2, [&] { ++calls; });
    const support::child sender([] {
        for (int i = 0; i < 200; ++i)
            ::kill(::getppid(), SIGUSR1);
        ::kill(::getppid(), SIGUSR2);
    });
    while (calls == 0) {
        tocsin::pause();
        ++ignored;
    }
    EXPECT_EQ(calls, 1);
    if constexpr (!support::thread_sanitizer) {
        EXPECT_EQ(ignored, 1);
    }
}

TEST(pause, a_blocked_signal_does_not_end_it)
{
    const tocsin::mask_guard guard({SIGUSR1});
    int blocked_calls = 0;
    int calls = 0;
    tocsin::signal(SIGUSR1, [&] { ++blocked_calls; });
    tocsin::signal(SIGUSR2, [&] { ++calls; });
    tocsin::raise_signal(SIGUSR1);
    const support::child sender([] { ::kill(::getppid(), SIGUSR2); });
    while (calls == 0)
        tocsin::pause();
    EXPECT_EQ(blocked_calls, 0);
    EXPECT_TRUE(tocsin::pthread_sigmask(SIG_BLOCK, {}).contains(SIGUSR1));
}

TEST(pause, what_the_handler_throws_comes_out_and_the_mask_is_as_before)
{
    const auto before = tocsin::pthread_sigmask(SIG_BLOCK, {});
    {
        const storm interrupts([](const tocsin::event&) { throw support::stop(); });
        EXPECT_THROW(while (true) tocsin::pause(), support::stop);
    }
    EXPECT_EQ(tocsin::pthread_sigmask(SIG_BLOCK, {}), before);
    support::make_due(SIGUSR1, [] { throw support::stop(); });
    EXPECT_THROW(tocsin::pause(), support::stop);
    EXPECT_EQ(tocsin::pthread_sigmask(SIG_BLOCK, {}), before);
}

TEST(pause, under_deferral_is_refused)
{
    tocsin::defer_signals later;
    const auto text = message_of<std::logic_error>([] { tocsin::pause(); });
    EXPECT_NE(text.find("deferred"), std::string::npos) << text;
    later.release();
    support::make_due(SIGUSR1, [] {});
    tocsin::pause();
}

TEST(pause, on_another_thread_is_ended_by_that_threads_signal_and_runs_no_handler_there)
{
    std::thread::id ran_on;
    int calls = 0;
    tocsin::signal(SIGUSR1, [&] {
        ++calls;
        ran_on = std::this_thread::get_id();
    });
    std::atomic<bool> done = false;
    std::thread waiter([&] {
        tocsin::pause();
        done = true;
    });
    EXPECT_TRUE(support::eventually([&] {
        tocsin::pthread_kill(waiter, done ? 0 : SIGUSR1);
        return done.load();
    }));
    waiter.join();
    tocsin::check_signals();
    EXPECT_GE(calls, 1);
    EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(pause, a_foreign_handler_ends_it)
{
    static volatile std::sig_atomic_t seen = 0;
    struct sigaction action = {};
    action.sa_handler = [](int) { seen = 1; };
    ::sigaction(SIGUSR1, &action, nullptr);
    const support::child sender([] {
        while (true) {
            ::kill(::getppid(), SIGUSR1);
            ::usleep(1000);
        }
    });
    tocsin::pause();
    if constexpr (!support::thread_sanitizer) {
        EXPECT_EQ(seen, 1);
    }
}

} // namespace
