// Everything that can run inside a signal handler, with the cells of record.hpp and deadlines.hpp, and nothing else: no
// lock, no allocation, no thread-local storage but errno, no stdio; every loop is bounded by the number of slots, or
// retries only when another thread made progress. All signals are blocked meanwhile: trips do not nest on a thread, but
// two threads may be in here.

#include "trip.hpp"

#include <bit>
#include <cerrno>

#include "deadlines.hpp"
#include "slot.hpp"
#include "sys/sys.hpp"

namespace tocsin::detail {

constinit std::atomic<std::uint64_t> main_pending{0};
constinit std::atomic<std::atomic<std::uint32_t>*> owner_word{nullptr};
constinit std::atomic<int> owner_pid{0};
constinit std::atomic<int> nudge_number{0};

// Between fork() and the moment the child has renewed the state (process.cpp), or in a child made behind the C
// library's back, the state still says what the parent meant: it must not be touched.
//   The word tells a child that has its own copy of the memory, also one with the same process id (process 1 of a pid
//   namespace made by process 1 of another).
//   The process id tells a child that shares the memory, vfork() or clone(CLONE_VM): only the kernel knows who we are.
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
// A child that shares the parent's memory has dispositions of its own, so its parent keeps the handler. Only CLONE_SIGHAND
// shares them: the signal ends that child alone, but its parent's disposition is the default from then on, as after any
// sigaction() of such a child.
void take_default_action(int sig, siginfo_t& info) noexcept
{
    sys::set_default_action(sig);
    sys::resend_to_self(sig, info);
}

// The signal came to another thread than the one that must react, which may be asleep: that one is told by a signal of
// its own that records nothing. Not by the same signal, which would be recorded twice and might kill the process by now.
// Sent whether or not the owner is in a call: to know that, every call would have to pay for a store and a fence.
void nudge_owner(slot& target) noexcept
{
    // Relaxed, all three: written before a disposition of ours was set, or by the only thread of a forked child.
    const int tid = target.owner_tid.load(std::memory_order_relaxed);
    if (tid == 0 || target.owner.load(std::memory_order_relaxed) == sys::this_thread())
        return; // an inbox has a descriptor; or nobody else
    const int sig = nudge_number.load(std::memory_order_relaxed);
    if (sig != 0)
        sys::nudge(tid, sig);
}

// The whole pending state is this one word, changed by read-modify-writes only: with a flag per signal beside a global
// one, two threads that trip at once can lose a signal under the C++ memory model.
void publish(slot& target, int sig) noexcept
{
    // Pairs with the owner's fetch_and, and with its load before it sleeps.
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
    const auto where = wake_target::unpack(target.wake.load(std::memory_order_seq_cst));
    if (where.fd < 0)
        return;
    if (!where.lazy)
        write_wake_byte(target, sig, where);
    else if (target.asleep.load(std::memory_order_seq_cst) && target.asleep.exchange(false, std::memory_order_seq_cst))
        sys::signal_event(where.fd); // the exchange: a flood writes once. Pairs with those in mailbox.cpp
}

bool holds_now(int sig) noexcept
{
    struct sigaction now = {};
    sys::set_action(sig, nullptr, &now);
    return is_trip(now);
}

// Outside the call-graph check: what other code does in its handler is its own affair.
[[gnu::noinline]] void call_chained(chained_handler next, int sig, siginfo_t* info, void* context) noexcept
{
    if (next != nullptr)
        next(sig, info, context);
}

// False if the slot does not want the signal any more. `next`: who is to have it after that.
bool deliver(std::size_t number, int sig, siginfo_t& info, void* context, chained_handler& next) noexcept
{
    slot& target = slots[number];
    const unsigned turn = target.visits.enter(); // everything of the slot is looked at after that
    // Pairs with the registry's fetch_and before quiesce().
    const bool wanted = (routes[index_of(sig)].load(std::memory_order_seq_cst) >> number & 1U) != 0;
    if (wanted) {
        if (ring* const each = target.rings[index_of(sig)].load(std::memory_order_acquire); each != nullptr)
            each->push(info);
        else
            target.records[index_of(sig)].write(info);
        publish(target, sig);
        wake(target, sig);
        if ((last_deliveries.load(std::memory_order_relaxed) & bit_of(sig)) != 0 && holds_now(sig))
            sys::set_default_action(sig); // for the next one. Relaxed: the turn has ordered it
        // Acquire pairs with the registry's stores. In here: outside, the one who chains may have gone.
        if (const chained_handler each = chained[index_of(sig)].load(std::memory_order_acquire); each != nullptr)
            next = each;
        if (number == main_slot) // acquire pairs with set_interpreter_hooks()
            call_chained(interpreter.load(std::memory_order_acquire), sig, &info, context);
    }
    target.visits.leave(turn);
    return wanted;
}

// To every slot that wants it, and to the handler that was there before; false if nobody wants it.
bool deliver_to_all(int sig, siginfo_t* info, void* context) noexcept
{
    // Acquire pairs with the registry's fetch_or, before the disposition is set.
    std::uint64_t targets = routes[index_of(sig)].load(std::memory_order_acquire);
    bool wanted = false;
    chained_handler next = nullptr;
    for (; targets != 0; targets &= targets - 1)
        wanted |= deliver(static_cast<std::size_t>(std::countr_zero(targets)), sig, *info, context, next);
    call_chained(next, sig, info, context);
    return wanted;
}

// Nobody wants it any more: the disposition is another one by now and is to get it, when the handler returns. False if
// somebody has come to want it meanwhile; who has also gone again shows by the number of routes opened.
bool give_back(int sig, siginfo_t* info, void* context) noexcept
{
    const std::uint64_t opened = routes_opened.load(std::memory_order_seq_cst);
    if (routes[index_of(sig)].load(std::memory_order_seq_cst) != 0)
        return false;
    // Acquire pairs with let_go() in registry.cpp, before the route was closed.
    const bool to_kernel = (given_back.load(std::memory_order_acquire) & bit_of(sig)) != 0 && !holds_now(sig);
    if (routes_opened.load(std::memory_order_seq_cst) != opened)
        return false;
    if (to_kernel)
        sys::resend_to_self(sig, *info);
    else // other code calls ours from its handler, or has put ours back: sent again it would come back for ever
        call_chained(left_to[index_of(sig)].load(std::memory_order_acquire), sig, info, context); // acquire: as above
    return true;
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
        while (!deliver_to_all(sig, info, context) && !give_back(sig, info, context)) {
        }
        tocsin::sys::redirect(context);
    }
    errno = saved_errno;
}

extern "C" void tocsin_nudged(int /*sig*/, siginfo_t* info, void* context) noexcept
{
    tocsin::detail::note_deadline(*info);
    tocsin::sys::redirect(context);
}
