#pragma once

// What tocsin knows of the process it lives in: whose state this is, which thread is the main one, and what fork()
// does.

namespace tocsin::detail {

/// Makes this process the owner of the state, once; called before the first disposition of ours is set.
/// Errors: std::system_error with ENOMEM. Context: any thread.
void claim_process();

/// Takes the signal for nudging, once; called before a handler of ours is installed. Context: main thread, with the registry's
/// mutex.
/// Errors: std::system_error where calls are interrupted by a timer (TOCSIN_PORTABLE_CALLS) and the kernel has none.
void reserve_nudge_signal();

/// The signal for nudging; takes it for the calling thread if that has not been done. Context: any thread.
/// Errors: std::system_error with EBUSY if none is free, and those of the two above.
int nudge_signal_for_timers();

/// The program is about to set a disposition of its own for `sig`: if that is the one for nudging, another takes its
/// place. Context: main thread, with the registry's mutex.
void give_up_nudge_signal(int sig) noexcept;

/// The calling thread is the main thread: on Linux the initial thread of the process, which after fork() is the thread
/// that forked. Context: any thread, ordinary code. Cheap: a system call only the first time in a thread.
bool is_main_thread() noexcept;

/// Changes with every fork(), once claim_process() has been called: a thread that was started under another number is
/// another process's. Context: any thread.
unsigned fork_generation() noexcept;

/// Forgets the runtime object of a thread that is gone. Context: main thread of a child forked by another thread.
void forget_runtime() noexcept;

/// Throws thread_error unless on the main thread.
void require_main_thread(const char* function);

} // namespace tocsin::detail
