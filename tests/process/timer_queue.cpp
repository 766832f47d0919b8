// timer_queue by what its header promises, on a virtual clock: nothing here takes time.

#include "timers.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

using support::message_of;
using support::readable;
using support::steady;
using support::written;
using tocsin::callback_timer;
using tocsin::missed_ticks;
using tocsin::scheduled;
using tocsin::tick;
using tocsin::timer;
using tocsin::timer_queue;
using tocsin::virtual_clock;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

namespace {

static_assert(sizeof(timer) == 56);
static_assert(!std::is_copy_constructible_v<timer> && !std::is_move_constructible_v<timer>);
static_assert(std::is_nothrow_move_constructible_v<timer_queue> && std::is_nothrow_move_assignable_v<timer_queue>);
static_assert(!std::is_copy_constructible_v<scheduled> && std::is_nothrow_move_assignable_v<scheduled>);

// A day of 17 ms slots, and what lies at their edges, in the order of time.
const std::vector<nanoseconds>& delays()
{
    static const std::vector<nanoseconds> all = [] {
        std::vector<nanoseconds> made;
        for (const int bit : {0, 1, 8, 16, 23, 24, 25, 35, 36, 37, 47, 48, 49, 60, 61, 62}) {
            for (const std::int64_t by : {-1, 0, 1})
                made.emplace_back((std::int64_t{1} << bit) + by);
        }
        std::sort(made.begin(), made.end());
        made.erase(std::unique(made.begin(), made.end()), made.end());
        return made;
    }();
    return all;
}

TEST(G14, timers_expire_in_the_order_of_their_deadlines_to_the_nanosecond)
{
    for (const bool backwards : {false, true}) {
        virtual_clock clock;
        timer_queue queue(clock);
        std::vector<nanoseconds> got;
        std::vector<std::unique_ptr<timer>> timers;
        std::vector<scheduled> held;
        auto order = delays();
        if (backwards)
            std::reverse(order.begin(), order.end());
        for (const nanoseconds each : order)
            held.push_back(queue.after(each, [&got, each] { got.push_back(each); }));
        EXPECT_EQ(queue.size(), order.size());
        EXPECT_EQ(queue.next_deadline(), 0ns);
        clock.set(nanoseconds::max() - 1ns);
        EXPECT_EQ(queue.run_expired(), order.size());
        EXPECT_EQ(got, delays());
        EXPECT_TRUE(queue.empty());
        EXPECT_EQ(queue.next_deadline(), std::nullopt);
    }
}

TEST(G14, a_timer_expires_at_its_deadline_and_not_a_nanosecond_before)
{
    for (const nanoseconds start :
         {0ns, 1ns, nanoseconds{(1 << 24) - 1}, nanoseconds{std::int64_t{1} << 36}, nanoseconds{1000h}}) {
        for (const nanoseconds each : delays()) {
            if (each <= 0ns)
                continue;
            written w(start);
            w.add('x', each);
            EXPECT_EQ(w.queue.next_deadline(), start + each);
            for (const nanoseconds before : {each / 2, each - 1ns}) { // the first may find it in another ring
                w.clock.set(start + before);
                EXPECT_EQ(w.run(), "") << start.count() << " + " << before.count() << " of " << each.count();
                EXPECT_FALSE(w.is_readable());
            }
            w.clock.set(start + each);
            EXPECT_TRUE(w.is_readable());
            EXPECT_EQ(w.run(), "x") << start.count() << " + " << each.count();
            EXPECT_FALSE(w.is_readable());
        }
    }
}

TEST(G14, those_of_equal_deadlines_come_in_the_order_they_were_scheduled)
{
    for (const nanoseconds delay : {0ns, 1ns, nanoseconds{1s}, nanoseconds{24h}, nanoseconds{24h * 365}}) {
        written w;
        std::string expected;
        for (char c = 'a'; c <= 'z'; ++c) {
            w.add(c, delay);
            expected += c;
        }
        // Scheduled again it is the last one; put off and brought forward too.
        timer& moved = w.add('0', delay);
        timer& put_off = w.add('1', delay);
        w.add('2', delay);
        w.queue.schedule(moved, delay);
        w.queue.schedule(put_off, delay + 1s);
        w.queue.schedule(put_off, delay);
        EXPECT_EQ(w.after(delay), expected + "201") << delay.count();
    }
}

TEST(G14, thousands_of_equal_deadlines_keep_their_order_across_the_rings)
{
    virtual_clock clock;
    timer_queue queue(clock);
    std::vector<int> got;
    std::vector<scheduled> held;
    constexpr nanoseconds when = 24h * 30;
    for (int n = 0; n < 3000; ++n) {
        held.push_back(queue.at(steady(when), [&got, n] { got.push_back(n); }));
        if (n % 500 == 499) { // the later ones are put into a nearer ring
            clock.set(when - (when - clock.now()) / 100);
            EXPECT_EQ(queue.run_expired(), 0U);
        }
    }
    clock.set(when);
    EXPECT_EQ(queue.run_expired(), 3000U);
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));
}

TEST(timer_queue, a_time_that_has_passed_is_due_at_once)
{
    written w;
    w.add('a', -1ns);
    w.add('b', nanoseconds::min());
    w.queue.schedule(w.make('c'), steady_clock::time_point::min());
    w.queue.schedule_at(w.make('d'), 0ns);
    w.queue.schedule_at(w.make('e'), nanoseconds{-1});
    EXPECT_EQ(w.queue.next_deadline(), nanoseconds::min());
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.run(), "cbeda");
    EXPECT_FALSE(w.is_readable());
}

TEST(timer_queue, a_time_beyond_the_end_never_comes)
{
    written w;
    w.add('a', nanoseconds::max());
    w.add('b', nanoseconds::max() - 1000s + 1ns);
    w.queue.schedule(w.make('c'), steady_clock::time_point::max());
    w.queue.schedule(w.make('d'), std::chrono::time_point<steady_clock, std::chrono::hours>(24h * 365 * 400));
    w.queue.schedule(w.make('e'), std::chrono::time_point<steady_clock, std::chrono::duration<double>>(
                                      std::chrono::duration<double>(1e300)));
    w.add('f', nanoseconds::max() - 1001s);
    EXPECT_EQ(w.queue.next_deadline(), nanoseconds::max() - 1s);
    w.clock.set(nanoseconds::max() - 1ns);
    EXPECT_EQ(w.run(), "f");
    EXPECT_EQ(w.queue.size(), 5U);
    EXPECT_EQ(w.queue.next_deadline(), nanoseconds::max());
    EXPECT_FALSE(w.is_readable());
    EXPECT_EQ(w.run(), "");
}

// More than 64 bits of nanoseconds, where std::chrono would overflow.
TEST(timer_queue, a_delay_that_does_not_fit_never_comes_or_is_over)
{
    written w;
    const auto long_time = 24h * 365 * 300;
    w.queue.schedule(w.make('a'), long_time);
    w.queue.schedule(w.make('b'), std::chrono::hours::max());
    w.queue.schedule(w.make('c'), std::chrono::duration<std::uint64_t>::max());
    timer& moved = w.add('d', 1s);
    EXPECT_TRUE(w.queue.reschedule(moved, long_time));
    const auto once = w.queue.after(long_time, [] { ADD_FAILURE(); });
    const auto again = w.queue.every(2 * long_time, [] { ADD_FAILURE(); });
    auto remote = w.queue.remote_handle();
    EXPECT_TRUE(remote.after(long_time, [] { ADD_FAILURE(); }));
    EXPECT_TRUE(remote.schedule(w.make('e'), long_time));
    w.queue.schedule(w.make('p'), -long_time);
    EXPECT_EQ(w.after(1), "p");
    EXPECT_EQ(w.queue.next_deadline(), nanoseconds::max());
    EXPECT_EQ(w.queue.size(), 8U);
    EXPECT_THROW(static_cast<void>(w.queue.every(-long_time, [] {})), std::invalid_argument);
}

TEST(timer_queue, one_that_never_comes_may_be_the_only_one)
{
    written w;
    timer& t = w.add('t', nanoseconds::max());
    EXPECT_EQ(w.queue.next_deadline(), nanoseconds::max());
    EXPECT_EQ(w.after(24h * 365 * 100), "");
    EXPECT_EQ(w.queue.next_deadline(), nanoseconds::max());
    EXPECT_TRUE(w.queue.reschedule(t, 1s));
    EXPECT_EQ(w.after(1), "t");
}

TEST(timer_queue, a_time_point_is_rounded_up_from_whatever_it_is_counted_in)
{
    written w(0s);
    using picoseconds = std::chrono::duration<std::int64_t, std::pico>;
    w.queue.schedule(w.make('a'), std::chrono::time_point<steady_clock, picoseconds>(picoseconds{5'000'001}));
    EXPECT_EQ(w.queue.next_deadline(), 5'001ns);
    EXPECT_EQ(w.after(5'000ns), "");
    EXPECT_EQ(w.after(1ns), "a");
    w.queue.schedule(w.make('b'), std::chrono::time_point<steady_clock, std::chrono::hours>(2h));
    EXPECT_EQ(w.queue.next_deadline(), 2h);
    w.queue.schedule(w.make('c'), std::chrono::time_point<steady_clock, std::chrono::hours>(-2h));
    EXPECT_EQ(w.queue.next_deadline(), -2h);
}

TEST(timer_queue, deadline_and_scheduled_say_what_is_and_was)
{
    written w;
    timer* self = nullptr;
    timer& t = w.make('t', [&] {
        EXPECT_FALSE(self->scheduled());
        EXPECT_EQ(self->deadline(), 1005s);
        EXPECT_EQ(w.queue.last_now(), 1007s);
    });
    self = &t;
    EXPECT_FALSE(t.scheduled());
    EXPECT_FALSE(t.cancel());
    EXPECT_FALSE(w.queue.reschedule(t, 1s));
    w.queue.schedule(t, 5s);
    EXPECT_TRUE(t.scheduled());
    EXPECT_EQ(t.deadline(), 1005s);
    EXPECT_EQ(w.queue.last_now(), 1000s);
    EXPECT_EQ(w.after(7), "t");
    EXPECT_EQ(t.deadline(), 1005s);
    EXPECT_EQ(w.queue.now(), 1007s);
    w.clock.advance(1);
    EXPECT_EQ(w.queue.now(), 1008s);
    EXPECT_EQ(w.queue.last_now(), 1007s);
    w.queue.schedule(t, 5s);
    EXPECT_TRUE(timer_queue::cancel(t));
    EXPECT_FALSE(timer_queue::cancel(t));
    EXPECT_EQ(w.after(100), "");
}

TEST(timer_queue, reschedule_moves_what_is_scheduled_in_every_ring)
{
    for (const nanoseconds from : delays()) {
        for (const nanoseconds to :
             {nanoseconds{1}, nanoseconds{20ms}, nanoseconds{100s}, nanoseconds{100h}, nanoseconds{10'000h}}) {
            written w;
            timer& t = w.add('t', from);
            w.add('u', to - 1ns);
            w.add('v', to + 1ns);
            EXPECT_TRUE(w.queue.reschedule(t, to));
            EXPECT_EQ(w.queue.size(), 3U);
            EXPECT_EQ(w.after(to), "ut") << from.count() << " to " << to.count();
            EXPECT_EQ(w.after(1ns), "v");
        }
    }
}

TEST(timer_queue, a_timer_put_off_again_and_again_expires_once_at_the_last_deadline)
{
    written w;
    timer& t = w.add('t', 30s);
    for (int n = 0; n < 100; ++n) { // three times the ring of 137 s in all
        EXPECT_EQ(w.after(5), "");
        EXPECT_TRUE(w.queue.reschedule(t, 30s));
    }
    EXPECT_EQ(w.queue.next_deadline(), w.clock.now() + 30s);
    EXPECT_EQ(w.after(30s - 1ns), "");
    EXPECT_EQ(w.after(1ns), "t");
    EXPECT_EQ(w.after(1000), "");
}

TEST(timer_queue, next_deadline_knows_what_was_put_off_into_a_nearer_ring)
{
    virtual_clock clock;
    timer_queue queue(clock);
    std::vector<std::unique_ptr<timer>> timers;
    for (int n = 0; n < 600; ++n) {
        timers.push_back(std::make_unique<timer>([](timer&) {}));
        queue.schedule(*timers.back(), 1000s);
    }
    clock.set(950s); // some have been moved by now, the others will be soon
    EXPECT_EQ(queue.run_expired(), 0U);
    for (int n = 0; n < 600; ++n)
        EXPECT_TRUE(queue.reschedule(*timers[static_cast<std::size_t>(n)], steady(1050s + n * 1ms)));
    EXPECT_EQ(queue.next_deadline(), 1050s);
    for (std::size_t n = 0; n < 600; ++n) {
        EXPECT_EQ(queue.next_deadline(), timers[n]->deadline());
        timers[n]->cancel();
    }
}

TEST(timer_queue, a_timer_is_cancelled_by_its_end)
{
    written w;
    {
        callback_timer near([] { ADD_FAILURE(); });
        callback_timer far([] { ADD_FAILURE(); });
        timer& between = w.add('b', 1s);
        w.queue.schedule(near, 1s);
        w.queue.schedule(far, 24h * 100);
        EXPECT_EQ(w.queue.size(), 3U);
        EXPECT_TRUE(between.scheduled());
    }
    EXPECT_EQ(w.queue.size(), 1U);
    EXPECT_EQ(w.after(24h * 200), "b");
}

TEST(timer_queue, callback_timer_holds_any_callable)
{
    written w;
    int calls = 0;
    callback_timer by_reference([&] { ++calls; });
    callback_timer with_state([&, own = std::make_unique<int>(10)] { calls += *own; });
    callback_timer with_function(std::function<void()>([&] { calls += 100; }));
    for (timer* each :
         {static_cast<timer*>(&by_reference), static_cast<timer*>(&with_state), static_cast<timer*>(&with_function)})
        w.queue.schedule(*each, 1s);
    w.clock.advance(1);
    EXPECT_EQ(w.queue.run_expired(), 3U);
    EXPECT_EQ(calls, 111);
}

// Callbacks.

TEST(timer_queue, a_callback_may_schedule_its_timer_again)
{
    written w;
    timer* self = nullptr;
    timer& t = w.make('t', [&] { w.queue.schedule(*self, 1s); });
    self = &t;
    w.queue.schedule(t, 1s);
    for (int n = 0; n < 200; ++n)
        EXPECT_EQ(w.after(1), "t");
    EXPECT_EQ(w.after(10), "t"); // not to catch up: that is what every() is for
}

TEST(timer_queue, what_a_callback_schedules_for_a_time_that_has_passed_comes_in_the_next_call)
{
    written w;
    timer* self = nullptr;
    int left = 3;
    timer& t = w.make('t', [&] {
        if (left-- > 0)
            w.queue.schedule(*self, -1s); // before all others
    });
    self = &t;
    w.queue.schedule(t, 1s);
    timer& late = w.make('l');
    w.add('a', 1s, [&] { w.queue.schedule(late, 0s); });
    timer& moved = w.add('m', 1s); // due now, and moved before its turn
    w.add('b', 500ms, [&] { w.queue.schedule(moved, 0s); });
    EXPECT_EQ(w.after(1), "bta");
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.queue.next_deadline(), 1000s);
    EXPECT_EQ(w.run(), "tml");
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.run(), "t");
    EXPECT_EQ(w.run(), "t");
    EXPECT_FALSE(w.is_readable());
    EXPECT_EQ(w.run(), "");
}

TEST(timer_queue, what_a_callback_schedules_for_later_can_be_moved_and_cancelled_there)
{
    written w;
    timer& a = w.make('a');
    timer& b = w.make('b');
    timer& c = w.make('c');
    w.add('1', 1s, [&] {
        w.queue.schedule(a, 0s);
        w.queue.schedule(b, 0s);
        w.queue.schedule(c, 0s);
        w.queue.schedule(a, 1s); // late, and put off
        EXPECT_TRUE(b.cancel());
        EXPECT_EQ(w.queue.size(), 2U);
    });
    EXPECT_EQ(w.after(1), "1");
    EXPECT_EQ(w.run(), "c");
    EXPECT_EQ(w.after(1s - 1ns), "");
    EXPECT_EQ(w.after(1ns), "a");
}

TEST(timer_queue, a_callback_may_cancel_destroy_and_move_timers_that_are_due_too)
{
    for (const nanoseconds apart : {nanoseconds{1s}, 1ns}) { // each in a slot of its own, all in one
        written w;
        timer& cancelled = w.add('c', 1s + apart);
        timer& destroyed = w.add('d', 1s + 2 * apart);
        timer& put_off = w.add('p', 1s + 3 * apart);
        w.add('a', 1s, [&] {
            EXPECT_TRUE(cancelled.cancel());
            EXPECT_FALSE(cancelled.scheduled());
            w.destroy(destroyed);
            EXPECT_TRUE(w.queue.reschedule(put_off, steady(1100s)));
            EXPECT_EQ(w.queue.size(), 2U);
        });
        w.add('e', 1s + 4 * apart);
        EXPECT_EQ(w.after(10), "ae");
        EXPECT_EQ(w.after(90), "p");
    }
}

TEST(timer_queue, a_callback_may_destroy_its_own_timer)
{
    written w;
    timer* self = nullptr;
    timer& t = w.make('t', [&] { w.destroy(*self); });
    self = &t;
    w.queue.schedule(t, 1s);
    w.add('u', 1s);
    EXPECT_EQ(w.after(1), "tu");
}

TEST(timer_queue, a_callback_may_destroy_the_queue_and_nothing_more_is_called)
{
    for (const bool by_assignment : {false, true}) {
        virtual_clock clock;
        auto queue = std::make_unique<timer_queue>(clock);
        int calls = 0;
        timer* late = nullptr;
        callback_timer other([&] { ++calls; });
        callback_timer last([&] { ++calls; });
        late = &last;
        callback_timer first([&] {
            ++calls;
            queue->schedule(*late, 0s);
            if (by_assignment)
                *queue = timer_queue(clock);
            else
                queue.reset();
            EXPECT_FALSE(other.scheduled());
            EXPECT_FALSE(late->scheduled());
        });
        auto held = queue->after(1s, [&] { ++calls; });
        queue->schedule(first, 0s);
        queue->schedule(other, 0s);
        EXPECT_EQ(queue->run_expired(), 1U);
        EXPECT_EQ(calls, 1);
        EXPECT_FALSE(held.active());
    }
}

TEST(timer_queue, a_queue_destroyed_in_a_nested_call_ends_both)
{
    virtual_clock clock;
    auto queue = std::make_unique<timer_queue>(clock);
    int calls = 0;
    callback_timer b([&] {
        ++calls;
        queue.reset();
    });
    callback_timer c([&] { ++calls; });
    callback_timer a([&] {
        ++calls;
        EXPECT_EQ(queue->run_expired(), 1U);
    });
    queue->schedule(a, 0s);
    queue->schedule(b, 0s);
    queue->schedule(c, 0s);
    EXPECT_EQ(queue->run_expired(), 1U);
    EXPECT_EQ(calls, 2);
}

TEST(timer_queue, what_a_callback_throws_leaves_and_the_others_stay_scheduled)
{
    written w;
    timer& late = w.make('l');
    w.add('a', 1s, [&] { w.queue.schedule(late, 0s); });
    w.add('b', 2s, [] { throw std::runtime_error("b"); });
    w.add('c', 3s);
    w.clock.advance(10);
    w.text.clear();
    EXPECT_EQ(message_of<std::runtime_error>([&] { w.queue.run_expired(); }), "b");
    EXPECT_EQ(w.text, "ab");
    EXPECT_EQ(w.queue.size(), 2U);
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.run(), "cl");
    EXPECT_FALSE(w.is_readable());
}

TEST(timer_queue, every_goes_on_after_it_has_thrown)
{
    written w;
    int calls = 0;
    const auto held = w.queue.every(1s, [&] {
        ++calls;
        throw std::runtime_error("tick");
    });
    for (int n = 1; n <= 3; ++n) {
        w.clock.advance(1);
        EXPECT_EQ(message_of<std::runtime_error>([&] { w.queue.run_expired(); }), "tick");
        EXPECT_EQ(calls, n);
        EXPECT_TRUE(held.active());
    }
}

TEST(timer_queue, run_expired_may_be_called_in_a_callback)
{
    written w;
    timer& late = w.make('l');
    w.add('a', 1s, [&] {
        w.queue.schedule(late, 0s);
        EXPECT_EQ(w.queue.run_expired(1), 1U); // `b` was scheduled first
        w.text += '.';
        w.clock.advance(5);
        EXPECT_EQ(w.queue.run_expired(), 2U);
        w.text += '.';
    });
    w.add('b', 1s);
    w.add('c', 5s);
    w.add('d', 20s);
    w.clock.advance(1);
    EXPECT_EQ(w.queue.run_expired(), 1U);
    EXPECT_EQ(w.text, "ab.lc.");
    EXPECT_EQ(w.queue.size(), 1U);
    EXPECT_FALSE(w.is_readable());
    EXPECT_EQ(w.after(14), "d");
}

// As a dialogue that a callback opens: the loop inside it sleeps, and is woken.
TEST(timer_queue, a_loop_inside_a_callback_sleeps_until_the_next_timer)
{
    written w;
    timer& late = w.make('l');
    w.add('a', 1s, [&] {
        w.add('d', 10s); // at 11
        EXPECT_TRUE(w.is_readable());
        EXPECT_EQ(w.queue.run_expired(1), 1U);
        EXPECT_TRUE(w.is_readable()) << "c is left";
        EXPECT_EQ(w.queue.run_expired(), 1U);
        EXPECT_FALSE(w.is_readable());
        w.clock.advance(4s);
        w.add('e', 5s); // at 10
        EXPECT_FALSE(w.is_readable());
        w.clock.advance(5s);
        EXPECT_TRUE(w.is_readable()) << "scheduled before what it was to wake for";
        EXPECT_EQ(w.queue.run_expired(), 1U);
        EXPECT_FALSE(w.is_readable());
        w.clock.advance(1s);
        EXPECT_TRUE(w.is_readable());
        w.queue.schedule(late, support::steady(500ms)); // for the next call
        EXPECT_EQ(w.queue.run_expired(), 2U);
        EXPECT_FALSE(w.is_readable());
        w.add('f', 1s, [&] {
            w.queue.schedule(late, support::steady(500ms)); // due before the outermost call began
        });
        w.clock.advance(1s);
        EXPECT_EQ(w.queue.run_expired(), 1U);
        EXPECT_TRUE(w.is_readable());
        EXPECT_EQ(w.queue.run_expired(), 1U);
        EXPECT_FALSE(w.is_readable());
        w.add('g', 1s);
    });
    w.add('b', 1s);
    w.add('c', 1s);
    w.clock.advance(1s);
    EXPECT_EQ(w.queue.run_expired(), 1U);
    EXPECT_EQ(w.text, "abceldfl");
    EXPECT_FALSE(w.is_readable());
    EXPECT_EQ(w.after(1), "g");
}

// Which lasts: what the queue does for its own sake is done there too.
TEST(timer_queue, a_loop_inside_a_callback_is_seldom_woken_for_nothing)
{
    written w;
    w.add('a', 1s, [&] {
        w.add('f', 500s);
        w.add('F', 24h * 30);
        int rounds = 0;
        while (!w.queue.empty() && ++rounds < 1000) {
            if (!w.is_readable())
                w.clock.set(w.clock.next().value());
            w.queue.run_expired();
        }
        EXPECT_LT(rounds, 20);
    });
    w.clock.advance(1);
    EXPECT_EQ(w.queue.run_expired(), 1U);
    EXPECT_EQ(w.text, "afF");
}

TEST(timer_queue, a_nested_call_may_throw_through_the_outer_one)
{
    written w;
    w.add('a', 1s, [&] { w.queue.run_expired(); });
    w.add('b', 1s, [] { throw std::runtime_error("b"); });
    w.add('c', 1s);
    w.clock.advance(1);
    EXPECT_EQ(message_of<std::runtime_error>([&] { w.queue.run_expired(); }), "b");
    EXPECT_EQ(w.text, "ab");
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.run(), "c");
}

TEST(timer_queue, a_nested_call_after_the_clock_was_set_back_keeps_all)
{
    written w;
    std::string expected;
    for (int n = 0; n < 26; ++n)
        w.add(static_cast<char>('a' + n), n * 10s);
    w.add('!', 5s, [&] {
        w.clock.set(900s);
        EXPECT_EQ(w.queue.run_expired(), 0U);
        w.add('n', 1s); // at 901
        EXPECT_EQ(w.queue.next_deadline(), 901s);
    });
    EXPECT_EQ(w.after(10), "a!b"); // the time was read once, for all of them
    EXPECT_EQ(w.queue.size(), 25U);
    EXPECT_FALSE(w.is_readable());
    w.clock.set(1250s);
    EXPECT_EQ(w.run(), "ncdefghijklmnopqrstuvwxyz");
}

// The descriptor was readable, for a later deadline than that of the timer.
TEST(timer_queue, what_is_due_keeps_it_readable_after_the_clock_was_set_back_and_more_is_scheduled)
{
    for (const bool in_callback : {false, true}) {
        written w;
        timer& late = w.make('l');
        const auto back = [&] {
            w.clock.set(900s);
            w.queue.schedule_at(w.make('n'), 950s);
            EXPECT_TRUE(w.is_readable());
        };
        w.add('a', 1s, [&] {
            w.queue.schedule_at(late, 500s);
            if (in_callback)
                back();
        });
        EXPECT_EQ(w.after(1, 1), "a");
        if (!in_callback)
            back();
        EXPECT_TRUE(w.is_readable());
        EXPECT_EQ(w.run(), "l");
        EXPECT_FALSE(w.is_readable());
        EXPECT_EQ(w.after(50), "n");
    }
}

TEST(timer_queue, limit_leaves_the_rest_readable_and_in_order)
{
    written w;
    for (char c = 'a'; c <= 'j'; ++c)
        w.add(c, 1s);
    w.clock.advance(1);
    EXPECT_EQ(w.run(0), "");
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.run(3), "abc");
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.run(1), "d");
    w.add('0', -1s); // before those that are left
    EXPECT_EQ(w.run(2), "0e");
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.run(), "fghij");
    EXPECT_FALSE(w.is_readable());
}

// Slack.

TEST(slack, expires_between_the_deadline_and_that_much_later)
{
    for (const nanoseconds slack : {1ns, 7ns, 1000ns, nanoseconds{1ms}, nanoseconds{3s}, nanoseconds{24h}}) {
        for (const nanoseconds each : delays()) {
            if (each < 0ns)
                continue;
            written w;
            timer& t = w.make('t');
            w.queue.schedule(t, each, slack);
            EXPECT_GE(t.deadline(), 1000s + each);
            EXPECT_LE(t.deadline(), 1000s + each + std::min(slack, nanoseconds::max() - 1000s - each));
        }
    }
    written w;
    timer& t = w.make('t');
    w.queue.schedule_at(t, nanoseconds::max() - 1ns, nanoseconds::max());
    EXPECT_GE(t.deadline(), nanoseconds::max() - 1ns);
    w.queue.schedule_at(t, nanoseconds{0}, 1s);
    EXPECT_EQ(t.deadline(), 0ns);
    w.queue.schedule_at(t, nanoseconds{1}, nanoseconds::max());
    EXPECT_EQ(t.deadline(), nanoseconds{std::int64_t{1} << 62}); // the roundest of all
}

std::size_t wakeups(nanoseconds slack)
{
    virtual_clock clock(CLOCK_MONOTONIC, 1000s);
    timer_queue queue(clock);
    std::vector<scheduled> held;
    std::size_t calls = 0;
    for (int n = 0; n < 1000; ++n)
        held.push_back(queue.after(
            1s + n * 1'000'003ns, [&calls] { ++calls; }, slack));
    std::size_t count = 0;
    while (const auto next = clock.next()) {
        clock.set(*next);
        EXPECT_TRUE(readable(queue.native_handle()));
        if (queue.run_expired() != 0) // a look for the queue's own sake is not counted: see below
            ++count;
    }
    EXPECT_EQ(calls, 1000U);
    return count;
}

TEST(slack, a_thousand_timers_share_their_wakeups)
{
    EXPECT_EQ(wakeups(0ns), 1000U);
    EXPECT_LE(wakeups(10ms), 130U); // slots of 8 ms at least in one second
    EXPECT_LE(wakeups(100ms), 17U);
    EXPECT_LE(wakeups(1s), 3U);
}

TEST(slack, of_every_puts_off_ticks_and_keeps_the_grid)
{
    written w(1000s + 1ns);
    std::vector<tick> ticks;
    const auto held = w.queue.every(
        100ms, [&](const tick& each) { ticks.push_back(each); }, missed_ticks::skip, 20ms);
    for (int n = 1; n <= 20; ++n) {
        const auto due = w.queue.next_deadline();
        ASSERT_TRUE(due.has_value());
        EXPECT_GE(*due, 1000s + 1ns + n * 100ms);
        EXPECT_LE(*due, 1000s + 1ns + n * 100ms + 20ms);
        w.clock.set(*due);
        EXPECT_EQ(w.queue.run_expired(), 1U);
        EXPECT_EQ(ticks.back(), (tick{static_cast<std::uint64_t>(n), 0, 1000s + 1ns + n * 100ms}));
    }
}

// How often an idle queue wakes.

TEST(timer_queue, a_new_earliest_deadline_moves_the_time_at_which_it_wakes)
{
    written w;
    EXPECT_EQ(w.clock.next(), std::nullopt);
    timer& t = w.add('t', 20s);
    EXPECT_EQ(w.clock.next(), 1020s);
    w.add('a', 10s);
    EXPECT_EQ(w.clock.next(), 1010s);
    w.add('b', 15s);
    EXPECT_EQ(w.clock.next(), 1010s);
    EXPECT_TRUE(w.queue.reschedule(t, 5s));
    EXPECT_EQ(w.clock.next(), 1005s);
    w.add('0', 1s, [&] { w.add('c', 1s); }); // in a callback: when all have run
    EXPECT_EQ(w.after(1), "0");
    EXPECT_EQ(w.clock.next(), 1002s);
    EXPECT_EQ(w.after(3), "c");
    EXPECT_EQ(w.clock.next(), 1005s);
}

TEST(timer_queue, one_far_timer_costs_few_wakeups_of_its_own)
{
    const auto count = [](nanoseconds delay, int timers) {
        virtual_clock clock(CLOCK_MONOTONIC, 1000s);
        timer_queue queue(clock);
        std::vector<scheduled> held;
        for (int n = 0; n < timers; ++n)
            held.push_back(queue.after(delay, [] {}));
        int spurious = 0;
        while (const auto next = clock.next()) {
            EXPECT_GT(*next, clock.now());
            clock.set(*next);
            if (queue.run_expired() == 0)
                ++spurious;
        }
        EXPECT_TRUE(queue.empty());
        return spurious;
    };
    EXPECT_EQ(count(10ms, 1), 0);
    EXPECT_EQ(count(1min, 1), 0);
    EXPECT_LE(count(10min, 1), 1);
    EXPECT_LE(count(24h * 5, 1), 1);
    EXPECT_LE(count(24h * 365, 1), 2);
    // Many that must be moved from ring to ring: some 256 in each.
    EXPECT_LE(count(1min, 1000), 1);
    EXPECT_LE(count(10min, 1000), 6);
    EXPECT_LE(count(24h * 365, 1000), 12);
}

// Moving queues.

TEST(timer_queue, moves_with_its_timers_and_in_a_callback_too)
{
    virtual_clock clock;
    int calls = 0;
    callback_timer t([&] { ++calls; });
    timer_queue first(clock);
    first.schedule(t, 1s);
    const int fd = first.native_handle();
    timer_queue second(std::move(first));
    EXPECT_EQ(second.native_handle(), fd);
    clock.advance(1);
    EXPECT_EQ(second.run_expired(), 1U);
    std::optional<timer_queue> third;
    callback_timer mover([&] { third.emplace(std::move(second)); });
    second.schedule(mover, 0s);
    second.schedule(t, 0s);
    EXPECT_EQ(second.run_expired(), 2U);
    EXPECT_EQ(calls, 2);
    third->schedule(t, 1s);
    EXPECT_TRUE(t.scheduled());
    // Assignment ends what was there, and keeps what comes.
    timer_queue fourth(clock);
    callback_timer lost([] { ADD_FAILURE(); });
    fourth.schedule(lost, 1s);
    fourth = std::move(*third);
    EXPECT_FALSE(lost.scheduled());
    EXPECT_TRUE(t.scheduled());
    auto& same = fourth;
    fourth = std::move(same);
    clock.advance(1);
    EXPECT_EQ(fourth.run_expired(), 1U);
    EXPECT_EQ(calls, 3);
}

TEST(timer_queue, its_end_leaves_timers_that_may_go_to_another)
{
    virtual_clock clock;
    int calls = 0;
    callback_timer t([&] { ++calls; });
    callback_timer far([&] { ++calls; });
    {
        timer_queue queue(clock);
        queue.schedule(t, 1s);
        queue.schedule(far, 24h);
    }
    EXPECT_FALSE(t.scheduled());
    EXPECT_FALSE(far.scheduled());
    EXPECT_FALSE(t.cancel());
    timer_queue queue(clock);
    queue.schedule(t, 1s);
    clock.advance(1);
    EXPECT_EQ(queue.run_expired(), 1U);
    EXPECT_EQ(calls, 1);
}

// What functions hold ends with the queue, and may hold other timers, handles and the like.
TEST(timer_queue, its_end_may_destroy_timers_by_the_functions_it_kept)
{
    struct owner {
        explicit owner(int& of)
            : alive(of)
        {
            ++alive;
        }
        ~owner() { --alive; }
        owner(const owner&) = delete;
        owner& operator=(const owner&) = delete;
        int& alive;
        scheduled handle;
        timer own{[](timer&) { ADD_FAILURE(); }};
    };
    int alive = 0;
    for (const bool in_a_callback : {false, true}) {
        virtual_clock clock;
        auto queue = std::make_unique<timer_queue>(clock);
        for (int n = 0; n < 50; ++n) {
            const auto one = std::make_shared<owner>(alive);
            queue->schedule(one->own, 5s * (n + 1));
            one->handle = queue->after(3s, [] { ADD_FAILURE(); });
            queue->after(7s * (n % 7 + 1), [one] { ADD_FAILURE(); }).detach();
        }
        EXPECT_EQ(alive, 50);
        queue
            ->after(0s,
                    [&] {
                        if (in_a_callback)
                            queue.reset();
                    })
            .detach();
        queue->run_expired();
        queue.reset();
        EXPECT_EQ(alive, 0);
    }
}

// Or use the queue once more.
TEST(timer_queue, what_is_scheduled_while_it_ends_is_not_scheduled_afterwards)
{
    struct last_words {
        timer_queue& queue;
        timer& which;
        int& alive;
        ~last_words()
        {
            queue.schedule(which, 1s);
            queue.after(1s, [] { ADD_FAILURE(); }).detach();
            --alive;
        }
    };
    for (const bool asked_from_elsewhere : {false, true}) {
        timer t([](timer&) { ADD_FAILURE(); });
        int alive = 1;
        {
            timer_queue queue;
            auto remote = queue.remote_handle();
            auto function = [last = std::shared_ptr<last_words>(new last_words{queue, t, alive})] { ADD_FAILURE(); };
            if (asked_from_elsewhere)
                remote.after(1s, std::move(function));
            else
                queue.after(1s, std::move(function)).detach();
        }
        EXPECT_EQ(alive, 0);
        EXPECT_FALSE(t.scheduled());
    }
}

// Handles.

TEST(scheduled_handle, its_end_is_the_end_of_the_callback)
{
    written w;
    int calls = 0;
    {
        const auto held = w.queue.after(1s, [&] { ++calls; });
        EXPECT_TRUE(held.active());
    }
    EXPECT_TRUE(w.queue.empty());
    auto first = w.queue.after(1s, [&] { ++calls; });
    auto second = w.queue.after(1s, [&] { calls += 10; });
    second = std::move(first); // ends the one, keeps the other
    EXPECT_EQ(w.queue.size(), 1U);
    auto& same = second;
    second = std::move(same);
    EXPECT_TRUE(second.active());
    w.clock.advance(1);
    EXPECT_EQ(w.queue.run_expired(), 1U);
    EXPECT_EQ(calls, 1);
    EXPECT_FALSE(second.active());
    second.cancel();
    scheduled nothing;
    EXPECT_FALSE(nothing.active());
    nothing.cancel();
    nothing.detach();
}

TEST(scheduled_handle, cancel_is_allowed_in_the_callback_and_frees_what_it_holds_afterwards)
{
    written w;
    for (const bool repeated : {false, true}) {
        auto token = std::make_shared<int>(0);
        scheduled held;
        const auto f = [&held, token] {
            ++*token;
            held.cancel();
            EXPECT_FALSE(held.active());
            ++*token; // it is still there
        };
        held = repeated ? w.queue.every(1s, f) : w.queue.after(1s, f);
        w.clock.advance(1);
        EXPECT_EQ(w.queue.run_expired(), 1U);
        EXPECT_EQ(*token, 2);
        EXPECT_TRUE(w.queue.empty());
        w.clock.advance(5);
        EXPECT_EQ(w.queue.run_expired(), 0U);
    }
}

TEST(scheduled_handle, a_callback_may_replace_its_own_handle)
{
    written w;
    int calls = 0;
    scheduled held;
    std::function<void()> again = [&] {
        if (++calls < 5)
            held = w.queue.after(1s, again);
    };
    held = w.queue.after(1s, again);
    for (int n = 0; n < 10; ++n) {
        w.clock.advance(1);
        w.queue.run_expired();
    }
    EXPECT_EQ(calls, 5);
}

TEST(scheduled_handle, detached_callbacks_run_and_are_freed)
{
    written w;
    const auto token = std::make_shared<int>(0);
    w.queue.after(1s, [token] { ++*token; }).detach();
    w.queue.every(1s, [token] { ++*token; }).detach();
    w.queue.after(1000s, [token] { ++*token; }).detach();
    EXPECT_EQ(token.use_count(), 4);
    w.clock.advance(1);
    EXPECT_EQ(w.queue.run_expired(), 2U);
    EXPECT_EQ(token.use_count(), 3);
    w.queue = timer_queue(w.clock);
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_EQ(*token, 2);
}

TEST(scheduled_handle, may_outlive_the_queue)
{
    const auto token = std::make_shared<int>(0);
    scheduled one, more;
    {
        virtual_clock clock;
        timer_queue queue(clock);
        one = queue.after(1s, [token] { ++*token; });
        more = queue.every(1s, [token] { ++*token; });
        EXPECT_TRUE(one.active() && more.active());
    }
    EXPECT_FALSE(one.active() || more.active());
    one.cancel();
    more.detach();
    EXPECT_EQ(token.use_count(), 1);
}

TEST(scheduled_handle, what_a_function_owns_may_hold_its_handle)
{
    struct session {
        scheduled timeout;
        int calls = 0;
    };
    written w;
    auto one = std::make_shared<session>();
    one->timeout = w.queue.after(1s, [weak = std::weak_ptr<session>(one)] {
        if (const auto strong = weak.lock())
            ++strong->calls;
    });
    const std::weak_ptr<session> watched = one;
    w.queue.after(2s, [kept = std::move(one)] { EXPECT_EQ(kept->calls, 1); }).detach();
    w.clock.advance(2);
    EXPECT_EQ(w.queue.run_expired(), 2U);
    EXPECT_TRUE(watched.expired());
}

// every()

std::vector<tick> ticks_of(missed_ticks policy, const std::vector<nanoseconds>& looks)
{
    virtual_clock clock(CLOCK_MONOTONIC, 1000s);
    timer_queue queue(clock);
    std::vector<tick> got;
    const auto held = queue.every(
        10s, [&](const tick& each) { got.push_back(each); }, policy);
    for (const nanoseconds each : looks) {
        clock.set(1000s + each);
        while (queue.run_expired() != 0) { // one in each call
        }
    }
    return got;
}

TEST(every, on_time_all_policies_are_alike)
{
    for (const auto policy : {missed_ticks::burst, missed_ticks::delay, missed_ticks::skip}) {
        const std::vector<tick> expected{{1, 0, 1010s}, {2, 0, 1020s}, {3, 0, 1030s}};
        EXPECT_EQ(ticks_of(policy, {9s, 10s, 20s, 29s, 30s + 1ns}), expected);
    }
}

TEST(every, burst_makes_up_for_all_that_were_missed)
{
    const std::vector<tick> expected{{1, 0, 1010s}, {2, 0, 1020s}, {3, 0, 1030s}, {4, 0, 1040s}, {5, 0, 1050s}};
    EXPECT_EQ(ticks_of(missed_ticks::burst, {10s, 45s, 49s, 50s}), expected);
}

TEST(every, burst_gives_one_tick_in_each_call)
{
    written w;
    int calls = 0;
    const auto held = w.queue.every(
        1s, [&] { ++calls; }, missed_ticks::burst);
    w.clock.advance(5);
    for (int n = 1; n <= 5; ++n) {
        EXPECT_TRUE(w.is_readable());
        EXPECT_EQ(w.queue.run_expired(), 1U);
        EXPECT_EQ(calls, n);
    }
    EXPECT_FALSE(w.is_readable());
}

TEST(every, skip_drops_them_and_keeps_the_grid)
{
    const std::vector<tick> expected{{1, 0, 1010s}, {4, 2, 1040s}, {5, 0, 1050s}, {7, 1, 1070s}};
    EXPECT_EQ(ticks_of(missed_ticks::skip, {10s, 45s, 49s, 50s, 70s}), expected);
}

TEST(every, delay_drops_them_and_goes_on_from_the_late_one)
{
    const std::vector<tick> expected{{1, 0, 1010s}, {4, 2, 1040s}, {5, 0, 1055s}, {6, 0, 1065s}};
    EXPECT_EQ(ticks_of(missed_ticks::delay, {10s, 45s, 50s, 55s, 65s}), expected);
}

TEST(every, millions_of_missed_ticks_are_counted_at_once)
{
    written w;
    std::vector<tick> got;
    const auto held = w.queue.every(1ns, [&](const tick& each) { got.push_back(each); });
    w.clock.advance(3600);
    EXPECT_EQ(w.queue.run_expired(), 1U);
    const std::vector<tick> expected{{3'600'000'000'000, 3'599'999'999'999, 1000s + 3600s}};
    EXPECT_EQ(got, expected);
}

TEST(every, a_nested_call_that_finds_the_clock_set_back_takes_no_tick_back)
{
    written w;
    std::vector<tick> got;
    w.add('!', 1s, [&] {
        w.clock.set(900s);
        w.queue.run_expired();
    });
    const auto held = w.queue.every(1s, [&](const tick& each) { got.push_back(each); });
    EXPECT_EQ(w.clock.now(), 1000s);
    w.clock.advance(1);
    w.queue.run_expired();
    EXPECT_EQ(w.queue.next_deadline(), 1002s);
    w.clock.set(1002s);
    w.queue.run_expired();
    const std::vector<tick> expected{{1, 0, 1001s}, {2, 0, 1002s}};
    EXPECT_EQ(got, expected);
}

TEST(every, may_be_cancelled_scheduled_and_destroyed_by_others)
{
    written w;
    int calls = 0;
    auto held = w.queue.every(1s, [&] { ++calls; });
    w.add('x', 3s, [&] { held.cancel(); });
    for (int n = 0; n < 10; ++n) {
        w.clock.advance(1);
        w.queue.run_expired();
    }
    EXPECT_EQ(calls, 2); // `x` was scheduled before the third
    EXPECT_TRUE(w.queue.empty());
}

TEST(every, a_period_as_long_as_time_comes_never)
{
    written w;
    const auto held = w.queue.every(nanoseconds::max(), [] { ADD_FAILURE(); });
    w.clock.set(nanoseconds::max() - 1ns);
    EXPECT_EQ(w.queue.run_expired(), 0U);
    EXPECT_TRUE(held.active());
}

// Errors: with a message, and nothing has changed.

template <class E, class F>
void refused(written& w, const std::string& text, F f)
{
    const auto first = w.queue.next_deadline();
    const std::size_t size = w.queue.size();
    EXPECT_EQ(message_of<E>(f), text);
    EXPECT_EQ(w.queue.next_deadline(), first);
    EXPECT_EQ(w.queue.size(), size);
}

TEST(timer_queue_errors, a_time_point_of_another_clock)
{
    written w;
    timer& t = w.add('t', 5s);
    const std::string text =
        "timer_queue: a time point of the real-time clock (std::chrono::system_clock), but the queue "
        "runs on the monotonic clock (std::chrono::steady_clock)";
    refused<std::invalid_argument>(w, text, [&] { w.queue.schedule(t, std::chrono::system_clock::now()); });
    refused<std::invalid_argument>(w, text, [&] { w.queue.reschedule(t, std::chrono::system_clock::now()); });
    refused<std::invalid_argument>(w, text, [&] { (void)w.queue.at(std::chrono::system_clock::now(), [] {}); });
    refused<std::invalid_argument>(w, text,
                                   [&] { w.queue.remote_handle().schedule(t, std::chrono::system_clock::now()); });
    refused<std::invalid_argument>(w, text,
                                   [&] { w.queue.remote_handle().at(std::chrono::system_clock::now(), [] {}); });
    EXPECT_EQ(t.deadline(), 1005s);
    const auto names = [](int clock, auto time) {
        virtual_clock it(clock);
        timer_queue queue(it);
        callback_timer each([] {});
        return message_of<std::invalid_argument>([&] { queue.schedule(each, time); });
    };
    EXPECT_NE(names(CLOCK_BOOTTIME_ALARM, steady_clock::time_point()).find("boot-time clock"), std::string::npos);
    EXPECT_NE(names(CLOCK_REALTIME, tocsin::boot_clock::time_point()).find("boot-time clock"), std::string::npos);
    EXPECT_NE(names(CLOCK_REALTIME_ALARM, steady_clock::time_point()).find("real-time clock"), std::string::npos);
    EXPECT_EQ(w.after(5), "t");
}

TEST(timer_queue_errors, time_points_on_the_right_clock_are_taken)
{
    const auto taken = [](int clock, auto time) {
        virtual_clock it(clock);
        timer_queue queue(it);
        callback_timer each([] {});
        queue.schedule(each, time);
        return each.deadline();
    };
    EXPECT_EQ(taken(CLOCK_MONOTONIC, steady_clock::time_point(5s)), 5s);
    EXPECT_EQ(taken(CLOCK_REALTIME, std::chrono::system_clock::time_point(5s)), 5s);
    EXPECT_EQ(taken(CLOCK_REALTIME_ALARM, std::chrono::sys_days(std::chrono::days(2))), 48h);
    EXPECT_EQ(taken(CLOCK_BOOTTIME, tocsin::boot_clock::time_point(5s)), 5s);
    EXPECT_EQ(taken(CLOCK_BOOTTIME_ALARM, tocsin::boot_clock::time_point(5s)), 5s);
}

TEST(timer_queue_errors, a_time_point_that_is_none)
{
    written w;
    timer& t = w.add('t', 5s);
    const std::chrono::duration<double> none(std::numeric_limits<double>::quiet_NaN());
    refused<std::invalid_argument>(w, "a point of time: NaN is not a time", [&] {
        w.queue.schedule(t, std::chrono::time_point<steady_clock, std::chrono::duration<double>>(none));
    });
    EXPECT_EQ(w.after(5), "t");
}

TEST(timer_queue_errors, a_negative_slack)
{
    written w;
    timer& t = w.add('t', 5s);
    const std::string text = "timer_queue: slack -1 ns: must not be negative";
    refused<std::invalid_argument>(w, text, [&] { w.queue.schedule(t, 1s, -1ns); });
    refused<std::invalid_argument>(w, text, [&] { w.queue.schedule_at(t, -1s, -1ns); });
    refused<std::invalid_argument>(w, text, [&] { w.queue.reschedule(t, 1s, -1ns); });
    refused<std::invalid_argument>(w, text, [&] {
        (void)w.queue.after(
            1s, [] {}, -1ns);
    });
    refused<std::invalid_argument>(w, text, [&] {
        (void)w.queue.at(
            steady(1s), [] {}, -1ns);
    });
    refused<std::invalid_argument>(w, text, [&] {
        (void)w.queue.every(
            1s, [] {}, missed_ticks::skip, -1ns);
    });
    EXPECT_EQ(w.after(5), "t");
}

TEST(timer_queue_errors, a_timer_of_another_queue)
{
    written w;
    written other;
    timer& t = w.add('t', 5s);
    refused<std::logic_error>(other, "timer_queue: the timer is scheduled in another queue",
                              [&] { other.queue.schedule(t, 1s); });
    EXPECT_EQ(t.deadline(), 1005s);
    EXPECT_EQ(w.queue.size(), 1U);
    EXPECT_TRUE(t.cancel());
    other.queue.schedule(t, 1s);
    EXPECT_EQ(other.queue.size(), 1U);
    other.clock.advance(1);
    EXPECT_EQ(other.queue.run_expired(), 1U);
}

TEST(timer_queue_errors, an_empty_function_and_a_period_that_is_none)
{
    written w;
    w.add('t', 5s);
    const std::string empty = "timer_queue: empty function";
    refused<std::invalid_argument>(w, empty, [&] { (void)w.queue.after(1s, nullptr); });
    refused<std::invalid_argument>(w, empty, [&] { (void)w.queue.at(steady(1s), {}); });
    refused<std::invalid_argument>(w, empty, [&] { (void)w.queue.every(1s, std::function<void()>()); });
    refused<std::invalid_argument>(w, empty, [&] { (void)w.queue.every(1s, std::function<void(const tick&)>()); });
    refused<std::invalid_argument>(w, empty, [&] { (void)w.queue.every(1s, static_cast<void (*)()>(nullptr)); });
    refused<std::invalid_argument>(w, empty, [&] { w.queue.remote_handle().after(1s, nullptr); });
    refused<std::invalid_argument>(w, empty, [&] { w.queue.remote_handle().at(steady(1s), nullptr); });
    for (const nanoseconds period : {0ns, -1ns, nanoseconds::min()}) {
        refused<std::invalid_argument>(
            w, "timer_queue::every: " + std::to_string(period.count()) + " ns: a period must be above zero",
            [&] { (void)w.queue.every(period, [] {}); });
    }
    EXPECT_EQ(w.after(5), "t");
}

TEST(timer_queue_errors, an_unknown_clock_and_a_wait_for_less_than_nothing)
{
    EXPECT_EQ(support::errno_of([] { const timer_queue queue(CLOCK_MONOTONIC_RAW); }), EINVAL);
    EXPECT_EQ(message_of<std::system_error>([] { const timer_queue queue(99); }),
              "timerfd_create: clock 99: Invalid argument");
    written w;
    EXPECT_EQ(message_of<std::invalid_argument>([&] { w.queue.wait(-1); }),
              "timer_queue::wait: -1 s: a time must not be negative");
    EXPECT_THROW(w.queue.wait(std::nan("")), std::invalid_argument);
    EXPECT_THROW(w.queue.wait(1e300), std::overflow_error);
    EXPECT_FALSE(w.queue.wait(0));
    w.add('t', 0s);
    EXPECT_TRUE(w.queue.wait(0));
    EXPECT_TRUE(w.queue.wait());
}

} // namespace
