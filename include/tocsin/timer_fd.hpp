#pragma once

#include <sys/timerfd.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <system_error>

#include <tocsin/error.hpp>
#include <tocsin/seconds.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

/// A timer descriptor's setting in seconds. Always relative: `initial` is the time to the next expiry (zero: not
/// armed).
struct timerfd_value {
    std::chrono::duration<double> initial{};
    std::chrono::duration<double> interval{};
    bool operator==(const timerfd_value&) const = default;
};

/// The same, exact.
struct timerfd_value_ns {
    std::chrono::nanoseconds initial{};
    std::chrono::nanoseconds interval{};
    bool operator==(const timerfd_value_ns&) const = default;
};

/// A new timer descriptor, not armed and always close-on-exec. Clocks: CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME
/// and, with the right to wake the system, CLOCK_REALTIME_ALARM and CLOCK_BOOTTIME_ALARM.
/// Context: any thread.
/// Errors: std::system_error with EINVAL (unknown clock or flag), EPERM, EMFILE. Source: timerfd_create(2).
[[nodiscard]] TOCSIN_API int timerfd_create(int clock, int flags = 0);

/// Arms the timer and returns the previous setting. `initial` zero disarms, whatever the interval; with
/// TFD_TIMER_ABSTIME it is a point on the timer's clock, and one in the past expires at once. Times are rounded up to
/// nanoseconds, so one above zero never disarms. Unread expirations are discarded.
/// Context: any thread. Blocks: no.
/// Errors: std::system_error with EINVAL (negative time, unknown flag, not a timer), EBADF; std::invalid_argument for
/// NaN; std::overflow_error for a time that does not fit. Source: timerfd_settime(2).
TOCSIN_API timerfd_value timerfd_settime(int fd, seconds initial, seconds interval = 0, int flags = 0);
TOCSIN_API timerfd_value_ns timerfd_settime_ns(int fd, std::chrono::nanoseconds initial,
                                               std::chrono::nanoseconds interval = std::chrono::nanoseconds{0},
                                               int flags = 0);

/// The current setting. Errors: std::system_error with EBADF, EINVAL. Source: timerfd_gettime(2).
[[nodiscard]] TOCSIN_API timerfd_value timerfd_gettime(int fd);
[[nodiscard]] TOCSIN_API timerfd_value_ns timerfd_gettime_ns(int fd);

/// What try_read() found.
struct timer_read {
    enum class outcome : unsigned char {
        none,         ///< nothing has expired
        expired,      ///< `expirations` is at least 1
        clock_changed ///< the realtime clock was set (flag cancel_on_set): set the timer again
    };
    outcome what = outcome::none;
    std::uint64_t expirations = 0;
    bool operator==(const timer_read&) const = default;
};

/// Owns a timer descriptor. Move-only. A descriptor to poll: readable when the timer has expired.
/// Context: any thread; one object is not to be used by two threads at once, except for read().
class TOCSIN_API timer_fd {
public:
    static constexpr int nonblock = TFD_NONBLOCK;
    static constexpr int cloexec = TFD_CLOEXEC;
    static constexpr int abstime = TFD_TIMER_ABSTIME;
    static constexpr int cancel_on_set = TFD_TIMER_CANCEL_ON_SET;

    /// As timerfd_create().
    explicit timer_fd(int clock = CLOCK_MONOTONIC, int flags = 0)
        : fd_(timerfd_create(clock, flags))
        , nonblock_((flags & nonblock) != 0)
    {}
    /// Takes over an open timer descriptor.
    [[nodiscard]] static timer_fd adopt(int fd) noexcept { return timer_fd(adopted{fd}); }
    timer_fd(timer_fd&& other) noexcept
        : fd_(other.release())
        , nonblock_(other.nonblock_)
    {}
    timer_fd& operator=(timer_fd&& other) noexcept;
    ~timer_fd() { close(); }

    /// -1 after close(), release() or a move.
    [[nodiscard]] int native_handle() const noexcept { return fd_; }
    /// Closes the descriptor; nothing happens when there is none.
    void close() noexcept;
    /// Gives the descriptor to the caller.
    int release() noexcept;

    /// As timerfd_settime() and the like.
    timerfd_value settime(seconds initial, seconds interval = 0, int flags = 0)
    {
        return timerfd_settime(fd_, initial, interval, flags);
    }
    timerfd_value_ns settime_ns(std::chrono::nanoseconds initial,
                                std::chrono::nanoseconds interval = std::chrono::nanoseconds{0}, int flags = 0)
    {
        return timerfd_settime_ns(fd_, initial, interval, flags);
    }
    /// Stops the timer and returns what was left.
    timerfd_value_ns disarm() { return settime_ns(std::chrono::nanoseconds{0}); }
    [[nodiscard]] timerfd_value gettime() const { return timerfd_gettime(fd_); }
    [[nodiscard]] timerfd_value_ns gettime_ns() const { return timerfd_gettime_ns(fd_); }

    /// Waits for an expiry (unless nonblock) and returns how many there were since the last read or settime.
    /// An interruptible call: handlers run while it waits.
    /// Errors: std::system_error with EAGAIN (nonblock and none), ECANCELED (clock set), EBADF.
    std::uint64_t read(source_location where = source_location::current());
    std::uint64_t read(std::error_code& ec, source_location where = source_location::current());

    /// What has expired, without waiting, on a blocking descriptor too (two system calls there, one on a descriptor
    /// created with the flag nonblock, which must then stay so).
    /// Errors: std::system_error with EBADF.
    timer_read try_read();
    timer_read try_read(std::error_code& ec) noexcept;

private:
    struct adopted {
        int fd;
    };
    explicit timer_fd(adopted a) noexcept
        : fd_(a.fd)
    {}

    int fd_;
    bool nonblock_ = false; // known to be so since it was created: try_read() need not look first
};

} // namespace tocsin
