// Waiting: for descriptors, children, time, a futex.

#include <tocsin/blocking.hpp>

#include <linux/futex.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <tocsin/nudge.hpp>

#include "blocking.hpp"

namespace tocsin::blocking {

using namespace tocsin::detail;

namespace {

constexpr std::int64_t per_millisecond = 1'000'000;
constexpr long kernel_set_size = 8; // bytes: 64 signals

// The limit that a relative timeout means; false, with EINVAL, for one that is not a time. Null: none.
bool to_limit(const timespec* timeout, time_limit& limit, std::error_code& ec)
{
    if (timeout == nullptr)
        return true;
    if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999'999'999) {
        ec.assign(EINVAL, std::generic_category());
        return false;
    }
    std::int64_t ns = 0;
    if (!__builtin_mul_overflow(std::int64_t{timeout->tv_sec}, std::int64_t{1'000'000'000}, &ns) &&
        !__builtin_add_overflow(ns, std::int64_t{timeout->tv_nsec}, &ns))
        limit = time_limit::after(ns);
    return true;
}

// A number of ready descriptors; no time left is 0 of them.
template <class Errors>
int to_count(Errors& errors, long result)
{
    return static_cast<int>(to_result(errors, result == -ETIMEDOUT ? 0 : result));
}

time_limit limit_of(int timeout_ms)
{
    return timeout_ms < 0 ? time_limit::never() : time_limit::after(timeout_ms * per_millisecond);
}

// As select(2) leaves a set in which nothing is ready: it touches whole words only.
void clear(fd_set* set, int nfds)
{
    constexpr int per_word = 8 * sizeof(long);
    if (set != nullptr)
        std::memset(set, 0, static_cast<std::size_t>((nfds + per_word - 1) / per_word) * sizeof(long));
}

long wait_for_fds(pollfd* fds, nfds_t count, const time_limit& limit, const sigset_t* mask, source_location where)
{
    sigset_t open{};
    if (const auto nudge = nudge_signal(); mask != nullptr && nudge) { // must not be kept out
        open = *mask;
        ::sigdelset(&open, *nudge);
        mask = &open;
    }
    const long result = interruptible_until(where, limit, [&](timespec* time) {
        return kernel_call_within(time, SYS_ppoll, address(fds), static_cast<long>(count), address(time), address(mask),
                                  kernel_set_size);
    });
    if (result == -ETIMEDOUT) { // an interrupted last attempt need not have written them
        for (nfds_t i = 0; i < count; ++i)
            fds[i].revents = 0;
    }
    return result;
}

long wait_for_events(int epfd, epoll_event* events, int max_events, const time_limit& limit, source_location where)
{
    return interruptible_until(where, limit, [&](const timespec* time) {
        // Milliseconds, rounded up: never early.
        const long ms = time == nullptr ? -1 : time->tv_sec * 1000 + (time->tv_nsec + 999'999) / 1'000'000;
        return kernel_call_within(time, SYS_epoll_pwait, epfd, address(events), max_events, ms, 0, kernel_set_size);
    });
}

// The kernel's older forms are a fifth cheaper, but count in milliseconds: for the first attempt only, so that what is
// left of an interrupted wait is not rounded. Handlers run before the clock is read: their time is not the wait's.

[[gnu::always_inline]] inline long wait_for_fds(pollfd* fds, nfds_t count, int timeout_ms, source_location where)
{
    safe_point(where);
    const time_limit limit = limit_of(timeout_ms);
#if defined(SYS_poll)
    const long result = kernel_call(SYS_poll, address(fds), static_cast<long>(count), timeout_ms);
    if (!was_interrupted(result))
        return result;
    serve_interpreter();
#endif
    return wait_for_fds(fds, count, limit, nullptr, where);
}

[[gnu::always_inline]] inline long wait_for_events(int epfd, epoll_event* events, int max_events, int timeout_ms,
                                                   source_location where)
{
    safe_point(where);
    const time_limit limit = limit_of(timeout_ms);
#if defined(SYS_epoll_wait)
    const long result = kernel_call(SYS_epoll_wait, epfd, address(events), max_events, timeout_ms);
    if (!was_interrupted(result))
        return result;
    serve_interpreter();
#endif
    return wait_for_events(epfd, events, max_events, limit, where);
}

void sleep_on(clockid_t clock, std::chrono::nanoseconds until, source_location where)
{
    if (until.count() <= 0)
        return safe_point(where);
    const timespec time = to_timespec(until.count());
    std::error_code ec;
    enter(ec, where, SYS_clock_nanosleep, clock, TIMER_ABSTIME, &time, nullptr);
    if (ec)
        fail(ec.value(), "sleep_until");
}

} // namespace

int poll(pollfd* fds, nfds_t count, int timeout_ms, std::error_code& ec, source_location where)
{
    return to_count(ec, wait_for_fds(fds, count, timeout_ms, where));
}

int poll(pollfd* fds, nfds_t count, int timeout_ms, source_location where)
{
    return to_count("poll", wait_for_fds(fds, count, timeout_ms, where));
}

int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, std::error_code& ec,
          source_location where)
{
    time_limit limit = time_limit::never();
    if (!to_limit(timeout, limit, ec))
        return -1;
    return to_count(ec, wait_for_fds(fds, count, limit, mask, where));
}

int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, source_location where)
{
    return throwing("ppoll", [&](std::error_code& ec) { return ppoll(fds, count, timeout, mask, ec, where); });
}

int select(int nfds, fd_set* readable, fd_set* writable, fd_set* exceptional, const timeval* timeout,
           std::error_code& ec, source_location where)
{
    time_limit limit = time_limit::never();
    if (timeout != nullptr) {
        // select(2) takes a million microseconds and more.
        timespec time{timeout->tv_sec, timeout->tv_usec < 0 ? -1 : timeout->tv_usec % 1'000'000 * 1000};
        const bool endless =
            timeout->tv_usec > 0 && __builtin_add_overflow(time.tv_sec, timeout->tv_usec / 1'000'000, &time.tv_sec);
        if (!endless && !to_limit(&time, limit, ec))
            return -1;
    }
    // The kernel writes the sets only when it succeeds, so an interrupted attempt leaves them as they were given.
    const long result = interruptible_until(where, limit, [&](timespec* time) {
        return kernel_call_within(time, SYS_pselect6, nfds, address(readable), address(writable), address(exceptional),
                                  address(time), 0);
    });
    if (result == -ETIMEDOUT) {
        for (fd_set* set : {readable, writable, exceptional})
            clear(set, nfds);
    }
    return to_count(ec, result);
}

int select(int nfds, fd_set* readable, fd_set* writable, fd_set* exceptional, const timeval* timeout,
           source_location where)
{
    return throwing("select", [&](std::error_code& ec) {
        return select(nfds, readable, writable, exceptional, timeout, ec, where);
    });
}

int epoll_wait(int epfd, epoll_event* events, int max_events, int timeout_ms, std::error_code& ec,
               source_location where)
{
    return to_count(ec, wait_for_events(epfd, events, max_events, timeout_ms, where));
}

int epoll_wait(int epfd, epoll_event* events, int max_events, int timeout_ms, source_location where)
{
    return to_count("epoll_wait", wait_for_events(epfd, events, max_events, timeout_ms, where));
}

pid_t waitpid(pid_t pid, int* status, int options, std::error_code& ec, source_location where)
{
    return static_cast<pid_t>(enter(ec, where, SYS_wait4, pid, status, options, nullptr));
}

pid_t waitpid(pid_t pid, int* status, int options, source_location where)
{
    return static_cast<pid_t>(enter("waitpid", where, SYS_wait4, pid, status, options, nullptr));
}

void waitid(idtype_t type, id_t id, siginfo_t* info, int options, std::error_code& ec, source_location where)
{
    enter(ec, where, SYS_waitid, type, id, info, options, nullptr);
}

void waitid(idtype_t type, id_t id, siginfo_t* info, int options, source_location where)
{
    enter("waitid", where, SYS_waitid, type, id, info, options, nullptr);
}

void nanosleep(const timespec* request, timespec* remaining, std::error_code& ec, source_location where)
{
    time_limit limit = time_limit::never();
    if (request == nullptr || !to_limit(request, limit, ec)) {
        ec.assign(request == nullptr ? EFAULT : EINVAL, std::generic_category());
        return;
    }
    if (remaining != nullptr)
        *remaining = *request; // a handler may throw before the first attempt
    to_result(ec, interruptible_until(where, limit, [&](const timespec* time) {
                  // Null: the time given ends after the last second that 64 bits of nanoseconds count.
                  const timespec* const sleep = time == nullptr ? request : time;
                  timespec left = *sleep; // all of it, should the kernel not be entered
                  const long result = sleep->tv_sec == 0 && sleep->tv_nsec == 0
                                          ? 0
                                          : kernel_call(SYS_nanosleep, address(sleep), address(&left));
                  // Before the handlers run, for the case that one throws. A sleep that the kernel itself resumed,
                  // after SIGSTOP and SIGCONT, leaves an old rest behind.
                  if (remaining != nullptr)
                      *remaining = result == 0 ? timespec{} : left;
                  return result;
              }));
}

void nanosleep(const timespec* request, timespec* remaining, source_location where)
{
    return throwing("nanosleep", [&](std::error_code& ec) { return nanosleep(request, remaining, ec, where); });
}

void sleep_for(seconds time, source_location where)
{
    const auto ns = time.nanoseconds("sleep_for");
    if (time.given() < 0) // rounded up, a little less than 0 is 0
        throw std::invalid_argument("sleep_for: " + describe(time) + ": a time must not be negative");
    const timespec request = to_timespec(ns.count());
    nanosleep(&request, nullptr, where);
}

void sleep_until(std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds> time,
                 source_location where)
{
    sleep_on(CLOCK_MONOTONIC, time.time_since_epoch(), where);
}

void sleep_until(std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds> time,
                 source_location where)
{
    sleep_on(CLOCK_REALTIME, time.time_since_epoch(), where);
}

bool futex_wait(const std::uint32_t* word, std::uint32_t expected, std::optional<seconds> timeout, std::error_code& ec,
                source_location where)
{
    timespec deadline{};
    if (timeout) {
        const auto ns = timeout->nanoseconds("futex_wait");
        if (timeout->given() < 0)
            throw std::invalid_argument("futex_wait: " + describe(*timeout) + ": a timeout must not be negative");
        std::int64_t end = 0;
        if (__builtin_add_overflow(sys::monotonic_now(), ns.count(), &end))
            timeout.reset();
        deadline = to_timespec(end);
    }
    // An absolute deadline: an interrupted wait resumes with the time that is left, and the kernel looks at the word
    // again.
    const long result = interruptible(where, [&] {
        return kernel_call(SYS_futex, address(word), FUTEX_WAIT_BITSET, expected, timeout ? address(&deadline) : 0, 0,
                           static_cast<long>(FUTEX_BITSET_MATCH_ANY));
    });
    to_result(ec, result == -EAGAIN || result == -ETIMEDOUT ? 0 : result);
    return result == 0 || result == -EAGAIN;
}

bool futex_wait(const std::uint32_t* word, std::uint32_t expected, std::optional<seconds> timeout,
                source_location where)
{
    return throwing("futex_wait", [&](std::error_code& ec) { return futex_wait(word, expected, timeout, ec, where); });
}

} // namespace tocsin::blocking
