#pragma once

/// Signals and timers in a GLib main loop. Link with glib-2.0.

#include <glib-unix.h>

#include <ctime>

#include <memory>
#include <utility>

#include <tocsin/adapters/detail/callbacks.hpp>

namespace tocsin::glib {

namespace detail {

struct source_deleter {
    void operator()(GSource* source) const noexcept
    {
        ::g_source_destroy(source);
        ::g_source_unref(source);
    }
};
using source_ptr = std::unique_ptr<GSource, source_deleter>;

inline source_ptr watch(GMainContext* context, tocsin::detail::adapted& source) noexcept
{
    const GUnixFDSourceFunc ready = [](gint, GIOCondition, gpointer self) -> gboolean {
        static_cast<tocsin::detail::adapted*>(self)->ready();
        return G_SOURCE_CONTINUE;
    };
    source_ptr made(::g_unix_fd_source_new(source.native_handle(), G_IO_IN));
    ::g_source_set_callback(made.get(), G_SOURCE_FUNC(ready), &source, nullptr);
    ::g_source_attach(made.get(), context);
    return made;
}

} // namespace detail

/// An inbox in a main context: callbacks run in g_main_loop_run(), on its thread, and may do anything, destroying this
/// included. Takes the place of g_unix_signal_add(), for any signal, and says who sent it and how often.
///
/// The context may go first; nothing is called then any more. After fork() the context of the forking thread goes on in the
/// child, and this with it. But the context's own wake-up descriptor is one with the parent's: where other threads add sources
/// to it, in either process, the child makes a context for itself and calls attach(). What arrives meanwhile waits.
/// While a callback runs a loop of its own the others wait; to have them called there, allow it by
/// g_source_set_can_recurse(native_handle(), TRUE) and call inbox().native_handle() before that loop.
/// Context: the thread that runs the main context, or any while nobody does.
class signals : public tocsin::detail::adapter_of_signals<detail::source_ptr> {
public:
    /// nullptr: the default context, the main thread's. Errors: as inbox(); std::bad_alloc.
    explicit signals(GMainContext* context = nullptr, error_handler on_error = {})
        : adapter_of_signals(std::move(on_error))
    {
        attach(context);
    }

    /// Leaves its context for another one, with the subscriptions and what is pending; the new source has the default
    /// priority.
    void attach(GMainContext* context) noexcept { watch_ = detail::watch(context, *source_); }

    /// For g_source_set_priority() and the like; owned by this.
    [[nodiscard]] GSource* native_handle() const noexcept { return watch_.get(); }
};

/// A timer descriptor in a main context: exact to the nanosecond, absolute times, any clock. Otherwise as signals. Across
/// fork() both processes have the same timer: the child makes one for itself.
class timer : public tocsin::detail::adapter_of_timer<detail::source_ptr> {
public:
    /// Not armed. Errors: as timerfd_create(); std::invalid_argument for an empty function; std::bad_alloc.
    timer(GMainContext* context, timer_callback callback, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : adapter_of_timer(std::move(callback), clock, std::move(on_error))
    {
        watch_ = detail::watch(context, *source_);
    }

    [[nodiscard]] GSource* native_handle() const noexcept { return watch_.get(); }
};

/// Any number of timers in a main context, on one descriptor (timer_queue): callbacks run in g_main_loop_run(), on its thread, and may do
/// anything, destroying this included; its timers are no longer scheduled then. Otherwise as signals. Across fork() the child
/// has the same timers, by itself.
class timers : public tocsin::detail::adapter_of_queue<detail::source_ptr> {
public:
    /// Errors: as timer_queue().
    explicit timers(GMainContext* context = nullptr, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : adapter_of_queue(clock, std::move(on_error))
    {
        attach(context);
    }

    /// Leaves its context for another one; the new source has the default priority.
    void attach(GMainContext* context) noexcept { watch_ = detail::watch(context, *source_); }

    [[nodiscard]] GSource* native_handle() const noexcept { return watch_.get(); }
};

} // namespace tocsin::glib
