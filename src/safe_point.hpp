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

/// Like run_pending(), but what handlers throw is dropped and the signal kept for resend_kept().
/// Then restores dispositions and sends what was kept again. Context: main thread.
void settle_and_restore() noexcept;

} // namespace tocsin::detail
