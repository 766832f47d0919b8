#pragma once

// Between tocsin and the interpreter. tocsin's trip routine records a signal; the interpreter must then come to a safe point
// of its own, where handlers.cpp runs what is pending. It does when its own signal handler has been called: tell(). If the
// main thread sleeps in a call that is not tocsin's, or is about to, a timer interrupts it until it has come: the nudge.

#include <csignal>
#include <cstdint>

#include <tocsin/signal_set.hpp>

#include "python.hpp"

namespace tocsin::python {

/// Before the first handler. Context: main thread. Errors: those of set_interpreter_hooks().
void install_hook();

/// The interpreter's own handler, which has it call the standard module's handler for the signal soon.
void set_interpreter_handler(void (*handler)(int)) noexcept;

/// The interpreter calls what the standard module has for `sig` soon, as if it had come now.
void interrupt(int sig) noexcept;

/// Has the interpreter come to a safe point if a handler of the main thread is due. For what was left pending.
/// Context: main thread.
void tell_again() noexcept;

/// In a child, at the end of os.fork(): the timer is the child's own, and what came before is told again.
/// Context: main thread, with the lock.
void renew_after_fork() noexcept;

/// True for what tell() has announced; else the interpreter was made to believe that `sig` came (interrupt_main()).
/// Context: main thread, with the lock.
bool was_told(int sig) noexcept;
/// After was_told(). What is told after the interpreter has taken note of the telling before, and until was_told(), is handled
/// together with it, but the interpreter comes for it all the same, and then it would look like a simulated signal: has it
/// come at once. Errors: error_is_set. Context: as above.
void finish_telling(int sig);

/// Creates the timer of the nudge, unless it is there. Without it (the kernel has none to give) nothing else changes.
/// Context: main thread.
void prepare_nudge() noexcept;
/// It ends: the main thread is at a safe point. Context: main thread.
void stop_nudge() noexcept;
/// System calls are restarted after `sig`: it does not nudge. Context: any thread.
void set_restarting(int sig, bool restarting) noexcept;
/// The signal that the nudge uses, or 0.
int nudge_signal_in_use() noexcept;
/// The program wants these signals for itself: the nudge takes another one. If there is none outside the set, it goes
/// without, or else keeps what it has. Context: main thread.
void leave_to_program(const signal_set& wanted, bool even_the_last) noexcept;

/// Further descriptors that get the number of every signal, as a byte. False: no place is left, or none such was added.
bool add_wake_descriptor(int fd) noexcept;
bool remove_wake_descriptor(int fd) noexcept;

} // namespace tocsin::python
