#pragma once

#include <csignal>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include <tocsin/config.hpp>

namespace tocsin {

/// One more than the highest signal number: valid numbers are 1 to nsig - 1.
inline constexpr int nsig = 65;

/// A signal number that prints readably. Converts implicitly from and to int, so SIGINT works wherever
/// a signum is expected. Holds any int: the function that uses it says what is out of range.
class signum {
public:
    constexpr signum(int number) noexcept
        : number_(number)
    {}
    constexpr operator int() const noexcept { return number_; }

    /// The number lies in 1 to nsig - 1.
    [[nodiscard]] constexpr bool in_range() const noexcept { return number_ >= 1 && number_ < nsig; }

    /// "SIGINT", "SIGRTMIN+3", "SIGRTMAX-2"; "signal 32" for a number that has no name.
    /// Context: any thread. parse_signal() reads every SIG name back.
    [[nodiscard]] TOCSIN_API std::string name() const;

private:
    int number_;
};

/// Reads a signal's name or number: "int", "SIGINT", "2", "RTMIN+3", "SIGRTMAX-1", in any letter case.
/// Aliases (IOT, CLD, POLL) are known. Empty when the text names no signal in 1 to nsig - 1.
[[nodiscard]] TOCSIN_API std::optional<signum> parse_signal(std::string_view text);

/// The C library's description: "Interrupt", "Real-time signal 3"; empty for a number without one (32, 33).
/// Errors: std::out_of_range. Source: strsignal(3), but safe in any thread.
[[nodiscard]] TOCSIN_API std::optional<std::string> strsignal(signum sig);

[[nodiscard]] TOCSIN_API std::string to_string(signum sig);
TOCSIN_API std::ostream& operator<<(std::ostream& out, signum sig);

} // namespace tocsin

template <>
struct std::hash<tocsin::signum> {
    std::size_t operator()(tocsin::signum sig) const noexcept { return std::hash<int>{}(int{sig}); }
};
