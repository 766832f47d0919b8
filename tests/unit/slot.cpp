// The words that the trip routine shares with ordinary code.

#include "slot.hpp"

#include "support.hpp"

namespace {

using namespace tocsin::detail;

slot& spare() { return slots[slot_count - 1]; }

TEST(wake_target, packs_and_unpacks_to_itself)
{
    for (const int fd : {-1, 0, 1, 2, 1023, 65536, (1 << 30)}) {
        for (const bool warn : {true, false}) {
            const auto back = wake_target::unpack(wake_target{fd, warn}.pack());
            EXPECT_EQ(back.fd, fd);
            EXPECT_EQ(back.warn_on_full_buffer, warn);
        }
    }
    static_assert(wake_target::unpack(wake_target{7, false}.pack()).fd == 7);
}

TEST(wake_target, zero_is_no_target_so_that_a_fresh_slot_wakes_nobody)
{
    static_assert(wake_target{}.pack() == 0);
    static_assert(wake_target::unpack(0).fd == -1);
    static_assert(wake_target::unpack(0).warn_on_full_buffer);
}

TEST(slot, bits_and_indices_follow_the_signal_number)
{
    static_assert(index_of(1) == 0 && index_of(64) == 63);
    static_assert(bit_of(1) == 1 && bit_of(64) == std::uint64_t{1} << 63);
    EXPECT_EQ(&slots[main_slot].pending(), &main_pending);
    EXPECT_NE(&spare().pending(), &main_pending);
}

TEST(record, states_and_count_share_no_bit)
{
    static_assert((record::writing & record::full) == 0);
    static_assert((record::count_mask & (record::writing | record::full)) == 0);
    static_assert((record::count_mask | record::writing | record::full) == ~std::uint64_t{0});
}

TEST(record, an_empty_one_is_not_taken)
{
    EXPECT_FALSE(take(spare(), SIGUSR1));
    EXPECT_FALSE(being_written(spare(), SIGUSR1));
}

TEST(record, a_full_one_is_taken_once_with_its_count)
{
    record& mine = spare().records[index_of(SIGUSR1)];
    mine.info.si_signo = SIGUSR1;
    mine.info.si_pid = 42;
    mine.word = record::full | 3;
    EXPECT_FALSE(being_written(spare(), SIGUSR1));
    const auto taken = take(spare(), SIGUSR1);
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->count, 3U);
    EXPECT_EQ(taken->info.si_signo, SIGUSR1);
    EXPECT_EQ(taken->info.si_pid, 42);
    EXPECT_EQ(mine.word.load(), 0U);
    EXPECT_FALSE(take(spare(), SIGUSR1));
}

TEST(record, one_that_is_being_written_is_left_to_its_writer)
{
    record& mine = spare().records[index_of(SIGUSR2)];
    mine.word = record::writing | 2;
    EXPECT_TRUE(being_written(spare(), SIGUSR2));
    EXPECT_FALSE(take(spare(), SIGUSR2));
    EXPECT_EQ(mine.word.load(), record::writing | 2); // nothing is lost
    mine.word.fetch_xor(record::writing | record::full);
    EXPECT_EQ(take(spare(), SIGUSR2)->count, 2U);
}

} // namespace
