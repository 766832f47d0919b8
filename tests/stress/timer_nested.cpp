// A timer_queue whose callbacks run loops of their own, on a virtual clock that also goes back: at every moment, at any depth,
// its descriptor is readable if there is something to do, and otherwise it lets a loop sleep.

#include <gtest/gtest.h>

#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include <tocsin/timer_queue.hpp>

#include "stress.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

class game {
public:
    game(std::mt19937_64& random, nanoseconds span)
        : random_(random)
        , span_(span.count())
    {
        for (std::size_t n = 0; n < number; ++n)
            timers_[n] = std::make_unique<mine>(*this, n);
        renew();
    }
    game(const game&) = delete;
    game& operator=(const game&) = delete;
    ~game() { queue_.reset(); } // before the timers that it has been asked for

    void play(std::size_t steps)
    {
        while (done_ < steps && !testing::Test::HasFailure()) {
            act();
            if (pick(8) == 0)
                loop();
        }
        if (testing::Test::HasFailure())
            return;
        EXPECT_GT(nested_, steps / 200) << "runs in callbacks";
        EXPECT_GT(slept_, steps / 200) << "sleeps";
    }

private:
    static constexpr std::size_t number = 12;
    static constexpr unsigned deepest = 4;
    static constexpr std::int64_t last = INT64_MAX / 2;

    struct mine : tocsin::timer {
        mine(game& of, std::size_t n)
            : timer([](timer& self) { static_cast<mine&>(self).owner.expire(static_cast<mine&>(self).which); })
            , owner(of)
            , which(n)
        {}
        game& owner;
        std::size_t which;
    };
    struct request {
        std::size_t which;
        std::optional<std::int64_t> time; // empty: cancel
    };

    std::int64_t pick(std::int64_t below) { return std::uniform_int_distribution<std::int64_t>(0, below - 1)(random_); }
    std::int64_t now() const { return clock_.now().count(); }
    std::int64_t some_time()
    {
        switch (pick(8)) {
        case 0:
            return now() - pick(span_);
        case 1:
            return now();
        case 2:
            return now() + (std::int64_t{1} << pick(50));
        case 3: { // near the edge of a slot
            const auto bits = pick(50);
            return (((now() >> bits) + 1) << bits) + pick(3) - 1;
        }
        default:
            return now() + pick(span_);
        }
    }
    void renew()
    {
        queue_.emplace(clock_);
        remote_.emplace(queue_->remote_handle());
        due_.fill(std::nullopt);
        asked_.clear();
        ++generation_;
    }
    bool is_readable()
    {
        pollfd each{queue_->native_handle(), POLLIN, 0};
        return ::poll(&each, 1, 0) == 1;
    }
    bool has_something_to_do() const
    {
        const auto is_due = [&](const auto& time) { return time && *time <= now(); };
        return std::any_of(due_.begin(), due_.end(), is_due) ||
               std::any_of(asked_.begin(), asked_.end(), [&](const request& each) { return is_due(each.time); });
    }
    void check(const char* after)
    {
        if (has_something_to_do() && !is_readable())
            ADD_FAILURE() << "sleeps, after " << after << ", at depth " << depth_ << ", step " << done_;
    }

    void act()
    {
        ++done_;
        const auto n = static_cast<std::size_t>(pick(number));
        switch (pick(12)) {
        case 0:
            EXPECT_EQ(timers_[n]->cancel(), due_[n].has_value());
            due_[n].reset();
            return check("cancel()");
        case 1:
            remote_->cancel(*timers_[n]);
            asked_.push_back({n, std::nullopt});
            return check("remote::cancel()");
        case 2: {
            const std::int64_t time = some_time();
            remote_->schedule_at(*timers_[n], nanoseconds{time});
            asked_.push_back({n, time});
            return check("remote::schedule()");
        }
        case 3:
            set_clock(now() + pick(span_));
            return check("the clock went on");
        case 4:
            if (pick(4) == 0)
                set_clock(now() - pick(2 * span_));
            return check("the clock went back");
        case 5:
            if (pick(200) == 0 && depth_ > 0) {
                queue_.reset();
                renew();
            }
            return;
        case 6:
            return run(static_cast<std::size_t>(1 + pick(3)));
        default: {
            const std::int64_t time = some_time();
            queue_->schedule_at(*timers_[n], nanoseconds{time});
            due_[n] = time;
            return check("schedule()");
        }
        }
    }
    void set_clock(std::int64_t to) { clock_.set(nanoseconds{std::clamp<std::int64_t>(to, 0, last)}); }

    void run(std::size_t limit = SIZE_MAX)
    {
        if (depth_ == deepest)
            return;
        nested_ += depth_ == 0 ? 0 : 1;
        for (const request& each : std::exchange(asked_, {}))
            due_[each.which] = each.time;
        const std::int64_t outer = std::exchange(batch_, now());
        const unsigned before = generation_;
        ++depth_;
        try {
            const std::size_t ran = queue_->run_expired(limit);
            EXPECT_LE(ran, limit);
            idle_ = ran == 0 ? idle_ + 1 : 0;
        } catch (const std::runtime_error&) {
            idle_ = 0;
        }
        --depth_;
        batch_ = outer;
        if (before != generation_)
            return;
        check("a run");
        if (!has_something_to_do() && queue_->last_now() == clock_.now() && is_readable()) {
            for (const request& each : std::exchange(asked_, {}))
                due_[each.which] = each.time;
            EXPECT_EQ(queue_->run_expired(), 0U); // once, after the clock was set back
            EXPECT_FALSE(is_readable()) << "readable for nothing at depth " << depth_ << ", step " << done_;
        }
    }
    // As event loops are, here in callbacks too.
    void loop()
    {
        idle_ = 0;
        const unsigned before = generation_;
        for (auto rounds = pick(30); rounds > 0 && !testing::Test::HasFailure() && before == generation_; --rounds) {
            if (!is_readable()) {
                const auto next = clock_.next();
                if (!next || next->count() > last)
                    return;
                set_clock(next->count());
                ++slept_;
                EXPECT_TRUE(is_readable());
            }
            run();
            EXPECT_LT(idle_, 12U) << "wakes for nothing, at depth " << depth_ << ", step " << done_;
        }
    }
    void expire(std::size_t n)
    {
        ASSERT_TRUE(due_[n].has_value());
        EXPECT_LE(*due_[n], batch_) << "early";
        EXPECT_FALSE(timers_[n]->scheduled());
        due_[n].reset();
        for (auto acts = pick(4); acts > 0; --acts)
            act();
        if (depth_ < deepest && pick(10) == 0)
            loop();
        if (pick(30) == 0)
            throw std::runtime_error("from a callback");
    }

    std::mt19937_64& random_;
    std::int64_t span_;
    tocsin::virtual_clock clock_{CLOCK_MONOTONIC, 24h * 365};
    std::array<std::unique_ptr<mine>, number> timers_;
    std::array<std::optional<std::int64_t>, number> due_;
    std::vector<request> asked_;
    std::optional<tocsin::timer_queue> queue_;
    std::optional<tocsin::timer_queue::remote> remote_;
    unsigned generation_ = 0; // of the queue
    unsigned depth_ = 0;
    std::int64_t batch_ = 0;
    std::size_t done_ = 0;
    std::size_t nested_ = 0;
    std::size_t slept_ = 0;
    unsigned idle_ = 0;
};

TEST(G14, a_queue_wakes_the_loops_in_its_callbacks_and_lets_them_sleep)
{
    auto random = stress::make_chance();
    const auto steps = static_cast<std::size_t>(stress::size(10'000, 500'000));
    for (const nanoseconds span :
         {nanoseconds{50us}, nanoseconds{20ms}, nanoseconds{60s}, nanoseconds{500s}, nanoseconds{24h * 20}})
        game(random, span).play(steps);
}

} // namespace
