// G14 against a simple model (timer_model.hpp): any sequence of operations, on a virtual clock.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>

#include "stress.hpp"
#include "timer_model.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

struct chance {
    std::int64_t pick(std::int64_t below) { return std::uniform_int_distribution<std::int64_t>(0, below - 1)(random); }
    static bool over() { return ::testing::Test::HasFailure(); }
    static void require(bool holds, const char* what)
    {
        if (!holds)
            ADD_FAILURE() << what;
    }
    std::mt19937_64 random = stress::make_chance();
};

void play(nanoseconds span, nanoseconds step)
{
    chance random;
    timer_model::player one(random, span, step, 500);
    one.play(static_cast<std::size_t>(stress::size(100'000, 2'000'000)), 64);
    EXPECT_GT(one.expired(), 1000U);
}

TEST(G14, any_sequence_of_operations_expires_as_the_model_says_within_microseconds) { play(50us, 3us); }
TEST(G14, any_sequence_of_operations_expires_as_the_model_says_within_milliseconds) { play(20ms, 1ms); }
TEST(G14, any_sequence_of_operations_expires_as_the_model_says_within_a_minute) { play(60s, 2s); }
TEST(G14, any_sequence_of_operations_expires_as_the_model_says_within_minutes) { play(500s, 10s); }
TEST(G14, any_sequence_of_operations_expires_as_the_model_says_within_weeks) { play(24h * 20, 6h); }
TEST(G14, any_sequence_of_operations_expires_as_the_model_says_within_centuries) { play(24h * 365 * 40, 24h * 300); }

} // namespace
