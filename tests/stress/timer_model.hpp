#pragma once

// A timer_queue on a virtual clock against a simple model: any sequence of operations, also in callbacks, in nested runs
// and while the clock goes back. Where the choices come from, and what becomes of a difference, is the caller's.

#include <tocsin/timer_queue.hpp>

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <tuple>
#include <vector>

namespace timer_model {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// Chance has std::int64_t pick(std::int64_t below), bool over() (nothing is to be done any more) and
/// void require(bool holds, const char* what).
template <class Chance>
class player {
public:
    /// Most times lie within `span` of now, most steps of the clock within `step`.
    player(Chance& chance, nanoseconds span, nanoseconds step, std::size_t timers)
        : chance_(chance)
        , span_(span.count())
        , step_(step.count())
        , timers_(timers)
        , where_(timers)
        , turn_(timers)
        , queue_(clock_)
    {
        for (std::size_t n = 0; n < timers_.size(); ++n)
            revive(n);
    }
    player(const player&) = delete;
    player& operator=(const player&) = delete;
    ~player() = default;

    /// `one_in`: how many operations come between two runs, about.
    void play(std::size_t operations, std::int64_t one_in)
    {
        while (done_ < operations && !chance_.over()) {
            operate();
            if (pick(one_in) == 0)
                poll();
        }
        calm_ = true; // callbacks only look
        clock_.set(nanoseconds{INT64_MAX - 1});
        while (!model_.empty() && std::get<0>(*model_.begin()) != INT64_MAX && !failed_)
            expire_due();
        for (std::size_t n = 0; n < timers_.size(); ++n) { // those that never come
            require(timers_[n]->cancel() == where_[n].has_value(), "cancel() at the end");
            forget(n);
        }
        require(queue_.empty(), "not empty at the end");
        require(!queue_.next_deadline().has_value(), "a deadline at the end");
        require(!clock_.next().has_value() || queue_.run_expired() == 0, "something runs at the end");
        require(!clock_.next().has_value(), "armed at the end");
    }
    [[nodiscard]] std::uint64_t expired() const { return expired_; }

private:
    // When a timer may come that was scheduled in a run.
    enum class turn : unsigned char { this_one, next, either };
    using entry = std::tuple<std::int64_t, std::uint64_t, std::size_t>; // deadline, order of scheduling, which

    struct mine : tocsin::timer {
        mine(player& of, std::size_t n)
            : timer([](timer& self) { static_cast<mine&>(self).owner.expire(static_cast<mine&>(self)); })
            , owner(of)
            , number(n)
        {}
        player& owner;
        std::size_t number;
    };

    void require(bool holds, const char* what)
    {
        failed_ = failed_ || !holds;
        chance_.require(holds, what);
    }
    std::int64_t pick(std::int64_t below) { return chance_.pick(below); }
    static std::int64_t plus(std::int64_t a, std::int64_t b)
    {
        std::int64_t sum = 0;
        if (__builtin_add_overflow(a, b, &sum))
            return b < 0 ? INT64_MIN : INT64_MAX;
        return sum;
    }
    // Mostly uniform, often the same, some far away, some over, some at the edges of slots, one at the end of time.
    std::int64_t some_time()
    {
        const std::int64_t now = clock_.now().count();
        switch (pick(16)) {
        case 0:
        case 1:
            return now - pick(step_ + 1);
        case 2:
        case 3:
            return (now / 1'000'000 + pick(4)) * 1'000'000;
        case 4:
            return plus(now, std::int64_t{1} << pick(63));
        case 5: {
            const std::int64_t slot = pick(64);
            return plus(plus(now >> slot << slot, slot == 63 ? 0 : std::int64_t{1} << slot), pick(3) - 1);
        }
        case 6:
            if (pick(64) == 0)
                return pick(2) == 0 ? INT64_MAX : INT64_MIN;
            [[fallthrough]];
        default:
            return plus(now, pick(span_));
        }
    }
    void revive(std::size_t n) { timers_[n] = std::make_unique<mine>(*this, n); }
    void forget(std::size_t n)
    {
        if (where_[n])
            model_.erase(*where_[n]);
        where_[n].reset();
    }
    void note(std::size_t n, std::int64_t time)
    {
        forget(n);
        where_[n] = entry(time, ++orders_, n);
        model_.insert(*where_[n]);
        turn_[n] = depth_ > 0 && time <= batch_ ? turn::next : turn::this_one;
    }
    void operate()
    {
        ++done_;
        const auto n = static_cast<std::size_t>(pick(static_cast<std::int64_t>(timers_.size())));
        switch (pick(16)) {
        case 0:
        case 1:
        case 2:
            require(timers_[n]->cancel() == where_[n].has_value(), "cancel()");
            forget(n);
            break;
        case 3: // put off, or brought forward
            if (where_[n]) {
                const std::int64_t time = plus(std::get<0>(*where_[n]), pick(span_) - span_ / 4);
                note(n, time);
                require(queue_.reschedule(*timers_[n], std::chrono::steady_clock::time_point(nanoseconds{time})),
                        "reschedule() of a scheduled one");
            } else {
                require(!queue_.reschedule(*timers_[n], 1s), "reschedule() of one that is not");
            }
            break;
        case 4:
            forget(n);
            revive(n);
            break;
        default: {
            const std::int64_t time = some_time();
            note(n, time);
            queue_.schedule_at(*timers_[n], nanoseconds{time});
            require(timers_[n]->deadline() == nanoseconds{time}, "deadline()");
        }
        }
        require(timers_[n]->scheduled() == where_[n].has_value(), "scheduled()");
    }
    void set_clock()
    {
        const std::int64_t last = INT64_MAX - 4 * span_ - 1;
        const std::int64_t now = clock_.now().count();
        switch (pick(32)) {
        case 0: // asleep for long
            clock_.set(nanoseconds{std::min(plus(now, pick(span_)), last)});
            break;
        case 1: // set back
            clock_.set(nanoseconds{std::max<std::int64_t>(now - pick(span_), 0)});
            break;
        case 2: // to the moment at which somebody waits
            if (const auto next = clock_.next(); next && next->count() <= last)
                clock_.set(std::max(*next, 0ns));
            break;
        default:
            clock_.set(nanoseconds{std::min(plus(now, pick(step_ + 1)), last)});
        }
    }
    void poll()
    {
        set_clock();
        expire_due();
    }
    void expire_due()
    {
        check_first();
        const std::size_t limit = !calm_ && pick(4) == 0 ? static_cast<std::size_t>(pick(8)) : SIZE_MAX;
        in_batch_ = 0;
        if (limit == 0) {
            require(queue_.run_expired(0) == 0 && in_batch_ == 0, "more than none");
            return;
        }
        batch_ = clock_.now().count();
        std::fill(turn_.begin(), turn_.end(), turn::this_one);
        ++depth_;
        bool thrown = false;
        try {
            const std::size_t ran = queue_.run_expired(limit);
            require(ran == in_batch_, "run_expired() says another number");
            require(ran <= limit, "more than the limit");
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        --depth_;
        if (!thrown && in_batch_ < limit) { // all that were due, but for those that came in the meantime
            for (const entry& each : model_) {
                if (std::get<0>(each) > batch_)
                    break;
                require(turn_[std::get<2>(each)] != turn::this_one, "left although due");
            }
        }
        require(queue_.size() == model_.size(), "size()");
        check_first();
        if (depth_ == 0) { // and the descriptor
            const auto now = queue_.last_now();
            const auto first = queue_.next_deadline();
            const auto wake = clock_.next();
            require(!first || (wake && *wake <= std::max(*first, now)) || *first == nanoseconds::max(),
                    "armed too late");
            require(!wake || (first && *first <= now) || *wake > now, "armed for nothing");
            if (now == clock_.now() && ++looks_ % 16 == 0) {
                pollfd each{queue_.native_handle(), POLLIN, 0};
                require((::poll(&each, 1, 0) == 1) == (wake && *wake <= now), "readable for nothing, or not readable");
            }
        }
    }
    void check_first()
    {
        const auto first = queue_.next_deadline();
        require(first.has_value() == !model_.empty(), "next_deadline(): there is none, or one");
        if (first && !model_.empty())
            require(first->count() == std::get<0>(*model_.begin()), "next_deadline()");
    }
    void expire(mine& which)
    {
        ++expired_;
        ++in_batch_;
        const std::size_t n = which.number;
        require(where_[n] && !which.scheduled(), "expired twice, or after it was cancelled");
        if (!where_[n])
            return;
        const entry found = *where_[n];
        require(std::get<0>(found) <= batch_, "early");
        require(turn_[n] != turn::next, "in the run in which it was scheduled");
        // Before it there is nothing that could have come.
        for (auto each = model_.begin(); each != model_.end() && *each < found; ++each)
            require(turn_[std::get<2>(*each)] != turn::this_one, "out of order");
        forget(n);
        if (calm_)
            return;
        for (auto operations = pick(4); operations > 0; --operations)
            operate(); // may destroy `which`
        switch (pick(200)) {
        case 0:
            throw std::runtime_error("from a callback");
        case 1:
            if (depth_ < 3) {
                const std::int64_t outer = batch_;
                const std::size_t outer_count = in_batch_;
                const std::uint64_t before = orders_;
                set_clock();
                expire_due();
                batch_ = outer;
                in_batch_ = outer_count;
                for (const entry& each : model_) {
                    turn& its = turn_[std::get<2>(each)];
                    if (std::get<1>(each) <= before)
                        continue;
                    if (std::get<0>(each) > outer)
                        its = turn::this_one; // though not of the runs further out
                    else if (its == turn::this_one)
                        its = turn::either; // ahead of the clock that was set back, and not of this run's
                }
            }
            break;
        default:
            break;
        }
    }

    Chance& chance_;
    std::int64_t span_;
    std::int64_t step_;
    tocsin::virtual_clock clock_{CLOCK_MONOTONIC, 1000s};
    std::vector<std::unique_ptr<mine>> timers_;
    std::vector<std::optional<entry>> where_;
    std::vector<turn> turn_;
    tocsin::timer_queue queue_;
    std::set<entry> model_;
    std::uint64_t orders_ = 0;
    std::uint64_t expired_ = 0;
    std::size_t in_batch_ = 0;
    std::size_t done_ = 0;
    int depth_ = 0;
    unsigned looks_ = 0;
    bool calm_ = false;
    bool failed_ = false;
    std::int64_t batch_ = 0;
};

} // namespace timer_model
