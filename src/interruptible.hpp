#pragma once

// The one core of every interruptible call: handlers run before it enters the kernel and whenever a signal has
// interrupted it; then it goes on with what is left.

#include <cerrno>
#include <cstdint>
#include <ctime>

#include <tocsin/safe_point.hpp>
#include <tocsin/seconds.hpp>

#include "deadlines.hpp"
#include "sys/sys.hpp"

namespace tocsin::detail {

/// What stops a call of this thread from entering the kernel: the main thread's pending mask, while it runs handlers;
/// the place of another thread that has deadlines; else a word that is always zero.
const std::atomic<std::uint64_t>& call_gate() noexcept;

/// check_signals(), and for deadlines on every thread.
[[gnu::always_inline]] inline void safe_point(source_location where)
{
    check_signals(where);
    // Relaxed: what matters has been counted by this thread.
    if (limited_elsewhere.load(std::memory_order_relaxed) != 0) [[unlikely]]
        look_at_deadlines_elsewhere();
}

/// Enters the kernel once: its result, -EINTR when a signal interrupted it, or -ERESTART when a signal whose handler is
/// due on this thread came before it entered, or before it entered anew.
[[gnu::always_inline]] inline long kernel_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                                               long f = 0) noexcept
{
    return sys::guarded_syscall(call_gate(), number, a, b, c, d, e, f);
}

constexpr bool was_interrupted(long result) noexcept { return result == -EINTR || result == -ERESTART; }

/// After a call was interrupted: interpreter_hooks::interrupted. Not inline: rare.
void serve_interpreter();

/// The same for a call that waits for `limit` (null: for ever). One that does not wait always enters the kernel: kept
/// out by a signal it would report that the time is over without having looked.
[[gnu::always_inline]] inline long kernel_call_within(const timespec* limit, long number, long a = 0, long b = 0,
                                                      long c = 0, long d = 0, long e = 0, long f = 0) noexcept
{
    if (limit != nullptr && limit->tv_sec == 0 && limit->tv_nsec == 0)
        return sys::raw_syscall(number, a, b, c, d, e, f);
    return kernel_call(number, a, b, c, d, e, f);
}

/// Repeats `attempt` (a callable that enters the kernel once and returns a result or a negated errno) until a signal no
/// longer interrupts it.
template <class Attempt>
[[gnu::always_inline]] inline long interruptible(source_location where, Attempt attempt)
{
    for (;;) {
        safe_point(where);
        const long result = attempt();
        if (!was_interrupted(result))
            return result;
        serve_interpreter();
    }
}

/// When a call must end: an absolute point of the monotonic clock, or never. One plain word, so that it stays in a
/// register.
class time_limit {
public:
    static time_limit never() noexcept { return time_limit(forever); }
    static time_limit after(std::int64_t ns) noexcept
    {
        if (ns == 0)
            return time_limit(over); // at any time: the clock need not be read
        std::int64_t deadline = 0;
        if (__builtin_add_overflow(sys::monotonic_now(), ns, &deadline))
            return never(); // centuries
        return time_limit(deadline);
    }
    [[nodiscard]] bool bounded() const noexcept { return deadline_ != forever; }
    /// Nanoseconds left, at least 0. Only when bounded().
    [[nodiscard]] std::int64_t remaining() const noexcept
    {
        if (deadline_ == over)
            return 0;
        const std::int64_t left = deadline_ - sys::monotonic_now();
        return left > 0 ? left : 0;
    }

private:
    static constexpr std::int64_t forever = INT64_MAX;
    static constexpr std::int64_t over = INT64_MIN;

    explicit time_limit(std::int64_t deadline) noexcept
        : deadline_(deadline)
    {}

    std::int64_t deadline_;
};

inline timespec to_timespec(std::int64_t ns) noexcept
{
    return {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

/// The same within a limit: `attempt` is given the time it may still take as a timespec, null for ever. Once the time
/// is over, also when a handler has run past it, there is one last attempt that does not wait; if that is interrupted
/// too the result is -ETIMEDOUT.
template <class Attempt>
[[gnu::always_inline]] inline long interruptible_until(source_location where, const time_limit& limit, Attempt attempt)
{
    if (!limit.bounded())
        return interruptible(where, [&] { return attempt(nullptr); });
    for (;;) {
        safe_point(where);
        const std::int64_t left = limit.remaining();
        timespec time = to_timespec(left); // the kernel may write the rest into it
        const long result = attempt(&time);
        if (!was_interrupted(result))
            return result;
        serve_interpreter();
        if (left == 0) {
            safe_point(where);
            return -ETIMEDOUT;
        }
    }
}

/// Waits until a descriptor is readable: above 0; 0 or -ETIMEDOUT when the time is over; else a negated errno.
long wait_readable(int fd, const time_limit& limit, source_location where);
/// The same for the descriptor of an object; false when the time is over. Errors: std::system_error, beginning with `whose`.
bool wait_readable(int fd, const time_limit& limit, const char* whose, source_location where);

} // namespace tocsin::detail
