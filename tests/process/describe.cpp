// One sentence for each origin; the name of the sender while it lives, safe to print.

#include <tocsin/tocsin.hpp>

#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>

#include <cstdint>
#include <string>

#include "support.hpp"

namespace {

using tocsin::describe;
using tocsin::siginfo;

siginfo_t raw(int sig, int code)
{
    siginfo_t info{};
    info.si_signo = sig;
    info.si_code = code;
    return info;
}

constexpr pid_t nobody = 0x7ffffff0; // above the kernel's limit

siginfo_t sent(int sig, int code, pid_t pid = nobody, int value = 0)
{
    siginfo_t info = raw(sig, code);
    info.si_pid = pid;
    info.si_uid = 1000;
    if (code < 0)
        info.si_value.sival_int = value;
    return info;
}

std::string of(const siginfo_t& info) { return describe(siginfo(info)); }

std::string self() { return std::to_string(::getpid()); }

TEST(describe, senders)
{
    ::prctl(PR_SET_NAME, "bash");
    EXPECT_EQ(of(sent(SIGTERM, SI_USER, ::getpid())), "SIGTERM from pid " + self() + " (bash), uid 1000, by kill");
    EXPECT_EQ(of(sent(SIGUSR1, SI_TKILL, ::getpid())), "SIGUSR1 from pid " + self() + " (bash), uid 1000, by tgkill");
    EXPECT_EQ(of(sent(SIGRTMIN + 1, SI_QUEUE, ::getpid(), -7)),
              "SIGRTMIN+1 from pid " + self() + " (bash), uid 1000, by sigqueue, value -7");
    EXPECT_EQ(of(sent(SIGUSR2, SI_MESGQ, ::getpid(), 3)),
              "SIGUSR2 from pid " + self() + " (bash), uid 1000, by a message queue, value 3");
}

TEST(describe, a_sender_that_is_gone_or_elsewhere)
{
    EXPECT_EQ(of(sent(SIGTERM, SI_USER)), "SIGTERM from pid " + std::to_string(nobody) + ", uid 1000, by kill");
    EXPECT_EQ(of(sent(SIGTERM, SI_USER, 0)), "SIGTERM from a process outside this pid namespace, uid 1000, by kill");
}

TEST(describe, a_name_cannot_write_lines_or_escapes)
{
    ::prctl(PR_SET_NAME, "a\n\x1b[2J\\\x9b\x7f");
    EXPECT_EQ(of(sent(SIGTERM, SI_USER, ::getpid())),
              "SIGTERM from pid " + self() + " (a\\x0a\\x1b[2J\\\\\\x9b\\x7f), uid 1000, by kill");
    ::prctl(PR_SET_NAME, "\n");
    EXPECT_EQ(of(sent(SIGTERM, SI_USER, ::getpid())), "SIGTERM from pid " + self() + " (\\x0a), uid 1000, by kill");
}

TEST(describe, the_terminal)
{
    EXPECT_EQ(of(raw(SIGINT, SI_KERNEL)), "SIGINT from the terminal (Ctrl-C)");
    EXPECT_EQ(of(raw(SIGQUIT, SI_KERNEL)), "SIGQUIT from the terminal (Ctrl-\\)");
    EXPECT_EQ(of(raw(SIGTSTP, SI_KERNEL)), "SIGTSTP from the terminal (Ctrl-Z)");
    EXPECT_EQ(of(raw(SIGHUP, SI_KERNEL)), "SIGHUP from the terminal (hung up)");
    EXPECT_EQ(of(raw(SIGTTIN, SI_KERNEL)), "SIGTTIN from the terminal (read in the background)");
    EXPECT_EQ(of(raw(SIGTTOU, SI_KERNEL)), "SIGTTOU from the terminal (written in the background)");
    EXPECT_EQ(of(raw(SIGWINCH, SI_KERNEL)), "SIGWINCH from the terminal (new window size)");
}

TEST(describe, the_kernel_and_what_is_not_known)
{
    EXPECT_EQ(of(raw(SIGALRM, SI_KERNEL)), "SIGALRM from the kernel");
    EXPECT_EQ(of(raw(SIGUSR1, 1234)), "SIGUSR1 from an unknown source, code 1234");
    EXPECT_EQ(describe(siginfo()), "signal 0 from an unknown source, code 0");
}

TEST(describe, timers)
{
    siginfo_t info = raw(SIGALRM, SI_TIMER);
    info.si_timerid = 3;
    info.si_value.sival_int = 9;
    EXPECT_EQ(of(info), "SIGALRM from timer 3, value 9");
    info.si_overrun = 4;
    EXPECT_EQ(of(info), "SIGALRM from timer 3, value 9, 4 more expirations");
}

TEST(describe, children)
{
    const auto child = [](int code, int status) {
        siginfo_t info = sent(SIGCHLD, code);
        info.si_status = status;
        return of(info);
    };
    const std::string begin = "SIGCHLD from child " + std::to_string(nobody) + ", uid 1000: ";
    EXPECT_EQ(child(CLD_EXITED, 2), begin + "exited with status 2");
    EXPECT_EQ(child(CLD_KILLED, SIGKILL), begin + "killed by SIGKILL");
    EXPECT_EQ(child(CLD_DUMPED, SIGSEGV), begin + "killed by SIGSEGV, core dumped");
    EXPECT_EQ(child(CLD_TRAPPED, SIGTRAP), begin + "trapped by SIGTRAP");
    EXPECT_EQ(child(CLD_STOPPED, SIGSTOP), begin + "stopped by SIGSTOP");
    EXPECT_EQ(child(CLD_CONTINUED, SIGCONT), begin + "continued");
    EXPECT_EQ(child(77, 5), begin + "code 77, status 5");
}

TEST(describe, faults)
{
    const auto fault = [](int sig, int code) {
        siginfo_t info = raw(sig, code);
        info.si_addr = reinterpret_cast<void*>(std::uintptr_t{0x10});
        return of(info);
    };
    EXPECT_EQ(fault(SIGSEGV, SEGV_MAPERR), "SIGSEGV from a fault at address 0x10: no memory there");
    EXPECT_EQ(fault(SIGSEGV, SEGV_ACCERR), "SIGSEGV from a fault at address 0x10: access not permitted");
    EXPECT_EQ(fault(SIGBUS, BUS_ADRERR), "SIGBUS from a fault at address 0x10: no memory behind it");
    EXPECT_EQ(fault(SIGBUS, BUS_ADRALN), "SIGBUS from a fault at address 0x10: not aligned");
    EXPECT_EQ(fault(SIGFPE, FPE_INTDIV), "SIGFPE from a fault at address 0x10: division by zero");
    EXPECT_EQ(fault(SIGILL, ILL_ILLOPC), "SIGILL from a fault at address 0x10");
    EXPECT_EQ(fault(SIGSEGV, SI_KERNEL), "SIGSEGV from a fault at an unknown address");
}

TEST(describe, input_and_output)
{
    siginfo_t info = raw(SIGIO, POLL_IN);
    info.si_fd = 5;
    info.si_band = POLLIN | POLLPRI;
    EXPECT_EQ(of(info), "SIGIO from descriptor 5, readable, urgent data");
    info.si_band = POLLOUT | POLLERR | POLLHUP;
    EXPECT_EQ(of(info), "SIGIO from descriptor 5, writable, error, hung up");
    EXPECT_EQ(of(sent(SIGUSR1, SI_ASYNCIO, nobody, 8)), "SIGUSR1 from asynchronous input or output, value 8");
}

TEST(describe, one_that_has_really_come)
{
    ::prctl(PR_SET_NAME, "sender");
    std::string said;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { said = describe(e.info); });
    ::kill(::getpid(), SIGUSR1);
    tocsin::check_signals();
    EXPECT_EQ(said, "SIGUSR1 from pid " + self() + " (sender), uid " + std::to_string(::getuid()) + ", by kill");
}

} // namespace
