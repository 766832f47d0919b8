#include <tocsin/siginfo.hpp>

#include <unistd.h>

#include <ostream>

namespace tocsin {
namespace {

bool is_terminal_signal(int sig) noexcept
{
    switch (sig) {
    case SIGINT:
    case SIGQUIT:
    case SIGTSTP:
    case SIGHUP:
    case SIGTTIN:
    case SIGTTOU:
    case SIGWINCH:
        return true;
    default:
        return false;
    }
}

bool is_fault_signal(int sig) noexcept
{
    return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP;
}

// Positive codes mean different things for different signals.
origin origin_of_kernel_code(int sig, int code) noexcept
{
    if (code == SI_KERNEL) {
        if (is_fault_signal(sig))
            return origin::fault;
        return is_terminal_signal(sig) ? origin::terminal : origin::kernel;
    }
    if (sig == SIGCHLD)
        return origin::child;
    if (is_fault_signal(sig))
        return origin::fault;
    // F_SETSIG lets O_ASYNC send any signal, by custom SIGIO or a real-time one.
    if ((sig == SIGIO || sig >= SIGRTMIN) && code >= POLL_IN && code <= POLL_HUP)
        return origin::async_io;
    return origin::unknown;
}

} // namespace

siginfo siginfo::queued(signum sig, sigval value) noexcept
{
    siginfo_t raw{};
    raw.si_signo = sig;
    raw.si_code = SI_QUEUE;
    raw.si_pid = ::getpid();
    raw.si_uid = ::getuid();
    raw.si_value = value;
    return siginfo(raw);
}

tocsin::origin siginfo::origin() const noexcept
{
    switch (raw_.si_code) {
    case SI_USER:
        return raw_.si_signo == 0 ? origin::unknown : origin::user;
    case SI_QUEUE:
        return origin::queue;
    case SI_TIMER:
        return origin::timer;
    case SI_MESGQ:
        return origin::mesgq;
    case SI_ASYNCIO:
    case SI_SIGIO:
        return origin::async_io;
    case SI_TKILL:
        return origin::tkill;
    default:
        return raw_.si_code > 0 ? origin_of_kernel_code(raw_.si_signo, raw_.si_code) : origin::unknown;
    }
}

std::optional<pid_t> siginfo::pid() const noexcept
{
    switch (origin()) {
    case origin::user:
    case origin::queue:
    case origin::tkill:
    case origin::mesgq:
    case origin::child:
        return raw_.si_pid;
    default:
        return std::nullopt;
    }
}

std::optional<uid_t> siginfo::uid() const noexcept { return pid() ? std::optional<uid_t>(raw_.si_uid) : std::nullopt; }

std::optional<int> siginfo::status() const noexcept
{
    return origin() == origin::child ? std::optional<int>(raw_.si_status) : std::nullopt;
}

std::optional<long> siginfo::band() const noexcept
{
    return origin() == origin::async_io && raw_.si_code > 0 ? std::optional<long>(raw_.si_band) : std::nullopt;
}

std::optional<int> siginfo::fd() const noexcept { return band() ? std::optional<int>(raw_.si_fd) : std::nullopt; }

std::optional<sigval> siginfo::value() const noexcept
{
    switch (raw_.si_code) {
    case SI_QUEUE:
    case SI_TIMER:
    case SI_MESGQ:
    case SI_ASYNCIO:
        return raw_.si_value;
    default:
        return std::nullopt;
    }
}

std::optional<void*> siginfo::address() const noexcept
{
    // SI_KERNEL: the processor gave no address (a general protection fault).
    return origin() == origin::fault && raw_.si_code != SI_KERNEL ? std::optional<void*>(raw_.si_addr) : std::nullopt;
}

std::optional<int> siginfo::timer_id() const noexcept
{
    return origin() == origin::timer ? std::optional<int>(raw_.si_timerid) : std::nullopt;
}

std::optional<int> siginfo::overrun() const noexcept
{
    return origin() == origin::timer ? std::optional<int>(raw_.si_overrun) : std::nullopt;
}

std::string to_string(origin where)
{
    switch (where) {
    case origin::unknown:
        return "unknown";
    case origin::kernel:
        return "kernel";
    case origin::terminal:
        return "terminal";
    case origin::user:
        return "user";
    case origin::queue:
        return "queue";
    case origin::timer:
        return "timer";
    case origin::child:
        return "child";
    case origin::fault:
        return "fault";
    case origin::tkill:
        return "tkill";
    case origin::mesgq:
        return "mesgq";
    case origin::async_io:
        return "async_io";
    }
    return "origin(" + std::to_string(static_cast<int>(where)) + ")";
}

std::string to_string(const siginfo& info)
{
    std::string text = info.signo().name() + " by " + to_string(info.origin());
    if (const auto pid = info.pid())
        text += ", pid " + std::to_string(*pid) + ", uid " + std::to_string(info.uid().value_or(0));
    if (const auto status = info.status())
        text += ", status " + std::to_string(*status);
    if (const auto value = info.value())
        text += ", value " + std::to_string(value->sival_int);
    return text;
}

std::ostream& operator<<(std::ostream& out, origin where) { return out << to_string(where); }
std::ostream& operator<<(std::ostream& out, const siginfo& info) { return out << to_string(info); }

} // namespace tocsin
