#include <tocsin/signum.hpp>

#include <array>
#include <charconv>
#include <cstring>
#include <ostream>

#include "fail.hpp"

namespace tocsin {
namespace {

struct named {
    int number;
    std::string_view name; // without SIG
};

// Canonical names first: the first entry with a number gives its name.
constexpr std::array names = {
    named{SIGHUP, "HUP"},       named{SIGINT, "INT"},       named{SIGQUIT, "QUIT"}, named{SIGILL, "ILL"},
    named{SIGTRAP, "TRAP"},     named{SIGABRT, "ABRT"},     named{SIGBUS, "BUS"},   named{SIGFPE, "FPE"},
    named{SIGKILL, "KILL"},     named{SIGUSR1, "USR1"},     named{SIGSEGV, "SEGV"}, named{SIGUSR2, "USR2"},
    named{SIGPIPE, "PIPE"},     named{SIGALRM, "ALRM"},     named{SIGTERM, "TERM"},
#ifdef SIGSTKFLT
    named{SIGSTKFLT, "STKFLT"},
#endif
    named{SIGCHLD, "CHLD"},     named{SIGCONT, "CONT"},     named{SIGSTOP, "STOP"}, named{SIGTSTP, "TSTP"},
    named{SIGTTIN, "TTIN"},     named{SIGTTOU, "TTOU"},     named{SIGURG, "URG"},   named{SIGXCPU, "XCPU"},
    named{SIGXFSZ, "XFSZ"},     named{SIGVTALRM, "VTALRM"}, named{SIGPROF, "PROF"}, named{SIGWINCH, "WINCH"},
    named{SIGIO, "IO"},         named{SIGPWR, "PWR"},       named{SIGSYS, "SYS"},   named{SIGABRT, "IOT"},
    named{SIGCHLD, "CLD"},      named{SIGIO, "POLL"},
};

std::optional<int> parse_number(std::string_view digits)
{
    int value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || digits.front() == '-' || error != std::errc{} || end != digits.data() + digits.size())
        return std::nullopt;
    return value;
}

// "RTMIN", "RTMIN+3", "RTMAX-2"
std::optional<int> parse_real_time(std::string_view name)
{
    const bool from_min = name.starts_with("RTMIN");
    if (!from_min && !name.starts_with("RTMAX"))
        return std::nullopt;
    const int base = from_min ? SIGRTMIN : SIGRTMAX;
    const std::string_view rest = name.substr(5);
    if (rest.empty())
        return base;
    if (rest.front() != (from_min ? '+' : '-'))
        return std::nullopt;
    const auto distance = parse_number(rest.substr(1));
    if (!distance || *distance > SIGRTMAX - SIGRTMIN)
        return std::nullopt;
    return from_min ? base + *distance : base - *distance;
}

} // namespace

std::string signum::name() const
{
    for (const named& each : names) {
        if (each.number == number_)
            return "SIG" + std::string(each.name);
    }
    if (number_ < SIGRTMIN || number_ > SIGRTMAX)
        return "signal " + std::to_string(number_);
    const int from_min = number_ - SIGRTMIN;
    const int to_max = SIGRTMAX - number_;
    if (from_min <= to_max)
        return from_min == 0 ? "SIGRTMIN" : "SIGRTMIN+" + std::to_string(from_min);
    return to_max == 0 ? "SIGRTMAX" : "SIGRTMAX-" + std::to_string(to_max);
}

std::optional<signum> parse_signal(std::string_view text)
{
    std::string upper(text);
    for (char& c : upper) { // not std::toupper: a Turkish locale has another capital of i
        if (c >= 'a' && c <= 'z')
            c = static_cast<char>(c - 'a' + 'A');
    }
    std::string_view name = upper;
    if (name.starts_with("SIG"))
        name.remove_prefix(3);
    else if (const auto number = parse_number(name))
        return signum(*number).in_range() ? std::optional<signum>(*number) : std::nullopt;
    for (const named& each : names) {
        if (each.name == name)
            return each.number;
    }
    if (const auto number = parse_real_time(name))
        return *number;
    return std::nullopt;
}

std::optional<std::string> strsignal(signum sig)
{
    detail::require_in_range(sig, "strsignal");
    if (const char* const text = ::sigdescr_np(sig); text != nullptr)
        return std::string(text);
    if (sig >= SIGRTMIN && sig <= SIGRTMAX)
        return "Real-time signal " + std::to_string(sig - SIGRTMIN);
    return std::nullopt;
}

std::string to_string(signum sig) { return sig.name(); }
std::ostream& operator<<(std::ostream& out, signum sig) { return out << sig.name(); }

} // namespace tocsin
