#pragma once

// What the tests of timer_queue, interval and virtual_clock share.

#include <tocsin/tocsin.hpp>

#include <poll.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storm.hpp"

namespace support {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// Whether a descriptor is readable, at once or within a time.
inline bool readable(int fd, int milliseconds = 0)
{
    pollfd each{fd, POLLIN, 0};
    return ::poll(&each, 1, milliseconds) == 1 && (each.revents & POLLIN) != 0;
}

/// The clock that a number stands for.
inline nanoseconds now_of(int clock)
{
    timespec now{};
    ::clock_gettime(clock, &now);
    return std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

inline std::chrono::steady_clock::time_point steady(nanoseconds time)
{
    return std::chrono::steady_clock::time_point(time);
}

/// A queue on a clock of its own, timers that write a letter each, and what they have written.
class written {
public:
    explicit written(nanoseconds start = 1000s)
        : clock(CLOCK_MONOTONIC, start)
    {}
    /// A timer that writes `letter`, in no queue yet.
    tocsin::timer& make(char letter, std::function<void()> also = {})
    {
        timers_.push_back(std::make_unique<mine>(*this, letter, std::move(also)));
        return *timers_.back();
    }
    tocsin::timer& add(char letter, nanoseconds delay, std::function<void()> also = {})
    {
        tocsin::timer& made = make(letter, std::move(also));
        queue.schedule(made, delay);
        return made;
    }
    void destroy(const tocsin::timer& which)
    {
        std::erase_if(timers_, [&](const auto& each) { return each.get() == &which; });
    }
    /// What is written when that much time has passed and run_expired() is called.
    std::string after(tocsin::seconds time, std::size_t limit = SIZE_MAX)
    {
        clock.advance(time);
        return run(limit);
    }
    std::string run(std::size_t limit = SIZE_MAX)
    {
        text.clear();
        const std::size_t ran = queue.run_expired(limit);
        EXPECT_EQ(ran, text.size());
        return text;
    }
    [[nodiscard]] bool is_readable() const { return readable(queue.native_handle()); }

    tocsin::virtual_clock clock;
    tocsin::timer_queue queue{clock};
    std::string text;

private:
    struct mine : tocsin::timer {
        mine(written& to, char c, std::function<void()> f)
            : timer([](timer& self) {
                auto& me = static_cast<mine&>(self);
                me.owner.text += me.letter;
                const auto last = me.also; // which may destroy the timer
                if (last)
                    last();
            })
            , owner(to)
            , letter(c)
            , also(std::move(f))
        {}
        written& owner;
        char letter;
        std::function<void()> also;
    };
    std::vector<std::unique_ptr<mine>> timers_;
};

} // namespace support
