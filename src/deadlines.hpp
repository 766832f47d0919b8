#pragma once

// What deadlines share with the handler of the nudge signal and with interruptible calls. Each thread that has deadlines
// has one timer, and one place in a table that its handler writes to.

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>

#include <tocsin/safe_point.hpp>

#include "sys/sys.hpp"

namespace tocsin::detail {

/// In a word that keeps calls out of the kernel: a deadline may have passed. In main_pending it stands for signal 32,
/// which the C library keeps for itself.
inline constexpr std::uint64_t deadline_bit = std::uint64_t{1} << 31;

inline constexpr std::size_t limited_most = 4096;

/// A thread that has deadlines.
struct limited_thread {
    /// As sys::this_thread() tells it; 0: free. The first place is the main thread's.
    std::atomic<std::uintptr_t> thread{0};
    /// Bit or nothing. The main thread's is in main_pending.
    std::atomic<std::uint64_t>& due() noexcept;

private:
    std::atomic<std::uint64_t> own_due_{0};
};

extern constinit limited_thread limited[limited_most];

inline std::atomic<std::uint64_t>& limited_thread::due() noexcept
{
    return this == &limited[0] ? main_pending : own_due_;
}

/// In the handler: a timer of this thread has come to its time, so the thread is to look. Anybody may send what looks like
/// one; nothing in it is believed but for a place in the table, and a look too many does no harm.
inline void note_deadline(const siginfo_t& info) noexcept
{
    const auto at = static_cast<std::size_t>(info.si_value.sival_int);
    // Relaxed: written by this thread before it set its timer.
    if (info.si_code == SI_TIMER && at < limited_most &&
        limited[at].thread.load(std::memory_order_relaxed) == sys::this_thread())
        limited[at].due().fetch_or(deadline_bit, std::memory_order_seq_cst); // pairs with look_at_deadlines()
}

/// How many threads that are not the main one have deadlines.
extern constinit std::atomic<unsigned> limited_elsewhere;

/// Where main_pending shows the bit: throws if a deadline of the calling thread has passed.
/// Errors: deadline_exceeded. Context: any thread.
void look_at_deadlines();

/// The same on other threads than the main one, where the timer has said so.
void look_at_deadlines_elsewhere();

/// What stops calls of this thread, which runs no handlers, from entering the kernel: its place in the table, or a word
/// that is always zero.
const std::atomic<std::uint64_t>& deadline_gate() noexcept;

/// Another signal is used for nudging: the timer of this thread is to send that.
void renew_deadline_timer() noexcept;

/// In a forked child: deadlines of the thread that forked go on, with a timer of their own; the other threads are gone.
void renew_deadlines() noexcept;

} // namespace tocsin::detail
