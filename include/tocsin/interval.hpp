#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>

#include <tocsin/clock.hpp>
#include <tocsin/config.hpp>
#include <tocsin/seconds.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

/// What happens to ticks that nobody was there for in time.
enum class missed_ticks : unsigned char {
    burst, ///< they come one right after the other until all have come: as many ticks as periods
    delay, ///< they are dropped, and the following ones come one period after the late one, not sooner
    skip   ///< they are dropped; the following ones come when they always would have
};

/// One tick of an interval.
struct tick {
    std::uint64_t number = 0;       ///< from 1; dropped ones count
    std::uint64_t missed = 0;       ///< how many were dropped since the one before
    std::chrono::nanoseconds due{}; ///< when it was to come: since the epoch of the clock
    bool operator==(const tick&) const = default;
};

namespace detail {

/// The times of an interval, without a clock.
class tick_times {
public:
    /// Errors: std::invalid_argument unless the period is above zero; begins with `function`.
    TOCSIN_API tick_times(const char* function, std::chrono::nanoseconds first, std::chrono::nanoseconds period,
                          missed_ticks policy);
    /// When the next one is to come.
    [[nodiscard]] std::chrono::nanoseconds next() const noexcept { return next_; }
    [[nodiscard]] std::chrono::nanoseconds period() const noexcept { return period_; }
    /// The tick that is due at `now`, which is not before next().
    TOCSIN_API tick take(std::chrono::nanoseconds now) noexcept;
    void restart(std::chrono::nanoseconds first) noexcept { next_ = first; }

private:
    std::chrono::nanoseconds next_;
    std::chrono::nanoseconds period_;
    std::uint64_t number_ = 0;
    missed_ticks policy_;
};

} // namespace detail

/// Ticks at first, first + period, first + 2 periods ... on a descriptor of its own: each time is computed from the first
/// one, so nothing drifts, however late they are taken. (For callbacks, and many at once: timer_queue::every().)
/// Context: any thread, one at a time. Across fork() both processes go on, each by itself.
/// Guarantee: never early.
class interval {
public:
    /// The first tick comes one period from now. Clocks: as timerfd_create().
    /// Errors: std::invalid_argument unless the period is above zero, std::overflow_error; as timerfd_create().
    TOCSIN_API explicit interval(seconds period, missed_ticks policy = missed_ticks::skip, int clock = CLOCK_MONOTONIC);
    TOCSIN_API interval(virtual_clock& clock, seconds period, missed_ticks policy = missed_ticks::skip);
    /// The first tick comes at `first`; where that has passed, the first one after now does, on the same grid.
    template <class Clock, class Duration>
    interval(std::chrono::time_point<Clock, Duration> first, seconds period, missed_ticks policy = missed_ticks::skip)
        : interval(detail::base_of<Clock>(), detail::since_epoch(first), period, policy)
    {}
    TOCSIN_API interval(interval&&) noexcept;
    TOCSIN_API interval& operator=(interval&&) noexcept;
    TOCSIN_API ~interval();

    /// Waits for the next tick. An interruptible call: handlers run while it waits, and what they throw leaves from here;
    /// no tick is lost by it. The form with a limit is empty when that time is over.
    TOCSIN_API tick wait(source_location where = source_location::current());
    TOCSIN_API std::optional<tick> wait(seconds limit, source_location where = source_location::current());
    /// The tick that is due, if one is. Blocks: no.
    TOCSIN_API std::optional<tick> try_wait();

    /// Readable when a tick is due. Belongs to the interval: do not read, set or close it.
    [[nodiscard]] TOCSIN_API int native_handle() const;
    [[nodiscard]] TOCSIN_API std::chrono::nanoseconds period() const noexcept;
    /// When the next one is to come: since the epoch of the clock.
    [[nodiscard]] TOCSIN_API std::chrono::nanoseconds next_due() const noexcept;
    /// The next tick comes one period from now, and the following ones from there.
    TOCSIN_API void restart();

private:
    struct state;
    TOCSIN_API interval(detail::time_base base, std::chrono::nanoseconds first, seconds period, missed_ticks policy);

    std::unique_ptr<state> state_;
};

} // namespace tocsin
