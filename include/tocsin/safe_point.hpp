#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <tocsin/config.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

namespace detail {
/// One bit per signal whose handler the main thread has yet to run: the pending mask of slot 0.
/// Set by the trip routine, cleared by run_pending().
TOCSIN_API extern constinit std::atomic<std::uint64_t> main_pending;

/// Runs the handlers of pending signals and returns how many ran.
TOCSIN_API std::size_t run_pending(source_location where);
} // namespace detail

/// A safe point: runs the handlers of the signals that arrived since the last one, in ascending order of number.
/// Context: any thread; handlers run on the main thread only, elsewhere nothing happens.
/// Blocks: no, but for what the handlers do.
/// Errors: what a handler throws leaves from here; the other signals stay pending and run at the next safe point.
/// Cost with nothing pending: one relaxed load and a branch.
inline void check_signals(source_location where = source_location::current())
{
    // Relaxed is enough to decide whether to look; run_pending() synchronises with the trip routine's fetch_or.
    if (detail::main_pending.load(std::memory_order_relaxed) != 0) [[unlikely]]
        detail::run_pending(where);
}

/// Postpones handlers while it lives: safe points and interruptible calls of the main thread run none. Nothing is lost:
/// what arrives meanwhile runs at the first safe point after the outermost guard has ended. Guards nest.
/// The destructor itself runs no handler, so that it cannot throw; release() ends the guard and is a safe point.
/// Context: main thread; on other threads, where no handler runs anyway, it does nothing.
class [[nodiscard]] defer_signals {
public:
    [[nodiscard]] TOCSIN_API defer_signals() noexcept;
    TOCSIN_API ~defer_signals();
    defer_signals(const defer_signals&) = delete;
    defer_signals& operator=(const defer_signals&) = delete;

    /// Ends the postponement now and runs what is pending, unless an outer guard still holds it.
    /// Errors: what a handler throws; the guard has ended all the same.
    TOCSIN_API void release(source_location where = source_location::current());

private:
    bool active_;
};

} // namespace tocsin
