#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>

#include <tocsin/config.hpp>

namespace tocsin {

/// How functions here take a length of time: a number of seconds (any arithmetic type) or any std::chrono::duration.
/// Kept as whole nanoseconds, rounded up, so that a time above zero never becomes zero. NaN, infinity and what does
/// not fit 64 bits of nanoseconds (292 years) are remembered and refused by the function that uses the value.
class seconds {
public:
    // NOLINTBEGIN(google-explicit-constructor): the point of this class is to be converted to.
    template <std::integral T>
    constexpr seconds(T count) noexcept
        : seconds(std::chrono::duration<T>(count))
    {}

    template <std::floating_point T>
    constexpr seconds(T count) noexcept
        : given_(static_cast<double>(count))
    {
        from_double();
    }

    template <class Rep, class Period>
    constexpr seconds(std::chrono::duration<Rep, Period> time) noexcept
        : given_(static_cast<double>(time.count()) * static_cast<double>(Period::num) /
                 static_cast<double>(Period::den))
    {
        if constexpr (std::chrono::treat_as_floating_point_v<Rep>)
            from_double();
        else
            from_ratio(time.count(), Period::num, Period::den);
    }
    // NOLINTEND(google-explicit-constructor)

    /// The value as it was given, for messages.
    [[nodiscard]] constexpr double given() const noexcept { return given_; }
    [[nodiscard]] constexpr bool negative() const noexcept { return state_ == state::fits ? ns_ < 0 : given_ < 0; }

    /// Whole nanoseconds, rounded up.
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

    constexpr void from_double() noexcept
    {
        constexpr double limit = 9223372036854775808.0; // 2^63
        const double ns = given_ * static_cast<double>(per_second);
        if (ns != ns) {
            state_ = state::not_a_number;
        } else if (ns >= limit || ns < -limit) {
            state_ = state::too_large;
        } else {
            ns_ = static_cast<std::int64_t>(ns);
            if (static_cast<double>(ns_) < ns)
                ++ns_; // ns is below 2^53 here: larger doubles are whole numbers
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
        if (scaled % den > 0)
            ++ns;
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
