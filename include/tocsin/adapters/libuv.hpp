#pragma once

/// Signals and timers in a libuv loop. Link with uv.

#include <uv.h>

#include <ctime>

#include <memory>
#include <system_error>
#include <utility>

#include <tocsin/adapters/detail/callbacks.hpp>

namespace tocsin::libuv {

namespace detail {

inline void require(int result, const char* call)
{
    if (result < 0)
        throw std::system_error(-result, std::generic_category(), call);
}

/// libuv needs the handle until it calls back: later than the adapter's end.
struct poll_closer {
    void operator()(uv_poll_t* handle) const noexcept
    {
        ::uv_poll_stop(handle); // the descriptor may be closed after this
        ::uv_close(reinterpret_cast<uv_handle_t*>(handle),
                   [](uv_handle_t* closed) { delete reinterpret_cast<uv_poll_t*>(closed); });
    }
};
using poll_ptr = std::unique_ptr<uv_poll_t, poll_closer>;

/// Errors: std::bad_alloc; std::system_error if libuv refuses.
inline poll_ptr watch(uv_loop_t* loop, tocsin::detail::adapted& source)
{
    const auto ready = [](uv_poll_t* handle, int, int) {
        static_cast<tocsin::detail::adapted*>(handle->data)->ready();
    };
    auto fresh = std::make_unique<uv_poll_t>();
    require(::uv_poll_init(loop, fresh.get(), source.native_handle()), "tocsin::libuv: uv_poll_init");
    poll_ptr made(fresh.release());
    made->data = &source;
    require(::uv_poll_start(made.get(), UV_READABLE, ready), "tocsin::libuv: uv_poll_start");
    return made;
}

} // namespace detail

/// An inbox in a loop: callbacks run in uv_run(), on its thread, and may do anything, destroying this included.
/// Its handle is active, so that uv_run() does not return while this lives, unless uv_unref() is called for it.
///
/// Destroy it before the loop, and let the loop run once more, as for any uv_close(): uv_loop_close() returns UV_EBUSY
/// before. Do not close its handle where uv_walk() shows it. In a child of fork() call uv_loop_fork() before anything else
/// that concerns the loop; what arrives between the two waits.
/// Context: the loop's thread, or any while the loop does not run.
class signals : public tocsin::detail::adapter_of_signals<detail::poll_ptr> {
public:
    /// Errors: as inbox(); std::bad_alloc; std::system_error if libuv refuses.
    explicit signals(uv_loop_t* loop, error_handler on_error = {})
        : adapter_of_signals(std::move(on_error))
    {
        watch_ = detail::watch(loop, *source_);
    }

    /// For uv_unref() and uv_ref(); owned by this.
    [[nodiscard]] uv_handle_t* native_handle() const noexcept { return reinterpret_cast<uv_handle_t*>(watch_.get()); }
};

/// A timer descriptor in a loop. Otherwise as signals. Across fork() both processes have the same timer.
class timer : public tocsin::detail::adapter_of_timer<detail::poll_ptr> {
public:
    /// Not armed. Errors: as timerfd_create(); std::invalid_argument for an empty function; as signals().
    timer(uv_loop_t* loop, timer_callback callback, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : adapter_of_timer(std::move(callback), clock, std::move(on_error))
    {
        watch_ = detail::watch(loop, *source_);
    }

    [[nodiscard]] uv_handle_t* native_handle() const noexcept { return reinterpret_cast<uv_handle_t*>(watch_.get()); }
};

/// Any number of timers in a loop, on one descriptor (timer_queue): callbacks run in uv_run(), on its thread, and may do
/// anything, destroying this included; its timers are no longer scheduled then. Otherwise as signals. Across fork() the child
/// has the same timers, by itself.
class timers : public tocsin::detail::adapter_of_queue<detail::poll_ptr> {
public:
    /// Errors: as timer_queue(); std::bad_alloc; std::system_error if libuv refuses.
    explicit timers(uv_loop_t* loop, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : adapter_of_queue(clock, std::move(on_error))
    {
        watch_ = detail::watch(loop, *source_);
    }

    [[nodiscard]] uv_handle_t* native_handle() const noexcept { return reinterpret_cast<uv_handle_t*>(watch_.get()); }
};

} // namespace tocsin::libuv
