#include <tocsin/signal_set.hpp>

#include <csignal>
#include <cstring>
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

namespace {

// Bit n - 1 of the first word stands for signal n: the kernel's layout, which the C libraries keep (sigset_t(3type)).
static_assert(sizeof(unsigned long) == sizeof(std::uint64_t) && sizeof(sigset_t) >= sizeof(std::uint64_t));

constexpr std::uint64_t bits_between(int first, int last)
{
    return (~std::uint64_t{0} >> (64 - (last - first + 1))) << (first - 1);
}

// Those that the C library keeps for itself.
std::uint64_t reserved_bits() noexcept
{
    const int first = SIGSYS + 1;
    const int last = SIGRTMIN - 1;
    return last < first ? 0 : bits_between(first, last);
}

} // namespace

signal_set::signal_set(const sigset_t& native) noexcept
{
    std::memcpy(&bits_, &native, sizeof bits_);
    bits_ &= ~reserved_bits();
}

sigset_t signal_set::native() const
{
    if (const signal_set refused = from_bits(bits_ & reserved_bits()); refused.size() != 0)
        throw std::invalid_argument("signal_set: signal " + std::to_string(int{*refused.begin()}) +
                                    " is reserved by the C library: see valid_signals()");
    sigset_t result{};
    std::memcpy(&result, &bits_, sizeof bits_);
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
