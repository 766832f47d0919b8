#include <tocsin/signal_set.hpp>

#include <ostream>
#include <stdexcept>
#include <string>

#include "fail.hpp"

namespace tocsin {

void signal_set::refuse(signum sig)
{
    detail::require_in_range(sig, "signal_set");
    __builtin_unreachable();
}

signal_set::signal_set(const sigset_t& native) noexcept
{
    for (int sig = 1; sig < nsig; ++sig) {
        if (!detail::is_reserved(sig) && ::sigismember(&native, sig) == 1)
            bits_ |= bit(sig);
    }
}

sigset_t signal_set::native() const
{
    sigset_t result;
    ::sigemptyset(&result);
    for (const signum sig : *this) {
        if (detail::is_reserved(sig))
            throw std::invalid_argument("signal_set: signal " + std::to_string(int{sig}) +
                                        " is reserved by the C library: see valid_signals()");
        ::sigaddset(&result, sig);
    }
    return result;
}

signal_set valid_signals() noexcept
{
    sigset_t all;
    ::sigfillset(&all);
    return signal_set(all);
}

std::string to_string(const signal_set& set)
{
    std::string result = "{";
    for (const signum sig : set) {
        if (result.size() > 1)
            result += ", ";
        result += sig.name();
    }
    return result + "}";
}

std::ostream& operator<<(std::ostream& out, const signal_set& set) { return out << to_string(set); }

} // namespace tocsin
