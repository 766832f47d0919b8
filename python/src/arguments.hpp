#pragma once

// Arguments of the documented module's functions, refused with its own messages, version by version.

#include <chrono>
#include <csignal>

#include <tocsin/signal_set.hpp>

#include "python.hpp"

namespace tocsin::python {

/// Throw error_is_set if the argument is refused.
[[nodiscard]] int to_int(PyObject* value);
/// In range 1 to NSIG - 1, else ValueError.
[[nodiscard]] int to_signal(PyObject* value);
/// Seconds as int or float, rounded up to nanoseconds.
[[nodiscard]] std::chrono::nanoseconds to_duration(PyObject* seconds);
/// Any iterable of signal numbers. Those that the C library reserves are left out, with a RuntimeWarning.
[[nodiscard]] signal_set to_signal_set(PyObject* iterable);

/// A set of plain ints.
[[nodiscard]] PyObject* from_signal_set(const signal_set& set);
/// The documented module's struct_siginfo.
[[nodiscard]] PyObject* from_siginfo(const siginfo_t& info);

/// Raises, by throwing error_is_set.
[[noreturn]] void raise(PyObject* type, const char* message);
/// OSError, or `type`, for an errno value.
[[noreturn]] void raise_errno(int error, PyObject* type = nullptr);
/// `value`, or throws error_is_set if it is null.
object checked(PyObject* value);

} // namespace tocsin::python
