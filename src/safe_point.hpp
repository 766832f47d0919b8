#pragma once

#include <tocsin/safe_point.hpp>

namespace tocsin::detail {

/// Handlers are postponed by a defer_signals guard. Context: main thread.
bool deferred() noexcept;

/// Forgets all guards. Context: main thread of a child forked by another thread.
void end_all_deferrals() noexcept;

/// After a signal was raised on this thread: runs its handler even if another thread is recording the same signal at
/// this moment. Context: any thread.
void run_raised(int sig, source_location where);

/// Restores the dispositions of the registry's scope; signals still pending take them, with their original information.
/// Context: main thread.
void restore_and_resend() noexcept;

} // namespace tocsin::detail
