#include <tocsin/interval.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "fail.hpp"
#include "interruptible.hpp"
#include "wake_timer.hpp"

namespace tocsin {

using std::chrono::nanoseconds;

namespace detail {
namespace {

std::int64_t plus(std::int64_t a, std::int64_t b) noexcept
{
    std::int64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? wake_timer::never : sum;
}

int clock_of(time_base base) noexcept
{
    switch (base) {
    case time_base::realtime:
        return CLOCK_REALTIME;
    case time_base::boottime:
        return CLOCK_BOOTTIME;
    default:
        return CLOCK_MONOTONIC;
    }
}

} // namespace

tick_times::tick_times(const char* function, nanoseconds first, nanoseconds period, missed_ticks policy)
    : next_(first)
    , period_(period)
    , policy_(policy)
{
    if (period <= nanoseconds{0})
        throw std::invalid_argument(std::string(function) + ": " + std::to_string(period.count()) +
                                    " ns: a period must be above zero");
}

tick tick_times::take(nanoseconds now) noexcept
{
    const std::int64_t missed = policy_ == missed_ticks::burst ? 0 : (now - next_) / period_;
    const std::int64_t due = next_.count() + missed * period_.count(); // at most now
    number_ += static_cast<std::uint64_t>(missed) + 1;
    const bool from_now = policy_ == missed_ticks::delay && missed > 0;
    next_ = nanoseconds{plus(from_now ? now.count() : due, period_.count())};
    return {number_, static_cast<std::uint64_t>(missed), nanoseconds{due}};
}

} // namespace detail

struct interval::state {
    template <class Clock>
    state(Clock& clock, nanoseconds period, missed_ticks policy)
        : alarm(clock)
        , times("interval", nanoseconds{0}, period, policy)
    {
        start(from_now());
    }
    [[nodiscard]] nanoseconds from_now() const noexcept
    {
        return nanoseconds{detail::plus(alarm.now(), times.period().count())};
    }
    void start(nanoseconds first)
    {
        alarm.set(first.count());
        times.restart(first);
    }

    detail::wake_timer alarm;
    detail::tick_times times;
};

interval::interval(seconds period, missed_ticks policy, int clock)
    : state_(std::make_unique<state>(clock, period.nanoseconds("interval"), policy))
{}

interval::interval(virtual_clock& clock, seconds period, missed_ticks policy)
    : state_(std::make_unique<state>(clock, period.nanoseconds("interval"), policy))
{}

interval::interval(detail::time_base base, nanoseconds first, seconds period, missed_ticks policy)
    : interval(period, policy, detail::clock_of(base))
{
    const std::int64_t step = state_->times.period().count();
    const std::int64_t now = state_->alarm.now();
    if (now > first.count()) {
        // Unsigned: from the beginning of time to its end are more than 63 bits.
        const std::uint64_t late = static_cast<std::uint64_t>(now) - static_cast<std::uint64_t>(first.count());
        const std::uint64_t since_last = (late - 1) % static_cast<std::uint64_t>(step) + 1; // at most a step
        first = nanoseconds{detail::plus(now - static_cast<std::int64_t>(since_last), step)};
    }
    state_->start(first);
}

interval::interval(interval&&) noexcept = default;
interval& interval::operator=(interval&&) noexcept = default;
interval::~interval() = default;

std::optional<tick> interval::try_wait()
{
    const std::int64_t now = state_->alarm.now();
    if (now < state_->times.next().count()) {
        if (state_->alarm.may_be_early())
            state_->alarm.set(state_->times.next().count());
        return std::nullopt;
    }
    detail::tick_times after = state_->times;
    const tick found = after.take(nanoseconds{now});
    state_->alarm.set(after.next().count());
    state_->times = after;
    return found;
}

tick interval::wait(source_location where)
{
    for (;;) {
        if (const auto found = try_wait())
            return *found;
        detail::wait_readable(native_handle(), detail::time_limit::never(), "interval: waiting", where);
    }
}

std::optional<tick> interval::wait(seconds limit, source_location where)
{
    const auto time = limit.nanoseconds("interval::wait");
    if (limit.given() < 0)
        throw std::invalid_argument("interval::wait: " + detail::describe(limit) + ": a time must not be negative");
    const auto until = detail::time_limit::after(time.count());
    for (;;) {
        if (const auto found = try_wait())
            return found;
        if (!detail::wait_readable(native_handle(), until, "interval: waiting", where))
            return try_wait();
    }
}

int interval::native_handle() const { return state_->alarm.native_handle(); }
nanoseconds interval::period() const noexcept { return state_->times.period(); }
nanoseconds interval::next_due() const noexcept { return state_->times.next(); }
void interval::restart() { state_->start(state_->from_now()); }

} // namespace tocsin
