#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <tocsin/event.hpp>
#include <tocsin/handler.hpp>
#include <tocsin/seconds.hpp>
#include <tocsin/signal_set.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

/// A thread that does not block what a lossless_inbox needs blocked.
struct unblocked_thread {
    pid_t tid = 0;
    std::string name;
    signal_set unblocked; // those of the inbox's that it does not block
};

/// A lossless_inbox cannot keep its promise, because of these threads.
class TOCSIN_API unblocked_error : public std::logic_error {
public:
    explicit unblocked_error(std::vector<unblocked_thread> threads);
    /// In ascending order of tid.
    [[nodiscard]] const std::vector<unblocked_thread>& threads() const noexcept { return *threads_; }

private:
    std::shared_ptr<const std::vector<unblocked_thread>> threads_; // copied without an error
};

/// Takes signals from the kernel's own queue (signalfd), which loses no real-time signal: each one that was accepted
/// from its sender is returned once, those of one number in the order they were sent, with the value each carries. A
/// sender that finds the queue full is refused (EAGAIN, RLIMIT_SIGPENDING). Standard signals merge in the kernel, as
/// ever.
///
/// This works only while every thread blocks the signals: make the object in the main thread before there are others,
/// which then inherit the mask. A thread that unblocks one of them later takes signals away; so does one that waits for
/// them (sigwaitinfo()). No handler and no subscription for them runs. Signals for one thread (pthread_kill()) reach
/// the inbox only if it is read on that thread. For SIGURG, keep another one for nudging first (set_nudge_signal()).
/// Context: made and destroyed on one thread; otherwise any, one at a time.
/// After fork() the child's inbox takes the signals of the child, where only the thread that forked exists and blocks
/// them. An epoll instance from before fork() keeps watching the parent's: add the descriptor to one made in the child.
class lossless_inbox {
public:
    /// Blocks the signals in the calling thread, then looks at every thread of the process.
    /// Errors: unblocked_error if one of them does not block them all; std::invalid_argument for an empty set or a set
    /// with nudge_signal(); std::system_error EINVAL for SIGKILL, SIGSTOP and the numbers the C library reserves,
    /// EMFILE, ENFILE, ENOMEM, and where /proc cannot be read; std::logic_error if another lossless_inbox has one of
    /// them; std::bad_alloc. The mask is what it was then. Source: signalfd(2), proc(5).
    TOCSIN_API explicit lossless_inbox(const signal_set& set);
    /// Unblocks those of the signals that the calling thread did not block before; on another thread than the
    /// constructor's no mask changes. What is pending stays so in the kernel, in order: once a thread unblocks it, here
    /// already perhaps, it takes the disposition that holds then.
    TOCSIN_API ~lossless_inbox();
    lossless_inbox(const lossless_inbox&) = delete;
    lossless_inbox& operator=(const lossless_inbox&) = delete;

    /// Readable while something is pending (level-triggered). From the first call on, try_next() and next() take one
    /// signal at a time from the kernel and not many, so that this stays true. Belongs to the inbox: do not read or
    /// close it.
    [[nodiscard]] TOCSIN_API int native_handle();

    /// The next signal, lowest number first; empty if none is pending. Its count is 1.
    /// Blocks: no. Errors: std::system_error; std::bad_alloc.
    TOCSIN_API std::optional<event> try_next(source_location where = source_location::current());
    /// The same, waiting for it. The limited form is empty when the time is over. On the main thread its handlers run
    /// meanwhile, and what they throw leaves from here. Errors also: std::invalid_argument, std::overflow_error for the
    /// time.
    TOCSIN_API event next(source_location where = source_location::current());
    TOCSIN_API std::optional<event> next(seconds limit, source_location where = source_location::current());
    /// Waits until something is pending: true; false when the time is over. Errors: as next().
    TOCSIN_API bool wait(source_location where = source_location::current());
    TOCSIN_API bool wait(seconds limit, source_location where = source_location::current());

    /// Calls `f` for each signal that is pending, as a handler is called, until none is, and returns how many there
    /// were. Under a flood that is faster than `f` it does not return. Errors: what `f` throws; the rest stays pending.
    /// Must not destroy the inbox; std::invalid_argument for an `f` that is none (SIG_IGN).
    TOCSIN_API std::size_t run_pending(const handler& f, source_location where = source_location::current());

    [[nodiscard]] signal_set blocked_signals() const noexcept { return signals_; }

private:
    struct state;
    signal_set signals_;
    std::unique_ptr<state> state_;
};

} // namespace tocsin
