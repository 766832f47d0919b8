// Everything that can run inside a signal handler, and nothing else. Async-signal-safe by construction: no lock, no
// allocation, no thread-local storage but errno, no stdio; every loop is bounded by the number of slots or retries only
// when another arrival of the same signal made progress. The disposition blocks all signals meanwhile (registry.cpp),
// so trips nest neither on a thread nor on an alternate stack; two threads may be in here at once, for the same signal
// too.

#include "trip.hpp"

#include <bit>
#include <cerrno>

#include "slot.hpp"
#include "sys/sys.hpp"

namespace tocsin::detail {

constinit std::atomic<std::uint64_t> main_pending{0};
constinit std::atomic<std::uint64_t> routes[signal_count]{};
constinit slot slots[slot_count]{};
constinit std::atomic<std::atomic<std::uint32_t>*> owner_word{nullptr};
constinit std::atomic<int> owner_pid{0};
constinit std::atomic<int> nudge_number{0};

// Between fork() and the moment the child has renewed the state (process.cpp), or in a child made behind the C
// library's back, the state still says what the parent meant: it must not be touched.
//   The word tells a child that has its own copy of the memory, also one with the same process id (process 1 of a pid
//   namespace made by process 1 of another).
//   The process id tells a child that shares the memory: vfork(), clone(CLONE_VM). Nothing there differs from the
//   parent: memory and registers are the same, and a signal's frame does not name who receives it. Only the kernel
//   knows.
bool in_owner_process() noexcept
{
    if (!state_is_current())
        return false;
    return owner_pid.load(std::memory_order_relaxed) == sys::getpid(); // set before owner_word, in claim_process()
}

namespace {

// The kernel raised it for the instruction that was running: to return would run that instruction again, for ever.
bool is_fault(int sig, const siginfo_t& info) noexcept
{
    if (info.si_code <= 0)
        return false; // sent by a process
    if (sig == SIGBUS)
        return info.si_code != BUS_MCEERR_AO; // "action optional": a memory error found elsewhere
    return sig == SIGSEGV || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP;
}

// The signal is blocked while we are here: the copy sent takes the default action when the handler returns, with the
// original information in the core dump.
// A child that shares the parent's memory has dispositions of its own, copied when it was made, so its parent keeps the
// handler. Only CLONE_SIGHAND shares them, and makes a process of its own only without CLONE_THREAD: the signal ends
// that child alone, but its parent's disposition is the default from then on, as after any sigaction() of such a child.
void take_default_action(int sig, siginfo_t& info) noexcept
{
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    sys::set_action(sig, &action, nullptr);
    sys::resend_to_self(sig, info);
}

// Claims the record or merges into it. Lock-free: a failed exchange means that another thread changed the word.
void write_record(record& into, const siginfo_t& info) noexcept
{
    std::uint64_t word = into.word.load(std::memory_order_relaxed);
    for (;;) {
        if (word != 0) {
            // Merge. Relaxed: nothing is published but the number itself, which take() reads by an exchange.
            if (into.word.compare_exchange_weak(word, word + 1, std::memory_order_relaxed))
                return;
        } else if (into.word.compare_exchange_weak(word, record::writing | 1, std::memory_order_acquire,
                                                   std::memory_order_relaxed)) {
            break; // Acquire pairs with take()'s exchange: its read of the old info is over.
        }
    }
    into.info = info;
    // writing -> full, keeping the count that others added meanwhile. Release pairs with take()'s load.
    into.word.fetch_xor(record::writing | record::full, std::memory_order_release);
}

// The signal came to another thread than the one that must react, which may be asleep: that one is told by a signal of
// its own that records nothing. Not by the same signal again, which would be recorded twice and would kill the process if
// its disposition had become the default meanwhile. Sent whether or not the owner is in a call: to know that, every call
// would have to pay for a store and a fence.
void nudge_owner(slot& target) noexcept
{
    // Relaxed, all three: written before a disposition of ours was set, or by the only thread of a forked child.
    if (target.owner.load(std::memory_order_relaxed) == sys::this_thread())
        return;
    const int sig = nudge_number.load(std::memory_order_relaxed);
    if (sig != 0)
        sys::nudge(target.owner_tid.load(std::memory_order_relaxed), sig);
}

// The whole pending state is this one word, changed by read-modify-writes only: with a flag per signal beside a global
// one, two threads that trip at once can lose a signal under the C++ memory model.
void publish(slot& target, int sig) noexcept
{
    // Pairs with the fetch_and in run_pending().
    const std::uint64_t before = target.pending().fetch_or(bit_of(sig), std::memory_order_seq_cst);
    if ((before & bit_of(sig)) == 0) // else the one that set it has told the owner: a flood nudges once
        nudge_owner(target);
}

// Writes the byte and keeps what went wrong for a safe point to report.
void write_wake_byte(slot& target, int sig, const wake_target& where) noexcept
{
    const int error = sys::write_byte(where.fd, static_cast<unsigned char>(sig));
    if (error == 0 || (error == EAGAIN && !where.warn_on_full_buffer))
        return;
    // Release pairs with the exchange in report_wake_error(); the bit is set again so that a safe point looks (it finds
    // no record and calls nothing).
    target.wake_error.store(error, std::memory_order_release);
    publish(target, sig);
}

// After the pending bit is public, so that who reads the byte finds the signal.
void wake(slot& target, int sig) noexcept
{
    std::uint64_t seen = target.wake.load(std::memory_order_seq_cst);
    while (wake_target::unpack(seen).fd >= 0) {
        const wake_target where = wake_target::unpack(seen);
        // Counted, then looked at again: a store-buffer handshake with set_wakeup_fd(), which changes the word and then
        // looks at the count. seq_cst on both sides.
        target.wakers[where.turn].fetch_add(1, std::memory_order_seq_cst);
        const std::uint64_t now = target.wake.load(std::memory_order_seq_cst);
        if (now == seen)
            write_wake_byte(target, sig, where);
        target.wakers[where.turn].fetch_sub(1, std::memory_order_release); // pairs with the load in set_wakeup_fd()
        if (now == seen)
            return;
        seen = now;
    }
}

void deliver(slot& target, int sig, const siginfo_t& info) noexcept
{
    write_record(target.records[index_of(sig)], info);
    publish(target, sig);
    wake(target, sig);
}

} // namespace
} // namespace tocsin::detail

extern "C" void tocsin_trip(int sig, siginfo_t* info, void* context) noexcept
{
    using namespace tocsin::detail;
    const int saved_errno = errno;
    if (!in_owner_process() || is_fault(sig, *info)) {
        take_default_action(sig, *info);
    } else {
        // Acquire pairs with the fetch_or in registry::install(), before the disposition is set.
        std::uint64_t targets = routes[index_of(sig)].load(std::memory_order_acquire);
        for (; targets != 0; targets &= targets - 1)
            deliver(slots[std::countr_zero(targets)], sig, *info);
        tocsin::sys::redirect(context);
    }
    errno = saved_errno;
}

extern "C" void tocsin_nudged(int /*sig*/, siginfo_t* /*info*/, void* context) noexcept
{
    tocsin::sys::redirect(context);
}
