// A flood of one signal loses no other.

#include <tocsin/tocsin.hpp>

#include <unistd.h>

#include <atomic>
#include <thread>

#include "stress.hpp"
#include "support.hpp"

namespace {

TEST(G1, a_flood_of_one_signal_loses_no_other)
{
    auto chance = stress::make_chance();
    const int total = stress::size(support::thread_sanitizer ? 100'000 : 1'000'000, 3'000'000);
    const int moment = static_cast<int>(chance() % static_cast<unsigned>(total));
    std::uint64_t flood = 0;
    std::uint64_t terms = 0;
    int calls = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) {
        flood += e.count;
        ++calls;
    });
    tocsin::signal(SIGTERM, [&](const tocsin::event& e) { terms += e.count; });
    for (int i = 0; i < total; ++i) {
        ::kill(::getpid(), SIGUSR1);
        if (i == moment)
            ::kill(::getpid(), SIGTERM);
    }
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        return flood == static_cast<std::uint64_t>(total) && terms == 1;
    })) << flood
        << " of " << total << ", SIGTERM " << terms;
    if constexpr (!support::thread_sanitizer) { // they were not looked at before the end
        EXPECT_EQ(calls, 1);
    }
}

TEST(G1, floods_from_several_threads_lose_no_other_signal)
{
    const int total = stress::size(20'000, 500'000);
    std::uint64_t flood = 0;
    int terms = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { flood += e.count; });
    tocsin::signal(SIGTERM, [&] { ++terms; });
    std::atomic<int> running = 3;
    // Each thread raises on itself, so that the trip routine runs on all of them at once and nothing is merged before.
    const auto raise_all = [&] {
        for (int i = 0; i < total; ++i)
            ::raise(SIGUSR1);
        --running;
    };
    std::jthread threads[] = {std::jthread(raise_all), std::jthread(raise_all), std::jthread(raise_all)};
    int sent = 0;
    while (running > 0) {
        const int before = terms;
        tocsin::raise_signal(SIGTERM);
        ++sent;
        ASSERT_EQ(terms, before + 1);
    }
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        return flood == 3 * static_cast<std::uint64_t>(total);
    })) << flood
        << " of " << 3 * total;
    EXPECT_EQ(terms, sent);
}

} // namespace
