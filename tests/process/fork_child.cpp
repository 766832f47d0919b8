// G6: a forked child starts with nothing pending and is a whole process for tocsin, from wherever it was forked.

#include <atomic>
#include <filesystem>
#include <iterator>
#include <thread>
#include <vector>

#include "fork_exec.hpp"

namespace {

using support::changed_process;
using support::count_runs;
using support::expect_parent_untouched;
using support::in_the_window;
using support::pipe_ends;
using support::runs;
using support::send_to_self;
using support::wait_for;

} // namespace

// What the child starts with.

TEST_F(G6, what_is_pending_in_the_parent_is_not_pending_in_the_child)
{
    tocsin::signal(SIGUSR1, count_runs);
    tocsin::defer_signals guard;
    tocsin::raise_signal(SIGUSR1);
    ASSERT_NE(tocsin::detail::main_pending.load(), 0U);
    const int status = support::in_child([&] {
        if (tocsin::detail::main_pending.load() != 0)
            return 1;
        guard.release();
        tocsin::check_signals();
        if (runs != 0)
            return 2;
        tocsin::raise_signal(SIGUSR1); // the record is empty too: this arrival is the only one
        return runs == 1 ? 0 : 3;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    guard.release();
    EXPECT_EQ(runs, 1);
}

TEST_F(G6, a_merged_count_of_the_parent_is_not_inherited)
{
    std::uint64_t count = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { count += e.count; });
    tocsin::defer_signals guard;
    for (int i = 0; i < 5; ++i)
        tocsin::raise_signal(SIGUSR1);
    const int status = support::in_child([&] {
        tocsin::raise_signal(SIGUSR1);
        guard.release();
        return static_cast<int>(count);
    });
    EXPECT_TRUE(support::exited_with(status, 1)) << status;
    guard.release();
    EXPECT_EQ(count, 5U);
}

TEST_F(G6, the_wakeup_fd_is_off_in_the_child)
{
    const pipe_ends wake(O_CLOEXEC | O_NONBLOCK);
    tocsin::signal(SIGUSR1, count_runs);
    tocsin::set_wakeup_fd(wake.writer());
    const int status = support::in_child([&] {
        tocsin::raise_signal(SIGUSR1);
        if (runs != 1)
            return 1;
        return tocsin::set_wakeup_fd(-1) == -1 ? 0 : 2;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    char byte = 0;
    EXPECT_EQ(::read(wake.reader(), &byte, 1), -1) << "the child's signal reached the parent's loop";
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(::read(wake.reader(), &byte, 1), 1);
    EXPECT_EQ(byte, SIGUSR1);
    EXPECT_EQ(tocsin::set_wakeup_fd(-1), wake.writer());
}

TEST_F(G6, handlers_need_no_descriptor_that_a_child_would_share)
{
    const auto count = [] {
        const std::filesystem::directory_iterator open_now("/proc/self/fd");
        return std::distance(begin(open_now), end(open_now));
    };
    const auto before = count();
    const tocsin::runtime active;
    tocsin::signal(SIGUSR1, count_runs);
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(count(), before);
}

// The child is a whole tocsin process.

TEST_F(G6, nested_forks_each_handle_their_own_signals)
{
    tocsin::signal(SIGUSR1, count_runs);
    const auto works = [] {
        const int before = runs;
        tocsin::raise_signal(SIGUSR1);
        return runs == before + 1 && tocsin::detail::main_pending.load() == 0;
    };
    const int status = support::in_child([&] {
        if (!works())
            return 1;
        const int inner = support::in_child([&] {
            if (!works())
                return 2;
            const int innermost = support::in_child([&] { return works() && runs == 3 ? 0 : 3; });
            return support::exited_with(innermost, 0) && works() && runs == 3 ? 0 : 4;
        });
        return support::exited_with(inner, 0) && works() && runs == 2 ? 0 : 5;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    expect_parent_untouched();
}

TEST_F(G6, a_window_in_a_child_of_a_child_is_guarded_too)
{
    tocsin::signal(SIGUSR1, count_runs);
    const int status = support::in_child([] {
        in_the_window = [] { send_to_self(SIGUSR1); };
        const int inner = support::in_child([] { return 0; });
        return support::died_of(inner, SIGUSR1) && runs == 0 ? 0 : 1;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}

TEST_F(G6, fork_from_another_thread_makes_it_the_main_thread)
{
    tocsin::signal(SIGUSR1, count_runs);
    const tocsin::defer_signals main_thread_only;
    int status = -1;
    std::thread([&] {
        status = support::in_child([] {
            tocsin::signal(SIGUSR2, count_runs); // throws elsewhere
            tocsin::raise_signal(SIGUSR1);
            tocsin::raise_signal(SIGUSR2);
            return runs == 2 ? 0 : 1;
        });
    }).join();
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    EXPECT_EQ(runs, 0);
}

TEST_F(G6, a_child_of_another_thread_can_have_a_runtime_of_its_own)
{
    const changed_process changed;
    int status = -1;
    std::thread([&] {
        status = support::in_child([] {
            const tocsin::runtime of_the_child; // the parent's lives on a stack that nobody here will unwind
            return 0;
        });
    }).join();
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}

TEST_F(G6, fork_from_inside_a_handler)
{
    int status = -1;
    int late = 0;
    tocsin::signal(SIGUSR1, [&] {
        // SIGUSR2 is pending in the parent, and is the parent's to handle.
        status = support::in_child([&] {
            tocsin::check_signals();
            if (late != 0)
                return 1;
            tocsin::raise_signal(SIGUSR2);
            return late == 1 ? 0 : 2;
        });
    });
    tocsin::signal(SIGUSR2, [&] { ++late; });
    {
        tocsin::defer_signals guard;
        tocsin::raise_signal(SIGUSR1);
        tocsin::raise_signal(SIGUSR2);
        guard.release();
    }
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    EXPECT_EQ(late, 1);
}

TEST_F(G6, a_child_that_returns_from_the_handler_it_was_forked_in_goes_on)
{
    pid_t pid = -1;
    int late = 0;
    tocsin::signal(SIGUSR1, [&] { pid = ::fork(); });
    tocsin::signal(SIGUSR2, [&] { ++late; });
    tocsin::defer_signals guard;
    tocsin::raise_signal(SIGUSR1);
    tocsin::raise_signal(SIGUSR2);
    guard.release(); // both processes come back here
    if (pid == 0)
        ::_exit(late == 0 ? 0 : 1);
    EXPECT_TRUE(support::exited_with(wait_for(pid), 0));
    EXPECT_EQ(late, 1);
}

TEST_F(G6, a_daemon_handles_its_signals_after_two_forks)
{
    tocsin::signal(SIGTERM, count_runs);
    const pipe_ends report;
    const int status = support::in_child([&] {
        if (::setsid() == -1)
            return 1;
        const pid_t daemon = ::fork();
        if (daemon != 0)
            return daemon > 0 ? 0 : 2;
        tocsin::signal(SIGUSR1, count_runs);
        tocsin::raise_signal(SIGTERM);
        tocsin::raise_signal(SIGUSR1);
        const char ok = runs == 2 ? 'y' : 'n';
        ::_exit(::write(report.writer(), &ok, 1) == 1 ? 0 : 1);
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    char answer = 0;
    EXPECT_EQ(tocsin::blocking::read(report.reader(), &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    EXPECT_EQ(runs, 0);
}

// Threads that are inside the trip routine at the moment of the fork exist in the parent only: a record that one of
// them was writing must not stay claimed for ever in the child.
TEST_F(G6, fork_while_other_threads_are_inside_the_trip_routine)
{
    constexpr int rounds = support::thread_sanitizer ? 20 : 200;
    tocsin::signal(SIGUSR1, count_runs);
    std::atomic<bool> stop{false};
    std::atomic<int> flooding{0};
    std::vector<std::thread> flood;
    for (int i = 0; i < 3; ++i) {
        flood.emplace_back([&] {
            const auto pid = static_cast<pid_t>(::getpid());
            const auto tid = ::syscall(SYS_gettid);
            for (++flooding; !stop;)
                ::syscall(SYS_tgkill, pid, tid, SIGUSR1);
        });
    }
    while (flooding != 3)
        ::sched_yield();
    int failed = 0;
    for (int i = 0; i < rounds && failed == 0; ++i) {
        const int status = support::in_child([] {
            ::alarm(60); // ends a child that hangs
            runs = 0;
            int other = 0;
            tocsin::signal(SIGUSR2, [&] { ++other; });
            tocsin::raise_signal(SIGUSR1);
            tocsin::raise_signal(SIGUSR2);
            return runs == 1 && other == 1 ? 0 : 1;
        });
        if (!support::exited_with(status, 0)) {
            ADD_FAILURE() << "round " << i << ": wait status " << status;
            ++failed;
        }
        tocsin::check_signals();
    }
    stop = true;
    for (std::thread& each : flood)
        each.join();
    tocsin::check_signals(); // the last of the flood
    EXPECT_GT(runs, 0);
}
