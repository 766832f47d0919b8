#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>

namespace tocsin::detail {

/// Not zero in the process that owns the state; the kernel wipes it to zero in a forked child (MADV_WIPEONFORK). Points
/// to a page of its own once claim_process() has run; before that no disposition of ours exists.
extern constinit std::atomic<std::atomic<std::uint32_t>*> owner_word;
/// Where the kernel cannot wipe pages: the process id that owns the state, compared instead. 0 when not needed.
extern constinit std::atomic<int> owner_pid;

} // namespace tocsin::detail

/// The one function of this library that the kernel calls: records the signal, marks it pending, wakes. See trip.cpp.
extern "C" void tocsin_trip(int sig, siginfo_t* info, void* context) noexcept;
