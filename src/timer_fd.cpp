#include <tocsin/timer_fd.hpp>

#include <poll.h>

#include <cerrno>
#include <string>

#include <tocsin/blocking.hpp>

#include "fail.hpp"
#include "interruptible.hpp"

namespace tocsin {
namespace {

using std::chrono::nanoseconds;

nanoseconds to_nanoseconds(const timespec& time)
{
    return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

timerfd_value_ns to_value(const itimerspec& native)
{
    return {to_nanoseconds(native.it_value), to_nanoseconds(native.it_interval)};
}

timerfd_value to_seconds(const timerfd_value_ns& exact) { return {exact.initial, exact.interval}; }

// -1 from read() of 8 bytes: what went wrong, positive.
int read_count(int fd, std::uint64_t& count) noexcept
{
    const long result = sys::read(fd, &count, sizeof count);
    return result < 0 ? static_cast<int>(-result) : 0;
}

} // namespace

int timerfd_create(int clock, int flags)
{
    const int fd = sys::timer_create(clock, flags | TFD_CLOEXEC);
    if (fd < 0)
        detail::fail(-fd, "timerfd_create: clock " + std::to_string(clock) + ", flags " + std::to_string(flags));
    return fd;
}

timerfd_value_ns timerfd_settime_ns(int fd, nanoseconds initial, nanoseconds interval, int flags)
{
    for (const nanoseconds time : {initial, interval}) {
        if (time < nanoseconds{0})
            detail::fail(EINVAL,
                         "timerfd_settime: " + std::to_string(time.count()) + " ns: a time must not be negative");
    }
    const itimerspec value{detail::to_timespec(interval.count()), detail::to_timespec(initial.count())};
    itimerspec previous{};
    if (const int error = -sys::timer_set(fd, flags, &value, &previous); error != 0)
        detail::fail(error, "timerfd_settime: descriptor " + std::to_string(fd) + ", flags " + std::to_string(flags));
    return to_value(previous);
}

timerfd_value timerfd_settime(int fd, seconds initial, seconds interval, int flags)
{
    const nanoseconds exact[] = {initial.nanoseconds("timerfd_settime"), interval.nanoseconds("timerfd_settime")};
    for (const seconds& time : {initial, interval}) {
        if (time.given() < 0) // rounded up, a negative time above -1 ns would be 0 and disarm
            detail::fail(EINVAL, "timerfd_settime: " + detail::describe(time) + ": a time must not be negative");
    }
    return to_seconds(timerfd_settime_ns(fd, exact[0], exact[1], flags));
}

timerfd_value_ns timerfd_gettime_ns(int fd)
{
    itimerspec value{};
    if (const int error = -sys::timer_get(fd, &value); error != 0)
        detail::fail(error, "timerfd_gettime: descriptor " + std::to_string(fd));
    return to_value(value);
}

timerfd_value timerfd_gettime(int fd) { return to_seconds(timerfd_gettime_ns(fd)); }

timer_fd& timer_fd::operator=(timer_fd&& other) noexcept
{
    if (this != &other) {
        close();
        nonblock_ = other.nonblock_;
        fd_ = other.release();
    }
    return *this;
}

void timer_fd::close() noexcept
{
    if (fd_ != -1)
        sys::close(release());
}

int timer_fd::release() noexcept
{
    const int fd = fd_;
    fd_ = -1;
    return fd;
}

std::uint64_t timer_fd::read(std::error_code& ec, source_location where)
{
    std::uint64_t count = 0;
    blocking::read(fd_, &count, sizeof count, ec, where);
    return ec ? 0 : count;
}

std::uint64_t timer_fd::read(source_location where)
{
    std::error_code ec;
    const std::uint64_t count = read(ec, where);
    if (ec)
        detail::fail(ec.value(), "timer_fd: read of descriptor " + std::to_string(fd_));
    return count;
}

timer_read timer_fd::try_read(std::error_code& ec) noexcept
{
    ec.clear();
    if (fd_ < 0) { // poll() would pass over it
        ec.assign(EBADF, std::generic_category());
        return {};
    }
    pollfd ready{fd_, POLLIN, 0};
    std::uint64_t count = 0;
    int error = 0;
    // Look first: the descriptor may be a blocking one.
    if (nonblock_)
        error = read_count(fd_, count);
    else if (const int result = sys::poll_now(&ready, 1); result > 0)
        error = (ready.revents & POLLNVAL) != 0 ? EBADF : read_count(fd_, count);
    else
        error = result < 0 && result != -EINTR ? -result : EAGAIN;
    switch (error) {
    case 0:
        return {timer_read::outcome::expired, count};
    case ECANCELED:
        return {timer_read::outcome::clock_changed, 0};
    case EINTR:
    case EAGAIN:
        return {};
    default:
        ec.assign(error, std::generic_category());
        return {};
    }
}

timer_read timer_fd::try_read()
{
    std::error_code ec;
    const timer_read result = try_read(ec);
    if (ec)
        detail::fail(ec.value(), "timer_fd: read of descriptor " + std::to_string(fd_));
    return result;
}

} // namespace tocsin
