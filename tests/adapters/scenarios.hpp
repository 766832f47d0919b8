#pragma once

// What every adapter is asked, once. A test file has a driver for its library and SCENARIOS(suite, driver):
//
//   struct driver {
//       class loop {                  // makes and destroys a loop of the library; one thread
//           void run_once();          // lets it wait for events and handle them, 20 ms at most (a timer of the library)
//           void after_fork();        // what the library wants to be called in a child
//       };
//       class listener {              // listens as long as it lives
//           listener(loop&, const tocsin::signal_set&, callback, tocsin::subscription_options = {});
//           void cancel();            // no callback runs after this
//       };
//       class ticker {
//           ticker(loop&, tocsin::timer_callback);
//           tocsin::timer_fd& fd();
//       };
//       class timers {
//           timers(loop&);
//           tocsin::timer_queue& queue();
//       };
//       static constexpr bool loop_may_go_first;            // the loop may be destroyed before the others
//       static constexpr bool cancels_from_other_threads;   // listener::cancel() may be called on any thread
//   };
//
// callback_driver makes one from a loop and the classes `signals`, `timer` and `timers` of an adapter. A listener belongs to
// the thread of its loop.

#include <tocsin/adapters/detail/callbacks.hpp>
#include <tocsin/tocsin.hpp>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support.hpp"

namespace scenarios {

using namespace std::chrono_literals;
using callback = std::function<void(const tocsin::event&)>;
using tocsin::subscription_options;

/// `Loop` as above, with native_handle() giving what the adapter's constructors take.
template <class Loop, class Signals, class Timer, class Timers, bool LoopMayGoFirst = false>
struct callback_driver {
    using loop = Loop;
    using adapter = Signals;

    class listener {
    public:
        listener(Loop& where, const tocsin::signal_set& set, callback function, subscription_options options = {},
                 tocsin::error_handler on_error = {})
            : signals_(where.native_handle(), std::move(on_error))
            , held_(signals_.on(set, std::move(function), options))
        {}
        void cancel() { held_.cancel(); }
        [[nodiscard]] Signals& adapter() noexcept { return signals_; }

    private:
        Signals signals_;
        tocsin::subscription held_;
    };

    class ticker {
    public:
        ticker(Loop& where, tocsin::timer_callback function, tocsin::error_handler on_error = {})
            : timer_(where.native_handle(), std::move(function), CLOCK_MONOTONIC, std::move(on_error))
        {}
        [[nodiscard]] tocsin::timer_fd& fd() noexcept { return timer_.fd(); }

    private:
        Timer timer_;
    };

    class timers : public Timers {
    public:
        explicit timers(Loop& where, tocsin::error_handler on_error = {})
            : Timers(where.native_handle(), CLOCK_MONOTONIC, std::move(on_error))
        {}
    };

    static constexpr bool loop_may_go_first = LoopMayGoFirst;
    static constexpr bool cancels_from_other_threads = true;
};

/// Runs the loop on this thread until `condition()` holds; false when that takes too long.
template <class Loop, class Condition>
bool run_until(Loop& where, Condition condition, std::chrono::milliseconds limit = 30s)
{
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        where.run_once();
    }
    return true;
}

/// Runs the loop until everything that has been sent so far to this process has been handled: SIGWINCH is sent after it.
template <class Driver>
void settle(typename Driver::loop& where)
{
    bool seen = false;
    typename Driver::listener last(where, {SIGWINCH}, [&](const tocsin::event&) { seen = true; });
    ::raise(SIGWINCH);
    ASSERT_TRUE(run_until(where, [&] { return seen; }));
    where.run_once(); // what has become ready in the same moment
}

inline subscription_options with(tocsin::delivery delivery)
{
    subscription_options options;
    options.delivery = delivery;
    return options;
}

inline std::atomic<int> foreign_calls{0};
inline std::atomic<int> foreign_value_sum{0};
/// Other code's.
inline void foreign(int, siginfo_t* info, void*)
{
    ++foreign_calls;
    foreign_value_sum += info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
}
inline void install_foreign(int sig)
{
    struct sigaction action = {};
    action.sa_sigaction = foreign;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ASSERT_EQ(::sigaction(sig, &action, nullptr), 0);
    foreign_calls = 0;
    foreign_value_sum = 0;
}
inline bool is_foreign(int sig)
{
    struct sigaction now = {};
    ::sigaction(sig, nullptr, &now);
    return (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == foreign;
}

inline std::ptrdiff_t open_descriptors()
{
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

/// Ends the thread at the end of the block, whatever the assertions say.
class joined_thread : public std::thread {
public:
    using std::thread::thread;
    ~joined_thread()
    {
        if (joinable())
            join();
    }
};

// 1. One signal 100 000 times, with every other one once among them.
template <class Driver>
void flood()
{
    constexpr int times = 100'000;
    tocsin::signal_set others = tocsin::valid_signals() - tocsin::signal_set{SIGKILL, SIGSTOP, SIGUSR1};
    typename Driver::loop loop;
    std::uint64_t sum = 0;
    std::array<std::uint64_t, tocsin::nsig> seen{};
    typename Driver::listener flooded(loop, {SIGUSR1}, [&](const tocsin::event& e) { sum += e.count; });
    if (const auto nudge = tocsin::nudge_signal()) // the library's own
        others.erase(*nudge);
    typename Driver::listener once(loop, others, [&](const tocsin::event& e) {
        seen[static_cast<std::size_t>(int{e.signo})] += e.count;
        EXPECT_EQ(e.info.pid(), ::getpid());
    });
    std::atomic<bool> sent{false};
    const joined_thread sender([&] {
        auto next = others.begin();
        for (int n = 0; n < times; ++n) {
            ::raise(SIGUSR1); // handled before it returns: the kernel merges none
            if (n % (times / 100) == 0 && next != others.end())
                ::raise(*next++);
        }
        sent = next == others.end();
    });
    const auto missing = [&] {
        tocsin::signal_set result;
        for (const tocsin::signum sig : others) {
            if (seen[static_cast<std::size_t>(int{sig})] != 1)
                result.insert(sig);
        }
        return result;
    };
    const std::uint64_t least = support::thread_sanitizer ? 1 : times; // its runtime merges them for a thread
    EXPECT_TRUE(run_until(
        loop, [&] { return sent && sum >= least && missing().empty(); }, 60s))
        << sum << " of " << times << "; without " << missing();
    settle<Driver>(loop);
    others.erase(SIGWINCH); // sent again by settle()
    EXPECT_LE(sum, std::uint64_t{times});
    EXPECT_TRUE(missing().empty()) << missing();
}

// 2. 100 queued real-time signals, one by one, in order, with value and sender.
template <class Driver>
void queued()
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "its runtime keeps one arrival of each signal for a thread";
    constexpr int times = 100;
    typename Driver::loop loop;
    std::vector<tocsin::event> events;
    typename Driver::listener listener(
        loop, {SIGRTMIN}, [&](const tocsin::event& e) { events.push_back(e); }, with(tocsin::delivery::queue));
    const pid_t sender = ::fork();
    if (sender == 0) {
        for (int n = 0; n < times; ++n) {
            if (::sigqueue(::getppid(), SIGRTMIN, sigval{n}) != 0)
                ::_exit(1);
        }
        ::_exit(0);
    }
    EXPECT_TRUE(run_until(loop, [&] { return events.size() >= times; })) << events.size();
    int status = 0;
    ASSERT_EQ(::waitpid(sender, &status, 0), sender);
    EXPECT_TRUE(support::exited_with(status, 0));
    ASSERT_EQ(events.size(), std::size_t{times});
    for (int n = 0; n < times; ++n) {
        const tocsin::siginfo& info = events[static_cast<std::size_t>(n)].info;
        ASSERT_TRUE(info.value());
        EXPECT_EQ(info.value()->sival_int, n);
        EXPECT_EQ(info.pid(), sender);
        EXPECT_EQ(info.uid(), ::getuid());
        EXPECT_EQ(events[static_cast<std::size_t>(n)].count, 1U);
    }
}

// 3. A signal for the child, between fork() and what the library calls there, is the child's; the parent's loop never
// hears of the child's.
template <class Driver>
void fork_window()
{
    typename Driver::loop loop;
    int calls = 0;
    std::optional<pid_t> sender;
    typename Driver::listener listener(loop, {SIGUSR1}, [&](const tocsin::event& e) {
        ++calls;
        sender = e.info.pid();
    });
    ::raise(SIGUSR1);
    ASSERT_TRUE(run_until(loop, [&] { return calls == 1; }));
    const int status = support::in_child([&] {
        ::raise(SIGUSR1);
        loop.after_fork();
        if (!run_until(loop, [&] { return calls == 2; }) || sender != ::getpid())
            return 1;
        for (int n = 3; n < 103; ++n) { // and goes on
            ::raise(SIGUSR1);
            if (!run_until(loop, [&] { return calls == n; }))
                return 2;
        }
        loop.run_once();
        return calls == 102 ? 0 : 3;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    settle<Driver>(loop);
    EXPECT_EQ(calls, 1);
    ::raise(SIGUSR1);
    EXPECT_TRUE(run_until(loop, [&] { return calls == 2; }));
    EXPECT_EQ(sender, ::getpid());
}

// 4. The handler of other code is put back, by cancel() and by the end of the listener; meanwhile it is called if wanted.
template <class Driver>
void restore_and_chain()
{
    for (const bool chain : {false, true}) {
        for (const bool cancel : {false, true}) {
            install_foreign(SIGUSR1);
            ASSERT_NE(::signal(SIGUSR2, SIG_IGN), SIG_ERR);
            typename Driver::loop loop;
            int calls = 0;
            subscription_options options;
            options.chain = chain;
            auto listener = std::make_unique<typename Driver::listener>(
                loop, tocsin::signal_set{SIGUSR1, SIGUSR2}, [&](const tocsin::event&) { ++calls; }, options);
            EXPECT_FALSE(is_foreign(SIGUSR1));
            ::raise(SIGUSR1);
            EXPECT_EQ(foreign_calls, chain ? 1 : 0);
            EXPECT_TRUE(run_until(loop, [&] { return calls == 1; }));
            ::raise(SIGUSR2);
            EXPECT_TRUE(run_until(loop, [&] { return calls == 2; }));
            if (cancel)
                listener->cancel();
            else
                listener.reset();
            EXPECT_TRUE(is_foreign(SIGUSR1));
            EXPECT_EQ(::signal(SIGUSR2, SIG_DFL), SIG_IGN);
            foreign_calls = 0;
            ::raise(SIGUSR1);
            EXPECT_EQ(foreign_calls, 1);
            loop.run_once();
            EXPECT_EQ(calls, 2);
        }
    }
}

// 5. Two loops in two threads listen to one signal: each gets each.
template <class Driver>
void two_loops()
{
    constexpr int times = 1000;
    const std::uint64_t least = support::thread_sanitizer ? 1 : times;
    std::atomic<int> listening{0};
    std::atomic<bool> all_sent{false};
    std::array<std::uint64_t, 2> sums{};
    {
        std::vector<std::unique_ptr<joined_thread>> threads;
        for (std::uint64_t& sum : sums) {
            threads.push_back(std::make_unique<joined_thread>([&] {
                typename Driver::loop loop;
                const auto thread = std::this_thread::get_id();
                typename Driver::listener listener(loop, {SIGUSR1}, [&](const tocsin::event& e) {
                    EXPECT_EQ(std::this_thread::get_id(), thread);
                    sum += e.count;
                });
                ++listening;
                EXPECT_TRUE(run_until(loop, [&] { return all_sent && sum >= least; })) << sum;
                loop.run_once();
            }));
        }
        ASSERT_TRUE(support::eventually([&] { return listening == 2; }));
        for (int n = 0; n < times; ++n)
            ::raise(SIGUSR1);
        all_sent = true;
    }
    for (const std::uint64_t sum : sums) {
        EXPECT_GE(sum, least);
        EXPECT_LE(sum, std::uint64_t{times});
    }
}

// 6. No callback runs after cancel(), from inside it ...
template <class Driver>
void cancel_in_its_own_callback()
{
    install_foreign(SIGUSR1);
    for (const bool destroy : {false, true}) {
        typename Driver::loop loop;
        int calls = 0;
        std::unique_ptr<typename Driver::listener> listener;
        listener = std::make_unique<typename Driver::listener>(
            loop, tocsin::signal_set{SIGUSR1},
            [&, keep = std::make_shared<int>(7)](const tocsin::event&) {
                ++calls;
                if (destroy)
                    listener.reset();
                else
                    listener->cancel();
                EXPECT_EQ(*keep, 7); // the callable lives as long as it runs
                ::raise(SIGUSR1);
            },
            with(tocsin::delivery::count));
        foreign_calls = 0;
        ::raise(SIGUSR1);
        ASSERT_TRUE(run_until(loop, [&] { return calls != 0; }));
        settle<Driver>(loop);
        EXPECT_EQ(calls, 1);
        EXPECT_EQ(foreign_calls, 1);
    }
}

// ... from the callback of another one, when both have something pending ...
template <class Driver>
void cancel_in_another_callback()
{
    install_foreign(SIGUSR1);
    install_foreign(SIGUSR2);
    for (const bool destroy : {false, true}) {
        typename Driver::loop loop;
        int calls = 0;
        std::unique_ptr<typename Driver::listener> first;
        std::unique_ptr<typename Driver::listener> second;
        const auto end = [&](std::unique_ptr<typename Driver::listener>& other) {
            ++calls;
            if (destroy)
                other.reset();
            else
                other->cancel();
        };
        first = std::make_unique<typename Driver::listener>(loop, tocsin::signal_set{SIGUSR1},
                                                            [&](const tocsin::event&) { end(second); });
        second = std::make_unique<typename Driver::listener>(loop, tocsin::signal_set{SIGUSR2},
                                                             [&](const tocsin::event&) { end(first); });
        foreign_calls = 0;
        ::raise(SIGUSR1);
        ::raise(SIGUSR2);
        ASSERT_TRUE(run_until(loop, [&] { return calls != 0; }));
        settle<Driver>(loop);
        EXPECT_EQ(calls, 1);
        EXPECT_EQ(foreign_calls, 1); // what was pending meets the disposition before
    }
}

// ... and from another thread, while the loop is in callbacks one after the other.
template <class Driver>
void cancel_from_another_thread()
{
    if constexpr (!Driver::cancels_from_other_threads) {
        GTEST_SKIP() << "objects of this library belong to one thread";
    } else {
        install_foreign(SIGUSR1);
        typename Driver::loop loop;
        for (int round = 0; round < 15; ++round) {
            std::atomic<int> calls{0};
            std::atomic<bool> ended{false};
            typename Driver::listener listener(loop, {SIGUSR1}, [&](const tocsin::event&) {
                EXPECT_FALSE(ended);
                ++calls;
                std::this_thread::yield();
                EXPECT_FALSE(ended);
            });
            std::atomic<bool> stop{false};
            joined_thread sender([&] {
                while (!stop) {
                    ::raise(SIGUSR1);
                    std::this_thread::yield();
                }
            });
            joined_thread canceller([&] {
                while (calls < 3 && !stop)
                    std::this_thread::yield();
                listener.cancel();
                ended = true;
            });
            EXPECT_TRUE(run_until(loop, [&] { return ended.load(); }));
            const int before = calls;
            loop.run_once();
            stop = true;
            EXPECT_EQ(calls, before);
            ASSERT_GE(before, 3);
        }
        EXPECT_TRUE(is_foreign(SIGUSR1));
    }
}

// 7. The end with events pending: they meet the disposition before, and nothing stays behind.
template <class Driver>
void destroyed_with_events_pending()
{
    constexpr int times = 5;
    install_foreign(SIGRTMIN);
    const auto round = [&](bool loop_first, bool run) {
        foreign_calls = 0;
        foreign_value_sum = 0;
        auto loop = std::make_unique<typename Driver::loop>();
        auto listener = std::make_unique<typename Driver::listener>(
            *loop, tocsin::signal_set{SIGRTMIN}, [&](const tocsin::event&) { ADD_FAILURE() << "called"; },
            with(tocsin::delivery::queue));
        auto ticker = std::make_unique<typename Driver::ticker>(*loop, [](std::uint64_t) {});
        ticker->fd().settime_ns(1ns);
        if (run)
            loop->run_once();
        for (int n = 1; n <= times; ++n)
            EXPECT_EQ(::sigqueue(::getpid(), SIGRTMIN, sigval{n}), 0);
        if (loop_first)
            loop.reset();
        listener.reset();
        ticker.reset();
        loop.reset();
        if (!support::thread_sanitizer) {
            EXPECT_TRUE(support::eventually([&] { return foreign_calls >= times; }));
            EXPECT_EQ(foreign_calls, times);
            EXPECT_EQ(foreign_value_sum, times * (times + 1) / 2);
        }
        EXPECT_TRUE(is_foreign(SIGRTMIN));
    };
    const auto rounds = [&] {
        for (const bool run : {false, true}) {
            round(false, run);
            if (Driver::loop_may_go_first)
                round(true, run);
        }
    };
    rounds(); // a library may keep something from the first time
    const std::ptrdiff_t before = open_descriptors();
    for (int n = 0; n < 10; ++n)
        rounds();
    EXPECT_EQ(open_descriptors(), before);
}

// Timers: never early, none left out, late ones counted.
template <class Driver>
void timer()
{
    typename Driver::loop loop;
    std::uint64_t expirations = 0;
    std::uint64_t calls = 0;
    typename Driver::ticker ticker(loop, [&](std::uint64_t n) {
        ++calls;
        expirations += n;
    });
    const auto begin = std::chrono::steady_clock::now();
    const auto elapsed = [&] { return std::chrono::steady_clock::now() - begin; };
    ticker.fd().settime_ns(20ms, 10ms);
    const auto set_at = elapsed();
    EXPECT_TRUE(run_until(loop, [&] { return expirations >= 5; }));
    EXPECT_GE(elapsed(), 60ms);
    EXPECT_LE(expirations, static_cast<std::uint64_t>((elapsed() - 10ms) / 10ms));

    const std::uint64_t before = expirations;
    const auto busy_until = elapsed() + 100ms;
    while (elapsed() < busy_until) { // what is tested: a loop that is kept busy
    }
    const std::uint64_t calls_before = calls;
    EXPECT_TRUE(run_until(loop, [&] { return calls != calls_before; }));
    EXPECT_GE(expirations, static_cast<std::uint64_t>((busy_until - set_at - 20ms) / 10ms) + 1);
    EXPECT_GT(expirations - before, calls - calls_before);

    ticker.fd().disarm();
    expirations = 0;
    ticker.fd().settime_ns(1ms);
    EXPECT_TRUE(run_until(loop, [&] { return expirations != 0; }));
    loop.run_once();
    EXPECT_EQ(expirations, 1U);
}

/// A timer in each of two processes after fork(), and the child's loop with it.
template <class Driver>
void timer_after_fork()
{
    typename Driver::loop loop;
    std::uint64_t expirations = 0;
    typename Driver::ticker ticker(loop, [&](std::uint64_t n) { expirations += n; });
    loop.run_once();
    const int status = support::in_child([&] {
        loop.after_fork();
        typename Driver::ticker own(loop, [&](std::uint64_t n) { expirations += n; });
        own.fd().settime_ns(1ms);
        return run_until(loop, [&] { return expirations == 1; }) ? 0 : 1;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    EXPECT_EQ(expirations, 0U);
    ticker.fd().settime_ns(1ms);
    EXPECT_TRUE(run_until(loop, [&] { return expirations == 1; }));
}

template <class Loop>
int rounds_in_200_ms(Loop& loop)
{
    int rounds = 0;
    for (const auto end = std::chrono::steady_clock::now() + 200ms; std::chrono::steady_clock::now() < end; ++rounds)
        loop.run_once();
    return rounds;
}

/// A loop that has nothing to do sleeps: after a flood, and when a subscription outlives what it came from.
template <class Driver>
void sleeps()
{
    typename Driver::loop loop;
    std::uint64_t sum = 0;
    auto listener = std::make_unique<typename Driver::listener>(loop, tocsin::signal_set{SIGUSR1},
                                                                [&](const tocsin::event& e) { sum += e.count; });
    {
        const joined_thread sender([] {
            for (int n = 0; n < 10'000; ++n)
                ::raise(SIGUSR1);
        });
        EXPECT_TRUE(run_until(loop, [&] { return sum != 0; }));
    }
    settle<Driver>(loop);
    EXPECT_LT(rounds_in_200_ms(loop), 100); // 10, but for other threads' sake
    listener.reset();
    EXPECT_LT(rounds_in_200_ms(loop), 100);
    typename Driver::timers timers(loop);
    bool ran = false;
    const auto near = timers.queue().after(1ms, [&] { ran = true; });
    const auto far = timers.queue().after(1000s, [] {});
    EXPECT_TRUE(run_until(loop, [&] { return ran; }));
    EXPECT_LT(rounds_in_200_ms(loop), 100);
}

// Queues of timers: each in its turn, on the loop's thread, also for what another thread asks for.
template <class Driver>
void timers_in_order()
{
    constexpr int number = 1000;
    typename Driver::loop loop;
    typename Driver::timers timers(loop);
    tocsin::timer_queue& queue = timers.queue();
    const auto thread = std::this_thread::get_id();
    const auto begin = queue.now();
    std::vector<std::pair<std::chrono::nanoseconds, int>> came;
    std::vector<tocsin::scheduled> held;
    for (int n = 0; n < number; ++n) {
        const auto due = begin + 5ms + (n * 7919) % 100 * 100us; // ten of each
        held.push_back(queue.at(std::chrono::steady_clock::time_point(due), [&, n, due] {
            EXPECT_EQ(std::this_thread::get_id(), thread);
            EXPECT_GE(queue.now(), due);
            came.emplace_back(due, n);
        }));
    }
    std::uint64_t ticks = 0;
    const auto again = queue.every(1ms, [&](const tocsin::tick& each) { ticks += 1 + each.missed; });
    EXPECT_TRUE(run_until(loop, [&] { return came.size() == number && ticks >= 10; }));
    EXPECT_TRUE(std::is_sorted(came.begin(), came.end()));
    const auto elapsed = queue.now() - begin;
    EXPECT_GE(elapsed, 14'900us);
    EXPECT_LE(ticks, static_cast<std::uint64_t>(elapsed / 1ms));

    bool asked = false;
    const joined_thread other([remote = queue.remote_handle(), &asked]() mutable {
        EXPECT_TRUE(remote.after(1ms, [&asked] { asked = true; }));
    });
    EXPECT_TRUE(run_until(loop, [&] { return asked; }));
}

/// A timer's callback ends its own queue, with others due: they are not called, and nothing stays behind.
template <class Driver>
void timers_that_end()
{
    const auto round = [](bool in_callback, bool loop_first) {
        auto loop = std::make_unique<typename Driver::loop>();
        auto timers = std::make_unique<typename Driver::timers>(*loop);
        int calls = 0;
        tocsin::callback_timer own([&] { ++calls; });
        const auto first = timers->queue().after(0s, [&, keep = std::make_shared<int>(7)] {
            ++calls;
            if (in_callback)
                timers.reset();
            EXPECT_EQ(*keep, 7); // the callable lives as long as it runs
        });
        timers->queue().schedule(own, in_callback ? 0s : 1000s);
        EXPECT_TRUE(run_until(*loop, [&] { return calls != 0; }));
        loop->run_once();
        if (loop_first)
            loop.reset();
        timers.reset();
        EXPECT_EQ(calls, 1);
        EXPECT_FALSE(own.scheduled());
        EXPECT_FALSE(first.active());
        if (loop)
            loop->run_once();
    };
    const auto rounds = [&] {
        for (const bool in_callback : {false, true}) {
            round(in_callback, false);
            if (Driver::loop_may_go_first)
                round(in_callback, true);
        }
    };
    rounds(); // a library may keep something from the first time
    const std::ptrdiff_t before = open_descriptors();
    for (int n = 0; n < 10; ++n)
        rounds();
    EXPECT_EQ(open_descriptors(), before);
}

/// What a function holds may schedule in the queue that ends with it.
template <class Driver>
void timers_used_while_they_end()
{
    struct last_call {
        explicit last_call(std::function<void()> f)
            : function(std::move(f))
        {}
        last_call(const last_call&) = delete;
        last_call& operator=(const last_call&) = delete;
        ~last_call() { function(); }
        std::function<void()> function;
    };
    typename Driver::loop loop;
    auto timers = std::make_unique<typename Driver::timers>(loop);
    tocsin::timer_queue& queue = timers->queue();
    int ends = 0;
    tocsin::callback_timer own([] { ADD_FAILURE() << "called"; });
    const auto end = [&] {
        ++ends;
        queue.schedule(own, 0s);
    };
    queue.after(1000s, [held = std::make_shared<last_call>(end)] {}).detach();
    loop.run_once();
    timers.reset();
    EXPECT_EQ(ends, 1);
    EXPECT_FALSE(own.scheduled());
    loop.run_once();
}

/// Parent and child have the same timers, each by itself, and the child's loop runs its own.
template <class Driver>
void timers_after_fork()
{
    typename Driver::loop loop;
    typename Driver::timers timers(loop);
    int calls = 0;
    const auto far = timers.queue().after(1000s, [&] { calls += 1000; });
    loop.run_once();
    const auto both =
        timers.queue().after(50ms, [&] { ++calls; }); // the parent's loop does not run until the child has ended
    const int status = support::in_child([&] {
        loop.after_fork();
        const auto own = timers.queue().after(1ms, [&] { calls += 10; });
        return run_until(loop, [&] { return calls == 11; }) ? 0 : 1;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    EXPECT_EQ(calls, 0);
    EXPECT_TRUE(run_until(loop, [&] { return calls == 1; }));
}

/// For callback_driver: a child that ends without a call of the library's takes nothing from the parent's loop.
template <class Driver>
void child_that_only_ends()
{
    typename Driver::loop loop;
    int calls = 0;
    auto listener = std::make_unique<typename Driver::listener>(loop, tocsin::signal_set{SIGUSR1},
                                                                [&](const tocsin::event&) { ++calls; });
    loop.run_once();
    const int status = support::in_child([&] {
        listener.reset();
        return 0;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    for (int n = 1; n <= 3; ++n) {
        ::raise(SIGUSR1);
        EXPECT_TRUE(run_until(loop, [&] { return calls == n; }));
    }
}

/// For callback_driver: a subscription may outlive its adapter, and does nothing then.
template <class Driver>
void subscription_that_outlives_its_adapter()
{
    install_foreign(SIGUSR1);
    typename Driver::loop loop;
    tocsin::subscription held;
    {
        typename Driver::listener listener(loop, {SIGUSR2}, [](const tocsin::event&) {});
        held = listener.adapter().on(SIGUSR1, [] { ADD_FAILURE() << "called"; });
        loop.run_once();
        EXPECT_TRUE(held.active());
        ::raise(SIGUSR1);
        EXPECT_EQ(foreign_calls, 0);
    }
    EXPECT_TRUE(support::eventually([] { return foreign_calls == 1; })); // what was pending
    EXPECT_FALSE(held.active());
    ::raise(SIGUSR1);
    EXPECT_EQ(foreign_calls, 2);
    const auto begin = std::chrono::steady_clock::now();
    for (int n = 0; n < 30; ++n) // a descriptor that is still polled and readable would end them at once
        loop.run_once();
    EXPECT_GT(std::chrono::steady_clock::now() - begin, 200ms);
    held.cancel();
}

/// For callback_driver: what a callback throws reaches on_error, and the rest stays pending; without it the program ends.
template <class Driver>
void callbacks_that_throw()
{
    typename Driver::loop loop;
    std::vector<std::string> messages;
    const tocsin::error_handler on_error = [&](const std::exception_ptr& error) {
        messages.push_back(support::message_of<std::runtime_error>([&] { std::rethrow_exception(error); }));
    };
    {
        typename Driver::listener listener(
            loop, {SIGUSR1, SIGUSR2},
            [](const tocsin::event& e) { throw std::runtime_error(std::string(e.signo.name())); }, {}, on_error);
        typename Driver::ticker ticker(
            loop, [](std::uint64_t) { throw std::runtime_error("timer"); }, on_error);
        ::raise(SIGUSR1);
        ::raise(SIGUSR2);
        EXPECT_TRUE(run_until(loop, [&] { return messages.size() == 2; }));
        EXPECT_EQ(messages, (std::vector<std::string>{"SIGUSR1", "SIGUSR2"}));
        ticker.fd().settime_ns(1ns);
        EXPECT_TRUE(run_until(loop, [&] { return messages.size() == 3; }));
        EXPECT_EQ(messages.back(), "timer");
        typename Driver::timers timers(loop, on_error);
        const auto fourth = timers.queue().after(0s, [] { throw std::runtime_error("first"); });
        const auto fifth = timers.queue().after(0s, [] { throw std::runtime_error("second"); });
        EXPECT_TRUE(run_until(loop, [&] { return messages.size() == 5; }));
        EXPECT_EQ(messages[3], "first");
        EXPECT_EQ(messages[4], "second");
    }
    messages.clear();
    { // also what is thrown after the end of what called it
        std::unique_ptr<typename Driver::listener> listener;
        std::unique_ptr<typename Driver::ticker> ticker;
        const auto end_and_throw = [&](auto& owner, const std::string& message) {
            owner.reset();
            throw std::runtime_error(message);
        };
        listener = std::make_unique<typename Driver::listener>(
            loop, tocsin::signal_set{SIGUSR1}, [&](const tocsin::event&) { end_and_throw(listener, "signal"); },
            subscription_options{}, on_error);
        ticker = std::make_unique<typename Driver::ticker>(
            loop, [&](std::uint64_t) { end_and_throw(ticker, "timer"); }, on_error);
        ::raise(SIGUSR1);
        EXPECT_TRUE(run_until(loop, [&] { return messages.size() == 1; }));
        ticker->fd().settime_ns(1ns);
        EXPECT_TRUE(run_until(loop, [&] { return messages.size() == 2; }));
        EXPECT_EQ(messages, (std::vector<std::string>{"signal", "timer"}));
    }
    const int status = support::in_child([&] {
        loop.after_fork();
        ::close(2); // "terminate called ..."
        typename Driver::listener listener(loop, {SIGUSR1}, [](const tocsin::event&) { throw std::exception(); });
        ::raise(SIGUSR1);
        try {
            run_until(loop, [] { return false; });
        } catch (...) {
        }
        return 0;
    });
    EXPECT_TRUE(support::died_of(status, SIGABRT)) << status;
    EXPECT_THROW((typename Driver::ticker(loop, {})), std::invalid_argument);
}

/// For callback_driver: an adapter that a callback destroys calls nothing more, whoever still holds a subscription.
template <class Driver>
void destroyed_in_a_callback()
{
    install_foreign(SIGUSR2);
    typename Driver::loop loop;
    auto adapter = std::make_unique<typename Driver::adapter>(loop.native_handle());
    int calls = 0;
    const auto other = adapter->on(SIGUSR2, [&] { ++calls; });
    const auto first = adapter->on(SIGUSR1, [&] { adapter.reset(); });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    EXPECT_TRUE(run_until(loop, [&] { return adapter == nullptr; }));
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(foreign_calls, 1);
}

/// For callback_driver: callbacks that run at the end use the adapter that ends.
template <class Driver>
void ended_while_callbacks_use_it()
{
    typename Driver::loop loop;
    int calls = 0;
    int later = 0;
    auto adapter = std::make_unique<typename Driver::adapter>(loop.native_handle());
    auto* const ending = adapter.get();
    tocsin::subscription other;
    const auto first = adapter->on(SIGUSR1,
                                   [&] {
                                       ++calls;
                                       EXPECT_GE(ending->inbox().native_handle(), 0);
                                       other = ending->on(SIGUSR2, [&] { ++later; });
                                   },
                                   {.pending = tocsin::at_cancel::run});
    ::raise(SIGUSR1);
    adapter.reset();
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(later, 0);
    EXPECT_FALSE(other.active());
}

} // namespace scenarios

/// Each scenario as a case of its own.
#define SCENARIOS(suite, driver)                                                                                       \
    TEST(suite, flood_of_one_signal_loses_no_other) { scenarios::flood<driver>(); }                                    \
    TEST(suite, queued_signals_come_one_by_one_in_order) { scenarios::queued<driver>(); }                              \
    TEST(suite, a_signal_for_the_child_never_reaches_the_parents_loop) { scenarios::fork_window<driver>(); }           \
    TEST(suite, what_was_there_before_is_chained_and_put_back) { scenarios::restore_and_chain<driver>(); }             \
    TEST(suite, two_loops_in_two_threads_each_get_each) { scenarios::two_loops<driver>(); }                            \
    TEST(suite, cancelled_in_its_own_callback) { scenarios::cancel_in_its_own_callback<driver>(); }                    \
    TEST(suite, cancelled_in_another_callback) { scenarios::cancel_in_another_callback<driver>(); }                    \
    TEST(suite, cancelled_by_another_thread) { scenarios::cancel_from_another_thread<driver>(); }                      \
    TEST(suite, destroyed_with_events_pending) { scenarios::destroyed_with_events_pending<driver>(); }                 \
    TEST(suite, a_timer_is_never_early_and_counts) { scenarios::timer<driver>(); }                                     \
    TEST(suite, a_timer_in_a_child) { scenarios::timer_after_fork<driver>(); }                                         \
    TEST(suite, timers_expire_in_order_in_the_loop) { scenarios::timers_in_order<driver>(); }                          \
    TEST(suite, timers_end_in_a_callback_of_their_own) { scenarios::timers_that_end<driver>(); }                       \
    TEST(suite, timers_are_used_while_they_end) { scenarios::timers_used_while_they_end<driver>(); }                   \
    TEST(suite, timers_go_on_in_a_child) { scenarios::timers_after_fork<driver>(); }                                   \
    TEST(suite, a_loop_with_nothing_to_do_sleeps) { scenarios::sleeps<driver>(); }

/// The same and what only callbacks can do.
#define CALLBACK_SCENARIOS(suite, driver)                                                                              \
    SCENARIOS(suite, driver)                                                                                           \
    TEST(suite, what_a_callback_throws_reaches_on_error) { scenarios::callbacks_that_throw<driver>(); }                \
    TEST(suite, a_subscription_outlives_its_adapter) { scenarios::subscription_that_outlives_its_adapter<driver>(); }  \
    TEST(suite, destroyed_in_a_callback_it_calls_nothing_more) { scenarios::destroyed_in_a_callback<driver>(); }       \
    TEST(suite, it_ends_while_callbacks_use_it) { scenarios::ended_while_callbacks_use_it<driver>(); }
