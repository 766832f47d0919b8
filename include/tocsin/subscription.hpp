#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <tocsin/config.hpp>
#include <tocsin/signal_set.hpp>

namespace tocsin {

namespace detail {
struct subscriber;
class mailbox;
} // namespace detail

/// How arrivals that come faster than the callback runs reach it.
enum class delivery : unsigned char {
    /// One call for all of them: event::count says how many, event::info is the first one's.
    merge,
    /// One call for each, all with the first one's info.
    count,
    /// One call for each, with its own info, in the order of arrival. What finds no room is counted: dropped().
    queue,
};

/// What happens to a signal that has arrived and whose callback has not run when its subscription ends.
enum class at_cancel : unsigned char {
    /// It goes to the disposition that is put back, with its original siginfo. It is dropped if none is: others in this
    /// process are subscribed by then, or other code has put a handler over ours; and if this chains, since the handler
    /// before has had it.
    redeliver,
    drop,
    /// The callback runs, in the thread that cancels. Needs a callback.
    run,
};

struct subscription_options {
    tocsin::delivery delivery = delivery::merge;
    /// For delivery::queue: arrivals of each signal kept until the callback runs, 1 to 2^20, rounded up to a power of two.
    std::size_t capacity = 1024;
    /// System calls of all code are restarted after the signal (SA_RESTART), unless another subscription for it or
    /// signal() wants them interrupted. Calls of tocsin::blocking go on either way.
    bool restart = true;
    /// The handler that other code had installed before is called too, inside the signal handler, as if it were still
    /// there. SIG_DFL and SIG_IGN are no handlers. One that was put over ours later, and may call ours, is not called.
    bool chain = false;
    /// The first call of the callback, or the first event taken, is the last. What else is pending goes where
    /// at_cancel says, but is never run: when the callback has returned, or before next() returns the event.
    bool once = false;
    /// After the first arrival the signal takes its default action: a second Ctrl-C ends a program that hangs. Lasts until
    /// the signal is subscribed to again or set with signal().
    bool second_is_default = false;
    /// A signal that is ignored when the subscription is made (nohup, a shell's background job) stays ignored.
    bool respect_ignore = false;
    at_cancel pending = at_cancel::redeliver;
};

/// A callback's claim on some signals: ends with it. Movable.
/// Context: any thread, but one object from one thread at a time.
class [[nodiscard]] subscription {
public:
    /// Holds nothing.
    subscription() noexcept = default;
    subscription(subscription&& other) noexcept = default;
    TOCSIN_API subscription& operator=(subscription&& other) noexcept;
    subscription(const subscription&) = delete;
    subscription& operator=(const subscription&) = delete;
    TOCSIN_API ~subscription();

    /// Ends it. When this returns no further callback can run: it waits for one that runs on another thread, not for the
    /// one it is called from (two callbacks on two threads that cancel each other wait for ever). Was it the last for a
    /// signal, the disposition before is put back, unless other code has replaced ours since. Guarantee: a signal that
    /// races with it is delivered or takes that disposition, never both, never neither (G8); see at_cancel for what had
    /// arrived before, which is passed on last.
    /// Blocks: while its callback runs on another thread. Does nothing the second time, or after the inbox has gone.
    /// Errors: what callbacks throw with at_cancel::run; the subscription has ended all the same. (A destructor ends the
    /// program then.)
    TOCSIN_API void cancel();

    /// The callback may still run.
    [[nodiscard]] TOCSIN_API bool active() const noexcept;
    /// What it listens to: without those that respect_ignore left ignored. Empty once cancelled.
    [[nodiscard]] TOCSIN_API signal_set subscribed_signals() const noexcept;
    /// Arrivals that found no room (delivery::queue, or no memory). Calls and drops together are the arrivals.
    [[nodiscard]] TOCSIN_API std::uint64_t dropped() const noexcept;
    /// Calls of the callback, or events taken, so far.
    [[nodiscard]] TOCSIN_API std::uint64_t delivered() const noexcept;

private:
    friend class detail::mailbox;
    explicit subscription(std::shared_ptr<detail::subscriber> who) noexcept
        : who_(std::move(who))
    {}

    std::shared_ptr<detail::subscriber> who_;
};

} // namespace tocsin
