// A deadline that passes at any instruction of an interruptible call ends it, or the call returns what it has done. A
// debugger (ptrace) stops the thread after every number of instructions in turn until the time is over.

#include <sys/syscall.h>

#include <tocsin/tocsin.hpp>

#include <optional>
#include <thread>

#include "traced.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using tocsin::deadline;
using tocsin::deadline_exceeded;

constexpr auto stall_limit = 10s;

enum class call { blocks, completes };

// In the traced thread, which stops just before its call. 0: the deadline was thrown, and nothing is lost.
int limited_call(call kind, int end_fd)
{
    int fds[2];
    if (::pipe(fds) != 0 || (kind == call::completes && ::write(fds[1], "d", 1) != 1))
        return 10;
    std::optional<deadline> limit(std::in_place, 60ms);
    const auto end = limit->end();
    if (::write(end_fd, &end, sizeof end) != sizeof end)
        return 11;
    ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), SIGSTOP); // few instructions back to here
    char byte = 0;
    bool got = false;
    try {
        got = tocsin::blocking::read(fds[0], &byte, 1) == 1;
        for (;;)
            deadline::check();
    } catch (const deadline_exceeded& e) {
        if (!limit->is(e))
            return 12;
    }
    if (kind == call::blocks)
        return got ? 13 : 0;
    limit.reset();
    pollfd left{fds[0], POLLIN, 0};
    return tocsin::blocking::poll(&left, 1, 0) == (got ? 0 : 1) ? 0 : 14;
}

struct outcome {
    bool before_the_kernel = false; // stopped there when the time was over
    bool asleep = false;            // in the kernel by then
    int status = -1;                // -1: slept through
};

// The child runs for `steps` instructions after its SIGSTOP, then waits there for the deadline.
outcome pass_after(int steps, call kind)
{
    outcome result;
    int end_pipe[2];
    EXPECT_EQ(::pipe(end_pipe), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::_exit(limited_call(kind, end_pipe[1]));
    }
    int status = 0;
    const auto next_stop = [&](std::chrono::milliseconds limit) {
        return support::eventually([&] { return ::waitpid(pid, &status, WNOHANG | __WALL) == pid; }, limit);
    };
    support::run_until_it_stops(pid, status);
    ::close(end_pipe[1]);
    deadline::time_point end;
    EXPECT_EQ(::read(end_pipe[0], &end, sizeof end), static_cast<ssize_t>(sizeof end));
    ::close(end_pipe[0]);
    const auto signal_of_stop = [&] {
        const int sig = WSTOPSIG(status);
        return sig == SIGTRAP || sig == SIGSTOP ? 0 : sig;
    };
    for (int step = 0; step < steps && WIFSTOPPED(status) && !result.asleep; ++step) {
        ::ptrace(PTRACE_SINGLESTEP, pid, nullptr, signal_of_stop());
        result.asleep = !support::stops_awake(pid, status);
    }
    bool asleep = result.asleep;
    if (!asleep && WIFSTOPPED(status)) {
        result.before_the_kernel = steady_clock::now() < end && signal_of_stop() == 0;
        std::this_thread::sleep_until(end + 1ms);
        ::ptrace(PTRACE_CONT, pid, nullptr, signal_of_stop());
    }
    while (asleep || WIFSTOPPED(status)) {
        asleep = false;
        if (!next_stop(stall_limit)) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, &status, __WALL);
            return result;
        }
        if (WIFSTOPPED(status))
            ::ptrace(PTRACE_CONT, pid, nullptr, signal_of_stop());
    }
    result.status = status;
    return result;
}

void at_every_instruction(call kind, int most)
{
    SKIP_IF_EMULATED("no ptrace");
    int steps = 0;
    int in_time = 0;
    bool asleep = false;
    for (; steps < most && !(kind == call::blocks && asleep); ++steps) {
        outcome seen;
        // On a busy machine the time may be over too early, which shows little: then once more.
        for (int tries = 0; tries < 3 && !seen.before_the_kernel && !seen.asleep; ++tries) {
            seen = pass_after(steps, kind);
            ASSERT_NE(seen.status, -1) << "passed after " << steps << " instructions: slept through";
            ASSERT_TRUE(support::exited_with(seen.status, 0)) << steps << " instructions: wait status " << seen.status;
        }
        in_time += seen.before_the_kernel;
        asleep = seen.asleep;
    }
    std::printf("passed at each of %d instructions, %d of them outside the kernel\n", steps, in_time);
    EXPECT_GT(in_time, 20);
}

} // namespace

TEST(deadline_window, that_passes_at_any_instruction_ends_a_call) { at_every_instruction(call::blocks, 1000); }

TEST(deadline_window, that_passes_at_any_instruction_loses_no_result) { at_every_instruction(call::completes, 200); }
