// What goes back to the disposition before is what came, whoever ends the subscription.

#include <tocsin/tocsin.hpp>

#include <csignal>
#include <optional>
#include <thread>

#include "support.hpp"

namespace {

std::optional<tocsin::siginfo> seen;
void keep(int, siginfo_t* info, void*) { seen = tocsin::siginfo(*info); }

TEST(G8, a_signal_that_is_passed_on_by_any_thread_still_says_who_sent_it)
{
    struct sigaction action = {};
    action.sa_sigaction = keep;
    action.sa_flags = SA_SIGINFO;
    ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
    for (const bool main : {true, false}) {
        seen.reset();
        tocsin::inbox box;
        auto subscribed = box.on(SIGUSR1, [] { ADD_FAILURE() << "called"; });
        const int status = support::in_child([parent = ::getpid()] { return ::kill(parent, SIGUSR1); });
        EXPECT_TRUE(support::exited_with(status, 0));
        if (main)
            subscribed.cancel();
        else
            std::thread([&] { subscribed.cancel(); }).join();
        ASSERT_TRUE(support::eventually([] { return seen.has_value(); }));
        EXPECT_EQ(seen->code(), SI_USER);
        EXPECT_NE(seen->pid(), ::getpid()) << (main ? "main thread" : "another thread");
    }
}

TEST(G8, a_lossless_inbox_that_another_thread_ends_puts_back_who_sent_it)
{
    const tocsin::signal_set both{SIGUSR1, SIGUSR2};
    const tocsin::mask_guard blocked(both);
    const int status =
        support::in_child([parent = ::getpid()] { return ::kill(parent, SIGUSR1) + ::kill(parent, SIGUSR2); });
    EXPECT_TRUE(support::exited_with(status, 0));
    std::thread([&] {
        tocsin::lossless_inbox box(both);
        EXPECT_EQ(box.next().signo, SIGUSR1); // reads the other one ahead
    }).join();
    const auto left = tocsin::sigtimedwait(both, 0); // pending for the process
    ASSERT_TRUE(left);
    EXPECT_EQ(left->signo(), SIGUSR2);
    EXPECT_EQ(left->code(), SI_USER);
    EXPECT_NE(left->pid(), ::getpid());
}

} // namespace
