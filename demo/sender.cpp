#include "sender.hpp"

#include <cstdint>
#include <fstream>

namespace demo {
namespace {

std::string name_of(pid_t pid)
{
    std::ifstream comm("/proc/" + std::to_string(pid) + "/comm");
    std::string name;
    return std::getline(comm, name) ? name : "gone already";
}

} // namespace

std::string describe_sender(const tocsin::siginfo& info)
{
    if (info.origin() == tocsin::origin::terminal)
        return "the terminal";
    const auto pid = info.pid();
    if (!pid)
        return "the " + to_string(info.origin());
    if (*pid == 0)
        return "a process of another pid namespace";
    return "pid " + std::to_string(*pid) + " (" + name_of(*pid) + "), uid " +
           std::to_string(info.uid().value_or(static_cast<uid_t>(-1)));
}

std::optional<clock::duration> time_since_sent(const tocsin::siginfo& info)
{
    const auto value = info.value();
    if (!value)
        return std::nullopt;
    const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(clock::now().time_since_epoch()).count();
    // Modulo the size of a pointer, all that a value can carry on every machine.
    const auto sent = reinterpret_cast<std::uintptr_t>(value->sival_ptr);
    const auto passed = std::chrono::nanoseconds(static_cast<std::uintptr_t>(now) - sent);
    // Any number can be sent: one that makes no sense as a time is not one.
    if (passed > std::chrono::minutes(1) || passed < std::chrono::nanoseconds(0))
        return std::nullopt;
    return passed;
}

} // namespace demo
