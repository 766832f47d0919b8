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

namespace {

// Between fork() and the moment the child has renewed the state (fork.cpp), or in a child made behind the C library's
// back, the state still says what the parent meant: it must not be touched.
bool in_owner_process() noexcept
{
    // Acquire pairs with the release store in claim_process(): whoever sees the page sees it filled in.
    const auto* const word = owner_word.load(std::memory_order_acquire);
    if (word == nullptr)
        return false;
    // Relaxed: written before the disposition was installed, and by the kernel at fork.
    if (word->load(std::memory_order_relaxed) == 0)
        return false;
    const int pid = owner_pid.load(std::memory_order_relaxed); // set before owner_word, in claim_process()
    return pid == 0 || pid == sys::getpid();
}

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

// After the pending bit is public, so that who reads the byte finds the signal.
void wake(slot& target, int sig) noexcept
{
    const auto where = wake_target::unpack(target.wake.load(std::memory_order_seq_cst)); // pairs with set_wakeup_fd()
    if (where.fd < 0)
        return;
    const int error = sys::write_byte(where.fd, static_cast<unsigned char>(sig));
    if (error == 0 || (error == EAGAIN && !where.warn_on_full_buffer))
        return;
    // Release pairs with the exchange in report_wake_error(); the bit is set again so that a safe point looks (it finds
    // no record and calls nothing).
    target.wake_error.store(error, std::memory_order_release);
    target.pending().fetch_or(bit_of(sig), std::memory_order_seq_cst);
}

void deliver(slot& target, int sig, const siginfo_t& info) noexcept
{
    write_record(target.records[index_of(sig)], info);
    // The whole pending state is this one word, changed by read-modify-writes only: with a flag per signal beside a
    // global one, two threads that trip at once can lose a signal under the C++ memory model.
    // Pairs with the fetch_and in run_pending(); seq_cst for the handshake with an owner about to sleep (wait.cpp).
    target.pending().fetch_or(bit_of(sig), std::memory_order_seq_cst);
    wake(target, sig);
}

} // namespace
} // namespace tocsin::detail

extern "C" void tocsin_trip(int sig, siginfo_t* info, void* /*context*/) noexcept
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
    }
    errno = saved_errno;
}
