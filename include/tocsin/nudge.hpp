#pragma once

#include <optional>

#include <tocsin/error.hpp>
#include <tocsin/signum.hpp>

namespace tocsin {

/// The one signal that tocsin keeps for itself. When a signal for the main thread is taken by another thread, the main
/// thread is stopped in its interruptible call by this one. Deadlines end calls by it too. It is taken with the
/// first handler or deadline: SIGURG, or SIGSTKFLT, or the highest real-time signal that has the default action. Its
/// handler records nothing, and system calls of other code that it hits are restarted. pthread_sigmask() and mask_guard leave it unblocked; sigwait() does not wait for it.
/// A program that installs a handler of its own for it gets it, and another takes its place.
/// Empty before it is taken, and when every candidate is in use: then a signal that another thread takes waits for the
/// main thread's next safe point.
/// Context: any thread.
[[nodiscard]] TOCSIN_API std::optional<signum> nudge_signal() noexcept;

/// Has `sig` used for that, and no other. Before the first handler is installed or deadline made. A standard signal is
/// the better choice: a real-time one is refused by the kernel when the process's queue of signals is full.
/// Context: main thread.
/// Errors: thread_error; std::out_of_range; std::invalid_argument for a number that cannot be caught, is reserved, or
/// stands for a fault; std::logic_error when one has been taken already.
TOCSIN_API void set_nudge_signal(signum sig);

} // namespace tocsin
