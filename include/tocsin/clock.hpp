#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <tocsin/config.hpp>
#include <tocsin/seconds.hpp>

namespace tocsin {

/// CLOCK_BOOTTIME as a clock of std::chrono: like std::chrono::steady_clock, but counts the time the machine sleeps too.
struct boot_clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<boot_clock>;
    static constexpr bool is_steady = true;

    /// Context: any thread, signal handlers included. Source: clock_gettime(2).
    [[nodiscard]] TOCSIN_API static time_point now() noexcept;
};

namespace detail {

struct virtual_time;
class wake_timer;

/// What a time point counts from, or on what a queue runs.
enum class time_base : unsigned char { monotonic, realtime, boottime };

template <class Clock>
constexpr time_base base_of() noexcept
{
    if constexpr (std::is_same_v<Clock, std::chrono::steady_clock>)
        return time_base::monotonic;
    else if constexpr (std::is_same_v<Clock, std::chrono::system_clock>)
        return time_base::realtime;
    else if constexpr (std::is_same_v<Clock, boot_clock>)
        return time_base::boottime;
    else
        static_assert(!sizeof(Clock*), "a time point of steady_clock, system_clock or tocsin::boot_clock");
}

/// What does not fit is the first or the last time that does. Errors: std::invalid_argument for NaN.
[[nodiscard]] TOCSIN_API std::chrono::nanoseconds nearest_time(const seconds& since_epoch);

/// A duration of std::chrono in whole nanoseconds, as a parameter: what does not fit is the longest time or the shortest,
/// where the conversion of std::chrono would overflow and make 300 years that are given in hours a time that has passed.
class delay {
public:
    constexpr delay(std::chrono::nanoseconds time) noexcept
        : time_(time)
    {}
    template <class Rep, class Period>
    requires std::is_convertible_v<std::chrono::duration<Rep, Period>, std::chrono::nanoseconds>
    constexpr delay(std::chrono::duration<Rep, Period> time) noexcept
        : time_(nearest(time.count(), std::chrono::duration_cast<std::chrono::duration<std::int64_t, Period>>(
                                          std::chrono::nanoseconds::max())))
    {}
    constexpr operator std::chrono::nanoseconds() const noexcept { return time_; }

private:
    template <class Count, class Longest>
    static constexpr std::chrono::nanoseconds nearest(Count count, Longest longest) noexcept
    {
        if (std::cmp_greater(count, longest.count()))
            return std::chrono::nanoseconds::max();
        if (std::cmp_less(count, -longest.count()))
            return std::chrono::nanoseconds::min();
        return Longest(static_cast<std::int64_t>(count));
    }

    std::chrono::nanoseconds time_;
};

/// Nanoseconds since the clock's epoch, rounded up: never early.
template <class Clock, class Duration>
std::chrono::nanoseconds since_epoch(std::chrono::time_point<Clock, Duration> time)
{
    if constexpr (std::is_same_v<Duration, std::chrono::nanoseconds>)
        return time.time_since_epoch();
    else
        return nearest_time(time.time_since_epoch());
}

} // namespace detail

/// A clock that stands still until it is told to go on: what a timer_queue or an interval does in an hour is tested in a
/// microsecond. It takes the place of a real clock; whatever runs on it need not know.
/// Context: any thread.
class virtual_clock {
public:
    /// Stands for `clock`, as timerfd_create() knows it, and begins at `start` after its epoch.
    /// Errors: std::system_error EINVAL for a clock that has no timers; as set().
    TOCSIN_API explicit virtual_clock(int clock = CLOCK_MONOTONIC,
                                      std::chrono::nanoseconds start = std::chrono::nanoseconds{0});

    /// Since the epoch.
    [[nodiscard]] TOCSIN_API std::chrono::nanoseconds now() const noexcept;
    /// Lets time pass. The descriptor of each queue in which a timer is due becomes readable; callbacks run where they always
    /// do, in run_expired().
    /// Errors: std::invalid_argument for a negative time or NaN, std::overflow_error; nothing has changed then.
    TOCSIN_API void advance(seconds by);
    /// Sets the time as somebody sets the clock of a machine: forwards or backwards. Errors: std::invalid_argument for a time
    /// before the epoch, std::overflow_error for the last one that there is: nothing may be due then.
    TOCSIN_API void set(std::chrono::nanoseconds to);
    /// The next time at which a descriptor becomes readable; empty if none is to. A queue may ask for it a little before
    /// its next timer is due: see timer_queue::next_deadline().
    [[nodiscard]] TOCSIN_API std::optional<std::chrono::nanoseconds> next() const;

private:
    friend class detail::wake_timer;
    std::shared_ptr<detail::virtual_time> time_; // shared with what runs on it
};

} // namespace tocsin
