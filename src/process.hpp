#pragma once

// What tocsin knows of the process it lives in: whose state this is, which thread is the main one, and what fork()
// does.

namespace tocsin::detail {

/// Makes this process the owner of the state, once; called before the first disposition of ours is set.
/// Errors: std::system_error with ENOMEM. Context: any thread.
void claim_process();

/// The calling thread is the main thread: on Linux the initial thread of the process, which after fork() is the thread
/// that forked. Context: any thread, ordinary code. Cheap: a system call only the first time in a thread.
bool is_main_thread() noexcept;

/// Throws thread_error unless on the main thread.
void require_main_thread(const char* function);

} // namespace tocsin::detail
