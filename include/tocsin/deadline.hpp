#pragma once

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include <tocsin/config.hpp>
#include <tocsin/seconds.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

class deadline;

namespace detail {
struct deadline_stack;
}

/// A deadline has passed. code() is ETIMEDOUT in the generic category; deadline::is() tells whose it was.
class TOCSIN_API deadline_exceeded : public std::system_error {
public:
    deadline_exceeded(std::uint64_t id, const std::string& what)
        : std::system_error(ETIMEDOUT, std::generic_category(), what)
        , id_(id)
    {}

private:
    friend class deadline;
    std::uint64_t id_;
};

/// A time limit for what its thread does while it lives:
///     const tocsin::deadline d(2s);
///     tocsin::blocking::read(fd, buffer, size); // throws deadline_exceeded at the latest 2 s after d was made
/// Once the time is over every call of tocsin::blocking, every wait of tocsin and, on the main thread, check_signals()
/// throws, also one that is asleep in the kernel, until the deadline is destroyed, cancelled or set anew. Elsewhere a
/// computation calls deadline::check(). A call that is complete returns its result: the next one throws. Only
/// blocking::close() throws after it has closed.
///   Deadlines nest, an inner one may be shorter or longer. If several have passed, that of the outermost is thrown.
///   One that has been destroyed throws no more.
///   While the stack is unwound by an exception nothing is thrown, so that destructors can make calls; these have no limit
///   then, but for deadlines made inside of them. After that the next safe point throws: at the latest once as much time
///   has passed again as that has taken, or a millisecond.
///   On the main thread: handlers of signals run first. Within defer_signals nothing is thrown, and calls have no limit.
///   A child of fork() keeps the deadlines of the thread that forked.
/// The first one of a thread takes a timer of the kernel and opens the nudge signal (nudge.hpp) on that thread, until the
/// last one ends; no descriptor, no allocation.
/// Context: any thread; destroyed on the thread that made it. The functions that are const work from any thread.
/// Cost: three system calls for the first one of a thread, none for one inside that ends later.
class [[nodiscard]] deadline {
public:
    /// Errors: std::invalid_argument for a negative time and NaN, std::overflow_error for one that does not fit;
    /// std::system_error with EAGAIN when the kernel has no timer (RLIMIT_SIGPENDING) or 4095 threads have deadlines, with
    /// EBUSY when no signal is free for nudging; thread_error on other threads than the main one with
    /// TOCSIN_PORTABLE_CALLS. Nothing has changed then.
    [[nodiscard]] TOCSIN_API explicit deadline(seconds time);
    using time_point = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
    /// Ends at that point. One that is over: the first call throws.
    [[nodiscard]] TOCSIN_API explicit deadline(time_point end);
    TOCSIN_API ~deadline();
    deadline(const deadline&) = delete;
    deadline& operator=(const deadline&) = delete;
    static void* operator new(std::size_t) = delete; // it belongs to a scope

    /// Throws if a deadline of the calling thread has passed. Reads the clock.
    /// On the main thread a safe point as well.
    TOCSIN_API static void check(source_location where = source_location::current());

    /// Sets it anew: `time` from now. The thread that made it.
    /// Errors: as for the constructor, those of the time.
    TOCSIN_API void reset(seconds time);
    /// It never passes any more. The thread that made it.
    TOCSIN_API void cancel() noexcept;

    /// It is over. On the thread it limits the next safe point throws then, also if the kernel has not told it yet.
    [[nodiscard]] TOCSIN_API bool expired() const noexcept;
    /// What is left, at least 0; nanoseconds::max() if it never passes.
    [[nodiscard]] TOCSIN_API std::chrono::nanoseconds remaining() const noexcept;
    /// When it passes; time_point::max() if never.
    [[nodiscard]] time_point end() const noexcept
    {
        return time_point(std::chrono::nanoseconds(at_.load(std::memory_order_relaxed)));
    }
    /// It is this one that the error is about, or one of within() for this one.
    [[nodiscard]] bool is(const deadline_exceeded& error) const noexcept { return error.id_ == id_; }

private:
    friend struct detail::deadline_stack;
    template <class F>
    friend decltype(auto) within(const deadline& limit, F&& f);
    struct same {};
    TOCSIN_API deadline(const deadline& other, same);

    std::atomic<std::int64_t> at_; // relaxed: a number by itself
    std::int64_t length_;          // for the message
    std::uint64_t id_;
    deadline* outer_ = nullptr;
    int exceptions_; // in flight when it was made
};

/// Calls `f` within a time limit and returns what it returns:
///     const auto got = tocsin::within(2s, [&] { return tocsin::blocking::read(fd, buffer, size); });
/// Errors: as for the constructor of deadline, and deadline_exceeded.
template <class F>
decltype(auto) within(seconds time, F&& f)
{
    const deadline limit(time);
    return std::forward<F>(f)();
}
template <class F>
decltype(auto) within(deadline::time_point end, F&& f)
{
    const deadline limit(end);
    return std::forward<F>(f)();
}
/// Within the time of a deadline that is given explicitly, on this thread, whichever thread made it: as that stands now.
/// limit.is() knows the error.
template <class F>
decltype(auto) within(const deadline& limit, F&& f)
{
    const deadline here(limit, deadline::same{});
    return std::forward<F>(f)();
}

} // namespace tocsin
