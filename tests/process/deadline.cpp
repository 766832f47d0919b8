// tocsin::deadline: each kind of call ends in time, nested ones, what is thrown when.

#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <tocsin/tocsin.hpp>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <thread>

#include "deadline.hpp"

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using support::endless;
using support::timers;
using tocsin::deadline;
using tocsin::deadline_exceeded;
using tocsin::within;

namespace {

// Things to wait for that never come.
struct endless_calls {
    int pipe_fds[2]{};
    int listener = -1;
    int full_listener = -1; // its queue has no room
    sockaddr_un full_address{};
    int lock_holder = -1;
    int lock = -1;
    pid_t child = -1;
    std::uint32_t word = 0;
    tocsin::timer_fd never_set{CLOCK_MONOTONIC};
    std::map<std::string, std::function<void()>> by_name;

    endless_calls()
    {
        EXPECT_EQ(::pipe(pipe_fds), 0);
        listener = ::socket(AF_INET, SOCK_STREAM, 0);
        EXPECT_EQ(::listen(listener, 1), 0);
        full_listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
        full_address.sun_family = AF_UNIX;
        const std::string name = "tocsin-deadline-" + std::to_string(::getpid());
        name.copy(full_address.sun_path + 1, sizeof full_address.sun_path - 1); // abstract
        EXPECT_EQ(::bind(full_listener, address(), sizeof full_address), 0);
        EXPECT_EQ(::listen(full_listener, 0), 0);
        EXPECT_EQ(::connect(::socket(AF_UNIX, SOCK_STREAM, 0), address(), sizeof full_address), 0);
        char file[] = "/tmp/tocsin-deadline-XXXXXX";
        lock_holder = ::mkstemp(file);
        lock = ::open(file, O_RDWR);
        ::unlink(file);
        EXPECT_EQ(::flock(lock_holder, LOCK_EX), 0);
        child = ::fork();
        if (child == 0) {
            for (;;)
                ::pause();
        }
        namespace blocking = tocsin::blocking;
        by_name["read"] = [this] { endless(pipe_fds[0]); };
        by_name["poll"] = [this] {
            pollfd each{pipe_fds[0], POLLIN, 0};
            blocking::poll(&each, 1, -1);
        };
        by_name["poll, 100 s"] = [this] {
            pollfd each{pipe_fds[0], POLLIN, 0};
            blocking::poll(&each, 1, 100'000);
        };
        by_name["select"] = [this] {
            fd_set readable;
            FD_ZERO(&readable);
            FD_SET(pipe_fds[0], &readable);
            blocking::select(pipe_fds[0] + 1, &readable, nullptr, nullptr, nullptr);
        };
        by_name["accept"] = [this] { blocking::accept(listener, nullptr, nullptr); };
        by_name["connect"] = [this] {
            const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
            blocking::connect(fd, address(), sizeof full_address);
        };
        by_name["flock"] = [this] { blocking::flock(lock, LOCK_EX); };
        by_name["waitpid"] = [this] {
            int status = 0;
            blocking::waitpid(child, &status, 0);
        };
        by_name["futex_wait"] = [this] { blocking::futex_wait(&word, 0); };
        by_name["sleep_for"] = [] { blocking::sleep_for(100); };
        by_name["sleep_until"] = [] { blocking::sleep_until(steady_clock::now() + 100s); };
        by_name["timer_fd"] = [this] { never_set.read(); };
        by_name["call"] = [this] {
            char byte = 0;
            blocking::call(SYS_read, pipe_fds[0], &byte, 1);
        };
        by_name["sigwait"] = [] { tocsin::sigwait({SIGUSR2}); };
        by_name["sigtimedwait"] = [] { tocsin::sigtimedwait({SIGUSR2}, 100); };
        by_name["pause"] = [] { tocsin::pause(); };
        by_name["inbox"] = [] {
            tocsin::inbox box;
            const auto listening = box.on({SIGUSR1});
            box.wait();
        };
    }
    ~endless_calls()
    {
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
    }
    endless_calls(const endless_calls&) = delete;
    endless_calls& operator=(const endless_calls&) = delete;

    [[nodiscard]] const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&full_address); }
};

void expect_to_end_in_time(const std::string& name, const std::function<void()>& call)
{
    const auto begin = steady_clock::now();
    const deadline limit(15ms);
    try {
        call();
        ADD_FAILURE() << name << ": returned";
    } catch (const deadline_exceeded& e) {
        EXPECT_TRUE(limit.is(e)) << name;
        EXPECT_EQ(e.code(), std::errc::timed_out);
    }
    const auto took = steady_clock::now() - begin;
    EXPECT_GE(took, 15ms) << name;
    EXPECT_LT(took, 5s) << name;
}

void every_call_ends()
{
    endless_calls calls;
    const tocsin::mask_guard blocked({SIGUSR2});
    for (const auto& [name, call] : calls.by_name)
        expect_to_end_in_time(name, call);
}

} // namespace

TEST(deadline, ends_every_call)
{
    SKIP_UNDER_THREAD_SANITIZER();
    every_call_ends();
}

TEST(deadline, ends_every_call_of_another_thread)
{
    SKIP_UNDER_THREAD_SANITIZER();
    SKIP_WITHOUT_LIMITS_ELSEWHERE();
    std::thread(every_call_ends).join();
    EXPECT_EQ(timers(), 0);
}

TEST(deadline, ends_calls_of_a_thread_that_blocks_all_signals)
{
    SKIP_UNDER_THREAD_SANITIZER();
    SKIP_WITHOUT_LIMITS_ELSEWHERE();
    std::thread([] {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        expect_to_end_in_time("sleep_for", [] { tocsin::blocking::sleep_for(100); });
        sigset_t after;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
        EXPECT_EQ(::sigismember(&after, *tocsin::nudge_signal()), 1) << "left open";
    }).join();
    expect_to_end_in_time("sleep_for", [] { tocsin::blocking::sleep_for(100); });
}

TEST(deadline, ends_calls_where_the_main_thread_blocks_all_signals)
{
    SKIP_UNDER_THREAD_SANITIZER();
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    expect_to_end_in_time("sleep_for", [] { tocsin::blocking::sleep_for(100); });
    // Taken by another thread, in whose name nothing is opened here: the first handler does that.
    EXPECT_EQ(tocsin::nudge_signal(), tocsin::signum(SIGURG));
}

TEST(deadline, works_with_a_runtime_and_among_signals)
{
    SKIP_UNDER_THREAD_SANITIZER();
    const tocsin::runtime scope;
    int ticks = 0;
    tocsin::signal(SIGALRM, [&] { ++ticks; });
    tocsin::setitimer(tocsin::itimer::real, 1ms, 1ms);
    do
        expect_to_end_in_time("sleep_for", [] { tocsin::blocking::sleep_for(100); });
    while (ticks <= 2); // after a pause it may be over at once
    tocsin::setitimer(tocsin::itimer::real, 0);
    tocsin::check_signals(); // what is pending at the end of the runtime would end the process
}

TEST(deadline, ends_a_computation_at_a_safe_point)
{
    const deadline limit(10ms);
    const auto compute = [] {
        for (;;)
            tocsin::check_signals();
    };
    EXPECT_THROW(compute(), deadline_exceeded);
    EXPECT_TRUE(limit.expired());
    EXPECT_EQ(limit.remaining(), 0ns);
}

TEST(deadline, ends_a_computation_of_another_thread_that_checks)
{
    SKIP_WITHOUT_LIMITS_ELSEWHERE();
    std::thread([] {
        const deadline limit(10ms);
        const auto compute = [] {
            for (;;)
                deadline::check();
        };
        EXPECT_THROW(compute(), deadline_exceeded);
    }).join();
}

// Calls that find what they ask for at once, again and again, must end too.
TEST(deadline, ends_a_loop_of_calls_that_do_not_wait)
{
    SKIP_UNDER_THREAD_SANITIZER();
    const auto loop = [] {
        const int ready = ::eventfd(1, 0);
        const deadline limit(10ms);
        const auto poll = [&] {
            pollfd each{ready, POLLIN, 0};
            EXPECT_EQ(tocsin::blocking::poll(&each, 1, 0), 1);
        };
        EXPECT_THROW(for (;;) poll(), deadline_exceeded);
    };
    loop();
    if (support::limits_elsewhere)
        std::thread(loop).join();
}

TEST(deadline, throws_again_until_its_scope_is_left)
{
    {
        const deadline limit(0);
        for (int i = 0; i < 3; ++i) {
            char byte = 0;
            EXPECT_THROW(tocsin::check_signals(), deadline_exceeded);
            EXPECT_THROW(tocsin::blocking::read(0, &byte, 1), deadline_exceeded);
            EXPECT_THROW(deadline::check(), deadline_exceeded);
        }
    }
    for (int i = 0; i < 3; ++i) {
        tocsin::check_signals();
        tocsin::blocking::sleep_for(1ms);
    }
    deadline::check();
}

TEST(deadline, cancelled_or_set_anew_passes_no_more)
{
    SKIP_UNDER_THREAD_SANITIZER();
    deadline limit(0);
    EXPECT_THROW(tocsin::check_signals(), deadline_exceeded);
    limit.cancel();
    tocsin::blocking::sleep_for(2ms);
    EXPECT_FALSE(limit.expired());
    EXPECT_EQ(limit.remaining(), nanoseconds::max());
    limit.reset(5ms);
    EXPECT_THROW(tocsin::blocking::sleep_for(100), deadline_exceeded);
    limit.reset(100);
    tocsin::blocking::sleep_for(2ms);
    EXPECT_GT(limit.remaining(), 90s);
}

TEST(deadline, an_inner_one_that_is_shorter_throws_and_the_outer_one_goes_on)
{
    SKIP_UNDER_THREAD_SANITIZER();
    const deadline outer(1);
    {
        const deadline inner(10ms);
        try {
            tocsin::blocking::sleep_for(100);
            ADD_FAILURE();
        } catch (const deadline_exceeded& e) {
            EXPECT_TRUE(inner.is(e));
            EXPECT_FALSE(outer.is(e));
        }
    }
    EXPECT_FALSE(outer.expired());
    try {
        tocsin::blocking::sleep_for(100);
        ADD_FAILURE();
    } catch (const deadline_exceeded& e) {
        EXPECT_TRUE(outer.is(e));
    }
}

TEST(deadline, an_outer_one_that_is_shorter_is_the_one_thrown)
{
    SKIP_UNDER_THREAD_SANITIZER();
    const auto expect_outer = [](const deadline& outer, const deadline& inner) {
        try {
            tocsin::blocking::sleep_for(100);
            ADD_FAILURE();
        } catch (const deadline_exceeded& e) {
            EXPECT_TRUE(outer.is(e));
            EXPECT_FALSE(inner.is(e));
        }
    };
    const deadline outer(10ms);
    {
        const deadline inner(100);
        expect_outer(outer, inner);
        EXPECT_GT(inner.remaining(), 90s);
    }
    const deadline inner(1ms);
    EXPECT_TRUE(support::eventually([&] { return inner.expired(); }));
    expect_outer(outer, inner);
}

TEST(deadline, of_equal_times_the_outermost_is_thrown)
{
    SKIP_UNDER_THREAD_SANITIZER();
    const auto end = steady_clock::now() + 10ms;
    const deadline outer(end);
    {
        const deadline inner(end);
        try {
            tocsin::blocking::sleep_for(100);
            ADD_FAILURE();
        } catch (const deadline_exceeded& e) {
            EXPECT_TRUE(outer.is(e));
        }
    }
    EXPECT_THROW(tocsin::blocking::sleep_for(100), deadline_exceeded);
}

// The timer is set for the earliest, and set again when that one ends first.
TEST(deadline, the_timer_follows_the_scopes)
{
    SKIP_UNDER_THREAD_SANITIZER();
    for (int round = 0; round < 3; ++round) {
        const deadline outer(40ms);
        std::optional<deadline> inner(std::in_place, 20ms);
        std::optional<deadline> innermost(std::in_place, 100);
        innermost.reset();
        inner.reset();
        EXPECT_THROW(tocsin::blocking::sleep_for(100), deadline_exceeded);
        EXPECT_GE(steady_clock::now(), outer.end());
    }
}

TEST(deadline, scopes_that_end_out_of_order)
{
    SKIP_UNDER_THREAD_SANITIZER();
    std::optional<deadline> first(std::in_place, 10ms);
    std::optional<deadline> second(std::in_place, 30ms);
    first.reset();
    try {
        tocsin::blocking::sleep_for(100);
        ADD_FAILURE();
    } catch (const deadline_exceeded& e) {
        EXPECT_TRUE(second->is(e));
    }
}

TEST(deadline, a_complete_call_returns_its_result)
{
    int fds[2];
    ASSERT_EQ(::pipe(fds), 0);
    ASSERT_EQ(::write(fds[1], "ab", 2), 2);
    char bytes[2]{};
    deadline limit(100);
    const auto run_past = [&] {
        const ssize_t got = tocsin::blocking::read(fds[0], bytes, sizeof bytes);
        limit.reset(10ms);
        EXPECT_TRUE(support::eventually([&] { return limit.expired(); }));
        return got;
    };
    EXPECT_EQ(run_past(), 2);
    EXPECT_THROW(tocsin::check_signals(), deadline_exceeded);
}

TEST(deadline, close_throws_after_it_has_closed)
{
    const int fd = ::eventfd(0, EFD_CLOEXEC);
    const deadline limit(0);
    EXPECT_THROW(deadline::check(), deadline_exceeded);
    EXPECT_THROW(tocsin::blocking::close(fd), deadline_exceeded);
    errno = 0;
    EXPECT_EQ(::close(fd), -1);
    EXPECT_EQ(errno, EBADF);
}

TEST(deadline, deferral_keeps_it_back)
{
    const deadline limit(5ms);
    {
        tocsin::defer_signals guard;
        tocsin::blocking::sleep_for(20ms);
        EXPECT_TRUE(limit.expired());
        tocsin::check_signals();
        deadline::check();
        EXPECT_THROW(guard.release(), deadline_exceeded);
    }
    EXPECT_THROW(tocsin::check_signals(), deadline_exceeded);
}

TEST(deadline, handlers_run_before_it_throws)
{
    std::string log;
    tocsin::signal(SIGUSR1, [&] { log += '1'; });
    tocsin::signal(SIGUSR2, [&] { log += '2'; });
    const deadline limit(0);
    try {
        const tocsin::defer_signals both;
        ::raise(SIGUSR1);
        ::raise(SIGUSR2);
        EXPECT_TRUE(support::eventually([] { return (tocsin::detail::main_pending >> 31 & 1) != 0; }));
    } catch (...) {
        ADD_FAILURE();
    }
    EXPECT_THROW(tocsin::check_signals(), deadline_exceeded);
    EXPECT_EQ(log, "12");
}

TEST(deadline, a_handler_that_throws_comes_first_and_the_deadline_stays)
{
    tocsin::signal(SIGUSR1, [] { throw 1; });
    const deadline limit(0);
    EXPECT_THROW(tocsin::raise_signal(SIGUSR1), int);
    EXPECT_THROW(tocsin::check_signals(), deadline_exceeded);
}

TEST(deadline, a_handler_that_runs_past_it)
{
    tocsin::signal(SIGUSR1, [] { tocsin::blocking::sleep_for(100); });
    if (!support::thread_sanitizer) {
        const deadline limit(10ms);
        EXPECT_THROW(tocsin::raise_signal(SIGUSR1), deadline_exceeded) << "the handler's own call";
    }
    bool ran = false;
    const deadline* which = nullptr;
    tocsin::signal(SIGUSR2, [&] { ran = support::eventually([&] { return which->expired(); }); });
    const deadline limit(10ms);
    which = &limit;
    EXPECT_THROW(tocsin::raise_signal(SIGUSR2), deadline_exceeded) << "after it";
    EXPECT_TRUE(ran);
}

namespace {

void see_that_it_is_over()
{
    const deadline limit(5ms);
    sigset_t nudge;
    ::sigemptyset(&nudge);
    ::sigaddset(&nudge, tocsin::nudge_signal().value());
    ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &nudge, nullptr), 0);
    EXPECT_TRUE(support::eventually([&] { return limit.expired(); }));
    EXPECT_THROW(tocsin::blocking::sleep_for(1), deadline_exceeded);
    EXPECT_THROW(tocsin::blocking::sleep_for(1), deadline_exceeded);
    ASSERT_EQ(::pthread_sigmask(SIG_UNBLOCK, &nudge, nullptr), 0);
    EXPECT_THROW(within(limit, [] { tocsin::blocking::sleep_for(1); }), deadline_exceeded);
}

} // namespace

// The kernel's signal comes a little after the time has passed, on a busy machine a good while: here it is kept back.
TEST(deadline, one_that_was_seen_to_be_over_throws_at_the_next_safe_point)
{
    see_that_it_is_over();
    if (support::limits_elsewhere)
        std::thread(see_that_it_is_over).join();
}

TEST(deadline, made_and_ended_in_a_handler)
{
    SKIP_UNDER_THREAD_SANITIZER();
    bool thrown = false;
    tocsin::signal(SIGUSR1, [&] {
        try {
            within(5ms, [] { tocsin::blocking::sleep_for(100); });
        } catch (const deadline_exceeded&) {
            thrown = true;
        }
    });
    tocsin::raise_signal(SIGUSR1);
    EXPECT_TRUE(thrown);
    EXPECT_EQ(timers(), support::own_timers);
    const deadline outer(100);
    thrown = false;
    tocsin::raise_signal(SIGUSR1);
    EXPECT_TRUE(thrown);
    tocsin::blocking::sleep_for(10ms);
}

namespace {

// Clean-up that makes calls, as destructors do.
struct clean_up {
    bool& done;
    ~clean_up()
    {
        tocsin::check_signals();
        tocsin::blocking::sleep_for(5ms);
        tocsin::blocking::close(::eventfd(0, 0));
        try {
            within(5ms, [] { tocsin::blocking::sleep_for(100); }); // one of its own
            ADD_FAILURE();
        } catch (const deadline_exceeded&) {
            done = true;
        }
        tocsin::blocking::sleep_for(5ms);
    }
};

void unwind()
{
    bool done = false;
    const deadline limit(10ms);
    try {
        const clean_up at_end{done};
        tocsin::blocking::sleep_for(100);
        ADD_FAILURE();
    } catch (const deadline_exceeded& e) {
        EXPECT_TRUE(limit.is(e));
    }
    EXPECT_TRUE(done);
    EXPECT_THROW(tocsin::blocking::sleep_for(100), deadline_exceeded) << "forgotten by the clean-up";
    if (tocsin::detail::main_pending != 0) {
        EXPECT_THROW(tocsin::check_signals(), deadline_exceeded);
    }
}

} // namespace

TEST(deadline, nothing_is_thrown_while_the_stack_is_unwound)
{
    SKIP_UNDER_THREAD_SANITIZER();
    unwind();
    if (support::limits_elsewhere)
        std::thread(unwind).join();
}

namespace {

// A time of the kernel's own, which begins anew when the call is interrupted.
struct last_words {
    int fd;
    int& error;
    ~last_words()
    {
        char byte = 0;
        std::error_code ec;
        tocsin::blocking::read(fd, &byte, 1, ec);
        error = ec.value();
    }
};

void unwind_with_a_receive_timeout()
{
    int fds[2]{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    const timeval time{0, 100'000};
    ASSERT_EQ(::setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
    int error = 0;
    try {
        const deadline limit(10ms);
        const last_words at_end{fds[0], error};
        tocsin::blocking::sleep_for(100);
        ADD_FAILURE();
    } catch (const deadline_exceeded&) {
    }
    EXPECT_EQ(error, EAGAIN);
    ::close(fds[0]);
    ::close(fds[1]);
}

} // namespace

TEST(deadline, a_socket_timeout_ends_a_call_while_the_stack_is_unwound)
{
    SKIP_UNDER_THREAD_SANITIZER();
    unwind_with_a_receive_timeout();
    if (support::limits_elsewhere)
        std::thread(unwind_with_a_receive_timeout).join();
}

TEST(deadline, a_computation_after_the_clean_up_is_ended)
{
    const deadline limit(0);
    struct looks {
        ~looks() { tocsin::check_signals(); }
    };
    try {
        const looks at_end;
        throw 1;
    } catch (int) {
    }
    const auto compute = [] {
        for (;;)
            tocsin::check_signals();
    };
    EXPECT_THROW(compute(), deadline_exceeded);
}

TEST(deadline, within_returns_what_the_call_returns)
{
    int value = 1;
    int& same = within(1, [&]() -> int& { return value; });
    EXPECT_EQ(&same, &value);
    EXPECT_EQ(within(steady_clock::now() + 1s, [] { return std::string("text"); }), "text");
    within(1, [] {});
}

TEST(deadline, given_to_another_thread)
{
    SKIP_UNDER_THREAD_SANITIZER();
    SKIP_WITHOUT_LIMITS_ELSEWHERE();
    const deadline whole(15ms);
    bool known = false;
    std::thread([&] {
        tocsin::blocking::sleep_for(1ms); // not limited by another thread's
        try {
            within(whole, [] { tocsin::blocking::sleep_for(100); });
        } catch (const deadline_exceeded& e) {
            known = whole.is(e);
        }
    }).join();
    EXPECT_TRUE(known);
    EXPECT_TRUE(whole.expired());
}

TEST(deadline, refuses_what_is_no_time)
{
    const auto make = [](tocsin::seconds time) { const deadline limit(time); };
    EXPECT_THROW(make(-1), std::invalid_argument);
    EXPECT_THROW(make(-1e-12), std::invalid_argument);
    EXPECT_THROW(make(std::nan("")), std::invalid_argument);
    EXPECT_THROW(make(std::numeric_limits<double>::infinity()), std::overflow_error);
    EXPECT_EQ(support::message_of<std::invalid_argument>([] { const deadline d(-1.5); }),
              "deadline: -1.5 s: a time must not be negative");
    deadline limit(nanoseconds::max());
    EXPECT_EQ(limit.end(), deadline::time_point::max());
    EXPECT_THROW(limit.reset(-1), std::invalid_argument);
    EXPECT_FALSE(limit.expired());
    tocsin::blocking::sleep_for(1ms);
}

TEST(deadline, long_past_or_never)
{
    const deadline never(deadline::time_point::max());
    tocsin::blocking::sleep_for(1ms);
    {
        const deadline past(deadline::time_point::min());
        EXPECT_TRUE(past.expired());
        EXPECT_THROW(tocsin::blocking::sleep_for(1ms), deadline_exceeded);
    }
    tocsin::blocking::sleep_for(1ms);
}

TEST(deadline, says_how_long_it_was)
{
    const deadline limit(1500us);
    const auto wait = [] {
        for (;;)
            deadline::check();
    };
    EXPECT_EQ(support::message_of<deadline_exceeded>(wait),
              "deadline of 0.0015 s has passed: " + std::generic_category().message(ETIMEDOUT));
}
