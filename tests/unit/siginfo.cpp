// The typed view of siginfo_t: which fields each code carries.

#include <tocsin/tocsin.hpp>

#include <poll.h>

#include "support.hpp"

namespace {

using tocsin::origin;
using tocsin::siginfo;

siginfo_t raw(int sig, int code)
{
    siginfo_t info{};
    info.si_signo = sig;
    info.si_code = code;
    return info;
}

siginfo_t sent(int sig, int code)
{
    siginfo_t info = raw(sig, code);
    info.si_pid = 4242;
    info.si_uid = 1000;
    return info;
}

struct carries {
    bool sender = false, status = false, band = false, value = false, address = false, timer = false;
};

void expect_carries(const siginfo& info, const carries& what)
{
    EXPECT_EQ(info.pid().has_value(), what.sender);
    EXPECT_EQ(info.uid().has_value(), what.sender);
    EXPECT_EQ(info.status().has_value(), what.status);
    EXPECT_EQ(info.band().has_value(), what.band);
    EXPECT_EQ(info.fd().has_value(), what.band);
    EXPECT_EQ(info.value().has_value(), what.value);
    EXPECT_EQ(info.address().has_value(), what.address);
    EXPECT_EQ(info.timer_id().has_value(), what.timer);
    EXPECT_EQ(info.overrun().has_value(), what.timer);
}

TEST(siginfo, an_empty_one_carries_nothing)
{
    const siginfo info;
    EXPECT_EQ(info.signo(), 0);
    EXPECT_EQ(info.code(), 0);
    EXPECT_EQ(info.error(), 0);
    EXPECT_EQ(info.origin(), origin::unknown);
    expect_carries(info, {});
}

TEST(siginfo, kill_carries_the_sender)
{
    const siginfo info(sent(SIGTERM, SI_USER));
    EXPECT_EQ(info.signo(), SIGTERM);
    EXPECT_EQ(info.code(), SI_USER);
    EXPECT_EQ(info.origin(), origin::user);
    expect_carries(info, {.sender = true});
    EXPECT_EQ(info.pid(), 4242);
    EXPECT_EQ(info.uid(), 1000U);
}

TEST(siginfo, a_fault_signal_or_sigchld_that_was_sent_is_not_a_fault_or_a_child)
{
    for (const int sig : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGCHLD, SIGIO}) {
        const siginfo info(sent(sig, SI_USER));
        EXPECT_EQ(info.origin(), origin::user);
        expect_carries(info, {.sender = true});
    }
}

TEST(siginfo, tgkill_carries_the_sender)
{
    const siginfo info(sent(SIGUSR1, SI_TKILL));
    EXPECT_EQ(info.origin(), origin::tkill);
    expect_carries(info, {.sender = true});
}

TEST(siginfo, sigqueue_carries_sender_and_value)
{
    siginfo_t native = sent(SIGRTMIN, SI_QUEUE);
    native.si_value.sival_int = 77;
    const siginfo info(native);
    EXPECT_EQ(info.origin(), origin::queue);
    expect_carries(info, {.sender = true, .value = true});
    EXPECT_EQ(info.value()->sival_int, 77);
    EXPECT_EQ(info.pid(), 4242);
}

TEST(siginfo, queued_is_what_sigqueue_would_attach)
{
    sigval value{};
    value.sival_ptr = &value;
    const siginfo info = siginfo::queued(SIGRTMIN + 1, value);
    EXPECT_EQ(info.signo(), SIGRTMIN + 1);
    EXPECT_EQ(info.code(), SI_QUEUE);
    EXPECT_EQ(info.origin(), origin::queue);
    EXPECT_EQ(info.pid(), ::getpid());
    EXPECT_EQ(info.uid(), ::getuid());
    EXPECT_EQ(info.value()->sival_ptr, &value);
}

TEST(siginfo, a_posix_timer_carries_its_id_overrun_and_value_and_no_sender)
{
    siginfo_t native = raw(SIGALRM, SI_TIMER);
    native.si_timerid = 3;
    native.si_overrun = 5;
    native.si_value.sival_int = 9;
    const siginfo info(native);
    EXPECT_EQ(info.origin(), origin::timer);
    expect_carries(info, {.value = true, .timer = true});
    EXPECT_EQ(info.timer_id(), 3);
    EXPECT_EQ(info.overrun(), 5);
    EXPECT_EQ(info.value()->sival_int, 9);
}

TEST(siginfo, a_child_carries_its_pid_and_status)
{
    for (const int code : {CLD_EXITED, CLD_KILLED, CLD_DUMPED, CLD_TRAPPED, CLD_STOPPED, CLD_CONTINUED}) {
        siginfo_t native = sent(SIGCHLD, code);
        native.si_status = 7;
        const siginfo info(native);
        EXPECT_EQ(info.origin(), origin::child);
        EXPECT_EQ(info.code(), code);
        expect_carries(info, {.sender = true, .status = true});
        EXPECT_EQ(info.status(), 7);
        EXPECT_EQ(info.pid(), 4242);
    }
}

TEST(siginfo, a_fault_carries_its_address)
{
    int place = 0;
    const std::pair<int, int> faults[] = {{SIGSEGV, SEGV_MAPERR}, {SIGSEGV, SEGV_ACCERR}, {SIGBUS, BUS_ADRERR},
                                          {SIGFPE, FPE_INTDIV},   {SIGILL, ILL_ILLOPN},   {SIGTRAP, TRAP_BRKPT}};
    for (const auto& [sig, code] : faults) {
        siginfo_t native = raw(sig, code);
        native.si_addr = &place;
        const siginfo info(native);
        EXPECT_EQ(info.origin(), origin::fault);
        expect_carries(info, {.address = true});
        EXPECT_EQ(info.address(), &place);
    }
}

TEST(siginfo, a_fault_the_processor_gave_no_address_for_has_none)
{
    const siginfo info(raw(SIGSEGV, SI_KERNEL));
    EXPECT_EQ(info.origin(), origin::fault);
    expect_carries(info, {});
}

TEST(siginfo, the_terminal_is_told_from_the_rest_of_the_kernel)
{
    for (const int sig : {SIGINT, SIGQUIT, SIGTSTP, SIGHUP, SIGTTIN, SIGTTOU, SIGWINCH}) {
        const siginfo info(raw(sig, SI_KERNEL));
        EXPECT_EQ(info.origin(), origin::terminal) << info.signo();
        expect_carries(info, {});
    }
    for (const int sig : {SIGPIPE, SIGALRM, SIGXCPU, SIGVTALRM, SIGPROF, SIGXFSZ}) {
        const siginfo info(raw(sig, SI_KERNEL));
        EXPECT_EQ(info.origin(), origin::kernel) << info.signo();
        expect_carries(info, {});
    }
}

TEST(siginfo, a_message_queue_carries_sender_and_value)
{
    siginfo_t native = sent(SIGUSR2, SI_MESGQ);
    native.si_value.sival_int = -3;
    const siginfo info(native);
    EXPECT_EQ(info.origin(), origin::mesgq);
    expect_carries(info, {.sender = true, .value = true});
    EXPECT_EQ(info.value()->sival_int, -3);
}

TEST(siginfo, o_async_carries_band_and_descriptor)
{
    for (const int sig : {SIGIO, SIGRTMIN + 4}) {
        siginfo_t native = raw(sig, POLL_IN);
        native.si_band = POLLIN | POLLRDNORM;
        native.si_fd = 12;
        const siginfo info(native);
        EXPECT_EQ(info.origin(), origin::async_io);
        expect_carries(info, {.band = true});
        EXPECT_EQ(info.band(), POLLIN | POLLRDNORM);
        EXPECT_EQ(info.fd(), 12);
    }
}

TEST(siginfo, aio_carries_a_value)
{
    siginfo_t native = raw(SIGIO, SI_ASYNCIO);
    native.si_value.sival_int = 8;
    const siginfo info(native);
    EXPECT_EQ(info.origin(), origin::async_io);
    expect_carries(info, {.value = true});
    EXPECT_EQ(info.value()->sival_int, 8);
}

TEST(siginfo, an_unknown_code_carries_nothing)
{
    for (const auto& [sig, code] :
         {std::pair{SIGUSR1, -100}, std::pair{SIGUSR1, 100}, std::pair{SIGTERM, 1}, std::pair{SIGSYS, 1}}) {
        siginfo_t native = sent(sig, code);
        const siginfo info(native);
        EXPECT_EQ(info.origin(), origin::unknown) << sig << ' ' << code;
        expect_carries(info, {});
    }
}

TEST(siginfo, error_and_native_are_the_kernels)
{
    siginfo_t native = sent(SIGTERM, SI_USER);
    native.si_errno = EINTR;
    const siginfo info(native);
    EXPECT_EQ(info.error(), EINTR);
    EXPECT_EQ(info.native().si_pid, 4242);
    const siginfo copy = info;
    EXPECT_EQ(copy.pid(), 4242);
}

} // namespace
