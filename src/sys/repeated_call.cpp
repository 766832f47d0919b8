#include "sys/syscall.hpp"

#if TOCSIN_REPEATED_CALLS

#include <sys/syscall.h>
#include <ucontext.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "sys/sys.hpp"

namespace tocsin::sys {

constinit std::atomic<std::uintptr_t> calling_thread{0};
constinit std::atomic<bool> repeating{false};

namespace {

constexpr int none = -1;
// Changed on the thread whose calls are interrupted, in ordinary code and outside of them; read by its handlers.
constinit std::atomic<int> timer{none};
constinit int timer_tid = 0;
constinit int timer_signal = 0;

void set_timer(int which, long ns) noexcept
{
    const itimerspec value{{0, ns}, {0, ns}};
    raw_syscall(SYS_timer_settime, which, 0, reinterpret_cast<long>(&value), 0);
}

} // namespace

int prepare_redirect(int tid, int sig) noexcept
{
    if (timer_tid == tid && timer_signal == sig)
        return 0;
    const int old = timer.exchange(none, std::memory_order_relaxed);
    if (old != none)
        raw_syscall(SYS_timer_delete, old); // fails in a forked child, which has none of its parent's timers
    calling_thread.store(0, std::memory_order_relaxed);
    repeating.store(false, std::memory_order_relaxed);
    timer_tid = timer_signal = 0;
    if (sig == 0)
        return 0;
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = sig;
    event._sigev_un._tid = tid;
    int made = none;
    const long error =
        raw_syscall(SYS_timer_create, CLOCK_MONOTONIC, reinterpret_cast<long>(&event), reinterpret_cast<long>(&made));
    if (error != 0)
        return static_cast<int>(error);
    timer.store(made, std::memory_order_relaxed);
    timer_tid = tid;
    timer_signal = sig;
    return 0;
}

void redirect(void* /*context*/) noexcept
{
    const int mine = timer.load(std::memory_order_relaxed);
    if (mine == none || calling_thread.load(std::memory_order_relaxed) != this_thread() ||
        repeating.load(std::memory_order_relaxed))
        return;
    repeating.store(true, std::memory_order_relaxed);
    constexpr long interval = 200'000; // well within the millisecond that G3 allows; long for a call to be entered
    set_timer(mine, interval);
}

void stop_repeating() noexcept
{
    set_timer(timer.load(std::memory_order_relaxed), 0);
    repeating.store(false, std::memory_order_relaxed);
}

} // namespace tocsin::sys

#endif
