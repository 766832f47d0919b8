// pthread_sigmask, mask_guard, sigpending.

#include <tocsin/tocsin.hpp>

#include <thread>

#include "storm.hpp"

using support::errno_of;
using support::message_of;
using tocsin::sigmask;
using tocsin::signal_set;

namespace {

signal_set mask_now() { return tocsin::pthread_sigmask(sigmask::block, {}); }

TEST(pthread_sigmask, returns_the_old_mask_and_sets_the_new_one)
{
    const signal_set start = mask_now();
    EXPECT_EQ(tocsin::pthread_sigmask(sigmask::block, {SIGUSR1, SIGUSR2}), start);
    EXPECT_EQ(tocsin::pthread_sigmask(sigmask::unblock, {SIGUSR1}), start | signal_set({SIGUSR1, SIGUSR2}));
    EXPECT_EQ(tocsin::pthread_sigmask(sigmask::set_mask, {SIGTERM, SIGRTMIN}), start | signal_set{SIGUSR2});
    EXPECT_EQ(tocsin::pthread_sigmask(sigmask::set_mask, start), signal_set({SIGTERM, SIGRTMIN}));
    EXPECT_EQ(mask_now(), start);
}

TEST(pthread_sigmask, takes_the_macros_too)
{
    const signal_set start = mask_now();
    EXPECT_EQ(tocsin::pthread_sigmask(SIG_BLOCK, {SIGUSR1}), start);
    EXPECT_EQ(tocsin::pthread_sigmask(SIG_UNBLOCK, {SIGUSR1}), start | signal_set{SIGUSR1});
    EXPECT_EQ(tocsin::pthread_sigmask(SIG_SETMASK, {SIGUSR2}), start);
    EXPECT_EQ(tocsin::pthread_sigmask(SIG_SETMASK, start), signal_set{SIGUSR2});
}

TEST(pthread_sigmask, blocks_every_valid_signal_but_kill_and_stop)
{
    SKIP_WITHOUT_SIGRTMAX();
    const signal_set start = tocsin::pthread_sigmask(sigmask::block, tocsin::valid_signals());
    EXPECT_EQ(mask_now(), tocsin::valid_signals() - signal_set({SIGKILL, SIGSTOP}));
    tocsin::pthread_sigmask(sigmask::set_mask, start);
    EXPECT_EQ(mask_now(), start);
}

TEST(pthread_sigmask, refuses_an_unknown_how_by_value_and_changes_nothing)
{
    const signal_set start = mask_now();
    for (const int how : {99, -1, 3}) {
        EXPECT_EQ(errno_of([&] { tocsin::pthread_sigmask(how, {SIGUSR1}); }), EINVAL);
        const auto text = message_of<std::system_error>([&] { tocsin::pthread_sigmask(how, {SIGUSR1}); });
        EXPECT_NE(text.find(std::to_string(how)), std::string::npos) << text;
        EXPECT_NE(text.find("pthread_sigmask"), std::string::npos) << text;
    }
    EXPECT_EQ(errno_of([] { tocsin::pthread_sigmask(static_cast<sigmask>(99), {SIGUSR1}); }), EINVAL);
    EXPECT_EQ(mask_now(), start);
}

TEST(pthread_sigmask, a_set_takes_no_number_out_of_range)
{
    for (const int sig : {0, 65, -1, 1 << 30}) {
        const auto text = message_of<std::out_of_range>([&] { tocsin::pthread_sigmask(SIG_BLOCK, {sig}); });
        EXPECT_NE(text.find(std::to_string(sig)), std::string::npos) << text;
    }
}

TEST(pthread_sigmask, refuses_the_signals_of_the_c_library)
{
    const signal_set start = mask_now();
    for (const int sig : {32, 33}) {
        const auto text = message_of<std::invalid_argument>([&] {
            tocsin::pthread_sigmask(SIG_BLOCK, {SIGUSR1, sig});
        });
        EXPECT_NE(text.find(std::to_string(sig)), std::string::npos) << text;
        EXPECT_THROW(tocsin::mask_guard guard({sig}), std::invalid_argument);
    }
    EXPECT_EQ(mask_now(), start);
}

TEST(pthread_sigmask, a_pending_handler_runs_inside_unblock_and_sees_the_new_mask)
{
    int calls = 0;
    signal_set seen = tocsin::valid_signals();
    std::uint_least32_t line = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) {
        ++calls;
        seen = mask_now();
        line = e.where.line();
    });
    tocsin::pthread_sigmask(sigmask::block, {SIGUSR1});
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(calls, 0);
    const auto expected = static_cast<std::uint_least32_t>(__LINE__ + 1);
    const auto old = tocsin::pthread_sigmask(sigmask::unblock, {SIGUSR1});
    EXPECT_TRUE(support::eventually([&] { // ThreadSanitizer delivers late
        tocsin::check_signals();
        return calls == 1;
    }));
    if constexpr (!support::thread_sanitizer) {
        EXPECT_EQ(line, expected);
    }
    EXPECT_TRUE(old.contains(SIGUSR1));
    EXPECT_FALSE(seen.contains(SIGUSR1));
}

TEST(pthread_sigmask, what_the_handler_throws_comes_out_though_the_mask_has_changed)
{
    tocsin::signal(SIGUSR1, [] { throw support::stop(); });
    tocsin::pthread_sigmask(sigmask::block, {SIGUSR1, SIGUSR2});
    tocsin::raise_signal(SIGUSR1);
    const auto unblock = [] {
        tocsin::pthread_sigmask(sigmask::unblock, {SIGUSR1});
        tocsin::check_signals(); // for ThreadSanitizer
    };
    EXPECT_THROW(unblock(), support::stop);
    EXPECT_FALSE(mask_now().contains(SIGUSR1));
    EXPECT_TRUE(mask_now().contains(SIGUSR2));
}

TEST(pthread_sigmask, a_handler_that_was_due_runs_also_when_the_mask_blocks_its_signal)
{
    int calls = 0;
    support::make_due(SIGUSR1, [&] { ++calls; });
    tocsin::pthread_sigmask(sigmask::block, {SIGUSR1});
    EXPECT_EQ(calls, 1);
}

TEST(pthread_sigmask, on_another_thread_changes_that_thread_only_and_runs_no_handler)
{
    int calls = 0;
    support::make_due(SIGUSR1, [&] { ++calls; });
    signal_set other;
    std::thread([&] {
        tocsin::pthread_sigmask(sigmask::block, {SIGUSR2});
        other = mask_now();
    }).join();
    EXPECT_TRUE(other.contains(SIGUSR2));
    EXPECT_EQ(calls, 0);
    EXPECT_FALSE(mask_now().contains(SIGUSR2));
    EXPECT_EQ(calls, 1);
}

TEST(mask_guard, puts_back_the_mask_it_found)
{
    tocsin::pthread_sigmask(sigmask::set_mask, {SIGUSR1});
    {
        const tocsin::mask_guard guard({SIGUSR1, SIGUSR2});
        EXPECT_EQ(guard.previous(), signal_set{SIGUSR1});
        EXPECT_EQ(mask_now(), signal_set({SIGUSR1, SIGUSR2}));
        {
            const tocsin::mask_guard open(sigmask::set_mask, {});
            EXPECT_EQ(mask_now(), signal_set{});
        }
        EXPECT_EQ(mask_now(), signal_set({SIGUSR1, SIGUSR2}));
        const tocsin::mask_guard some(sigmask::unblock, {SIGUSR1});
        EXPECT_EQ(mask_now(), signal_set{SIGUSR2});
    }
    // SIGUSR1 was blocked before, so it still is.
    EXPECT_EQ(mask_now(), signal_set{SIGUSR1});
}

TEST(mask_guard, refuses_an_unknown_how)
{
    EXPECT_EQ(errno_of([] { const tocsin::mask_guard guard(static_cast<sigmask>(99), {SIGUSR1}); }), EINVAL);
}

TEST(mask_guard, its_end_lets_the_signal_in_but_runs_no_handler)
{
    int calls = 0;
    tocsin::signal(SIGUSR1, [&] {
        ++calls;
        throw support::stop();
    });
    {
        const tocsin::mask_guard guard({SIGUSR1});
        tocsin::raise_signal(SIGUSR1);
        EXPECT_EQ(calls, 0);
        EXPECT_TRUE(tocsin::sigpending().contains(SIGUSR1));
    }
    EXPECT_EQ(calls, 0);
    EXPECT_THROW(tocsin::check_signals(), support::stop);
    EXPECT_FALSE(tocsin::sigpending().contains(SIGUSR1));
}

TEST(mask_guard, restores_while_an_exception_passes)
{
    const signal_set start = mask_now();
    try {
        const tocsin::mask_guard guard({SIGUSR1});
        throw support::stop();
    } catch (const support::stop&) {
        EXPECT_EQ(mask_now(), start);
    }
}

TEST(sigpending, names_what_waits_for_this_thread_and_for_the_process)
{
    const tocsin::mask_guard guard({SIGUSR1, SIGUSR2, SIGRTMIN + 1});
    EXPECT_EQ(tocsin::sigpending(), signal_set{});
    tocsin::raise_signal(SIGUSR1);
    ASSERT_EQ(::kill(::getpid(), SIGUSR2), 0);
    EXPECT_EQ(tocsin::sigpending(), signal_set({SIGUSR1, SIGUSR2}));
    tocsin::raise_signal(SIGRTMIN + 1);
    EXPECT_EQ(tocsin::sigpending(), signal_set({SIGUSR1, SIGUSR2, SIGRTMIN + 1}));
    std::thread([] {
        const tocsin::mask_guard mine({SIGUSR1, SIGUSR2});
        EXPECT_EQ(tocsin::sigpending(), signal_set{SIGUSR2}); // the process's only
    }).join();
    for (const int sig : {SIGUSR1, SIGUSR2, SIGRTMIN + 1})
        EXPECT_EQ(tocsin::sigwait({sig}), sig);
    EXPECT_EQ(tocsin::sigpending(), signal_set{});
}

} // namespace
