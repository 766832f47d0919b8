// Every timer at once, with calls that wait among them.

#include <tocsin/tocsin.hpp>

#include <poll.h>

#include <chrono>

#include "stress.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

TEST(stress, all_timers_run_at_once)
{
    auto chance = stress::make_chance();
    const auto length = stress::size(1, 20) * 1s;
    int calls[3] = {};
    const int sigs[] = {SIGALRM, SIGVTALRM, SIGPROF};
    for (int i = 0; i < 3; ++i) {
        tocsin::signal(sigs[i], [&calls, i] { ++calls[i]; });
        tocsin::setitimer(i, 300us + i * 100us, 300us + i * 100us);
    }
    constexpr auto period = 2ms;
    tocsin::timer_fd timers[4];
    std::uint64_t expirations[4] = {};
    const auto start = steady_clock::now();
    for (auto& timer : timers)
        timer.settime(period, period);
    const auto all_set = steady_clock::now();
    for (int waits = 0; steady_clock::now() - start < length; ++waits) {
        const auto time = std::chrono::microseconds(chance() % 500);
        const auto before = steady_clock::now();
        switch (waits % 4) {
        case 0:
            tocsin::blocking::sleep_for(time);
            ASSERT_GE(steady_clock::now() - before, time);
            break;
        case 1:
            tocsin::blocking::sleep_until(before + time);
            ASSERT_GE(steady_clock::now(), before + time);
            break;
        case 2: {
            pollfd fds[4];
            for (int i = 0; i < 4; ++i)
                fds[i] = {timers[i].native_handle(), POLLIN, 0};
            const timespec limit{0, std::chrono::nanoseconds(time).count()};
            if (tocsin::blocking::ppoll(fds, 4, &limit, nullptr) == 0) {
                ASSERT_GE(steady_clock::now() - before, time);
            }
            for (int i = 0; i < 4; ++i) {
                if (fds[i].revents != 0) {
                    const auto got = timers[i].read();
                    ASSERT_GT(got, 0U);
                    expirations[i] += got;
                }
            }
            break;
        }
        default:
            while (steady_clock::now() - before < time) // for the timers that count processor time
                tocsin::check_signals();
        }
    }
    const auto least = steady_clock::now() - all_set;
    for (int i = 0; i < 4; ++i)
        expirations[i] += timers[i].read(); // waits: the interrupt of a timer may be late, a count is not
    const auto ran = steady_clock::now() - start;
    for (const auto n : expirations) {
        EXPECT_LE(n * period, ran);         // none early
        EXPECT_GE((n + 1) * period, least); // none lost
    }
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(
            support::eventually([&] { // user time is counted by the kernel's ticks: more than from one to the next
                for (const auto end = steady_clock::now() + 10ms; steady_clock::now() < end;)
                    tocsin::check_signals();
                return calls[i] > 0;
            }))
            << sigs[i];
        tocsin::setitimer(i, 0);
    }
}

TEST(stress, a_timer_that_is_set_again_and_again_fires_as_it_was_set_last)
{
    auto chance = stress::make_chance();
    const int rounds = stress::size(20'000, 500'000);
    int calls = 0;
    tocsin::signal(SIGALRM, [&] { ++calls; });
    for (int i = 0; i < rounds; ++i) {
        tocsin::setitimer(tocsin::itimer::real, std::chrono::nanoseconds(chance() % 20'000 + 1));
        tocsin::setitimer(tocsin::itimer::real, 1000);
        tocsin::setitimer(tocsin::itimer::real, 0);
    }
    tocsin::check_signals();
    EXPECT_LE(calls, rounds);
    const int before = calls;
    tocsin::setitimer(tocsin::itimer::real, 1us);
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        return calls > before;
    }));
    EXPECT_EQ(calls, before + 1);
}

} // namespace
