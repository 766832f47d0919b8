#pragma once

#include <csignal>

#include <tocsin/config.hpp>
#include <tocsin/error.hpp>

namespace tocsin {

/// For the runtime of another language, whose main loop looks for signals in a way of its own, and which tocsin is to serve.
/// The Python package is made with it. A null one is not called.
struct interpreter_hooks {
    /// Called inside the signal handler, on whatever thread took the signal, for every arrival that the main thread's
    /// handlers are to get, after it is pending: has the interpreter call check_signals() on the main thread soon.
    /// Context: signal handler: async-signal-safe code only, and short. Changes of dispositions wait for it.
    void (*arrived)(int sig, siginfo_t* info, void* context) = nullptr;
    /// Called on the main thread whenever a signal has interrupted a waiting call of tocsin, after its own handlers: runs
    /// those that the interpreter keeps for itself. What it throws leaves from the call. Not under defer_signals.
    void (*interrupted)() = nullptr;
    /// Called at a safe point of the main thread instead of the report on standard error that a byte could not be
    /// written to the descriptor of set_wakeup_fd(); with the errno value. What it throws leaves from there.
    void (*wakeup_error)(int error) = nullptr;
};

/// Sets all three. When this returns the `arrived` of before is not running any more, on any thread.
/// Context: main thread. Errors: thread_error; std::system_error with ENOMEM.
TOCSIN_API void set_interpreter_hooks(const interpreter_hooks& hooks);

} // namespace tocsin
