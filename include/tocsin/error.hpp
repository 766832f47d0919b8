#pragma once

#include <stdexcept>
#include <system_error>

#include <tocsin/config.hpp>

namespace tocsin {

// The kinds of error, the same in every function:
//   std::out_of_range      a signal number outside 1 to nsig - 1
//   std::invalid_argument  another value that can never be right (NaN, a blocking wake-up descriptor, an empty function)
//   std::overflow_error    a time that does not fit
//   thread_error           called on the wrong thread
//   std::system_error      the operating system refused; code() is the errno in the generic category
// Messages name the value and the rule. A function that throws one of them has changed nothing.

/// setitimer() or getitimer() refused: code() is the errno.
class TOCSIN_API itimer_error : public std::system_error {
public:
    using std::system_error::system_error;
};

/// A function that belongs to one thread was called on another.
class TOCSIN_API thread_error : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

} // namespace tocsin
