#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <tocsin/clock.hpp>
#include <tocsin/config.hpp>
#include <tocsin/interval.hpp>
#include <tocsin/seconds.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

namespace detail {
class timer_wheel;
struct queue_state;
struct queue_link;
struct timer_task;
} // namespace detail

/// A timer of a timer_queue: a member or a base of what it is for. 56 bytes; nothing is allocated for it, ever.
/// Context: the thread of the queue in which it is scheduled; any if in none.
class timer {
public:
    using function = void (*)(timer&);

    /// `expired` is called by run_expired(), on the queue's thread, with the timer no longer scheduled: it may schedule it
    /// again, or destroy it.
    explicit timer(function expired) noexcept
        : expired_(expired)
    {}
    timer(std::nullptr_t) = delete;
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    ~timer() { cancel(); }

    [[nodiscard]] bool scheduled() const noexcept { return wheel_ != nullptr; }
    /// When it is due, since the epoch of its queue's clock; while it runs and afterwards, when it last was.
    [[nodiscard]] std::chrono::nanoseconds deadline() const noexcept { return std::chrono::nanoseconds{deadline_}; }
    /// It will not expire. False if it was not scheduled. O(1).
    bool cancel() noexcept
    {
        if (wheel_ == nullptr)
            return false;
        remove();
        return true;
    }

private:
    friend class detail::timer_wheel;
    friend class timer_queue;
    TOCSIN_API void remove() noexcept;

    detail::timer_wheel* wheel_ = nullptr; // null: not scheduled
    timer* next_ = nullptr;                // in its list, or the next sibling in its heap
    timer** back_ = nullptr;               // what points to this
    timer* child_ = nullptr;               // in a heap
    std::int64_t deadline_ = 0;
    std::uint64_t order_ = 0; // of scheduling, and in the low bits where it is
    function expired_;
};

/// A timer with a callable in it: `callback_timer retry([&] { connect(); });`.
template <std::invocable F>
class callback_timer final : public timer {
public:
    explicit callback_timer(F f)
        : timer([](timer& self) { static_cast<callback_timer&>(self).f_(); })
        , f_(std::move(f))
    {}

private:
    F f_;
};

/// What after(), at() and every() return: the callback may run while it lives. Movable. Context: the queue's thread;
/// it may outlive the queue.
class [[nodiscard]] scheduled {
public:
    /// Holds nothing.
    scheduled() noexcept = default;
    scheduled(scheduled&&) noexcept = default;
    scheduled& operator=(scheduled&& other) noexcept
    {
        if (this != &other) {
            cancel();
            task_ = std::move(other.task_);
        }
        return *this;
    }
    scheduled(const scheduled&) = delete;
    scheduled& operator=(const scheduled&) = delete;
    ~scheduled() { cancel(); }

    /// The callback does not run any more. Allowed in the callback itself.
    TOCSIN_API void cancel() noexcept;
    /// It will run (again).
    [[nodiscard]] TOCSIN_API bool active() const noexcept;
    /// Lets it run without this: the queue keeps it.
    TOCSIN_API void detach() noexcept;

private:
    friend class timer_queue;
    explicit scheduled(std::shared_ptr<detail::timer_task> task) noexcept
        : task_(std::move(task))
    {}
    std::shared_ptr<detail::timer_task> task_;
};

/// Any number of timers on one timer descriptor.
///
/// An event loop polls native_handle() and calls run_expired() when it is readable; a thread of its own calls wait()
/// before. Scheduling and cancelling are O(1), allocate nothing and cost no system call but for the new earliest
/// deadline.
/// Guarantee (G14): timers expire in the exact order of their deadlines, to the nanosecond, those of equal deadlines in the
/// order they were scheduled; none before its deadline.
/// Context: one thread at a time, its timers included; other threads use remote().
/// Across fork() parent and child go on, each by itself, with the timers it has, under the same descriptor number; not if
/// another thread forks while the queue is in use.
class timer_queue {
public:
    /// Clocks: CLOCK_MONOTONIC, CLOCK_BOOTTIME (counts the time the machine sleeps), CLOCK_REALTIME (follows the clock when it
    /// is set) and, with the right to wake the system, CLOCK_BOOTTIME_ALARM and CLOCK_REALTIME_ALARM.
    /// Errors: as timerfd_create(); std::bad_alloc.
    TOCSIN_API explicit timer_queue(int clock = CLOCK_MONOTONIC);
    /// Runs on a clock that a test sets.
    TOCSIN_API explicit timer_queue(virtual_clock& clock);
    /// Its timers are no longer scheduled. Allowed in a callback of its own: nothing more is called.
    TOCSIN_API ~timer_queue();
    timer_queue(timer_queue&&) noexcept = default;
    TOCSIN_API timer_queue& operator=(timer_queue&&) noexcept;

    /// Schedules the timer, or moves it if it is scheduled already. A time that has passed is due at once, in the next
    /// run_expired(); one beyond the year 2262 never comes. With `slack` the timer may expire up to that much later, at a
    /// time that others are likely to have been given too: fewer wake-ups.
    /// Errors: std::invalid_argument for a time point of another clock than the queue's, or a negative slack;
    /// std::logic_error if the timer is scheduled in another queue. Nothing has changed then. Memory is not needed.
    void schedule(timer& which, detail::delay delay, std::chrono::nanoseconds slack = {})
    {
        schedule_at(which, from_now(delay), slack);
    }
    template <class Clock, class Duration>
    void schedule(timer& which, std::chrono::time_point<Clock, Duration> time, std::chrono::nanoseconds slack = {})
    {
        schedule_at(which, on_my_clock(detail::base_of<Clock>(), detail::since_epoch(time)), slack);
    }
    /// The same at a time since the epoch of the queue's clock: now(), or last_now(), and something.
    TOCSIN_API void schedule_at(timer& which, std::chrono::nanoseconds time, std::chrono::nanoseconds slack = {});

    /// Moves a timer that is scheduled; false, and nothing is done, for one that has expired or been cancelled.
    /// To a later time it costs one store.
    template <class When>
    bool reschedule(timer& which, When when, std::chrono::nanoseconds slack = {})
    {
        if (!which.scheduled())
            return false;
        schedule(which, when, slack);
        return true;
    }
    /// The same as which.cancel().
    static bool cancel(timer& which) noexcept { return which.cancel(); }

    /// Calls `f` once, after a time or at one. Errors: as schedule(); std::invalid_argument for an empty function;
    /// std::bad_alloc.
    scheduled after(detail::delay delay, std::function<void()> f, std::chrono::nanoseconds slack = {})
    {
        return once(from_now(delay), std::move(f), slack);
    }
    template <class Clock, class Duration>
    scheduled at(std::chrono::time_point<Clock, Duration> time,
                 std::function<void()> f, // NOLINT(performance-unnecessary-value-param): moved
                 std::chrono::nanoseconds slack = {})
    {
        return once(on_my_clock(detail::base_of<Clock>(), detail::since_epoch(time)), std::move(f), slack);
    }
    /// Calls `f` again and again, one period from now first; it may take a `const tick&`, to know what was missed.
    /// A tick that slack puts off for a period or more is a missed one.
    /// Errors also: std::invalid_argument unless the period is above zero.
    template <class F>
    scheduled every(detail::delay period, F f, missed_ticks policy = missed_ticks::skip,
                    std::chrono::nanoseconds slack = {})
    {
        if constexpr (std::invocable<F&, const tick&>)
            return repeat(period, std::function<void(const tick&)>(std::move(f)), policy, slack);
        if constexpr (std::is_constructible_v<F, std::nullptr_t>) { // what may be empty
            if (f == nullptr)
                return repeat(period, nullptr, policy, slack);
        }
        if constexpr (!std::invocable<F&, const tick&>)
            return repeat(
                period, [f = std::move(f)](const tick&) mutable { f(); }, policy, slack);
    }

    /// Readable when run_expired() has something to do: mostly when a timer is due, seldom for the queue's own sake. Belongs
    /// to the queue: do not read, set or close it.
    [[nodiscard]] TOCSIN_API int native_handle() const;
    /// Calls the timers that are due, at most `limit` of them, and returns how many it called; native_handle() stays
    /// readable while more are due. The time is read once: what callbacks schedule for a time that has passed comes in the
    /// next call. A callback may call this, also in an event loop inside it. Blocks: no. Errors: what a callback throws; the
    /// others stay scheduled.
    TOCSIN_API std::size_t run_expired(std::size_t limit = SIZE_MAX);
    /// Waits until native_handle() is readable: true; or for the time given: false. An interruptible call: handlers run
    /// meanwhile, and what they throw leaves from here.
    TOCSIN_API bool wait(source_location where = source_location::current());
    TOCSIN_API bool wait(seconds limit, source_location where = source_location::current());

    /// The exact deadline of the timer that is due first; empty if there is none. Looks at the timers near that deadline.
    [[nodiscard]] TOCSIN_API std::optional<std::chrono::nanoseconds> next_deadline() noexcept;
    /// How many timers are scheduled.
    [[nodiscard]] TOCSIN_API std::size_t size() const noexcept;
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    /// The time on the queue's clock: read now, or as the last run_expired() read it, which costs nothing.
    [[nodiscard]] TOCSIN_API std::chrono::nanoseconds now() const noexcept;
    [[nodiscard]] TOCSIN_API std::chrono::nanoseconds last_now() const noexcept;

    /// The queue as other threads may use it. Copyable; it may outlive the queue.
    class remote;
    /// Errors: std::bad_alloc.
    [[nodiscard]] TOCSIN_API remote remote_handle();

private:
    [[nodiscard]] TOCSIN_API std::chrono::nanoseconds from_now(std::chrono::nanoseconds delay) const noexcept;
    [[nodiscard]] TOCSIN_API std::chrono::nanoseconds on_my_clock(detail::time_base base,
                                                                  std::chrono::nanoseconds time) const;
    [[nodiscard]] TOCSIN_API scheduled once(std::chrono::nanoseconds time, std::function<void()> f,
                                            std::chrono::nanoseconds slack);
    [[nodiscard]] TOCSIN_API scheduled repeat(std::chrono::nanoseconds period, std::function<void(const tick&)> f,
                                              missed_ticks policy, std::chrono::nanoseconds slack);

    std::shared_ptr<detail::queue_state> state_;
};

/// Context: any thread; each call takes one short lock. What it asks for is done by the queue's thread at the beginning of its
/// next run_expired(); that thread is woken only if it would otherwise sleep too long, or let a thousand requests wait.
/// All return false, and nothing happens, once the queue is gone. A timer given here must live until it has been dealt with:
/// until it has expired, or sync() has returned.
class timer_queue::remote {
public:
    /// As the queue's, but that a timer which is scheduled in another queue by then stays there. Errors: std::bad_alloc also.
    bool schedule(timer& which, detail::delay delay) { return schedule_at(which, from_now(delay)); }
    template <class Clock, class Duration>
    bool schedule(timer& which, std::chrono::time_point<Clock, Duration> time)
    {
        return schedule_at(which, on_its_clock(detail::base_of<Clock>(), detail::since_epoch(time)));
    }
    TOCSIN_API bool schedule_at(timer& which, std::chrono::nanoseconds time);
    /// A run_expired() that begins after this has returned does not call it.
    TOCSIN_API bool cancel(timer& which);
    /// Calls `f` once, on the queue's thread.
    bool after(detail::delay delay, std::function<void()> f) { return once(from_now(delay), std::move(f)); }
    template <class Clock, class Duration>
    bool at(std::chrono::time_point<Clock, Duration> time,
            std::function<void()> f) // NOLINT(performance-unnecessary-value-param): moved
    {
        return once(on_its_clock(detail::base_of<Clock>(), detail::since_epoch(time)), std::move(f));
    }
    /// Waits until the queue's thread has done all that was asked for here, and until the callback that it may be running
    /// has returned: a timer that was cancelled may then be destroyed. Blocks: until that thread's next run_expired().
    /// Errors: std::logic_error in a callback of the queue. Not to be called on the queue's thread elsewhere either.
    TOCSIN_API bool sync();

private:
    friend class timer_queue;
    explicit remote(std::shared_ptr<detail::queue_link> to) noexcept
        : link_(std::move(to))
    {}
    [[nodiscard]] TOCSIN_API std::chrono::nanoseconds from_now(std::chrono::nanoseconds delay) const;
    [[nodiscard]] TOCSIN_API std::chrono::nanoseconds on_its_clock(detail::time_base base,
                                                                   std::chrono::nanoseconds time) const;
    TOCSIN_API bool once(std::chrono::nanoseconds time, std::function<void()> f);

    std::shared_ptr<detail::queue_link> link_;
};

} // namespace tocsin
