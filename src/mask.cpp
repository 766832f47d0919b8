#include <tocsin/mask.hpp>

#include <ostream>

#include <tocsin/nudge.hpp>
#include <tocsin/safe_point.hpp>

#include "fail.hpp"
#include "sys/sys.hpp"

namespace tocsin {
namespace {

sigset_t change_mask(int how, const signal_set& mask)
{
    signal_set wanted = mask;
    if (const auto nudge = nudge_signal(); nudge && how != SIG_UNBLOCK)
        wanted.erase(*nudge); // it must reach a thread that blocks everything
    const sigset_t native = wanted.native();
    sigset_t previous{}; // the kernel writes the first words only
    if (const int error = -sys::set_mask(how, &native, &previous); error != 0) [[unlikely]]
        detail::fail(error, "pthread_sigmask: how is " + to_string(static_cast<sigmask>(how)));
    return previous;
}

} // namespace

signal_set pthread_sigmask(int how, const signal_set& mask, source_location where)
{
    const sigset_t previous = change_mask(how, mask);
    check_signals(where);
    return signal_set(previous);
}

signal_set pthread_sigmask(sigmask how, const signal_set& mask, source_location where)
{
    return pthread_sigmask(static_cast<int>(how), mask, where);
}

signal_set sigpending()
{
    sigset_t native;
    detail::check(sys::pending(&native), "sigpending");
    return signal_set(native);
}

mask_guard::mask_guard(tocsin::sigmask how, const signal_set& mask)
    : previous_(change_mask(static_cast<int>(how), mask))
{}

mask_guard::~mask_guard() { sys::set_mask(SIG_SETMASK, &previous_, nullptr); }

std::string to_string(tocsin::sigmask how)
{
    switch (how) {
    case sigmask::block:
        return "SIG_BLOCK";
    case sigmask::unblock:
        return "SIG_UNBLOCK";
    case sigmask::set_mask:
        return "SIG_SETMASK";
    }
    return std::to_string(static_cast<int>(how)) + ", not SIG_BLOCK, SIG_UNBLOCK or SIG_SETMASK";
}

std::ostream& operator<<(std::ostream& out, tocsin::sigmask how) { return out << to_string(how); }

} // namespace tocsin
