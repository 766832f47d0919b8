#pragma once

#include <tocsin/error.hpp>
#include <tocsin/handler.hpp>
#include <tocsin/signum.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

/// Sets what happens when `sig` arrives and returns what happened before. The previous value may be installed again, a
/// foreign handler included. The disposition gets SA_SIGINFO | SA_ONSTACK and never SA_RESTART, so a siginterrupt(sig,
/// false) made earlier is undone. Plain write(2) and standard streams do not retry an interrupted call: use
/// tocsin::blocking, or siginterrupt(sig, false) after this.
/// Context: main thread. Blocks: no.
/// Guarantee: handlers pending before the call run first (what they throw leaves from here and nothing has changed); an
/// arrival before the change gets the old handler, one after it the new one. (If the old handler is called for an arrival
/// just before the change and throws, that leaves from here too, and the change has been made. Under defer_signals an
/// arrival stays pending and meets whatever is set when the guard ends.)
/// Errors: thread_error on another thread; std::out_of_range for a number outside 1 to nsig - 1; std::system_error with
/// EINVAL for SIGKILL, SIGSTOP and the numbers the C library reserves (32, 33); in a build with TOCSIN_PORTABLE_CALLS
/// EAGAIN or EBUSY for the first handler, if there is no timer or no signal for the interruption of calls. Source:
/// sigaction(2); the documented module's signal().
TOCSIN_API handler signal(signum sig, handler what, source_location where = source_location::current());

/// What happens when `sig` arrives, read from the kernel: a handler that other code installed shows as foreign.
/// Context: any thread. Errors: std::out_of_range.
[[nodiscard]] TOCSIN_API handler getsignal(signum sig);

/// With true, the arrival of `sig` interrupts plain system calls of this and other code; with false the kernel restarts
/// them (SA_RESTART). The calls of tocsin::blocking run the handler and go on either way. Lasts until the next signal()
/// for the same number.
/// Context: any thread.
/// Errors: std::out_of_range; std::system_error with EINVAL as for signal(). Source: siginterrupt(3).
TOCSIN_API void siginterrupt(signum sig, bool flag);

/// Thrown by default_int_handler. Not derived from std::exception, so that `catch (const std::exception&)` does not
/// swallow the user's wish to stop.
class TOCSIN_API keyboard_interrupt {
public:
    explicit keyboard_interrupt(event cause) noexcept
        : cause_(cause)
    {}
    [[nodiscard]] const event& cause() const noexcept { return cause_; }
    [[nodiscard]] const char* what() const noexcept { return "tocsin::keyboard_interrupt"; }

private:
    event cause_;
};

/// The handler tocsin::runtime gives SIGINT: throws keyboard_interrupt.
[[noreturn]] TOCSIN_API void default_int_handler(const event& e);

} // namespace tocsin
