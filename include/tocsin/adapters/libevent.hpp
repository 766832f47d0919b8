#pragma once

/// Signals and timers in a libevent 2 loop. Link with libevent_core.

#include <event2/event.h>

#include <cerrno>
#include <ctime>

#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include <tocsin/adapters/detail/callbacks.hpp>

namespace tocsin::libevent {

namespace detail {

struct event_deleter {
    void operator()(::event* e) const noexcept { ::event_free(e); }
};
using event_ptr = std::unique_ptr<::event, event_deleter>;

/// Errors: std::bad_alloc; std::system_error if libevent refuses.
inline event_ptr watch(event_base* base, tocsin::detail::adapted& source)
{
    const auto ready = [](evutil_socket_t, short, void* self) { static_cast<tocsin::detail::adapted*>(self)->ready(); };
    event_ptr made(::event_new(base, source.native_handle(), EV_READ | EV_PERSIST, ready, &source));
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
class signals : public tocsin::detail::adapter_of_signals<detail::event_ptr> {
public:
    /// Errors: as inbox(); std::bad_alloc; std::system_error if libevent refuses.
    explicit signals(event_base* base, error_handler on_error = {})
        : adapter_of_signals(std::move(on_error))
    {
        watch_ = detail::watch(base, *source_);
    }

    /// For event_priority_set() and the like; owned by this.
    [[nodiscard]] ::event* native_handle() const noexcept { return watch_.get(); }
};

/// A timer descriptor in a loop. Otherwise as signals. Across fork() both processes have the same timer.
class timer : public tocsin::detail::adapter_of_timer<detail::event_ptr> {
public:
    /// Not armed. Errors: as timerfd_create(); std::invalid_argument for an empty function; as signals().
    timer(event_base* base, timer_callback callback, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : adapter_of_timer(std::move(callback), clock, std::move(on_error))
    {
        watch_ = detail::watch(base, *source_);
    }

    [[nodiscard]] ::event* native_handle() const noexcept { return watch_.get(); }
};

/// Any number of timers in a loop, on one descriptor (timer_queue): callbacks run in event_base_loop(), on its thread, and may do
/// anything, destroying this included; its timers are no longer scheduled then. Otherwise as signals. Across fork() the child
/// has the same timers, by itself.
class timers : public tocsin::detail::adapter_of_queue<detail::event_ptr> {
public:
    /// Errors: as timer_queue(); std::bad_alloc; std::system_error if libevent refuses.
    explicit timers(event_base* base, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : adapter_of_queue(clock, std::move(on_error))
    {
        watch_ = detail::watch(base, *source_);
    }

    [[nodiscard]] ::event* native_handle() const noexcept { return watch_.get(); }
};

} // namespace tocsin::libevent
