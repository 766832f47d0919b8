#pragma once

#include <iosfwd>
#include <string>

#include <tocsin/error.hpp>
#include <tocsin/signal_set.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

/// How pthread_sigmask() changes the mask. Equal to SIG_BLOCK, SIG_UNBLOCK and SIG_SETMASK, which are accepted too.
enum class sigmask : int { block = SIG_BLOCK, unblock = SIG_UNBLOCK, set_mask = SIG_SETMASK };

[[nodiscard]] TOCSIN_API std::string to_string(sigmask how);
TOCSIN_API std::ostream& operator<<(std::ostream& out, sigmask how);

/// Changes the calling thread's signal mask and returns what it was. SIGKILL and SIGSTOP cannot be blocked and are
/// silently left out. On the main thread pending handlers then run: if one throws, the mask has changed all the same.
/// Context: any thread. Blocks: no.
/// Errors: std::system_error with EINVAL for an unknown `how`; std::invalid_argument for a member the C library
/// reserves. Source: pthread_sigmask(3).
TOCSIN_API signal_set pthread_sigmask(sigmask how, const signal_set& mask,
                                      source_location where = source_location::current());
TOCSIN_API signal_set pthread_sigmask(int how, const signal_set& mask,
                                      source_location where = source_location::current());

/// The signals that are pending for the calling thread or for the process and blocked here.
/// Context: any thread. Source: sigpending(2).
[[nodiscard]] TOCSIN_API signal_set sigpending();

/// Changes the calling thread's mask while it lives, then puts back the mask it found (not: unblocks what it blocked).
/// The destructor runs no handlers: they run at the next safe point. Destroy it on the thread that made it.
/// Errors: as pthread_sigmask().
class [[nodiscard]] mask_guard {
public:
    /// Blocks `signals`.
    [[nodiscard]] explicit mask_guard(const signal_set& set)
        : mask_guard(sigmask::block, set)
    {}
    [[nodiscard]] TOCSIN_API mask_guard(sigmask how, const signal_set& mask);
    TOCSIN_API ~mask_guard();
    mask_guard(const mask_guard&) = delete;
    mask_guard& operator=(const mask_guard&) = delete;

    /// The mask that will be put back.
    [[nodiscard]] signal_set previous() const noexcept { return signal_set(previous_); }

private:
    sigset_t previous_; // as the kernel gave it: members that signal_set does not know are put back too
};

} // namespace tocsin
