#include "fail.hpp"

#include <cerrno>
#include <sstream>

namespace tocsin {

void seconds::refuse(const char* function) const
{
    if (state_ == state::not_a_number)
        throw std::invalid_argument(std::string(function) + ": NaN is not a time");
    throw std::overflow_error(std::string(function) + ": " + detail::describe(*this) +
                              " does not fit: a time is at most 2^63 - 1 nanoseconds (292 years)");
}

namespace detail {

void fail(int error, const std::string& what) { throw std::system_error(error, std::generic_category(), what); }

void fail(int error, const char* what) { throw std::system_error(error, std::generic_category(), what); }

void require_in_range(signum sig, const char* function)
{
    if (!sig.in_range())
        throw std::out_of_range(std::string(function) + ": signal number " + std::to_string(int{sig}) +
                                " is out of range [1; " + std::to_string(nsig - 1) + "]");
}

bool is_reserved(signum sig) noexcept { return sig > SIGSYS && sig < SIGRTMIN; }

void require_sendable(int sig, const char* function, bool zero_checks)
{
    if (sig == 0 && zero_checks)
        return;
    require_in_range(sig, function);
    if (is_reserved(sig))
        fail(EINVAL, std::string(function) + ": signal " + std::to_string(sig) + " is reserved by the C library");
}

std::string describe(seconds time)
{
    std::ostringstream out;
    out << time.given() << " s";
    return out.str();
}

} // namespace detail
} // namespace tocsin
