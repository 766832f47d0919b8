#include <tocsin/clock.hpp>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <stdexcept>
#include <string>

#include "fail.hpp"
#include "process.hpp"
#include "sys/sys.hpp"
#include "virtual_time.hpp"

namespace tocsin {

boot_clock::time_point boot_clock::now() noexcept
{
    return time_point(std::chrono::nanoseconds{sys::clock_now(CLOCK_BOOTTIME)});
}

std::chrono::nanoseconds detail::nearest_time(const seconds& since_epoch)
{
    try {
        return since_epoch.nanoseconds("a point of time");
    } catch (const std::overflow_error&) {
        return since_epoch.given() > 0 ? std::chrono::nanoseconds::max() : std::chrono::nanoseconds::min();
    }
}

virtual_clock::virtual_clock(int clock, std::chrono::nanoseconds start)
{
    constexpr int known[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM,
                             CLOCK_BOOTTIME_ALARM};
    if (std::find(std::begin(known), std::end(known), clock) == std::end(known))
        detail::fail(EINVAL, "virtual_clock: clock " + std::to_string(clock) + " has no timers");
    time_ = std::make_shared<detail::virtual_time>(clock);
    set(start);
}

std::chrono::nanoseconds virtual_clock::now() const noexcept
{
    return std::chrono::nanoseconds{time_->now.load(std::memory_order_relaxed)}; // a clock orders nothing
}

void detail::virtual_time::set(std::int64_t to)
{
    if (to < 0)
        throw std::invalid_argument("virtual_clock: " + std::to_string(to) + " ns is before the epoch");
    if (to == wake_timer::never)
        throw std::overflow_error("virtual_clock: " + std::to_string(to) + " ns: beyond the end of the clock");
    now.store(to, std::memory_order_relaxed);
    for (wake_timer* const each : timers) {
        if (each->time_ <= to && each->generation_ == fork_generation()) // else the parent's: see renew()
            each->set_event(to);
    }
}

void virtual_clock::set(std::chrono::nanoseconds to)
{
    const std::lock_guard hold(time_->mutex);
    time_->set(to.count());
}

void virtual_clock::advance(seconds by)
{
    const std::chrono::nanoseconds step = by.nanoseconds("virtual_clock::advance");
    if (by.given() < 0)
        throw std::invalid_argument("virtual_clock::advance: " + detail::describe(by) +
                                    ": a time must not be negative; see set()");
    const std::lock_guard hold(time_->mutex); // others may let time pass too
    std::int64_t to = 0;
    if (__builtin_add_overflow(now().count(), step.count(), &to))
        throw std::overflow_error("virtual_clock::advance: " + detail::describe(by) + ": beyond the end of the clock");
    time_->set(to);
}

std::optional<std::chrono::nanoseconds> virtual_clock::next() const
{
    const std::lock_guard hold(time_->mutex);
    std::int64_t first = detail::wake_timer::never;
    for (const detail::wake_timer* const each : time_->timers)
        first = std::min(first, each->time_);
    if (first == detail::wake_timer::never)
        return std::nullopt;
    return std::chrono::nanoseconds{first};
}

} // namespace tocsin
