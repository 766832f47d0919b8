#pragma once

// What is asked of each library. `Queue` has
//
//     explicit Queue(std::size_t count)                     timers 0 to count - 1, none scheduled
//     void schedule(std::size_t which, std::int64_t delay)  one that is not scheduled; nanoseconds
//     void reschedule(which, delay)                         one that is
//     void open(which), touch(which)                        a connection's time-out: from now, and once more from now
//     void cancel(which)
//     void settle()                                         what cancelling has left to do
//     void turn()                                           runs what is due, without waiting; calls workload<Queue>::expired(which)
//
// each as the library's documentation says, with the loop's cached time where it has one.

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <random>
#include <utility>

#include "clock.hpp"
#include "subject.hpp"

inline constexpr std::int64_t second = 1'000'000'000;
inline constexpr std::int64_t span = 60 * second;
inline constexpr std::int64_t idle_time = 30 * second; // of a connection
inline constexpr std::int64_t mean_pause = 5 * second; // of one that is in use

/// Cheap, since it is part of what is measured: splitmix64.
class random_numbers {
public:
    explicit random_numbers(std::uint64_t seed)
        : state_(seed)
    {}
    std::uint64_t below(std::uint64_t limit)
    {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return static_cast<std::uint64_t>((static_cast<unsigned __int128>(z ^ (z >> 31)) * limit) >> 64);
    }
    std::int64_t delay() { return 1 + static_cast<std::int64_t>(below(span)); }

private:
    std::uint64_t state_;
};

template <class Queue>
class workload {
public:
    static void run(const std::string& operation, std::size_t count, std::uint64_t seed)
    {
        program_time::stop();
        workload work(count, seed);
        if (operation == "schedule")
            work.schedule();
        else if (operation == "cancel")
            work.cancel();
        else if (operation == "reschedule")
            work.reschedule();
        else if (operation == "connections")
            work.connections();
        else if (operation == "traffic")
            work.traffic();
        else if (operation == "put-off")
            work.put_off();
        else if (operation == "expire")
            work.expire();
        else if (operation == "hold")
            work.hold();
        else if (operation == "order")
            work.order();
        else if (operation == "bytes")
            work.bytes();
        else
            throw std::invalid_argument(operation + ": no such operation");
    }

    static void expired(std::size_t which)
    {
        ++calls_;
        if (running_->checks_) [[unlikely]]
            running_->check(which);
        if (running_->then_ == then::arm)
            running_->arm(which, running_->numbers_.delay());
        else if (running_->then_ == then::open)
            running_->queue_->open(which);
    }

private:
    static constexpr std::size_t least = 200'000; // operations for one number
    static constexpr std::size_t most = 1'000'000;
    static constexpr std::size_t per_turn = 64; // operations, or timers that are due, for one turn of the loop

    enum class then { nothing, arm, open };

    workload(std::size_t count, std::uint64_t seed)
        : count_(count)
        , rounds_(std::max<std::size_t>(1, least / count))
        , operations_(std::clamp(count, least, most))
        , numbers_(seed)
        , shuffled_(count)
    {
        std::iota(shuffled_.begin(), shuffled_.end(), 0);
        std::shuffle(shuffled_.begin(), shuffled_.end(), std::mt19937_64(seed));
        resident_ = resident();
        queue_ = new Queue(count); // it goes with the process
        running_ = this;
        std::int64_t least_taken = INT64_MAX;
        for (int n = 0; n < 1000; ++n) {
            const std::int64_t begin = cpu_time();
            least_taken = std::min(least_taken, cpu_time() - begin);
        }
        clock_cost_ = least_taken;
    }

    template <class Work>
    std::int64_t time(Work work)
    {
        const std::int64_t begin = cpu_time();
        work();
        return cpu_time() - begin - clock_cost_;
    }

    static void report(const char* name, double value) { std::printf("%s %.6g\n", name, value); }
    static void report_each(std::int64_t taken, std::size_t operations)
    {
        report("ns", static_cast<double>(taken) / static_cast<double>(operations));
    }

    static std::size_t resident() // bytes
    {
        std::size_t all = 0;
        std::size_t pages = 0;
        std::ifstream("/proc/self/statm") >> all >> pages;
        return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    }

    void arm(std::size_t which, std::int64_t delay)
    {
        if (checks_) [[unlikely]]
            asked_[which] = program_time::now() + delay;
        queue_->schedule(which, delay);
    }
    void arm_all()
    {
        for (std::size_t which = 0; which < count_; ++which)
            arm(which, numbers_.delay());
    }
    void cancel_all()
    {
        std::size_t n = 0;
        for (const std::uint32_t which : shuffled_) {
            queue_->cancel(which);
            if (++n % per_turn == 0)
                queue_->settle();
        }
        queue_->settle();
    }
    void expect(bool what, const char* text) const
    {
        if (!what)
            throw std::runtime_error(std::string(text) + ": " + std::to_string(calls_) + " callbacks have run");
    }
    void turn_until(std::uint64_t calls)
    {
        for (int idle = 0; calls_ < calls && idle < 1000; ++idle) {
            const std::uint64_t before = calls_;
            queue_->turn();
            if (calls_ != before)
                idle = 0;
        }
        expect(calls_ == calls, "not every timer has expired");
    }

    void schedule()
    {
        std::int64_t taken = 0;
        for (std::size_t round = 0; round <= rounds_; ++round) { // the first finds the memory
            const std::int64_t mine = time([&] { arm_all(); });
            taken += round == 0 ? 0 : mine;
            cancel_all();
            queue_->turn();
        }
        expect(calls_ == 0, "a cancelled timer has expired");
        report_each(taken, rounds_ * count_);
    }

    void cancel()
    {
        std::int64_t taken = 0;
        for (std::size_t round = 0; round < rounds_; ++round) {
            arm_all();
            taken += time([&] { cancel_all(); });
            queue_->turn();
        }
        program_time::advance(span + second);
        queue_->turn();
        expect(calls_ == 0, "a cancelled timer has expired");
        report_each(taken, rounds_ * count_);
    }

    void reschedule()
    {
        arm_all();
        const std::int64_t taken = time([&] {
            for (std::size_t n = 1; n <= operations_; ++n) {
                const std::size_t which = numbers_.below(count_);
                queue_->reschedule(which, numbers_.delay());
                if (n % per_turn == 0)
                    queue_->settle();
            }
        });
        if (Queue::expires) {
            program_time::advance(span + second);
            turn_until(count_);
        }
        report_each(taken, operations_);
    }

    void open_all(std::int64_t pause = 1000)
    {
        std::size_t n = 0;
        for (const std::uint32_t which : shuffled_) {
            program_time::advance(pause);
            queue_->open(which);
            if (++n % per_turn == 0)
                queue_->turn();
        }
    }

    void connections()
    {
        open_all();
        const std::int64_t taken = time([&] {
            for (std::size_t n = 1; n <= operations_; ++n) {
                program_time::advance(1000);
                queue_->touch(numbers_.below(count_));
                if (n % per_turn == 0)
                    queue_->turn();
            }
        });
        expect(calls_ == 0, "a connection in use has timed out");
        report_each(taken, operations_);
    }

    // Long enough that what was put off comes due; the few that are not used for so long begin anew.
    void traffic()
    {
        open_all();
        then_ = then::open;
        const std::size_t turns =
            std::max(least, count_ * static_cast<std::size_t>(2 * idle_time / mean_pause)) / per_turn;
        const std::int64_t pause = mean_pause / static_cast<std::int64_t>(count_);
        std::int64_t taken = 0;
        std::int64_t longest = 0;
        for (std::size_t n = 0; n < turns; ++n) {
            taken += time([&] {
                for (std::size_t i = 0; i < per_turn; ++i) {
                    program_time::advance(pause);
                    queue_->touch(numbers_.below(count_));
                }
            });
            const std::int64_t mine = time([&] { queue_->turn(); });
            taken += mine;
            longest = std::max(longest, mine);
        }
        report_each(taken, turns * per_turn);
        report("longest", static_cast<double>(longest) / 1000);
    }

    // Deadlines spread over the idle time; then all connections are used at once, and nothing is due for long.
    void put_off()
    {
        open_all((idle_time - second) / static_cast<std::int64_t>(count_));
        for (const std::uint32_t which : shuffled_)
            queue_->touch(which);
        queue_->settle();
        program_time::advance(1000);
        const std::int64_t taken = time([&] { queue_->turn(); });
        expect(calls_ == 0, "a connection in use has timed out");
        report("longest", static_cast<double>(taken) / 1000);
    }

    void expire()
    {
        std::int64_t taken = 0;
        for (std::size_t round = 1; round <= rounds_; ++round) {
            arm_all();
            queue_->turn();
            program_time::advance(span + second);
            taken += time([&] { turn_until(round * count_); });
        }
        report_each(taken, rounds_ * count_);
    }

    // As if it had always been so: the rest of a delay at any time.
    void arm_for_hold()
    {
        for (std::size_t which = 0; which < count_; ++which) {
            const double rest = 1 - std::sqrt(static_cast<double>(numbers_.delay()) / static_cast<double>(span));
            arm(which, 1 + static_cast<std::int64_t>(rest * static_cast<double>(span)));
        }
        then_ = then::arm;
    }
    // To the next turn: from half as long to half as long again.
    std::int64_t step()
    {
        const std::uint64_t mean = per_turn * (span / 2) / count_;
        return static_cast<std::int64_t>(mean / 2 + numbers_.below(mean));
    }

    void hold()
    {
        arm_for_hold();
        const auto turns_until = [&](std::uint64_t calls, auto with_each) {
            while (calls_ < calls) {
                program_time::advance(step());
                with_each(time([&] { queue_->turn(); }));
            }
        };
        turns_until(operations_ / 10, [](std::int64_t) {});
        const std::uint64_t before = calls_;
        std::int64_t taken = 0;
        std::int64_t longest = 0;
        turns_until(before + operations_, [&](std::int64_t mine) {
            taken += mine;
            longest = std::max(longest, mine);
        });
        report_each(taken, calls_ - before);
        report("longest", static_cast<double>(longest) / 1000);
    }

    void check(std::size_t which)
    {
        inversions_ += asked_[which] < last_ ? 1 : 0;
        last_ = asked_[which];
        const auto early = asked_[which] - program_time::now();
        early_ += early > 0 ? 1 : 0;
        earliest_ = std::max(earliest_, early);
    }
    void report_order(const char* inversions)
    {
        report(inversions, static_cast<double>(std::exchange(inversions_, 0)));
        last_ = 0;
    }

    void order()
    {
        checks_ = true;
        asked_.resize(count_);
        arm_all();
        program_time::advance(span + second);
        turn_until(count_);
        report("expired", static_cast<double>(calls_));
        report_order("inversions");
        arm_for_hold();
        while (calls_ < count_ + operations_) {
            program_time::advance(step());
            queue_->turn();
        }
        report("held", static_cast<double>(calls_ - count_));
        report_order("inversions_in_hold");
        report("early", static_cast<double>(early_));
        report("earliest", early_ == 0 ? 0 : static_cast<double>(earliest_) / 1000);
    }

    void bytes()
    {
        arm_all();
        report("bytes", static_cast<double>(resident() - resident_) / static_cast<double>(count_));
    }

    static inline workload* running_ = nullptr;
    static inline std::uint64_t calls_ = 0;

    std::size_t count_;
    std::size_t rounds_;
    std::size_t operations_;
    random_numbers numbers_;
    std::vector<std::uint32_t> shuffled_;
    Queue* queue_ = nullptr;
    std::size_t resident_ = 0;
    std::int64_t clock_cost_ = 0;
    then then_ = then::nothing;
    bool checks_ = false;
    std::vector<std::int64_t> asked_; // since the monotonic clock's epoch
    std::int64_t last_ = 0;
    std::uint64_t inversions_ = 0;
    std::uint64_t early_ = 0;
    std::int64_t earliest_ = 0;
};

/// What most have in common.
struct usual_queue {
    static constexpr bool expires = true;
    void settle() {}
};

inline const std::vector<std::string> every_operation{"schedule", "cancel", "reschedule", "connections", "traffic",
                                                      "put-off",  "expire", "hold",       "order",       "bytes"};

template <class Queue>
struct enlist_queue {
    explicit enlist_queue(const char* name, std::size_t most = 4'000'000,
                          const std::vector<std::string>& operations = every_operation)
    {
        queues()[name] = {operations, most, &workload<Queue>::run};
    }
};
