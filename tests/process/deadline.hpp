#pragma once

// What the tests of deadlines share.

#include <fstream>
#include <string>

#include <tocsin/blocking.hpp>

#include "support.hpp"

namespace support {

#if defined(TOCSIN_PORTABLE_CALLS)
inline constexpr bool limits_elsewhere = false;
inline constexpr int own_timers = 1; // that of redirect()
#else
inline constexpr bool limits_elsewhere = true;
inline constexpr int own_timers = 0;
#endif

#define SKIP_WITHOUT_LIMITS_ELSEWHERE()                                                                                \
    if (!support::limits_elsewhere)                                                                                    \
    GTEST_SKIP() << "portable calls of other threads cannot be interrupted"

#define SKIP_UNDER_THREAD_SANITIZER()                                                                                  \
    if (support::thread_sanitizer)                                                                                     \
    GTEST_SKIP() << "ThreadSanitizer keeps the nudge back until the call has ended"

/// A read of one byte that never comes.
inline void endless(int fd)
{
    char byte = 0;
    tocsin::blocking::read(fd, &byte, 1);
}

/// The timers of this process.
inline int timers()
{
    std::ifstream list("/proc/self/timers");
    int found = 0;
    for (std::string line; std::getline(list, line);)
        found += line.starts_with("ID:");
    return found;
}

} // namespace support
