// What one run_expired() does where very many timers are due within a moment, and have been put off: it is counted, by the
// timers whose memory has changed, so that no noise can hide it.

#include "timers.hpp"

#include <cstring>
#include <deque>
#include <optional>

using support::steady;
using tocsin::timer;
using tocsin::timer_queue;
using tocsin::virtual_clock;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

struct crowd {
    static constexpr std::size_t size = 40'000;
    // To move one changes it and its neighbours, where it was and where it comes to.
    static constexpr std::size_t most = 6000;

    explicit crowd(nanoseconds apart, nanoseconds idle_time)
        : idle(idle_time)
    {
        for (std::size_t n = 0; n < size; ++n) {
            timers.emplace_back([](timer&) { ++expired; });
            queue.schedule_at(timers.back(), clock.now() + static_cast<std::int64_t>(n) * apart + idle);
        }
        expired = 0;
    }
    void touch_all()
    {
        for (timer& each : timers)
            queue.schedule_at(each, clock.now() + idle);
    }
    void touch(std::size_t from, std::size_t number)
    {
        for (std::size_t n = from; n < from + number; ++n)
            queue.schedule_at(timers[n % size], clock.now() + idle);
    }
    std::size_t run()
    {
        before.resize(size * sizeof(timer));
        for (std::size_t n = 0; n < size; ++n)
            std::memcpy(&before[n * sizeof(timer)], static_cast<const void*>(&timers[n]), sizeof(timer));
        queue.run_expired();
        std::size_t changed = 0;
        for (std::size_t n = 0; n < size; ++n)
            changed +=
                std::memcmp(&before[n * sizeof(timer)], static_cast<const void*>(&timers[n]), sizeof(timer)) != 0;
        return changed;
    }
    // Whenever the descriptor becomes readable.
    void run_until(nanoseconds time)
    {
        int calls = 0;
        for (auto next = clock.next(); next && *next <= time; next = clock.next()) {
            ASSERT_LT(++calls, 2000);
            clock.set(std::max(*next, clock.now()));
            ASSERT_LE(run(), most) << clock.now().count();
        }
        clock.set(time);
    }

    static inline std::size_t expired = 0;
    nanoseconds idle;
    virtual_clock clock{CLOCK_MONOTONIC, 1000s};
    timer_queue queue{clock};
    std::deque<timer> timers;
    std::vector<char> before;
};

TEST(timer_queue_crowd, what_was_put_off_is_moved_on_in_shares)
{
    crowd c(1us, 30s);
    const auto other = c.queue.every(1ms, [] {}); // so that there is always something that comes before
    c.clock.advance(10);
    EXPECT_LE(c.run(), crowd::most);
    c.touch_all();
    c.clock.set(1025s);
    for (; c.clock.now() < 1031s; c.clock.advance(0.004))
        ASSERT_LE(c.run(), crowd::most) << c.clock.now().count();
    EXPECT_EQ(crowd::expired, 0U);
    c.clock.set(1040s - 1ns);
    c.queue.run_expired();
    EXPECT_EQ(crowd::expired, 0U);
    c.clock.set(1040s);
    c.queue.run_expired();
    EXPECT_EQ(crowd::expired, crowd::size);
}

TEST(timer_queue_crowd, what_is_put_off_at_the_last_moment_does_not_wait_for_it)
{
    for (const nanoseconds moment : {nanoseconds{1us}, nanoseconds{500ms}, nanoseconds{2s}, nanoseconds{4s}}) {
        crowd c(0ns, 30s);
        c.touch(0, 5000); // some of it: that it is known to happen
        c.clock.set(1025s);
        for (; c.clock.now() < 1030s - moment; c.clock.advance(0.005))
            c.queue.run_expired();
        c.clock.set(1030s - moment);
        c.touch_all();
        c.run_until(1030s);
        c.clock.advance(1);
        EXPECT_LE(c.run(), crowd::most) << moment.count() << " before";
        EXPECT_EQ(crowd::expired, 0U);
    }
}

TEST(timer_queue_crowd, the_descriptor_calls_early_enough)
{
    crowd c(1us, 30s);
    c.run_until(1010s);
    c.queue.run_expired();
    c.touch_all();
    c.run_until(1039s);
    EXPECT_EQ(crowd::expired, 0U);
}

TEST(timer_queue_crowd, next_deadline_knows_those_that_have_not_been_moved_on)
{
    crowd c(1us, 30s);
    c.clock.advance(1);
    c.touch(1, crowd::size - 2);
    c.clock.set(1027s);
    c.queue.run_expired(); // moves a share of them
    EXPECT_EQ(c.queue.next_deadline(), 1030s);
    EXPECT_TRUE(c.timers.front().cancel());
    EXPECT_EQ(c.queue.next_deadline(), 1030s + (crowd::size - 1) * 1us);
    EXPECT_TRUE(c.timers.back().cancel());
    EXPECT_EQ(c.queue.next_deadline(), 1031s);
}

TEST(timer_queue_crowd, its_time_may_come_before_it_has_been_moved_on)
{
    crowd c(1us, 30s);
    c.clock.advance(1);
    c.touch(0, crowd::size / 2);
    c.clock.set(1027s);
    c.queue.run_expired();
    c.clock.set(1031s - 1ns);
    c.queue.run_expired();
    EXPECT_EQ(crowd::expired, crowd::size / 2);
    c.clock.set(1031s);
    c.queue.run_expired();
    EXPECT_EQ(crowd::expired, crowd::size);
}

} // namespace
