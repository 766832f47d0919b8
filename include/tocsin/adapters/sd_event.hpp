#pragma once

/// Signals and timers in an sd-event loop. Link with libsystemd.

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include <cstdint>
#include <ctime>

#include <concepts>
#include <memory>
#include <system_error>
#include <utility>

#include <tocsin/adapters/detail/callbacks.hpp>
#include <tocsin/inbox.hpp>
#include <tocsin/timer_fd.hpp>

namespace tocsin::sd_event {

namespace detail {

struct source_deleter {
    void operator()(sd_event_source* source) const noexcept { ::sd_event_source_disable_unref(source); }
};
using source_ptr = std::unique_ptr<sd_event_source, source_deleter>;

/// Errors: std::system_error if sd-event refuses.
inline source_ptr watch(::sd_event* loop, int fd, sd_event_io_handler_t callback, void* self)
{
    sd_event_source* made = nullptr;
    if (const int error = ::sd_event_add_io(loop, &made, fd, EPOLLIN, callback, self); error < 0)
        throw std::system_error(-error, std::generic_category(), "tocsin::sd_event: sd_event_add_io");
    return source_ptr(made);
}

} // namespace detail

/// An inbox in a loop: callbacks run in sd_event_loop(), on its thread, and may do anything, destroying this included. Takes
/// the place of sd_event_add_signal(): no signal needs to be blocked in all threads, and others may listen to the same ones.
///
/// Holds a reference to the loop, as any source does: either may go first. sd-event refuses a loop that was made before fork()
/// (-ECHILD): the child makes one of its own and calls attach(); what arrives between the two waits.
/// Context: the loop's thread, or any while the loop does not run.
class signals {
public:
    /// Errors: as inbox(); std::bad_alloc; std::system_error if sd-event refuses.
    explicit signals(::sd_event* loop, error_handler on_error = {})
        : state_(std::make_shared<tocsin::detail::adapted_inbox>())
    {
        state_->on_error = std::move(on_error);
        attach(loop);
    }
    signals(const signals&) = delete;
    signals& operator=(const signals&) = delete;
    /// Ends the subscriptions, as ~inbox() does: also those that somebody still holds.
    ~signals()
    {
        source_.reset(); // before the descriptor is closed
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

    /// Leaves its loop for another one, with the subscriptions and what is pending; the new source has the default priority.
    /// Errors: std::system_error if sd-event refuses; nothing has changed then.
    void attach(::sd_event* loop) { source_ = detail::watch(loop, state_->box.native_handle(), &signals::ready, this); }

    [[nodiscard]] tocsin::inbox& inbox() noexcept { return state_->box; }
    /// For sd_event_source_set_priority() and the like; owned by this.
    [[nodiscard]] sd_event_source* native_handle() const noexcept { return source_.get(); }

private:
    static int ready(sd_event_source*, int, std::uint32_t, void* self) noexcept
    {
        const auto keep = static_cast<signals*>(self)->state_;
        keep->ready();
        return 0;
    }

    std::shared_ptr<tocsin::detail::adapted_inbox> state_;
    detail::source_ptr source_;
};

/// A timer descriptor in a loop. Otherwise as signals. Across fork() both processes have the same timer: the child makes one
/// for itself.
class timer {
public:
    /// Not armed. Errors: as timerfd_create(); std::invalid_argument for an empty function; as signals().
    timer(::sd_event* loop, timer_callback callback, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : state_(std::make_shared<tocsin::detail::adapted_timer>(std::move(callback), clock, std::move(on_error)))
        , source_(detail::watch(loop, state_->fd.native_handle(), &timer::ready, this))
    {}
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    ~timer() = default;

    /// To set it: settime(), disarm(). Do not read or close it.
    [[nodiscard]] timer_fd& fd() noexcept { return state_->fd; }
    [[nodiscard]] sd_event_source* native_handle() const noexcept { return source_.get(); }

private:
    static int ready(sd_event_source*, int, std::uint32_t, void* self) noexcept
    {
        const auto keep = static_cast<timer*>(self)->state_;
        keep->ready();
        return 0;
    }

    std::shared_ptr<tocsin::detail::adapted_timer> state_;
    detail::source_ptr source_;
};

} // namespace tocsin::sd_event
