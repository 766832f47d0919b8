#pragma once

// A timer of the kernel that interrupts one thread, by a signal, at a point of the monotonic clock.

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <ctime>

#include "sys/syscall.hpp"

namespace tocsin::sys {

/// A new one, not set, that sends `sig` to the calling thread with `value` in its siginfo. Its number, or a negated errno.
/// A forked child does not get it.
int make_thread_timer(int sig, int value) noexcept;

/// Sets it to a time in nanoseconds, once; in the past: at once. INT64_MAX: it is not set any more.
inline void set_thread_timer(int timer, std::int64_t at) noexcept
{
    constexpr std::int64_t per_second = 1'000'000'000;
    itimerspec value{};
    if (at != INT64_MAX) {
        const std::int64_t when = std::max<std::int64_t>(at, 1); // zero would stop it
        value.it_value = {static_cast<time_t>(when / per_second), static_cast<long>(when % per_second)};
    }
    raw_syscall(SYS_timer_settime, timer, TIMER_ABSTIME, reinterpret_cast<long>(&value), 0);
}

inline void delete_thread_timer(int timer) noexcept { raw_syscall(SYS_timer_delete, timer); }

} // namespace tocsin::sys
