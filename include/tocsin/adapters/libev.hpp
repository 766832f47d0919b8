#pragma once

/// Signals and timers in a libev loop. Link with ev.

#include <ev.h>

#include <ctime>

#include <concepts>
#include <memory>
#include <utility>

#include <tocsin/adapters/detail/callbacks.hpp>
#include <tocsin/inbox.hpp>
#include <tocsin/timer_fd.hpp>

namespace tocsin::libev {

namespace detail {

/// A watcher that listens while it lives.
class watch {
public:
    watch(struct ev_loop* loop, int fd, void (*callback)(struct ev_loop*, ev_io*, int), void* self) noexcept
        : loop_(loop)
    {
        ev_io_init(&io_, callback, fd, EV_READ);
        io_.data = self;
        ::ev_io_start(loop_, &io_);
    }
    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;
    ~watch() { stop(); }
    void stop() noexcept { ::ev_io_stop(loop_, &io_); }

    [[nodiscard]] ev_io* native_handle() noexcept { return &io_; }

private:
    struct ev_loop* loop_;
    ev_io io_{};
};

} // namespace detail

/// An inbox in a loop: callbacks run in ev_run(), on its thread, and may do anything, destroying this included.
/// Its watcher is active, so that ev_run() does not return while this lives, unless ev_unref() is called after this is made
/// (then ev_ref() before it is destroyed).
///
/// Destroy it before ev_loop_destroy(). In a child of fork() call ev_loop_fork() before the loop runs; what arrives between
/// the two waits.
/// Context: the loop's thread, or any while the loop does not run.
class signals {
public:
    /// Errors: as inbox(); std::bad_alloc. (libev ends the program if it finds no memory.)
    explicit signals(struct ev_loop* loop, error_handler on_error = {})
        : state_(std::make_shared<tocsin::detail::adapted_inbox>())
        , watch_(loop, state_->box.native_handle(), &signals::ready, this)
    {
        state_->on_error = std::move(on_error);
    }
    signals(const signals&) = delete;
    signals& operator=(const signals&) = delete;
    /// Ends the subscriptions, as ~inbox() does: also those that somebody still holds.
    ~signals()
    {
        watch_.stop(); // before the descriptor is closed
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
    /// Owned by this: leave it active. Its priority is set by ev_io_stop(), ev_set_priority(), ev_io_start().
    [[nodiscard]] ev_io* native_handle() noexcept { return watch_.native_handle(); }

private:
    static void ready(struct ev_loop*, ev_io* io, int) noexcept
    {
        const auto keep = static_cast<signals*>(io->data)->state_;
        keep->ready();
    }

    std::shared_ptr<tocsin::detail::adapted_inbox> state_;
    detail::watch watch_; // goes first: libev must not poll a descriptor that is closed
};

/// A timer descriptor in a loop. Otherwise as signals. Across fork() both processes have the same timer.
class timer {
public:
    /// Not armed. Errors: as timerfd_create(); std::invalid_argument for an empty function; std::bad_alloc.
    timer(struct ev_loop* loop, timer_callback callback, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : state_(std::make_shared<tocsin::detail::adapted_timer>(std::move(callback), clock, std::move(on_error)))
        , watch_(loop, state_->fd.native_handle(), &timer::ready, this)
    {}
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    ~timer() = default;

    /// To set it: settime(), disarm(). Do not read or close it.
    [[nodiscard]] timer_fd& fd() noexcept { return state_->fd; }
    [[nodiscard]] ev_io* native_handle() noexcept { return watch_.native_handle(); }

private:
    static void ready(struct ev_loop*, ev_io* io, int) noexcept
    {
        const auto keep = static_cast<timer*>(io->data)->state_;
        keep->ready();
    }

    std::shared_ptr<tocsin::detail::adapted_timer> state_;
    detail::watch watch_;
};

} // namespace tocsin::libev
