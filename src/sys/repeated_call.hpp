#pragma once

// guarded_syscall() for processors whose instruction range is not written (syscall.hpp), or on request
// (TOCSIN_PORTABLE_CALLS): nothing but C++ and a timer. A signal between the look and the entry cannot take the thread out
// of there; instead its handler starts a timer whose signal interrupts the thread again and again until the call has
// returned. So the window costs a moment, not a stall.
//   Not ppoll() with the mask opened atomically: that covers descriptors, and leaves flock(), waitpid(), futex(), open() of
//   a FIFO and whatever else call() is given with the window.

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace tocsin::sys {

/// The thread (this_thread()) whose call a signal must end, or 0. Written by that thread, read by handlers on it: program
/// order is enough.
extern constinit std::atomic<std::uintptr_t> calling_thread;
/// Nanoseconds to the next interruption of that call, or 0: the timer has not been started. Written by handlers on that
/// thread, and by it.
extern constinit std::atomic<long> repeat_after;

void stop_repeating() noexcept;

[[gnu::always_inline]] inline long guarded_syscall(const std::atomic<std::uint64_t>& pending, long number, long a,
                                                   long b, long c, long d, long e, long f) noexcept
{
    if (&pending == &open_gate)
        return raw_syscall(number, a, b, c, d, e, f);
    calling_thread.store(reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer()), std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    long result = -ERESTART;
    if (pending.load(std::memory_order_relaxed) == 0)
        result = raw_syscall(number, a, b, c, d, e, f);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    calling_thread.store(0, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (repeat_after.load(std::memory_order_relaxed) != 0) [[unlikely]]
        stop_repeating();
    return result;
}

} // namespace tocsin::sys
