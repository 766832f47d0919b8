// Safe points: order, exceptions (G11), nesting, and what a handler is told (G5).

#include <tocsin/tocsin.hpp>

#include <sys/ioctl.h>
#include <ctime>
#include <cstdlib>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "dispositions.hpp"

namespace {

using support::eventually;
using tocsin::event;

// Until `condition` holds, at safe points.
bool handled(const std::function<bool()>& condition)
{
    return eventually([&] {
        tocsin::check_signals();
        return condition();
    });
}

TEST(safe_point, handlers_run_there_and_not_before)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] { ++ran; });
    ::raise(SIGUSR1);
    EXPECT_EQ(ran, 0);
    tocsin::check_signals();
    EXPECT_EQ(ran, 1);
    tocsin::check_signals();
    EXPECT_EQ(ran, 1);
}

TEST(safe_point, handlers_run_in_ascending_order_of_number)
{
    SKIP_WITHOUT_SIGRTMAX();
    std::string order;
    for (const int sig : {SIGTERM, SIGRTMAX, SIGHUP, SIGRTMIN, SIGUSR1})
        tocsin::signal(sig, [&](tocsin::signum n) { order += n.name() + ' '; });
    for (const int sig : {SIGRTMAX, SIGTERM, SIGUSR1, SIGRTMIN, SIGHUP})
        ::raise(sig);
    tocsin::check_signals();
    EXPECT_EQ(order, "SIGHUP SIGUSR1 SIGTERM SIGRTMIN SIGRTMAX ");
}

TEST(safe_point, handlers_run_with_no_signal_blocked_by_the_library)
{
    tocsin::signal_set blocked{SIGINT};
    tocsin::signal(SIGUSR1, [&] { blocked = tocsin::pthread_sigmask(tocsin::sigmask::block, {}); });
    tocsin::raise_signal(SIGUSR1);
    EXPECT_TRUE(blocked.empty()) << blocked;
}

TEST(safe_point, handlers_run_on_the_main_thread_only)
{
    std::thread::id where;
    tocsin::signal(SIGUSR1, [&] { where = std::this_thread::get_id(); });
    ::raise(SIGUSR1);
    std::thread([&] {
        tocsin::check_signals();
        tocsin::raise_signal(SIGUSR1);
        tocsin::pthread_sigmask(tocsin::sigmask::block, {});
        EXPECT_EQ(where, std::thread::id());
    }).join();
    tocsin::check_signals();
    EXPECT_EQ(where, std::this_thread::get_id());
}

TEST(safe_point, one_that_arrives_during_its_own_handler_waits_for_the_next)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] {
        if (++ran < 3)
            ::raise(SIGUSR1);
    });
    ::raise(SIGUSR1);
    for (int expected = 1; expected <= 3; ++expected) {
        tocsin::check_signals();
        EXPECT_EQ(ran, expected);
    }
    tocsin::check_signals();
    EXPECT_EQ(ran, 3);
}

TEST(safe_point, a_low_number_that_keeps_arriving_does_not_starve_a_higher_one)
{
    bool ran = false;
    int floods = 0;
    tocsin::signal(SIGHUP, [&] {
        ++floods;
        ::raise(SIGHUP);
    });
    tocsin::signal(SIGTERM, [&] { ran = true; });
    ::raise(SIGHUP);
    ::raise(SIGTERM);
    tocsin::check_signals();
    EXPECT_TRUE(ran);
    EXPECT_EQ(floods, 1);
}

TEST(G11, an_exception_leaves_from_the_safe_point_and_the_rest_stays_pending)
{
    std::string order;
    for (const int sig : {SIGHUP, SIGUSR2, SIGTERM, SIGPROF})
        tocsin::signal(sig, [&](tocsin::signum n) { order += n.name() + ' '; });
    tocsin::signal(SIGUSR1, [&] {
        order += "throw ";
        throw std::runtime_error("from the handler");
    });
    for (const int sig : {SIGPROF, SIGTERM, SIGUSR2, SIGUSR1, SIGHUP})
        ::raise(sig);
    EXPECT_EQ(support::message_of<std::runtime_error>([] { tocsin::check_signals(); }), "from the handler");
    EXPECT_EQ(order, "SIGHUP throw ");
    tocsin::check_signals();
    EXPECT_EQ(order, "SIGHUP throw SIGUSR2 SIGTERM SIGPROF ");
    tocsin::check_signals();
    EXPECT_EQ(order, "SIGHUP throw SIGUSR2 SIGTERM SIGPROF ");
}

TEST(G11, when_every_handler_throws_every_safe_point_throws_one)
{
    for (const int sig : {SIGHUP, SIGUSR1, SIGTERM})
        tocsin::signal(sig, [](int n) { throw n; });
    for (const int sig : {SIGHUP, SIGUSR1, SIGTERM})
        ::raise(sig);
    for (const int expected : {SIGHUP, SIGUSR1, SIGTERM}) {
        try {
            tocsin::check_signals();
            ADD_FAILURE() << "threw nothing";
        } catch (int sig) {
            EXPECT_EQ(sig, expected);
        }
    }
    EXPECT_NO_THROW(tocsin::check_signals());
}

TEST(G11, a_handler_that_threw_runs_again_for_the_next_arrival)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] { throw ++ran; });
    for (int n = 1; n <= 3; ++n)
        EXPECT_THROW(tocsin::raise_signal(SIGUSR1), int);
    EXPECT_EQ(ran, 3);
    EXPECT_NO_THROW(tocsin::check_signals());
}

TEST(G11, an_arrival_during_a_handler_that_throws_is_not_lost)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] {
        if (++ran == 1) {
            ::raise(SIGUSR1);
            throw 1;
        }
    });
    ::raise(SIGUSR1);
    EXPECT_THROW(tocsin::check_signals(), int);
    tocsin::check_signals();
    EXPECT_EQ(ran, 2);
}

TEST(G11, an_exception_of_a_nested_safe_point_passes_through_the_outer_handler)
{
    std::string order;
    tocsin::signal(SIGUSR1, [&] {
        order += "usr1 ";
        tocsin::check_signals(); // runs SIGUSR2's handler
        order += "never ";
    });
    tocsin::signal(SIGUSR2, [&] {
        order += "usr2 ";
        throw 2;
    });
    tocsin::signal(SIGTERM, [&] { order += "term "; });
    for (const int sig : {SIGUSR1, SIGUSR2, SIGTERM})
        ::raise(sig);
    EXPECT_THROW(tocsin::check_signals(), int);
    EXPECT_EQ(order, "usr1 usr2 ");
    tocsin::check_signals();
    EXPECT_EQ(order, "usr1 usr2 term ");
}

TEST(G11, an_exception_leaves_from_every_call_that_is_a_safe_point)
{
    tocsin::signal(SIGUSR1, [] { throw 1; });
    const auto throws = [](auto call) {
        ::raise(SIGUSR1);
        EXPECT_THROW(call(), int);
        EXPECT_NO_THROW(tocsin::check_signals());
    };
    throws([] { tocsin::signal(SIGUSR2, SIG_IGN); });
    throws([] { tocsin::raise_signal(SIGUSR1); });
    throws([] { tocsin::pthread_kill(::pthread_self(), 0); });
    throws([] { tocsin::pthread_sigmask(tocsin::sigmask::block, {}); });
    throws([] { tocsin::pause(); });
    throws([] { tocsin::blocking::sleep_for(1000); });
    throws([] { tocsin::sigtimedwait({SIGHUP}, 1000); });
}

TEST(safe_point, nested_ones_run_each_handler_once)
{
    std::string order;
    tocsin::signal(SIGUSR1, [&] {
        order += "<usr1 ";
        tocsin::check_signals();
        order += "usr1> ";
    });
    tocsin::signal(SIGUSR2, [&] { order += "usr2 "; });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    tocsin::check_signals();
    tocsin::check_signals();
    EXPECT_EQ(order, "<usr1 usr2 usr1> ");
}

TEST(safe_point, a_handler_may_raise_its_own_signal_and_runs_inside_itself)
{
    int depth = 0;
    int deepest = 0;
    tocsin::signal(SIGUSR1, [&] {
        deepest = std::max(deepest, ++depth);
        if (depth < 5)
            tocsin::raise_signal(SIGUSR1);
        --depth;
    });
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(deepest, 5);
    EXPECT_EQ(depth, 0);
}

TEST(safe_point, a_handler_may_replace_itself_and_lives_until_it_returns)
{
    auto token = std::make_shared<std::string>("alive");
    const std::weak_ptr<std::string> watch = token;
    std::string got;
    tocsin::signal(SIGUSR1, [&got, token] {
        tocsin::signal(SIGUSR1, [&got] { got += "second "; });
        got += *token + ' ';
    });
    token.reset();
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(got, "alive ");
    EXPECT_TRUE(watch.expired());
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(got, "alive second ");
}

TEST(safe_point, a_handler_that_replaces_another_lets_its_arrival_run_first)
{
    std::string got;
    tocsin::signal(SIGUSR2, [&] { got += "usr2 "; });
    tocsin::signal(SIGUSR1, [&] {
        tocsin::signal(SIGUSR2, SIG_DFL);
        got += "usr1 ";
    });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    tocsin::check_signals();
    EXPECT_EQ(got, "usr2 usr1 ");
}

TEST(safe_point, an_event_tells_where_its_safe_point_is)
{
    tocsin::source_location where;
    tocsin::signal(SIGUSR1, [&](const event& e) { where = e.where; });
    ::raise(SIGUSR1);
    tocsin::check_signals();
    EXPECT_EQ(where.line(), static_cast<unsigned>(__LINE__ - 1));
    EXPECT_NE(std::string(where.file_name()).find("safe_point.cpp"), std::string::npos);
#if defined(__cpp_lib_source_location) // else empty: see source_location.hpp
    EXPECT_NE(std::string(where.function_name()).find("TestBody"), std::string::npos);
#endif

    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(where.line(), static_cast<unsigned>(__LINE__ - 1));
    ::raise(SIGUSR1);
    tocsin::signal(SIGUSR2, SIG_IGN);
    EXPECT_EQ(where.line(), static_cast<unsigned>(__LINE__ - 1));
    ::raise(SIGUSR1);
    tocsin::blocking::sleep_for(0);
    EXPECT_EQ(where.line(), static_cast<unsigned>(__LINE__ - 1));
}

TEST(safe_point, a_nested_one_tells_its_own_place)
{
    unsigned outer = 0;
    unsigned inner = 0;
    tocsin::signal(SIGUSR2, [&](const event& e) { inner = e.where.line(); });
    unsigned expected = 0;
    tocsin::signal(SIGUSR1, [&](const event& e) {
        outer = e.where.line();
        expected = __LINE__ + 1;
        tocsin::check_signals();
    });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    tocsin::check_signals();
    EXPECT_EQ(outer, static_cast<unsigned>(__LINE__ - 1));
    EXPECT_EQ(inner, expected);
}

TEST(safe_point, arrivals_are_merged_and_counted_and_the_first_ones_information_kept)
{
    std::vector<std::uint64_t> counts;
    int value = 0;
    tocsin::signal(SIGRTMIN, [&](const event& e) {
        counts.push_back(e.count);
        value = e.info.value() ? e.info.value()->sival_int : 0;
    });
    sigval sent{};
    sent.sival_int = 41;
    tocsin::sigqueue(::getpid(), SIGRTMIN, sent);
    ASSERT_TRUE(eventually([] { return tocsin::detail::main_pending.load() != 0; }));
    for (int n = 0; n < 4; ++n)
        ::raise(SIGRTMIN);
    tocsin::check_signals();
    EXPECT_EQ(counts, std::vector<std::uint64_t>{5});
    EXPECT_EQ(value, 41);
    ::raise(SIGRTMIN);
    tocsin::check_signals();
    EXPECT_EQ(counts, (std::vector<std::uint64_t>{5, 1}));
    EXPECT_EQ(value, 0);
}

// Runs `send` in a child and gives the event it caused here.
std::optional<event> event_from_a_child(int sig, const std::function<void()>& send, pid_t& child)
{
    std::optional<event> got;
    tocsin::signal(sig, [&](const event& e) { got = e; });
    child = ::fork();
    if (child == 0) {
        send();
        ::_exit(0);
    }
    EXPECT_TRUE(handled([&] { return got.has_value(); }));
    support::wait_for(child);
    tocsin::signal(sig, SIG_DFL);
    return got;
}

TEST(G5, an_event_names_the_process_and_user_that_sent_it)
{
    pid_t child = 0;
    const auto got = event_from_a_child(
        SIGUSR1, [] { ::kill(::getppid(), SIGUSR1); }, child);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->signo, SIGUSR1);
    EXPECT_EQ(got->count, 1U);
    EXPECT_EQ(got->info.signo(), SIGUSR1);
    EXPECT_EQ(got->info.origin(), tocsin::origin::user);
    EXPECT_EQ(got->info.pid(), child);
    EXPECT_EQ(got->info.uid(), ::getuid());
    EXPECT_FALSE(got->info.value());
}

TEST(G5, an_event_carries_the_value_that_sigqueue_attached)
{
    pid_t child = 0;
    const auto got = event_from_a_child(
        SIGRTMIN + 1,
        [] {
            sigval value{};
            value.sival_int = 4711;
            tocsin::sigqueue(::getppid(), SIGRTMIN + 1, value);
        },
        child);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->info.origin(), tocsin::origin::queue);
    EXPECT_EQ(got->info.pid(), child);
    EXPECT_EQ(got->info.uid(), ::getuid());
    ASSERT_TRUE(got->info.value());
    EXPECT_EQ(got->info.value()->sival_int, 4711);
}

TEST(G5, an_event_carries_the_status_of_a_child)
{
    pid_t child = 0;
    const auto got = event_from_a_child(
        SIGCHLD, [] { ::_exit(7); }, child);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->info.origin(), tocsin::origin::child);
    EXPECT_EQ(got->info.code(), CLD_EXITED);
    EXPECT_EQ(got->info.pid(), child);
    EXPECT_EQ(got->info.status(), 7);
}

TEST(G5, an_event_tells_a_thread_as_the_sender)
{
    std::optional<event> got;
    tocsin::signal(SIGUSR1, [&](const event& e) { got = e; });
    tocsin::raise_signal(SIGUSR1);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->info.origin(), tocsin::origin::tkill);
    EXPECT_EQ(got->info.pid(), ::getpid());
}

TEST(G5, an_event_tells_an_interval_timer_from_a_posix_timer)
{
    std::optional<event> got;
    tocsin::signal(SIGALRM, [&](const event& e) { got = e; });
    tocsin::setitimer(tocsin::itimer::real, 1e-6);
    ASSERT_TRUE(handled([&] { return got.has_value(); }));
    EXPECT_EQ(got->info.origin(), tocsin::origin::kernel);
    EXPECT_FALSE(got->info.pid());

    got.reset();
    sigevent what{};
    what.sigev_notify = SIGEV_SIGNAL;
    what.sigev_signo = SIGALRM;
    what.sigev_value.sival_int = 12;
    timer_t timer{};
    ASSERT_EQ(::timer_create(CLOCK_MONOTONIC, &what, &timer), 0);
    itimerspec soon{};
    soon.it_value.tv_nsec = 1;
    ASSERT_EQ(::timer_settime(timer, 0, &soon, nullptr), 0);
    ASSERT_TRUE(handled([&] { return got.has_value(); }));
    ::timer_delete(timer);
    EXPECT_EQ(got->info.origin(), tocsin::origin::timer);
    EXPECT_EQ(got->info.value()->sival_int, 12);
    EXPECT_EQ(got->info.overrun(), 0);
    EXPECT_FALSE(got->info.pid());
}

TEST(G5, an_event_tells_that_the_terminal_sent_it)
{
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master == -1 || ::grantpt(master) == -1 || ::unlockpt(master) == -1)
        GTEST_SKIP() << "no pseudo-terminals here";
    const std::string name = ::ptsname(master);
    const int status = support::in_child([&] {
        ::setsid();
        const int terminal = ::open(name.c_str(), O_RDWR | O_CLOEXEC);
        if (terminal == -1 || ::ioctl(terminal, TIOCSCTTY, 0) == -1)
            return 2;
        std::optional<event> got;
        tocsin::signal(SIGINT, [&](const event& e) { got = e; });
        if (::write(master, "\x03", 1) != 1)
            return 3;
        if (!handled([&] { return got.has_value(); }))
            return 4;
        return got->info.origin() == tocsin::origin::terminal && !got->info.pid() ? 0 : 1;
    });
    ::close(master);
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}

} // namespace
