// Everything that takes a length of time: what it becomes in nanoseconds, against exact arithmetic, and what timers of the
// kernel make of it.

#include <tocsin/tocsin.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <limits>
#include <optional>
#include <ratio>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

#include "input.hpp"
#if __has_include("interruptible.hpp") // the fuzz build sees what is inside
#include "interruptible.hpp"
#endif

namespace {

using fuzz::name;
using fuzz::outcome;
using fuzz::require;
using std::chrono::nanoseconds;
__extension__ using wide = __int128;

constexpr wide most = INT64_MAX;
constexpr wide least = INT64_MIN;
constexpr std::int64_t second = 1'000'000'000;

template <class F>
outcome outcome_of(F f)
{
    try {
        f();
        return outcome::fine;
    } catch (const std::invalid_argument&) {
        return outcome::invalid_argument;
    } catch (const std::overflow_error&) {
        return outcome::overflow;
    } catch (const std::out_of_range&) {
        return outcome::out_of_range;
    } catch (const std::system_error& e) {
        return e.code().value() == EINVAL ? outcome::system : outcome::other;
    }
}

// The value as it was put in, as far as the checks need it. Bounds, because a double is rounded on its way to nanoseconds:
// the result lies between them.
struct exact {
    int sign = 0; // of the value itself: -1, 0, 1
    bool not_a_number = false;
    wide low = 0; // in nanoseconds
    wide high = 0;
};

constexpr wide clamp(wide value) { return std::clamp(value, least - 1, most + 1); }

// Whole seconds and the rest apart: neither product can leave 128 bits.
template <class Rep, std::intmax_t Num, std::intmax_t Den>
exact exact_of_whole(Rep count)
{
    const wide ticks = static_cast<wide>(count) * Num; // below 2^127
    const wide whole = ticks / Den;
    const wide rest = (ticks % Den) * second;
    const wide part = rest / Den + (rest % Den > 0 ? 1 : rest % Den < 0 ? -1 : 0);
    const bool huge = whole > most || whole < least;
    const wide ns = clamp(huge ? whole : whole * second + part);
    return {count > 0 ? 1 : count < 0 ? -1 : 0, false, ns, ns};
}

// Away from zero. Infinite and beyond all 64 bits alike.
wide away(long double ns)
{
    const long double whole = ns > 0 ? std::ceil(ns) : std::floor(ns);
    if (whole > 9.3e18L)
        return most + 1;
    return whole < -9.3e18L ? least - 1 : clamp(static_cast<wide>(whole));
}

template <class Rep, std::intmax_t Num, std::intmax_t Den>
exact exact_of_real(Rep count)
{
    exact result;
    if (std::isnan(count)) {
        result.not_a_number = true;
        return result;
    }
    result.sign = count > 0 ? 1 : count < 0 ? -1 : 0;
    // Nearer than a double holds it; each of the few roundings of doubles on the way may be off by half of 2^-52.
    const long double ns = static_cast<long double>(count) * Num * second / Den;
    const long double slack = std::isinf(ns) ? 0 : std::fabs(ns) * 0x1p-51L;
    result.low = away(ns - slack);
    result.high = away(ns + slack);
    // What is whole, and a double holds it, stays so.
    const auto as_double = static_cast<double>(count);
    if (Num == 1 && second % Den == 0 && std::fabs(ns) < 0x1p53L && static_cast<Rep>(as_double) == count) {
        const int exponent = std::ilogb(as_double);
        if (exponent > -60 && std::fmod(std::ldexp(static_cast<long double>(count), 20), 1.0L) == 0 &&
            ns == std::floor(ns))
            result.low = result.high = static_cast<wide>(ns);
    }
    if (result.sign > 0)
        result.low = std::max<wide>(result.low, 1);
    if (result.sign < 0)
        result.high = std::min<wide>(result.high, -1);
    return result;
}

struct given_time {
    tocsin::seconds time;
    exact value;
};

template <class Rep, std::intmax_t Num = 1, std::intmax_t Den = 1>
given_time read_time(fuzz::input& in, bool as_duration)
{
    const Rep count = in.take<Rep>();
    exact value;
    if constexpr (std::is_floating_point_v<Rep>)
        value = exact_of_real<Rep, Num, Den>(count);
    else
        value = exact_of_whole<Rep, Num, Den>(count);
    if constexpr (Num == 1 && Den == 1) {
        if (!as_duration)
            return {tocsin::seconds(count), value};
    }
    return {tocsin::seconds(std::chrono::duration<Rep, std::ratio<Num, Den>>(count)), value};
}

// Ten random bytes are seldom a valid long double: from its parts.
struct made_long_double {
    static long double take(fuzz::input& in)
    {
        const auto mantissa = static_cast<long double>(in.take<std::int64_t>());
        return std::ldexp(mantissa, in.take<std::int16_t>());
    }
};

given_time read_time(fuzz::input& in)
{
    const unsigned form = in.byte();
    const bool as_duration = (form & 0x80U) != 0;
    switch (form % 26) {
    case 0:
        return read_time<double>(in, as_duration);
    case 1:
        return read_time<std::int64_t>(in, as_duration);
    case 2:
        return read_time<std::uint64_t>(in, as_duration);
    case 3:
        return read_time<std::int32_t>(in, as_duration);
    case 4:
        return read_time<std::int8_t>(in, as_duration);
    case 5:
        return read_time<float>(in, as_duration);
    case 6: {
        const long double count = made_long_double::take(in);
        return {as_duration ? tocsin::seconds(std::chrono::duration<long double>(count)) : tocsin::seconds(count),
                exact_of_real<long double, 1, 1>(count)};
    }
    case 7: {
        const long double count = made_long_double::take(in);
        return {tocsin::seconds(std::chrono::duration<long double, std::nano>(count)),
                exact_of_real<long double, 1, second>(count)};
    }
    case 8:
        return read_time<std::int64_t, 1, second>(in, true);
    case 9:
        return read_time<std::int64_t, 1, 1'000'000>(in, true);
    case 10:
        return read_time<std::int64_t, 1, 1'000>(in, true);
    case 11:
        return read_time<std::int64_t, 60>(in, true);
    case 12:
        return read_time<std::int32_t, 3600>(in, true);
    case 13:
        return read_time<std::int64_t, 31556952>(in, true);
    case 14:
        return read_time<std::int64_t, 1, 3>(in, true);
    case 15:
        return read_time<std::int64_t, 1001, 30000>(in, true);
    case 16:
        return read_time<std::int64_t, 1, 1'000'000'000'000>(in, true);
    case 17:
        return read_time<std::uint64_t, 1, 1'000'000'000'000'000'000>(in, true);
    case 18:
        return read_time<std::uint64_t, INT64_MAX, INT64_MAX - 1>(in, true);
    case 19:
        return read_time<std::int64_t, INT64_MAX>(in, true);
    case 20:
        return read_time<double, 1, second>(in, true);
    case 21:
        return read_time<double, 1, 1'000>(in, true);
    case 22:
        return read_time<double, 1, 1'000'000'000'000>(in, true);
    case 23:
        return read_time<float, 60>(in, true);
    case 24:
        return read_time<double, 31556952>(in, true);
    default:
        return read_time<double, 1001, 30000>(in, true);
    }
}

outcome as_a_time(const given_time& given)
{
    const exact& value = given.value;
    std::int64_t ns = 0;
    const outcome got = outcome_of([&] { ns = given.time.nanoseconds("fuzz").count(); });
    const double told = given.time.given();
    require((told < 0) == (value.sign < 0) && (told > 0) == (value.sign > 0), "given() has another sign", told);
    if (value.not_a_number) {
        require(got == outcome::invalid_argument, "NaN:", name(got));
        return got;
    }
    const bool may_fit = value.low <= most && value.high >= least;
    const bool must_fit = value.high <= most && value.low >= least;
    require(got == outcome::fine ? may_fit : (got == outcome::overflow && !must_fit), "range:", name(got), told);
    if (got == outcome::fine)
        require(ns >= value.low && ns <= value.high, "nanoseconds:", ns, "not from",
                static_cast<std::int64_t>(std::max(value.low, least)), "to",
                static_cast<std::int64_t>(std::min(value.high, most)), "given", told);
    return got;
}

// Nanoseconds that have passed since the kernel began to count, which is what is taken off the longest timers.
wide uptime()
{
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<wide>(now.tv_sec) * second + now.tv_nsec;
}

constexpr wide slowness = static_cast<wide>(20) * second; // of the test itself
// From here on the kernel takes every time for its longest.
constexpr wide longest = most / second * second;

constexpr bool is_interval(wide told, wide set) { return told == set || (set >= longest && told == most); }

void require_near(const char* what, std::chrono::duration<double> told, wide set, wide at_most)
{
    const long double ns = static_cast<long double>(told.count()) * second;
    const long double slack = static_cast<long double>(at_most) * 0x1p-50L + 1;
    const wide least_left = std::min(set, most - uptime()) - slowness;
    require(ns <= static_cast<long double>(at_most) + slack, what, "more than was set:", told.count());
    require(ns >= static_cast<long double>(least_left) - slack, what, "less than was set:", told.count());
}

void require_interval(const char* what, std::chrono::duration<double> told, wide set)
{
    const long double ns = static_cast<long double>(told.count()) * second;
    require(std::fabs(ns - static_cast<long double>(set)) <= std::max(1.0L, static_cast<long double>(set) * 0x1p-50L) ||
                set >= longest,
            what, "interval:", told.count());
}

constexpr wide round_up(wide ns, wide unit) { return (ns + unit - 1) / unit * unit; }

class saved_itimer {
public:
    explicit saved_itimer(int which)
        : which_(which)
    {
        ::getitimer(static_cast<__itimer_which_t>(which), &before_);
    }
    ~saved_itimer() { ::setitimer(static_cast<__itimer_which_t>(which_), &before_, nullptr); }
    saved_itimer(const saved_itimer&) = delete;
    saved_itimer& operator=(const saved_itimer&) = delete;

private:
    int which_;
    itimerval before_{};
};

// The kind of error that a call must give for two times.
outcome wanted_outcome(const given_time& a, outcome of_a, const given_time& b, outcome of_b)
{
    for (const outcome each : {of_a, of_b}) {
        if (each != outcome::fine)
            return each;
    }
    return a.value.sign < 0 || b.value.sign < 0 ? outcome::system : outcome::fine;
}

bool is_one_of(outcome got, outcome of_a, outcome of_b, outcome wanted)
{
    return got == wanted || (wanted != outcome::fine && (got == of_a || got == of_b) && got != outcome::fine);
}

// Timers of the process that are set for less than this are not armed: they would expire.
constexpr std::int64_t far = 1000 * second;

void set_itimer(const given_time& delay, outcome of_delay, const given_time& interval, outcome of_interval, int which)
{
    const outcome wanted = wanted_outcome(delay, of_delay, interval, of_interval);
    const std::int64_t ns = of_delay == outcome::fine ? delay.time.nanoseconds("fuzz").count() : 0;
    if (wanted == outcome::fine && ns != 0 && ns < far)
        return;
    // The kernel adds a tick to its longest time for the processor's clocks, and then tells a negative rest.
    if (which != ITIMER_REAL && ns >= longest)
        return;
    const saved_itimer as_it_was(which);
    const itimerval none{};
    ::setitimer(static_cast<__itimer_which_t>(which), &none, nullptr);
    const outcome got = outcome_of([&] { tocsin::setitimer(which, delay.time, interval.time); });
    require(is_one_of(got, of_delay, of_interval, wanted), "setitimer:", name(got), "not", name(wanted));
    const tocsin::itimer_value set = tocsin::getitimer(which);
    if (got != outcome::fine || ns == 0) {
        require(set.delay.count() == 0, "setitimer: armed", set.delay.count());
        return;
    }
    const wide us = round_up(ns, 1000);
    require(set.delay.count() > 0, "setitimer: not armed");
    require_near("setitimer", set.delay, ns, us + (which == ITIMER_REAL ? 0 : second));
    require_interval("setitimer", set.interval, round_up(interval.time.nanoseconds("fuzz").count(), 1000));
    const tocsin::itimer_value previous = tocsin::setitimer(which, 0);
    require_near("setitimer, previous", previous.delay, ns, us + (which == ITIMER_REAL ? 0 : second));
    require(tocsin::getitimer(which).delay.count() == 0, "setitimer: not disarmed");
}

void set_alarm(fuzz::input& in)
{
    const saved_itimer as_it_was(ITIMER_REAL);
    tocsin::alarm(0U);
    const auto count = in.take<std::int64_t>();
    if (count > 1000 || count < 0) {
        const outcome got = outcome_of([&] { tocsin::alarm(count); });
        const outcome wanted = count < 0                                      ? outcome::invalid_argument
                               : count > std::numeric_limits<unsigned>::max() ? outcome::overflow
                                                                              : outcome::fine;
        require(got == wanted, "alarm:", count, name(got), "not", name(wanted));
        const std::int64_t left = tocsin::alarm(0U);
        require(wanted == outcome::fine ? left <= count && left + 20 >= count : left == 0, "alarm:", count, left);
    }
    const nanoseconds time(in.take<std::int64_t>());
    if (time.count() < far)
        return;
    require(tocsin::alarm(time).count() == 0, "alarm(duration): was not disarmed");
    const wide left = tocsin::alarm(nanoseconds(0)).count();
    require(left <= round_up(time.count(), 1000) && left >= std::min<wide>(time.count(), most - uptime()) - slowness,
            "alarm(duration):", time.count(), "left", static_cast<std::int64_t>(left));
}

void set_descriptor(const given_time& initial, outcome of_initial, const given_time& interval, outcome of_interval,
                    bool of_real_clock)
{
    tocsin::timer_fd timer(of_real_clock ? CLOCK_REALTIME : CLOCK_MONOTONIC, tocsin::timer_fd::nonblock);
    const outcome wanted = wanted_outcome(initial, of_initial, interval, of_interval);
    const outcome got = outcome_of([&] { timer.settime(initial.time, interval.time); });
    require(is_one_of(got, of_initial, of_interval, wanted), "timerfd_settime:", name(got), "not", name(wanted));
    const auto set = timer.gettime_ns();
    if (got != outcome::fine) {
        require(set == tocsin::timerfd_value_ns{}, "timerfd_settime: armed all the same");
        return;
    }
    const wide ns = initial.time.nanoseconds("fuzz").count();
    const wide every = interval.time.nanoseconds("fuzz").count();
    if (ns == 0) {
        require(set.initial.count() == 0, "timerfd_settime: zero arms");
        return;
    }
    // A time above zero never disarms: it runs, or it has run.
    const wide left = set.initial.count();
    const auto expired = timer.try_read();
    require(left > 0 || expired.expirations > 0, "timerfd_settime: disarmed by", initial.time.given());
    if (ns >= far) {
        require(left <= ns && left >= std::min(ns, most - uptime() - (of_real_clock ? most / 4 : 0)) - slowness,
                "timerfd_gettime_ns: left", static_cast<std::int64_t>(left));
        require(expired.expirations == 0, "timerfd: too early");
    }
    require(is_interval(set.interval.count(), every), "timerfd_gettime_ns: interval", set.interval.count());
    require_interval("timerfd_gettime", timer.gettime().interval, every);
    require(timer.disarm().interval == set.interval && timer.gettime_ns().initial.count() == 0, "disarm");
}

void set_descriptor_ns(fuzz::input& in)
{
    tocsin::timer_fd timer(CLOCK_MONOTONIC, tocsin::timer_fd::nonblock);
    const nanoseconds initial(in.take<std::int64_t>());
    const nanoseconds interval(in.take<std::int64_t>());
    const bool absolute = (in.byte() & 1) != 0;
    const bool valid = initial.count() >= 0 && interval.count() >= 0;
    const outcome got =
        outcome_of([&] { timer.settime_ns(initial, interval, absolute ? tocsin::timer_fd::abstime : 0); });
    require(got == (valid ? outcome::fine : outcome::system), "timerfd_settime_ns:", name(got));
    const auto set = timer.gettime_ns();
    if (!valid || initial.count() == 0)
        require(set.initial.count() == 0, "timerfd_settime_ns: armed");
    else
        require(set.initial.count() > 0 || timer.try_read().expirations > 0, "timerfd_settime_ns: disarmed");
    if (valid && initial.count() != 0)
        require(is_interval(set.interval.count(), interval.count()), "timerfd_settime_ns: interval",
                set.interval.count());
}

// Calls with a timeout that find at once what they wait for.
void wait_for_what_is_there(const given_time& timeout, outcome of_timeout, fuzz::input& in)
{
    const outcome wanted =
        of_timeout == outcome::fine && timeout.value.sign < 0 ? outcome::invalid_argument : of_timeout;
    ::raise(SIGUSR1); // blocked
    std::optional<tocsin::siginfo> info;
    const outcome got = outcome_of([&] { info = tocsin::sigtimedwait({SIGUSR1}, timeout.time); });
    require(got == wanted, "sigtimedwait:", name(got), "not", name(wanted));
    require(got != outcome::fine || (info && info->signo() == SIGUSR1), "sigtimedwait: a signal was missed");
    if (got != outcome::fine)
        require(tocsin::sigtimedwait({SIGUSR1}, 0).has_value(), "sigtimedwait: a refused call took the signal");

    const std::uint32_t word = 1;
    bool woken = false;
    const outcome of_futex = outcome_of([&] { woken = tocsin::blocking::futex_wait(&word, 0, timeout.time); });
    require(of_futex == wanted && (woken || of_futex != outcome::fine), "futex_wait:", name(of_futex));

    if (wanted != outcome::fine || timeout.time.nanoseconds("fuzz").count() < 1000) {
        const outcome of_sleep = outcome_of([&] { tocsin::blocking::sleep_for(timeout.time); });
        require(of_sleep == wanted, "sleep_for:", name(of_sleep), "not", name(wanted));
    }

    static const int ready = [] {
        int fds[2];
        if (::pipe2(fds, O_CLOEXEC) != 0 || ::write(fds[1], "x", 1) != 1)
            fuzz::fail("no pipe");
        return fds[0];
    }();
    pollfd fd{ready, POLLIN, 0};
    require(tocsin::blocking::poll(&fd, 1, in.take<std::int32_t>()) == 1, "poll: missed a ready descriptor");
    const timespec time{in.take<std::int64_t>(), in.take<std::int64_t>()};
    const bool valid = time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < second;
    std::error_code ec;
    const int count = tocsin::blocking::ppoll(&fd, 1, &time, nullptr, ec);
    require(valid ? count == 1 && !ec : count == -1 && ec == std::errc::invalid_argument, "ppoll:", time.tv_sec,
            time.tv_nsec, count, ec);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ready, &set);
    const timeval value{time.tv_sec, time.tv_nsec};
    const int selected = tocsin::blocking::select(ready + 1, &set, nullptr, nullptr, &value, ec);
    // As in the kernel, microseconds may be many: what counts is the sum.
    const bool sensible = value.tv_usec >= 0 && static_cast<wide>(value.tv_sec) + value.tv_usec / 1'000'000 >= 0;
    require(sensible ? selected == 1 && !ec : selected == -1 && ec == std::errc::invalid_argument,
            "select:", time.tv_sec, time.tv_nsec, selected, ec);
    if (!valid) {
        tocsin::blocking::nanosleep(&time, nullptr, ec);
        require(ec == std::errc::invalid_argument, "nanosleep:", time.tv_sec, time.tv_nsec, ec);
    }
}

#if __has_include("interruptible.hpp")
void limit(std::int64_t ns)
{
    if (ns < 0) // refused before it gets there
        return;
    using tocsin::detail::time_limit;
    const std::int64_t before = tocsin::sys::monotonic_now();
    const time_limit it = time_limit::after(ns);
    require(!time_limit::never().bounded(), "never() ends");
    if (!it.bounded()) {
        require(static_cast<wide>(tocsin::sys::monotonic_now()) + ns >= most, "time_limit: endless", ns);
        return;
    }
    require(static_cast<wide>(before) + ns < most, "time_limit: wrapped", ns);
    const std::int64_t left = it.remaining();
    require(left <= ns && left >= std::max<wide>(0, static_cast<wide>(ns) - slowness), "time_limit:", ns, left);
    const timespec time = tocsin::detail::to_timespec(left);
    require(time.tv_nsec >= 0 && time.tv_nsec < second &&
                static_cast<wide>(time.tv_sec) * second + time.tv_nsec == left,
            "to_timespec:", left);
}
#else
void limit(std::int64_t /*ns*/) {}
#endif

} // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/)
{
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    fuzz::input in(data, size);
    const unsigned what = in.byte();
    const given_time a = read_time(in);
    const given_time b = read_time(in);
    const outcome of_a = as_a_time(a);
    const outcome of_b = as_a_time(b);
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        set_itimer(a, of_a, b, of_b, static_cast<int>(what % 8));
        break;
    case 3:
        set_alarm(in);
        break;
    case 4:
    case 5:
        set_descriptor(a, of_a, b, of_b, what % 8 == 5);
        break;
    case 6:
        set_descriptor_ns(in);
        break;
    default:
        wait_for_what_is_there(a, of_a, in);
        limit(in.take<std::int64_t>());
        break;
    }
    return 0;
}
