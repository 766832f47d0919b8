#pragma once

// What a function that fails must leave as it was, and the descriptors that the tests give to the calls.

#include <tocsin/tocsin.hpp>

#include <dirent.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "process/dispositions.hpp"

namespace support {

/// Open descriptors and what they stand for.
inline std::map<int, std::string> open_descriptors()
{
    std::map<int, std::string> all;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), &::closedir);
    if (directory == nullptr)
        throw std::runtime_error("no /proc/self/fd");
    while (const dirent* const entry = ::readdir(directory.get())) {
        if (entry->d_name[0] == '.')
            continue;
        const int fd = std::stoi(entry->d_name);
        if (fd == ::dirfd(directory.get()))
            continue;
        std::array<char, 256> target{};
        if (::readlinkat(::dirfd(directory.get()), entry->d_name, target.data(), target.size() - 1) > 0)
            all[fd] = target.data();
    }
    return all;
}

/// Everything that a process shows of its signals, descriptors and timers.
struct process_state {
    std::vector<std::tuple<int, const void*, int>> dispositions = all_dispositions();
    std::vector<tocsin::handler> handlers;
    std::uint64_t mask = 0;
    std::map<int, std::string> descriptors = open_descriptors();
    std::vector<std::pair<bool, long>> timers; // armed, interval in microseconds
    std::uint64_t pending = tocsin::detail::main_pending.load();

    process_state()
    {
        for (int sig = 1; sig < tocsin::nsig; ++sig)
            handlers.push_back(tocsin::getsignal(sig));
        sigset_t blocked;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
        mask = tocsin::signal_set(blocked).to_bits();
        for (const __itimer_which_t which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
            itimerval value{};
            ::getitimer(which, &value);
            timers.emplace_back(value.it_value.tv_sec != 0 || value.it_value.tv_usec != 0,
                                value.it_interval.tv_sec * 1'000'000 + value.it_interval.tv_usec);
        }
    }
};

inline void expect_unchanged(const process_state& before, const std::string& where)
{
    const process_state now;
    EXPECT_EQ(now.dispositions, before.dispositions) << where;
    EXPECT_EQ(now.handlers, before.handlers) << where;
    EXPECT_EQ(now.mask, before.mask) << where;
    EXPECT_EQ(now.descriptors, before.descriptors) << where;
    EXPECT_EQ(now.timers, before.timers) << where;
    EXPECT_EQ(now.pending, before.pending) << where;
}

} // namespace support
