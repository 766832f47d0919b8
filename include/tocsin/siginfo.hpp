#pragma once

#include <sys/types.h>

#include <csignal>
#include <iosfwd>
#include <optional>
#include <string>

#include <tocsin/signum.hpp>

namespace tocsin {

/// Where a signal came from, as far as its code says.
enum class origin {
    unknown,  ///< a code this library does not know
    kernel,   ///< the kernel, for a reason it does not detail (setitimer, RLIMIT_CPU ...)
    terminal, ///< the kernel on behalf of a terminal: Ctrl-C, Ctrl-\, Ctrl-Z, hang-up, background access, resize
    user,     ///< kill(2)
    queue,    ///< sigqueue(3): carries a value
    timer,    ///< timer_create(2): carries a value, the timer's id and its overrun
    child,    ///< a child changed state: carries its pid, uid and status
    fault,    ///< the kernel, for the instruction that was running: carries an address
    tkill,    ///< tgkill(2), pthread_kill(3), raise(3)
    mesgq,    ///< mq_notify(3): carries a value
    async_io  ///< O_ASYNC (carries band and fd) or aio (carries a value)
};

[[nodiscard]] TOCSIN_API std::string to_string(origin where);
TOCSIN_API std::ostream& operator<<(std::ostream& out, origin where);

/// What the kernel says of one signal: a typed view of siginfo_t. A field the code does not carry is empty, so that
/// the bytes of one are never read as another. A value: copy it freely. Source: sigaction(2), "The siginfo_t argument".
class TOCSIN_API siginfo {
public:
    /// An empty one: signal 0.
    siginfo() noexcept
        : raw_{}
    {}
    explicit siginfo(const siginfo_t& raw) noexcept
        : raw_(raw)
    {}

    /// The information sigqueue(3) would attach: this process as the sender, and the value.
    [[nodiscard]] static siginfo queued(signum sig, sigval value) noexcept;

    [[nodiscard]] signum signo() const noexcept { return {raw_.si_signo}; }
    /// SI_USER, SI_QUEUE, CLD_EXITED ...
    [[nodiscard]] int code() const noexcept { return raw_.si_code; }
    /// An errno value, mostly 0 on Linux.
    [[nodiscard]] int error() const noexcept { return raw_.si_errno; }
    [[nodiscard]] tocsin::origin origin() const noexcept;

    /// The sender, or the child that changed state. 0 when the sender is outside this process's pid namespace.
    [[nodiscard]] std::optional<pid_t> pid() const noexcept;
    /// Real user id of the sender or the child.
    [[nodiscard]] std::optional<uid_t> uid() const noexcept;
    /// The child's exit status, or the signal that changed its state (code() tells: CLD_EXITED or another).
    [[nodiscard]] std::optional<int> status() const noexcept;
    /// POLLIN ... as poll(2) reports them.
    [[nodiscard]] std::optional<long> band() const noexcept;
    [[nodiscard]] std::optional<int> fd() const noexcept;
    /// What the sender attached (queue, timer, message queue, aio).
    [[nodiscard]] std::optional<sigval> value() const noexcept;
    /// The address the fault is about.
    [[nodiscard]] std::optional<void*> address() const noexcept;
    /// The kernel's id of the POSIX timer.
    [[nodiscard]] std::optional<int> timer_id() const noexcept;
    /// Expirations of that timer that were merged into this signal, beyond the first.
    [[nodiscard]] std::optional<int> overrun() const noexcept;

    /// The kernel's record, untouched.
    [[nodiscard]] const siginfo_t& native() const noexcept { return raw_; }

private:
    siginfo_t raw_;
};

/// "SIGTERM by user, pid 4242, uid 1000"
[[nodiscard]] TOCSIN_API std::string to_string(const siginfo& info);
TOCSIN_API std::ostream& operator<<(std::ostream& out, const siginfo& info);

/// For people: one sentence without a full stop.
///     SIGTERM from pid 4242 (bash), uid 1000, by kill
///     SIGRTMIN+1 from pid 4242 (worker), uid 1000, by sigqueue, value 7
///     SIGINT from the terminal (Ctrl-C)
///     SIGCHLD from child 4242 (make), uid 1000: exited with status 2
///     SIGSEGV from a fault at address 0x10: no memory there
/// The name is that of the process which has the pid now, usually the sender; left out when there is none any more.
/// What is not printable ASCII in it is written \xNN: nobody else writes lines of a log, or to a terminal, by a name.
/// Context: any thread, ordinary code. Blocks: no, but it reads /proc/PID/comm. Errors: std::bad_alloc.
/// Source: sigaction(2), proc(5).
[[nodiscard]] TOCSIN_API std::string describe(const siginfo& info);

} // namespace tocsin
