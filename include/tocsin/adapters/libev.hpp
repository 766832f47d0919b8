#pragma once

/// Signals and timers in a libev loop. Link with ev.

#include <ev.h>

#include <ctime>

#include <memory>
#include <utility>

#include <tocsin/adapters/detail/callbacks.hpp>

namespace tocsin::libev {

namespace detail {

struct io_stopper {
    void operator()(ev_io* io) const noexcept
    {
        ::ev_io_stop(loop, io);
        delete io;
    }
    struct ev_loop* loop = nullptr;
};
using io_ptr = std::unique_ptr<ev_io, io_stopper>;

/// Errors: std::bad_alloc.
inline io_ptr watch(struct ev_loop* loop, tocsin::detail::adapted& source)
{
    const auto ready = [](struct ev_loop*, ev_io* io, int) {
        static_cast<tocsin::detail::adapted*>(io->data)->ready();
    };
    io_ptr made(new ev_io(), {loop});
    ev_io_init(made.get(), ready, source.native_handle(), EV_READ);
    made->data = &source;
    ::ev_io_start(loop, made.get());
    return made;
}

} // namespace detail

/// An inbox in a loop: callbacks run in ev_run(), on its thread, and may do anything, destroying this included.
/// Its watcher is active, so that ev_run() does not return while this lives, unless ev_unref() is called after this is made
/// (then ev_ref() before it is destroyed).
///
/// Destroy it before ev_loop_destroy(). In a child of fork() call ev_loop_fork() before the loop runs; what arrives between
/// the two waits.
/// Context: the loop's thread, or any while the loop does not run.
class signals : public tocsin::detail::adapter_of_signals<detail::io_ptr> {
public:
    /// Errors: as inbox(); std::bad_alloc. (libev ends the program if it finds no memory.)
    explicit signals(struct ev_loop* loop, error_handler on_error = {})
        : adapter_of_signals(std::move(on_error))
    {
        watch_ = detail::watch(loop, *source_);
    }

    /// Owned by this: leave it active. Its priority is set by ev_io_stop(), ev_set_priority(), ev_io_start().
    [[nodiscard]] ev_io* native_handle() const noexcept { return watch_.get(); }
};

/// A timer descriptor in a loop. Otherwise as signals. Across fork() both processes have the same timer.
class timer : public tocsin::detail::adapter_of_timer<detail::io_ptr> {
public:
    /// Not armed. Errors: as timerfd_create(); std::invalid_argument for an empty function; std::bad_alloc.
    timer(struct ev_loop* loop, timer_callback callback, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : adapter_of_timer(std::move(callback), clock, std::move(on_error))
    {
        watch_ = detail::watch(loop, *source_);
    }

    [[nodiscard]] ev_io* native_handle() const noexcept { return watch_.get(); }
};

/// Any number of timers in a loop, on one descriptor (timer_queue): callbacks run in ev_run(), on its thread, and may do
/// anything, destroying this included; its timers are no longer scheduled then. Otherwise as signals. Across fork() the child
/// has the same timers, by itself.
class timers : public tocsin::detail::adapter_of_queue<detail::io_ptr> {
public:
    /// Errors: as timer_queue(); std::bad_alloc.
    explicit timers(struct ev_loop* loop, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : adapter_of_queue(clock, std::move(on_error))
    {
        watch_ = detail::watch(loop, *source_);
    }

    [[nodiscard]] ev_io* native_handle() const noexcept { return watch_.get(); }
};

} // namespace tocsin::libev
