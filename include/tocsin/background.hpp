#pragma once

#include <concepts>
#include <memory>
#include <utility>

#include <tocsin/inbox.hpp>

namespace tocsin {

/// A thread with an inbox of its own, for programs that have neither a loop nor a thread to spare: callbacks run there
/// as soon as a signal arrives, whatever the other threads do. It blocks all signals but those of a fault in its own
/// code (SIGSEGV ...), so other code's handlers never run on it, and is named "tocsin".
///
/// A callback that throws ends the program (std::terminate): nobody is there to catch it.
/// Context: any thread, several at once.
/// After fork() the child has the subscriptions, but not the thread: their signals are caught there and no callback
/// runs, until this is destroyed there too (which does not wait). A child that executes another program need not care.
/// A callback that forks must not return in the child.
class background {
public:
    /// Errors: as inbox(); std::system_error EAGAIN where there can be no further thread.
    TOCSIN_API background();
    /// Ends the thread after the callback that it runs now, and then the subscriptions as ~inbox() does.
    /// Blocks: while a callback runs. In a callback of its own it does not: the subscriptions end at once, the thread
    /// when that callback returns.
    TOCSIN_API ~background();
    background(const background&) = delete;
    background& operator=(const background&) = delete;

    /// As inbox::on(); the callback runs in the thread. Two callbacks never run at once.
    [[nodiscard]] TOCSIN_API subscription on(const signal_set& set, handler callback,
                                             subscription_options options = {});
    template <std::convertible_to<signum> Signal>
    [[nodiscard]] subscription on(Signal signal, handler callback, subscription_options options = {})
    {
        return on(detail::one_signal(signal), std::move(callback), options);
    }

private:
    struct state;
    std::shared_ptr<state> state_; // shared with the thread
};

} // namespace tocsin
