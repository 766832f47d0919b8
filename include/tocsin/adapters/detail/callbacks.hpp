#pragma once

// What the adapters for libraries with callbacks share.

#include <ctime>

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

#include <tocsin/adapters/detail/ending_queue.hpp>
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

/// What is behind a descriptor that a loop watches. Held by shared pointers: a callback may destroy the adapter that calls it.
class adapted : public std::enable_shared_from_this<adapted> {
public:
    explicit adapted(error_handler errors = {})
        : on_error(std::move(errors))
    {}
    adapted(const adapted&) = delete;
    adapted& operator=(const adapted&) = delete;
    virtual ~adapted() = default;

    [[nodiscard]] virtual int native_handle() noexcept = 0;
    /// The descriptor is readable.
    void ready() noexcept
    {
        const auto keep = shared_from_this();
        try {
            run();
        } catch (...) {
            if (!on_error)
                std::terminate(); // inside the handler: its message names the exception
            on_error(std::current_exception());
        }
    }

    error_handler on_error;

private:
    virtual void run() = 0;
};

class adapted_inbox final : public adapted {
public:
    using adapted::adapted;
    [[nodiscard]] int native_handle() noexcept override { return box.native_handle(); }
    /// Ends the subscriptions, as ~inbox() does: also those that somebody still holds. The box stays for their callbacks.
    void close() noexcept { box.close(); }

    inbox box;

private:
    void run() override { box.run_pending(); }
};

class adapted_timer final : public adapted {
public:
    adapted_timer(timer_callback function, int clock, error_handler errors)
        : adapted(std::move(errors))
        , fd(clock, timer_fd::nonblock)
        , callback_(std::move(function))
    {
        if (!callback_)
            throw std::invalid_argument("timer: empty function");
    }
    [[nodiscard]] int native_handle() noexcept override { return fd.native_handle(); }

    timer_fd fd;

private:
    void run() override
    {
        const timer_read found = fd.try_read();
        if (found.what != timer_read::outcome::none) // else set anew since
            callback_(found.expirations);
    }

    timer_callback callback_;
};

class adapted_queue final : public adapted {
public:
    adapted_queue(int clock, error_handler errors)
        : adapted(std::move(errors))
        , ending(clock)
    {}
    [[nodiscard]] int native_handle() noexcept override { return handle_; }

    ending_queue ending;

private:
    void run() override { ending.queue.run_expired(); }

    const int handle_ = ending.queue.native_handle();
};

/// What the classes `signals` share. Watch: a unique pointer to the library's own object, which calls ready() while it lives.
template <class Watch>
class adapter_of_signals {
public:
    adapter_of_signals(const adapter_of_signals&) = delete;
    adapter_of_signals& operator=(const adapter_of_signals&) = delete;

    /// As inbox::on(). The subscription may be cancelled on any thread.
    [[nodiscard]] subscription on(const signal_set& set, handler callback, subscription_options options = {})
    {
        return source_->box.on(set, std::move(callback), options);
    }
    template <std::convertible_to<signum> Signal>
    [[nodiscard]] subscription on(Signal signal, handler callback, subscription_options options = {})
    {
        return source_->box.on(signal, std::move(callback), options);
    }

    [[nodiscard]] tocsin::inbox& inbox() noexcept { return source_->box; }

protected:
    explicit adapter_of_signals(error_handler on_error)
        : source_(std::make_shared<adapted_inbox>(std::move(on_error)))
    {}
    ~adapter_of_signals()
    {
        watch_.reset(); // before the descriptor is closed
        source_->close();
    }

    const std::shared_ptr<adapted_inbox> source_;
    Watch watch_;
};

/// What the classes `timer` share.
template <class Watch>
class adapter_of_timer {
public:
    adapter_of_timer(const adapter_of_timer&) = delete;
    adapter_of_timer& operator=(const adapter_of_timer&) = delete;

    /// To set it: settime(), disarm(). Do not read or close it.
    [[nodiscard]] timer_fd& fd() noexcept { return source_->fd; }

protected:
    adapter_of_timer(timer_callback callback, int clock, error_handler on_error)
        : source_(std::make_shared<adapted_timer>(std::move(callback), clock, std::move(on_error)))
    {}
    ~adapter_of_timer() = default;

    const std::shared_ptr<adapted_timer> source_;
    Watch watch_; // goes first: no library may poll a descriptor that is closed
};

/// What the classes `timers` share.
template <class Watch>
class adapter_of_queue {
public:
    adapter_of_queue(const adapter_of_queue&) = delete;
    adapter_of_queue& operator=(const adapter_of_queue&) = delete;

    /// To schedule timers in, at any time; the loop runs them. Do not move it away.
    [[nodiscard]] timer_queue& queue() noexcept { return source_->ending.queue; }

protected:
    adapter_of_queue(int clock, error_handler on_error)
        : source_(std::make_shared<adapted_queue>(clock, std::move(on_error)))
    {}
    ~adapter_of_queue()
    {
        watch_.reset(); // before the descriptor is closed
        source_->ending.end();
    }

    const std::shared_ptr<adapted_queue> source_;
    Watch watch_;
};

} // namespace detail
} // namespace tocsin
