// Dispositions change while signals arrive: nothing crashes, nothing is handled that was not sent, and at the end
// everything still works.

#include <tocsin/tocsin.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

#include "stress.hpp"
#include "support.hpp"

namespace {

struct thrown {};

// Outlives flip(): a last arrival may be handled after it.
std::uint64_t handled = 0;

/// Changes the disposition of SIGUSR1 by lot until `enough()`, and returns the arrivals that handlers were told of.
template <class Enough>
std::uint64_t flip(std::mt19937_64& chance, Enough enough)
{
    handled = 0;
    for (bool ended = false; !ended;) {
        const auto lot = chance();
        try { // enough() and signal() are safe points too
            ended = enough();
            switch (lot % 5) {
            case 0:
                tocsin::signal(SIGUSR1, tocsin::ignore);
                break;
            case 1:
                tocsin::siginterrupt(SIGUSR1, (lot & 256) != 0);
                break;
            case 2:
                tocsin::signal(SIGUSR1, [](const tocsin::event& e) {
                    handled += e.count;
                    throw thrown();
                });
                break;
            default:
                // Owns what it uses: a call after it was replaced is seen by the sanitizers.
                tocsin::signal(SIGUSR1, [own = std::make_unique<std::uint64_t>(0)](const tocsin::event& e) {
                    *own += e.count;
                    handled += e.count;
                });
            }
            if ((lot & 512) != 0)
                tocsin::check_signals();
            else if ((lot & 1024) != 0)
                tocsin::blocking::sleep_for(std::chrono::microseconds(lot % 20));
        } catch (const thrown&) {
        }
    }
    return handled;
}

void expect_still_works()
{
    int calls = 0;
    for (bool installed = false; !installed;) {
        try {
            tocsin::signal(SIGUSR1, tocsin::ignore); // discards what the kernel holds
            tocsin::signal(SIGUSR1, [&] { ++calls; });
            installed = true;
        } catch (const thrown&) {
        }
    }
    for (int i = 1; i <= 100; ++i) {
        tocsin::raise_signal(SIGUSR1);
        ASSERT_EQ(calls, i);
    }
}

TEST(stress, dispositions_flip_while_another_process_sends)
{
    auto chance = stress::make_chance();
    const int total = stress::size(20'000, 1'000'000);
    tocsin::signal(SIGUSR1, tocsin::ignore);
    const pid_t sender = ::fork();
    if (sender == 0) {
        for (int i = 0; i < total; ++i)
            ::kill(::getppid(), SIGUSR1);
        ::_exit(0);
    }
    const auto told = flip(chance, [&] { return tocsin::blocking::waitpid(sender, nullptr, WNOHANG) == sender; });
    EXPECT_LE(told, static_cast<std::uint64_t>(total));
    expect_still_works();
}

TEST(stress, dispositions_flip_while_threads_send)
{
    SKIP_WITHOUT_ATOMIC_DISPOSITIONS();
    auto chance = stress::make_chance();
    const int total = stress::size(20'000, 1'000'000);
    tocsin::signal(SIGUSR1, tocsin::ignore);
    const auto main_thread = ::pthread_self();
    std::atomic<int> running = 2;
    std::jthread to_main([&] {
        for (int i = 0; i < total; ++i)
            tocsin::pthread_kill(main_thread, SIGUSR1);
        --running;
    });
    std::jthread to_itself([&] {
        for (int i = 0; i < total; ++i)
            tocsin::raise_signal(SIGUSR1);
        --running;
    });
    const auto told = flip(chance, [&] { return running == 0; });
    to_main.join();
    to_itself.join();
    EXPECT_LE(told, 2 * static_cast<std::uint64_t>(total));
    expect_still_works();
}

TEST(stress, handlers_replace_themselves_and_none_is_lost)
{
    auto chance = stress::make_chance();
    const int total = stress::size(50'000, 1'000'000);
    // Two handlers take turns: each call installs the other one. With one signal at a time, each is handled once.
    struct both {
        int calls[2] = {0, 0};
        void install(int which)
        {
            tocsin::signal(SIGUSR1, [this, which] {
                ++calls[which];
                install(1 - which);
            });
        }
    } state;
    state.install(0);
    for (int i = 1; i <= total; ++i) {
        if ((chance() & 1) != 0) {
            tocsin::raise_signal(SIGUSR1);
        } else {
            ::kill(::getpid(), SIGUSR1);
            ASSERT_TRUE(support::eventually([&] {
                tocsin::check_signals();
                return state.calls[0] + state.calls[1] == i;
            }));
        }
        ASSERT_EQ(state.calls[0] + state.calls[1], i);
        ASSERT_EQ(state.calls[0], (i + 1) / 2);
    }
}

} // namespace
