#pragma once

#include <optional>

#include <tocsin/seconds.hpp>
#include <tocsin/siginfo.hpp>
#include <tocsin/signal_set.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

// These wait for signals that the caller has blocked, in every thread. The signal waited for is taken from the kernel's
// queue and its handler is not called. Handlers of other signals do run while they wait (on the main thread), and their
// exceptions leave from here. Errors: std::invalid_argument for a set member the C library reserves (32, 33).

/// Waits for one of `set` and returns its number. Context: any thread. Blocks. Source: sigwait(3).
TOCSIN_API signum sigwait(const signal_set& set, source_location where = source_location::current());

/// Waits for one of `set` and returns what the kernel says of it.
/// Context: any thread. Blocks. Source: sigwaitinfo(2).
TOCSIN_API siginfo sigwaitinfo(const signal_set& set, source_location where = source_location::current());

/// The same, for at most `timeout` (0 polls): empty when the time is over. A handler that runs past the deadline yields
/// a last look and then a clean timeout.
/// Errors also: std::invalid_argument for a negative timeout or NaN; std::overflow_error for infinity.
/// Context: any thread. Blocks. Source: sigtimedwait(2).
TOCSIN_API std::optional<siginfo> sigtimedwait(const signal_set& set, seconds timeout,
                                               source_location where = source_location::current());

/// Waits until a signal handler has run. On the main thread a handler that is already due runs at once, so a signal
/// that arrives just before the call is not slept through. Signals that are ignored do not end it. In a program with
/// threads it may end without cause, as any wait: look again at what is waited for.
/// Context: any thread. Blocks.
/// Errors: std::logic_error under defer_signals, where it could never return; what a handler throws. Source: pause(2),
/// sigsuspend(2).
TOCSIN_API void pause(source_location where = source_location::current());

} // namespace tocsin
