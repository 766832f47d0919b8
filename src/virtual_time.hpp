#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "wake_timer.hpp"

namespace tocsin::detail {

/// What a virtual_clock and the descriptors on it share.
struct virtual_time {
    explicit virtual_time(int of)
        : clock(of)
    {}
    /// With the mutex held. Errors: as virtual_clock::set().
    void set(std::int64_t to);

    static inline constinit std::mutex mutex; // one for all, so that fork() can take it: queue_fork.hpp
    const int clock;                          // that it stands for
    std::atomic<std::int64_t> now{0};
    std::vector<wake_timer*> timers; // under the mutex, with their times
};

} // namespace tocsin::detail
