#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>

namespace tocsin::detail {

/// Not zero in the process that owns the state; the kernel wipes it to zero in a forked child (MADV_WIPEONFORK, where
/// it can). Points to a page of its own once claim_process() has run; before that no disposition of ours exists.
extern constinit std::atomic<std::atomic<std::uint32_t>*> owner_word;
/// The id of the process that owns the state, for a child that shares the memory (or where the kernel wipes nothing).
extern constinit std::atomic<int> owner_pid;

/// The signal whose handler is tocsin_nudged, or 0.
extern constinit std::atomic<int> nudge_number;

} // namespace tocsin::detail

/// The one function of this library that the kernel calls: records the signal, marks it pending, wakes. See trip.cpp.
extern "C" void tocsin_trip(int sig, siginfo_t* info, void* context) noexcept;

/// The handler of the reserved signal: stops the interruptible call it finds the thread in. Records nothing.
extern "C" void tocsin_nudged(int sig, siginfo_t* info, void* context) noexcept;

namespace tocsin::detail {

/// The state is this process's own: false in a child of fork() that has not renewed it yet, and in every other child.
/// Async-signal-safe.
bool in_owner_process() noexcept;

/// The part of it that costs one load: false in a child that has a copy of the state and has not renewed it.
inline bool state_is_current() noexcept
{
    // Acquire pairs with the release store in claim_process(): whoever sees the page sees it filled in.
    const auto* const word = owner_word.load(std::memory_order_acquire);
    return word != nullptr && word->load(std::memory_order_relaxed) != 0; // written before any disposition, or at fork
}

/// The disposition is ours. Async-signal-safe.
inline bool is_trip(const struct sigaction& action) noexcept
{
    return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == tocsin_trip;
}

} // namespace tocsin::detail
