#pragma once

/// Signals and timers in an sd-event loop. Link with libsystemd.

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include <cstdint>
#include <ctime>

#include <memory>
#include <system_error>
#include <utility>

#include <tocsin/adapters/detail/callbacks.hpp>

namespace tocsin::sd_event {

namespace detail {

struct source_deleter {
    void operator()(sd_event_source* source) const noexcept { ::sd_event_source_disable_unref(source); }
};
using source_ptr = std::unique_ptr<sd_event_source, source_deleter>;

/// Errors: std::system_error if sd-event refuses.
inline source_ptr watch(::sd_event* loop, tocsin::detail::adapted& source)
{
    const auto ready = [](sd_event_source*, int, std::uint32_t, void* self) {
        static_cast<tocsin::detail::adapted*>(self)->ready();
        return 0;
    };
    sd_event_source* made = nullptr;
    if (const int error = ::sd_event_add_io(loop, &made, source.native_handle(), EPOLLIN, ready, &source); error < 0)
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
class signals : public tocsin::detail::adapter_of_signals<detail::source_ptr> {
public:
    /// Errors: as inbox(); std::bad_alloc; std::system_error if sd-event refuses.
    explicit signals(::sd_event* loop, error_handler on_error = {})
        : adapter_of_signals(std::move(on_error))
    {
        attach(loop);
    }

    /// Leaves its loop for another one, with the subscriptions and what is pending; the new source has the default priority.
    /// Errors: std::system_error if sd-event refuses; nothing has changed then.
    void attach(::sd_event* loop) { watch_ = detail::watch(loop, *source_); }

    /// For sd_event_source_set_priority() and the like; owned by this.
    [[nodiscard]] sd_event_source* native_handle() const noexcept { return watch_.get(); }
};

/// A timer descriptor in a loop. Otherwise as signals. Across fork() both processes have the same timer: the child makes one
/// for itself.
class timer : public tocsin::detail::adapter_of_timer<detail::source_ptr> {
public:
    /// Not armed. Errors: as timerfd_create(); std::invalid_argument for an empty function; as signals().
    timer(::sd_event* loop, timer_callback callback, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : adapter_of_timer(std::move(callback), clock, std::move(on_error))
    {
        watch_ = detail::watch(loop, *source_);
    }

    [[nodiscard]] sd_event_source* native_handle() const noexcept { return watch_.get(); }
};

/// Any number of timers in a loop, on one descriptor (timer_queue): callbacks run in sd_event_loop(), on its thread, and may do
/// anything, destroying this included; its timers are no longer scheduled then. Otherwise as signals. Across fork() the child
/// has the same timers, by itself, once it has called attach().
class timers : public tocsin::detail::adapter_of_queue<detail::source_ptr> {
public:
    /// Errors: as timer_queue(); std::system_error if sd-event refuses.
    explicit timers(::sd_event* loop, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : adapter_of_queue(clock, std::move(on_error))
    {
        attach(loop);
    }

    /// Leaves its loop for another one; the new source has the default priority.
    /// Errors: std::system_error if sd-event refuses; nothing has changed then.
    void attach(::sd_event* loop) { watch_ = detail::watch(loop, *source_); }

    [[nodiscard]] sd_event_source* native_handle() const noexcept { return watch_.get(); }
};

} // namespace tocsin::sd_event
