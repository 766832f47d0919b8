// Names, sets and siginfo records from arbitrary bytes.

#include <tocsin/tocsin.hpp>

#include <bitset>
#include <csignal>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "input.hpp"

namespace {

using fuzz::require;

template <class T>
std::string printed(const T& value)
{
    std::ostringstream out;
    out << value;
    return out.str();
}

// The grammar, from the C library's own names:
//   text = number | ["SIG"] (name | "RTMIN" ["+" number] | "RTMAX" ["-" number]), in any letter case
const std::map<std::string, int>& known()
{
    static const auto names = [] {
        std::map<std::string, int> result{{"IOT", SIGABRT}, {"CLD", SIGCHLD}, {"IO", SIGIO}, {"POLL", SIGIO}};
        for (int sig = 1; sig < SIGRTMIN; ++sig) {
            if (const char* const name = ::sigabbrev_np(sig); name != nullptr)
                result.emplace(name, sig);
        }
        for (int n = 0; n <= SIGRTMAX - SIGRTMIN; ++n) {
            result.emplace("RTMIN+" + std::to_string(n), SIGRTMIN + n);
            result.emplace("RTMAX-" + std::to_string(n), SIGRTMAX - n);
        }
        result.emplace("RTMIN", SIGRTMIN);
        result.emplace("RTMAX", SIGRTMAX);
        return result;
    }();
    return names;
}

bool is_digits(std::string_view text)
{
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string without_leading_zeroes(std::string_view digits)
{
    const auto first = digits.find_first_not_of('0');
    return first == std::string_view::npos ? "0" : std::string(digits.substr(first));
}

std::optional<int> expected(std::string_view text)
{
    if (is_digits(text)) {
        const std::string digits = without_leading_zeroes(text);
        const int value = digits.size() > 2 ? 0 : std::stoi(digits);
        return value >= 1 && value < tocsin::nsig ? std::optional<int>(value) : std::nullopt;
    }
    std::string name;
    for (const char c : text)
        name += c >= 'a' && c <= 'z' ? static_cast<char>(c ^ 0x20) : c;
    if (name.rfind("SIG", 0) == 0)
        name.erase(0, 3);
    if (name.size() > 6 && (name[5] == '+' || name[5] == '-') && is_digits(std::string_view(name).substr(6)))
        name = name.substr(0, 6) + without_leading_zeroes(std::string_view(name).substr(6));
    const auto found = known().find(name);
    return found == known().end() ? std::nullopt : std::optional<int>(found->second);
}

void try_text(std::string_view text)
{
    const auto got = tocsin::parse_signal(text);
    const auto wanted = expected(text);
    require(got.has_value() == wanted.has_value(), "parse_signal: found, though it is none, or not found:", text);
    if (got)
        require(int{*got} == *wanted, "parse_signal: wrong number for", text, int{*got}, *wanted);
}

void try_number(int number)
{
    const tocsin::signum sig(number);
    require(to_string(sig) == sig.name() && printed(sig) == sig.name(), "printing of", number);
    const bool valid = number >= 1 && number < tocsin::nsig;
    require(sig.in_range() == valid, "in_range:", number);
    if (const std::string name = sig.name(); name.rfind("SIG", 0) == 0)
        require(tocsin::parse_signal(name) == std::optional<tocsin::signum>(sig), "not read back:", name);
    else
        require(name == "signal " + std::to_string(number) &&
                    (number < 1 || number > 64 || number == 32 || number == 33),
                "no name for", number);
    require(tocsin::parse_signal(std::to_string(number)).has_value() == valid, "number not read back:", number);
    try {
        const auto text = tocsin::strsignal(sig);
        require(valid, "strsignal takes", number);
        require(text.has_value() == (::sigdescr_np(number) != nullptr || number >= SIGRTMIN), "strsignal of", number);
        require(!text || !text->empty(), "strsignal says nothing of", number);
    } catch (const std::out_of_range&) {
        require(!valid, "strsignal refuses", number);
    }
}

void try_set(std::uint64_t bits, std::uint64_t other_bits)
{
    const auto a = tocsin::signal_set::from_bits(bits);
    const auto b = tocsin::signal_set::from_bits(other_bits);
    require((a | b).to_bits() == (bits | other_bits) && (a & b).to_bits() == (bits & other_bits) &&
                (a - b).to_bits() == (bits & ~other_bits),
            "set arithmetic", bits, other_bits);
    std::string text;
    tocsin::signal_set rebuilt;
    for (int sig = 1; sig < tocsin::nsig; ++sig) {
        const bool member = std::bitset<64>(bits)[static_cast<std::size_t>(sig) - 1];
        require(a.contains(sig) == member, "contains", sig);
        if (member) {
            text += (text.empty() ? "" : ", ") + tocsin::signum(sig).name();
            rebuilt.insert(sig);
        }
    }
    require(rebuilt == a && a.size() == static_cast<std::size_t>(std::distance(a.begin(), a.end())), "iteration", bits);
    require(to_string(a) == "{" + text + "}" && printed(a) == to_string(a), "printing", to_string(a));
    const bool reserved = a.contains(32) || a.contains(33);
    try {
        const sigset_t native = a.native();
        require(!reserved, "native() takes reserved members", to_string(a));
        require(tocsin::signal_set(native) == a, "not the same through sigset_t:", to_string(a));
        for (const tocsin::signum sig : tocsin::valid_signals())
            require((::sigismember(&native, sig) == 1) == a.contains(sig), "native() differs at", sig);
    } catch (const std::invalid_argument&) {
        require(reserved, "native() refuses", to_string(a));
    }
}

void try_changes(fuzz::input& in)
{
    std::bitset<64> model;
    tocsin::signal_set set;
    for (int steps = 0; steps < 16 && !in.empty(); ++steps) {
        const int sig = in.take<std::int8_t>();
        const bool insert = (in.byte() & 1) != 0;
        const bool valid = sig >= 1 && sig < tocsin::nsig;
        try {
            insert ? set.insert(sig) : set.erase(sig);
            require(valid, "signal_set takes", sig);
            model[static_cast<std::size_t>(sig) - 1] = insert;
        } catch (const std::out_of_range&) {
            require(!valid, "signal_set refuses", sig);
        }
        require(set.to_bits() == model.to_ullong(), "signal_set after a change of", sig);
    }
}

// Every field is there exactly when sigaction(2) says that the kernel fills it in, and holds the kernel's bytes.
void try_siginfo(const siginfo_t& raw)
{
    const tocsin::siginfo info(raw);
    const int code = raw.si_code;
    const int sig = raw.si_signo;
    const bool fault = sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP;
    const bool child = sig == SIGCHLD && code > 0 && code != SI_KERNEL;
    const bool poll = !fault && !child && (sig == SIGIO || sig >= SIGRTMIN) && code >= POLL_IN && code <= POLL_HUP;
    const bool sender = (code == SI_USER && sig != 0) || code == SI_QUEUE || code == SI_TKILL || code == SI_MESGQ;
    const bool valued = code == SI_QUEUE || code == SI_TIMER || code == SI_MESGQ || code == SI_ASYNCIO;
    const auto field = [&](const char* what, const auto& value, bool present, const auto& bytes) {
        require(value.has_value() == present, "siginfo: presence of", what, "signal", sig, "code", code);
        if (present)
            require(std::memcmp(&*value, &bytes, sizeof bytes) == 0, "siginfo: value of", what, sig, code);
    };
    require(int{info.signo()} == sig && info.code() == code && info.error() == raw.si_errno, "siginfo: plain fields");
    field("pid", info.pid(), sender || child, raw.si_pid);
    field("uid", info.uid(), sender || child, raw.si_uid);
    field("status", info.status(), child, raw.si_status);
    field("band", info.band(), poll, raw.si_band);
    field("fd", info.fd(), poll, raw.si_fd);
    field("value", info.value(), valued, raw.si_value);
    field("address", info.address(), fault && code > 0 && code != SI_KERNEL, raw.si_addr);
    field("timer_id", info.timer_id(), code == SI_TIMER, raw.si_timerid);
    field("overrun", info.overrun(), code == SI_TIMER, raw.si_overrun);
    const std::string text = to_string(info);
    require(text.rfind(tocsin::signum(sig).name() + " by " + to_string(info.origin()), 0) == 0, "siginfo: printing",
            text);
    require(printed(info) == text && printed(info.origin()) == to_string(info.origin()), "siginfo: operator<<", text);
    require(std::memcmp(&info.native(), &raw, sizeof raw) == 0, "siginfo: native()");
}

void print_enumerations(int number)
{
    require(printed(static_cast<tocsin::origin>(number)) == to_string(static_cast<tocsin::origin>(number)), "origin");
    require(printed(static_cast<tocsin::sigmask>(number)) == to_string(static_cast<tocsin::sigmask>(number)),
            "sigmask");
    require(printed(static_cast<tocsin::itimer>(number)) == to_string(static_cast<tocsin::itimer>(number)), "itimer");
}

} // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/)
{
    for (int number = -2; number <= tocsin::nsig + 1; ++number)
        try_number(number);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    fuzz::input in(data, size);
    switch (const std::uint8_t what = in.byte(); what) {
    case 0:
        try_number(in.take<std::int32_t>());
        break;
    case 1: {
        const auto bits = in.take<std::uint64_t>();
        try_set(bits, in.take<std::uint64_t>());
        break;
    }
    case 2:
        try_changes(in);
        break;
    case 3: {
        siginfo_t raw{};
        // Small numbers are the interesting ones; the rest of the record is as it comes.
        const int sig = in.take<std::int8_t>();
        const int code = in.take<std::int16_t>();
        raw = in.take<siginfo_t>();
        raw.si_signo = sig == -128 ? raw.si_signo : sig;
        raw.si_code = code == -32768 ? raw.si_code : code;
        try_siginfo(raw);
        break;
    }
    case 4:
        print_enumerations(in.take<std::int32_t>());
        break;
    default: // text, this byte included: what most inputs are
        try_text({reinterpret_cast<const char*>(data), size});
        break;
    }
    return 0;
}
