// Timed calls: the whole time, never less, however often they are interrupted.

#include <tocsin/tocsin.hpp>

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include <memory>
#include <thread>

#include "storm.hpp"

using support::pipe_pair;
using support::storm;
namespace blocking = tocsin::blocking;
using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

namespace {

/// A call with a time limit on a pipe that has nothing to read: true if it says that the time is over.
struct timed {
    const char* name;
    bool (*wait)(int fd, nanoseconds limit);
    nanoseconds unit; ///< of its limit
};
void PrintTo(const timed& t, std::ostream* out) { *out << t.name; }

timespec to_timespec(nanoseconds time) { return {time.count() / 1'000'000'000, time.count() % 1'000'000'000}; }
int to_ms(nanoseconds time) { return static_cast<int>(std::chrono::duration_cast<milliseconds>(time).count()); }

bool by_poll(int fd, nanoseconds limit)
{
    pollfd fds{fd, POLLIN, -1};
    const int n = blocking::poll(&fds, 1, to_ms(limit));
    EXPECT_EQ(fds.revents, n == 0 ? 0 : POLLIN);
    return n == 0;
}

bool by_ppoll(int fd, nanoseconds limit)
{
    pollfd fds{fd, POLLIN, -1};
    const timespec time = to_timespec(limit);
    const int n = blocking::ppoll(&fds, 1, &time, nullptr);
    EXPECT_EQ(fds.revents, n == 0 ? 0 : POLLIN);
    EXPECT_EQ(time.tv_nsec, to_timespec(limit).tv_nsec); // not modified
    return n == 0;
}

bool by_select(int fd, nanoseconds limit)
{
    fd_set in;
    fd_set out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fd, &in);
    const timespec time = to_timespec(limit);
    const timeval t{time.tv_sec, time.tv_nsec / 1000};
    const int n = blocking::select(fd + 1, &in, &out, nullptr, &t);
    EXPECT_EQ(FD_ISSET(fd, &in) != 0, n != 0);
    return n == 0;
}

bool by_epoll(int fd, nanoseconds limit)
{
    const support::descriptor set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event interest{EPOLLIN, {.fd = fd}};
    ::epoll_ctl(set, EPOLL_CTL_ADD, fd, &interest);
    epoll_event found{};
    return blocking::epoll_wait(set, &found, 1, to_ms(limit)) == 0;
}

// The last look of a sleep is at nothing.
bool by_futex(int, nanoseconds limit)
{
    const std::uint32_t word = 5;
    return !blocking::futex_wait(&word, 5, limit);
}

bool by_nanosleep(int, nanoseconds limit)
{
    const timespec time = to_timespec(limit);
    timespec left{7, 7};
    blocking::nanosleep(&time, &left);
    EXPECT_EQ(left.tv_sec + left.tv_nsec, 0);
    return true;
}

bool by_nanosleep_in_place(int, nanoseconds limit)
{
    timespec time = to_timespec(limit);
    blocking::nanosleep(&time, &time);
    EXPECT_EQ(time.tv_sec + time.tv_nsec, 0);
    return true;
}

bool by_sleep_for(int, nanoseconds limit)
{
    blocking::sleep_for(limit);
    return true;
}

bool by_sleep_for_seconds(int, nanoseconds limit)
{
    blocking::sleep_for(std::chrono::duration<double>(limit).count());
    return true;
}

bool by_steady(int, nanoseconds limit)
{
    blocking::sleep_until(steady_clock::now() + limit);
    return true;
}

bool by_system(int, nanoseconds limit)
{
    const auto end = std::chrono::system_clock::now() + limit;
    blocking::sleep_until(end);
    EXPECT_GE(std::chrono::system_clock::now(), end);
    return true;
}

bool by_sigtimedwait(int, nanoseconds limit)
{
    const tocsin::mask_guard guard({SIGUSR2});
    return !tocsin::sigtimedwait({SIGUSR2}, limit).has_value();
}

const timed all[] = {
    {"poll", by_poll, 1ms},
    {"ppoll", by_ppoll, 1ns},
    {"select", by_select, 1us},
    {"epoll_wait", by_epoll, 1ms},
    {"futex_wait", by_futex, 1ns},
    {"nanosleep", by_nanosleep, 1ns},
    {"nanosleep_in_place", by_nanosleep_in_place, 1ns},
    {"sleep_for", by_sleep_for, 1ns},
    {"sleep_for_seconds", by_sleep_for_seconds, 1ns},
    {"sleep_until_steady", by_steady, 1ns},
    {"sleep_until_system", by_system, 1ns},
    {"sigtimedwait", by_sigtimedwait, 1ns},
};

class G15_timed_calls : public testing::TestWithParam<timed> {
protected:
    pipe_pair pipe;
    bool wait(nanoseconds limit) { return GetParam().wait(pipe.reader, limit); }
    bool is_last_look_useful() const
    {
        const std::string name = GetParam().name;
        return name == "poll" || name == "ppoll" || name == "select" || name == "epoll_wait";
    }
};

TEST_P(G15_timed_calls, lasts_the_whole_time_under_a_storm_and_is_never_early)
{
    const storm interrupts;
    for (const nanoseconds time : {nanoseconds(0), GetParam().unit, nanoseconds(1ms), nanoseconds(7ms),
                                   std::chrono::duration_cast<nanoseconds>(40ms + GetParam().unit)}) {
        const int before = interrupts.ticks();
        const auto start = steady_clock::now();
        EXPECT_TRUE(wait(time));
        EXPECT_GE(support::elapsed_since(start), time);
        EXPECT_LT(support::elapsed_since(start), 30s);
        if (time > 40ms) { // else the test shows nothing
            EXPECT_GT(interrupts.ticks(), before);
        }
    }
}

TEST_P(G15_timed_calls, many_short_waits_at_odd_moments_of_the_storm_are_never_early)
{
    const storm interrupts({}, 50us + 4 * (support::storm_interval - 150us));
    for (int i = 0; i < 300; ++i) {
        const nanoseconds time =
            std::max<nanoseconds>(nanoseconds(i * 1000), GetParam().unit) / GetParam().unit * GetParam().unit;
        const auto start = steady_clock::now();
        ASSERT_TRUE(wait(time)) << i;
        ASSERT_GE(support::elapsed_since(start), time) << i;
    }
}

TEST_P(G15_timed_calls, a_handler_that_runs_past_the_deadline_gives_a_clean_timeout)
{
    support::make_due(SIGUSR1, [] { support::spin_until(steady_clock::now() + 15ms); });
    const auto start = steady_clock::now();
    EXPECT_TRUE(wait(5ms));
    EXPECT_GE(support::elapsed_since(start), 15ms);
}

TEST_P(G15_timed_calls, a_last_look_finds_what_came_while_a_handler_ran_past_the_deadline)
{
    support::make_due(SIGUSR1, [&] {
        support::spin_until(steady_clock::now() + 15ms);
        support::put(pipe.writer);
    });
    EXPECT_EQ(wait(5ms), !is_last_look_useful());
}

TEST_P(G15_timed_calls, is_not_ended_early_by_a_signal_that_stops_and_continues_the_process)
{
    // No handler runs, yet some calls are interrupted.
    support::child other([] {
        for (int i = 0; i < 12; ++i) {
            ::kill(::getppid(), SIGSTOP);
            ::usleep(300);
            ::kill(::getppid(), SIGCONT);
            ::usleep(2000);
        }
    });
    const auto start = steady_clock::now();
    EXPECT_TRUE(wait(30ms));
    EXPECT_GE(support::elapsed_since(start), 30ms);
    // To its end: killed between the two signals it would leave us stopped.
    blocking::waitpid(other.pid(), nullptr, 0);
    other.forget();
}

TEST_P(G15_timed_calls, lasts_the_whole_time_on_another_thread)
{
    std::atomic<bool> done = false;
    std::thread worker([&] {
        const auto start = steady_clock::now();
        EXPECT_TRUE(wait(30ms));
        EXPECT_GE(support::elapsed_since(start), 30ms);
        done = true;
    });
    {
        const tocsin::mask_guard not_here({SIGALRM});
        const storm interrupts;
        EXPECT_TRUE(support::eventually([&] {
            tocsin::check_signals();
            return done.load();
        }));
    }
    worker.join();
}

INSTANTIATE_TEST_SUITE_P(every_call, G15_timed_calls, testing::ValuesIn(all),
                         [](const auto& each) { return std::string(each.param.name); });

// A call that is kept from entering the kernel by a signal must not report a timeout without having looked.
TEST(G15, what_is_ready_is_found_without_waiting_however_often_the_call_is_interrupted)
{
    const pipe_pair pipe;
    support::put(pipe.writer);
    const int fd = pipe.reader;
    const support::descriptor set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event interest{EPOLLIN, {.fd = fd}};
    ASSERT_EQ(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &interest), 0);
    const storm interrupts({}, support::sanitized ? 500us : 20us);
    const timespec zero{};
    const timespec tiny{0, 1};
    const timeval none{};
    for (const auto end = steady_clock::now() + 600ms; steady_clock::now() < end;) {
        pollfd ready{fd, POLLIN, 0};
        ASSERT_EQ(blocking::poll(&ready, 1, 0), 1);
        ASSERT_EQ(blocking::ppoll(&ready, 1, &zero, nullptr), 1);
        ASSERT_EQ(blocking::ppoll(&ready, 1, &tiny, nullptr), 1);
        fd_set in;
        FD_ZERO(&in);
        FD_SET(fd, &in);
        ASSERT_EQ(blocking::select(fd + 1, &in, nullptr, nullptr, &none), 1);
        ASSERT_TRUE(FD_ISSET(fd, &in));
        epoll_event found{};
        ASSERT_EQ(blocking::epoll_wait(set, &found, 1, 0), 1);
    }
    EXPECT_GT(interrupts.ticks(), 20);
}

TEST(G9, a_signal_that_is_there_is_found_without_waiting_however_often_the_call_is_interrupted)
{
    const tocsin::mask_guard guard({SIGUSR2});
    const storm interrupts({}, support::sanitized ? 500us : 20us);
    for (const auto end = steady_clock::now() + 600ms; steady_clock::now() < end;) {
        ::raise(SIGUSR2);
        ASSERT_TRUE(tocsin::sigtimedwait({SIGUSR2}, 0).has_value());
        ::raise(SIGUSR2);
        ASSERT_TRUE(tocsin::sigtimedwait({SIGUSR2}, 1ns).has_value());
    }
    EXPECT_GT(interrupts.ticks(), 20);
}

TEST(sleep, nanosleep_tells_what_was_left_when_a_handler_throws)
{
    const timespec request{1000, 0};
    timespec left{};
    {
        int ticks = 0;
        const storm interrupts([&](const tocsin::event&) {
            if (++ticks == 5)
                throw support::stop();
        });
        EXPECT_THROW(blocking::nanosleep(&request, &left), support::stop);
    }
    EXPECT_GE(left.tv_sec, 900);
    EXPECT_LT(left.tv_sec, 1000);
    // Thrown before the sleep began: all of it.
    support::make_due(SIGUSR1, [] { throw support::stop(); });
    left = {};
    EXPECT_THROW(blocking::nanosleep(&request, &left), support::stop);
    EXPECT_EQ(left.tv_sec, 1000);
    EXPECT_EQ(left.tv_nsec, 0);
}

TEST(sleep, until_a_time_that_has_passed_returns_at_once_and_is_a_safe_point)
{
    const auto start = steady_clock::now();
    int calls = 0;
    const auto due = [&] { support::make_due(SIGUSR1, [&] { ++calls; }); };
    due();
    blocking::sleep_until(steady_clock::now() - 1h);
    EXPECT_EQ(calls, 1);
    due();
    blocking::sleep_until(std::chrono::system_clock::now() - 1h);
    EXPECT_EQ(calls, 2);
    due();
    blocking::sleep_until(steady_clock::time_point::min());
    EXPECT_EQ(calls, 3);
    due();
    blocking::sleep_until(std::chrono::system_clock::time_point());
    EXPECT_EQ(calls, 4);
    due();
    blocking::sleep_for(0);
    EXPECT_EQ(calls, 5);
    EXPECT_LT(support::elapsed_since(start), 20s);
}

TEST(sleep, for_ever_is_left_by_an_exception_only)
{
    int ticks = 0;
    const storm interrupts([&](const tocsin::event&) {
        if (++ticks % 20 == 0)
            throw support::stop();
    });
    EXPECT_THROW(blocking::sleep_for(nanoseconds::max()), support::stop);
    EXPECT_THROW(blocking::sleep_until(steady_clock::time_point::max()), support::stop);
    EXPECT_THROW(blocking::sleep_until(std::chrono::system_clock::time_point::max()), support::stop);
    const timespec centuries{std::numeric_limits<time_t>::max(), 999'999'999};
    EXPECT_THROW(blocking::nanosleep(&centuries, nullptr), support::stop);
    EXPECT_THROW(blocking::ppoll(nullptr, 0, &centuries, nullptr), support::stop);
    const timeval long_time{std::numeric_limits<time_t>::max(), 999'999};
    EXPECT_THROW(blocking::select(0, nullptr, nullptr, nullptr, &long_time), support::stop);
    EXPECT_THROW(blocking::poll(nullptr, 0, std::numeric_limits<int>::max()), support::stop);
    const std::uint32_t word = 0;
    EXPECT_THROW(blocking::futex_wait(&word, 0, nanoseconds::max()), support::stop);
}

TEST(sleep, fractions_of_a_nanosecond_are_rounded_up)
{
    blocking::sleep_for(1e-12);
    blocking::sleep_for(5e-324);
    const auto start = steady_clock::now();
    blocking::sleep_for(0.0100000001);
    EXPECT_GE(support::elapsed_since(start), 10'000'001ns);
}

TEST(ppoll, its_mask_lets_a_blocked_signal_in_for_the_wait_only)
{
    const pipe_pair pipe;
    const tocsin::mask_guard guard({SIGUSR1});
    int calls = 0;
    tocsin::signal(SIGUSR1, [&] {
        ++calls;
        support::put(pipe.writer);
    });
    tocsin::raise_signal(SIGUSR1);
    pollfd fds{pipe.reader, POLLIN, 0};
    sigset_t open_mask;
    ::sigemptyset(&open_mask);
    EXPECT_EQ(blocking::ppoll(&fds, 1, nullptr, &open_mask), 1);
    EXPECT_EQ(calls, 1);
    EXPECT_TRUE(tocsin::pthread_sigmask(SIG_BLOCK, {}).contains(SIGUSR1));
    support::get(pipe.reader);
    // A mask that keeps everything out: the signal waits.
    sigset_t closed = tocsin::valid_signals().native();
    tocsin::raise_signal(SIGUSR1);
    const timespec limit{0, 20'000'000};
    EXPECT_EQ(blocking::ppoll(&fds, 1, &limit, &closed), 0);
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(tocsin::sigwait({SIGUSR1}), SIGUSR1);
}

TEST(ppoll, what_the_handler_of_a_signal_let_in_throws_comes_out)
{
    const tocsin::mask_guard guard({SIGUSR1});
    tocsin::signal(SIGUSR1, [] { throw support::stop(); });
    tocsin::raise_signal(SIGUSR1);
    sigset_t open_mask;
    ::sigemptyset(&open_mask);
    const timespec limit{20, 0};
    const auto wait = [&] {
        blocking::ppoll(nullptr, 0, &limit, &open_mask);
        tocsin::check_signals();
    };
    EXPECT_THROW(wait(), support::stop);
    EXPECT_TRUE(tocsin::pthread_sigmask(SIG_BLOCK, {}).contains(SIGUSR1));
}

TEST(futex_wait, says_whether_it_was_woken)
{
    std::atomic<std::uint32_t> word = 1;
    const auto* const raw = reinterpret_cast<const std::uint32_t*>(&word);
    EXPECT_TRUE(blocking::futex_wait(raw, 0));
    EXPECT_TRUE(blocking::futex_wait(raw, 2, 0));
    EXPECT_FALSE(blocking::futex_wait(raw, 1, 0));
    EXPECT_FALSE(blocking::futex_wait(raw, 1, 1e-12));
    std::error_code ec(EPERM, std::generic_category());
    EXPECT_FALSE(blocking::futex_wait(raw, 1, 1ms, ec));
    EXPECT_FALSE(ec);
    ec.assign(EPERM, std::generic_category());
    EXPECT_TRUE(blocking::futex_wait(raw, 7, {}, ec));
    EXPECT_FALSE(ec);
    // Woken without a change of the word, under a storm.
    std::atomic<bool> done = false;
    const auto waker = support::quiet_thread([&] {
        while (!done) {
            ::syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
            ::sched_yield();
        }
    });
    const storm interrupts;
    for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(blocking::futex_wait(raw, 1, 60));
    for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(blocking::futex_wait(raw, 1));
    done = true;
}

TEST(select, takes_a_second_in_microseconds)
{
    const pipe_pair pipe;
    support::put(pipe.writer);
    for (const timeval limit : {timeval{0, 1'000'000}, timeval{0, std::numeric_limits<suseconds_t>::max()},
                                timeval{std::numeric_limits<time_t>::max(), std::numeric_limits<suseconds_t>::max()}}) {
        fd_set in;
        FD_ZERO(&in);
        FD_SET(pipe.reader, &in);
        EXPECT_EQ(blocking::select(pipe.reader + 1, &in, nullptr, nullptr, &limit), 1);
    }
    const timeval second{0, 1'000'000};
    const auto start = steady_clock::now();
    EXPECT_EQ(blocking::select(0, nullptr, nullptr, nullptr, &second), 0);
    EXPECT_GE(support::elapsed_since(start), 1s);
    for (const timeval wrong : {timeval{0, -1}, timeval{0, std::numeric_limits<suseconds_t>::min()}, timeval{-1, 0},
                                timeval{std::numeric_limits<time_t>::min(), std::numeric_limits<suseconds_t>::min()}})
        EXPECT_EQ(support::errno_of([&] { blocking::select(0, nullptr, nullptr, nullptr, &wrong); }), EINVAL);
}

TEST(select, leaves_the_sets_as_given_after_an_exception_and_the_timeout_always)
{
    const pipe_pair pipe;
    fd_set in;
    FD_ZERO(&in);
    FD_SET(pipe.reader, &in);
    const timeval limit{1000, 5};
    {
        const storm interrupts([](const tocsin::event&) { throw support::stop(); });
        EXPECT_THROW(blocking::select(pipe.reader + 1, &in, nullptr, nullptr, &limit), support::stop);
    }
    EXPECT_TRUE(FD_ISSET(pipe.reader, &in));
    EXPECT_EQ(limit.tv_sec, 1000);
    EXPECT_EQ(limit.tv_usec, 5);
}

} // namespace
