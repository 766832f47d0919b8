// How lengths of time are taken: rounding, range, what is refused.

#include <tocsin/tocsin.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using tocsin::seconds;

constexpr std::int64_t ns(seconds time) { return time.nanoseconds("test").count(); }

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr auto longest = std::chrono::nanoseconds::max();
constexpr auto most_negative = std::chrono::nanoseconds::min();

TEST(seconds, whole_numbers_are_seconds)
{
    static_assert(ns(0) == 0);
    static_assert(ns(1) == 1'000'000'000);
    static_assert(ns(-2) == -2'000'000'000);
    static_assert(ns(3U) == 3'000'000'000);
    static_assert(ns(std::int8_t{4}) == 4'000'000'000);
    static_assert(ns(9'223'372'036LL) == 9'223'372'036'000'000'000);
    static_assert(ns(-9'223'372'036LL) == -9'223'372'036'000'000'000);
}

TEST(seconds, floating_point_numbers_are_rounded_up_to_a_nanosecond)
{
    static_assert(ns(0.5) == 500'000'000);
    static_assert(ns(0.1F) == 100'000'002); // what the float holds: 0.100000001490...
    static_assert(ns(1e-9) == 1);
    static_assert(ns(1e-10) == 1);
    static_assert(ns(1.5e-9) == 2);
    static_assert(ns(0.0) == 0);
    static_assert(ns(-0.0) == 0);
    static_assert(ns(-1e-10) == -1);
    static_assert(ns(-1.5) == -1'500'000'000);
    static_assert(ns(-1.5e-9) == -2);
    static_assert(ns(2.5L) == 2'500'000'000);
    EXPECT_EQ(ns(std::numeric_limits<double>::denorm_min()), 1);
    EXPECT_EQ(ns(std::numeric_limits<double>::min()), 1);
}

TEST(seconds, a_time_above_zero_never_becomes_zero)
{
    for (double time = 1; time > 0; time /= 2)
        ASSERT_GT(ns(time), 0) << time;
}

TEST(seconds, a_time_too_small_for_a_double_keeps_its_sign)
{
    constexpr long double tiny = std::numeric_limits<long double>::denorm_min();
    constexpr double small = std::numeric_limits<double>::denorm_min();
    using float_ps = std::chrono::duration<double, std::pico>;
    static_assert(ns(tiny) == 1 && ns(-tiny) == -1);
    static_assert(ns(std::chrono::duration<long double, std::nano>(-tiny)) == -1);
    static_assert(ns(float_ps(small)) == 1 && ns(float_ps(-small)) == -1);
    // What refuses a negative time asks for the sign of this.
    for (const seconds time :
         {seconds(-tiny), seconds(float_ps(-small)), seconds(std::chrono::duration<float>(-1e-45F)),
          seconds(std::chrono::duration<double, std::atto>(-small))})
        EXPECT_LT(time.given(), 0);
    EXPECT_EQ(seconds(-0.0).given(), 0);
}

TEST(seconds, durations_of_whole_ticks_are_exact)
{
    static_assert(ns(250ms) == 250'000'000);
    static_assert(ns(7us) == 7'000);
    static_assert(ns(1ns) == 1);
    static_assert(ns(2h) == 7'200'000'000'000);
    static_assert(ns(-1ns) == -1);
    static_assert(ns(longest) == INT64_MAX);
    static_assert(ns(most_negative) == INT64_MIN);
    static_assert(ns(std::chrono::duration<std::uint64_t, std::nano>(INT64_MAX)) == INT64_MAX);
}

TEST(seconds, durations_of_odd_periods_are_rounded_up)
{
    using thirds = std::chrono::duration<int, std::ratio<1, 3>>;
    using frames = std::chrono::duration<std::int64_t, std::ratio<1001, 30000>>;
    using picoseconds = std::chrono::duration<std::int64_t, std::pico>;
    using years = std::chrono::duration<int, std::ratio<31556952>>;
    static_assert(ns(thirds(1)) == 333'333'334);
    static_assert(ns(thirds(3)) == 1'000'000'000);
    static_assert(ns(thirds(-1)) == -333'333'334);
    static_assert(ns(frames(1)) == 33'366'667);
    static_assert(ns(picoseconds(1)) == 1);
    static_assert(ns(picoseconds(1000)) == 1);
    static_assert(ns(picoseconds(1001)) == 2);
    static_assert(ns(picoseconds(-1)) == -1);
    static_assert(ns(years(292)) == 31556952LL * 292 * 1'000'000'000);
}

TEST(seconds, floating_point_durations_are_rounded_up_once)
{
    using float_ns = std::chrono::duration<double, std::nano>;
    using float_ms = std::chrono::duration<double, std::milli>;
    using float_minutes = std::chrono::duration<float, std::ratio<60>>;
    using float_ps = std::chrono::duration<double, std::pico>;
    for (int n = 1; n < 5000; ++n) {
        ASSERT_EQ(ns(float_ns(n)), n);
        ASSERT_EQ(ns(float_ms(n)), n * 1'000'000LL);
        ASSERT_EQ(ns(float_ps(n * 1000.0)), n);
    }
    static_assert(ns(float_ns(2.25)) == 3);
    static_assert(ns(float_minutes(0.5F)) == 30'000'000'000);
    EXPECT_EQ(ns(float_ns(9007199254740993.0)), 9007199254740992);
}

TEST(seconds, nan_is_an_invalid_argument)
{
    for (const seconds time : {seconds(std::nan("")), seconds(-std::nan("")), seconds(std::nanf("")),
                               seconds(std::chrono::duration<double>(std::nan("")))}) {
        const std::string text =
            support::message_of<std::invalid_argument>([&] { (void)time.nanoseconds("some_call"); });
        EXPECT_EQ(text, "some_call: NaN is not a time");
    }
}

TEST(seconds, what_does_not_fit_overflows_and_is_named)
{
    const std::pair<seconds, const char*> times[] = {
        {infinity, "inf s"},
        {-infinity, "-inf s"},
        {1e300, "1e+300 s"},
        {-1e300, "-1e+300 s"},
        {9.3e9, "9.3e+09 s"},
        {9'223'372'037LL, "9.22337e+09 s"},
        {INT64_MAX, "9.22337e+18 s"},
        {INT64_MIN, "-9.22337e+18 s"},
        {UINT64_MAX, "1.84467e+19 s"},
        {std::chrono::hours(INT32_MAX), "7.73094e+12 s"},
        {std::chrono::duration<std::uint64_t, std::nano>(UINT64_MAX), "1.84467e+10 s"},
        {std::chrono::duration<std::int64_t, std::ratio<INT64_MAX>>(INT64_MAX), "8.50706e+37 s"},
        {std::chrono::duration<double>(infinity), "inf s"},
    };
    for (const auto& [time, given] : times) {
        const std::string text =
            support::message_of<std::overflow_error>([&t = time] { (void)t.nanoseconds("some_call"); });
        EXPECT_EQ(text.rfind("some_call: ", 0), 0U) << text;
        EXPECT_NE(text.find(given), std::string::npos) << text << " should name " << given;
        EXPECT_NE(text.find("292 years"), std::string::npos) << text;
    }
}

TEST(seconds, the_largest_that_fits_does_and_the_next_does_not)
{
    EXPECT_EQ(ns(-9223372036.854775808), INT64_MIN);
    const double limit = 9223372036.854775808;
    EXPECT_NO_THROW((void)ns(std::nextafter(limit, 0)));
    EXPECT_THROW((void)ns(std::nextafter(limit, infinity)), std::overflow_error);
    EXPECT_THROW((void)ns(limit), std::overflow_error);
}

TEST(seconds, given_is_what_was_given)
{
    EXPECT_EQ(seconds(1.5).given(), 1.5);
    EXPECT_EQ(seconds(250ms).given(), 0.25);
    EXPECT_TRUE(std::isnan(seconds(std::nan("")).given()));
}

} // namespace
