// The last delivery before the default action (second_is_default) against whoever sets a disposition at that moment: the
// library's calls of sigaction() are held open.

#include <tocsin/tocsin.hpp>

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

#include "support.hpp"

namespace {

using namespace std::chrono_literals;
using tocsin::at_cancel;
using tocsin::inbox;

std::atomic<bool> hold_next_default{false};
std::atomic<bool> held{false};
std::atomic<bool> let_go{false};
std::atomic<bool> send_after_ours{false};

using sigaction_function = int(int, const struct sigaction*, struct sigaction*);

int real_sigaction(int sig, const struct sigaction* action, struct sigaction* before)
{
    static sigaction_function* kept = nullptr; // not one with a guard: called in signal handlers
    if (kept == nullptr)
        kept = reinterpret_cast<sigaction_function*>(::dlsym(RTLD_NEXT, "sigaction"));
    return kept(sig, action, before);
}

} // namespace

extern "C" int sigaction(int sig, const struct sigaction* action, struct sigaction* before) noexcept
{
    if (action != nullptr && sig == SIGWINCH && action->sa_handler == SIG_DFL && hold_next_default.exchange(false)) {
        held = true;
        support::eventually([] { return let_go.load(); }, 300ms); // whoever does not wait has gone on by then
    }
    const int result = real_sigaction(sig, action, before);
    if (action != nullptr && sig == SIGWINCH && (action->sa_flags & SA_SIGINFO) != 0 && send_after_ours.exchange(false))
        std::thread([] { ::pthread_kill(::pthread_self(), SIGWINCH); }).join();
    return result;
}

namespace {

struct sigaction action_of(int sig)
{
    struct sigaction now = {};
    real_sigaction(sig, nullptr, &now);
    return now;
}

constexpr tocsin::subscription_options last_one{.second_is_default = true, .pending = at_cancel::drop};

TEST(subscription, the_default_action_of_a_last_delivery_does_not_undo_signal)
{
    for (const bool foreign : {false, true}) {
        inbox box;
        const auto sub = box.on(
            SIGWINCH, [] {}, last_one);
        held = false;
        hold_next_default = true;
        std::thread slow([] { ::pthread_kill(::pthread_self(), SIGWINCH); });
        while (!held)
            std::this_thread::yield();
        std::thread([] { ::pthread_kill(::pthread_self(), SIGWINCH); }).join(); // sets it, meanwhile
        EXPECT_EQ(action_of(SIGWINCH).sa_handler, SIG_DFL);
        const auto theirs = [](int) {};
        if (foreign) {
            struct sigaction action = {};
            action.sa_handler = theirs;
            real_sigaction(SIGWINCH, &action, nullptr);
            const auto what = tocsin::getsignal(SIGWINCH);
            action.sa_handler = SIG_DFL;
            real_sigaction(SIGWINCH, &action, nullptr);
            tocsin::signal(SIGWINCH, what);
        } else {
            tocsin::signal(SIGWINCH, tocsin::ignore);
        }
        slow.join();
        EXPECT_EQ(action_of(SIGWINCH).sa_handler, foreign ? static_cast<void (*)(int)>(theirs) : SIG_IGN);
        tocsin::signal(SIGWINCH, tocsin::default_action);
    }
}

TEST(subscription, a_last_delivery_that_comes_at_once_is_the_last)
{
    for (const bool over_others : {false, true}) {
        inbox box;
        tocsin::subscription other;
        if (over_others)
            other = box.on(
                SIGWINCH, [] {}, last_one);
        if (over_others)
            ::raise(SIGWINCH); // its last one
        box.run_pending();
        std::uint64_t count = 0;
        send_after_ours = true;
        const auto sub = box.on(
            SIGWINCH, [&](const tocsin::event& e) { count += e.count; }, last_one);
        box.run_pending();
        EXPECT_EQ(count, 1U);
        EXPECT_EQ(action_of(SIGWINCH).sa_handler, SIG_DFL);
        // And again, for signal().
        send_after_ours = true;
        tocsin::signal(SIGWINCH, [] {});
        EXPECT_EQ(action_of(SIGWINCH).sa_handler, SIG_DFL);
        tocsin::signal(SIGWINCH, tocsin::default_action);
    }
}

} // namespace
