#pragma once

// The state that the trip routine shares with ordinary code: one table of inbox slots, constant-initialised, never
// destroyed. Slot 0 is the main thread's; inboxes of other threads and loops are further slots of the same table.
//
// Flow of one signal:  trip.cpp: record() -> publish (pending.fetch_or) -> wake
//                      consumer: pending.fetch_and(~bit) -> take() -> handler

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <tocsin/safe_point.hpp>
#include <tocsin/signum.hpp>

namespace tocsin::detail {

inline constexpr std::size_t slot_count = 64; // a route is one 64-bit mask of slots
inline constexpr std::size_t signal_count = nsig - 1;

static_assert(signal_count <= 64, "one pending mask holds every signal");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "the trip routine takes no lock");
static_assert(std::atomic<int>::is_always_lock_free, "the trip routine takes no lock");

constexpr std::size_t index_of(int sig) noexcept { return static_cast<std::size_t>(sig) - 1; }
constexpr std::uint64_t bit_of(int sig) noexcept { return std::uint64_t{1} << index_of(sig); }

/// What is known of a signal that has arrived and has not been taken: the siginfo of the first arrival and the number
/// of arrivals merged into it. `word` says who may touch `info`:
///   0               empty: the next arrival claims it
///   writing | n     one trip routine is copying its siginfo; n arrivals so far
///   full | n        complete; consumers may read, further arrivals add 1
struct record {
    static constexpr std::uint64_t writing = std::uint64_t{1} << 63;
    static constexpr std::uint64_t full = std::uint64_t{1} << 62;
    static constexpr std::uint64_t count_mask = full - 1;

    std::atomic<std::uint64_t> word{0};
    siginfo_t info{};
};

/// Where a slot's owner wants to be woken, packed into one word so that the trip routine reads descriptor and flag
/// together.
struct wake_target {
    int fd = -1;
    bool warn_on_full_buffer = true;
    /// Alternates with every change: whoever writes is counted under the one it has seen.
    unsigned turn = 0;

    [[nodiscard]] constexpr std::uint64_t pack() const noexcept
    {
        return static_cast<std::uint32_t>(fd + 1) | std::uint64_t{!warn_on_full_buffer} << 32 |
               std::uint64_t{turn} << 33;
    }
    static constexpr wake_target unpack(std::uint64_t word) noexcept
    {
        return {static_cast<int>(static_cast<std::uint32_t>(word)) - 1, ((word >> 32) & 1U) == 0,
                static_cast<unsigned>((word >> 33) & 1U)};
    }
};

struct slot {
    /// One bit per signal that has arrived and not been taken. Slot 0's is main_pending, which check_signals() reads
    /// inline.
    std::atomic<std::uint64_t>& pending() noexcept;
    /// A packed wake_target: gets one byte, the signal's number, for every arrival.
    std::atomic<std::uint64_t> wake{0};
    /// Trip routines that may be writing to the descriptor they saw, by its turn. Whoever changes `wake` waits for the old
    /// turn's to reach 0: after that the descriptor may be closed. By turn, so that a flood cannot keep it waiting.
    std::atomic<unsigned> wakers[2]{};
    /// The errno of the last byte that could not be written and must be reported, or 0.
    std::atomic<int> wake_error{0};
    /// The thread that runs the handlers, as sys::this_thread() and as gettid(2) tell it. 0 while it is not known; no
    /// disposition of ours is set before.
    std::atomic<std::uintptr_t> owner{0};
    std::atomic<int> owner_tid{0};
    record records[signal_count];

private:
    std::atomic<std::uint64_t> own_pending_{0};
};

inline constexpr std::size_t main_slot = 0;

extern constinit slot slots[slot_count];

inline std::atomic<std::uint64_t>& slot::pending() noexcept
{
    return this == &slots[main_slot] ? main_pending : own_pending_;
}

/// For each signal, the slots that want it: bit n stands for slots[n].
extern constinit std::atomic<std::uint64_t> routes[signal_count];

/// One signal as a consumer takes it.
struct arrival {
    siginfo_t info;
    std::uint64_t count;
};

/// Takes the record of `sig` out of a slot. Empty when there is none, or when a trip routine on another thread is still
/// writing it: that one publishes the pending bit again when it is done.
/// Context: the slot's owner, in ordinary code.
std::optional<arrival> take(slot& from, int sig) noexcept;

/// A trip routine on another thread is writing the record of `sig` at this moment.
bool being_written(const slot& in, int sig) noexcept;

} // namespace tocsin::detail
