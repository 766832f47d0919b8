// Clocks that stand still or jump. The monotonic clock that the library reads is replaced; what the kernel measures is
// the real one.

#include <tocsin/tocsin.hpp>

#include <dlfcn.h>

#include <ctime>
#include <functional>

#include "state.hpp"

namespace {

constexpr std::int64_t second = 1'000'000'000;

bool frozen = false;
std::int64_t shown = 0; // nanoseconds, while frozen

int real_gettime(clockid_t clock, timespec* now)
{
    static int (*real)(clockid_t, timespec*) = nullptr;
    if (real == nullptr)
        real = reinterpret_cast<int (*)(clockid_t, timespec*)>(::dlsym(RTLD_NEXT, "clock_gettime"));
    return real(clock, now);
}

std::int64_t real_now(clockid_t clock = CLOCK_MONOTONIC)
{
    timespec now{};
    real_gettime(clock, &now);
    return now.tv_sec * second + now.tv_nsec;
}

} // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept
{
    if (!frozen || clock != CLOCK_MONOTONIC)
        return real_gettime(clock, now);
    *now = {static_cast<time_t>(shown / second), static_cast<long>(shown % second)};
    return 0;
}

namespace {

using namespace std::chrono_literals;
namespace blocking = tocsin::blocking;

void freeze(std::int64_t at)
{
    shown = at;
    frozen = true;
}

/// Every call with a time limit, waiting for what never comes; true if it says that the time is over.
struct timed_call {
    const char* name;
    std::function<bool(std::chrono::milliseconds)> wait;
};

const std::vector<timed_call>& timed_calls()
{
    static const support::pipe_pair never;
    static const int epoll = [] {
        const int fd = ::epoll_create1(EPOLL_CLOEXEC);
        epoll_event event{};
        event.events = EPOLLIN;
        ::epoll_ctl(fd, EPOLL_CTL_ADD, never.reader(), &event);
        return fd;
    }();
    static const std::vector<timed_call> calls = {
        {"poll",
         [](auto time) {
             pollfd fd{never.reader(), POLLIN, 0};
             return blocking::poll(&fd, 1, static_cast<int>(time.count())) == 0;
         }},
        {"ppoll",
         [](auto time) {
             pollfd fd{never.reader(), POLLIN, 0};
             const timespec limit{time.count() / 1000, time.count() % 1000 * 1'000'000};
             return blocking::ppoll(&fd, 1, &limit, nullptr) == 0;
         }},
        {"select",
         [](auto time) {
             fd_set in;
             FD_ZERO(&in);
             FD_SET(never.reader(), &in);
             const timeval limit{time.count() / 1000, time.count() % 1000 * 1000};
             return blocking::select(never.reader() + 1, &in, nullptr, nullptr, &limit) == 0 &&
                    !FD_ISSET(never.reader(), &in);
         }},
        {"epoll_wait",
         [](auto time) {
             epoll_event found{};
             return blocking::epoll_wait(epoll, &found, 1, static_cast<int>(time.count())) == 0;
         }},
        {"nanosleep",
         [](auto time) {
             blocking::sleep_for(time);
             return true;
         }},
        {"sigtimedwait",
         [](auto time) {
             const tocsin::mask_guard guard({SIGTERM});
             return tocsin::sigtimedwait({SIGTERM}, time) == std::nullopt;
         }},
        {"futex_wait",
         [](auto time) {
             const std::uint32_t word = 1;
             return !blocking::futex_wait(&word, 1, time);
         }},
    };
    return calls;
}

// It never ticks between two looks: time limits end all the same, interrupted or not.
TEST(frozen_clock, calls_with_a_time_limit_end)
{
    int handled = 0;
    tocsin::signal(SIGALRM, [&] { ++handled; });
    for (const bool interrupted : {false, true}) {
        for (const timed_call& call : timed_calls()) {
            do { // once more if the signal came too late to interrupt
                const std::int64_t start = real_now();
                freeze(start);
                handled = 0;
                if (interrupted)
                    tocsin::setitimer(tocsin::itimer::real, 2ms);
                EXPECT_TRUE(call.wait(20ms)) << call.name;
                frozen = false;
                EXPECT_GE(real_now() - start, 20'000'000) << call.name;
                EXPECT_LE(handled, interrupted ? 1 : 0) << call.name;
                tocsin::setitimer(tocsin::itimer::real, 0);
                tocsin::check_signals();
            } while (interrupted && handled == 0);
        }
    }
}

// The clock jumps ahead while the call waits (the machine was asleep, say): the time is over, and never less than nothing
// is left. The futex is left out: the kernel's own clock ends it, and that does not jump here.
TEST(jumping_clock, a_time_that_is_over_is_over)
{
    tocsin::signal(SIGALRM, [] { shown += 3600 * second; });
    for (const timed_call& call : timed_calls()) {
        if (call.name == std::string("futex_wait"))
            continue;
        const std::int64_t start = real_now();
        freeze(start);
        tocsin::setitimer(tocsin::itimer::real, 2ms, 2ms); // again: the first may come before the call knows its end
        EXPECT_TRUE(call.wait(40s)) << call.name;
        tocsin::setitimer(tocsin::itimer::real, 0);
        frozen = false;
        EXPECT_LT(real_now() - start, 30 * second) << call.name;
    }
}

// Should it ever go back, the call waits longer, and ends.
TEST(jumping_clock, one_that_goes_back_delays_the_end)
{
    tocsin::signal(SIGALRM, [] { shown -= 20'000'000; });
    for (const timed_call& call : timed_calls()) {
        const std::int64_t start = real_now();
        freeze(start);
        tocsin::setitimer(tocsin::itimer::real, 2ms);
        EXPECT_TRUE(call.wait(10ms)) << call.name;
        frozen = false;
        EXPECT_GE(real_now() - start, 10'000'000) << call.name;
    }
}

// A deadline after the end of 64 bits of nanoseconds is none, not one in the past.
TEST(jumping_clock, a_deadline_that_does_not_fit_is_none)
{
    const support::pipe_pair pipe;
    tocsin::signal(SIGALRM, [&] { EXPECT_EQ(::write(pipe.writer(), "x", 1), 1); });
    freeze(INT64_MAX - second);
    tocsin::setitimer(tocsin::itimer::real, 2ms);
    pollfd fd{pipe.reader(), POLLIN, 0};
    const timespec limit{10, 0};
    EXPECT_EQ(blocking::ppoll(&fd, 1, &limit, nullptr), 1);
    const std::uint32_t word = 1;
    EXPECT_TRUE(blocking::futex_wait(&word, 2, 10s));
    frozen = false;
}

// Sets the realtime clock to what it shows, which counts as a change; false without the right to.
// The machine's own clock, to what it says: a moment late, and every program that watches it is told. So only on request.
bool set_realtime_clock()
{
    if (std::getenv("TOCSIN_SET_CLOCK") == nullptr)
        return false;
    timespec now{};
    real_gettime(CLOCK_REALTIME, &now);
    return ::clock_settime(CLOCK_REALTIME, &now) == 0;
}

TEST(clock_set, is_told_by_a_timer_that_is_to_be_cancelled_and_by_no_other)
{
    tocsin::timer_fd cancelled(CLOCK_REALTIME, tocsin::timer_fd::nonblock);
    tocsin::timer_fd follows(CLOCK_REALTIME);
    tocsin::timer_fd monotonic;
    constexpr int flags = tocsin::timer_fd::abstime | tocsin::timer_fd::cancel_on_set;
    const auto now = std::chrono::nanoseconds(real_now(CLOCK_REALTIME));
    cancelled.settime_ns(now + 1000s, 0ns, flags);
    follows.settime_ns(now + 1000s, 0ns, tocsin::timer_fd::abstime);
    monotonic.settime(1000);
    if (!set_realtime_clock())
        GTEST_SKIP() << "sets the machine's clock: with TOCSIN_SET_CLOCK=1 and the right to";
    EXPECT_EQ(cancelled.try_read().what, tocsin::timer_read::outcome::clock_changed);
    EXPECT_EQ(follows.try_read(), tocsin::timer_read{});
    EXPECT_EQ(monotonic.try_read(), tocsin::timer_read{});
    // Told once; set again it works.
    cancelled.settime_ns(std::chrono::nanoseconds(real_now(CLOCK_REALTIME)) + 1000s, 0ns, flags);
    EXPECT_EQ(cancelled.try_read(), tocsin::timer_read{});
    set_realtime_clock();
    EXPECT_EQ(support::errno_of([&] { cancelled.read(); }), ECANCELED);
}

TEST(clock_set, ends_no_sleep_early)
{
    bool allowed = true;
    tocsin::signal(SIGALRM, [&] { allowed = set_realtime_clock(); });
    tocsin::setitimer(tocsin::itimer::real, 2ms);
    const auto end = std::chrono::system_clock::now() + 20ms;
    blocking::sleep_until(end);
    EXPECT_GE(std::chrono::system_clock::now(), end);
    if (!allowed)
        GTEST_SKIP() << "sets the machine's clock: with TOCSIN_SET_CLOCK=1 and the right to";
}

} // namespace
