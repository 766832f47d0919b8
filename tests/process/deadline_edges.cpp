// tocsin::deadline at its edges: the moment it ends, fork, what it takes and gives back, what the kernel refuses.

#include <sys/resource.h>
#include <sys/syscall.h>

#include <tocsin/tocsin.hpp>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "deadline.hpp"

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using support::timers;
using tocsin::deadline;
using tocsin::deadline_exceeded;
using tocsin::within;

namespace {

std::atomic<std::size_t> allocations{0};

} // namespace

[[gnu::noinline]] void* operator new(std::size_t size)
{
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* const got = std::malloc(size == 0 ? 1 : size); got != nullptr)
        return got;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* what) noexcept { std::free(what); }
[[gnu::noinline]] void operator delete(void* what, std::size_t /*size*/) noexcept { std::free(what); }

namespace {

std::ptrdiff_t descriptors() { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); }

// Scopes of random lengths around calls that end at random times. A late throw leaves from here.
void race(unsigned seed, int rounds)
{
    std::mt19937 random(seed);
    const auto up_to = [&](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
    int full[2];
    int empty[2];
    ASSERT_EQ(::pipe(full), 0);
    ASSERT_EQ(::pipe(empty), 0);
    int passed = 0;
    int in_time = 0;
    for (int round = 0; round < rounds; ++round) {
        const auto time = std::chrono::microseconds(up_to(80));
        const auto work = std::chrono::microseconds(up_to(80));
        const bool endless = up_to(3) == 0;
        const bool nested = up_to(3) == 0;
        char byte = 0;
        ASSERT_EQ(::write(full[1], "x", 1), 1);
        bool got = false;
        try {
            const deadline outer(nested ? 1000us : time);
            std::optional<deadline> inner;
            if (nested)
                inner.emplace(time);
            const auto until = steady_clock::now() + work;
            while (steady_clock::now() < until) {
            }
            got = tocsin::blocking::read(full[0], &byte, 1) == 1;
            if (endless) {
                support::endless(empty[0]);
                FAIL() << "read nothing";
            }
            inner.reset();
            ++in_time;
        } catch (const deadline_exceeded&) {
            ++passed;
        }
        // Outside: nothing may be thrown, no call may be cut short, no result may have been lost.
        tocsin::check_signals();
        pollfd each{full[0], POLLIN, 0};
        ASSERT_EQ(tocsin::blocking::poll(&each, 1, 0), got ? 0 : 1);
        if (!got) {
            ASSERT_EQ(tocsin::blocking::read(full[0], &byte, 1), 1);
        }
        if (up_to(63) == 0)
            tocsin::blocking::sleep_for(100us);
    }
    std::printf("seed %u: %d in time, %d passed\n", seed, in_time, passed);
    EXPECT_GT(in_time, 0);
    EXPECT_GT(passed, 0);
    for (const int fd : {full[0], full[1], empty[0], empty[1]})
        ::close(fd);
}

// The time is over at about the moment when the call looks and enters the kernel. One that is slept through hangs.
void race_into_the_call(unsigned seed, int rounds)
{
    std::printf("seed %u\n", seed);
    std::mt19937 random(seed);
    int empty[2];
    ASSERT_EQ(::pipe(empty), 0);
    for (int round = 0; round < rounds; ++round) {
        const auto early = std::chrono::nanoseconds(std::uniform_int_distribution<int>(-500, 1500)(random));
        const deadline limit(20us);
        while (limit.end() - steady_clock::now() > early) {
        }
        EXPECT_THROW(support::endless(empty[0]), deadline_exceeded);
    }
    ::close(empty[0]);
    ::close(empty[1]);
}

unsigned new_seed()
{
    const char* const given = std::getenv("TOCSIN_SEED");
    return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
}

} // namespace

TEST(deadline_race, never_late_and_never_lost)
{
    SKIP_UNDER_THREAD_SANITIZER();
    race(new_seed(), 20'000);
}

TEST(deadline_race, never_late_and_never_lost_on_several_threads)
{
    SKIP_UNDER_THREAD_SANITIZER();
    SKIP_WITHOUT_LIMITS_ELSEWHERE();
    const unsigned seed = new_seed();
    std::vector<std::thread> threads;
    for (unsigned n = 0; n < 3; ++n)
        threads.emplace_back([seed, n] { race(seed + n, 5'000); });
    race(seed + 3, 5'000);
    for (auto& each : threads)
        each.join();
}

TEST(deadline_race, passes_while_the_call_is_entered)
{
    SKIP_UNDER_THREAD_SANITIZER();
    race_into_the_call(new_seed(), 20'000);
}

TEST(deadline_race, passes_while_the_call_of_another_thread_is_entered)
{
    SKIP_UNDER_THREAD_SANITIZER();
    SKIP_WITHOUT_LIMITS_ELSEWHERE();
    std::thread(race_into_the_call, new_seed(), 20'000).join();
}

TEST(deadline_scope, gives_everything_back)
{
    tocsin::signal(SIGUSR1, [] {});
    const auto fds = descriptors();
    {
        const deadline limit(1);
        const deadline inner(1ms);
        EXPECT_EQ(timers(), support::own_timers + 1);
        EXPECT_EQ(descriptors(), fds);
    }
    try {
        within(0, [] { tocsin::check_signals(); });
    } catch (const deadline_exceeded&) {
    }
    EXPECT_EQ(timers(), support::own_timers);
    EXPECT_EQ(descriptors(), fds);
    EXPECT_EQ(tocsin::detail::main_pending, 0U);
}

TEST(deadline_scope, allocates_nothing)
{
    tocsin::blocking::sleep_for(1us);
    within(1, [] {});
    const std::size_t before = allocations;
    {
        const deadline limit(1);
        deadline inner(50);
        tocsin::blocking::sleep_for(1us);
        deadline::check();
        inner.reset(40);
        inner.cancel();
    }
    EXPECT_EQ(allocations, before);
}

TEST(deadline_scope, refused_by_the_kernel_changes_nothing)
{
    SKIP_IF_EMULATED("no such limit");
    rlimit before{};
    ::getrlimit(RLIMIT_SIGPENDING, &before);
    within(1, [] {});
    const rlimit none{0, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_SIGPENDING, &none), 0);
    EXPECT_EQ(support::errno_of([] { const deadline limit(1); }), EAGAIN);
    ASSERT_EQ(::setrlimit(RLIMIT_SIGPENDING, &before), 0);
    EXPECT_EQ(timers(), support::own_timers);
    tocsin::blocking::sleep_for(1ms);
    const deadline limit(0);
    EXPECT_THROW(tocsin::check_signals(), deadline_exceeded);
}

TEST(deadline_scope, without_a_signal_for_nudging_is_refused)
{
    SKIP_WITHOUT_SIGRTMAX();
    for (int sig = 1; sig <= support::last_signal(); ++sig) {
        if (sig == SIGURG || sig == SIGSTKFLT || sig >= SIGRTMIN)
            ::signal(sig, SIG_IGN);
    }
    EXPECT_EQ(support::errno_of([] { const deadline limit(1); }), EBUSY);
    ::signal(SIGURG, SIG_DFL);
    EXPECT_EQ(within(1, [] { return 1; }), 1);
}

TEST(deadline_scope, on_another_thread_first_and_handlers_of_the_main_thread_after)
{
    SKIP_UNDER_THREAD_SANITIZER();
    SKIP_WITHOUT_LIMITS_ELSEWHERE();
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    std::thread([] { EXPECT_THROW(within(1ms, [] { tocsin::blocking::sleep_for(100); }), deadline_exceeded); }).join();
    ASSERT_EQ(tocsin::nudge_signal(), tocsin::signum(SIGURG));
    tocsin::signal(SIGUSR1, [] {});
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    EXPECT_EQ(::sigismember(&now, SIGURG), 0) << "G3 needs it";
}

TEST(deadline_scope, survives_a_change_of_the_nudge_signal)
{
    SKIP_UNDER_THREAD_SANITIZER();
    deadline limit(100);
    int got = 0;
    tocsin::signal(SIGURG, [&] { ++got; }); // a safe point
    EXPECT_NE(tocsin::nudge_signal(), tocsin::signum(SIGURG));
    limit.reset(20ms);
    EXPECT_THROW(tocsin::blocking::sleep_for(100), deadline_exceeded);
    EXPECT_EQ(got, 0);
}

TEST(deadline_scope, survives_the_end_of_a_runtime)
{
    const deadline limit(0);
    EXPECT_TRUE(support::eventually([] { return tocsin::detail::main_pending != 0; }));
    {
        const tocsin::runtime scope;
    }
    EXPECT_THROW(tocsin::check_signals(), deadline_exceeded);
}

// Anybody may send the signal, also with what a timer's has.
TEST(deadline_scope, forged_signals_do_no_harm)
{
    SKIP_UNDER_THREAD_SANITIZER();
    within(1, [] {});
    const auto forge = [](int value) {
        siginfo_t info{};
        info.si_signo = SIGURG;
        info.si_code = SI_TIMER;
        info.si_value.sival_int = value;
        return ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::syscall(SYS_gettid), SIGURG, &info);
    };
    const auto shower = [&] {
        for (const int value : {0, 1, 2, 4095, 4096, -1, INT32_MAX, INT32_MIN}) {
            forge(value);
            tocsin::check_signals();
            tocsin::blocking::sleep_for(10us);
        }
    };
    shower();
    EXPECT_EQ(tocsin::detail::main_pending, 0U);
    const auto limited = [&] {
        const deadline limit(30ms);
        EXPECT_THROW(for (;;) shower(), deadline_exceeded);
        EXPECT_TRUE(limit.expired());
    };
    limited();
    if (support::limits_elsewhere)
        std::thread(limited).join();
    std::thread(shower).join();
}

TEST(deadline_fork, the_child_keeps_those_of_its_thread)
{
    SKIP_UNDER_THREAD_SANITIZER();
    const deadline outer(100);
    const deadline limit(30ms);
    const int status = support::in_child([&] {
        if (timers() != support::own_timers + 1)
            return 1;
        try {
            tocsin::blocking::sleep_for(100);
            return 2;
        } catch (const deadline_exceeded& e) {
            return limit.is(e) ? 0 : 3;
        }
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    EXPECT_THROW(tocsin::blocking::sleep_for(100), deadline_exceeded);
}

TEST(deadline_fork, one_that_has_passed_before)
{
    const deadline limit(0);
    EXPECT_THROW(tocsin::check_signals(), deadline_exceeded);
    const int status = support::in_child([] {
        try {
            for (;;)
                tocsin::check_signals();
        } catch (const deadline_exceeded&) {
            return 0;
        }
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}

TEST(deadline_fork, a_scope_can_end_in_the_child)
{
    std::optional<deadline> limit(std::in_place, 20ms);
    const int status = support::in_child([&] {
        limit.reset();
        tocsin::blocking::sleep_for(40ms);
        return timers() == support::own_timers ? 0 : 1;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}

TEST(deadline_fork, by_another_thread)
{
    SKIP_UNDER_THREAD_SANITIZER();
    SKIP_WITHOUT_LIMITS_ELSEWHERE();
    const deadline of_main(20ms);
    std::thread([] {
        const int free = support::in_child([] { // none of its own
            tocsin::blocking::sleep_for(40ms);
            tocsin::check_signals();
            return timers() == 0 ? 0 : 1;
        });
        EXPECT_TRUE(support::exited_with(free, 0)) << free;
        const deadline limit(30ms);
        const int limited = support::in_child([&] {
            const auto end = [&](auto f) {
                try {
                    f();
                    return false;
                } catch (const deadline_exceeded& e) {
                    return limit.is(e);
                }
            };
            if (!end([] { tocsin::blocking::sleep_for(100); }))
                return 1;
            return end([] { tocsin::check_signals(); }) ? 0 : 2; // it is the main thread now
        });
        EXPECT_TRUE(support::exited_with(limited, 0)) << limited;
        EXPECT_THROW(tocsin::blocking::sleep_for(100), deadline_exceeded);
    }).join();
}
