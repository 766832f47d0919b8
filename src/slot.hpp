#pragma once

// The state that the trip routine shares with ordinary code: one table of inbox slots, constant-initialised, never
// destroyed. Slot 0 is the main thread's; inboxes of other threads and loops are further slots of the same table.
//
// Flow of one signal:  trip.cpp: record or ring -> publish (pending.fetch_or) -> wake
//                      consumer: pending.fetch_and(~bit) -> take() or pop() -> handler

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <tocsin/safe_point.hpp>
#include <tocsin/signum.hpp>

#include "record.hpp"

namespace tocsin::detail {

inline constexpr std::size_t slot_count = 64; // a route is one 64-bit mask of slots
inline constexpr std::size_t signal_count = nsig - 1;

static_assert(signal_count <= 64, "one pending mask holds every signal");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "the trip routine takes no lock");
static_assert(std::atomic<int>::is_always_lock_free, "the trip routine takes no lock");

constexpr std::size_t index_of(int sig) noexcept { return static_cast<std::size_t>(sig) - 1; }
constexpr std::uint64_t bit_of(int sig) noexcept { return std::uint64_t{1} << index_of(sig); }

/// How a slot's owner wants to be woken, packed into one word so that the trip routine reads it all together.
struct wake_target {
    int fd = -1;
    bool warn_on_full_buffer = true;
    /// An eventfd, written only when the owner sleeps; else it gets one byte, the signal's number, for every arrival.
    bool lazy = false;

    [[nodiscard]] constexpr std::uint64_t pack() const noexcept
    {
        return static_cast<std::uint32_t>(fd + 1) | std::uint64_t{!warn_on_full_buffer} << 32 |
               std::uint64_t{lazy} << 33;
    }
    static constexpr wake_target unpack(std::uint64_t word) noexcept
    {
        return {static_cast<int>(static_cast<std::uint32_t>(word)) - 1, ((word >> 32) & 1U) == 0,
                ((word >> 33) & 1U) != 0};
    }
};

struct slot {
    /// One bit per signal that has arrived and not been taken. Slot 0's is main_pending, which check_signals() reads
    /// inline.
    std::atomic<std::uint64_t>& pending() noexcept;
    /// A packed wake_target.
    std::atomic<std::uint64_t> wake{0};
    /// The owner of a lazy slot sleeps, or is about to: the next arrival writes to the descriptor.
    std::atomic<bool> asleep{false};
    /// The trip routines inside. Who takes something away from them (a route, a descriptor, a ring) waits: quiesce().
    visitors visits;
    /// The errno of the last byte that could not be written and must be reported, or 0.
    std::atomic<int> wake_error{0};
    /// The main thread's slot: the thread that runs the handlers, as sys::this_thread() and as gettid(2) tell it. 0 while
    /// it is not known (no disposition of ours is set before), and in the other slots.
    std::atomic<std::uintptr_t> owner{0};
    std::atomic<int> owner_tid{0};
    record records[signal_count];
    /// Where a subscription wants each arrival: used instead of the record.
    std::atomic<ring*> rings[signal_count]{};

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

/// The signals whose next arrival, after one that was delivered, takes the default action.
extern constinit std::atomic<std::uint64_t> last_deliveries;
/// The signals whose disposition was put back when the last route ended: one that is still inside the trip routine goes
/// back to the kernel. Without the bit the handler of other code that holds then may call ours, and would again.
extern constinit std::atomic<std::uint64_t> given_back;
/// Grows whenever a route has been opened, before the disposition changes.
extern constinit std::atomic<std::uint64_t> routes_opened;
/// For each signal the handler of other code that is called after ours, or null. Taken away after the route of whoever
/// chains, so that each arrival that is delivered there gets to it.
using chained_handler = void (*)(int, siginfo_t*, void*);
extern constinit std::atomic<chained_handler> chained[signal_count];
/// interpreter_hooks::arrived.
extern constinit std::atomic<chained_handler> interpreter;
/// For each signal the handler of other code that gets what nobody wants and must not go back to the kernel, or null.
extern constinit std::atomic<chained_handler> left_to[signal_count];

/// Waits until no trip routine is left in the slot that may have seen what was there before. Short: they do not block.
/// Context: ordinary code, under the registry's mutex.
void quiesce(slot& which) noexcept;

/// Forgets what has arrived. Only in a forked child, where nobody else is.
void clear(slot& which) noexcept;

/// Takes the record of `sig` out of a slot. Empty when there is none, or when a trip routine on another thread is still
/// writing it: that one publishes the pending bit again when it is done.
/// Context: the slot's owner, in ordinary code.
std::optional<arrival> take(slot& from, int sig) noexcept;

/// A trip routine on another thread is writing the record of `sig` at this moment.
bool being_written(const slot& in, int sig) noexcept;

} // namespace tocsin::detail
