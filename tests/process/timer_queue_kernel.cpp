// timer_queue on the kernel's clocks: its descriptor, wait(), and the clocks themselves.

#include "timers.hpp"

#include <sched.h>
#include <sys/epoll.h>

#include <fstream>

using support::now_of;
using support::readable;
using tocsin::callback_timer;
using tocsin::scheduled;
using tocsin::timer;
using tocsin::timer_queue;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

constexpr int ordinary_clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};

TEST(G14, no_timer_is_early_on_any_clock)
{
    for (const int clock : {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME}) {
        timer_queue queue(clock);
        std::vector<scheduled> held;
        int ran = 0;
        nanoseconds latest[200]{}; // the deadlines lie between two readings of the clock
        nanoseconds before{};
        for (int n = 0; n < 200; ++n) {
            // Lengths that share no factor, so that many deadlines are a few nanoseconds apart.
            const nanoseconds delay = 97'003ns * ((n * 37) % 200 + 1);
            held.push_back(queue.after(delay, [] {}));
            const nanoseconds earliest = queue.now() + delay;
            held.back() = queue.after(delay, [&, n, earliest] {
                EXPECT_GE(now_of(clock), earliest);
                EXPECT_GE(queue.last_now(), earliest);
                EXPECT_GE(latest[n], before);
                before = earliest;
                ++ran;
            });
            latest[n] = queue.now() + delay;
        }
        while (!queue.empty()) {
            ASSERT_TRUE(queue.wait(20));
            queue.run_expired();
        }
        EXPECT_EQ(ran, 200);
    }
}

TEST(timer_queue_descriptor, is_readable_from_the_deadline_on_and_not_before)
{
    for (const int clock : ordinary_clocks) {
        timer_queue queue(clock);
        callback_timer t([] {});
        EXPECT_FALSE(readable(queue.native_handle()));
        for (int n = 0; n < 20; ++n) {
            queue.schedule(t, 2ms);
            for (;;) {
                const bool due = readable(queue.native_handle());
                const nanoseconds now = queue.now(); // after the look: due then is due now
                if (due) {
                    EXPECT_GE(now, t.deadline());
                    break;
                }
                ASSERT_LT(now, t.deadline() + 10s);
            }
            EXPECT_EQ(queue.run_expired(), 1U);
            EXPECT_FALSE(readable(queue.native_handle()));
        }
    }
}

TEST(timer_queue_descriptor, stays_readable_until_what_is_due_has_run)
{
    timer_queue queue;
    callback_timer a([] {});
    callback_timer b([] {});
    queue.schedule(a, 0s);
    queue.schedule(b, 0s);
    EXPECT_TRUE(readable(queue.native_handle()));
    EXPECT_TRUE(readable(queue.native_handle()));
    EXPECT_EQ(queue.run_expired(1), 1U);
    EXPECT_TRUE(readable(queue.native_handle()));
    EXPECT_EQ(queue.run_expired(1), 1U);
    EXPECT_EQ(queue.run_expired(1), 0U);
    EXPECT_FALSE(readable(queue.native_handle()));
}

TEST(timer_queue_descriptor, is_not_readable_for_what_was_cancelled_or_put_off_beyond_one_look)
{
    timer_queue queue;
    callback_timer t([] { ADD_FAILURE(); });
    queue.schedule(t, 1ms);
    queue.schedule(t, 1000s);
    EXPECT_TRUE(readable(queue.native_handle(), 20'000)); // once for the earlier time
    EXPECT_EQ(queue.run_expired(), 0U);
    EXPECT_FALSE(readable(queue.native_handle(), 20));
    queue.schedule(t, 1ms);
    EXPECT_TRUE(t.cancel());
    EXPECT_TRUE(readable(queue.native_handle(), 20'000));
    EXPECT_EQ(queue.run_expired(), 0U);
    EXPECT_FALSE(readable(queue.native_handle(), 20));
}

TEST(timer_queue_descriptor, works_edge_triggered)
{
    timer_queue queue;
    const support::descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event wanted{};
    wanted.events = EPOLLIN | EPOLLET;
    ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, queue.native_handle(), &wanted), 0);
    int calls = 0;
    timer* self = nullptr;
    callback_timer t([&] {
        // By turns for later and for a time that has passed.
        if (++calls < 100)
            queue.schedule(*self, calls % 2 == 0 ? 0ns : nanoseconds{100us});
    });
    self = &t;
    queue.schedule(t, 0s);
    while (calls < 100) {
        epoll_event found{};
        ASSERT_EQ(::epoll_wait(epoll, &found, 1, 20'000), 1) << calls;
        while (queue.run_expired() != 0) { // as usual for edges: until there is nothing left
        }
    }
    epoll_event found{};
    EXPECT_EQ(::epoll_wait(epoll, &found, 1, 20), 0);
}

TEST(timer_queue_descriptor, an_idle_queue_is_not_busy)
{
    timer_queue queue;
    std::vector<scheduled> held;
    for (const auto delay : {1000s, 100'000s, 10'000'000s})
        held.push_back(queue.after(delay, [] { ADD_FAILURE(); }));
    int woken = 0;
    const auto end = std::chrono::steady_clock::now() + 200ms;
    for (;;) {
        const std::chrono::duration<double> left = end - std::chrono::steady_clock::now();
        if (left.count() <= 0 || !queue.wait(left))
            break;
        ++woken;
        EXPECT_EQ(queue.run_expired(), 0U);
    }
    EXPECT_LE(woken, 1);
}

TEST(timer_queue_descriptor, is_closed_at_exec_and_at_the_end)
{
    int fd = -1;
    {
        const timer_queue queue;
        fd = queue.native_handle();
        EXPECT_EQ(::fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    }
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST(timer_queue_wait, lets_handlers_run_and_what_they_throw_out)
{
    timer_queue queue;
    int calls = 0;
    callback_timer t([&] { ++calls; });
    queue.schedule(t, 1000s);
    {
        int ticks = 0;
        const support::storm interrupting([&](const tocsin::event&) {
            if (++ticks == 5)
                queue.schedule(t, 20ms);
        });
        EXPECT_TRUE(queue.wait());
        EXPECT_GE(queue.now(), t.deadline());
        EXPECT_GE(ticks, 5);
    }
    EXPECT_EQ(queue.run_expired(), 1U);
    queue.schedule(t, 1000s);
    support::make_due(SIGUSR1, [] { throw support::stop{}; });
    EXPECT_THROW(queue.wait(), support::stop);
    EXPECT_TRUE(t.scheduled());
    // A handler may schedule.
    tocsin::signal(SIGALRM, [&] { queue.schedule(t, 0s); });
    tocsin::setitimer(tocsin::itimer::real, 2ms);
    EXPECT_TRUE(queue.wait());
    EXPECT_EQ(queue.run_expired(), 1U);
}

TEST(timer_queue_wait, ends_with_its_limit)
{
    timer_queue queue;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(queue.wait(20ms));
    EXPECT_GE(support::elapsed_since(start), 20ms);
    callback_timer t([] {});
    queue.schedule(t, 1000s);
    EXPECT_FALSE(queue.wait(1ms));
    queue.schedule(t, 1ms);
    EXPECT_TRUE(queue.wait(1000));
}

TEST(timer_queue_clocks, the_alarm_clocks_where_they_are_allowed)
{
    for (const int clock : {CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM}) {
        try {
            timer_queue queue(clock);
            int calls = 0;
            callback_timer t([&] { ++calls; });
            if (clock == CLOCK_REALTIME_ALARM)
                queue.schedule(t, std::chrono::system_clock::now() + 2ms);
            else
                queue.schedule(t, tocsin::boot_clock::now() + 2ms);
            EXPECT_TRUE(queue.wait(20));
            EXPECT_EQ(queue.run_expired(), 1U);
            EXPECT_EQ(calls, 1);
        } catch (const std::system_error& e) {
            // EOPNOTSUPP: a machine without a clock that could wake it.
            EXPECT_TRUE(e.code().value() == EPERM || e.code().value() == EOPNOTSUPP) << e.what();
        }
    }
}

TEST(timer_queue_clocks, boot_clock_reads_boottime)
{
    const nanoseconds before = now_of(CLOCK_BOOTTIME);
    const nanoseconds read = tocsin::boot_clock::now().time_since_epoch();
    EXPECT_LE(before, read);
    EXPECT_LE(read, now_of(CLOCK_BOOTTIME));
    const timer_queue queue(CLOCK_BOOTTIME);
    EXPECT_LE(read, queue.now());
}

// A machine that has slept: what CLOCK_BOOTTIME counts and CLOCK_MONOTONIC does not, in a time namespace.
TEST(timer_queue_clocks, follow_the_offsets_of_a_time_namespace)
{
#if !defined(CLONE_NEWTIME)
    GTEST_SKIP() << "the C library knows no time namespaces";
#else
    constexpr int refused = 77;
    const int status = support::in_child([] {
        if (::unshare(CLONE_NEWTIME) != 0)
            return refused;
        std::ofstream offsets("/proc/self/timens_offsets");
        offsets << "monotonic 5000000 0\nboottime 90000000 0\n";
        offsets.flush();
        if (!offsets)
            return refused;
        const nanoseconds outside = now_of(CLOCK_MONOTONIC);
        const int inner = support::in_child([&] { // a child is the first one inside
            if (now_of(CLOCK_MONOTONIC) < outside + 4'000'000s)
                return refused;
            for (const int clock : {CLOCK_MONOTONIC, CLOCK_BOOTTIME}) {
                timer_queue queue(clock);
                int calls = 0;
                callback_timer near([&] { ++calls; });
                callback_timer far([&] { calls += 100; });
                queue.schedule(near, 2ms);
                queue.schedule(far, 1000s);
                if (readable(queue.native_handle()) && queue.now() < near.deadline())
                    return 1;
                if (!queue.wait(20) || queue.now() < near.deadline() || queue.run_expired() != 1 || calls != 1)
                    return 2;
                if (readable(queue.native_handle(), 20))
                    return 3;
                tocsin::interval each(0.001, tocsin::missed_ticks::burst, clock);
                for (std::uint64_t n = 1; n <= 5; ++n) {
                    if (each.wait().number != n)
                        return 4;
                }
            }
            return 0;
        });
        return WIFEXITED(inner) ? WEXITSTATUS(inner) : 98;
    });
    if (support::exited_with(status, refused))
        GTEST_SKIP() << "the process may not make a time namespace";
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
#endif
}

} // namespace
