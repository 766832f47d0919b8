// timer_queue and other threads (remote), and other processes (fork).

#include "timers.hpp"

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>

using support::exited_with;
using support::in_child;
using support::message_of;
using support::readable;
using support::written;
using tocsin::callback_timer;
using tocsin::scheduled;
using tocsin::timer;
using tocsin::timer_queue;
using tocsin::virtual_clock;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

TEST(remote, schedules_cancels_and_calls_on_the_queues_thread)
{
    written w;
    const auto remote = w.queue.remote_handle();
    timer& a = w.make('a');
    timer& b = w.make('b');
    std::thread::id ran;
    std::thread([&, other = remote]() mutable {
        EXPECT_TRUE(other.schedule(a, 1s));
        EXPECT_TRUE(other.schedule(b, support::steady(1001s)));
        EXPECT_TRUE(other.after(1s, [&] {
            w.text += '1';
            ran = std::this_thread::get_id();
        }));
        EXPECT_TRUE(other.at(support::steady(1001s), [&] { w.text += '2'; }));
        EXPECT_TRUE(other.schedule_at(a, 1001s));
    }).join();
    EXPECT_FALSE(a.scheduled()); // the queue's thread does it
    EXPECT_EQ(w.after(1), "b12a");
    EXPECT_EQ(ran, std::this_thread::get_id());
    std::thread([&, other = remote]() mutable {
        EXPECT_TRUE(other.schedule(a, 0s));
        EXPECT_TRUE(other.cancel(a));
        EXPECT_TRUE(other.schedule(b, 0s));
    }).join();
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.run(), "b");
    EXPECT_FALSE(w.is_readable());
}

TEST(remote, a_run_that_begins_after_cancel_does_not_call)
{
    written w;
    auto remote = w.queue.remote_handle();
    timer& t = w.add('t', 1s);
    w.clock.advance(1);
    std::thread([&] { EXPECT_TRUE(remote.cancel(t)); }).join();
    EXPECT_EQ(w.run(), "");
    EXPECT_FALSE(t.scheduled());
}

TEST(remote, in_a_callback_comes_before_the_next_timer_of_the_next_call)
{
    written w;
    auto remote = w.queue.remote_handle();
    timer& second = w.add('2', 2s);
    timer& late = w.make('l');
    w.add('1', 1s, [&] {
        EXPECT_TRUE(remote.cancel(second));
        EXPECT_TRUE(remote.schedule(late, 0s));
        EXPECT_EQ(message_of<std::logic_error>([&] { remote.sync(); }),
                  "timer_queue::remote::sync: in a callback of the queue, which would wait for itself");
    });
    EXPECT_EQ(w.after(1), "1");
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.after(1), "l");
}

TEST(remote, wakes_only_a_thread_that_would_sleep_too_long)
{
    written w;
    auto remote = w.queue.remote_handle();
    timer& near = w.add('n', 5s);
    timer& later = w.make('l');
    const auto armed = [&] { return w.clock.next(); };
    EXPECT_EQ(armed(), 1005s);
    EXPECT_TRUE(remote.schedule(later, 10s));
    EXPECT_EQ(armed(), 1005s);
    EXPECT_TRUE(remote.cancel(near)); // in time if before it would run
    EXPECT_EQ(armed(), 1005s);
    EXPECT_FALSE(w.is_readable());
    EXPECT_TRUE(remote.after(2s, [&] { w.text += 'a'; }));
    EXPECT_EQ(armed(), 1002s); // when it is due, not now
    EXPECT_FALSE(w.is_readable());
    EXPECT_EQ(w.after(2), "a");
    EXPECT_EQ(armed(), 1010s);
    EXPECT_EQ(w.after(8), "l");
    EXPECT_EQ(armed(), std::nullopt);
}

TEST(remote, does_not_let_requests_grow_without_end)
{
    written w;
    auto remote = w.queue.remote_handle();
    timer& t = w.add('t', 30s);
    const auto ask = [&](int times) {
        for (int n = 0; n < times; ++n)
            remote.schedule(t, 60s);
    };
    ask(1000);
    EXPECT_FALSE(w.is_readable());
    ask(100);
    EXPECT_TRUE(w.is_readable());
    EXPECT_EQ(w.run(), "");
    EXPECT_FALSE(w.is_readable());
    EXPECT_EQ(w.queue.next_deadline(), 1060s);
    EXPECT_EQ(w.after(60), "t");
}

TEST(remote, a_thread_that_waits_is_woken)
{
    timer_queue queue;
    std::atomic<int> calls{0};
    std::thread owner([&] {
        while (calls.load() < 100) {
            queue.wait();
            queue.run_expired();
        }
    });
    auto remote = queue.remote_handle();
    for (int n = 0; n < 100; ++n) {
        EXPECT_TRUE(remote.after(0s, [&] { ++calls; }));
        ASSERT_TRUE(support::eventually([&] { return calls.load() == n + 1; }));
    }
    owner.join();
}

TEST(remote, sync_returns_when_all_is_done_and_no_callback_runs)
{
    timer_queue queue;
    std::atomic<bool> stop{false};
    std::thread owner([&] {
        while (!stop.load()) {
            queue.wait();
            queue.run_expired();
        }
    });
    auto remote = queue.remote_handle();
    std::atomic<int> inside{0};
    for (int n = 0; n < 200; ++n) {
        auto state = std::make_unique<int>(0);
        callback_timer t([&, watched = state.get()] {
            ++inside;
            std::this_thread::yield();
            ++*watched;
            --inside;
        });
        EXPECT_TRUE(remote.schedule(t, n % 2 == 0 ? 0ns : nanoseconds{100s}));
        if (n % 3 == 0)
            std::this_thread::yield();
        EXPECT_TRUE(remote.cancel(t));
        EXPECT_TRUE(remote.sync());
        EXPECT_EQ(inside.load(), 0);
        EXPECT_FALSE(t.scheduled());
        state.reset(); // and the timer: destroyed while the owner goes on
    }
    stop = true;
    EXPECT_TRUE(remote.after(0s, [] {}));
    owner.join();
}

// The queue's thread is asked for more in every run: what was asked for before is done all the same.
TEST(remote, sync_returns_although_more_is_asked_for_without_end)
{
    timer_queue queue;
    std::atomic<bool> stop{false};
    std::thread owner([&] {
        auto own = queue.remote_handle();
        std::function<void()> again = [&] {
            if (!stop.load())
                own.after(0s, again);
        };
        own.after(0s, again);
        while (!stop.load()) {
            queue.wait();
            queue.run_expired();
        }
    });
    auto remote = queue.remote_handle();
    for (int n = 0; n < 20; ++n) {
        int done = 0;
        EXPECT_TRUE(remote.after(0s, [&] { ++done; }));
        EXPECT_TRUE(remote.sync());
        EXPECT_EQ(done, 1);
    }
    stop = true;
    remote.after(0s, [] {});
    owner.join();
}

// It has asked while a run in a callback is under way, which has taken the requests; and others ask for more before the outer
// one ends.
TEST(remote, a_sync_during_a_nested_call_is_not_forgotten)
{
    written w;
    auto remote = w.queue.remote_handle();
    timer& far = w.make('f');
    std::atomic<bool> synced{false};
    std::thread other;
    w.add('a', 1s, [&] {
        EXPECT_EQ(w.queue.run_expired(), 1U);
        EXPECT_TRUE(remote.schedule(far, 1000s));
        EXPECT_FALSE(synced.load());
    });
    w.add('b', 1s, [&] {
        other = std::thread([&, own = remote]() mutable {
            EXPECT_TRUE(own.sync());
            synced = true;
        });
        EXPECT_TRUE(support::eventually([&] { return w.clock.next() == nanoseconds::min(); })); // it has asked
    });
    w.clock.advance(1s);
    EXPECT_EQ(w.queue.run_expired(), 1U);
    EXPECT_TRUE(synced.load() || w.is_readable());
    w.queue.run_expired();
    other.join();
    EXPECT_TRUE(far.scheduled());
}

// It has the descriptor wait for what the last run would have called.
TEST(remote, in_a_callback_after_the_clock_was_set_back_hides_nothing_that_is_due)
{
    written w;
    auto remote = w.queue.remote_handle();
    timer& later = w.make('l');
    timer& due = w.make('d');
    w.add('a', 10s, [&] {
        w.clock.set(900s);
        EXPECT_TRUE(remote.schedule_at(later, 950s));
        EXPECT_FALSE(w.is_readable());
        w.queue.schedule_at(due, 890s);
        EXPECT_TRUE(w.is_readable());
    });
    EXPECT_EQ(w.after(10), "a");
    EXPECT_EQ(w.run(), "d");
    EXPECT_EQ(w.after(50), "l");
}

TEST(remote, may_outlive_the_queue)
{
    virtual_clock clock;
    const auto token = std::make_shared<int>(0);
    std::optional<timer_queue> queue(std::in_place, clock);
    auto remote = queue->remote_handle();
    callback_timer t([] { ADD_FAILURE(); });
    EXPECT_TRUE(remote.schedule(t, 1s));
    EXPECT_TRUE(remote.after(1s, [token] { ADD_FAILURE(); }));
    queue.reset();
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_FALSE(t.scheduled());
    EXPECT_FALSE(remote.schedule(t, 1s));
    EXPECT_FALSE(remote.schedule_at(t, 1s));
    EXPECT_FALSE(remote.schedule(t, std::chrono::system_clock::now()));
    EXPECT_FALSE(remote.cancel(t));
    EXPECT_FALSE(remote.after(1s, [token] { ADD_FAILURE(); }));
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_FALSE(remote.sync());
}

TEST(remote, a_sync_under_way_ends_with_the_queue)
{
    std::optional<timer_queue> queue(std::in_place);
    auto remote = queue->remote_handle();
    std::atomic<int> got{-1};
    std::thread other([&] { got = remote.sync() ? 1 : 0; });
    ASSERT_TRUE(support::eventually([&] { return readable(queue->native_handle()); })); // it has asked
    queue.reset();
    other.join();
    EXPECT_EQ(got.load(), 0);
}

TEST(remote, what_a_dropped_request_held_may_use_the_remote)
{
    struct user {
        explicit user(timer_queue::remote to)
            : remote(std::move(to))
        {}
        ~user()
        {
            EXPECT_FALSE(remote.after(0s, [] {}));
        }
        user(const user&) = delete;
        user& operator=(const user&) = delete;
        timer_queue::remote remote;
    };
    std::optional<timer_queue> queue(std::in_place);
    auto remote = queue->remote_handle();
    EXPECT_TRUE(remote.after(1s, [one = std::make_shared<user>(remote)] { ADD_FAILURE(); }));
    queue.reset();
}

// Fork.

TEST(timer_queue_fork, parent_and_child_go_on_each_by_itself)
{
    timer_queue queue;
    int calls = 0;
    callback_timer both([&] { ++calls; });
    callback_timer childs([&] { calls += 10; });
    queue.schedule(both, 5ms);
    const int fd = queue.native_handle();
    const int status = in_child([&] {
        if (queue.native_handle() != fd || (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
            return 1;
        queue.schedule(childs, 0s);
        while (!queue.empty()) {
            if (!queue.wait(20) || queue.run_expired() == 0)
                return 2;
        }
        if (calls != 11)
            return 3;
        return readable(fd) ? 4 : 0;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    EXPECT_EQ(calls, 0);
    EXPECT_TRUE(readable(fd, 20'000)); // the child has not taken it
    EXPECT_EQ(queue.run_expired(), 1U);
    EXPECT_EQ(calls, 1);
}

TEST(timer_queue_fork, neither_disturbs_the_others_descriptor)
{
    timer_queue queue;
    callback_timer t([] {});
    queue.schedule(t, 1000s);
    const int fd = queue.native_handle();
    // By every way of first use.
    const std::vector<std::function<void()>> uses = {
        [&] { queue.schedule(t, 0s); },
        [&] { queue.run_expired(); },
        [&] { (void)queue.native_handle(); },
        [&] { EXPECT_FALSE(queue.wait(0)); },
        [&] { queue.remote_handle().after(0s, [] {}); },
        [&] { t.cancel(), queue.run_expired(); },
        [&] { queue = timer_queue(); },
    };
    for (std::size_t n = 0; n < uses.size(); ++n) {
        const support::pipe_pair ask;
        const support::pipe_pair answer;
        const support::child other([&] {
            uses[n]();
            support::put(answer.writer);
            support::get(ask.reader); // it stays until the parent has looked
        });
        EXPECT_EQ(support::get(answer.reader), 'x');
        EXPECT_FALSE(readable(fd)) << n;
        support::put(ask.writer);
    }
    // The parent's scheduling is not the child's.
    const support::pipe_pair ask;
    const support::pipe_pair answer;
    const support::child other([&] {
        (void)queue.native_handle();
        support::put(answer.writer);
        support::get(ask.reader);
        support::put(answer.writer, readable(fd) ? 'r' : 'n');
    });
    support::get(answer.reader);
    queue.schedule(t, 0s);
    EXPECT_TRUE(readable(fd, 20'000));
    support::put(ask.writer);
    EXPECT_EQ(support::get(answer.reader), 'n');
}

// A loop that is told of the fork, as libraries want it, looks at the descriptors there are then.
TEST(timer_queue_fork, an_epoll_that_a_child_makes_first_of_all_sees_its_queue)
{
    timer_queue queue;
    virtual_clock clock;
    timer_queue tested(clock);
    const auto outlives_its_queue = timer_queue().remote_handle();
    callback_timer t([] {});
    callback_timer u([] {});
    queue.schedule(t, 1000s);
    const std::array fds{queue.native_handle(), tested.native_handle()};
    const int status = in_child([&] {
        const int epoll = ::epoll_create1(0);
        for (const int fd : fds) {
            epoll_event watch{EPOLLIN, {.fd = fd}};
            if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &watch) != 0)
                return 1;
        }
        epoll_event found{};
        if (::epoll_wait(epoll, &found, 1, 0) != 0)
            return 2;
        queue.schedule(t, 1ms);
        if (::epoll_wait(epoll, &found, 1, 20'000) != 1 || found.data.fd != fds[0] || queue.run_expired() != 1)
            return 3;
        tested.schedule(u, 0s);
        return ::epoll_wait(epoll, &found, 1, 20'000) == 1 && found.data.fd == fds[1] ? 0 : 4;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    EXPECT_FALSE(readable(fds[0]));
    EXPECT_FALSE(readable(fds[1]));
}

TEST(timer_queue_fork, a_child_that_destroys_the_queue_leaves_the_parents)
{
    auto queue = std::make_unique<timer_queue>();
    callback_timer t([] {});
    queue->schedule(t, 1ms);
    const int status = in_child([&] {
        queue.reset();
        return t.scheduled() ? 1 : 0;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    EXPECT_TRUE(queue->wait(20));
    EXPECT_EQ(queue->run_expired(), 1U);
}

TEST(timer_queue_fork, of_a_callback_both_go_on)
{
    timer_queue queue;
    pid_t child = -1;
    int calls = 0;
    callback_timer second([&] { ++calls; });
    callback_timer far([&] { ++calls; });
    callback_timer first([&] { child = ::fork(); });
    queue.schedule(first, 0s);
    queue.schedule(second, 0s);
    queue.schedule(far, 2ms);
    queue.run_expired();
    while (queue.size() != 0) {
        queue.wait(20);
        queue.run_expired();
    }
    if (child == 0)
        ::_exit(calls);
    int status = 0;
    while (::waitpid(child, &status, 0) == -1 && errno == EINTR) {
    }
    EXPECT_TRUE(exited_with(status, 2)) << status;
    EXPECT_EQ(calls, 2);
}

// Another thread waits for an answer at the moment of the fork.
TEST(timer_queue_fork, a_child_does_not_wait_for_those_who_wait_in_the_parent)
{
    SKIP_WITHOUT_THREADS_IN_A_CHILD();
    if (support::thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer starts no threads in a child of a process with several";
    auto queue = std::make_unique<timer_queue>();
    auto remote = std::make_unique<timer_queue::remote>(queue->remote_handle());
    std::atomic<int> answered{0};
    std::thread other([&] {
        EXPECT_TRUE(remote->sync());
        ++answered;
    });
    ASSERT_TRUE(support::eventually([&] { return readable(queue->native_handle()); })); // it has asked
    const int status = in_child([&] {
        ::alarm(20); // instead of waiting for ever
        callback_timer t([] {});
        queue->schedule(t, 0s);
        if (queue->run_expired() != 1 || readable(queue->native_handle()))
            return 1;
        std::thread asks([&] { remote->sync(); });
        while (!readable(queue->native_handle())) {
        }
        queue->run_expired();
        asks.join();
        remote.reset();
        queue.reset();
        return 0;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    EXPECT_EQ(answered.load(), 0);
    EXPECT_EQ(queue->run_expired(), 0U);
    other.join();
    EXPECT_EQ(answered.load(), 1);
}

// Another thread may hold the queue's lock at the moment of the fork.
TEST(timer_queue_fork, among_threads_that_use_the_remote_leaves_a_child_that_works)
{
    if (support::sanitized)
        GTEST_SKIP() << "a sanitizer's allocator may be locked by another thread at fork()";
    timer_queue queue;
    std::atomic<bool> stop{false};
    std::atomic<int> asked{0};
    std::atomic<int> ended{0};
    std::vector<std::jthread> threads;
    for (const bool schedules : {true, true, false}) {
        threads.emplace_back([&, schedules] {
            auto remote = queue.remote_handle();
            callback_timer mine([] {});
            while (!stop.load()) {
                if (schedules) {
                    remote.schedule(mine, 1000s);
                    remote.cancel(mine);
                } else {
                    remote.sync();
                }
                ++asked;
            }
            remote.cancel(mine);
            remote.sync();
            ++ended;
        });
    }
    callback_timer own([] {});
    for (int n = 0; n < 200 && !HasFailure(); ++n) {
        const int before = asked.load();
        ASSERT_TRUE(support::eventually([&] {
            queue.run_expired();
            return asked.load() > before;
        }));
        const int status = in_child([&] {
            ::alarm(20); // instead of waiting for ever
            auto remote = queue.remote_handle();
            remote.after(0s, [] {});
            queue.schedule(own, 0s);
            const bool worked = queue.wait(10) && queue.run_expired() >= 2;
            queue = timer_queue();
            return worked ? 0 : 1;
        });
        EXPECT_TRUE(exited_with(status, 0)) << "fork " << n << ": " << status;
    }
    stop = true;
    EXPECT_TRUE(support::eventually([&] {
        queue.run_expired();
        return ended.load() == 3;
    }));
}

} // namespace
