// arrived(), nudged() and what they call run inside signal handlers: no lock, no allocation, no thread-local storage but
// errno, nothing of Python but the interpreter's own signal handler.

#include "hook.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <ctime>

#include <tocsin/interpreter.hpp>
#include <tocsin/nudge.hpp>
#include <tocsin/safe_point.hpp>
#include <tocsin/signum.hpp>

#include "arguments.hpp"

namespace tocsin::python {
namespace {

constexpr long first_tick = 1'000'000; // ns
constexpr long further_ticks = 10'000'000;
constexpr std::uint64_t bit_of(int sig) noexcept { return std::uint64_t{1} << (sig - 1); }
constexpr std::uint64_t reserved_bits = bit_of(32) | bit_of(33); // no signals: tocsin's own, and the C library's

constinit std::atomic<void (*)(int)> interpreter_handler{nullptr};

// For each signal, how often telling the interpreter has begun and ended. The main thread may come to its safe point for
// one telling while another is under way: with a mere flag the second would look like a simulated signal.
constinit std::array<std::atomic<std::uint32_t>, nsig> begun{};
constinit std::array<std::atomic<std::uint32_t>, nsig> ended{};
std::array<std::uint32_t, nsig> seen{}; // main thread

// Before 3.13 the interpreter's loop looks for signals only if it was told on the main thread, which a tick does then: once,
// for it writes a byte to the standard module's wakeup descriptor each time.
constinit std::atomic<bool> told_elsewhere{false};
constinit std::atomic<pid_t> main_thread{0};

constinit std::atomic<int> timer{-1};
constinit std::atomic<bool> armed{false};
constinit std::atomic<int> tick_signal{0};
constinit std::atomic<std::uint64_t> restarting_signals{0};

constexpr std::size_t max_wake_descriptors = 16;
constinit std::array<std::atomic<int>, max_wake_descriptors> wake_descriptors{}; // fd + 1; 0: free

std::uint64_t due() noexcept { return detail::main_pending.load(std::memory_order_seq_cst) & ~reserved_bits; }

// Outside the check of what a handler may call: CPython says that its handler may run as one.
[[gnu::noinline]] void call_interpreter(int sig) noexcept
{
    if (const auto handler = interpreter_handler.load(std::memory_order_acquire); handler != nullptr)
        handler(sig);
}

void tell(int sig) noexcept
{
    const auto n = static_cast<std::size_t>(sig);
    begun[n].fetch_add(1, std::memory_order_seq_cst);
    call_interpreter(sig);
    ended[n].fetch_add(1, std::memory_order_seq_cst); // pairs, as the other, with the loads in was_told()
}

void set_timer(long first, long further) noexcept
{
    const int id = timer.load(std::memory_order_acquire); // pairs with the store in prepare_nudge()
    if (id < 0)
        return;
    const itimerspec value{{0, further}, {0, first}};
    ::syscall(SYS_timer_settime, id, 0, &value, nullptr);
}

void start_nudge() noexcept
{
    if (!armed.exchange(true, std::memory_order_seq_cst)) // pairs with stop_nudge()
        set_timer(first_tick, further_ticks);
}

extern "C" void tocsin_python_arrived(int sig, siginfo_t*, void*)
{
    tell(sig);
    for (const auto& each : wake_descriptors) {
        const int fd = each.load(std::memory_order_relaxed) - 1;
        const auto byte = static_cast<unsigned char>(sig);
        if (fd >= 0 && ::syscall(SYS_write, fd, &byte, 1) < 0) { // full: whoever reads it is awake
        }
    }
    if (::syscall(SYS_gettid) != main_thread.load(std::memory_order_relaxed))
        told_elsewhere.store(true, std::memory_order_seq_cst);
    if ((restarting_signals.load(std::memory_order_relaxed) & bit_of(sig)) == 0)
        start_nudge();
}

// As it ends, the interpreter gives every signal it has a handler for its default action, and complains when it is told of
// one after that.
bool has_default_action(int sig) noexcept
{
    struct sigaction now = {};
    return ::sigaction(sig, nullptr, &now) == 0 && now.sa_handler == SIG_DFL;
}

// On the main thread, whose call it interrupts.
extern "C" void tocsin_python_nudged(int, siginfo_t*, void*)
{
    const int saved_errno = errno;
    std::uint64_t pending = due();
    while (pending != 0 && has_default_action(std::countr_zero(pending) + 1))
        pending &= pending - 1;
    if (pending == 0)
        set_timer(0, 0); // set by a thread that was late
    else if (told_elsewhere.exchange(false, std::memory_order_seq_cst))
        tell(std::countr_zero(pending) + 1);
    errno = saved_errno;
}

// A signal to a child that has just begun must find the state renewed: the trip routine takes it for a stranger's before,
// and the child would end. tocsin's own handlers for fork() are registered first, so these are around them.
thread_local sigset_t mask_before_fork;

void hold_signals()
{
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &mask_before_fork);
}

void release_signals() { ::pthread_sigmask(SIG_SETMASK, &mask_before_fork, nullptr); }

void renew_in_child()
{
    timer = -1; // a child has no timers
    armed = false;
    for (std::size_t n = 0; n < begun.size(); ++n)
        ended[n] = begun[n].load(); // whoever was about to tell is in the parent
    for (auto& each : wake_descriptors)
        each = 0; // what is read there is the parent's
    release_signals();
}

bool take_signal(int sig) noexcept
{
    struct sigaction now = {};
    if (sig == nudge_signal().value_or(0) || ::sigaction(sig, nullptr, &now) != 0 || now.sa_handler != SIG_DFL)
        return false;
    struct sigaction action = {};
    action.sa_sigaction = tocsin_python_nudged;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK; // not SA_RESTART: it is to interrupt
    ::sigfillset(&action.sa_mask);
    if (::sigaction(sig, &action, nullptr) != 0)
        return false;
    sigset_t it;
    ::sigemptyset(&it);
    ::sigaddset(&it, sig);
    ::pthread_sigmask(SIG_UNBLOCK, &it, nullptr);
    tick_signal = sig;
    return true;
}

// Rather one that this thread does not block: what it blocks it may wait for.
bool take_a_signal_outside(const signal_set& wanted) noexcept
{
    sigset_t blocked;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    for (const bool even_blocked : {false, true}) {
        for (int sig = SIGRTMAX - 1; sig > SIGRTMIN; --sig) {
            if (!wanted.contains(sig) && (even_blocked || ::sigismember(&blocked, sig) == 0) && take_signal(sig))
                return true;
        }
    }
    return false;
}

void delete_timer() noexcept
{
    if (const int id = timer.exchange(-1); id >= 0)
        ::syscall(SYS_timer_delete, id);
    armed = false;
}

void run_what_the_interpreter_keeps()
{
    const with_lock lock;
    if (PyErr_CheckSignals() < 0)
        throw error_is_set();
}

void report_wakeup_error(int error)
{
    const with_lock lock;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    errno = error;
    PyErr_SetFromErrno(PyExc_OSError);
    const char* const when = running_version() >= 0x030E0000 ? "while" : "when";
    // Since 3.13 the heading is handed to sys.unraisablehook. The stable interface does not have that function.
    using report = void (*)(const char*, ...);
    if (const auto write = reinterpret_cast<report>(::dlsym(RTLD_DEFAULT, "PyErr_FormatUnraisable"))) {
        write("Exception ignored %s trying to write to the signal wakeup fd", when);
    } else {
        PySys_WriteStderr("Exception ignored %s trying to write to the signal wakeup fd:\n", when);
        PyErr_WriteUnraisable(nullptr);
    }
    PyErr_Restore(type, value, trace);
}

} // namespace

void install_hook()
{
    set_interpreter_hooks({.arrived = tocsin_python_arrived,
                           .interrupted = run_what_the_interpreter_keeps,
                           .wakeup_error = report_wakeup_error});
    static const int error = ::pthread_atfork(hold_signals, release_signals, renew_in_child);
    if (error != 0)
        raise_errno(error);
}

void set_interpreter_handler(void (*handler)(int)) noexcept
{
    interpreter_handler.store(handler, std::memory_order_release);
}

void interrupt(int sig) noexcept { call_interpreter(sig); }

void tell_again() noexcept
{
    if (const std::uint64_t pending = due(); pending != 0)
        tell(std::countr_zero(pending) + 1);
}

void renew_after_fork() noexcept
{
    prepare_nudge();
    // os.fork() has the interpreter forget what it was told, but not while it is calling handlers, one of which forks: it is
    // told of all that again, so that it comes for it now, and not later for a signal that is simulated.
    for (int sig = 1; sig < nsig; ++sig) {
        const auto n = static_cast<std::size_t>(sig);
        if (begun[n].load(std::memory_order_seq_cst) != seen[n])
            tell(sig);
    }
    tell_again();
}

bool was_told(int sig) noexcept
{
    const auto n = static_cast<std::size_t>(sig);
    const std::uint32_t now_ended = ended[n].load(std::memory_order_seq_cst);
    const bool told = begun[n].load(std::memory_order_seq_cst) != seen[n];
    seen[n] = now_ended; // one that is under way will be told of again
    return told;
}

void finish_telling(int sig)
{
    const auto n = static_cast<std::size_t>(sig);
    for (bool finished = false; !finished;) {
        const std::uint32_t now_ended = ended[n].load(std::memory_order_seq_cst);
        finished = begun[n].load(std::memory_order_seq_cst) == now_ended;
        if (PyErr_CheckSignals() < 0) // may come back here, and to was_told()
            throw error_is_set();
        if (static_cast<std::int32_t>(now_ended - seen[n]) > 0)
            seen[n] = now_ended;
        finished = finished && seen[n] == now_ended;
        if (!finished)
            ::sched_yield(); // to a thread that is telling: it needs nothing of ours
    }
}

void prepare_nudge() noexcept
{
    if (timer.load(std::memory_order_relaxed) >= 0)
        return;
    main_thread = static_cast<pid_t>(::syscall(SYS_gettid));
    if (tick_signal == 0 && !take_a_signal_outside({}))
        return;
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = tick_signal;
    event._sigev_un._tid = main_thread;
    int id = -1;
    if (::syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id) == 0)
        timer.store(id, std::memory_order_release);
}

void stop_nudge() noexcept
{
    if (!armed.load(std::memory_order_seq_cst))
        return;
    armed.store(false, std::memory_order_seq_cst);
    set_timer(0, 0);
    if (armed.load(std::memory_order_seq_cst)) // by another thread, whose setting this may have undone
        set_timer(first_tick, further_ticks);
}

void set_restarting(int sig, bool restarting) noexcept
{
    if (restarting)
        restarting_signals.fetch_or(bit_of(sig));
    else
        restarting_signals.fetch_and(~bit_of(sig));
}

int nudge_signal_in_use() noexcept { return tick_signal; }

void leave_to_program(const signal_set& wanted, bool even_the_last) noexcept
{
    const int sig = tick_signal;
    if (sig == 0 || !wanted.contains(sig) || (!take_a_signal_outside(wanted) && !even_the_last))
        return;
    delete_timer();
    if (tick_signal == sig)
        tick_signal = 0;
    struct sigaction action = {};
    action.sa_handler = SIG_IGN; // a tick may be under way: discarded
    ::sigaction(sig, &action, nullptr);
    action.sa_handler = SIG_DFL;
    ::sigaction(sig, &action, nullptr);
    prepare_nudge();
}

bool add_wake_descriptor(int fd) noexcept
{
    for (auto& each : wake_descriptors) {
        if (int free = 0; each.compare_exchange_strong(free, fd + 1))
            return true;
    }
    return false;
}

bool remove_wake_descriptor(int fd) noexcept
{
    for (auto& each : wake_descriptors) {
        if (int mine = fd + 1; each.compare_exchange_strong(mine, 0))
            return true;
    }
    return false;
}

} // namespace tocsin::python
