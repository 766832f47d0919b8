// As many handler calls as signals, in the shapes of the reference's test_stress_delivery_dependent and
// test_stress_delivery_simultaneous. Each signal is waited for before the next of its number is sent, so that the
// kernel merges none; a lost one is a test that waits in vain.

#include <tocsin/tocsin.hpp>

#include <unistd.h>

#include <chrono>

#include "stress.hpp"
#include "support.hpp"

using namespace std::chrono_literals;

namespace {

constexpr int signals = 10'000;

// A microsecond, the least there is, and up to ten more.
tocsin::seconds soon(std::mt19937_64& chance) { return std::uniform_real_distribution<>(1e-6, 11e-6)(chance); }

// Waits in one of the ways there are, until `condition` holds.
template <class Condition>
bool wait_until(Condition condition, int way)
{
    switch (way % 3) {
    case 0:
        return support::eventually([&] {
            tocsin::check_signals();
            return condition();
        });
    case 1:
        return support::eventually([&] {
            tocsin::blocking::sleep_for(10us);
            return condition();
        });
    default:
        return support::eventually([&] {
            tocsin::blocking::poll(nullptr, 0, 0);
            return condition();
        });
    }
}

TEST(stress, ten_thousand_signals_each_started_by_the_handler_of_the_one_before)
{
    auto chance = stress::make_chance();
    const int total = stress::size(signals, 10 * signals);
    int got = 0;
    const auto first = [&] { tocsin::setitimer(tocsin::itimer::real, soon(chance)); };
    // SIGUSR1 < SIGALRM < SIGPROF: the second lies above the first once and below it once.
    tocsin::signal(SIGPROF, first);
    tocsin::signal(SIGUSR1, first);
    tocsin::signal(SIGALRM, [&] { ++got; });
    for (int expected = 1; expected <= total; ++expected) {
        ::kill(::getpid(), expected % 2 == 1 ? SIGPROF : SIGUSR1);
        ASSERT_TRUE(wait_until([&] { return got >= expected; }, expected / 2)) << "lost one after " << got;
        ASSERT_EQ(got, expected);
    }
}

TEST(stress, ten_thousand_signals_two_at_a_time)
{
    auto chance = stress::make_chance();
    const int total = stress::size(signals, 10 * signals);
    int got = 0;
    std::uint64_t merged = 0;
    const auto count = [&](const tocsin::event& e) {
        ++got;
        merged += e.count;
    };
    tocsin::signal(SIGUSR1, count);
    tocsin::signal(SIGALRM, count);
    for (int expected = 2; expected <= total; expected += 2) {
        tocsin::setitimer(tocsin::itimer::real, soon(chance));
        ::kill(::getpid(), SIGUSR1);
        ASSERT_TRUE(wait_until([&] { return got >= expected; }, expected / 2)) << "lost one after " << got;
        ASSERT_EQ(got, expected);
    }
    EXPECT_EQ(merged, static_cast<std::uint64_t>(got));
}

TEST(stress, ten_thousand_signals_from_another_process_one_at_a_time)
{
    SKIP_WITHOUT_SIGRTMAX();
    auto chance = stress::make_chance();
    const int total = stress::size(signals, 10 * signals);
    int turn[2];
    ASSERT_EQ(::pipe(turn), 0);
    const pid_t sender = ::fork();
    if (sender == 0) {
        ::close(turn[1]);
        char sig = 0;
        while (::read(turn[0], &sig, 1) == 1)
            ::kill(::getppid(), sig);
        ::_exit(0);
    }
    int got = 0;
    const auto count = [&](const tocsin::event& e) {
        ++got;
        EXPECT_EQ(e.info.pid(), sender);
        EXPECT_EQ(e.count, 1U);
    };
    const int sigs[] = {SIGUSR1, SIGTERM, SIGRTMIN, SIGRTMAX, SIGHUP};
    for (const int sig : sigs)
        tocsin::signal(sig, count);
    for (int expected = 1; expected <= total; ++expected) {
        const char sig = static_cast<char>(sigs[chance() % std::size(sigs)]);
        ASSERT_EQ(tocsin::blocking::write(turn[1], &sig, 1), 1);
        ASSERT_TRUE(wait_until([&] { return got >= expected; }, expected)) << "lost one after " << got;
        ASSERT_EQ(got, expected);
    }
    ::close(turn[0]);
    ::close(turn[1]);
    tocsin::blocking::waitpid(sender, nullptr, 0);
}

} // namespace
