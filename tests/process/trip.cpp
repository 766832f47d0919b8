// The trip routine as seen from outside: errno, alternate stacks, other threads, floods (G1).

#include <tocsin/tocsin.hpp>

#include <sys/auxv.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "dispositions.hpp"

namespace {

using support::eventually;
using tocsin::event;

void nothing(int) {}

TEST(trip, keeps_errno)
{
    tocsin::signal(SIGUSR1, nothing);
    support::pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    pipe.close_writer(); // so that the write in the trip routine fails
    for (const int value : {0, EDOM, EINTR, 4711}) {
        errno = value;
        ::raise(SIGUSR1);
        EXPECT_EQ(errno, value);
    }
    tocsin::set_wakeup_fd(-1);
    tocsin::detail::main_pending.store(0); // no report of it here
}

TEST(trip, check_signals_with_nothing_pending_keeps_errno)
{
    errno = EDOM;
    tocsin::check_signals();
    EXPECT_EQ(errno, EDOM);
}

// An alternate stack between two pages that must not be touched.
class alternate_stack {
public:
    explicit alternate_stack(std::size_t size)
        : size_((size + page - 1) / page * page)
        , base_(static_cast<std::byte*>(
              ::mmap(nullptr, size_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)))
    {
        ::mprotect(memory(), size_, PROT_READ | PROT_WRITE);
        std::memset(memory(), pattern, size_);
        stack_t mine{};
        mine.ss_sp = memory();
        mine.ss_size = size_;
        if (::sigaltstack(&mine, &before_) == -1)
            ADD_FAILURE() << "sigaltstack: " << errno;
    }
    ~alternate_stack()
    {
        ::sigaltstack(&before_, nullptr);
        ::munmap(base_, size_ + 2 * page);
    }
    alternate_stack(const alternate_stack&) = delete;
    alternate_stack& operator=(const alternate_stack&) = delete;

    [[nodiscard]] std::size_t used() const
    {
        const std::byte* const end = memory() + size_;
        return static_cast<std::size_t>(end - std::find_if(static_cast<const std::byte*>(memory()), end,
                                                           [](std::byte b) { return b != std::byte{pattern}; }));
    }

private:
    static constexpr std::size_t page = 4096;
    static constexpr unsigned char pattern = 0xA5;
    [[nodiscard]] std::byte* memory() const { return base_ + page; }
    std::size_t size_;
    std::byte* base_;
    stack_t before_{};
};

// What the kernel's frame needs on this processor, and one page for the routine; sanitizers need more.
std::size_t small_stack()
{
    const auto frame = std::max<std::size_t>(::getauxval(AT_MINSIGSTKSZ), 2048);
#if defined(__SANITIZE_ADDRESS__)
    return frame + 65536;
#else
    return frame + (support::thread_sanitizer ? 65536 : 4096);
#endif
}

void expect_use_of_the_alternate_stack()
{
    const alternate_stack stack(small_stack());
    EXPECT_EQ(stack.used(), 0U);
    ::raise(SIGUSR1);
    EXPECT_GT(stack.used(), 0U);
    for (int n = 0; n < 100; ++n)
        ::raise(SIGUSR1);
}

TEST(trip, runs_on_a_small_alternate_stack_where_the_thread_has_one)
{
    std::uint64_t arrivals = 0;
    tocsin::signal(SIGUSR1, [&](const event& e) { arrivals += e.count; });
    const support::pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    expect_use_of_the_alternate_stack();
    std::thread(expect_use_of_the_alternate_stack).join();
    tocsin::set_wakeup_fd(-1);
    tocsin::check_signals();
    EXPECT_EQ(arrivals, 202U);
}

TEST(trip, handlers_do_not_run_on_the_alternate_stack)
{
    bool on_it = true;
    tocsin::signal(SIGUSR1, [&] {
        stack_t now{};
        ::sigaltstack(nullptr, &now);
        on_it = (now.ss_flags & SS_ONSTACK) != 0;
    });
    const alternate_stack stack(small_stack());
    tocsin::raise_signal(SIGUSR1);
    EXPECT_FALSE(on_it);
}

TEST(trip, a_signal_that_another_thread_took_is_recorded_for_the_main_thread)
{
    std::thread::id where;
    std::uint64_t arrivals = 0;
    tocsin::signal(SIGUSR1, [&](const event& e) {
        where = std::this_thread::get_id();
        arrivals += e.count;
    });
    std::thread([&] {
        ::raise(SIGUSR1);
        tocsin::check_signals();
        ::raise(SIGUSR1);
    }).join();
    EXPECT_EQ(arrivals, 0U);
    tocsin::check_signals();
    EXPECT_EQ(where, std::this_thread::get_id());
    EXPECT_EQ(arrivals, 2U);
}

TEST(trip, a_process_directed_signal_that_the_main_thread_blocks_is_taken_by_another_thread)
{
    bool ran = false;
    tocsin::signal(SIGUSR1, [&] { ran = true; });
    const support::pipe_pair go(0);
    std::thread other([&] {
        char byte = 0;
        while (::read(go.reader(), &byte, 1) != 1) {
        }
    });
    tocsin::pthread_sigmask(tocsin::sigmask::block, {SIGUSR1});
    ::kill(::getpid(), SIGUSR1);
    EXPECT_TRUE(eventually([&] {
        tocsin::check_signals();
        return ran;
    }));
    ASSERT_EQ(::write(go.writer(), "x", 1), 1);
    other.join();
}

TEST(trip, arrivals_on_many_threads_at_once_are_all_counted)
{
    constexpr unsigned threads = 8;
    const unsigned each = support::thread_sanitizer ? 2'000 : 20'000;
    std::uint64_t arrivals = 0;
    std::uint64_t bad = 0;
    const auto count = [&](const event& e) {
        arrivals += e.count;
        // A torn record would show here.
        bad += e.info.signo() != e.signo || e.info.pid() != ::getpid() || e.count == 0 ? 1 : 0;
    };
    for (const int sig : {SIGUSR1, SIGUSR2})
        tocsin::signal(sig, count);
    std::atomic<unsigned> running{threads};
    std::vector<std::thread> senders;
    for (unsigned t = 0; t < threads; ++t) {
        senders.emplace_back([&, sig = t % 2 == 0 ? SIGUSR1 : SIGUSR2] {
            for (unsigned n = 0; n < each; ++n)
                ::raise(sig); // thread-directed and taken at once: the kernel merges none
            --running;
        });
    }
    while (running != 0)
        tocsin::check_signals();
    for (std::thread& sender : senders)
        sender.join();
    tocsin::check_signals();
    EXPECT_EQ(arrivals, std::uint64_t{threads} * each);
    EXPECT_EQ(bad, 0U);
}

TEST(trip, the_handler_of_a_raised_signal_has_run_also_while_other_threads_take_the_same_one)
{
    std::uint64_t ran = 0;
    tocsin::signal(SIGUSR1, [&](const event& e) { ran += e.count; });
    std::atomic<bool> stop{false};
    std::thread other([&] {
        while (!stop)
            ::raise(SIGUSR1);
    });
    for (int n = 0; n < 5000; ++n) {
        const std::uint64_t before = ran;
        tocsin::raise_signal(SIGUSR1);
        ASSERT_GT(ran, before);
    }
    stop = true;
    other.join();
}

TEST(trip, the_last_arrival_is_never_forgotten)
{
    // Each round ends with a quiet moment in which everything sent must have been handled.
    std::uint64_t arrivals = 0;
    tocsin::signal(SIGUSR1, [&](const event& e) { arrivals += e.count; });
    std::atomic<std::uint64_t> asked{0};
    std::atomic<std::uint64_t> sent{0};
    constexpr std::uint64_t rounds = 3000;
    std::thread other([&] {
        for (std::uint64_t n = 1; n <= rounds; ++n) {
            while (asked.load() < n)
                ::sched_yield();
            ::raise(SIGUSR1);
            sent = n;
        }
    });
    for (std::uint64_t n = 1; n <= rounds; ++n) {
        asked = n;
        while (sent.load() < n)
            tocsin::check_signals(); // races with the arrival
        tocsin::check_signals();
        EXPECT_EQ(arrivals, n);
    }
    other.join();
}

// A process that floods this one with `flood` and sends one `precious` in the middle.
pid_t start_flood(int flood, int precious, int count)
{
    const pid_t child = ::fork();
    if (child != 0)
        return child;
    const pid_t parent = ::getppid();
    for (int n = 0; n < count; ++n) {
        ::kill(parent, flood);
        if (n == count / 2)
            ::kill(parent, precious);
    }
    ::_exit(0);
}

bool is_over(pid_t child)
{
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child;
}

constexpr int flood_size = support::thread_sanitizer ? 50'000 : 1'000'000;

// `consume` runs again and again while the flood lasts.
void expect_the_precious_one_survives(const std::function<void()>& consume)
{
    int precious = 0;
    std::uint64_t flooded = 0;
    tocsin::signal(SIGTERM, [&](const event& e) {
        ++precious;
        EXPECT_EQ(e.count, 1U);
    });
    tocsin::signal(SIGUSR1, [&](const event& e) { flooded += e.count; });
    const support::pipe_pair full;
    full.fill();
    tocsin::set_wakeup_fd(full.writer(), {.warn_on_full_buffer = false});
    const pid_t child = start_flood(SIGUSR1, SIGTERM, flood_size);
    while (!is_over(child))
        consume();
    support::wait_for(child);
    tocsin::check_signals();
    tocsin::set_wakeup_fd(-1);
    EXPECT_EQ(precious, 1);
    EXPECT_GE(flooded, 1U);
    EXPECT_LE(flooded, static_cast<std::uint64_t>(flood_size));
}

TEST(G1, a_flood_of_one_signal_never_loses_another)
{
    expect_the_precious_one_survives([] { tocsin::check_signals(); });
}

TEST(G1, a_flood_of_one_signal_never_loses_another_also_when_nobody_looks_before_it_is_over)
{
    expect_the_precious_one_survives([] {});
}

TEST(G1, a_flood_on_another_thread_never_loses_a_signal)
{
    int precious = 0;
    std::uint64_t flooded = 0;
    tocsin::signal(SIGTERM, [&] { ++precious; });
    tocsin::signal(SIGUSR1, [&](const event& e) { flooded += e.count; });
    const int count = flood_size / 5;
    std::atomic<bool> over{false};
    std::thread flood([&] {
        for (int n = 0; n < count; ++n) {
            ::raise(SIGUSR1);
            if (n == count / 2)
                ::raise(SIGTERM);
        }
        over = true;
    });
    while (!over)
        tocsin::check_signals();
    flood.join();
    tocsin::check_signals();
    EXPECT_EQ(precious, 1);
    EXPECT_EQ(flooded, static_cast<std::uint64_t>(count));
}

} // namespace
