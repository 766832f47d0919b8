#include "wake_timer.hpp"

#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "fail.hpp"
#include "interruptible.hpp"
#include "process.hpp"
#include "sys/sys.hpp"
#include "virtual_time.hpp"

namespace tocsin::detail {
namespace {

// That can be read: where there is no real-time clock to wake the machine the others cannot.
int readable_clock(int clock) noexcept
{
    switch (clock) {
    case CLOCK_REALTIME_ALARM:
        return CLOCK_REALTIME;
    case CLOCK_BOOTTIME_ALARM:
        return CLOCK_BOOTTIME;
    default:
        return clock;
    }
}

int create(int clock)
{
    const int fd = sys::timer_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        fail(-fd, "timerfd_create: clock " + std::to_string(clock));
    return fd;
}

} // namespace

wake_timer::wake_timer(int clock)
    : clock_(clock)
    , fd_((claim_process(), create(clock))) // which counts forks
    , generation_(fork_generation())
{}

wake_timer::wake_timer(const virtual_clock& clock)
    : clock_(clock.time_->clock)
    , fd_((claim_process(), sys::event_fd()))
    , generation_(fork_generation())
    , virtual_(clock.time_)
{
    check(fd_, "eventfd");
    const std::lock_guard hold(virtual_->mutex);
    try {
        virtual_->timers.push_back(this);
    } catch (...) {
        sys::close(fd_);
        throw;
    }
}

wake_timer::~wake_timer()
{
    if (virtual_ != nullptr) {
        const std::lock_guard hold(virtual_->mutex);
        std::erase(virtual_->timers, this);
    }
    sys::close(fd_);
}

time_base wake_timer::base() const noexcept
{
    const int clock = readable_clock(clock_);
    return clock == CLOCK_REALTIME ? time_base::realtime
                                   : (clock == CLOCK_BOOTTIME ? time_base::boottime : time_base::monotonic);
}

std::int64_t wake_timer::now() const noexcept
{
    // Relaxed: a clock orders nothing.
    return virtual_ != nullptr ? virtual_->now.load(std::memory_order_relaxed) : sys::clock_now(readable_clock(clock_));
}

void wake_timer::renew()
{
    if (generation_ == fork_generation())
        return;
    if (virtual_ != nullptr) {
        check(sys::replace(fd_, sys::event_fd()), "eventfd");
        const std::lock_guard hold(virtual_->mutex);
        generation_ = fork_generation();
        set_event(now());
    } else {
        check(sys::replace(fd_, sys::timer_create(clock_, TFD_CLOEXEC | TFD_NONBLOCK)), "timerfd_create");
        generation_ = fork_generation();
        set_in_kernel();
    }
}

int wake_timer::native_handle()
{
    renew();
    return fd_;
}

void wake_timer::set(std::int64_t time)
{
    renew();
    if (virtual_ != nullptr) {
        const std::lock_guard hold(virtual_->mutex);
        time_ = time;
        set_event(now());
    } else {
        time_ = time;
        set_in_kernel();
    }
}

void wake_timer::set_when_renewed(std::int64_t time) noexcept
{
    if (virtual_ != nullptr) {
        const std::lock_guard hold(virtual_->mutex);
        time_ = time;
    } else {
        time_ = time;
    }
}

void wake_timer::set_in_kernel() noexcept
{
    const itimerspec value{{},
                           time_ == never ? timespec{} : to_timespec(std::max<std::int64_t>(time_, 1))}; // 0: disarms
    sys::timer_set(fd_, TFD_TIMER_ABSTIME, &value, nullptr);
}

void wake_timer::set_event(std::int64_t now) noexcept
{
    std::uint64_t old = 0;
    if (time_ <= now)
        sys::signal_event(fd_);
    else
        static_cast<void>(sys::read(fd_, &old, sizeof old)); // not readable any more
}

} // namespace tocsin::detail
