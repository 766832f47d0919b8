// timerfd_create, timerfd_settime, timerfd_gettime, class timer_fd.

#include <tocsin/tocsin.hpp>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include <cmath>
#include <limits>
#include <type_traits>

#include "storm.hpp"

using support::errno_of;
using support::message_of;
using support::storm;
using tocsin::timer_fd;
using tocsin::timer_read;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using outcome = timer_read::outcome;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int ordinary_clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};

nanoseconds now_of(int clock)
{
    timespec now{};
    ::clock_gettime(clock, &now);
    return std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

bool readable(int fd, int timeout_ms)
{
    pollfd ready{fd, POLLIN, 0};
    return tocsin::blocking::poll(&ready, 1, timeout_ms) == 1 && (ready.revents & POLLIN) != 0;
}

static_assert(!std::is_copy_constructible_v<timer_fd> && !std::is_copy_assignable_v<timer_fd>);
static_assert(std::is_nothrow_move_constructible_v<timer_fd> && std::is_nothrow_move_assignable_v<timer_fd>);

TEST(timerfd_create, is_close_on_exec_whatever_the_flags)
{
    for (const int clock : ordinary_clocks) {
        for (const int flags : {0, timer_fd::cloexec + 0, timer_fd::nonblock + 0, TFD_NONBLOCK | TFD_CLOEXEC}) {
            const support::descriptor fd(tocsin::timerfd_create(clock, flags));
            EXPECT_EQ(::fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
            EXPECT_EQ((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, (flags & TFD_NONBLOCK) != 0);
        }
    }
}

TEST(timerfd_create, takes_the_alarm_clocks_or_says_that_it_may_not)
{
    for (const int clock : {CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM}) {
        try {
            timer_fd timer(clock);
            timer.settime(1000);
            EXPECT_GT(timer.gettime().initial, 900s);
        } catch (const std::system_error& e) {
            // EOPNOTSUPP: a machine without a clock that could wake it.
            EXPECT_TRUE(e.code().value() == EPERM || e.code().value() == EOPNOTSUPP) << e.what();
        }
    }
}

TEST(timerfd_create, refuses_unknown_clocks_and_flags_by_value)
{
    for (const int clock :
         {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_TAI, 99, -1}) {
        EXPECT_EQ(errno_of([&] { (void)tocsin::timerfd_create(clock); }), EINVAL) << clock;
        EXPECT_EQ(errno_of([&] { timer_fd timer(clock); }), EINVAL) << clock;
        const auto text = message_of<std::system_error>([&] { timer_fd timer(clock); });
        EXPECT_NE(text.find("clock " + std::to_string(clock)), std::string::npos) << text;
    }
    SKIP_IF_EMULATED("flags unknown to it never reach the kernel");
    for (const int flags : {1, 1 << 30, -1}) {
        EXPECT_EQ(errno_of([&] { (void)tocsin::timerfd_create(CLOCK_MONOTONIC, flags); }), EINVAL) << flags;
        const auto text = message_of<std::system_error>([&] { timer_fd timer(CLOCK_MONOTONIC, flags); });
        EXPECT_NE(text.find(std::to_string(flags)), std::string::npos) << text;
    }
}

TEST(timerfd_settime, returns_the_previous_setting_in_both_forms)
{
    const support::descriptor fd(tocsin::timerfd_create(CLOCK_MONOTONIC));
    EXPECT_EQ(tocsin::timerfd_gettime(fd), tocsin::timerfd_value{});
    EXPECT_EQ(tocsin::timerfd_gettime_ns(fd), tocsin::timerfd_value_ns{});
    EXPECT_EQ(tocsin::timerfd_settime(fd, 1000.5, 0.25), tocsin::timerfd_value{});
    auto exact = tocsin::timerfd_gettime_ns(fd);
    EXPECT_GT(exact.initial, 900s);
    EXPECT_LE(exact.initial, 1000500ms);
    EXPECT_EQ(exact.interval, 250ms);
    const auto old = tocsin::timerfd_settime(fd, 2000s, 7ms);
    EXPECT_GT(old.initial, 900s);
    EXPECT_EQ(old.interval, 250ms);
    exact = tocsin::timerfd_settime_ns(fd, 3000s + 1ns, 123'456'789ns);
    EXPECT_GT(exact.initial, 1900s);
    EXPECT_EQ(exact.interval, 7ms);
    EXPECT_EQ(tocsin::timerfd_gettime_ns(fd).interval, 123'456'789ns);
    EXPECT_DOUBLE_EQ(tocsin::timerfd_gettime(fd).interval.count(), 0.123456789);
    exact = tocsin::timerfd_settime_ns(fd, 0ns);
    EXPECT_GT(exact.initial, 2900s);
    EXPECT_EQ(tocsin::timerfd_gettime_ns(fd), tocsin::timerfd_value_ns{});
}

TEST(timerfd_settime, zero_disarms_whatever_the_interval)
{
    timer_fd timer(CLOCK_MONOTONIC, timer_fd::nonblock);
    timer.settime(1ms, 1ms);
    timer.settime(0, 0.001);
    EXPECT_EQ(timer.gettime_ns().initial, 0ns);
    EXPECT_FALSE(readable(timer.native_handle(), 20));
    EXPECT_EQ(timer.try_read().what, outcome::none);
    timer.settime_ns(0ns, 1ms, timer_fd::abstime);
    EXPECT_FALSE(readable(timer.native_handle(), 20));
}

TEST(timerfd_settime, discards_unread_expirations)
{
    timer_fd timer(CLOCK_MONOTONIC, timer_fd::nonblock);
    timer.settime(1ns);
    ASSERT_TRUE(readable(timer.native_handle(), 20'000));
    timer.settime(1000);
    EXPECT_FALSE(readable(timer.native_handle(), 0));
    EXPECT_EQ(errno_of([&] { timer.read(); }), EAGAIN);
}

TEST(timerfd_settime, an_absolute_time_in_the_past_expires_at_once)
{
    for (const int clock : ordinary_clocks) {
        timer_fd timer(clock);
        timer.settime_ns(1ns, 0ns, timer_fd::abstime);
        EXPECT_EQ(timer.read(), 1U);
        EXPECT_EQ(timer.try_read().what, outcome::none);
        // Started a second ago with a tenth: eleven, or more if we are slow.
        timer.settime_ns(now_of(clock) - 1s, 100ms, timer_fd::abstime);
        EXPECT_GE(timer.read(), 11U);
        timer.settime(std::chrono::duration<double>(now_of(clock)).count() - 1.0, 0.0, timer_fd::abstime);
        EXPECT_EQ(timer.read(), 1U);
    }
}

TEST(timerfd_settime, an_absolute_time_in_the_future_is_not_early)
{
    for (const int clock : ordinary_clocks) {
        timer_fd timer(clock);
        const auto end = now_of(clock) + 20ms;
        timer.settime_ns(end, 0ns, timer_fd::abstime);
        EXPECT_LE(timer.gettime_ns().initial, 20ms); // told as what is left
        EXPECT_EQ(timer.read(), 1U);
        EXPECT_GE(now_of(clock), end);
    }
}

TEST(timerfd_settime, cancel_on_set_is_accepted)
{
    timer_fd timer(CLOCK_REALTIME, timer_fd::nonblock);
    timer.settime_ns(now_of(CLOCK_REALTIME) + 1000s, 0ns, timer_fd::abstime | timer_fd::cancel_on_set);
    EXPECT_GT(timer.gettime_ns().initial, 900s);
    EXPECT_EQ(timer.try_read().what, outcome::none);
    // Without meaning, but accepted, elsewhere.
    timer.settime(1000, 0, timer_fd::cancel_on_set);
    timer_fd other(CLOCK_MONOTONIC);
    other.settime(1ns, 0, timer_fd::cancel_on_set);
    EXPECT_EQ(other.read(), 1U);
}

TEST(timerfd_settime, errors_name_the_descriptor_and_the_value)
{
    const support::descriptor fd(tocsin::timerfd_create(CLOCK_MONOTONIC));
    const support::pipe_pair not_a_timer;
    for (const int flags : {4, 1 << 30, -1}) {
        EXPECT_EQ(errno_of([&] { tocsin::timerfd_settime(fd, 1, 0, flags); }), EINVAL);
        const auto text = message_of<std::system_error>([&] { tocsin::timerfd_settime(fd, 1, 0, flags); });
        EXPECT_NE(text.find("flags " + std::to_string(flags)), std::string::npos) << text;
    }
    EXPECT_EQ(errno_of([&] { tocsin::timerfd_settime(not_a_timer.reader, 1); }), EINVAL);
    EXPECT_EQ(errno_of([&] { tocsin::timerfd_settime_ns(not_a_timer.reader, 1ns); }), EINVAL);
    EXPECT_EQ(errno_of([&] { (void)tocsin::timerfd_gettime(not_a_timer.reader); }), EINVAL);
    EXPECT_EQ(errno_of([&] { (void)tocsin::timerfd_gettime_ns(not_a_timer.reader); }), EINVAL);
    for (const int bad : {-1, 987654}) {
        EXPECT_EQ(errno_of([&] { tocsin::timerfd_settime(bad, 1); }), EBADF);
        EXPECT_EQ(errno_of([&] { tocsin::timerfd_settime_ns(bad, 1ns); }), EBADF);
        EXPECT_EQ(errno_of([&] { (void)tocsin::timerfd_gettime(bad); }), EBADF);
        EXPECT_EQ(errno_of([&] { (void)tocsin::timerfd_gettime_ns(bad); }), EBADF);
        const auto text = message_of<std::system_error>([&] { (void)tocsin::timerfd_gettime(bad); });
        EXPECT_NE(text.find(std::to_string(bad)), std::string::npos) << text;
    }
}

TEST(G13, a_timer_descriptor_is_armed_by_every_time_above_zero)
{
    for (const tocsin::seconds time :
         {tocsin::seconds(1e-10), tocsin::seconds(1e-300), tocsin::seconds(5e-324), tocsin::seconds(1ns),
          tocsin::seconds(std::chrono::duration<int, std::pico>(1)), tocsin::seconds(1e-9)}) {
        timer_fd timer;
        timer.settime(time);
        EXPECT_TRUE(readable(timer.native_handle(), 20'000)) << time.given();
        EXPECT_EQ(timer.read(), 1U);
        timer.settime(1000, time);
        EXPECT_EQ(timer.gettime_ns().interval, 1ns) << time.given();
    }
}

TEST(G13, a_refused_time_leaves_the_timer_descriptor_alone)
{
    timer_fd timer;
    timer.settime(1000, 7);
    for (const double time : {-1.0, -1e-9, -1e-12}) {
        EXPECT_EQ(errno_of([&] { timer.settime(time); }), EINVAL) << time;
        EXPECT_EQ(errno_of([&] { timer.settime(1, time); }), EINVAL) << time;
        EXPECT_EQ(errno_of([&] { timer.settime(time, 0, timer_fd::abstime); }), EINVAL) << time;
    }
    EXPECT_EQ(errno_of([&] { timer.settime_ns(-1ns); }), EINVAL);
    EXPECT_EQ(errno_of([&] { timer.settime_ns(1ns, -1ns); }), EINVAL);
    EXPECT_EQ(errno_of([&] { timer.settime_ns(nanoseconds::min()); }), EINVAL);
    const auto text = message_of<std::system_error>([&] { timer.settime_ns(-5ns); });
    EXPECT_NE(text.find("-5"), std::string::npos) << text;
    EXPECT_NE(text.find("negative"), std::string::npos) << text;
    EXPECT_THROW(timer.settime(std::nan("")), std::invalid_argument);
    EXPECT_THROW(timer.settime(1, std::nan("")), std::invalid_argument);
    for (const double time : {infinity, -infinity, 1e300, 1e10}) {
        EXPECT_THROW(timer.settime(time), std::overflow_error) << time;
        EXPECT_THROW(timer.settime(1, time), std::overflow_error) << time;
    }
    const auto now = timer.gettime_ns();
    EXPECT_GT(now.initial, 900s);
    EXPECT_EQ(now.interval, 7s);
}

TEST(timerfd_settime, takes_the_longest_time)
{
    for (const int clock : ordinary_clocks) {
        for (const int flags : {0, timer_fd::abstime + 0}) {
            timer_fd timer(clock, timer_fd::nonblock);
            timer.settime_ns(nanoseconds::max(), nanoseconds::max(), flags);
            EXPECT_GT(timer.gettime_ns().initial, std::chrono::hours(24 * 365));
            EXPECT_EQ(timer.try_read().what, outcome::none);
        }
    }
}

TEST(timer_fd, constants_equal_the_macros)
{
    EXPECT_EQ(timer_fd::nonblock, TFD_NONBLOCK);
    EXPECT_EQ(timer_fd::cloexec, TFD_CLOEXEC);
    EXPECT_EQ(+timer_fd::abstime, +TFD_TIMER_ABSTIME);
    EXPECT_EQ(+timer_fd::cancel_on_set, +TFD_TIMER_CANCEL_ON_SET);
}

TEST(timer_fd, reads_one_for_a_single_shot_and_waits_for_it)
{
    timer_fd timer;
    const auto start = steady_clock::now();
    timer.settime(20ms);
    EXPECT_EQ(timer.read(), 1U);
    EXPECT_GE(support::elapsed_since(start), 20ms);
    EXPECT_EQ(timer.gettime_ns(), tocsin::timerfd_value_ns{});
}

TEST(timer_fd, counts_the_expirations_since_the_last_read)
{
    timer_fd timer;
    const auto start = steady_clock::now();
    timer.settime(1ms, 1ms);
    support::spin_until(steady_clock::now() + 30ms);
    const auto first = timer.read();
    EXPECT_GE(first, 30U);
    const auto all = first + timer.read();
    EXPECT_LE(all * 1ms, support::elapsed_since(start));
}

TEST(timer_fd, nonblock_says_eagain)
{
    timer_fd timer(CLOCK_MONOTONIC, timer_fd::nonblock);
    EXPECT_EQ(errno_of([&] { timer.read(); }), EAGAIN);
    std::error_code ec;
    EXPECT_EQ(timer.read(ec), 0U);
    EXPECT_EQ(ec, std::error_code(EAGAIN, std::generic_category()));
    timer.settime(1ns);
    ASSERT_TRUE(readable(timer.native_handle(), 20'000));
    EXPECT_EQ(timer.read(ec), 1U);
    EXPECT_FALSE(ec);
}

TEST(timer_fd, try_read_never_waits_on_a_blocking_descriptor)
{
    timer_fd timer;
    EXPECT_EQ(timer.try_read(), timer_read{});
    timer.settime(1000);
    EXPECT_EQ(timer.try_read(), timer_read{});
    timer.settime(1ns);
    ASSERT_TRUE(readable(timer.native_handle(), 20'000));
    EXPECT_EQ(timer.try_read(), (timer_read{outcome::expired, 1}));
    EXPECT_EQ(timer.try_read(), timer_read{});
    std::error_code ec(EPERM, std::generic_category());
    EXPECT_EQ(timer.try_read(ec), timer_read{});
    EXPECT_FALSE(ec);
}

TEST(timer_fd, try_read_is_steady_under_a_storm)
{
    timer_fd timer;
    const storm interrupts;
    std::uint64_t seen = 0;
    const auto start = steady_clock::now();
    timer.settime(500us, 500us);
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        const auto got = timer.try_read();
        seen += got.expirations;
        EXPECT_EQ(got.what == outcome::expired, got.expirations > 0);
        return seen >= 100 && interrupts.ticks() > 0;
    }));
    EXPECT_LE(seen * 500us, support::elapsed_since(start));
}

TEST(timer_fd, disarm_returns_what_was_left)
{
    timer_fd timer;
    timer.settime(1000, 5);
    const auto left = timer.disarm();
    EXPECT_GT(left.initial, 900s);
    EXPECT_EQ(left.interval, 5s);
    EXPECT_EQ(timer.disarm(), tocsin::timerfd_value_ns{});
}

TEST(timer_fd, a_closed_one_is_ebadf_everywhere)
{
    timer_fd timer;
    timer.close();
    timer.close();
    EXPECT_EQ(timer.native_handle(), -1);
    EXPECT_EQ(errno_of([&] { timer.read(); }), EBADF);
    EXPECT_EQ(errno_of([&] { timer.settime(1); }), EBADF);
    EXPECT_EQ(errno_of([&] { timer.settime_ns(1ns); }), EBADF);
    EXPECT_EQ(errno_of([&] { timer.disarm(); }), EBADF);
    EXPECT_EQ(errno_of([&] { (void)timer.gettime(); }), EBADF);
    EXPECT_EQ(errno_of([&] { (void)timer.gettime_ns(); }), EBADF);
    EXPECT_EQ(errno_of([&] { timer.try_read(); }), EBADF);
    std::error_code ec;
    EXPECT_EQ(timer.try_read(ec), timer_read{});
    EXPECT_EQ(ec, std::error_code(EBADF, std::generic_category()));
    // A number whose descriptor is gone.
    timer_fd stale = timer_fd::adopt(987654);
    EXPECT_EQ(errno_of([&] { stale.try_read(); }), EBADF);
    EXPECT_EQ(errno_of([&] { stale.read(); }), EBADF);
    stale.release();
}

TEST(timer_fd, moves_releases_and_adopts)
{
    timer_fd a;
    const int number = a.native_handle();
    timer_fd b(std::move(a));
    EXPECT_EQ(a.native_handle(), -1); // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(b.native_handle(), number);
    timer_fd c;
    const int replaced = c.native_handle();
    c = std::move(b);
    EXPECT_EQ(c.native_handle(), number);
    EXPECT_EQ(::fcntl(replaced, F_GETFD), -1);
    auto& same = c;
    c = std::move(same);
    EXPECT_EQ(c.native_handle(), number);
    EXPECT_EQ(c.release(), number);
    EXPECT_EQ(c.native_handle(), -1);
    EXPECT_NE(::fcntl(number, F_GETFD), -1);
    {
        timer_fd adopted = timer_fd::adopt(number);
        adopted.settime(1ns);
        EXPECT_EQ(adopted.read(), 1U);
    }
    EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST(timer_fd, poll_select_and_epoll_see_it_expire_and_never_writable)
{
    timer_fd timer(CLOCK_MONOTONIC, timer_fd::nonblock);
    const int fd = timer.native_handle();
    const support::descriptor set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event interest{EPOLLIN | EPOLLOUT, {.fd = fd}};
    ASSERT_EQ(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &interest), 0);
    epoll_event found{};
    pollfd ready{fd, POLLIN | POLLOUT, 0};
    EXPECT_EQ(tocsin::blocking::poll(&ready, 1, 0), 0);
    EXPECT_EQ(tocsin::blocking::epoll_wait(set, &found, 1, 0), 0);
    timer.settime(10ms);
    EXPECT_EQ(tocsin::blocking::epoll_wait(set, &found, 1, 20'000), 1);
    EXPECT_EQ(found.events, static_cast<std::uint32_t>(EPOLLIN));
    EXPECT_EQ(found.data.fd, fd);
    EXPECT_EQ(tocsin::blocking::poll(&ready, 1, 20'000), 1);
    EXPECT_EQ(ready.revents, POLLIN);
    fd_set in;
    fd_set out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fd, &in);
    FD_SET(fd, &out);
    EXPECT_EQ(tocsin::blocking::select(fd + 1, &in, &out, nullptr, nullptr), 1);
    EXPECT_TRUE(FD_ISSET(fd, &in));
    EXPECT_FALSE(FD_ISSET(fd, &out));
    EXPECT_EQ(timer.read(), 1U);
    EXPECT_FALSE(readable(fd, 0));
}

TEST(timer_fd, three_timers_in_one_select)
{
    timer_fd timers[3] = {timer_fd(CLOCK_REALTIME, timer_fd::nonblock), timer_fd(CLOCK_REALTIME, timer_fd::nonblock),
                          timer_fd(CLOCK_REALTIME, timer_fd::nonblock)};
    std::uint64_t counts[3] = {};
    const auto start = steady_clock::now();
    for (int i = 0; i < 3; ++i)
        timers[i].settime(0.005 * (i + 1), 0.005 * (i + 1));
    // Not all of them when the third has: each may have been set on another processor, whose interrupts come later.
    while (counts[0] < 11 || counts[1] < 5 || counts[2] < 4) {
        fd_set in;
        FD_ZERO(&in);
        int highest = 0;
        for (const auto& timer : timers) {
            FD_SET(timer.native_handle(), &in);
            highest = std::max(highest, timer.native_handle());
        }
        const timeval limit{20, 0};
        ASSERT_GT(tocsin::blocking::select(highest + 1, &in, nullptr, nullptr, &limit), 0);
        for (int i = 0; i < 3; ++i) {
            if (FD_ISSET(timers[i].native_handle(), &in))
                counts[i] += timers[i].read();
        }
    }
    EXPECT_GE(support::elapsed_since(start), 60ms);
}

TEST(G15, reading_a_timer_goes_on_after_handlers_for_the_whole_time)
{
    timer_fd timer;
    std::uint_least32_t line = 0;
    int inside = 0;
    bool reading = false;
    const storm interrupts([&](const tocsin::event& e) {
        inside += reading ? 1 : 0;
        line = reading ? e.where.line() : line;
    });
    while (inside <= 2) { // fewer in one call where the processor was taken away
        const auto start = steady_clock::now();
        timer.settime(50ms);
        reading = true;
        const auto here = static_cast<std::uint_least32_t>(__LINE__ + 1);
        EXPECT_EQ(timer.read(), 1U);
        reading = false;
        EXPECT_GE(support::elapsed_since(start), 50ms);
        EXPECT_EQ(line, here);
    }
    timer.settime(5ms, 5ms);
    std::error_code ec(EPERM, std::generic_category());
    EXPECT_GE(timer.read(ec), 1U);
    EXPECT_FALSE(ec);
}

TEST(G15, what_a_handler_throws_leaves_from_reading_a_timer_and_no_expiry_is_lost)
{
    timer_fd timer;
    int ticks = 0;
    {
        const storm interrupts([&](const tocsin::event&) {
            if (++ticks >= 3)
                throw support::stop();
        });
        std::error_code ec;
        EXPECT_THROW(timer.read(), support::stop);
        EXPECT_THROW(timer.read(ec), support::stop);
    }
    timer.settime(1ns);
    EXPECT_EQ(timer.read(), 1U);
}

} // namespace
