// Many threads that schedule and cancel against an owner in wait(): what was asked for and what came agree exactly.

#include <tocsin/timer_queue.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "stress.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

struct timers_of_a_thread {
    struct one : tocsin::timer {
        explicit one(timers_of_a_thread& of)
            : timer([](timer& self) { static_cast<one&>(self).expired(); })
            , owner(of)
        {}
        void expired()
        {
            ++count; // on the queue's thread
            owner.all.fetch_add(1, std::memory_order_relaxed);
        }
        timers_of_a_thread& owner;
        int count = 0;
    };
    std::atomic<std::uint64_t> all{0};
};

TEST(remote, scheduled_less_cancelled_is_expired)
{
    auto chance = stress::make_chance();
    constexpr int thread_count = 4;
    const int rounds = stress::size(300, 5000);
    tocsin::timer_queue queue;
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> functions{0};
    std::atomic<std::uint64_t> wanted_functions{0};
    std::thread owner([&, seed = chance()] {
        std::mt19937_64 mine(seed);
        while (!stop.load(std::memory_order_acquire)) {
            queue.wait();
            queue.run_expired(mine() % 4 == 0 ? 3 : SIZE_MAX);
        }
    });
    std::vector<std::uint64_t> seeds;
    for (int n = 0; n < thread_count; ++n)
        seeds.push_back(chance());
    std::vector<std::thread> threads;
    for (int n = 0; n < thread_count; ++n) {
        threads.emplace_back([&, seed = seeds[static_cast<std::size_t>(n)]] {
            std::mt19937_64 mine(seed);
            auto remote = queue.remote_handle();
            for (int round = 0; round < rounds; ++round) {
                timers_of_a_thread counted;
                std::vector<std::unique_ptr<timers_of_a_thread::one>> timers;
                for (int k = 0; k < 8; ++k)
                    timers.push_back(std::make_unique<timers_of_a_thread::one>(counted));
                for (int k = 0; k < 24; ++k) {
                    timers_of_a_thread::one& each = *timers[mine() % timers.size()];
                    switch (mine() % 4) {
                    case 0:
                        ASSERT_TRUE(remote.cancel(each));
                        break;
                    case 1:
                        ASSERT_TRUE(remote.after(nanoseconds(mine() % 100'000), [&] { ++functions; }));
                        ++wanted_functions;
                        break;
                    default:
                        ASSERT_TRUE(remote.schedule(each, nanoseconds(mine() % 100'000)));
                    }
                }
                // From here on each is far away, and then half of them are cancelled.
                for (const auto& each : timers)
                    ASSERT_TRUE(remote.schedule(*each, 1000s));
                ASSERT_TRUE(remote.sync());
                const std::uint64_t before = counted.all.load();
                std::size_t cancelled = 0;
                for (const auto& each : timers) {
                    ASSERT_TRUE(each->scheduled()); // the owner is done with it, and it is far away
                    if (mine() % 2 == 0) {
                        ASSERT_TRUE(remote.cancel(*each));
                        ++cancelled;
                    } else {
                        ASSERT_TRUE(remote.schedule(*each, -1s));
                    }
                }
                // Due at once: a run that has taken them from here has called them, but for its limit.
                std::uint64_t looks = 0;
                while (counted.all.load() - before < timers.size() - cancelled) {
                    ASSERT_TRUE(remote.sync());
                    ASSERT_LT(++looks, 100'000U);
                }
                ASSERT_TRUE(remote.sync());
                ASSERT_EQ(counted.all.load() - before, timers.size() - cancelled);
                for (const auto& each : timers)
                    ASSERT_FALSE(each->scheduled());
            }
        });
    }
    for (std::thread& each : threads)
        each.join();
    auto remote = queue.remote_handle();
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (functions.load() < wanted_functions.load() && std::chrono::steady_clock::now() < end)
        ASSERT_TRUE(remote.sync());
    EXPECT_EQ(functions.load(), wanted_functions.load());
    stop.store(true, std::memory_order_release);
    ASSERT_TRUE(remote.after(0s, [] {}));
    owner.join();
    EXPECT_TRUE(queue.size() <= 1);
}

TEST(remote, queues_end_while_others_go_on)
{
    auto chance = stress::make_chance();
    const int rounds = stress::size(200, 3000);
    for (int round = 0; round < rounds; ++round) {
        std::optional<tocsin::timer_queue> queue(std::in_place);
        const auto token = std::make_shared<int>(0);
        std::vector<std::thread> threads;
        std::atomic<int> started{0};
        for (int n = 0; n < 2; ++n) {
            threads.emplace_back([&, remote = queue->remote_handle()]() mutable {
                tocsin::callback_timer mine([] {});
                ++started;
                while (remote.schedule(mine, 1s) && remote.after(0s, [token] {}) && remote.cancel(mine) &&
                       remote.sync()) {
                }
                EXPECT_FALSE(remote.after(0s, [token] {}));
                EXPECT_FALSE(mine.scheduled());
            });
        }
        while (started.load() != 2)
            std::this_thread::yield();
        for (auto turns = chance() % 20; turns > 0; --turns)
            queue->run_expired();
        queue.reset();
        for (std::thread& each : threads)
            each.join();
        ASSERT_EQ(token.use_count(), 1);
    }
}

} // namespace
