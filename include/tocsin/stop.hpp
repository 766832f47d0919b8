#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include <tocsin/background.hpp>
#include <tocsin/event.hpp>
#include <tocsin/signal_set.hpp>
#include <tocsin/subscription.hpp>

namespace tocsin {

namespace detail {
struct stop_cause;
}

/// What stop_on() returns: the signals ask its token to stop while it lives. Movable.
/// Context: any thread, but one object from one thread at a time; tokens from anywhere.
class [[nodiscard]] signal_stop {
public:
    signal_stop(signal_stop&&) noexcept = default;
    TOCSIN_API signal_stop& operator=(signal_stop&& other) noexcept;
    signal_stop(const signal_stop&) = delete;
    signal_stop& operator=(const signal_stop&) = delete;
    /// Ends the subscription as subscription::cancel() does: it waits for stop callbacks that run in the shared thread.
    /// Tokens stay as they are, and can no longer be asked to stop.
    ~signal_stop() = default;

    [[nodiscard]] TOCSIN_API std::stop_token get_token() const noexcept;
    operator std::stop_token() const noexcept { return get_token(); }

    /// The signal that asked to stop, the first if there were several; empty before. Whoever sees the token stopped
    /// finds it.
    [[nodiscard]] TOCSIN_API std::optional<event> cause() const noexcept;

private:
    friend TOCSIN_API signal_stop stop_on(const signal_set& set, subscription_options options);
    signal_stop(std::shared_ptr<background> consumer, std::shared_ptr<detail::stop_cause> state,
                subscription listening) noexcept
        : consumer_(std::move(consumer))
        , state_(std::move(state))
        , listening_(std::move(listening))
    {}

    std::shared_ptr<background> consumer_;
    std::shared_ptr<detail::stop_cause> state_;
    subscription listening_; // ends first
};

/// A token that is asked to stop when one of the signals arrives:
///     const auto stop = tocsin::stop_on({SIGINT, SIGTERM}, {.second_is_default = true});
///     changed.wait(lock, stop.get_token(), [&] { return ready; });
/// Stop callbacks run in a thread that all users of stop_on() share (class background) and that ends with the last of
/// them, so this works while every thread of the program waits for something else. They must not throw: that ends the
/// program. A second signal does nothing more, unless the options let it take the default action (second_is_default).
/// After fork() the thread is the parent's: in the child an inherited token is never asked to stop and the signals are
/// caught until the signal_stop is destroyed there, which does not wait. The child may call stop_on() for itself, and
/// gets a thread of its own.
/// Context: any thread. Errors: as background() and inbox::on(). Guarantee: as inbox::on().
[[nodiscard]] TOCSIN_API signal_stop stop_on(const signal_set& set, subscription_options options = {});
template <std::convertible_to<signum> Signal>
[[nodiscard]] signal_stop stop_on(Signal signal, subscription_options options = {})
{
    return stop_on(detail::one_signal(signal), options);
}

} // namespace tocsin
