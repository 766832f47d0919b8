#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include <tocsin/event.hpp>
#include <tocsin/handler.hpp>
#include <tocsin/seconds.hpp>
#include <tocsin/signal_set.hpp>
#include <tocsin/source_location.hpp>
#include <tocsin/subscription.hpp>

namespace tocsin {

namespace detail {
class mailbox;
class adapted_inbox;
/// Errors: std::out_of_range.
TOCSIN_API signal_set one_signal(signum signal);
} // namespace detail

/// Signals for one thread or one event loop, any in the process. Several inboxes may want the same signal: each gets it.
/// Callbacks run in run_pending(), on the thread that calls it: they may do anything, throwing included.
///
/// An event loop polls native_handle() and calls run_pending() when it is readable; a thread of its own calls wait() or
/// next(). While the owner is at work an arrival costs no system call beyond the signal itself: the descriptor is written only
/// when the owner sleeps.
///
/// Context: one thread at a time for each inbox (wake() from anywhere), any thread; made, used and destroyed as often as one
/// likes, but at most max_inboxes at once.
/// After fork() the child's inboxes are its own, under the same descriptor numbers and with nothing pending.
class inbox {
public:
    static constexpr std::size_t max_inboxes = 63;

    /// Errors: std::length_error when max_inboxes exist; std::system_error EMFILE, ENFILE, ENOMEM.
    TOCSIN_API inbox();
    /// Ends its subscriptions as subscription::cancel() does. Not while another thread is in a call of this, or in the
    /// cancel() of one of its subscriptions.
    TOCSIN_API ~inbox();
    inbox(inbox&&) noexcept = default;
    TOCSIN_API inbox& operator=(inbox&&) noexcept;
    inbox(const inbox&) = delete;
    inbox& operator=(const inbox&) = delete;

    /// Calls `callback` for each of these signals: any callable that handler accepts. Several subscriptions for one signal
    /// are called in the order they were made.
    /// Errors: std::out_of_range for a number outside 1 to nsig - 1; std::system_error EINVAL for SIGKILL, SIGSTOP and the
    /// numbers the C library reserves; std::invalid_argument for an empty set, an empty function, a handler that is none
    /// (SIG_IGN), a capacity out of range, or at_cancel::run without a callback, or, but on the main thread,
    /// nudge_signal() (see set_nudge_signal()); std::bad_alloc. Nothing has changed then.
    /// Guarantee: a flood of one signal loses no other (G1); the disposition found is put back at the end (G7).
    [[nodiscard]] TOCSIN_API subscription on(const signal_set& set, handler callback,
                                             subscription_options options = {});
    template <std::convertible_to<signum> Signal>
    [[nodiscard]] subscription on(Signal signal, handler callback, subscription_options options = {})
    {
        return on(detail::one_signal(signal), std::move(callback), options);
    }
    /// Without a callback: try_next() and next() return the events.
    [[nodiscard]] TOCSIN_API subscription on(const signal_set& set, subscription_options options = {});
    template <std::convertible_to<signum> Signal>
    [[nodiscard]] subscription on(Signal signal, subscription_options options = {})
    {
        return on(detail::one_signal(signal), options);
    }

    /// Readable while something is pending (level-triggered; also an edge for every change from nothing to something).
    /// Belongs to the inbox: do not read, write or close it. Not written while run_pending() is at work: a callback that runs
    /// an event loop of its own calls this again before.
    [[nodiscard]] TOCSIN_API int native_handle() noexcept;

    /// Runs the callbacks of what is pending, in ascending order of signal number, and returns how many ran. What arrives
    /// meanwhile waits for the next call (and keeps native_handle() readable). Also a safe point of the main thread.
    /// Blocks: no, but for what the callbacks do. Errors: what a callback throws; the rest stays pending.
    TOCSIN_API std::size_t run_pending(source_location where = source_location::current());

    /// Waits until something is pending: true; or for the time given, until wake(), or
    /// until a handler destroys this: false. On the main thread its
    /// handlers run meanwhile, and what they throw leaves from here. Errors: std::invalid_argument, std::overflow_error
    /// for the time, as elsewhere; std::system_error EMFILE, ENFILE, ENOMEM in a forked child that has no descriptor yet.
    TOCSIN_API bool wait(source_location where = source_location::current());
    TOCSIN_API bool wait(seconds limit, source_location where = source_location::current());

    /// The next event of a subscription without callback; empty if there is none. Callbacks of other subscriptions run on
    /// the way.
    TOCSIN_API std::optional<event> try_next(source_location where = source_location::current());
    /// The same, waiting for it. The limited form is empty when the time is over or after wake(). Errors also: std::logic_error
    /// if a callback destroys the inbox that the form without limit waits for.
    TOCSIN_API event next(source_location where = source_location::current());
    TOCSIN_API std::optional<event> next(seconds limit, source_location where = source_location::current());

    /// Ends a wait() of the owner and makes native_handle() readable once. Context: any thread, signal handlers included.
    TOCSIN_API void wake() noexcept;

private:
    friend class detail::adapted_inbox;
    /// What the destructor does first: callbacks that run then may still use this.
    TOCSIN_API void close() noexcept;

    std::shared_ptr<detail::mailbox> box_;
};

/// A subscription whose callback runs at the safe points of the main thread, after the handler that signal() has set, if
/// any. Otherwise as inbox::on(). Context: main thread. Errors: thread_error elsewhere; as inbox::on().
[[nodiscard]] TOCSIN_API subscription on(const signal_set& set, handler callback, subscription_options options = {});
template <std::convertible_to<signum> Signal>
[[nodiscard]] subscription on(Signal signal, handler callback, subscription_options options = {})
{
    return on(detail::one_signal(signal), std::move(callback), options);
}

} // namespace tocsin
