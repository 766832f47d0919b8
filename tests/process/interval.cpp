// interval by what its header promises: on a virtual clock, and with the kernel's.

#include "stress/stress.hpp"
#include "timers.hpp"

#include <cmath>

using support::message_of;
using support::now_of;
using support::readable;
using tocsin::interval;
using tocsin::missed_ticks;
using tocsin::tick;
using tocsin::virtual_clock;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

static_assert(std::is_nothrow_move_constructible_v<interval> && std::is_nothrow_move_assignable_v<interval>);
static_assert(!std::is_copy_constructible_v<interval>);

std::vector<tick> ticks_of(missed_ticks policy, const std::vector<nanoseconds>& looks)
{
    virtual_clock clock(CLOCK_MONOTONIC, 1000s);
    interval each(clock, 10, policy);
    std::vector<tick> got;
    for (const nanoseconds at : looks) {
        clock.set(1000s + at);
        EXPECT_EQ(readable(each.native_handle()), clock.now() >= each.next_due());
        while (const auto found = each.try_wait())
            got.push_back(*found);
        EXPECT_FALSE(readable(each.native_handle()));
    }
    return got;
}

TEST(interval_policies, on_time_are_alike)
{
    for (const auto policy : {missed_ticks::burst, missed_ticks::delay, missed_ticks::skip}) {
        const std::vector<tick> expected{{1, 0, 1010s}, {2, 0, 1020s}, {3, 0, 1030s}};
        EXPECT_EQ(ticks_of(policy, {9s, 10s - 1ns, 10s, 20s, 29s, 30s + 1ns}), expected);
    }
}

TEST(interval_policies, late_by_less_than_a_period_nothing_is_missed_and_the_grid_stays)
{
    for (const auto policy : {missed_ticks::burst, missed_ticks::delay, missed_ticks::skip}) {
        const std::vector<tick> expected{{1, 0, 1010s}, {2, 0, 1020s}, {3, 0, 1030s}};
        EXPECT_EQ(ticks_of(policy, {20s - 1ns, 20s, 39s}), expected);
    }
}

TEST(interval_policies, burst_makes_up_for_all_that_were_missed)
{
    const std::vector<tick> expected{{1, 0, 1010s}, {2, 0, 1020s}, {3, 0, 1030s}, {4, 0, 1040s}, {5, 0, 1050s}};
    EXPECT_EQ(ticks_of(missed_ticks::burst, {10s, 45s, 49s, 50s}), expected);
}

TEST(interval_policies, skip_drops_them_and_keeps_the_grid)
{
    const std::vector<tick> expected{{1, 0, 1010s}, {4, 2, 1040s}, {5, 0, 1050s}, {7, 1, 1070s}};
    EXPECT_EQ(ticks_of(missed_ticks::skip, {10s, 45s, 49s, 50s, 70s}), expected);
}

TEST(interval_policies, delay_drops_them_and_goes_on_from_the_late_one)
{
    const std::vector<tick> expected{{1, 0, 1010s}, {4, 2, 1040s}, {5, 0, 1055s}, {6, 0, 1065s}};
    EXPECT_EQ(ticks_of(missed_ticks::delay, {10s, 45s, 50s, 55s, 65s}), expected);
}

TEST(interval_policies, a_stall_of_years_is_one_look)
{
    virtual_clock clock;
    interval each(clock, nanoseconds{1});
    clock.advance(24h * 365 * 100);
    const std::uint64_t number = 24ULL * 365 * 100 * 3600 * 1'000'000'000;
    EXPECT_EQ(each.try_wait(), (tick{number, number - 1, 24h * 365 * 100}));
    EXPECT_EQ(each.try_wait(), std::nullopt);
    clock.set(nanoseconds::max() - 1ns);
    EXPECT_EQ(each.try_wait()->number, static_cast<std::uint64_t>(INT64_MAX) - 1);
    EXPECT_EQ(each.next_due(), nanoseconds::max());
    EXPECT_FALSE(readable(each.native_handle()));
}

TEST(interval_grid, begins_at_the_first_or_at_the_first_one_after_now)
{
    const auto now = std::chrono::steady_clock::now();
    const auto due = [](auto first, tocsin::seconds period) {
        const interval each(first, period);
        return each.next_due();
    };
    const nanoseconds since = now.time_since_epoch();
    EXPECT_EQ(due(now + 1h, 7), since + 1h);
    EXPECT_EQ(due(now + 1h, 1e-9), since + 1h);
    // An hour's grid around now, from wherever it begins.
    for (const auto hours : {1, 2, 1000}) {
        EXPECT_EQ(due(now - 10min - hours * 1h, 1h), since - 10min + 1h);
        EXPECT_EQ(due(now - hours * 1h + 1min, 1h), since + 1min);
    }
    const nanoseconds next = due(now - 100h, nanoseconds{7});
    EXPECT_GE(next, since);
    EXPECT_EQ((next - (since - 100h)) % 7ns, 0ns);
    EXPECT_LE(next, now_of(CLOCK_MONOTONIC) + 7ns);
}

TEST(interval_grid, reaches_from_the_beginning_of_time_to_its_end)
{
    using std::chrono::steady_clock;
    using std::chrono::system_clock;
    const interval oldest(steady_clock::time_point::min(), 1);
    const nanoseconds now = now_of(CLOCK_MONOTONIC);
    EXPECT_GT(oldest.next_due(), now - 1s);
    EXPECT_LE(oldest.next_due(), now + 1s);
    // 2^63 ns before the epoch, and whole seconds on.
    EXPECT_EQ(oldest.next_due().count() % 1'000'000'000, 1'000'000'000 - 854'775'808);
    const interval rare(system_clock::time_point(), 24h * 365 * 250);
    EXPECT_EQ(rare.next_due(), 24h * 365 * 250);
    const interval rarest(system_clock::time_point(1ns), nanoseconds::max());
    EXPECT_EQ(rarest.next_due(), nanoseconds::max());
    const interval last(system_clock::time_point::max(), 1);
    EXPECT_EQ(last.next_due(), nanoseconds::max());
    EXPECT_FALSE(readable(last.native_handle()));
    const interval beyond(std::chrono::time_point<system_clock, std::chrono::days>(std::chrono::days(1'000'000)), 1);
    EXPECT_EQ(beyond.next_due(), nanoseconds::max());
}

TEST(interval_grid, is_of_the_clock_of_the_time_point)
{
    const interval real(std::chrono::system_clock::now() + 100s, 1);
    EXPECT_GT(real.next_due(), now_of(CLOCK_REALTIME));
    const interval boot(tocsin::boot_clock::now() + 100s, 1);
    EXPECT_GT(boot.next_due(), now_of(CLOCK_BOOTTIME));
    EXPECT_LE(boot.next_due(), now_of(CLOCK_BOOTTIME) + 100s);
}

TEST(interval, ticks_do_not_drift_and_none_is_early)
{
    const int count = stress::size(support::sanitized ? 200 : 1000, 10'000);
    interval each(1ms, missed_ticks::burst);
    const nanoseconds first = each.next_due();
    for (int n = 1; n <= count; ++n) {
        const tick now = each.wait();
        EXPECT_GE(now_of(CLOCK_MONOTONIC), now.due);
        EXPECT_EQ(now, (tick{static_cast<std::uint64_t>(n), 0, first + (n - 1) * 1ms}));
    }
    EXPECT_EQ(each.next_due(), first + count * 1ms);
    EXPECT_GE(now_of(CLOCK_MONOTONIC), first + (count - 1) * 1ms);
}

TEST(interval, skipped_ticks_and_those_that_came_are_as_many_as_periods)
{
    interval each(1ms);
    const nanoseconds first = each.next_due();
    std::uint64_t counted = 0;
    for (int n = 0; n < 50; ++n) {
        if (n % 10 == 5)
            support::spin_until(std::chrono::steady_clock::now() + 7ms); // an artificial stall
        const tick now = each.wait();
        counted += 1 + now.missed;
        EXPECT_EQ(now.number, counted);
        EXPECT_EQ(now.due, first + (counted - 1) * 1ms);
        EXPECT_GE(now_of(CLOCK_MONOTONIC), now.due);
        if (n % 10 == 5) {
            EXPECT_GE(now.missed, 5U);
        }
    }
}

TEST(interval, wait_lets_handlers_run_and_loses_no_tick)
{
    interval each(5ms, missed_ticks::burst);
    std::uint64_t thrown = 0;
    bool armed = false;
    {
        const support::storm interrupting([&](const tocsin::event&) {
            if (armed && ++thrown % 3 == 0)
                throw support::stop{};
        });
        for (std::uint64_t n = 1; n <= 20 || thrown <= 3;) { // after a pause many are due at once, and it need not wait
            try {
                armed = true;
                const tick now = each.wait();
                armed = false;
                EXPECT_EQ(now.number, n);
                ++n;
            } catch (const support::stop&) {
                armed = false;
            }
        }
    }
}

TEST(interval, wait_with_a_limit_is_empty_when_it_is_over)
{
    virtual_clock clock;
    interval each(clock, 1);
    EXPECT_EQ(each.wait(0), std::nullopt);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(each.wait(20ms), std::nullopt);
    EXPECT_GE(support::elapsed_since(start), 20ms);
    clock.advance(1);
    EXPECT_EQ(each.wait(0), (tick{1, 0, 1s}));
    EXPECT_EQ(each.wait(0), std::nullopt);
    clock.advance(1);
    EXPECT_EQ(each.wait(), (tick{2, 0, 2s}));
    // One that was late is not lost to the end of the limit.
    interval real(1ms);
    EXPECT_TRUE(real.wait(20).has_value());
}

TEST(interval, restart_begins_one_period_from_now)
{
    virtual_clock clock;
    interval each(clock, 10, missed_ticks::burst);
    clock.set(35s);
    EXPECT_TRUE(readable(each.native_handle()));
    each.restart();
    EXPECT_FALSE(readable(each.native_handle()));
    EXPECT_EQ(each.next_due(), 45s);
    clock.set(45s);
    EXPECT_EQ(each.try_wait(), (tick{1, 0, 45s}));
    EXPECT_EQ(each.next_due(), 55s);
    EXPECT_EQ(each.period(), 10s);
}

TEST(interval, moves)
{
    virtual_clock clock;
    interval first(clock, 1);
    const int fd = first.native_handle();
    interval second(std::move(first));
    EXPECT_EQ(second.native_handle(), fd);
    interval third(clock, 5);
    const int closed = third.native_handle();
    third = std::move(second);
    EXPECT_EQ(third.native_handle(), fd);
    EXPECT_EQ(::fcntl(closed, F_GETFD), -1);
    clock.advance(1);
    EXPECT_EQ(third.wait().number, 1U);
}

TEST(interval, a_clock_that_is_set_back_is_waited_for_and_not_spun_for)
{
    virtual_clock clock(CLOCK_REALTIME, 100s);
    interval each(clock, 10);
    clock.set(111s);
    EXPECT_TRUE(readable(each.native_handle()));
    clock.set(105s);
    EXPECT_EQ(each.try_wait(), std::nullopt);
    EXPECT_FALSE(readable(each.native_handle()));
    EXPECT_EQ(each.next_due(), 110s);
    clock.set(110s);
    EXPECT_EQ(each.try_wait(), (tick{1, 0, 110s}));
}

TEST(interval, works_on_every_clock_that_there_is)
{
    for (const int clock : {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME}) {
        interval each(1ms, missed_ticks::burst, clock);
        for (std::uint64_t n = 1; n <= 5; ++n) {
            const tick now = each.wait();
            EXPECT_EQ(now.number, n);
            EXPECT_GE(now_of(clock), now.due);
        }
    }
}

TEST(interval, after_fork_both_have_all_ticks)
{
    interval each(2ms, missed_ticks::burst);
    const int fd = each.native_handle();
    EXPECT_EQ(each.wait().number, 1U);
    const int status = support::in_child([&] {
        if (each.native_handle() != fd)
            return 1;
        for (std::uint64_t n = 2; n <= 5; ++n) {
            if (each.wait().number != n)
                return 2;
        }
        each.restart();
        return 0;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    for (std::uint64_t n = 2; n <= 5; ++n)
        EXPECT_EQ(each.wait().number, n);
}

TEST(interval_errors, name_the_value_and_leave_all_as_it_was)
{
    virtual_clock clock;
    for (const char* const form : {"", "virtual"}) {
        const auto made = [&](tocsin::seconds period) {
            return [&, period] {
                if (*form != '\0')
                    const interval each(clock, period);
                else
                    const interval each(period);
            };
        };
        EXPECT_EQ(message_of<std::invalid_argument>(made(0)), "interval: 0 ns: a period must be above zero");
        EXPECT_EQ(message_of<std::invalid_argument>(made(-0.5)),
                  "interval: -500000000 ns: a period must be above zero");
        EXPECT_EQ(message_of<std::invalid_argument>(made(std::nan(""))), "interval: NaN is not a time");
        EXPECT_EQ(message_of<std::overflow_error>(made(1e300)).rfind("interval: ", 0), 0U);
    }
    EXPECT_EQ(clock.next(), std::nullopt);
    EXPECT_EQ(support::errno_of([] { const interval each(1, missed_ticks::skip, 99); }), EINVAL);
    interval each(clock, 1);
    EXPECT_EQ(message_of<std::invalid_argument>([&] { each.wait(-1); }),
              "interval::wait: -1 s: a time must not be negative");
    EXPECT_THROW(each.wait(std::nan("")), std::invalid_argument);
    EXPECT_THROW(each.wait(1e300), std::overflow_error);
    EXPECT_EQ(each.next_due(), 1s);
}

} // namespace
