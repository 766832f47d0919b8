#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <numeric>

#include <tocsin/config.hpp>

namespace tocsin {

/// How functions here take a length of time: a number of seconds (any arithmetic type) or any std::chrono::duration.
/// Kept as whole nanoseconds, rounded away from zero, so that a time above zero never becomes zero and a negative one is
/// refused however small it is. NaN, infinity and what does not fit 64 bits of nanoseconds (292 years) are remembered
/// and refused by the function that uses the value.
class seconds {
public:
    template <std::integral T>
    constexpr seconds(T count) noexcept
        : seconds(std::chrono::duration<T>(count))
    {}

    template <std::floating_point T>
    constexpr seconds(T count) noexcept
        : given_(with_sign(static_cast<double>(count), sign_of(count)))
    {
        from_nanoseconds(given_ * static_cast<double>(per_second));
    }

    template <class Rep, class Period>
    constexpr seconds(std::chrono::duration<Rep, Period> time) noexcept
        : given_(with_sign(static_cast<double>(time.count()) * static_cast<double>(Period::num) /
                               static_cast<double>(Period::den),
                           sign_of(time)))
    {
        if constexpr (std::chrono::treat_as_floating_point_v<Rep>) {
            // The ratio reduced, so that whole nanoseconds, microseconds and milliseconds stay whole.
            constexpr std::intmax_t common = std::gcd(std::intmax_t{Period::den}, std::intmax_t{per_second});
            constexpr std::intmax_t per_tick = per_second / common;
            constexpr std::intmax_t ticks = Period::den / common;
            from_nanoseconds(with_sign(static_cast<double>(time.count()) *
                                           (static_cast<double>(Period::num) * static_cast<double>(per_tick)) /
                                           static_cast<double>(ticks),
                                       sign_of(time)));
        } else {
            from_ratio(time.count(), Period::num, Period::den);
        }
    }

    /// The value as it was given, for messages.
    [[nodiscard]] constexpr double given() const noexcept { return given_; }

    /// Whole nanoseconds.
    /// Errors: std::invalid_argument for NaN, std::overflow_error for what does not fit; both begin with `function`.
    [[nodiscard]] constexpr std::chrono::nanoseconds nanoseconds(const char* function) const
    {
        if (state_ != state::fits)
            refuse(function);
        return std::chrono::nanoseconds{ns_};
    }

private:
    enum class state : unsigned char { fits, not_a_number, too_large };
    __extension__ using wide = __int128;
    static constexpr std::int64_t per_second = 1'000'000'000;

    template <class T>
    static constexpr int sign_of(const T& value) noexcept
    {
        return static_cast<int>(value > T{}) - static_cast<int>(value < T{});
    }

    // A time too small for a double (a long double, a fraction of picoseconds) is not zero.
    static constexpr double with_sign(double value, int sign) noexcept
    {
        return value != 0 ? value : sign * std::numeric_limits<double>::denorm_min();
    }

    constexpr void from_nanoseconds(double ns) noexcept
    {
        constexpr double limit = 9223372036854775808.0; // 2^63
        if (ns != ns) {
            state_ = state::not_a_number;
        } else if (ns >= limit || ns < -limit) {
            state_ = state::too_large;
        } else {
            ns_ = static_cast<std::int64_t>(ns);
            if (const auto whole = static_cast<double>(ns_); whole != ns)
                ns_ += ns > 0 ? 1 : -1; // |ns| is below 2^53 here: larger doubles are whole numbers
        }
    }

    template <class Rep>
    constexpr void from_ratio(Rep count, std::intmax_t num, std::intmax_t den) noexcept
    {
        wide scaled = 0;
        if (__builtin_mul_overflow(static_cast<wide>(count), static_cast<wide>(num) * per_second, &scaled)) {
            state_ = state::too_large;
            return;
        }
        wide ns = scaled / den;
        if (scaled % den != 0)
            ns += scaled > 0 ? 1 : -1;
        if (ns > std::numeric_limits<std::int64_t>::max() || ns < std::numeric_limits<std::int64_t>::min())
            state_ = state::too_large;
        else
            ns_ = static_cast<std::int64_t>(ns);
    }

    [[noreturn]] TOCSIN_API void refuse(const char* function) const;

    double given_;
    std::int64_t ns_ = 0;
    state state_ = state::fits;
};

} // namespace tocsin
