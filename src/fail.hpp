#pragma once

// Errors with messages that name the value and the rule.

#include <string>
#include <system_error>

#include <tocsin/error.hpp>
#include <tocsin/seconds.hpp>
#include <tocsin/signum.hpp>

namespace tocsin::detail {

/// Throws std::system_error for an errno value.
[[noreturn]] void fail(int error, const std::string& what);
[[noreturn]] void fail(int error, const char* what);
/// The same for a result of sys: nothing happens unless it is negative.
inline void check(int result, const char* what)
{
    if (result < 0)
        fail(-result, what);
}

/// Throws std::out_of_range unless 1 <= sig < nsig.
void require_in_range(signum sig, const char* function);
/// The C library keeps this number for itself (32, 33 with glibc).
bool is_reserved(signum sig) noexcept;
/// Both of the above, EINVAL for the second: what every sender wants. 0 passes if `zero_checks`.
void require_sendable(int sig, const char* function, bool zero_checks);

/// "1.5 s": a time for a message.
std::string describe(seconds time);

} // namespace tocsin::detail
