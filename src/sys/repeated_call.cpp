#include "sys/syscall.hpp"

#if TOCSIN_REPEATED_CALLS

#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "sys/sys.hpp"

namespace tocsin::sys {

constinit std::atomic<std::uintptr_t> calling_thread{0};
constinit std::atomic<long> repeat_after{0};

namespace {

constexpr int none = -1;
// Changed on the thread whose calls are interrupted, in ordinary code and outside of them; read by its handlers.
constinit std::atomic<int> timer{none};
constinit int timer_tid = 0;
constinit int timer_signal = 0;

void set_timer(int which, long ns) noexcept
{
    const itimerspec value{{0, 0}, {0, ns}};
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
    repeat_after.store(0, std::memory_order_relaxed);
    timer_tid = timer_signal = 0;
    if (sig == 0)
        return -EBUSY;
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
    if (mine == none || calling_thread.load(std::memory_order_relaxed) != this_thread())
        return;
    // First well within the millisecond that G3 allows; then each time later, so that the thread gets on even where a
    // signal takes longer than that (under a debugger), and a call that the kernel itself restarts costs little.
    constexpr long first = 200'000;
    constexpr long longest = 100'000'000;
    const long before = repeat_after.load(std::memory_order_relaxed);
    const long next = before == 0 ? first : std::min(2 * before, longest);
    repeat_after.store(next, std::memory_order_relaxed);
    set_timer(mine, next);
}

void stop_repeating() noexcept
{
    set_timer(timer.load(std::memory_order_relaxed), 0);
    repeat_after.store(0, std::memory_order_relaxed);
}

} // namespace tocsin::sys

#endif
