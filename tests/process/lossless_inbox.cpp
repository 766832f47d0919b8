// The kernel's own queue: nothing lost, in order, and no start where a thread could take something away.

#include <tocsin/tocsin.hpp>

#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

namespace {

using support::exited_with;
using support::in_child;

const int first = SIGRTMIN + 1;
const int second = SIGRTMIN + 2;

void send(int sig, int value)
{
    // Refused while the queue is full: sent again, as a sender has to.
    while (::sigqueue(::getpid(), sig, sigval{.sival_int = value}) != 0) {
        ASSERT_EQ(errno, EAGAIN);
        std::this_thread::yield();
    }
}

bool is_readable(int fd)
{
    pollfd each{fd, POLLIN, 0};
    return ::poll(&each, 1, 0) == 1;
}

bool is_blocked(int sig)
{
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return ::sigismember(&mask, sig) == 1;
}

std::vector<int> values(tocsin::lossless_inbox& box)
{
    std::vector<int> all;
    while (const auto e = box.try_next())
        all.push_back(e->info.value().value_or(sigval{.sival_int = -1}).sival_int);
    return all;
}

TEST(G4, a_lossless_inbox_returns_100000_values_in_order)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    tocsin::lossless_inbox box(tocsin::signal_set{first});
    constexpr int count = 100'000;
    std::jthread sender([] {
        for (int n = 0; n < count; ++n)
            send(first, n);
    });
    for (int n = 0; n < count; ++n) {
        const tocsin::event e = box.next();
        ASSERT_EQ(e.info.value()->sival_int, n);
        ASSERT_EQ(e.signo, first);
        ASSERT_EQ(e.count, 1U);
    }
    sender.join();
    EXPECT_FALSE(box.try_next());
}

TEST(G4, the_same_by_run_pending_while_the_callback_throws_now_and_then)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    for (const bool polled : {false, true}) {
        tocsin::lossless_inbox box(tocsin::signal_set{first});
        if (polled) {
            EXPECT_GE(box.native_handle(), 0);
        }
        constexpr int count = 20'000;
        std::jthread sender([] {
            for (int n = 0; n < count; ++n)
                send(first, n);
        });
        int expected = 0;
        int thrown = 0;
        while (expected < count) {
            ASSERT_TRUE(box.wait(20));
            try {
                box.run_pending([&](const tocsin::event& e) {
                    // Putting back is not one step: one that is sent meanwhile may get between in a loop's inbox.
                    if (!polled) {
                        EXPECT_EQ(e.info.value()->sival_int, expected);
                    }
                    if (++expected % 1000 == 17)
                        throw std::runtime_error("now and then");
                });
            } catch (const std::runtime_error&) {
                ++thrown;
            }
        }
        EXPECT_EQ(expected, count);
        EXPECT_EQ(thrown, count / 1000);
        EXPECT_FALSE(box.try_next());
    }
}

TEST(lossless_inbox, the_lower_number_first_and_what_waits_keeps_the_descriptor_readable)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    tocsin::lossless_inbox box({first, second});
    EXPECT_EQ(box.blocked_signals(), (tocsin::signal_set{first, second}));
    send(second, 1);
    send(first, 2);
    send(second, 3);
    EXPECT_EQ(box.try_next()->info.value()->sival_int, 2); // reads ahead
    EXPECT_TRUE(box.wait(0));
    const int fd = box.native_handle(); // from here on it does not: the rest is in the kernel again
    EXPECT_TRUE(is_readable(fd));
    EXPECT_EQ(box.try_next()->info.value()->sival_int, 1);
    EXPECT_TRUE(is_readable(fd));
    int thrown = 0;
    for (const int value : {4, 5})
        send(second, value);
    try {
        box.run_pending([&](const tocsin::event& e) {
            EXPECT_EQ(e.info.value()->sival_int, 3);
            throw ++thrown;
        });
    } catch (int) {
    }
    EXPECT_TRUE(is_readable(fd));
    EXPECT_EQ(values(box), (std::vector<int>{4, 5}));
    EXPECT_FALSE(is_readable(fd));
    EXPECT_FALSE(box.wait(0));
    EXPECT_FALSE(box.next(0.001));
    EXPECT_THROW(box.wait(-1), std::invalid_argument);
    EXPECT_THROW(box.run_pending(tocsin::ignore), std::invalid_argument);
}

TEST(lossless_inbox, what_is_pending_at_the_end_stays_pending_in_order)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    const tocsin::mask_guard blocked(tocsin::signal_set{first});
    {
        tocsin::lossless_inbox box(tocsin::signal_set{first});
        for (int n = 0; n < 200; ++n)
            send(first, n);
        EXPECT_EQ(box.try_next()->info.value()->sival_int, 0); // has read more than that
    }
    EXPECT_TRUE(is_blocked(first)); // as before
    tocsin::lossless_inbox again(tocsin::signal_set{first});
    for (int n = 1; n < 200; ++n) {
        const auto e = again.try_next();
        ASSERT_TRUE(e) << n;
        ASSERT_EQ(e->info.value()->sival_int, n);
        ASSERT_EQ(e->info.pid(), ::getpid());
        ASSERT_EQ(e->info.code(), SI_QUEUE);
    }
    EXPECT_FALSE(again.try_next());
}

TEST(lossless_inbox, unblocked_at_the_end_it_takes_the_disposition)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    int ran = 0;
    tocsin::signal(first, [&](const tocsin::event& e) { ran += e.info.value()->sival_int; });
    {
        const tocsin::lossless_inbox box(tocsin::signal_set{first});
        EXPECT_TRUE(is_blocked(first));
        send(first, 7);
        tocsin::check_signals();
        EXPECT_EQ(ran, 0);
    }
    EXPECT_FALSE(is_blocked(first));
    tocsin::check_signals();
    EXPECT_EQ(ran, 7);
}

TEST(lossless_inbox, destroyed_on_another_thread_it_changes_no_mask)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    auto box = std::make_unique<tocsin::lossless_inbox>(tocsin::signal_set{first});
    std::thread([&] {
        box.reset();
        EXPECT_TRUE(is_blocked(first)); // inherited
    }).join();
    EXPECT_TRUE(is_blocked(first));
}

TEST(lossless_inbox, refuses_to_start_where_a_thread_does_not_block_the_signals)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    std::counting_semaphore<2> ready(0);
    std::atomic<pid_t> open_tid = 0;
    std::atomic<pid_t> half_tid = 0;
    std::binary_semaphore go_on(0), go_on_too(0);
    std::jthread open([&] {
        ::pthread_setname_np(::pthread_self(), "open\nwide");
        open_tid = static_cast<pid_t>(::syscall(SYS_gettid));
        ready.release();
        go_on.acquire();
    });
    std::jthread half([&] {
        const tocsin::mask_guard guard(tocsin::signal_set{second});
        half_tid = static_cast<pid_t>(::syscall(SYS_gettid));
        ready.release();
        go_on_too.acquire();
    });
    ready.acquire();
    ready.acquire();
    const tocsin::signal_set both{first, second};
    try {
        const tocsin::lossless_inbox box(both);
        ADD_FAILURE() << "started";
    } catch (const tocsin::unblocked_error& e) {
        const tocsin::unblocked_error copy = e;
        ASSERT_EQ(copy.threads().size(), 2U);
        EXPECT_LT(copy.threads()[0].tid, copy.threads()[1].tid);
        for (const tocsin::unblocked_thread& each : copy.threads()) {
            if (each.tid == open_tid) {
                EXPECT_EQ(each.unblocked, both);
            } else {
                EXPECT_EQ(each.tid, half_tid);
                EXPECT_EQ(each.unblocked, tocsin::signal_set{first});
            }
        }
        const std::string said = e.what();
        EXPECT_NE(said.find("{SIGRTMIN+1} in thread " + std::to_string(half_tid)), std::string::npos) << said;
        EXPECT_NE(said.find("{SIGRTMIN+1, SIGRTMIN+2} in thread " + std::to_string(open_tid) + " (open"),
                  std::string::npos)
            << said;
        EXPECT_EQ(said.find('\n'), std::string::npos);
    }
    EXPECT_FALSE(is_blocked(first)); // restored
    EXPECT_FALSE(is_blocked(second));
    go_on_too.release();
    half.join();
    go_on.release();
    open.join();
    const tocsin::lossless_inbox box(both); // nobody is left
}

TEST(lossless_inbox, a_thread_that_has_hardly_begun_is_no_exception)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    // The C library starts it with everything blocked, and unblocks then.
    for (int n = 0; n < 200; ++n) {
        std::binary_semaphore go_on(0);
        const std::jthread other([&] { go_on.acquire(); });
        EXPECT_THROW(tocsin::lossless_inbox(tocsin::signal_set{first}), tocsin::unblocked_error) << n;
        go_on.release();
    }
}

TEST(lossless_inbox, threads_that_inherit_the_mask_are_no_obstacle)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    const tocsin::mask_guard blocked(tocsin::signal_set{first});
    const tocsin::background consumer; // blocks everything
    std::binary_semaphore go_on(0);
    std::jthread other([&] { go_on.acquire(); });
    tocsin::lossless_inbox box(tocsin::signal_set{first});
    send(first, 1);
    EXPECT_EQ(box.next().info.value()->sival_int, 1);
    go_on.release();
}

TEST(lossless_inbox, refuses_what_cannot_be_and_changes_nothing)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    EXPECT_THROW(tocsin::lossless_inbox{tocsin::signal_set()}, std::invalid_argument);
    for (const int sig : {SIGKILL, SIGSTOP, 32})
        EXPECT_EQ(support::errno_of([=] { tocsin::lossless_inbox({sig, SIGUSR1}); }), EINVAL);
    tocsin::signal(SIGUSR2, [] {});
    ASSERT_TRUE(tocsin::nudge_signal());
    EXPECT_THROW(tocsin::lossless_inbox(tocsin::signal_set{*tocsin::nudge_signal()}), std::invalid_argument);
    EXPECT_FALSE(is_blocked(SIGUSR1));
    {
        const tocsin::lossless_inbox one(tocsin::signal_set{first});
        EXPECT_NE(support::message_of<std::logic_error>([] {
                      tocsin::lossless_inbox({first, second});
                  }).find("another one has {SIGRTMIN+1}"),
                  std::string::npos);
        EXPECT_FALSE(is_blocked(second));
        const tocsin::lossless_inbox two(tocsin::signal_set{second});
    }
    const tocsin::lossless_inbox again({first, second});
}

TEST(lossless_inbox, G6_a_forked_child_has_its_own_signals_and_none_of_the_parents)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    tocsin::lossless_inbox box(tocsin::signal_set{first});
    for (int n = 0; n < 10; ++n)
        send(first, n);
    EXPECT_EQ(box.next().info.value()->sival_int, 0); // the rest has been read ahead
    const int status = in_child([&] {
        if (box.try_next())
            return 1;
        send(first, 77);
        return box.next(10)->info.value()->sival_int == 77 && !box.try_next() ? 0 : 2;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    EXPECT_EQ(values(box), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

// What a handler is told and what the descriptor says are the same, member by member.
std::optional<tocsin::siginfo> by_handler;
void keep(int, siginfo_t* info, void*) { by_handler = tocsin::siginfo(*info); }

void expect_same(const std::function<void(int)>& cause, int sig, const char* what)
{
    struct sigaction action = {};
    action.sa_sigaction = keep;
    action.sa_flags = SA_SIGINFO;
    ASSERT_EQ(::sigaction(sig, &action, nullptr), 0);
    by_handler.reset();
    cause(sig);
    ASSERT_TRUE(support::eventually([] { return by_handler.has_value(); })) << what;
    tocsin::lossless_inbox box(tocsin::signal_set{sig});
    cause(sig);
    const tocsin::siginfo info = box.next().info;
    EXPECT_EQ(info.signo(), by_handler->signo()) << what;
    EXPECT_EQ(info.code(), by_handler->code()) << what;
    EXPECT_EQ(info.error(), by_handler->error()) << what;
    EXPECT_EQ(info.origin(), by_handler->origin()) << what;
    EXPECT_EQ(info.uid(), by_handler->uid()) << what;
    EXPECT_EQ(info.status(), by_handler->status()) << what;
    EXPECT_EQ(info.band(), by_handler->band()) << what;
    EXPECT_EQ(info.overrun(), by_handler->overrun()) << what;
    EXPECT_EQ(info.address(), by_handler->address()) << what;
    EXPECT_EQ(info.value().has_value(), by_handler->value().has_value()) << what;
    if (info.value() && by_handler->value()) {
        EXPECT_EQ(info.value()->sival_ptr, by_handler->value()->sival_ptr) << what;
    }
    if (info.origin() != tocsin::origin::child) {
        EXPECT_EQ(info.pid(), by_handler->pid()) << what;
    }
    if (info.origin() == tocsin::origin::queue) {
        EXPECT_EQ(std::memcmp(&info.native(), &by_handler->native(), sizeof(siginfo_t)), 0) << what;
    }
}

TEST(G5, siginfo_from_the_descriptor_is_that_of_a_handler)
{
    SKIP_WITHOUT_MASKS_IN_PROC();
    const pid_t self = ::getpid();
    expect_same([=](int sig) { ::kill(self, sig); }, SIGUSR1, "kill");
    expect_same([](int sig) { ::raise(sig); }, SIGUSR1, "tgkill");
    expect_same(
        [=](int sig) {
            sigval value{};
            value.sival_ptr = reinterpret_cast<void*>(std::uintptr_t{0x8123456789abcdef});
            ::sigqueue(self, sig, value);
        },
        first, "sigqueue");
    expect_same(
        [](int) {
            const pid_t child = ::fork();
            if (child == 0)
                ::_exit(3);
            siginfo_t info{};
            ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
            ::waitpid(child, nullptr, 0);
        },
        SIGCHLD, "child");
    expect_same(
        [](int sig) {
            sigevent to{};
            to.sigev_notify = SIGEV_SIGNAL;
            to.sigev_signo = sig;
            to.sigev_value.sival_int = 5;
            timer_t timer{};
            ASSERT_EQ(::timer_create(CLOCK_MONOTONIC, &to, &timer), 0);
            const itimerspec soon{{0, 0}, {0, 1}};
            ASSERT_EQ(::timer_settime(timer, 0, &soon, nullptr), 0);
        },
        second, "timer");
    expect_same(
        [](int) {
            const itimerval soon{{0, 0}, {0, 1}};
            ::setitimer(ITIMER_REAL, &soon, nullptr);
        },
        SIGALRM, "setitimer");
}

} // namespace
