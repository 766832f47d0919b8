#pragma once

#include <optional>

#include <tocsin/handler.hpp>
#include <tocsin/safe_point.hpp>

#include "record.hpp"

namespace tocsin::detail {

/// Handlers are postponed by a defer_signals guard. Context: main thread.
bool deferred() noexcept;

/// Forgets all guards. Context: main thread of a child forked by another thread.
void end_all_deferrals() noexcept;

/// After a signal was raised on this thread: runs its handler even if another thread is recording the same signal at
/// this moment. Context: any thread.
void run_raised(int sig, source_location where);

/// Takes what has arrived of `sig` for the main thread; the callbacks of on() have their part then. For `run`, the handler
/// of signal(): empty also if there is none and callbacks have it. Context: main thread.
std::optional<arrival> take_main(int sig, const handler& run) noexcept;
/// After that: callbacks that have not run yet do at the next safe point.
void keep_rest_pending(int sig) noexcept;

/// Gives back to the kernel what was taken, for the disposition that is there now. Context: any thread.
void resend(int sig, arrival& taken) noexcept;

/// Restores the dispositions of the registry's scope; signals still pending take them, with their original information.
/// Context: main thread.
void restore_and_resend() noexcept;

} // namespace tocsin::detail
