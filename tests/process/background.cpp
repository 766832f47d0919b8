// The consumer thread: what runs there, how it ends, and what a forked child has of it.

#include <tocsin/tocsin.hpp>

#include <pthread.h>
#include <sys/syscall.h>

#include <array>
#include <atomic>
#include <csignal>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
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

TEST(background, a_callback_runs_in_a_thread_of_its_own_while_main_does_something_else)
{
    tocsin::background consumer;
    std::binary_semaphore ran(0);
    std::thread::id where;
    tocsin::event seen;
    const auto subscribed = consumer.on(SIGUSR1, [&](const tocsin::event& e) {
        where = std::this_thread::get_id();
        seen = e;
        ran.release();
    });
    ::kill(::getpid(), SIGUSR1);
    ran.acquire(); // no safe point
    EXPECT_NE(where, std::this_thread::get_id());
    EXPECT_EQ(seen.signo, SIGUSR1);
    EXPECT_EQ(seen.info.pid(), ::getpid());
}

TEST(background, its_thread_blocks_all_signals_but_faults_and_has_a_name)
{
    SKIP_WITHOUT_SIGRTMAX();
    tocsin::background consumer;
    std::binary_semaphore ran(0);
    tocsin::signal_set blocked;
    std::array<char, 16> name{};
    const auto subscribed = consumer.on(tocsin::signal_set{SIGUSR1, SIGUSR2}, [&](int) {
        sigset_t mask;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        blocked = tocsin::signal_set(mask);
        ::pthread_getname_np(::pthread_self(), name.data(), name.size());
        ran.release();
    });
    sigset_t before;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
    EXPECT_TRUE(tocsin::signal_set(before).empty()); // the maker's mask is as it was
    ::raise(SIGUSR2);
    ran.acquire();
    const tocsin::signal_set open{SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    EXPECT_EQ(blocked, tocsin::valid_signals() - open);
    EXPECT_STREQ(name.data(), "tocsin");
}

TEST(background, the_destructor_waits_for_the_callback_and_leaves_nothing_behind)
{
    const std::size_t before = threads();
    for (int n = 0; n < 50; ++n) {
        std::atomic<int> state = 0;
        {
            tocsin::background consumer;
            const auto subscribed = consumer.on(SIGUSR1, [&] {
                state = 1;
                std::this_thread::yield();
                state = 2;
            });
            ::raise(SIGUSR1);
            ASSERT_TRUE(eventually([&] { return state != 0; }));
        }
        EXPECT_EQ(state, 2);
    }
    EXPECT_TRUE(none_but(before)) << threads();
    EXPECT_FALSE(is_caught(SIGUSR1));
}

TEST(background, subscriptions_come_and_go_on_any_thread_while_it_works)
{
    tocsin::background consumer;
    std::atomic<int> ran = 0;
    const auto always = consumer.on(SIGUSR1, [&] { ++ran; }, {.pending = tocsin::at_cancel::drop});
    std::vector<std::jthread> users;
    for (int user = 0; user < 4; ++user) {
        users.emplace_back([&] {
            for (int n = 0; n < 200; ++n) {
                std::atomic<bool> gone = false;
                auto mine = consumer.on(SIGUSR1, [&] { EXPECT_FALSE(gone); }, {.pending = tocsin::at_cancel::drop});
                ::raise(SIGUSR1);
                mine.cancel();
                gone = true;
            }
        });
    }
    users.clear();
    const int so_far = ran;
    ::raise(SIGUSR1);
    EXPECT_TRUE(eventually([&] { return ran > so_far; }));
}

TEST(background, destroyed_in_its_own_callback_it_ends_when_the_callback_returns)
{
    const std::size_t before = threads();
    std::optional<tocsin::background> consumer(std::in_place);
    std::atomic<int> first = 0;
    std::atomic<int> second = 0;
    const auto one = consumer->on(SIGUSR1,
                                  [&] {
                                      consumer.reset(); // does not wait for itself
                                      ++first;
                                  },
                                  {.pending = tocsin::at_cancel::drop});
    const auto two = consumer->on(SIGUSR1, [&] { ++second; }, {.pending = tocsin::at_cancel::drop});
    ::raise(SIGUSR1);
    EXPECT_TRUE(eventually([&] { return first == 1; }));
    EXPECT_TRUE(none_but(before)) << threads();
    EXPECT_EQ(second, 0);
    EXPECT_FALSE(one.active());
    EXPECT_FALSE(is_caught(SIGUSR1));
}

TEST(background, a_callback_that_throws_ends_the_program)
{
    EXPECT_EXIT(
        {
            std::set_terminate([] { ::_exit(42); });
            tocsin::background consumer;
            const auto subscribed = consumer.on(SIGUSR1, [] { throw std::runtime_error("from a callback"); });
            ::raise(SIGUSR1);
            for (;;)
                ::pause();
        },
        testing::ExitedWithCode(42), "");
}

TEST(background, G6_in_a_forked_child_it_is_destroyed_without_waiting_and_a_new_one_works)
{
    SKIP_WITHOUT_THREADS_IN_A_CHILD();
    std::optional<tocsin::background> consumer(std::in_place);
    std::atomic<int> ran = 0;
    auto subscribed = consumer->on(SIGUSR1, [&] { ++ran; });
    const int status = in_child([&] {
        ::alarm(30); // what would hang dies of it
        ::raise(SIGUSR1);
        consumer.reset(); // what it has caught goes to the default action, as at_cancel says
        return 0;
    });
    EXPECT_TRUE(died_of(status, SIGUSR1)) << status;
    if (support::thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer lets no forked child start a thread";
    const int clean = in_child([&] {
        ::alarm(30);
        consumer.reset();
        if (subscribed.active() || is_caught(SIGUSR1))
            return 1;
        tocsin::background own;
        std::binary_semaphore done(0);
        const auto mine = own.on(SIGUSR1, [&] { done.release(); });
        ::raise(SIGUSR1);
        done.acquire();
        return ran == 0 && threads() == 2 ? 0 : 2;
    });
    EXPECT_TRUE(exited_with(clean, 0)) << clean;
    ::raise(SIGUSR1); // the parent's goes on
    EXPECT_TRUE(eventually([&] { return ran == 1; }));
}

TEST(background, G6_a_child_forked_while_a_callback_runs_destroys_it_too)
{
    std::optional<tocsin::background> consumer(std::in_place);
    std::binary_semaphore inside(0), go_on(0);
    const auto subscribed = consumer->on(SIGUSR1, [&] {
        inside.release();
        go_on.acquire();
    });
    ::raise(SIGUSR1);
    inside.acquire();
    const int status = in_child([&] {
        ::alarm(30);
        consumer.reset();
        return 0;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    go_on.release();
}

} // namespace
