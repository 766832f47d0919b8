#include <tocsin/wait.hpp>

#include <sys/syscall.h>

#include <stdexcept>

#include <tocsin/nudge.hpp>

#include "fail.hpp"
#include "interruptible.hpp"
#include "process.hpp"
#include "safe_point.hpp"
#include "slot.hpp"

namespace tocsin {
namespace {

constexpr std::size_t kernel_set_size = 8; // bytes: 64 signals

// The kernel's own call, not the C library's, which hides codes (SI_TKILL) and interruptions.
siginfo wait_for(const signal_set& set, const detail::time_limit& limit, const char* function, bool& timed_out,
                 source_location where)
{
    sigset_t native = set.native();
    if (const auto nudge = nudge_signal()) // ours: it is to interrupt the wait, not to end it
        ::sigdelset(&native, *nudge);
    siginfo_t info{};
    const long result = detail::interruptible_until(where, limit, [&](const timespec* time) {
        return detail::kernel_call_within(time, SYS_rt_sigtimedwait, reinterpret_cast<long>(&native),
                                          reinterpret_cast<long>(&info), reinterpret_cast<long>(time), kernel_set_size);
    });
    timed_out = result == -EAGAIN || result == -ETIMEDOUT;
    if (result < 0 && !timed_out)
        detail::fail(static_cast<int>(-result), function);
    return siginfo(info);
}

siginfo wait_for_ever(const signal_set& set, const char* function, source_location where)
{
    for (bool timed_out = true;;) {
        const siginfo info = wait_for(set, detail::time_limit::never(), function, timed_out, where);
        if (!timed_out)
            return info;
    }
}

} // namespace

signum sigwait(const signal_set& set, source_location where) { return wait_for_ever(set, "sigwait", where).signo(); }

siginfo sigwaitinfo(const signal_set& set, source_location where) { return wait_for_ever(set, "sigwaitinfo", where); }

std::optional<siginfo> sigtimedwait(const signal_set& set, seconds timeout, source_location where)
{
    const auto time = timeout.nanoseconds("sigtimedwait");
    if (timeout.given() < 0) // rounded up, a little less than 0 is 0
        throw std::invalid_argument("sigtimedwait: " + detail::describe(timeout) + ": a timeout must not be negative");
    bool timed_out = false;
    const siginfo info = wait_for(set, detail::time_limit::after(time.count()), "sigtimedwait", timed_out, where);
    if (timed_out)
        return std::nullopt;
    return info;
}

void pause(source_location where)
{
    const bool main = detail::is_main_thread();
    if (main && detail::deferred())
        throw std::logic_error("pause: handlers are deferred: it would never return");
    sigset_t everything;
    ::sigfillset(&everything);
    for (;;) {
        // With all signals blocked nothing can arrive on this thread between the look at the pending mask and the wait,
        // which opens the mask in one step with going to sleep.
        sigset_t before;
        sys::set_mask(SIG_SETMASK, &everything, &before);
        const auto& gate = main ? detail::main_pending : detail::deadline_gate();
        const bool due = gate.load(std::memory_order_seq_cst) != 0;
        if (!due)
            sys::suspend(&before); // returns when a handler has run: ours has recorded, or a foreign one
        sys::set_mask(SIG_SETMASK, &before, nullptr);
        if (!main)
            detail::look_at_deadlines_elsewhere();
        const std::size_t ran = main ? detail::run_pending(where) : 0;
        if (!due || ran > 0)
            return;
    }
}

} // namespace tocsin
