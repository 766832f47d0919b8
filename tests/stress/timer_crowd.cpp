// G14 where thousands share a slot of the timer wheel and are put off, cancelled and cut short while they are moved.

#include <gtest/gtest.h>

#include <tocsin/timer_queue.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <random>
#include <set>
#include <utility>

#include "stress.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

class crowd {
public:
    void play(std::size_t rounds)
    {
        for (std::size_t n = 0; n < 20'000; ++n)
            timers_.emplace_back(*this);
        for (std::size_t round = 0; round < rounds && !::testing::Test::HasFailure(); ++round) {
            // A crowd at up to 6 s from now; then most of it is put off, some at the last moment.
            const std::int64_t when = clock_.now().count() + pick(6'000'000'000);
            const std::int64_t width = std::int64_t{1} << pick(27);
            for (mine& each : timers_)
                schedule(each, when + pick(width));
            const bool late = pick(2) == 0;
            while (clock_.now().count() < when + width) {
                const std::int64_t left = when - clock_.now().count();
                if (!late || left < 1'000'000'000)
                    operate(2000);
                clock_.advance(static_cast<double>(pick(left > 100'000'000 ? 50'000'000 : 5'000'000)) / 1e9);
                if (pick(40) == 0) // asleep
                    clock_.set(nanoseconds{std::max(clock_.now().count(), when + pick(width))});
                if (pick(50) == 0)
                    clock_.set(clock_.now() - nanoseconds{pick(2) == 0 ? 1ms : 1s}); // set back
                expire();
            }
        }
        clock_.set(clock_.now() + 24h);
        expire();
        EXPECT_TRUE(model_.empty());
        EXPECT_TRUE(queue_.empty());
    }

private:
    struct mine : tocsin::timer {
        explicit mine(crowd& of)
            : timer([](timer& self) { static_cast<mine&>(self).owner.expired(static_cast<mine&>(self)); })
            , owner(of)
        {}
        crowd& owner;
        std::pair<std::int64_t, std::uint64_t> key;
    };

    std::int64_t pick(std::int64_t below) { return std::uniform_int_distribution<std::int64_t>(0, below - 1)(random_); }
    void forget(const mine& each) { model_.erase(each.key); }
    void schedule(mine& each, std::int64_t time)
    {
        forget(each);
        each.key = {time, ++orders_};
        model_.insert(each.key);
        queue_.schedule_at(each, nanoseconds{time});
    }
    void operate(int operations)
    {
        for (; operations > 0; --operations) {
            mine& each = timers_[static_cast<std::size_t>(pick(static_cast<std::int64_t>(timers_.size())))];
            switch (pick(16)) {
            case 0:
                EXPECT_EQ(each.cancel(), model_.count(each.key) == 1);
                forget(each);
                break;
            case 1:
                schedule(each, each.key.first - pick(10'000'000));
                break;
            case 2:
                schedule(each, each.key.first + pick(10'000'000));
                break;
            default:
                schedule(each, each.key.first + pick(10'000'000'000));
            }
        }
    }
    void expire()
    {
        last_ = {INT64_MIN, 0};
        now_ = clock_.now().count();
        queue_.run_expired();
        ASSERT_TRUE(model_.empty() || model_.begin()->first > now_) << "left although due";
        ASSERT_EQ(queue_.size(), model_.size());
        const auto wake = clock_.next();
        ASSERT_TRUE(model_.empty() || (wake && wake->count() <= model_.begin()->first)) << "armed too late";
        if (pick(20) == 0 && !model_.empty()) {
            ASSERT_EQ(queue_.next_deadline()->count(), model_.begin()->first);
        }
    }
    void expired(mine& each)
    {
        EXPECT_LE(each.key.first, now_) << "early";
        EXPECT_LT(last_, each.key) << "out of order";
        EXPECT_EQ(*model_.begin(), each.key) << "not the first";
        last_ = each.key;
        forget(each);
    }

    std::mt19937_64 random_ = stress::make_chance();
    tocsin::virtual_clock clock_{CLOCK_MONOTONIC, 1000s};
    std::deque<mine> timers_;
    tocsin::timer_queue queue_{clock_};
    std::set<std::pair<std::int64_t, std::uint64_t>> model_;
    std::pair<std::int64_t, std::uint64_t> last_;
    std::int64_t now_ = 0;
    std::uint64_t orders_ = 0;
};

TEST(G14, a_crowd_that_is_moved_on_in_shares_expires_in_order)
{
    crowd one;
    one.play(static_cast<std::size_t>(stress::size(12, 300)));
}

} // namespace
