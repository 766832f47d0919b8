// G6: a signal in a child that does not own the state (before it has renewed it, or made behind the C library's back,
// or sharing the memory) ends that child and never reaches the parent's handlers.

#include <sched.h>

#include <array>
#include <atomic>
#include <thread>

#include "fork_exec.hpp"

namespace {

using support::count_runs;
using support::expect_parent_untouched;
using support::in_the_window;
using support::pipe_ends;
using support::raw_clone;
using support::runs;
using support::send_to_self;
using support::wait_for;

// Runs `function` in a child that shares this process's memory, on a stack of its own. Returns its wait status.
int in_clone(int (*function)(void*), int flags)
{
    alignas(16) static std::array<char, 256 * 1024> stack;
    const pid_t pid = ::clone(function, stack.data() + stack.size(), flags | SIGCHLD, nullptr);
    EXPECT_GT(pid, 0);
    return wait_for(pid);
}

} // namespace

// The owner check.

TEST_F(G6, a_signal_between_fork_and_renewal_ends_the_child_only)
{
    tocsin::signal(SIGUSR1, count_runs);
    in_the_window = [] { send_to_self(SIGUSR1); };
    const int status = support::in_child([] { return 0; });
    in_the_window = nullptr;
    EXPECT_TRUE(support::died_of(status, SIGUSR1)) << status;
    expect_parent_untouched();
}

TEST_F(G6, a_blocked_signal_of_the_window_is_handled_by_the_renewed_child)
{
    tocsin::signal(SIGUSR1, count_runs);
    const tocsin::mask_guard block({SIGUSR1});
    in_the_window = [] { send_to_self(SIGUSR1); };
    const int status = support::in_child([] {
        tocsin::pthread_sigmask(tocsin::sigmask::unblock, {SIGUSR1});
        const bool handled = support::eventually([] {
            tocsin::check_signals();
            return runs == 1;
        });
        return handled ? 0 : 1;
    });
    in_the_window = nullptr;
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    EXPECT_EQ(runs, 0);
}

TEST_F(G6, a_signal_in_the_window_keeps_a_default_of_ignore)
{
    tocsin::signal(SIGWINCH, count_runs);
    in_the_window = [] { send_to_self(SIGWINCH); };
    const int status = support::in_child([] { return 0; });
    in_the_window = nullptr;
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    expect_parent_untouched(SIGWINCH);
}

TEST_F(G6, a_child_of_the_system_call_clone_is_foreign)
{
    tocsin::signal(SIGUSR1, count_runs);
    const pid_t pid = raw_clone(0);
    if (pid == 0) {
        send_to_self(SIGUSR1);
        ::_exit(0);
    }
    EXPECT_TRUE(support::died_of(wait_for(pid), SIGUSR1));
    expect_parent_untouched();
}

TEST_F(G6, a_child_of_underscore_fork_is_foreign)
{
    tocsin::signal(SIGUSR1, count_runs);
    const pid_t pid = ::_Fork();
    if (pid == 0) {
        send_to_self(SIGUSR1);
        ::_exit(0);
    }
    EXPECT_TRUE(support::died_of(wait_for(pid), SIGUSR1));
    expect_parent_untouched();
}

TEST_F(G6, a_foreign_child_writes_nothing_to_the_parents_wakeup_fd)
{
    const pipe_ends wake(O_CLOEXEC | O_NONBLOCK);
    tocsin::signal(SIGUSR1, count_runs);
    tocsin::set_wakeup_fd(wake.writer());
    const pid_t pid = raw_clone(0);
    if (pid == 0) {
        send_to_self(SIGUSR1);
        ::_exit(0);
    }
    EXPECT_TRUE(support::died_of(wait_for(pid), SIGUSR1));
    char byte = 0;
    EXPECT_EQ(::read(wake.reader(), &byte, 1), -1);
    EXPECT_EQ(errno, EAGAIN);
    tocsin::set_wakeup_fd(-1);
}

// Memory that is shared.

TEST_F(G6, a_signal_in_a_child_of_vfork_leaves_the_parent_alone)
{
    SKIP_WHERE_VFORK_IS_FORK();
    tocsin::signal(SIGUSR1, count_runs);
    const pid_t pid = ::vfork();
    if (pid == 0) {
        send_to_self(SIGUSR1);
        ::_exit(0);
    }
    EXPECT_TRUE(support::died_of(wait_for(pid), SIGUSR1));
    expect_parent_untouched();
}

TEST_F(G6, a_signal_from_the_parents_thread_in_a_child_of_vfork_leaves_the_parent_alone)
{
    SKIP_WHERE_VFORK_IS_FORK();
    tocsin::signal(SIGUSR1, count_runs);
    std::atomic<pid_t> child{0};
    std::thread killer([&] {
        tocsin::signal_set all = tocsin::valid_signals();
        const tocsin::mask_guard block{all};
        while (child == 0)
            ::sched_yield();
        ::kill(child, SIGUSR1);
    });
    const pid_t pid = ::vfork();
    if (pid == 0) {
        child.store(static_cast<pid_t>(::syscall(SYS_getpid))); // memory is shared: the thread sees it
        for (;;)
            ::syscall(SYS_sched_yield);
    }
    killer.join();
    EXPECT_TRUE(support::died_of(wait_for(pid), SIGUSR1));
    expect_parent_untouched();
}

TEST_F(G6, a_signal_in_a_child_of_clone_vm_leaves_the_parent_alone)
{
    SKIP_WHERE_VFORK_IS_FORK();
    tocsin::signal(SIGUSR1, count_runs);
    const int status = in_clone(
        [](void*) {
            send_to_self(SIGUSR1);
            return 0;
        },
        CLONE_VM);
    EXPECT_TRUE(support::died_of(status, SIGUSR1)) << status;
    expect_parent_untouched();
}

// The documented limit: who shares the dispositions shares the change of them too. The state stays the parent's.
TEST_F(G6, a_signal_in_a_child_of_clone_sighand_resets_the_shared_disposition)
{
    SKIP_WHERE_VFORK_IS_FORK();
    tocsin::signal(SIGUSR1, count_runs);
    const int status = in_clone(
        [](void*) {
            send_to_self(SIGUSR1);
            return 0;
        },
        CLONE_VM | CLONE_SIGHAND);
    EXPECT_TRUE(support::died_of(status, SIGUSR1)) << status;
    EXPECT_EQ(tocsin::detail::main_pending.load(), 0U);
    EXPECT_EQ(tocsin::getsignal(SIGUSR1), tocsin::default_action);
    tocsin::signal(SIGUSR1, count_runs);
    expect_parent_untouched();
}

// Process 1 of a pid namespace whose parent is process 1 of another: the ids are equal, only the wiped word differs.
TEST_F(G6, a_child_with_the_same_process_id_is_foreign)
{
    const int status = support::in_child([] {
        if (::unshare(CLONE_NEWPID) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
            return 77;
        const int outer = support::in_child([] {
            if (::getpid() != 1)
                return 1;
            tocsin::signal(SIGUSR1, count_runs);
            const pid_t pid = raw_clone(CLONE_NEWPID);
            if (pid == -1)
                return 77;
            if (pid == 0) {
                // The kernel drops what would kill process 1, so it lives on: nothing must have been recorded.
                const bool same_id = ::syscall(SYS_getpid) == 1;
                send_to_self(SIGUSR1);
                ::_exit(same_id && tocsin::detail::main_pending.load() == 0 ? 0 : 2);
            }
            const int inner = wait_for(pid);
            return WIFEXITED(inner) ? WEXITSTATUS(inner) : 3;
        });
        return WIFEXITED(outer) ? WEXITSTATUS(outer) : 4;
    });
    if (support::exited_with(status, 77))
        GTEST_SKIP() << "no right to make a pid namespace";
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}

// Every signal of a storm of children is either handled in the parent or ends its child: none is both, none neither.
TEST_F(G6, children_of_vfork_under_a_storm_end_of_their_own_signals)
{
    SKIP_WHERE_VFORK_IS_FORK();
    std::uint64_t handled = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { handled += e.count; });
    std::uint64_t sent = 0;
    for (int i = 0; i < 200; ++i) {
        const bool own = i % 2 == 0;
        const pid_t pid = ::vfork();
        if (pid == 0) {
            if (own)
                send_to_self(SIGUSR1);
            ::_exit(0);
        }
        tocsin::raise_signal(SIGUSR1);
        ++sent;
        const int status = wait_for(pid);
        ASSERT_TRUE(own ? support::died_of(status, SIGUSR1) : support::exited_with(status, 0)) << status;
    }
    EXPECT_EQ(handled, sent);
}
