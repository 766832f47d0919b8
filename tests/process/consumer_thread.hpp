#pragma once

// What the tests of the consumer thread share: what it must not leave behind.

#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>

#include "dispositions.hpp"

namespace support {

/// Somebody's handler is set for this signal; SIG_IGN counts as one.
inline bool is_caught(int sig) { return action_of(sig).sa_handler != SIG_DFL; }

/// How many the process has.
inline std::size_t threads()
{
    static const bool once = [] { // the first thread of all may bring one that stays: ThreadSanitizer's own
        std::filesystem::path first = "/proc/self/task";
        std::thread([&] { first /= std::to_string(::gettid()); }).join();
        // The kernel shows it for a while after it has been joined.
        return eventually([&] { return !std::filesystem::exists(first); });
    }();
    static_cast<void>(once);
    const std::filesystem::directory_iterator begin("/proc/self/task");
    return static_cast<std::size_t>(std::distance(begin, std::filesystem::directory_iterator()));
}

/// So many threads are left, at once or soon: the kernel shows a thread for a while after it has been joined.
inline bool none_but(std::size_t expected)
{
    return eventually([=] { return threads() == expected; });
}

} // namespace support
