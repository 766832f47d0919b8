// G2 and G3: a signal that arrives at any instruction of an interruptible call, on the calling thread or on another one,
// interrupts it, and its handler runs exactly once. A debugger (ptrace) stops the call after every number of
// instructions in turn and sends the signal there.

#include <fcntl.h>
#include <sys/syscall.h>

#include <tocsin/tocsin.hpp>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "traced.hpp"

namespace {

using namespace std::chrono_literals;

constexpr auto stall_limit = 10s;

// What the traced child does: a blocking read that only the handler's byte ends, or one that finds data.
enum class call { blocks, completes };
// Which thread the kernel is asked to interrupt.
enum class receiver { caller, other_thread };

std::atomic<int> other_tid{0};

// In the child. Stops itself (SIGSTOP) just before the call. Exit status 0: the handler ran once and the data is whole.
int traced_child(call kind, receiver to, int other_tid_fd)
{
    int fds[2];
    if (::pipe(fds) != 0)
        return 10;
    int runs = 0;
    tocsin::signal(SIGUSR1, [&] {
        ++runs;
        if (kind == call::blocks && ::write(fds[1], "h", 1) != 1)
            ::_exit(11);
    });
    if (kind == call::completes && ::write(fds[1], "d", 1) != 1)
        return 12;
    std::thread other;
    if (to == receiver::other_thread) {
        other = std::thread([] {
            other_tid = static_cast<int>(::syscall(SYS_gettid));
            for (;;)
                ::pause();
        });
        while (other_tid == 0)
            ::sched_yield();
        other.detach();
    }
    const int tid = to == receiver::other_thread ? other_tid.load() : ::getpid();
    if (::write(other_tid_fd, &tid, sizeof tid) != sizeof tid)
        return 13;
    char byte = 0;
    ::syscall(SYS_tgkill, ::getpid(), ::getpid(), SIGSTOP); // few instructions back to here
    const ssize_t got = tocsin::blocking::read(fds[0], &byte, 1);
    // The parent lets the child reach this point only after it has sent the signal. On another thread it may still be on its way.
    if (kind == call::completes && !support::eventually([&] {
            tocsin::check_signals();
            return runs > 0;
        }))
        return 14;
    if (got != 1 || byte != (kind == call::blocks ? 'h' : 'd'))
        return 15;
    return runs == 1 ? 0 : 16;
}

// Waits for the next stop or the end of `pid`; false if neither comes while it sleeps in the kernel.
bool next_stop(pid_t pid, int& status, std::chrono::milliseconds limit)
{
    return support::eventually([&] { return ::waitpid(pid, &status, WNOHANG | __WALL) == pid; }, limit);
}

// The child's main thread, which is stopped, has been sent its nudge by the thread that took the signal.
bool nudged(pid_t pid)
{
    std::ifstream status("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/status");
    std::string word;
    while (status >> word && word != "SigPnd:") {
    }
    unsigned long long pending = 0;
    status >> std::hex >> pending;
    return (pending >> (SIGURG - 1) & 1) != 0;
}

struct outcome {
    bool in_kernel = false; // the signal was sent when the call already slept
    int status = 0;         // wait status of the child; -1 when it stalled, or was not nudged
};

// Runs the child for `steps` instructions after its SIGSTOP, sends the signal there, and lets it go on.
outcome inject_after(int steps, call kind, receiver to)
{
    outcome result;
    int tid_pipe[2];
    EXPECT_EQ(::pipe(tid_pipe), 0);
    const pid_t pid = ::fork();
    const auto stalled = [&, pid] {
        int status = 0;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, &status, __WALL);
        result.status = -1;
        return result;
    };
    if (pid == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::_exit(traced_child(kind, to, tid_pipe[1]));
    }
    int status = 0;
    support::run_until_it_stops(pid, status);
    int tid = 0;
    EXPECT_EQ(::read(tid_pipe[0], &tid, sizeof tid), static_cast<ssize_t>(sizeof tid));
    ::close(tid_pipe[0]);
    ::close(tid_pipe[1]);
    for (int step = 0; step < steps; ++step) {
        ::ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr);
        if (!support::stops_awake(pid, status)) {
            result.in_kernel = true;
            break;
        }
        if (!WIFSTOPPED(status)) {
            result.status = status;
            return result;
        }
    }
    ::syscall(SYS_tgkill, pid, tid, SIGUSR1);
    if (!result.in_kernel) {
        if (to == receiver::other_thread && !support::eventually([&] { return nudged(pid); }, stall_limit))
            return stalled();
        ::ptrace(PTRACE_CONT, pid, nullptr, nullptr);
    }
    for (;;) {
        if (!next_stop(pid, status, stall_limit))
            return stalled();
        if (!WIFSTOPPED(status)) {
            result.status = status;
            return result;
        }
        const int sig = WSTOPSIG(status);
        ::ptrace(PTRACE_CONT, pid, nullptr, sig == SIGTRAP ? 0 : sig);
    }
}

// Every instruction from the stop until the call sleeps (or, if it completes, until it has long returned).
void at_every_instruction(call kind, receiver to)
{
    SKIP_IF_EMULATED("no ptrace");
    int steps = 0;
    constexpr int most = 3000;
    for (; steps < most; ++steps) {
        const outcome seen = inject_after(steps, kind, to);
        ASSERT_NE(seen.status, -1) << "signal after " << steps << " instructions slept through, or not told of";
        ASSERT_TRUE(support::exited_with(seen.status, 0))
            << "after " << steps << " instructions: wait status " << seen.status;
        if (seen.in_kernel || (kind == call::completes && steps >= 300))
            break;
    }
    EXPECT_LT(steps, most);
    EXPECT_GT(steps, 20);
    std::printf("signal sent at each of %d instructions\n", steps + 1);
}

} // namespace

TEST(G2, a_signal_at_any_instruction_interrupts_a_blocking_call)
{
    at_every_instruction(call::blocks, receiver::caller);
}

TEST(G2, a_signal_at_any_instruction_loses_no_result) { at_every_instruction(call::completes, receiver::caller); }

TEST(G3, a_signal_taken_by_another_thread_at_any_instruction_interrupts_a_blocking_call)
{
    at_every_instruction(call::blocks, receiver::other_thread);
}

TEST(G3, a_signal_taken_by_another_thread_at_any_instruction_loses_no_result)
{
    at_every_instruction(call::completes, receiver::other_thread);
}

// The debugger takes a millisecond (that is what is tested) over each signal and each system call, that of the signal's
// return included: whatever ends the call leaves the thread time to go on.
TEST(G2, a_slow_debugger_does_not_keep_a_call_from_its_signal)
{
    SKIP_IF_EMULATED("no ptrace");
    const pid_t pid = ::fork();
    if (pid == 0) {
        int fds[2];
        if (::pipe(fds) != 0)
            ::_exit(10);
        tocsin::signal(SIGALRM, [&] {
            if (::write(fds[1], "h", 1) != 1)
                ::_exit(11);
        });
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::raise(SIGSTOP);
        tocsin::setitimer(tocsin::itimer::real, 50ms);
        char byte = 0;
        ::_exit(tocsin::blocking::read(fds[0], &byte, 1) == 1 && byte == 'h' ? 0 : 12);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ::ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    const auto end = std::chrono::steady_clock::now() + 10s;
    for (int sig = 0; WIFSTOPPED(status);) {
        ASSERT_LT(std::chrono::steady_clock::now(), end) << "interrupted again and again";
        std::this_thread::sleep_for(1ms);
        ::ptrace(PTRACE_SYSCALL, pid, nullptr, sig);
        ASSERT_TRUE(next_stop(pid, status, stall_limit)) << "asleep";
        sig = WIFSTOPPED(status) && WSTOPSIG(status) != (SIGTRAP | 0x80) ? WSTOPSIG(status) : 0;
    }
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}
