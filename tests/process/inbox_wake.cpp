// inbox::wake() ends one wait and leaves nothing behind.

#include <tocsin/tocsin.hpp>

#include <cstdint>
#include <ctime>

#include "support.hpp"

namespace {

std::int64_t processor_time()
{
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return std::int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
}

TEST(inbox, after_wake_it_waits_again_without_spinning)
{
    tocsin::inbox box;
    box.wake();
    EXPECT_FALSE(box.wait());
    box.wake();
    EXPECT_FALSE(box.wait(10));
    const std::int64_t before = processor_time();
    EXPECT_FALSE(box.wait(0.5));
    EXPECT_LT(processor_time() - before, 250'000'000);
}

} // namespace
