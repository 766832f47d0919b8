#pragma once

/// Signals and timers in a GLib main loop. Link with glib-2.0.

#include <glib-unix.h>

#include <ctime>

#include <concepts>
#include <memory>
#include <utility>

#include <tocsin/adapters/detail/callbacks.hpp>
#include <tocsin/inbox.hpp>
#include <tocsin/timer_fd.hpp>

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

inline source_ptr watch(GMainContext* context, int fd, GUnixFDSourceFunc callback, void* self) noexcept
{
    source_ptr made(::g_unix_fd_source_new(fd, G_IO_IN));
    ::g_source_set_callback(made.get(), G_SOURCE_FUNC(callback), self, nullptr);
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
class signals {
public:
    /// nullptr: the default context, the main thread's. Errors: as inbox(); std::bad_alloc.
    explicit signals(GMainContext* context = nullptr, error_handler on_error = {})
        : state_(std::make_shared<tocsin::detail::adapted_inbox>())
    {
        state_->on_error = std::move(on_error);
        attach(context);
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

    /// Leaves its context for another one, with the subscriptions and what is pending; the new source has the default
    /// priority.
    void attach(GMainContext* context) noexcept
    {
        source_ = detail::watch(context, state_->box.native_handle(), &signals::ready, this);
    }

    [[nodiscard]] tocsin::inbox& inbox() noexcept { return state_->box; }
    /// For g_source_set_priority() and the like; owned by this.
    [[nodiscard]] GSource* native_handle() const noexcept { return source_.get(); }

private:
    static gboolean ready(gint, GIOCondition, gpointer self) noexcept
    {
        const auto keep = static_cast<signals*>(self)->state_;
        keep->ready();
        return G_SOURCE_CONTINUE;
    }

    std::shared_ptr<tocsin::detail::adapted_inbox> state_;
    detail::source_ptr source_;
};

/// A timer descriptor in a main context: exact to the nanosecond, absolute times, any clock. Otherwise as signals. Across
/// fork() both processes have the same timer: the child makes one for itself.
class timer {
public:
    /// Not armed. Errors: as timerfd_create(); std::invalid_argument for an empty function; std::bad_alloc.
    timer(GMainContext* context, timer_callback callback, int clock = CLOCK_MONOTONIC, error_handler on_error = {})
        : state_(std::make_shared<tocsin::detail::adapted_timer>(std::move(callback), clock, std::move(on_error)))
        , source_(detail::watch(context, state_->fd.native_handle(), &timer::ready, this))
    {}
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    ~timer() = default;

    /// To set it: settime(), disarm(). Do not read or close it.
    [[nodiscard]] timer_fd& fd() noexcept { return state_->fd; }
    [[nodiscard]] GSource* native_handle() const noexcept { return source_.get(); }

private:
    static gboolean ready(gint, GIOCondition, gpointer self) noexcept
    {
        const auto keep = static_cast<timer*>(self)->state_;
        keep->ready();
        return G_SOURCE_CONTINUE;
    }

    std::shared_ptr<tocsin::detail::adapted_timer> state_;
    detail::source_ptr source_;
};

} // namespace tocsin::glib
