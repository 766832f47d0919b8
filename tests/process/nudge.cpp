// The signal that tocsin keeps for itself.

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <tocsin/tocsin.hpp>

#include <atomic>
#include <thread>
#include <utility>

#include "dispositions.hpp"

namespace {

void nothing(int) {}

} // namespace

TEST(nudge, is_taken_with_the_first_handler)
{
    EXPECT_EQ(tocsin::nudge_signal(), std::nullopt);
    tocsin::signal(SIGUSR1, SIG_IGN);
    EXPECT_EQ(tocsin::nudge_signal(), std::nullopt);
    tocsin::signal(SIGUSR1, nothing);
    EXPECT_EQ(tocsin::nudge_signal(), tocsin::signum(SIGURG));
    EXPECT_TRUE(tocsin::getsignal(SIGURG) == tocsin::default_action);
}

TEST(nudge, leaves_alone_a_signal_that_is_in_use)
{
    ::signal(SIGURG, SIG_IGN);
    ::signal(SIGSTKFLT, nothing);
    ::signal(SIGRTMAX, nothing);
    tocsin::signal(SIGUSR1, nothing);
    EXPECT_EQ(tocsin::nudge_signal(), tocsin::signum(SIGRTMAX - 1));
    EXPECT_TRUE(tocsin::getsignal(SIGSTKFLT).is_foreign());
}

TEST(nudge, gives_way_to_a_handler_of_the_program)
{
    tocsin::signal(SIGUSR1, nothing);
    int got = 0;
    EXPECT_TRUE(tocsin::signal(SIGURG, [&] { ++got; }) == tocsin::default_action);
    EXPECT_EQ(tocsin::nudge_signal(), tocsin::signum(SIGSTKFLT));
    tocsin::raise_signal(SIGURG);
    EXPECT_EQ(got, 1);
}

TEST(nudge, can_be_chosen_before_the_first_handler_only)
{
    for (const int sig : {SIGKILL, SIGSTOP, SIGSEGV, 32}) {
        const std::string text = support::message_of<std::invalid_argument>([&] { tocsin::set_nudge_signal(sig); });
        EXPECT_NE(text.find(tocsin::signum(sig).name()), std::string::npos) << text;
    }
    EXPECT_THROW(tocsin::set_nudge_signal(65), std::out_of_range);
    tocsin::set_nudge_signal(SIGRTMIN + 5);
    tocsin::signal(SIGUSR1, nothing);
    EXPECT_EQ(tocsin::nudge_signal(), tocsin::signum(SIGRTMIN + 5));
    EXPECT_NE(support::message_of<std::logic_error>([] { tocsin::set_nudge_signal(SIGRTMIN + 6); }).find("SIGRTMIN+6"),
              std::string::npos);
    std::thread([] { EXPECT_THROW(tocsin::set_nudge_signal(SIGRTMIN), tocsin::thread_error); }).join();
}

TEST(nudge, stays_open_in_a_thread_that_blocks_everything)
{
    tocsin::signal(SIGUSR1, nothing);
    tocsin::pthread_sigmask(SIG_BLOCK, tocsin::valid_signals());
    sigset_t now;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
    EXPECT_EQ(::sigismember(&now, SIGURG), 0);
    EXPECT_EQ(::sigismember(&now, SIGUSR1), 1);
}

TEST(G3, a_signal_that_another_thread_takes_ends_a_wait_of_the_main_thread_that_blocks_it)
{
    int runs = 0;
    tocsin::signal(SIGUSR1, [&] { ++runs; });
    std::atomic<bool> ready{false};
    std::thread([&] {
        ::usleep(0); // ThreadSanitizer: see first_wait.cpp
        ready = true;
        for (;;)
            ::pause();
    }).detach();
    while (!ready)
        ::sched_yield();
    const tocsin::mask_guard blocked({SIGUSR1}); // so that the kernel has to give it to the other thread
    ::kill(::getpid(), SIGUSR1);
    tocsin::pause();
    EXPECT_EQ(runs, 1);
}

TEST(G3, a_nudge_is_not_lost_when_the_queue_of_signals_is_full)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer keeps the nudge back until the call has ended";
    std::atomic<bool> ready{false};
    std::thread([&] {
        ready = true;
        for (;;)
            ::pause();
    }).detach();
    while (!ready)
        ::sched_yield();
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    tocsin::signal(SIGUSR1, [&] { EXPECT_EQ(::write(fds[1], "h", 1), 1); });
    const tocsin::mask_guard blocked({SIGUSR1});
    const rlimit none{0, 0};
    ASSERT_EQ(::setrlimit(RLIMIT_SIGPENDING, &none), 0);
    for (int round = 0; round < 200; ++round) {
        char byte = 0;
        ::kill(::getpid(), SIGUSR1);
        EXPECT_EQ(tocsin::blocking::read(fds[0], &byte, 1), 1);
    }
}

TEST(nudge, is_opened_in_a_thread_that_blocked_everything_before)
{
    tocsin::pthread_sigmask(SIG_BLOCK, tocsin::valid_signals());
    tocsin::signal(SIGUSR1, nothing);
    sigset_t now;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
    EXPECT_EQ(::sigismember(&now, SIGURG), 0);
    tocsin::signal(SIGURG, nothing); // another takes its place
    ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
    EXPECT_EQ(::sigismember(&now, int{*tocsin::nudge_signal()}), 0);
}

TEST(G15, a_call_kept_out_of_the_kernel_has_done_nothing)
{
    // A handler that raises its own signal leaves it pending behind the look of the call.
    bool again = true;
    tocsin::signal(SIGUSR1, [&] {
        if (std::exchange(again, false))
            ::raise(SIGUSR1);
        else
            throw 1;
    });
    const timespec request{100, 0};
    timespec remaining{};
    ::raise(SIGUSR1);
    EXPECT_THROW(tocsin::blocking::nanosleep(&request, &remaining), int);
    EXPECT_GE(remaining.tv_sec, 99);
    tocsin::signal(SIGUSR1, SIG_DFL);
    const sockaddr_un nobody{AF_UNIX, {}}; // an emulator may look at it before it looks at the descriptor
    EXPECT_EQ(support::errno_of(
                  [&] { tocsin::blocking::connect(-1, reinterpret_cast<const sockaddr*>(&nobody), sizeof nobody); }),
              EBADF);
}

TEST(G12, a_postponed_signal_meets_the_foreign_handler_put_back_meanwhile)
{
    static volatile std::sig_atomic_t foreign = 0;
    ::signal(SIGUSR1, [](int) { foreign = foreign + 1; });
    int ours = 0;
    const auto before = tocsin::signal(SIGUSR1, [&] { ++ours; });
    tocsin::defer_signals guard;
    ::raise(SIGUSR1);
    tocsin::signal(SIGUSR1, before);
    guard.release();
    EXPECT_EQ(ours, 0);
    EXPECT_TRUE(support::eventually([&] { return foreign == 1; })); // ThreadSanitizer delivers late
}
