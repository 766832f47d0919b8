// stop_on(): a token, its cause, and the thread that all of them share.

#include <tocsin/tocsin.hpp>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "consumer_thread.hpp"

namespace {

using support::died_of;
using support::eventually;
using support::exited_with;
using support::in_child;
using support::is_caught;
using support::none_but;
using support::threads;

void wait_until_stopped(const std::stop_token& token)
{
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait(lock, token, [] { return false; });
}

TEST(stop_on, main_waits_in_a_condition_variable_and_the_cause_is_known)
{
    const auto stop = tocsin::stop_on({SIGINT, SIGTERM});
    EXPECT_FALSE(stop.get_token().stop_requested());
    EXPECT_FALSE(stop.cause());
    const int status = in_child([parent = ::getppid, &stop] {
        static_cast<void>(stop);
        return ::kill(parent(), SIGTERM);
    });
    wait_until_stopped(stop);
    EXPECT_TRUE(exited_with(status, 0));
    ASSERT_TRUE(stop.cause());
    EXPECT_EQ(stop.cause()->signo, SIGTERM);
    EXPECT_EQ(stop.cause()->info.origin(), tocsin::origin::user);
    EXPECT_NE(stop.cause()->info.pid(), ::getpid());
}

TEST(stop_on, the_cause_is_there_for_whoever_sees_the_request_and_stays_the_first)
{
    const auto stop = tocsin::stop_on({SIGINT, SIGTERM});
    std::atomic<int> without_cause = 0;
    std::vector<std::jthread> workers;
    for (int n = 0; n < 4; ++n) {
        workers.emplace_back([&] {
            wait_until_stopped(stop);
            if (!stop.cause() || stop.cause()->signo != SIGINT)
                ++without_cause;
        });
    }
    bool in_callback = false;
    const std::stop_callback callback(stop.get_token(), [&] { in_callback = stop.cause().has_value(); });
    ::raise(SIGINT);
    workers.clear();
    EXPECT_EQ(without_cause, 0);
    ::raise(SIGTERM); // nothing more
    auto later = tocsin::stop_on(SIGTERM);
    ::raise(SIGTERM);
    wait_until_stopped(later); // the shared thread has seen both
    EXPECT_EQ(stop.cause()->signo, SIGINT);
    EXPECT_TRUE(in_callback);
}

TEST(stop_on, G7_its_end_puts_the_disposition_back_and_the_last_one_ends_the_thread)
{
    const std::size_t before = threads();
    std::stop_token token;
    {
        auto first = tocsin::stop_on(SIGUSR1);
        auto second = tocsin::stop_on(SIGUSR2);
        EXPECT_EQ(threads(), before + 1); // one for both
        token = first;
        auto moved = std::move(first);
        EXPECT_EQ(moved.get_token(), token);
        EXPECT_FALSE(first.cause()); // NOLINT(bugprone-use-after-move): empty
        EXPECT_FALSE(first.get_token().stop_possible());
        second = std::move(moved);
        EXPECT_FALSE(is_caught(SIGUSR2));
        EXPECT_TRUE(is_caught(SIGUSR1));
        EXPECT_EQ(threads(), before + 1);
    }
    EXPECT_FALSE(is_caught(SIGUSR1));
    EXPECT_TRUE(none_but(before)) << threads();
    EXPECT_FALSE(token.stop_requested());
    EXPECT_FALSE(token.stop_possible()); // nobody is left who could ask
    EXPECT_TRUE(died_of(in_child([] { return ::raise(SIGUSR1); }), SIGUSR1));
}

TEST(stop_on, the_second_ctrl_c_kills)
{
    const int status = in_child([]() -> int {
        const auto stop = tocsin::stop_on(SIGINT, {.second_is_default = true});
        ::raise(SIGINT);
        wait_until_stopped(stop);
        ::raise(SIGINT); // a program that does not get to its end
        ::_exit(0);      // there it would be passed on
    });
    EXPECT_TRUE(died_of(status, SIGINT)) << status;
}

TEST(stop_on, respects_an_inherited_ignore)
{
    ::signal(SIGHUP, SIG_IGN);
    const auto stop = tocsin::stop_on({SIGHUP, SIGTERM}, {.respect_ignore = true});
    ::raise(SIGHUP);
    ::raise(SIGTERM);
    wait_until_stopped(stop);
    EXPECT_EQ(stop.cause()->signo, SIGTERM);
}

TEST(stop_on, a_stop_callback_may_end_the_last_of_them)
{
    const std::size_t before = threads();
    std::optional<tocsin::signal_stop> stop = tocsin::stop_on(SIGUSR1);
    std::atomic<bool> done = false;
    const std::stop_token token = *stop;
    const std::stop_callback callback(token, [&] {
        stop.reset();
        done = true;
    });
    ::raise(SIGUSR1);
    EXPECT_TRUE(eventually([&] { return done.load(); }));
    EXPECT_TRUE(none_but(before)) << threads();
    EXPECT_FALSE(is_caught(SIGUSR1));
}

TEST(stop_on, G6_an_inherited_one_never_stops_and_a_child_can_have_its_own)
{
    SKIP_WITHOUT_THREADS_IN_A_CHILD();
    if (support::thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer lets no forked child start a thread";
    std::optional<tocsin::signal_stop> stop = tocsin::stop_on(SIGTERM);
    const int status = in_child([&] {
        ::alarm(30);
        ::raise(SIGTERM); // caught, and nothing comes of it
        if (stop->get_token().stop_requested())
            return 1;
        const auto own = tocsin::stop_on(SIGTERM);
        stop.reset(); // does not wait; what it caught is dropped: there is another subscription
        ::raise(SIGTERM);
        wait_until_stopped(own);
        return own.cause()->signo == SIGTERM && threads() == 2 ? 0 : 2;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    EXPECT_FALSE(stop->get_token().stop_requested());
    ::raise(SIGTERM);
    wait_until_stopped(*stop);
}

TEST(stop_on, refuses_what_an_inbox_refuses)
{
    const std::size_t before = threads();
    EXPECT_THROW(static_cast<void>(tocsin::stop_on(tocsin::signal_set())), std::invalid_argument);
    EXPECT_EQ(support::errno_of([] { static_cast<void>(tocsin::stop_on(SIGKILL)); }), EINVAL);
    EXPECT_THROW(static_cast<void>(tocsin::stop_on(65)), std::out_of_range);
    EXPECT_TRUE(none_but(before));
}

} // namespace
