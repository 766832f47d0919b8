// virtual_clock by what its header promises.

#include "timers.hpp"

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

using support::message_of;
using support::readable;
using support::written;
using tocsin::interval;
using tocsin::timer_queue;
using tocsin::virtual_clock;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

TEST(virtual_clock, stands_still_until_it_is_told)
{
    virtual_clock clock(CLOCK_REALTIME, 5s);
    EXPECT_EQ(clock.now(), 5s);
    clock.advance(0.5);
    EXPECT_EQ(clock.now(), 5500ms);
    clock.advance(0);
    clock.set(3s);
    EXPECT_EQ(clock.now(), 3s);
    EXPECT_EQ(clock.next(), std::nullopt);
}

TEST(virtual_clock, makes_readable_what_is_due_and_runs_nothing)
{
    written w;
    interval each(w.clock, 2);
    w.add('a', 1s);
    EXPECT_EQ(w.clock.next(), 1001s);
    w.clock.advance(1);
    EXPECT_EQ(w.text, "");
    EXPECT_TRUE(w.is_readable());
    EXPECT_FALSE(readable(each.native_handle()));
    EXPECT_EQ(w.run(), "a");
    EXPECT_EQ(w.clock.next(), 1002s);
    w.clock.advance(1);
    EXPECT_FALSE(w.is_readable());
    EXPECT_TRUE(readable(each.native_handle()));
    EXPECT_EQ(each.wait().number, 1U);
}

TEST(virtual_clock, an_hour_takes_no_time)
{
    written w;
    int ticks = 0;
    const auto held = w.queue.every(1s, [&] { ++ticks; });
    while (const auto next = w.clock.next()) {
        if (*next > 1000s + 1h)
            break;
        w.clock.set(*next);
        w.queue.run_expired();
    }
    EXPECT_EQ(ticks, 3600);
}

TEST(virtual_clock, set_back_timers_come_again_when_it_is_time)
{
    for (const nanoseconds delay : {nanoseconds{1ms}, nanoseconds{10s}, nanoseconds{300s}, nanoseconds{24h * 30}}) {
        virtual_clock clock(CLOCK_REALTIME, 24h * 10'000);
        timer_queue queue(clock);
        int calls = 0;
        tocsin::callback_timer t([&] { ++calls; });
        const auto due = std::chrono::system_clock::time_point(clock.now() + delay);
        queue.schedule(t, due);
        // Readable, and back before anybody has looked: not readable after one look.
        clock.set(due.time_since_epoch());
        clock.set(due.time_since_epoch() - delay / 2);
        EXPECT_EQ(queue.run_expired(), 0U);
        EXPECT_FALSE(readable(queue.native_handle()));
        // Far back, with the wheel beyond.
        clock.set(24h * 9000);
        EXPECT_EQ(queue.run_expired(), 0U);
        EXPECT_FALSE(readable(queue.native_handle()));
        tocsin::callback_timer soon([&] { calls += 10; });
        queue.schedule(soon, 1s);
        EXPECT_EQ(queue.next_deadline(), 24h * 9000 + 1s);
        clock.advance(1);
        EXPECT_EQ(queue.run_expired(), 1U);
        EXPECT_EQ(calls, 10);
        clock.set(due.time_since_epoch() - 1ns);
        queue.run_expired();
        EXPECT_EQ(calls, 10);
        clock.set(due.time_since_epoch());
        EXPECT_TRUE(readable(queue.native_handle()));
        EXPECT_EQ(queue.run_expired(), 1U);
        EXPECT_EQ(calls, 11);
    }
}

TEST(virtual_clock, set_back_and_forth_keeps_order_and_loses_nothing)
{
    written w(1'000'000s);
    std::string all;
    for (int n = 0; n < 26; ++n) {
        w.add(static_cast<char>('a' + n), n * n * 1000s + 1s);
        all += static_cast<char>('a' + n);
    }
    std::string got;
    for (const auto at :
         {1'000'500s, 500'000s, 1'002'000s, 999'999s, 0s, 1'100'000s, 1'090'000s, 1'200'000s, 10s, 2'000'000s}) {
        w.clock.set(at);
        got += w.run();
        EXPECT_FALSE(w.is_readable());
    }
    EXPECT_EQ(got, all);
}

TEST(virtual_clock, may_end_before_what_runs_on_it)
{
    std::optional<virtual_clock> clock(std::in_place, CLOCK_MONOTONIC, 7s);
    timer_queue queue(*clock);
    interval each(*clock, 1);
    clock.reset();
    EXPECT_EQ(queue.now(), 7s);
    EXPECT_EQ(queue.run_expired(), 0U);
    EXPECT_EQ(each.try_wait(), std::nullopt);
}

TEST(virtual_clock, of_a_forked_child_is_its_own)
{
    written w;
    w.add('a', 10s);
    const int fd = w.queue.native_handle();
    const int status = support::in_child([&] {
        w.clock.advance(20);
        return readable(w.queue.native_handle()) && w.run() == "a" ? 0 : 1;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    EXPECT_FALSE(readable(fd));
    EXPECT_EQ(w.clock.now(), 1000s);
    EXPECT_EQ(w.after(10), "a");
}

TEST(virtual_clock, is_set_by_one_thread_while_others_run)
{
    virtual_clock clock;
    std::atomic<int> calls{0};
    std::jthread owner([&] {
        timer_queue queue(clock);
        tocsin::timer* self = nullptr;
        tocsin::callback_timer t([&] {
            if (++calls < 200)
                queue.schedule(*self, 1s);
        });
        self = &t;
        queue.schedule(t, 1s);
        while (calls.load() < 200) {
            queue.wait();
            queue.run_expired();
        }
    });
    EXPECT_TRUE(support::eventually([&] {
        if (const auto next = clock.next())
            clock.set(std::max(*next, clock.now()));
        return calls.load() == 200;
    }));
}

TEST(virtual_clock, loses_no_step_of_several_threads)
{
    virtual_clock clock;
    {
        std::vector<std::jthread> threads;
        for (int n = 0; n < 2; ++n) {
            threads.emplace_back([&] {
                for (int step = 0; step < 200'000; ++step)
                    clock.advance(1ns);
            });
        }
    }
    EXPECT_EQ(clock.now(), 400'000ns);
}

// Another thread may be setting the clock at the moment of the fork.
TEST(virtual_clock, of_a_child_forked_meanwhile_can_be_set)
{
    if (support::sanitized)
        GTEST_SKIP() << "a sanitizer's allocator may be locked by another thread at fork()";
    virtual_clock clock;
    timer_queue queue(clock);
    std::jthread other([&](const std::stop_token& stop) {
        while (!stop.stop_requested())
            clock.advance(1ns);
    });
    for (int n = 0; n < 200 && !HasFailure(); ++n) {
        const int status = support::in_child([&] {
            ::alarm(10); // instead of waiting for ever
            const auto held = queue.after(0s, [] {});
            clock.advance(1);
            return queue.run_expired() == 1 ? 0 : 1;
        });
        EXPECT_TRUE(support::exited_with(status, 0)) << "fork " << n << ": " << status;
    }
}

TEST(virtual_clock_errors, name_the_value_and_leave_the_time)
{
    for (const int unknown : {CLOCK_MONOTONIC_RAW, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, 99, -1}) {
        EXPECT_EQ(message_of<std::system_error>([&] { const virtual_clock clock(unknown); }),
                  "virtual_clock: clock " + std::to_string(unknown) + " has no timers: Invalid argument");
    }
    EXPECT_EQ(message_of<std::invalid_argument>([] { const virtual_clock clock(CLOCK_MONOTONIC, -1ns); }),
              "virtual_clock: -1 ns is before the epoch");
    written w;
    w.add('a', 1s);
    EXPECT_EQ(message_of<std::invalid_argument>([&] { w.clock.set(-1ns); }),
              "virtual_clock: -1 ns is before the epoch");
    EXPECT_EQ(message_of<std::invalid_argument>([&] { w.clock.advance(-1); }),
              "virtual_clock::advance: -1 s: a time must not be negative; see set()");
    EXPECT_EQ(message_of<std::invalid_argument>([&] { w.clock.advance(std::nan("")); }),
              "virtual_clock::advance: NaN is not a time");
    EXPECT_THROW(w.clock.advance(1e300), std::overflow_error);
    EXPECT_THROW(w.clock.advance(nanoseconds::max()), std::overflow_error);
    EXPECT_THROW(w.clock.advance(nanoseconds::max() - 1000s), std::overflow_error); // the last one of all
    EXPECT_THROW(w.clock.set(nanoseconds::max()), std::overflow_error);
    EXPECT_EQ(w.clock.now(), 1000s);
    EXPECT_FALSE(w.is_readable());
    w.clock.set(nanoseconds::max() - 1ns);
    EXPECT_EQ(w.run(), "a");
    EXPECT_FALSE(w.is_readable());
}

} // namespace
