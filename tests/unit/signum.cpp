// Signal numbers and their names.

#include <tocsin/tocsin.hpp>

#include <climits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_set>

#include "support.hpp"

namespace {

using tocsin::parse_signal;
using tocsin::signum;

TEST(signum, converts_from_and_to_int)
{
    static_assert(std::is_convertible_v<int, signum>);
    static_assert(std::is_convertible_v<signum, int>);
    constexpr signum sig = SIGTERM;
    static_assert(sig == SIGTERM);
    static_assert(int{sig} == 15);
    EXPECT_EQ(std::unordered_set<signum>({SIGINT, SIGTERM, SIGINT}).size(), 2U);
}

TEST(signum, in_range_is_1_to_nsig_minus_1)
{
    static_assert(tocsin::nsig == 65);
    static_assert(tocsin::nsig == _NSIG);
    static_assert(!signum(0).in_range());
    static_assert(signum(1).in_range());
    static_assert(signum(64).in_range());
    static_assert(!signum(65).in_range());
    static_assert(!signum(-1).in_range());
    static_assert(!signum(INT_MIN).in_range());
    static_assert(!signum(INT_MAX).in_range());
}

TEST(signum, standard_signals_have_their_canonical_names)
{
    const std::pair<int, const char*> names[] = {
        {SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"},
        {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
        {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"}, {SIGSEGV, "SIGSEGV"}, {SIGUSR2, "SIGUSR2"},
        {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"}, {SIGCHLD, "SIGCHLD"},
        {SIGCONT, "SIGCONT"}, {SIGSTOP, "SIGSTOP"}, {SIGTSTP, "SIGTSTP"}, {SIGTTIN, "SIGTTIN"},
        {SIGTTOU, "SIGTTOU"}, {SIGURG, "SIGURG"},   {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"},
        {SIGPROF, "SIGPROF"}, {SIGIO, "SIGIO"},     {SIGPWR, "SIGPWR"},   {SIGWINCH, "SIGWINCH"},
        {SIGSYS, "SIGSYS"},   {SIGIOT, "SIGABRT"},  {SIGPOLL, "SIGIO"},   {SIGVTALRM, "SIGVTALRM"},
    };
    for (const auto& [number, name] : names)
        EXPECT_EQ(signum(number).name(), name);
}

TEST(signum, real_time_signals_are_named_from_the_nearer_end)
{
    EXPECT_EQ(signum(SIGRTMIN).name(), "SIGRTMIN");
    EXPECT_EQ(signum(SIGRTMIN + 3).name(), "SIGRTMIN+3");
    EXPECT_EQ(signum(SIGRTMAX - 2).name(), "SIGRTMAX-2");
    EXPECT_EQ(signum(SIGRTMAX).name(), "SIGRTMAX");
}

TEST(signum, any_int_can_be_named)
{
    EXPECT_EQ(signum(32).name(), "signal 32");
    EXPECT_EQ(signum(33).name(), "signal 33");
    EXPECT_EQ(signum(0).name(), "signal 0");
    EXPECT_EQ(signum(65).name(), "signal 65");
    EXPECT_EQ(signum(-1).name(), "signal -1");
    EXPECT_EQ(signum(INT_MAX).name(), "signal 2147483647");
    EXPECT_EQ(signum(INT_MIN).name(), "signal -2147483648");
}

TEST(parse_signal, reads_every_name_back)
{
    for (const signum sig : tocsin::valid_signals()) {
        const auto read = parse_signal(sig.name());
        ASSERT_TRUE(read) << sig.name();
        EXPECT_EQ(*read, sig);
    }
}

TEST(parse_signal, reads_names_numbers_and_aliases_in_any_case)
{
    const std::pair<const char*, int> texts[] = {{"int", SIGINT},
                                                 {"INT", SIGINT},
                                                 {"SIGINT", SIGINT},
                                                 {"sigint", SIGINT},
                                                 {"SigInt", SIGINT},
                                                 {"2", SIGINT},
                                                 {"64", 64},
                                                 {"iot", SIGABRT},
                                                 {"CLD", SIGCHLD},
                                                 {"SIGPOLL", SIGIO},
                                                 {"RTMIN", SIGRTMIN},
                                                 {"RTMIN+3", SIGRTMIN + 3},
                                                 {"rtmin+0", SIGRTMIN},
                                                 {"RTMAX", SIGRTMAX},
                                                 {"SIGRTMAX-1", SIGRTMAX - 1},
                                                 {"SIGRTMIN+30", SIGRTMAX},
                                                 {"RTMAX-30", SIGRTMIN}};
    for (const auto& [text, number] : texts) {
        const auto read = parse_signal(text);
        ASSERT_TRUE(read) << text;
        EXPECT_EQ(*read, number) << text;
    }
}

TEST(parse_signal, refuses_everything_else)
{
    for (const char* const text : {"",
                                   "0",
                                   "65",
                                   "-1",
                                   "+2",
                                   " 2",
                                   "2 ",
                                   "2x",
                                   "SIG",
                                   "SIG2",
                                   "SIGSIGINT",
                                   "foo",
                                   "RTMIN+",
                                   "RTMIN-1",
                                   "RTMAX+1",
                                   "RTMIN+31",
                                   "RTMAX-31",
                                   "RTMIN+-1",
                                   "RTMIN++1",
                                   "RTMIN+1x",
                                   "RTMINX",
                                   "IN",
                                   "INTX",
                                   "99999999999999999999",
                                   "RTMIN+99999999999999999999",
                                   "\xff",
                                   "signal 32"})
        EXPECT_FALSE(parse_signal(text)) << '"' << text << '"';
    EXPECT_FALSE(parse_signal(std::string_view("INT\0", 4)));
    EXPECT_FALSE(parse_signal(std::string_view()));
}

TEST(strsignal, gives_the_c_librarys_descriptions)
{
    EXPECT_EQ(tocsin::strsignal(SIGINT), "Interrupt");
    EXPECT_EQ(tocsin::strsignal(SIGTERM), "Terminated");
    EXPECT_EQ(tocsin::strsignal(SIGRTMIN), "Real-time signal 0");
    EXPECT_EQ(tocsin::strsignal(SIGRTMIN + 1), "Real-time signal 1");
    EXPECT_EQ(tocsin::strsignal(SIGRTMAX), "Real-time signal 30");
}

TEST(strsignal, is_empty_for_reserved_numbers_and_full_for_all_others)
{
    for (int sig = 1; sig < tocsin::nsig; ++sig)
        EXPECT_EQ(tocsin::strsignal(sig).has_value(), sig != 32 && sig != 33) << sig;
}

TEST(strsignal, refuses_numbers_out_of_range_and_names_them)
{
    for (const int sig : {0, 65, -1, INT_MIN, INT_MAX}) {
        const std::string text = support::message_of<std::out_of_range>([&] { (void)tocsin::strsignal(sig); });
        EXPECT_NE(text.find("strsignal"), std::string::npos) << text;
        EXPECT_NE(text.find(' ' + std::to_string(sig) + ' '), std::string::npos) << text;
        EXPECT_NE(text.find("[1; 64]"), std::string::npos) << text;
    }
}

} // namespace
