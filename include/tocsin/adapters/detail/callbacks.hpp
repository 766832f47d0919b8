#pragma once

// What the adapters for libraries with callbacks share.

#include <ctime>

#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <utility>

#include <tocsin/inbox.hpp>
#include <tocsin/timer_fd.hpp>

namespace tocsin {

/// Gets what a callback throws, on the loop's thread: it must not cross the frames of an event library in C. Without one
/// std::terminate() is called, as when it throws itself.
using error_handler = std::function<void(std::exception_ptr)>;

/// Gets how often a timer has expired since the last call or setting: at least 1. 0: the realtime clock was set
/// (timer_fd::cancel_on_set), set the timer again.
using timer_callback = std::function<void(std::uint64_t)>;

namespace detail {

template <class Work>
void keep_inside(const error_handler& on_error, Work work) noexcept
{
    try {
        work();
    } catch (...) {
        if (!on_error)
            std::terminate(); // inside the handler: its message names the exception
        on_error(std::current_exception());
    }
}

/// Held by shared pointers: a callback may destroy the adapter that calls it.
struct adapted_inbox {
    inbox box;
    error_handler on_error;

    /// The descriptor is readable.
    void ready() noexcept
    {
        keep_inside(on_error, [this] { box.run_pending(); });
    }
};

struct adapted_timer {
    adapted_timer(timer_callback function, int clock, error_handler errors)
        : fd(clock, timer_fd::nonblock)
        , callback(std::move(function))
        , on_error(std::move(errors))
    {
        if (!callback)
            throw std::invalid_argument("timer: empty function");
    }

    timer_fd fd;
    timer_callback callback;
    error_handler on_error;

    /// The descriptor is readable.
    void ready() noexcept
    {
        keep_inside(on_error, [this] {
            const timer_read found = fd.try_read();
            if (found.what != timer_read::outcome::none) // else set anew since
                callback(found.expirations);
        });
    }
};

} // namespace detail
} // namespace tocsin
