#pragma once

#include <sys/time.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <string>

#include <tocsin/error.hpp>
#include <tocsin/seconds.hpp>

namespace tocsin {

/// The three interval timers of the process. Equal to ITIMER_REAL, ITIMER_VIRTUAL and ITIMER_PROF, which are accepted
/// too.
enum class itimer : int {
    real = ITIMER_REAL,        ///< wall time, delivers SIGALRM
    virtual_ = ITIMER_VIRTUAL, ///< the process's user CPU time, delivers SIGVTALRM
    prof = ITIMER_PROF         ///< the process's user and system CPU time, delivers SIGPROF
};

[[nodiscard]] TOCSIN_API std::string to_string(itimer which);
TOCSIN_API std::ostream& operator<<(std::ostream& out, itimer which);

/// A timer's setting: time to the next expiry (zero: not armed) and the interval after it (zero: one shot).
struct itimer_value {
    std::chrono::duration<double> delay{};
    std::chrono::duration<double> interval{};
    bool operator==(const itimer_value&) const = default;
};

/// Delivers SIGALRM after `count` seconds; 0 disarms. Returns the seconds that were left of the previous one, or 0.
/// Shares one timer with setitimer(itimer::real).
/// Context: any thread.
/// Errors: std::overflow_error for what does not fit an unsigned int; std::invalid_argument for a negative number.
/// Source: alarm(2).
TOCSIN_API unsigned alarm(unsigned count);

namespace detail {
TOCSIN_API unsigned checked_alarm(std::intmax_t count);
TOCSIN_API std::chrono::nanoseconds alarm_after(seconds time);
} // namespace detail

template <std::integral T>
requires(!std::same_as<T, unsigned>) unsigned alarm(T count)
{
    if constexpr (std::unsigned_integral<T>)
        return detail::checked_alarm(
            static_cast<std::uintmax_t>(count) > UINT32_MAX ? INTMAX_MAX : static_cast<std::intmax_t>(count));
    else
        return detail::checked_alarm(count);
}
/// Seconds as a floating-point number would lose their fraction: give a std::chrono::duration.
template <std::floating_point T>
unsigned alarm(T) = delete;

/// The same with the precision of setitimer(2), microseconds, rounded up. Returns the time that was left.
/// Errors: as setitimer().
template <class Rep, class Period>
std::chrono::nanoseconds alarm(std::chrono::duration<Rep, Period> time)
{
    return detail::alarm_after(time);
}

/// Arms a timer: its signal arrives after `delay` and then, if `interval` is not zero, again every `interval`. A zero
/// delay disarms. Both are rounded up to the kernel's microseconds. Returns the previous setting.
/// The timers belong to the process: fork() clears them in the child, exec() keeps them.
/// Context: any thread. Blocks: no.
/// Errors: itimer_error with EINVAL for a negative time or an unknown timer; std::invalid_argument for NaN;
/// std::overflow_error for a time that does not fit. Source: setitimer(2).
TOCSIN_API itimer_value setitimer(itimer which, seconds delay, seconds interval = 0);
TOCSIN_API itimer_value setitimer(int which, seconds delay, seconds interval = 0);

/// The current setting. Errors: itimer_error with EINVAL for an unknown timer.
[[nodiscard]] TOCSIN_API itimer_value getitimer(itimer which);
[[nodiscard]] TOCSIN_API itimer_value getitimer(int which);

} // namespace tocsin
