#include "clock.hpp"

#include <dlfcn.h>
#include <poll.h>
#include <sys/timerfd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>

// clock_gettime() and timerfd_settime() here take the place of the C library's, in shared libraries too.

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t never = INT64_MAX;

template <class Function>
Function* next_of(const char* name)
{
    auto* const found = reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
    if (found == nullptr)
        std::abort();
    return found;
}

int real_gettime(clockid_t clock, timespec* time)
{
    static auto* const real = next_of<decltype(::clock_gettime)>("clock_gettime");
    return real(clock, time);
}

int real_settime(int fd, int flags, const itimerspec* value, itimerspec* old)
{
    static auto* const real = next_of<decltype(::timerfd_settime)>("timerfd_settime");
    return real(fd, flags, value, old);
}

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * second + time.tv_nsec; }
timespec to_timespec(std::int64_t time) { return {time / second, time % second}; }

struct stopped_clock {
    std::int64_t base = 0;
    std::int64_t resolution = 1;
};
std::array<stopped_clock, 12> clocks;
bool stopped = false;
std::int64_t passed = 0;

// In what has passed: when the descriptor becomes readable.
struct alarm {
    int fd = -1;
    std::int64_t due = never;
};
std::array<alarm, 16> alarms;
std::int64_t first_alarm = never;

void find_first_alarm()
{
    first_alarm = never;
    for (const alarm& each : alarms)
        first_alarm = each.due < first_alarm ? each.due : first_alarm;
}

void ring_what_is_due()
{
    for (alarm& each : alarms) {
        if (each.due > passed)
            continue;
        each.due = never;
        const itimerspec at_once{{}, {0, 1}};
        pollfd asked{each.fd, POLLIN, 0};
        if (real_settime(each.fd, TFD_TIMER_ABSTIME, &at_once, nullptr) == 0)
            ::poll(&asked, 1, 1000);
    }
    find_first_alarm();
}

bool counts_time(clockid_t clock) // rather than the use of a processor
{
    return clock >= 0 && clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID &&
           clock < static_cast<clockid_t>(clocks.size());
}

} // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept
{
    const int result = real_gettime(clock, time);
    if (stopped && result == 0 && counts_time(clock)) {
        const stopped_clock& mine = clocks[static_cast<std::size_t>(clock)];
        const std::int64_t now = mine.base + passed;
        *time = to_timespec(mine.resolution == 1 ? now : now - now % mine.resolution);
    }
    return result;
}

extern "C" int timerfd_settime(int fd, int flags, const itimerspec* value, itimerspec* old) noexcept
{
    if (!stopped)
        return real_settime(fd, flags, value, old);
    alarm* mine = nullptr;
    for (alarm& each : alarms) {
        if (each.fd == fd || (each.fd == -1 && mine == nullptr))
            mine = &each;
        if (each.fd == fd)
            break;
    }
    if (mine == nullptr)
        std::abort();
    mine->fd = fd;
    const std::int64_t time = nanoseconds(value->it_value);
    // All the descriptors here are of the monotonic clock, or of others for times that do not come.
    const std::int64_t now = program_time::now();
    const std::int64_t rest = (flags & TFD_TIMER_ABSTIME) != 0 ? time - now : time;
    mine->due = time == 0 || rest <= 0 ? never : passed + rest;
    find_first_alarm();
    itimerspec real = *value;
    if (time != 0 && rest > 0) // the real clock must not come first
        real.it_value = to_timespec(rest + 3600 * second);
    return real_settime(fd, time != 0 && rest > 0 ? 0 : flags, &real, old);
}

namespace program_time {

void stop()
{
    for (std::size_t clock = 0; clock < clocks.size(); ++clock) {
        timespec time{};
        if (!counts_time(static_cast<clockid_t>(clock)) || real_gettime(static_cast<clockid_t>(clock), &time) != 0)
            continue;
        clocks[clock].base = nanoseconds(time);
        if (clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_REALTIME_COARSE) {
            ::clock_getres(static_cast<clockid_t>(clock), &time);
            clocks[clock].resolution = nanoseconds(time);
        }
    }
    // They go together: a coarse clock is the exact one, rounded down.
    clocks[CLOCK_MONOTONIC_COARSE].base = clocks[CLOCK_MONOTONIC].base;
    clocks[CLOCK_REALTIME_COARSE].base = clocks[CLOCK_REALTIME].base;
    stopped = true;
}

void advance(std::int64_t by)
{
    passed += by;
    if (passed >= first_alarm) [[unlikely]]
        ring_what_is_due();
}

std::int64_t now()
{
    if (stopped)
        return clocks[CLOCK_MONOTONIC].base + passed;
    timespec time{};
    real_gettime(CLOCK_MONOTONIC, &time);
    return nanoseconds(time);
}

} // namespace program_time

std::int64_t cpu_time()
{
    timespec time{};
    real_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return nanoseconds(time);
}
