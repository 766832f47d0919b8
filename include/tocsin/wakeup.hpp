#pragma once

#include <tocsin/error.hpp>

namespace tocsin {

struct wakeup_options {
    /// Report a byte that did not fit into the descriptor on standard error. Other write errors are always reported.
    bool warn_on_full_buffer = true;
};

/// Has the number of every signal that arrives and has a handler written to `fd` as one byte, from whatever thread took
/// it, so that a loop in poll() or select() on the other end wakes up. -1 turns it off. Returns the descriptor used
/// before, or -1. The caller keeps owning the descriptor and must turn this off before closing it.
/// Write errors are reported on standard error from the next safe point. A full buffer loses bytes, never a signal.
/// In a forked child it is off, so that the child's signals do not reach the parent's loop.
/// Context: main thread.
/// Errors: thread_error; std::system_error with EBADF for a closed or negative descriptor; std::invalid_argument for a
/// blocking one.
TOCSIN_API int set_wakeup_fd(int fd, wakeup_options options = {});

} // namespace tocsin
