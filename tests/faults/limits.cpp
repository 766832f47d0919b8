// No room: for queued signals (RLIMIT_SIGPENDING), for descriptors (RLIMIT_NOFILE).

#include <tocsin/tocsin.hpp>

#include <sys/resource.h>
#include <sys/syscall.h>

#include <atomic>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <thread>

#include "state.hpp"

namespace {

using namespace std::chrono_literals;
using support::errno_of;
using support::message_of;

/// The limit is `value` while it lives.
class limited {
public:
    limited(__rlimit_resource which, rlim_t value)
        : which_(which)
    {
        ::getrlimit(which, &before_);
        const rlimit now{value, before_.rlim_max};
        if (::setrlimit(which, &now) != 0)
            throw std::system_error(errno, std::generic_category(), "setrlimit");
    }
    ~limited() { ::setrlimit(which_, &before_); }
    limited(const limited&) = delete;
    limited& operator=(const limited&) = delete;

private:
    __rlimit_resource which_;
    rlimit before_{};
};

const rlimit nothing{0, 0};
std::atomic<int> runs{0};
void count_runs() { ++runs; }
void foreign(int /*sig*/) { ++runs; }

// Standard signals need no room; a real-time one is refused with an error that says so.
TEST(full_queue, sending_works_or_says_that_there_is_no_room)
{
    std::map<int, std::uint64_t> got;
    const auto note = [&](const tocsin::event& e) { got[e.signo] += e.count; };
    tocsin::signal(SIGUSR1, note);
    tocsin::signal(SIGRTMIN, note);
    const limited none(RLIMIT_SIGPENDING, 0);
    tocsin::raise_signal(SIGUSR1);
    tocsin::pthread_kill(::pthread_self(), SIGUSR1);
    tocsin::sigqueue(::getpid(), SIGUSR1, {});
    ::kill(::getpid(), SIGUSR1);
    ::kill(::getpid(), SIGRTMIN);
    tocsin::check_signals();
    EXPECT_EQ(got, (std::map<int, std::uint64_t>{{SIGUSR1, 4}, {SIGRTMIN, 1}}));
    EXPECT_EQ(errno_of([] { tocsin::raise_signal(SIGRTMIN); }), EAGAIN);
    EXPECT_EQ(errno_of([] { tocsin::pthread_kill(::pthread_self(), SIGRTMIN); }), EAGAIN);
    EXPECT_EQ(errno_of([] { tocsin::sigqueue(::getpid(), SIGRTMIN, {}); }), EAGAIN);
    const std::string text = message_of<std::system_error>([] { tocsin::sigqueue(::getpid(), SIGRTMIN, {}); });
    EXPECT_EQ(text.rfind("sigqueue: SIGRTMIN to process " + std::to_string(::getpid()), 0), 0U) << text;
}

TEST(full_queue, timers_and_waits_need_no_room)
{
    tocsin::signal(SIGALRM, count_runs);
    const limited none(RLIMIT_SIGPENDING, 0);
    tocsin::setitimer(tocsin::itimer::real, 1ms, 1ms);
    while (runs < 3)
        tocsin::pause();
    tocsin::setitimer(tocsin::itimer::real, 0);
    tocsin::timer_fd timer;
    timer.settime(1ms);
    EXPECT_EQ(timer.read(), 1U);
    const tocsin::mask_guard guard({SIGTERM});
    ::kill(::getpid(), SIGTERM);
    EXPECT_EQ(tocsin::sigtimedwait({SIGTERM}, 20s)->signo(), SIGTERM);
}

TEST(full_queue, a_signal_that_another_thread_takes_still_interrupts)
{
    struct stop {};
    tocsin::signal(SIGUSR1, [] { throw stop(); });
    const limited none(RLIMIT_SIGPENDING, 0);
    std::thread other([] { ::raise(SIGUSR1); });
    EXPECT_THROW(tocsin::blocking::sleep_for(30s), stop);
    other.join();
}

// Whatever the number, however it was sent, whatever it meets: also when nothing can be queued.
TEST(G8, a_signal_pending_at_the_end_is_not_lost_when_the_queue_is_full)
{
    const std::vector<std::function<void(int)>> ways = {
        [](int sig) { ::raise(sig); },
        [](int sig) { ::kill(::getpid(), sig); },
        [](int sig) { ::sigqueue(::getpid(), sig, {}); },
    };
    for (const int sig : {SIGUSR1, SIGRTMIN, support::last_signal()}) {
        for (const auto& send : ways) {
            runs = 0;
            ::signal(sig, foreign);
            std::optional<tocsin::runtime> active(std::in_place);
            tocsin::signal(sig, count_runs);
            send(sig);
            const limited none(RLIMIT_SIGPENDING, 0);
            active.reset();
            EXPECT_EQ(runs, 1) << sig;
        }
    }
}

TEST(G8, the_default_action_is_not_lost_when_the_queue_is_full)
{
    for (const int sig : {SIGUSR1, SIGRTMIN, support::last_signal()}) {
        const int at_the_end = support::in_child([&] {
            const tocsin::runtime active;
            tocsin::signal(sig, count_runs);
            ::raise(sig);
            ::setrlimit(RLIMIT_SIGPENDING, &nothing);
            return 0;
        });
        EXPECT_TRUE(support::died_of(at_the_end, sig)) << sig << ": " << at_the_end;
        const int replaced = support::in_child([&] {
            tocsin::signal(sig, count_runs);
            tocsin::defer_signals later;
            ::raise(sig);
            ::setrlimit(RLIMIT_SIGPENDING, &nothing);
            tocsin::signal(sig, tocsin::default_action);
            later.release();
            return 0;
        });
        EXPECT_TRUE(support::died_of(replaced, sig)) << sig << ": " << replaced;
        const int before_exec = support::in_child([&] {
            tocsin::signal(sig, count_runs);
            ::raise(sig);
            ::setrlimit(RLIMIT_SIGPENDING, &nothing);
            tocsin::reset_for_exec();
            return 0;
        });
        EXPECT_TRUE(support::died_of(before_exec, sig)) << sig << ": " << before_exec;
    }
}

TEST(G6, a_foreign_child_takes_the_default_action_when_the_queue_is_full)
{
    for (const int sig : {SIGUSR1, SIGRTMIN, support::last_signal()}) {
        tocsin::signal(sig, count_runs);
        const tocsin::mask_guard block({sig});
        const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
        if (child == 0) {
            ::syscall(SYS_tgkill, ::syscall(SYS_getpid), ::syscall(SYS_gettid), sig);
            ::setrlimit(RLIMIT_SIGPENDING, &nothing);
            sigset_t none;
            ::sigemptyset(&none);
            ::sigprocmask(SIG_SETMASK, &none, nullptr);
            ::_exit(0);
        }
        int status = 0;
        support::wait_for(child, &status);
        EXPECT_TRUE(support::died_of(status, sig)) << sig << ": " << status;
        tocsin::check_signals();
        EXPECT_EQ(runs, 0);
    }
}

template <class F>
std::exception_ptr thrown_by(F f)
{
    try {
        f();
    } catch (...) {
        return std::current_exception();
    }
    return std::make_exception_ptr(std::runtime_error("nothing"));
}

TEST(no_descriptor, is_an_error_and_then_works)
{
    tocsin::signal(SIGUSR1, count_runs);
    tocsin::timer_fd kept;
    kept.settime(1000, 7);
    // UndefinedBehaviorSanitizer needs descriptors the first time that it sees an object of a type, and looks later.
    EXPECT_EQ(errno_of([] { const tocsin::timer_fd wrong(12345); }), EINVAL);
    tocsin::raise_signal(SIGUSR1);
    const support::process_state before;
    const std::string clock = std::to_string(CLOCK_MONOTONIC);
    std::exception_ptr timer;
    std::exception_ptr process;
    std::exception_ptr file;
    {
        const auto used = static_cast<rlim_t>(support::open_descriptors().rbegin()->first) + 1;
        std::vector<int> holes; // free numbers below the highest
        for (int fd; (fd = ::dup(0)) >= 0 && static_cast<rlim_t>(fd) < used;)
            holes.push_back(fd);
        holes.push_back(static_cast<int>(used));
        const limited none(RLIMIT_NOFILE, used);
        timer = thrown_by([] { const tocsin::timer_fd made; });
        process = thrown_by([] { (void)tocsin::pidfd_open(::getpid()); });
        file = thrown_by([] { tocsin::blocking::open("/dev/null", O_RDONLY); });
        // What is there works on.
        EXPECT_EQ(kept.gettime().interval, 7s);
        tocsin::raise_signal(SIGUSR1);
        EXPECT_EQ(runs, 2);
        for (const int fd : holes)
            ::close(fd);
    }
    for (const auto& refused : {timer, process, file})
        EXPECT_EQ(errno_of([&] { std::rethrow_exception(refused); }), EMFILE);
    const std::string text = message_of<std::system_error>([&] { std::rethrow_exception(timer); });
    EXPECT_EQ(text.rfind("timerfd_create: clock " + clock + ", flags 0", 0), 0U) << text;
    support::expect_unchanged(before, "no descriptor");
    const tocsin::timer_fd made;
    EXPECT_TRUE(tocsin::pidfd_open(::getpid()));
}

} // namespace
