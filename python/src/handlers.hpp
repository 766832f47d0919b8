#pragma once

// What signal() has set, and the way from the interpreter's safe point to it.

#include <csignal>

#include <tocsin/event.hpp>

#include "python.hpp"

namespace tocsin::python {

/// The main thread of the main interpreter, the only one that runs handlers.
[[nodiscard]] bool in_main_thread() noexcept;
/// ValueError, in the documented module's words, elsewhere.
void require_main_thread(const char* function);

/// What the engine needs of the interpreter. Before the first subscription, and before the main thread waits.
/// Context: main thread.
void prepare();
/// The interpreter comes to run_pending() when `sig` arrives. Before a subscription of the main thread.
void watch(int sig);
/// A subscription of the main thread has begun or ended.
void count_subscriber(int sig, int change);
/// The interpreter need not come any more for those that nobody is subscribed to: has_to_untell(). After the engine's
/// subscriptions have ended, those of inboxes too. Context: main thread; the other anywhere, with the lock.
void untell();
bool has_to_untell() noexcept;
/// What inboxes of other threads listen to is not to take its default action when the interpreter ends.
void leave_at_exit();
/// A subscription has begun or ended in whose place the handler set before does not run, or runs (`chain`) too.
struct precedence {
    unsigned long generation = 0; // of the handler that it precedes
    bool chain = false;
};
precedence begin_precedence(int sig, bool chain);
void end_precedence(int sig, const precedence& what);

/// Takes over the handler that the standard module has for `sig`, or all of them. Context: main thread.
void adopt(int sig);
void adopt_all();
/// There is a handler of ours for it; run_pending() calls it.
[[nodiscard]] bool has_handler(int sig);
/// It has, or somebody on the main thread is subscribed.
[[nodiscard]] bool is_watched(int sig);
/// No handler that the standard module has runs until as many ends; the last one runs what has come, and what is pending.
/// With defer_signals, which is for tocsin's. Context: main thread. Errors of the end: what handlers raise; it has ended.
void begin_deferral();
void end_deferral();
/// The same, with nothing run yet.
void abandon_deferral() noexcept;
/// The main thread comes to a safe point for what is pending. After defer_signals. Context: main thread, or nothing happens.
void look_again();

/// Calls `callable(*arguments)`, a new tuple, with the lock. Errors: error_is_set.
void call(PyObject* callable, object arguments);

/// The standard handlers of the interpreter that are pending, then tocsin's. Context: with the lock.
void run_pending();

/// A new Event.
object make_event(const event& e);

} // namespace tocsin::python
