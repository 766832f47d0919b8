// The checks that many functions share.

#include "fail.hpp"

#include <cerrno>
#include <climits>
#include <string>

#include "support.hpp"

namespace {

using namespace tocsin::detail;

TEST(is_reserved, is_what_lies_between_the_standard_and_the_real_time_signals)
{
    for (int sig = -1; sig <= 70; ++sig)
        EXPECT_EQ(is_reserved(sig), sig == 32 || sig == 33) << sig;
    EXPECT_FALSE(is_reserved(INT_MIN));
    EXPECT_FALSE(is_reserved(INT_MAX));
}

TEST(require_in_range, names_function_number_and_rule)
{
    EXPECT_NO_THROW(require_in_range(1, "f"));
    EXPECT_NO_THROW(require_in_range(64, "f"));
    EXPECT_EQ(support::message_of<std::out_of_range>([] { require_in_range(65, "f"); }),
              "f: signal number 65 is out of range [1; 64]");
    EXPECT_EQ(support::message_of<std::out_of_range>([] { require_in_range(0, "f"); }),
              "f: signal number 0 is out of range [1; 64]");
}

TEST(require_sendable, zero_passes_only_where_it_means_check)
{
    EXPECT_NO_THROW(require_sendable(0, "f", true));
    EXPECT_THROW(require_sendable(0, "f", false), std::out_of_range);
    for (const bool zero_checks : {true, false}) {
        EXPECT_NO_THROW(require_sendable(SIGKILL, "f", zero_checks));
        EXPECT_THROW(require_sendable(-1, "f", zero_checks), std::out_of_range);
        EXPECT_THROW(require_sendable(65, "f", zero_checks), std::out_of_range);
        EXPECT_EQ(support::errno_of([&] { require_sendable(32, "f", zero_checks); }), EINVAL);
        const std::string text =
            support::message_of<std::system_error>([&] { require_sendable(33, "f", zero_checks); });
        EXPECT_EQ(text.rfind("f: signal 33 is reserved by the C library", 0), 0U) << text;
    }
}

TEST(check, passes_results_and_throws_negated_errnos)
{
    EXPECT_NO_THROW(check(0, "f"));
    EXPECT_NO_THROW(check(7, "f"));
    EXPECT_EQ(support::errno_of([] { check(-ENOENT, "f"); }), ENOENT);
    EXPECT_EQ(support::message_of<std::system_error>([] { check(-ENOENT, "f"); }), "f: No such file or directory");
}

TEST(describe, gives_a_time_in_seconds)
{
    EXPECT_EQ(describe(1.5), "1.5 s");
    EXPECT_EQ(describe(-1), "-1 s");
}

} // namespace
