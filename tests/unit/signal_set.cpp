// Sets of signals.

#include <tocsin/tocsin.hpp>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "support.hpp"

namespace {

using tocsin::signal_set;
using tocsin::signum;

std::vector<int> members(const signal_set& set) { return {set.begin(), set.end()}; }

TEST(signal_set, is_a_constant_expression)
{
    constexpr signal_set set{SIGTERM, SIGINT, SIGINT};
    static_assert(set.size() == 2);
    static_assert(set.contains(SIGINT) && set.contains(SIGTERM) && !set.contains(SIGHUP));
    static_assert(*set.begin() == SIGINT);
    static_assert((set | signal_set{SIGHUP}).size() == 3);
    static_assert((set & signal_set{SIGINT, SIGHUP}) == signal_set{SIGINT});
    static_assert((set - signal_set{SIGINT, SIGHUP}) == signal_set{SIGTERM});
    static_assert(signal_set{}.empty());
    static_assert(signal_set::from_bits(set.to_bits()) == set);
    static_assert([] {
        signal_set changed{SIGINT};
        changed.insert(64);
        changed.erase(SIGINT);
        changed.erase(SIGHUP);
        return changed == signal_set{64};
    }());
}

TEST(signal_set, iterates_in_ascending_order)
{
    const signal_set set{SIGRTMAX, SIGTERM, 1, SIGINT};
    EXPECT_EQ(members(set), (std::vector<int>{1, SIGINT, SIGTERM, SIGRTMAX}));
    EXPECT_TRUE(members(signal_set{}).empty());
    EXPECT_EQ(members(signal_set::from_bits(~std::uint64_t{0})).size(), 64U);
    static_assert(std::forward_iterator<signal_set::const_iterator>);
    EXPECT_EQ(std::count(set.begin(), set.end(), signum(SIGTERM)), 1);
    auto it = set.begin();
    EXPECT_EQ(*it++, 1);
    EXPECT_EQ(*it, SIGINT);
}

TEST(signal_set, bit_n_minus_1_stands_for_signal_n)
{
    EXPECT_EQ(signal_set{1}.to_bits(), 1U);
    EXPECT_EQ(signal_set{64}.to_bits(), std::uint64_t{1} << 63);
    EXPECT_EQ(members(signal_set::from_bits(0b110)), (std::vector<int>{2, 3}));
}

TEST(signal_set, compound_operators_do_what_their_parts_do)
{
    signal_set set{SIGINT};
    set |= signal_set{SIGTERM, SIGHUP};
    EXPECT_EQ(set, (signal_set{SIGINT, SIGTERM, SIGHUP}));
    set -= signal_set{SIGINT};
    set &= signal_set{SIGTERM, SIGINT};
    EXPECT_EQ(set, signal_set{SIGTERM});
    set.clear();
    EXPECT_TRUE(set.empty());
}

TEST(signal_set, refuses_numbers_out_of_range_and_changes_nothing)
{
    signal_set set{SIGINT};
    for (const int sig : {0, 65, -1, 1 << 30}) {
        for (const std::string& text : {support::message_of<std::out_of_range>([&] { set.insert(sig); }),
                                        support::message_of<std::out_of_range>([&] { set.erase(sig); }),
                                        support::message_of<std::out_of_range>([&] {
                                            (void)signal_set{SIGTERM, sig};
                                        })}) {
            EXPECT_NE(text.find(' ' + std::to_string(sig) + ' '), std::string::npos) << text;
            EXPECT_NE(text.find("[1; 64]"), std::string::npos) << text;
        }
        EXPECT_FALSE(set.contains(sig));
    }
    EXPECT_EQ(set, signal_set{SIGINT});
}

TEST(signal_set, goes_to_a_c_set_and_back)
{
    const signal_set set{SIGINT, SIGTERM, SIGRTMIN + 2};
    const sigset_t native = set.native();
    for (const signum sig : tocsin::valid_signals())
        EXPECT_EQ(::sigismember(&native, sig) == 1, set.contains(sig)) << sig;
    EXPECT_EQ(signal_set(native), set);
    static_assert(!std::is_convertible_v<sigset_t, signal_set>);
}

TEST(signal_set, a_reserved_member_does_not_go_to_a_c_set)
{
    for (const int sig : {32, 33}) {
        const std::string text = support::message_of<std::invalid_argument>([&] {
            (void)(signal_set{SIGINT, sig}.native());
        });
        EXPECT_NE(text.find("signal " + std::to_string(sig)), std::string::npos) << text;
        EXPECT_NE(text.find("valid_signals"), std::string::npos) << text;
    }
}

TEST(signal_set, a_c_set_with_reserved_members_loses_them)
{
    sigset_t raw;
    ::sigemptyset(&raw);
    reinterpret_cast<unsigned long*>(&raw)[0] = ~0UL;
    EXPECT_EQ(signal_set(raw), tocsin::valid_signals());
}

TEST(valid_signals, is_everything_but_what_the_c_library_reserves)
{
    const signal_set valid = tocsin::valid_signals();
    EXPECT_EQ(valid.size(), 62U);
    EXPECT_EQ(members(signal_set::from_bits(~std::uint64_t{0}) - valid), (std::vector<int>{32, 33}));
    EXPECT_NO_THROW((void)valid.native());
}

} // namespace
