#include "process.hpp"

#include <pthread.h>

#include <cerrno>
#include <ctime>
#include <mutex>
#include <new>
#include <string>

#include <tocsin/error.hpp>
#include <tocsin/nudge.hpp>
#include <tocsin/signal_set.hpp>

#include "deadlines.hpp"
#include "fail.hpp"
#include "mailbox.hpp"
#include "queue_fork.hpp"
#include "registry.hpp"
#include "safe_point.hpp"
#include "slot.hpp"
#include "sys/sys.hpp"
#include "trip.hpp"

namespace tocsin::detail {
namespace {

// Which process of a line of forks this is; a thread's cached answer counts only for the one it was found in.
constinit std::atomic<unsigned> generation{1};

constinit int requested_nudge = 0; // by set_nudge_signal(); main thread, before claim_process()

// The calling thread is the one that runs the main slot's handlers.
void own_main_slot() noexcept
{
    slots[main_slot].owner.store(sys::this_thread(), std::memory_order_relaxed);
    slots[main_slot].owner_tid.store(sys::gettid(), std::memory_order_relaxed);
}

int prepare_redirect() noexcept
{
    return sys::prepare_redirect(slots[main_slot].owner_tid.load(std::memory_order_relaxed),
                                 nudge_number.load(std::memory_order_relaxed));
}

// How far claim_process() has got; guarded by its holder.
constinit std::atomic<std::uint32_t>* claimed_word = nullptr;
constinit bool fork_is_watched = false;

constinit bool forked_by_main = false; // guarded by the registry's mutex, which is held across fork()

void before_fork() noexcept
{
    registry::instance().lock();
    lock_queues();
    forked_by_main = is_main_thread(); // in the child the answer would be yes for every thread
}

void after_fork_in_parent() noexcept
{
    unlock_queues();
    registry::instance().unlock();
}

// The thread that forked is alone here. Signals of the parent are the parent's to handle; until the last line the trip
// routine treats this process as foreign.
void after_fork_in_child() noexcept
{
    const bool by_main = forked_by_main;
    mailbox::renew_all();
    registry::instance().unlock();
    if (!by_main) { // the guards and the runtime belong to a thread that does not exist here
        end_all_deferrals();
        forget_runtime();
    }
    generation.fetch_add(1, std::memory_order_relaxed);
    unlock_queues_in_child();
    fork_is_watched = true; // though claim_process() may not have got to know it
    own_main_slot();
    sys::prepare_redirect(0, 0); // its timer has not come along
    prepare_redirect();          // or calls have the window until the next handler is installed
    renew_deadlines();
    owner_pid.store(sys::getpid(), std::memory_order_relaxed);
    // Release pairs with the acquire fence that a signal's delivery on this, the only, thread implies.
    if (auto* const word = owner_word.load(std::memory_order_relaxed);
        word != nullptr) // null: forked in claim_process()
        word->store(1, std::memory_order_release);
}

bool take_for_nudging(int sig) noexcept
{
    struct sigaction action = {};
    if (sys::set_action(sig, nullptr, &action) < 0 || (action.sa_flags & SA_SIGINFO) != 0 ||
        action.sa_handler != SIG_DFL)
        return false; // in use
    action.sa_sigaction = tocsin_nudged;
    // Its handler only looks where it interrupted the thread: system calls of other code that it hits are restarted,
    // where interruptible calls can do without.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | sys::nudge_flags;
    ::sigfillset(&action.sa_mask);
    if (sys::set_action(sig, &action, nullptr) != 0)
        return false;
    sigset_t own;
    ::sigemptyset(&own);
    ::sigaddset(&own, sig);
    sys::set_mask(SIG_UNBLOCK, &own, nullptr); // it must reach a thread that has blocked everything before
    return true;
}

// SIGURG first: its default action is to be ignored, so that one that is still on its way at exec() harms nobody, and as
// a standard signal it is never refused. The kernel refuses a real-time signal of tgkill() when the receiver's queue is
// full (RLIMIT_SIGPENDING), so those come last. 0 if all are in use.
int take_nudge_signal(int except) noexcept
{
    if (requested_nudge != 0)
        return requested_nudge != except && take_for_nudging(requested_nudge) ? requested_nudge : 0;
    for (const int sig : {SIGURG, SIGSTKFLT}) {
        if (sig != except && take_for_nudging(sig))
            return sig;
    }
    for (int sig = SIGRTMAX; sig >= SIGRTMIN; --sig) {
        if (sig != except && take_for_nudging(sig))
            return sig;
    }
    return 0;
}

void open_nudge_signal() noexcept
{
    sigset_t own;
    ::sigemptyset(&own);
    ::sigaddset(&own, nudge_number.load(std::memory_order_relaxed));
    sys::set_mask(SIG_UNBLOCK, &own, nullptr);
}

} // namespace

void reserve_nudge_signal()
{
    const bool first = nudge_number.load(std::memory_order_relaxed) == 0;
    if (first)
        nudge_number.store(take_nudge_signal(0), std::memory_order_relaxed); // published by the disposition set next
    else
        open_nudge_signal(); // a deadline of another thread has taken it
    const int error = -prepare_redirect();
    if (error == 0)
        return;
    const auto taken = nudge_signal();
    if (first && taken) {
        struct sigaction by_default = {};
        by_default.sa_handler = SIG_DFL;
        sys::set_action(*taken, &by_default, nullptr);
        nudge_number.store(0, std::memory_order_relaxed);
    }
    fail(error, taken ? "tocsin: no timer for the interruption of calls" : "tocsin: no signal is free for nudging");
}

void give_up_nudge_signal(int sig) noexcept
{
    if (nudge_number.load(std::memory_order_relaxed) != sig)
        return;
    nudge_number.store(take_nudge_signal(sig), std::memory_order_relaxed);
    prepare_redirect();
    renew_deadline_timer();
}

int nudge_signal_for_timers()
{
    claim_process();
    if (const int taken = nudge_number.load(std::memory_order_relaxed); taken != 0)
        return taken;
    const std::lock_guard hold(registry::instance());
    if (is_main_thread())
        reserve_nudge_signal();
    else if (!nudge_signal()) {
        sigset_t before; // what it opens is the caller's affair
        sys::set_mask(SIG_BLOCK, nullptr, &before);
        nudge_number.store(take_nudge_signal(0), std::memory_order_relaxed); // the timer is made with it
        sys::set_mask(SIG_SETMASK, &before, nullptr);
    }
    const auto sig = nudge_signal();
    if (!sig)
        fail(EBUSY, "tocsin: no signal is free for nudging");
    return *sig;
}

// Not a mutex: a thread that held it while another one forked would hold it in the child for ever. Here the child sees that
// the holder is another process, and begins again where that was.
void claim_process()
{
    if (owner_word.load(std::memory_order_acquire) != nullptr)
        return;
    static constinit std::atomic<int> holder{0}; // a process id
    const int self = sys::getpid();
    for (int seen = 0; !holder.compare_exchange_weak(seen, self, std::memory_order_acquire);) {
        if (seen != self)
            continue; // 0, or a parent: tried again with that value
        constexpr timespec moment{0, 1000};
        ::nanosleep(&moment, nullptr);
        seen = 0;
    }
    struct release {
        ~release() { holder.store(0, std::memory_order_release); }
    } const at_end;
    if (owner_word.load(std::memory_order_relaxed) != nullptr)
        return;
    if (claimed_word == nullptr) {
        void* const page = sys::map_wiped_page();
        if (page == nullptr)
            fail(ENOMEM, "tocsin: no memory for the page that tells a forked child");
        claimed_word = new (page) std::atomic<std::uint32_t>;
    }
    sys::bound_ranges();
    owner_pid.store(self, std::memory_order_relaxed); // published by the store of owner_word
    if (!fork_is_watched) {
        if (const int error = ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); error != 0)
            fail(error, "pthread_atfork");
        fork_is_watched = true;
    }
    claimed_word->store(1, std::memory_order_relaxed);
    owner_word.store(claimed_word, std::memory_order_release); // pairs with the acquire load in in_owner_process()
}

unsigned fork_generation() noexcept { return generation.load(std::memory_order_relaxed); }

bool is_main_thread() noexcept
{
    struct answer {
        unsigned generation = 0;
        bool is_main = false;
    };
    static thread_local constinit answer cached;
    const unsigned now = generation.load(std::memory_order_relaxed);
    if (cached.generation == now)
        return cached.is_main;
    // Before claim_process() nobody counts forks, and fork() makes another thread the main one, but never the reverse:
    // only yes is sure to last. Acquire pairs with the store there: pthread_atfork() has been called.
    const bool counted = owner_word.load(std::memory_order_acquire) != nullptr;
    const bool is_main = sys::gettid() == sys::getpid();
    if (is_main || counted)
        cached = {now, is_main};
    if (is_main)
        own_main_slot();
    return is_main;
}

void require_main_thread(const char* function)
{
    if (!is_main_thread())
        throw thread_error(std::string(function) + " only works in the main thread");
}

} // namespace tocsin::detail

namespace tocsin {

std::optional<signum> nudge_signal() noexcept
{
    const int sig = detail::nudge_number.load(std::memory_order_relaxed);
    return sig == 0 ? std::nullopt : std::optional<signum>(sig);
}

void set_nudge_signal(signum sig)
{
    detail::require_main_thread("set_nudge_signal");
    detail::require_in_range(sig, "set_nudge_signal");
    if (signal_set{SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}.contains(sig) ||
        detail::is_reserved(sig))
        throw std::invalid_argument("set_nudge_signal: " + sig.name() + " cannot be kept for nudging");
    if (nudge_signal())
        throw std::logic_error("set_nudge_signal: " + sig.name() + ": " + nudge_signal()->name() +
                               " has been taken with the first handler");
    detail::requested_nudge = sig;
}

} // namespace tocsin
