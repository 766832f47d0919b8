#pragma once

// What the tests share that stop a process at every instruction (ptrace).

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>

#include "support.hpp"

namespace support {

/// A call keeps the process in the kernel. Not so while it is stopped, or waits for a processor.
inline bool is_asleep(pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(file, line);
    const std::size_t name_end = line.rfind(") ");
    return name_end != std::string::npos && line[name_end + 2] == 'S';
}

/// Lets the traced process go on until it stops itself (SIGSTOP); other signals are delivered meanwhile.
inline void run_until_it_stops(pid_t pid, int& status)
{
    while (::waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP)
        ::ptrace(PTRACE_CONT, pid, nullptr, WSTOPSIG(status));
}

/// Waits for the next stop of the traced process, or its end; false if it sleeps instead.
inline bool stops_awake(pid_t pid, int& status)
{
    bool stopped = false;
    eventually([&] {
        stopped = ::waitpid(pid, &status, WNOHANG | __WALL) == pid;
        return stopped || is_asleep(pid);
    });
    return stopped;
}

} // namespace support
