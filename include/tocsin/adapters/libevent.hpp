#pragma once

/// Signals and timers in a libevent 2 loop. Link with libevent_core.

#include <event2/event.h>

#include <cerrno>
#include <ctime>

#include <concepts>
#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include <tocsin/adapters/detail/callbacks.hpp>
#include <tocsin/inbox.hpp>
#include <tocsin/timer_fd.hpp>

namespace tocsin::libevent {

namespace detail {

struct event_deleter {
    void operator()(::event* e) const noexcept { ::event_free(e); }
};
using event_ptr = std::unique_ptr<::event, event_deleter>;

/// Errors: std::bad_alloc; std::system_error if libevent refuses.
inline event_ptr watch(event_base* base, int fd, event_callback_fn callback, void* self)
{
    event_ptr made(::event_new(base, fd, EV_READ | EV_PERSIST, callback, self));
    if (made == nullptr)
        throw std::bad_alloc();
    errno = 0;
    if (::event_add(made.get(), nullptr) != 0)
        throw std::system_error(errno, std::generic_category(), "tocsin::libevent: event_add");
    return made;
}

} // namespace detail

/// An inbox in a loop: callbacks run in event_base_loop(), on its thread, and may do anything, destroying this included.
/// It keeps event_base_dispatch() from returning, as any pending event does.
///
/// Destroy it before event_base_free(). In a child of fork() call event_reinit() before anything else that concerns the
/// loop; what arrives between the two waits.
/// Context: the loop's thread, or any while the loop does not run.
class signals {
public:
    /// Errors: as inbox(); std::bad_alloc; std::system_error if libevent refuses.
    explicit signals(event_base* base, error_handler on_error = {})
        : state_(std::make_shared<tocsin::detail::adapted_inbox>())
    {
        state_->on_error = std::move(on_error);
        event_ = detail::watch(base, state_->box.native_handle(), &signals::ready, this);
    }
    signals(const signals&) = delete;
    signals& operator=(const signals&) = delete;
    /// Ends the subscriptions, as ~inbox() does: also those that somebody still holds.
    ~signals()
    {
        event_.reset(); // before the descriptor is closed
        const tocsin::inbox ended(std::move(state_->box));
    }

    /// As inbox::on(). The subscription may be cancelled on any thread.
    [[nodiscard]] subscription on(const signal_set& set, handler callback, subscription_options options = {})
    {
        return state_->box.on(set, std::move(callback), options);
    }
    template <std::convertible_to<signum> Signal>
    [[nodiscard]] subscription on(Signal signal, handler callback, subscription_options options = {})
    {
        return state_->box.on(signal, std::move(callback), options);
    }

    [[nodiscard]] tocsin::inbox& inbox() noexcept { return state_->box; }
    /// For event_priority_set() and the like; owned by this.
    [[nodiscard]] ::event* native_handle() const noexcept { return event_.get(); }

private:
    static void ready(evutil_socket_t, short, void* self) noexcept
    {
        const auto keep = static_cast<signals*>(self)->state_;
        keep->ready();
    }

    std::shared_ptr<tocsin::detail::adapted_inbox> state_;
    detail::event_ptr event_; // goes first: libevent must not poll a descriptor that is closed
};

/// A timer descriptor in a loop. Otherwise as signals. Across fork() both processes have the same timer.
class timer {
public:
    /// Not armed. Errors: as timerfd_create(); std::invalid_argument for an empty function; as signals().
    timer(event_base* base, timer_callback callback, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : state_(std::make_shared<tocsin::detail::adapted_timer>(std::move(callback), clock, std::move(on_error)))
        , event_(detail::watch(base, state_->fd.native_handle(), &timer::ready, this))
    {}
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    ~timer() = default;

    /// To set it: settime(), disarm(). Do not read or close it.
    [[nodiscard]] timer_fd& fd() noexcept { return state_->fd; }
    [[nodiscard]] ::event* native_handle() const noexcept { return event_.get(); }

private:
    static void ready(evutil_socket_t, short, void* self) noexcept
    {
        const auto keep = static_cast<timer*>(self)->state_;
        keep->ready();
    }

    std::shared_ptr<tocsin::detail::adapted_timer> state_;
    detail::event_ptr event_;
};

} // namespace tocsin::libevent
