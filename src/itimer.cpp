#include <tocsin/itimer.hpp>

#include <cerrno>
#include <limits>
#include <ostream>
#include <stdexcept>

#include "fail.hpp"
#include "sys/sys.hpp"

namespace tocsin {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

// Up, with the carry in whole microseconds: above zero stays above zero, and tv_usec stays below a million.
timeval to_timeval(nanoseconds time)
{
    const auto us = std::chrono::ceil<microseconds>(time).count();
    return {static_cast<time_t>(us / 1'000'000), static_cast<suseconds_t>(us % 1'000'000)};
}

std::chrono::duration<double> to_seconds(const timeval& time)
{
    return std::chrono::duration<double>(static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6);
}

itimer_value to_value(const itimerval& native) { return {to_seconds(native.it_value), to_seconds(native.it_interval)}; }

void require_known(int which, const char* function)
{
    if (which < ITIMER_REAL || which > ITIMER_PROF)
        throw itimer_error(EINVAL, std::generic_category(),
                           std::string(function) + ": " + std::to_string(which) + " is not a timer");
}

[[noreturn]] void refuse(int error, int which, const char* function)
{
    throw itimer_error(error, std::generic_category(), std::string(function) + ": " + to_string(itimer(which)));
}

itimerval exchange(int which, seconds delay, seconds interval, const char* function)
{
    require_known(which, function);
    const itimerval value{to_timeval(interval.nanoseconds(function)), to_timeval(delay.nanoseconds(function))};
    for (const seconds& time : {delay, interval}) {
        if (time.given() < 0) // rounded up, a negative time above -1 ns would be 0 and disarm
            throw itimer_error(EINVAL, std::generic_category(),
                               std::string(function) + ": " + detail::describe(time) + ": a time must not be negative");
    }
    itimerval previous{};
    if (const int error = -sys::set_itimer(which, &value, &previous); error != 0)
        refuse(error, which, function);
    return previous;
}

} // namespace

unsigned alarm(unsigned count) { return sys::alarm(count); }

unsigned detail::checked_alarm(std::intmax_t count)
{
    if (count < 0)
        throw std::invalid_argument("alarm: " + std::to_string(count) + ": a time must not be negative");
    if (count > std::numeric_limits<unsigned>::max())
        throw std::overflow_error("alarm: " + std::to_string(count) + " seconds do not fit an unsigned int");
    return alarm(static_cast<unsigned>(count));
}

nanoseconds detail::alarm_after(seconds time)
{
    const itimerval previous = exchange(ITIMER_REAL, time, 0, "alarm");
    return std::chrono::seconds(previous.it_value.tv_sec) + microseconds(previous.it_value.tv_usec);
}

itimer_value setitimer(int which, seconds delay, seconds interval)
{
    return to_value(exchange(which, delay, interval, "setitimer"));
}

itimer_value setitimer(itimer which, seconds delay, seconds interval)
{
    return setitimer(static_cast<int>(which), delay, interval);
}

itimer_value getitimer(int which)
{
    require_known(which, "getitimer");
    itimerval value{};
    if (const int error = -sys::get_itimer(which, &value); error != 0)
        refuse(error, which, "getitimer");
    return to_value(value);
}

itimer_value getitimer(itimer which) { return getitimer(static_cast<int>(which)); }

std::string to_string(itimer which)
{
    switch (which) {
    case itimer::real:
        return "ITIMER_REAL";
    case itimer::virtual_:
        return "ITIMER_VIRTUAL";
    case itimer::prof:
        return "ITIMER_PROF";
    }
    return "itimer(" + std::to_string(static_cast<int>(which)) + ")";
}

std::ostream& operator<<(std::ostream& out, itimer which) { return out << to_string(which); }

} // namespace tocsin
