#pragma once

#include <tocsin/timer_fd.hpp>

#include <cstdint>

#include "log.hpp"

namespace demo {

/// A timer that expires at whole multiples of its period after it was made, and keeps account of how well it did.
class ticker {
public:
    ticker(const char* name, clock::duration period)
        : name_(name)
        , period_(period)
        , made_(clock::now())
        , timer_(CLOCK_MONOTONIC, tocsin::timer_fd::nonblock)
    {
        // Absolute: the account is about exact points in time, not about when settime_ns() was reached.
        timer_.settime_ns((made_ + period).time_since_epoch(), period, tocsin::timer_fd::abstime);
    }

    [[nodiscard]] int native_handle() const noexcept { return timer_.native_handle(); }
    [[nodiscard]] const char* name() const noexcept { return name_; }
    [[nodiscard]] clock::duration period() const noexcept { return period_; }

    /// Expirations since the last call. More than one: the program was busy, and the kernel counted on.
    std::uint64_t take()
    {
        const std::uint64_t expired = timer_.try_read().expirations;
        if (expired == 0)
            return 0;
        ticks_ += expired;
        merged_ += expired - 1;
        const auto late = clock::now() - (made_ + static_cast<clock::rep>(ticks_) * period_);
        if (late < clock::duration::zero())
            ++early_;
        latest_ = std::max(latest_, late);
        return expired;
    }

    [[nodiscard]] std::uint64_t ticks() const noexcept { return ticks_; }
    /// How many there should have been by now.
    [[nodiscard]] std::uint64_t due() const { return static_cast<std::uint64_t>((clock::now() - made_) / period_); }
    /// Ticks that were read together with a later one.
    [[nodiscard]] std::uint64_t merged() const noexcept { return merged_; }
    [[nodiscard]] std::uint64_t early() const noexcept { return early_; }
    [[nodiscard]] clock::duration latest() const noexcept { return latest_; }

private:
    const char* name_;
    clock::duration period_;
    clock::time_point made_;
    tocsin::timer_fd timer_;
    std::uint64_t ticks_ = 0;
    std::uint64_t merged_ = 0;
    std::uint64_t early_ = 0;
    clock::duration latest_{};
};

} // namespace demo
