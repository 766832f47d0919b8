#include "describe.hpp"

#include <poll.h>

#include <csignal>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>

#include <tocsin/siginfo.hpp>

namespace tocsin {

std::string detail::printable(std::string_view text)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string result;
    for (const char each : text) {
        const auto byte = static_cast<unsigned char>(each);
        if (each == '\\') {
            result += "\\\\";
        } else if (byte < 0x20 || byte > 0x7e) {
            result += "\\x";
            result += digits[byte >> 4U];
            result += digits[byte & 0xfU];
        } else {
            result += each;
        }
    }
    return result;
}

namespace {

// " (name)", or nothing for a process that is gone.
std::string name_of(pid_t pid)
{
    std::ifstream in("/proc/" + std::to_string(pid) + "/comm", std::ios::binary);
    std::string name{std::istreambuf_iterator<char>(in), {}};
    if (!name.empty() && name.back() == '\n')
        name.pop_back();
    return name.empty() ? "" : " (" + detail::printable(name) + ")";
}

std::string who(const siginfo& info, const char* what)
{
    const pid_t pid = info.pid().value_or(0);
    const std::string uid = ", uid " + std::to_string(info.uid().value_or(0));
    if (pid == 0)
        return "a process outside this pid namespace" + uid;
    // Appended to: GCC 12 at -O3 warns of what it makes of "+" with a literal first (its bug 105651).
    std::string text = what;
    text += ' ';
    return text + std::to_string(pid) + name_of(pid) + uid;
}

std::string value_of(const siginfo& info)
{
    return info.value() ? ", value " + std::to_string(info.value()->sival_int) : "";
}

const char* at_terminal(int sig) noexcept
{
    switch (sig) {
    case SIGINT:
        return " (Ctrl-C)";
    case SIGQUIT:
        return " (Ctrl-\\)";
    case SIGTSTP:
        return " (Ctrl-Z)";
    case SIGHUP:
        return " (hung up)";
    case SIGTTIN:
        return " (read in the background)";
    case SIGTTOU:
        return " (written in the background)";
    case SIGWINCH:
        return " (new window size)";
    default:
        return "";
    }
}

std::string state_of_child(const siginfo& info)
{
    const int status = info.status().value_or(0);
    switch (info.code()) {
    case CLD_EXITED:
        return "exited with status " + std::to_string(status);
    case CLD_KILLED:
        return "killed by " + signum(status).name();
    case CLD_DUMPED:
        return "killed by " + signum(status).name() + ", core dumped";
    case CLD_TRAPPED:
        return "trapped by " + signum(status).name();
    case CLD_STOPPED:
        return "stopped by " + signum(status).name();
    case CLD_CONTINUED:
        return "continued";
    default:
        return "code " + std::to_string(info.code()) + ", status " + std::to_string(status);
    }
}

const char* kind_of_fault(int sig, int code) noexcept
{
    switch (sig) {
    case SIGSEGV:
        return code == SEGV_MAPERR ? ": no memory there" : code == SEGV_ACCERR ? ": access not permitted" : "";
    case SIGBUS:
        return code == BUS_ADRALN ? ": not aligned" : code == BUS_ADRERR ? ": no memory behind it" : "";
    case SIGFPE:
        return code == FPE_INTDIV ? ": division by zero" : "";
    default:
        return "";
    }
}

std::string fault(const siginfo& info)
{
    if (!info.address())
        return "a fault at an unknown address";
    std::ostringstream text;
    text << "a fault at address 0x" << std::hex << reinterpret_cast<std::uintptr_t>(*info.address())
         << kind_of_fault(info.signo(), info.code());
    return text.str();
}

std::string input_or_output(const siginfo& info)
{
    if (!info.fd())
        return "asynchronous input or output" + value_of(info);
    std::string text = "descriptor " + std::to_string(*info.fd());
    const long band = info.band().value_or(0);
    const auto add = [&](long bits, const char* what) {
        if ((band & bits) != 0)
            text += what;
    };
    add(POLLIN, ", readable");
    add(POLLOUT, ", writable");
    add(POLLPRI, ", urgent data");
    add(POLLERR, ", error");
    add(POLLHUP, ", hung up");
    return text;
}

std::string timer(const siginfo& info)
{
    const int overrun = info.overrun().value_or(0);
    return "timer " + std::to_string(info.timer_id().value_or(0)) + value_of(info) +
           (overrun != 0 ? ", " + std::to_string(overrun) + " more expirations" : "");
}

std::string source(const siginfo& info)
{
    switch (info.origin()) {
    case origin::unknown:
        break;
    case origin::kernel:
        return "the kernel";
    case origin::terminal:
        return std::string("the terminal") + at_terminal(info.signo());
    case origin::user:
        return who(info, "pid") + ", by kill";
    case origin::queue:
        return who(info, "pid") + ", by sigqueue" + value_of(info);
    case origin::timer:
        return timer(info);
    case origin::child:
        return who(info, "child") + ": " + state_of_child(info);
    case origin::fault:
        return fault(info);
    case origin::tkill:
        return who(info, "pid") + ", by tgkill";
    case origin::mesgq:
        return who(info, "pid") + ", by a message queue" + value_of(info);
    case origin::async_io:
        return input_or_output(info);
    }
    return "an unknown source, code " + std::to_string(info.code());
}

} // namespace

std::string describe(const siginfo& info) { return info.signo().name() + " from " + source(info); }

} // namespace tocsin
