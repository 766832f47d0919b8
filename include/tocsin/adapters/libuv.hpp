#pragma once

/// Signals and timers in a libuv loop. Link with uv.

#include <uv.h>

#include <ctime>

#include <concepts>
#include <memory>
#include <system_error>
#include <utility>

#include <tocsin/adapters/detail/callbacks.hpp>
#include <tocsin/inbox.hpp>
#include <tocsin/timer_fd.hpp>

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
inline poll_ptr watch(uv_loop_t* loop, int fd, uv_poll_cb callback, void* self)
{
    auto fresh = std::make_unique<uv_poll_t>();
    require(::uv_poll_init(loop, fresh.get(), fd), "tocsin::libuv: uv_poll_init");
    poll_ptr made(fresh.release());
    made->data = self;
    require(::uv_poll_start(made.get(), UV_READABLE, callback), "tocsin::libuv: uv_poll_start");
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
class signals {
public:
    /// Errors: as inbox(); std::bad_alloc; std::system_error if libuv refuses.
    explicit signals(uv_loop_t* loop, error_handler on_error = {})
        : state_(std::make_shared<tocsin::detail::adapted_inbox>())
    {
        state_->on_error = std::move(on_error);
        poll_ = detail::watch(loop, state_->box.native_handle(), &signals::ready, this);
    }
    signals(const signals&) = delete;
    signals& operator=(const signals&) = delete;
    /// Ends the subscriptions, as ~inbox() does: also those that somebody still holds.
    ~signals()
    {
        poll_.reset(); // before the descriptor is closed
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
    /// For uv_unref() and uv_ref(); owned by this.
    [[nodiscard]] uv_handle_t* native_handle() const noexcept { return reinterpret_cast<uv_handle_t*>(poll_.get()); }

private:
    static void ready(uv_poll_t* handle, int, int) noexcept
    {
        const auto keep = static_cast<signals*>(handle->data)->state_;
        keep->ready();
    }

    std::shared_ptr<tocsin::detail::adapted_inbox> state_;
    detail::poll_ptr poll_; // goes first: libuv must not poll a descriptor that is closed
};

/// A timer descriptor in a loop. Otherwise as signals. Across fork() both processes have the same timer.
class timer {
public:
    /// Not armed. Errors: as timerfd_create(); std::invalid_argument for an empty function; as signals().
    timer(uv_loop_t* loop, timer_callback callback, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : state_(std::make_shared<tocsin::detail::adapted_timer>(std::move(callback), clock, std::move(on_error)))
        , poll_(detail::watch(loop, state_->fd.native_handle(), &timer::ready, this))
    {}
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    ~timer() = default;

    /// To set it: settime(), disarm(). Do not read or close it.
    [[nodiscard]] timer_fd& fd() noexcept { return state_->fd; }
    [[nodiscard]] uv_handle_t* native_handle() const noexcept { return reinterpret_cast<uv_handle_t*>(poll_.get()); }

private:
    static void ready(uv_poll_t* handle, int, int) noexcept
    {
        const auto keep = static_cast<timer*>(handle->data)->state_;
        keep->ready();
    }

    std::shared_ptr<tocsin::detail::adapted_timer> state_;
    detail::poll_ptr poll_;
};

} // namespace tocsin::libuv
