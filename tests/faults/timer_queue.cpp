// What a timer_queue asks of the kernel, counted, and what it does without.

#include <tocsin/tocsin.hpp>

#include <optional>

#include "inject.hpp"
#include "state.hpp"

using namespace std::chrono_literals;
using support::expect_under_injection;
using support::injection;
using tocsin::callback_timer;
using tocsin::timer_queue;
using tocsin::virtual_clock;

namespace {

bool readable(int fd)
{
    pollfd each{fd, POLLIN, 0};
    return ::poll(&each, 1, 0) == 1;
}

// But for read, write and close: sanitizers look into memory by way of a pipe.
const std::vector<long> all_calls = {
    SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_eventfd2, SYS_dup3, SYS_futex};

// System calls since the last look, but for those of a test's own.
class counter {
public:
    explicit counter(injection& of)
        : of_(of)
    {
        since();
    }
    int since(long number = 0)
    {
        int sum = 0;
        for (const long each : all_calls) {
            if (number == 0 || each == number)
                sum += of_.calls(each);
        }
        const int result = sum - last_;
        last_ = sum;
        return result;
    }

private:
    injection& of_;
    int last_ = 0;
};

TEST(timer_queue_calls, none_but_for_the_new_earliest_deadline)
{
    expect_under_injection(all_calls, [](injection& inject) {
        timer_queue queue;
        std::vector<std::unique_ptr<tocsin::timer>> timers;
        for (int n = 0; n < 1000; ++n)
            timers.push_back(std::make_unique<tocsin::timer>([](tocsin::timer&) {}));
        counter calls(inject);
        queue.schedule(*timers[0], 1000s);
        EXPECT_EQ(calls.since(), 1); // the earliest
        for (std::size_t n = 1; n < 1000; ++n)
            queue.schedule(*timers[n], 1000s + n * 100ms);
        EXPECT_EQ(calls.since(), 0);
        for (std::size_t n = 1; n < 1000; ++n)
            EXPECT_TRUE(queue.reschedule(*timers[n], 4000s + n * 1s));
        EXPECT_EQ(calls.since(), 0);
        for (std::size_t n = 1; n < 500; ++n)
            EXPECT_TRUE(timers[n]->cancel());
        EXPECT_EQ(calls.since(), 0);
        queue.schedule(*timers[0], 3000s); // the earliest put off: it is asked about once too early
        EXPECT_TRUE(timers[0]->cancel());
        EXPECT_EQ(calls.since(), 0);
        queue.schedule(*timers[1], 900s); // a new earliest one
        EXPECT_EQ(calls.since(), 1);
        for (const auto& each : timers)
            each->cancel();
        EXPECT_EQ(calls.since(), 0);
        static_cast<void>(queue.now());
        static_cast<void>(queue.last_now());
        static_cast<void>(queue.next_deadline());
        static_cast<void>(queue.native_handle());
        EXPECT_EQ(calls.since(), 0);
        EXPECT_EQ(queue.run_expired(), 0U);
        EXPECT_EQ(calls.since(), 0); // nothing due, and the descriptor says so
    });
}

TEST(timer_queue_calls, one_for_a_run_whatever_its_callbacks_schedule)
{
    expect_under_injection(all_calls, [](injection& inject) {
        timer_queue queue;
        int calls_made = 0;
        std::vector<std::unique_ptr<tocsin::timer>> others;
        for (int n = 0; n < 100; ++n)
            others.push_back(std::make_unique<tocsin::timer>([](tocsin::timer&) {}));
        callback_timer t([&] {
            ++calls_made;
            for (std::size_t n = 0; n < 100; ++n)
                queue.schedule(*others[n], std::chrono::seconds(1000 - static_cast<int>(n)));
        });
        counter calls(inject);
        queue.schedule(t, 0s);
        EXPECT_EQ(calls.since(), 1);
        EXPECT_EQ(queue.run_expired(), 1U);
        EXPECT_EQ(calls_made, 1);
        EXPECT_EQ(calls.since(), 1);
        EXPECT_EQ(queue.run_expired(), 0U);
        EXPECT_EQ(calls.since(), 0);
    });
}

TEST(timer_queue_calls, remote_wakes_only_a_thread_that_would_sleep_too_long)
{
    expect_under_injection({SYS_timerfd_settime}, [](injection& inject) {
        timer_queue queue;
        auto remote = queue.remote_handle();
        callback_timer first([] {});
        callback_timer t([] {});
        queue.schedule(first, 1000s);
        const int before = inject.calls(SYS_timerfd_settime);
        for (int n = 0; n < 100; ++n) {
            EXPECT_TRUE(remote.schedule(t, 1001s));
            EXPECT_TRUE(remote.cancel(first));
        }
        EXPECT_EQ(inject.calls(SYS_timerfd_settime), before);
        EXPECT_TRUE(remote.schedule(t, 500s));
        EXPECT_EQ(inject.calls(SYS_timerfd_settime), before + 1);
        EXPECT_FALSE(readable(queue.native_handle()));
    });
}

// A child that is refused a descriptor is told so by the calls that need one, keeps what it has, and goes on when it may.
void refused_in_the_child(injection& inject, timer_queue queue, long number)
{
    int calls = 0;
    callback_timer due([&] { ++calls; });
    callback_timer far([&] { calls += 10; });
    callback_timer fresh([&] { calls += 100; });
    callback_timer first([&] { ++calls; });
    queue.schedule(due, 0s);
    queue.schedule(far, 1000s);
    queue.schedule(first, -1s);
    EXPECT_EQ(queue.run_expired(1), 1U); // what is left keeps the descriptor readable
    const int fd = queue.native_handle();
    inject.fail(number, EMFILE, 0, injection::always);
    const int status = support::in_child([&] {
        const auto told = [](auto f) { return support::errno_of(f) == EMFILE; };
        auto remote = queue.remote_handle();
        if (!told([&] { (void)queue.native_handle(); }))
            return 1;
        if (!told([&] { queue.schedule(fresh, -5s); }) || fresh.scheduled())
            return 2;
        if (!told([&] { queue.run_expired(); }) || calls != 1 || queue.size() != 2)
            return 3;
        if (!told([&] { remote.after(-10s, [&] { calls += 1000; }); }))
            return 4;
        if (!told([&] { remote.sync(); }))
            return 5;
        if (!told([&] { queue.wait(0); }))
            return 6;
        due.cancel();
        if (!told([&] { queue.run_expired(); }))
            return 7;
        queue.schedule(fresh, 2000s); // needs none
        if (!readable(fd))            // the parent's, untouched
            return 8;
        inject.stop();
        if (queue.run_expired() != 0 || readable(queue.native_handle()) || queue.native_handle() != fd)
            return 9;
        queue.schedule(due, 0s);
        if (!readable(fd) || queue.run_expired() != 1 || calls != 2)
            return 10;
        return readable(fd) ? 11 : 0;
    });
    inject.stop();
    EXPECT_TRUE(support::exited_with(status, 0)) << "system call " << number << ": wait status " << status;
    EXPECT_TRUE(readable(fd));
    EXPECT_EQ(queue.run_expired(), 1U);
    EXPECT_EQ(calls, 2);
    EXPECT_FALSE(readable(fd));
}

TEST(timer_queue_calls, a_child_that_is_refused_a_descriptor_is_told_and_changes_nothing)
{
    expect_under_injection({SYS_timerfd_create, SYS_eventfd2, SYS_dup3}, [](injection& inject) {
        for (const long number : {SYS_timerfd_create, SYS_dup3})
            refused_in_the_child(inject, timer_queue(), number);
        virtual_clock clock(CLOCK_MONOTONIC, 1000s);
        for (const long number : {SYS_eventfd2, SYS_dup3})
            refused_in_the_child(inject, timer_queue(clock), number);
    });
}

TEST(timer_queue_calls, a_child_that_is_refused_a_descriptor_leaves_the_parents_when_it_sets_its_clock)
{
    expect_under_injection({SYS_eventfd2}, [](injection& inject) {
        tocsin::virtual_clock clock;
        timer_queue queue(clock);
        callback_timer due([] {});
        queue.schedule(due, 1s);
        const int fd = queue.native_handle();
        inject.fail(SYS_eventfd2, EMFILE, 0, injection::always);
        const int status = support::in_child([&] {
            clock.advance(2);
            if (inject.stop() != 1 || readable(fd))
                return 1;
            return readable(queue.native_handle()) && queue.run_expired() == 1 ? 0 : 2;
        });
        EXPECT_TRUE(support::exited_with(status, 0)) << status;
        EXPECT_FALSE(readable(fd));
    });
}

TEST(timer_queue_calls, a_callback_that_forks_a_child_without_a_descriptor_loses_nothing)
{
    expect_under_injection({SYS_timerfd_create}, [](injection& inject) {
        timer_queue queue;
        int calls = 0;
        pid_t child = -1;
        callback_timer next([&] { ++calls; });
        callback_timer first([&] {
            inject.fail(SYS_timerfd_create, EMFILE, 0, injection::always);
            child = ::fork();
            if (child == 0)
                queue.schedule(next, 5ms);
        });
        queue.schedule(first, 0s);
        EXPECT_EQ(queue.run_expired(), 1U);
        if (child == 0) {
            inject.stop();
            const bool came = queue.wait(20) && queue.run_expired() == 1 && calls == 1;
            ::_exit(came ? 0 : 1);
        }
        int status = 0;
        while (::waitpid(child, &status, 0) == -1 && errno == EINTR) {
        }
        EXPECT_TRUE(support::exited_with(status, 0)) << status;
    });
}

TEST(timer_queue_calls, an_interval_in_such_a_child_keeps_its_ticks)
{
    expect_under_injection({SYS_timerfd_create}, [](injection& inject) {
        tocsin::interval each(0.001, tocsin::missed_ticks::burst);
        EXPECT_EQ(each.wait().number, 1U);
        const int status = support::in_child([&] {
            inject.fail(SYS_timerfd_create, ENFILE, 0, injection::always);
            const auto due = each.next_due();
            while (std::chrono::steady_clock::now().time_since_epoch() < due + 5ms) {
            }
            if (support::errno_of([&] { each.wait(); }) != ENFILE || each.next_due() != due)
                return 1;
            if (support::errno_of([&] { each.restart(); }) != ENFILE || each.next_due() != due)
                return 2;
            inject.stop();
            for (std::uint64_t n = 2; n <= 6; ++n) {
                if (each.wait().number != n)
                    return 3;
            }
            return 0;
        });
        EXPECT_TRUE(support::exited_with(status, 0)) << status;
        EXPECT_EQ(each.wait().number, 2U);
    });
}

TEST(timer_queue_calls, constructors_say_what_was_refused_and_leave_nothing)
{
    expect_under_injection({SYS_timerfd_create, SYS_eventfd2}, [](injection& inject) {
        virtual_clock clock;
        { // claims the process: once, and that stays
            const timer_queue queue;
        }
        for (const int error : {EMFILE, ENFILE, ENOMEM}) {
            const support::process_state before;
            inject.fail(SYS_timerfd_create, error, 0, injection::always);
            inject.fail(SYS_eventfd2, error, 0, injection::always);
            EXPECT_EQ(support::errno_of([] { const timer_queue queue; }), error);
            EXPECT_EQ(support::errno_of([] { const tocsin::interval each(1); }), error);
            EXPECT_EQ(support::errno_of([&] { const timer_queue queue(clock); }), error);
            EXPECT_EQ(support::errno_of([&] { const tocsin::interval each(clock, 1); }), error);
            EXPECT_EQ(inject.stop(), 4);
            EXPECT_EQ(clock.next(), std::nullopt);
            support::expect_unchanged(before, "constructors");
        }
    });
}

} // namespace
