// Every value prints readably, and to_string says the same as operator<<.

#include <tocsin/tocsin.hpp>

#include <sstream>
#include <string>

#include "support.hpp"

namespace {

template <class T>
void expect_prints(const T& value, const std::string& text)
{
    std::ostringstream out;
    out << value;
    EXPECT_EQ(out.str(), text);
    EXPECT_EQ(tocsin::to_string(value), text);
}

TEST(printing, signal_numbers_and_sets)
{
    expect_prints(tocsin::signum(SIGINT), "SIGINT");
    expect_prints(tocsin::signum(SIGRTMIN + 3), "SIGRTMIN+3");
    expect_prints(tocsin::signum(99), "signal 99");
    expect_prints(tocsin::signal_set{SIGTERM, SIGINT}, "{SIGINT, SIGTERM}");
    expect_prints(tocsin::signal_set{}, "{}");
    expect_prints(tocsin::signal_set{32}, "{signal 32}");
}

TEST(printing, dispositions_and_kinds_of_handler)
{
    expect_prints(tocsin::default_action, "SIG_DFL");
    expect_prints(tocsin::ignore, "SIG_IGN");
    expect_prints(tocsin::handler_kind::default_action, "SIG_DFL");
    expect_prints(tocsin::handler_kind::ignore, "SIG_IGN");
    expect_prints(tocsin::handler_kind::callable, "callable");
    expect_prints(tocsin::handler_kind::foreign, "foreign");
    expect_prints(static_cast<tocsin::handler_kind>(9), "handler_kind(9)");
    expect_prints(tocsin::handler(SIG_IGN), "SIG_IGN");
    expect_prints(tocsin::handler([] {}), "callable");
}

TEST(printing, ways_to_change_a_mask)
{
    static_assert(static_cast<int>(tocsin::sigmask::block) == SIG_BLOCK);
    static_assert(static_cast<int>(tocsin::sigmask::unblock) == SIG_UNBLOCK);
    static_assert(static_cast<int>(tocsin::sigmask::set_mask) == SIG_SETMASK);
    expect_prints(tocsin::sigmask::block, "SIG_BLOCK");
    expect_prints(tocsin::sigmask::unblock, "SIG_UNBLOCK");
    expect_prints(tocsin::sigmask::set_mask, "SIG_SETMASK");
    EXPECT_EQ(tocsin::to_string(static_cast<tocsin::sigmask>(99)).rfind("99", 0), 0U);
}

TEST(printing, timers)
{
    expect_prints(tocsin::itimer::real, "ITIMER_REAL");
    expect_prints(tocsin::itimer::virtual_, "ITIMER_VIRTUAL");
    expect_prints(tocsin::itimer::prof, "ITIMER_PROF");
    EXPECT_NE(tocsin::to_string(static_cast<tocsin::itimer>(99)).find("99"), std::string::npos);
}

TEST(printing, origins)
{
    using tocsin::origin;
    const std::pair<origin, const char*> names[] = {
        {origin::unknown, "unknown"}, {origin::kernel, "kernel"},    {origin::terminal, "terminal"},
        {origin::user, "user"},       {origin::queue, "queue"},      {origin::timer, "timer"},
        {origin::child, "child"},     {origin::fault, "fault"},      {origin::tkill, "tkill"},
        {origin::mesgq, "mesgq"},     {origin::async_io, "async_io"}};
    for (const auto& [value, text] : names)
        expect_prints(value, text);
    expect_prints(static_cast<origin>(99), "origin(99)");
}

TEST(printing, siginfo_says_who_and_why)
{
    siginfo_t raw{};
    raw.si_signo = SIGTERM;
    raw.si_code = SI_USER;
    raw.si_pid = 4242;
    raw.si_uid = 1000;
    expect_prints(tocsin::siginfo(raw), "SIGTERM by user, pid 4242, uid 1000");
    raw.si_code = SI_QUEUE;
    raw.si_value.sival_int = -7;
    expect_prints(tocsin::siginfo(raw), "SIGTERM by queue, pid 4242, uid 1000, value -7");
    raw = {};
    raw.si_signo = SIGCHLD;
    raw.si_code = CLD_EXITED;
    raw.si_pid = 1;
    raw.si_uid = 2;
    raw.si_status = 3;
    expect_prints(tocsin::siginfo(raw), "SIGCHLD by child, pid 1, uid 2, status 3");
    expect_prints(tocsin::siginfo(), "signal 0 by unknown");
}

TEST(source_location, has_the_members_of_the_standard_one)
{
    const auto here = tocsin::source_location::current();
    EXPECT_EQ(here.line(), static_cast<unsigned>(__LINE__ - 1));
    EXPECT_NE(std::string(here.file_name()).find("printing.cpp"), std::string::npos);
#if defined(__cpp_lib_source_location) // else empty: see source_location.hpp
    EXPECT_NE(std::string(here.function_name()).find("TestBody"), std::string::npos);
#endif
    EXPECT_GT(here.column(), 0U);
    constexpr tocsin::source_location nowhere;
    static_assert(nowhere.line() == 0);
    EXPECT_STREQ(nowhere.file_name(), "");
    EXPECT_STREQ(nowhere.function_name(), "");
}

} // namespace
