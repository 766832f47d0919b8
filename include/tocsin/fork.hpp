#pragma once

#include <spawn.h>

#include <tocsin/error.hpp>
#include <tocsin/signal_set.hpp>

namespace tocsin {

// What a child process gets.
//   fork(): the dispositions and the handlers, but nothing that is pending and no wake-up descriptor; the thread that
//     forked is the main thread. A signal that arrives before tocsin has renewed its state there takes the default
//     action, in that child.
//   vfork(), clone() and _Fork(): the state stays the parent's. Every signal that has a handler takes the default
//     action in that child. It must call nothing of tocsin but reset_for_exec().
//   exec: handlers become the default action, but a signal mask and signals that are ignored are inherited. The two
//     below prevent that. system(3) and popen(3) do not: what they run inherits that SIGPIPE is ignored (see runtime).

/// The signals whose disposition tocsin has changed and not put back: those that have a handler now, and those that it
/// ignores though they were not ignored when it first changed them. Not nudge_signal(), whose handler exec resets: one
/// that is under way must not meet the default action before.
/// Context: any thread; async-signal-safe; a child of fork(), vfork() or clone(). Blocks: no.
[[nodiscard]] TOCSIN_API signal_set changed_signals() noexcept;

/// Gives the program that is executed next a clean slate: the default action for changed_signals() and for every signal
/// that other code handles, then an empty signal mask. What was ignored when this program started stays ignored, as
/// under nohup. To be called in the child, just before exec: a signal that is pending there or whose handler has not
/// run yet takes the default action; no handler runs. In the child of vfork() the parent's dispositions and mask do not
/// change. Context: as changed_signals(). Blocks: no. Source: sigaction(2), execve(2).
TOCSIN_API void reset_for_exec() noexcept;

/// The same through posix_spawn(3): attributes with POSIX_SPAWN_SETSIGDEF, for changed_signals() as they are when this
/// is made, and POSIX_SPAWN_SETSIGMASK, for an empty mask. More can be set through native_handle(); flags are to be
/// added to those that posix_spawnattr_getflags(3) gives. Context: any thread. Errors: std::system_error with ENOMEM.
class TOCSIN_API spawn_attributes {
public:
    spawn_attributes();
    ~spawn_attributes();
    spawn_attributes(const spawn_attributes&) = delete;
    spawn_attributes& operator=(const spawn_attributes&) = delete;

    [[nodiscard]] posix_spawnattr_t* native_handle() noexcept { return &native_; }
    [[nodiscard]] const posix_spawnattr_t* native_handle() const noexcept { return &native_; }

private:
    posix_spawnattr_t native_;
};

} // namespace tocsin
