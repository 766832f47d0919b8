#pragma once

// The one core of every interruptible call: handlers run before it enters the kernel and whenever a signal has
// interrupted it; then it goes on with what is left.

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <optional>

#include <tocsin/safe_point.hpp>
#include <tocsin/seconds.hpp>

#include "sys/sys.hpp"

namespace tocsin::detail {

/// Repeats `attempt` (a callable that enters the kernel once and returns a result or a negated errno) until a signal no
/// longer interrupts it.
template <class Attempt>
long interruptible(source_location where, Attempt attempt)
{
    for (;;) {
        check_signals(where);
        const long result = attempt();
        if (result != -EINTR)
            return result;
    }
}

/// When a call must end: an absolute point of the monotonic clock, or never.
class time_limit {
public:
    static time_limit never() noexcept { return {}; }
    static time_limit after(std::int64_t ns) noexcept
    {
        time_limit limit;
        const std::int64_t now = sys::monotonic_now();
        if (!__builtin_add_overflow(now, ns, &limit.deadline_.emplace()))
            return limit;
        return never(); // centuries
    }
    [[nodiscard]] bool bounded() const noexcept { return deadline_.has_value(); }
    /// Nanoseconds left, at least 0. Only when bounded().
    [[nodiscard]] std::int64_t remaining() const noexcept
    {
        const std::int64_t left = *deadline_ - sys::monotonic_now();
        return left > 0 ? left : 0;
    }

private:
    std::optional<std::int64_t> deadline_;
};

inline timespec to_timespec(std::int64_t ns) noexcept
{
    return {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

/// The same within a limit: `attempt` is given the time it may still take as a timespec, null for ever. Once the time
/// is over, also when a handler has run past it, there is one last attempt that does not wait; if that is interrupted
/// too the result is -ETIMEDOUT.
template <class Attempt>
long interruptible_until(source_location where, const time_limit& limit, Attempt attempt)
{
    if (!limit.bounded())
        return interruptible(where, [&] { return attempt(nullptr); });
    for (;;) {
        check_signals(where);
        const std::int64_t left = limit.remaining();
        timespec time = to_timespec(left); // the kernel may write the rest into it
        const long result = attempt(&time);
        if (result != -EINTR)
            return result;
        if (left == 0) {
            check_signals(where);
            return -ETIMEDOUT;
        }
    }
}

} // namespace tocsin::detail
