// Every system call that the library makes is made to fail, with every error that it might give and some that it should
// not: the caller gets the documented error, or nothing of it; nothing has changed or leaked; afterwards it works.
//
// The table is complete: the last test compares it with the sources. To add a row: what the source calls it, the
// numbers of the system calls to be asked about, and a function that orders failures and looks at what comes of them.
// For an ordinary call that is trial(): what its message begins with, its errors by what the caller sees, and the call.

#include <tocsin/tocsin.hpp>

#include <atomic>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include "inject.hpp"
#include "state.hpp"

namespace blocking = tocsin::blocking;
using namespace std::chrono_literals;
using support::expect_unchanged;
using support::injection;
using support::pipe_pair;
using support::process_state;

namespace {

// What a call enters first; newer architectures have one form only.
#if defined(SYS_poll)
constexpr long sys_poll = SYS_poll;
constexpr long sys_epoll_wait = SYS_epoll_wait;
#else
constexpr long sys_poll = SYS_ppoll;
constexpr long sys_epoll_wait = SYS_epoll_pwait;
#endif

// What the C library makes a thread by.
#if defined(SYS_clone3)
constexpr long sys_clone = SYS_clone3;
#else
constexpr long sys_clone = SYS_clone;
#endif

int runs = 0;
void count_runs() { ++runs; }
void refuse_to_run() { ADD_FAILURE() << "called"; }
void foreign(int) { ++runs; }

/// One of everything that a call may be given, ready so that none waits. A wake-up descriptor, handlers and timers are
/// set, so that there is something to damage.
class world {
public:
    world()
    {
        tocsin::signal(SIGUSR1, count_runs);
        tocsin::signal(SIGUSR2, tocsin::ignore);
        tocsin::set_wakeup_fd(wake.writer());
        tocsin::setitimer(tocsin::itimer::virtual_, 1000, 5);
        far.settime(1000, 7);
        near.settime_ns(1ns);
        near_nonblock.settime_ns(1ns);
        EXPECT_EQ(::write(data.writer(), "abcd", 4), 4);
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
        EXPECT_EQ(::write(sockets[0], "abcd", 4), 4);
        EXPECT_EQ(::write(file, "abcd", 4), 4);
        EXPECT_EQ(::lseek(file, 0, SEEK_SET), 0);
        // An abstract name that the kernel chooses.
        sockaddr_un any{};
        any.sun_family = AF_UNIX;
        EXPECT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&any), sizeof(sa_family_t)), 0);
        EXPECT_EQ(::listen(listener, 8), 0);
        EXPECT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &address_size), 0);
        EXPECT_EQ(::connect(caller, reinterpret_cast<sockaddr*>(&address), address_size), 0);
        epoll_event event{};
        event.events = EPOLLIN;
        EXPECT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, data.reader(), &event), 0);
        child = ::fork();
        if (child == 0)
            ::_exit(0);
        siginfo_t info{};
        while (::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == -1 && errno == EINTR) {
        }
    }
    ~world()
    {
        ::waitpid(child, nullptr, 0);
        for (const int fd : {sockets[0], sockets[1], file, listener, caller, other, epoll})
            ::close(fd);
        tocsin::setitimer(tocsin::itimer::virtual_, 0);
        EXPECT_EQ(tocsin::set_wakeup_fd(-1), wake.writer());
        EXPECT_EQ(wake.content(), "");
        tocsin::signal(SIGUSR1, tocsin::default_action);
        tocsin::signal(SIGUSR2, tocsin::default_action);
    }
    world(const world&) = delete;
    world& operator=(const world&) = delete;

    pipe_pair wake;
    pipe_pair data{0};
    tocsin::timer_fd far;
    tocsin::timer_fd near;
    tocsin::timer_fd near_nonblock{CLOCK_MONOTONIC, tocsin::timer_fd::nonblock};
    int sockets[2] = {-1, -1};
    int file = ::memfd_create("tocsin", MFD_CLOEXEC);
    int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int caller = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int other = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    sockaddr_un address{};
    socklen_t address_size = sizeof address;
    pid_t child = -1;
    char byte = 0;
    iovec part{&byte, 1};
    msghdr message{nullptr, 0, &part, 1, nullptr, 0, 0};
};

// A call in its throwing form (null) or the other; true if it gave what was there.
using call_of = std::function<bool(world&, std::error_code*)>;

/// For a function with both forms: `f` passes the arguments it is given on.
template <class F>
call_of both(F f)
{
    return [f](world& w, std::error_code* ec) {
        if (ec != nullptr)
            return f(w, *ec);
        return f(w);
    };
}

/// For one that only throws.
template <class F>
call_of throwing(F f)
{
    return [f](world& w, std::error_code* ec) {
        if (ec == nullptr)
            return f(w);
        try {
            return f(w);
        } catch (const std::system_error& e) {
            *ec = e.code();
            return false;
        }
    };
}

struct seen_as {
    std::vector<int> refused{};    ///< the documented error
    std::vector<int> carries_on{}; ///< nothing: the call goes on
    std::vector<int> empty{};      ///< no error and no result: as if nothing had been there yet
};

/// What a call that can wait makes of its errors.
const seen_as interruptible{{EAGAIN, EMFILE, ENFILE, ENOMEM, EPERM, ENOSYS}, {EINTR}, {}};
/// And one that cannot.
const seen_as direct{{EINTR, EAGAIN, EMFILE, ENFILE, ENOMEM, EPERM, ENOSYS}, {}, {}};

/// Each error in both forms. `begins`: how the message begins, given the world; `first`: another system call that is
/// interrupted before.
using text_of = std::function<std::string(const world&)>;

void trial(injection& inject, long number, const text_of& begins, const seen_as& errors, const call_of& call,
           long first = 0)
{
    enum class outcome { refused, carries_on, empty };
    const auto one = [&](int error, outcome expected, bool throws) {
        world w;
        const std::string where = "system call " + std::to_string(number) + ", errno " + std::to_string(error) +
                                  (throws ? ", throws" : ", error code");
        const process_state before;
        std::error_code ec;
        std::string said;
        bool done = false;
        if (first != 0)
            inject.fail(first, EINTR);
        inject.fail(number, error);
        try {
            done = call(w, throws ? nullptr : &ec);
        } catch (const std::system_error& e) {
            ec = e.code();
            said = e.what();
        }
        EXPECT_EQ(inject.stop(), first != 0 ? 2 : 1) << where;
        EXPECT_EQ(ec.value(), expected == outcome::refused ? error : 0) << where << ": " << said;
        EXPECT_TRUE(!ec || ec.category() == std::generic_category());
        EXPECT_EQ(done, expected == outcome::carries_on) << where;
        if (expected == outcome::refused && throws) {
            EXPECT_EQ(said.rfind(begins(w), 0), 0U) << where << ": '" << said << "' begins with '" << begins(w) << "'";
        }
        expect_unchanged(before, where);
        if (expected != outcome::carries_on) {
            std::error_code later;
            EXPECT_TRUE(call(w, throws ? nullptr : &later)) << where << ", again";
            EXPECT_EQ(later.value(), 0) << where << ", again";
            expect_unchanged(before, where + ", again");
        }
    };
    for (const bool throws : {true, false}) {
        for (const int error : errors.refused)
            one(error, outcome::refused, throws);
        for (const int error : errors.carries_on)
            one(error, outcome::carries_on, throws);
        for (const int error : errors.empty)
            one(error, outcome::empty, throws);
    }
}

void trial(injection& inject, long number, const std::string& begins, const seen_as& errors, const call_of& call,
           long first = 0)
{
    trial(
        inject, number, [begins](const world&) { return begins; }, errors, call, first);
}

bool opened(int fd)
{
    if (fd >= 0)
        ::close(fd);
    return fd >= 0;
}

// Makes the n-th call of `number` fail, for every n until `action` gets through without one. `action` throws or not;
// `undo` puts things back after a success.
void every_one_in_turn(injection& inject, long number, int error, const std::string& begins,
                       const std::function<void()>& action, const std::function<void()>& undo)
{
    int n = 0;
    for (;; ++n) {
        ASSERT_LT(n, 2000);
        const std::string where = begins + ", failing call " + std::to_string(n);
        const process_state before;
        inject.fail(number, error, n);
        std::string said;
        try {
            action();
        } catch (const std::system_error& e) {
            said = e.what();
            EXPECT_EQ(e.code().value(), error) << where;
        }
        const int failed = inject.stop();
        if (said.empty()) {
            undo();
        } else {
            EXPECT_EQ(failed, 1) << where;
            EXPECT_EQ(said.rfind(begins, 0), 0U) << said;
        }
        expect_unchanged(before, where);
        if (failed == 0)
            break;
    }
    EXPECT_GT(n, 0) << begins << " makes no such call";
}

struct row {
    std::string name;
    std::vector<std::string> sources; // as the library's sources call it: SYS_... or a function of the C library
    std::vector<long> numbers;        // what the kernel is asked about
    std::function<void(injection&)> body;
};

void PrintTo(const row& r, std::ostream* out) { *out << r.name; }

// The library's own work: dispositions, masks, the page for fork, sending to itself.

void dispositions(injection& inject)
{
    const auto by_default = [](int sig) { return [sig] { tocsin::signal(sig, tocsin::default_action); }; };
    every_one_in_turn(
        inject, SYS_rt_sigaction, EINVAL, "signal: ", [] { tocsin::signal(SIGUSR1, count_runs); }, by_default(SIGUSR1));
    every_one_in_turn(
        inject, SYS_rt_sigaction, EINVAL, "signal: ", [] { tocsin::signal(SIGUSR1, tocsin::ignore); },
        by_default(SIGUSR1));
    every_one_in_turn(
        inject, SYS_rt_sigaction, EINVAL, "siginterrupt: ", [] { tocsin::siginterrupt(SIGUSR1, false); },
        [] { tocsin::siginterrupt(SIGUSR1, true); });
    // The old handler stays.
    const auto old = [] { tocsin::signal(SIGUSR1, refuse_to_run); };
    old();
    every_one_in_turn(
        inject, SYS_rt_sigaction, EINVAL, "signal: ", [] { tocsin::signal(SIGUSR1, count_runs); }, old);
    by_default(SIGUSR1)();
    for (const int sig : {SIGPIPE, SIGXFSZ, SIGINT})
        ::signal(sig, SIG_DFL);
    std::optional<tocsin::runtime> active;
    every_one_in_turn(
        inject, SYS_rt_sigaction, EINVAL, "runtime: ", [&] { active.emplace(); }, [&] { active.reset(); });
    // No errors of their own: what the kernel does not tell counts as the default.
    inject.fail(SYS_rt_sigaction, EINVAL, 0, injection::always);
    EXPECT_EQ(tocsin::getsignal(SIGUSR1), tocsin::default_action);
    EXPECT_TRUE(tocsin::changed_signals().empty());
    inject.stop();
    ASSERT_TRUE(tocsin::nudge_signal());
    tocsin::signal(SIGUSR1, count_runs);
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(runs, 1);
}

void no_signal_for_nudging(injection& inject)
{
    // The candidates are tried in turn, and doing without is no error.
    inject.fail(SYS_rt_sigaction, EINVAL, 0, 2); // the looks at SIGURG and SIGSTKFLT
    tocsin::signal(SIGUSR1, count_runs);
    EXPECT_EQ(inject.stop(), 2);
    EXPECT_EQ(tocsin::nudge_signal(), tocsin::signum(SIGRTMAX));
    std::thread([] { ::raise(SIGUSR1); }).join();
    tocsin::check_signals();
    EXPECT_EQ(runs, 1);
}

// Only where a timer interrupts calls: the first handler needs it.
void no_call_timer(injection& inject)
{
#if defined(TOCSIN_PORTABLE_CALLS)
    for (const int error : {EAGAIN, ENOMEM, EPERM}) {
        const process_state before;
        inject.fail(SYS_timer_create, error);
        EXPECT_EQ(support::errno_of([] { tocsin::signal(SIGUSR1, count_runs); }), error);
        EXPECT_EQ(inject.stop(), 1) << error;
        expect_unchanged(before, "timer_create");
        EXPECT_EQ(tocsin::nudge_signal(), std::nullopt);
    }
#else
    inject.fail(SYS_timer_create, EAGAIN);
#endif
    tocsin::signal(SIGUSR1, count_runs);
    inject.stop();
    ::raise(SIGUSR1);
    tocsin::check_signals();
    EXPECT_EQ(runs, 1);
}

void masks(injection& inject)
{
    const tocsin::signal_set some{SIGTERM, SIGHUP};
    seen_as errors = direct;
    errors.refused.push_back(EINVAL);
    trial(inject, SYS_rt_sigprocmask, "pthread_sigmask: how is SIG_BLOCK", errors, throwing([&](world&) {
              const tocsin::signal_set before = tocsin::pthread_sigmask(tocsin::sigmask::block, some);
              tocsin::pthread_sigmask(tocsin::sigmask::set_mask, before);
              return true;
          }));
    trial(inject, SYS_rt_sigprocmask, "pthread_sigmask: how is SIG_BLOCK", errors, throwing([&](world&) {
              const tocsin::mask_guard guard(some);
              return true;
          }));
}

// A safe point first, then the wait; whatever the kernel says of it, it is over, and the mask is what it was.
void suspension(injection& inject)
{
    for (const int error : {EINTR, EAGAIN, ENOMEM, EPERM, ENOSYS}) {
        tocsin::signal(SIGUSR1, count_runs);
        const process_state before;
        inject.fail(SYS_rt_sigsuspend, error);
        tocsin::pause();
        EXPECT_EQ(inject.stop(), 1) << error;
        expect_unchanged(before, "pause");
    }
}

// In the trip routine: the byte is written again, or its loss is reported and the handler runs.
void wake_up_byte(injection& inject)
{
    const pipe_pair pipe;
    tocsin::signal(SIGUSR1, count_runs);
    tocsin::set_wakeup_fd(pipe.writer());
    inject.fail(SYS_write, EINTR, 0, 3);
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(inject.stop(), 3);
    EXPECT_EQ(pipe.content(), std::string(1, SIGUSR1));
    EXPECT_EQ(std::exchange(runs, 0), 1);
    for (const int error : {EAGAIN, EBADF, EPIPE, ENOMEM, EPERM, ENOSPC, EIO, ENOSYS}) {
        for (const int after_pipe : {EINTR, EAGAIN, EPERM, ENOSYS}) { // of taking the SIGPIPE away
            const process_state before;
            std::string text;
            {
                support::captured_stderr captured;
                inject.fail(SYS_write, error);
                inject.fail(SYS_rt_sigtimedwait, after_pipe);
                ::raise(SIGUSR1);
                EXPECT_EQ(inject.stop(), error == EPIPE ? 2 : 1) << error;
                tocsin::check_signals();
                text = captured.text();
            }
            EXPECT_NE(text.find("(errno " + std::to_string(error) + ")"), std::string::npos) << text;
            EXPECT_EQ(pipe.content(), "");
            EXPECT_EQ(std::exchange(runs, 0), 1) << error;
            expect_unchanged(before, "errno " + std::to_string(error));
        }
    }
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(pipe.content(), std::string(1, SIGUSR1));
    tocsin::set_wakeup_fd(-1);
}

// The report of a wake-up error that cannot be written either.
void report(injection& inject)
{
    pipe_pair pipe;
    tocsin::signal(SIGUSR1, count_runs);
    tocsin::set_wakeup_fd(pipe.writer());
    pipe.fill();
    inject.fail(SYS_write, EIO, 0, injection::always);
    tocsin::raise_signal(SIGUSR1);
    inject.stop();
    EXPECT_EQ(runs, 1);
    tocsin::set_wakeup_fd(-1);
}

// The nudge is refused: the signal waits for the next safe point.
void nudge(injection& inject)
{
    tocsin::signal(SIGUSR1, count_runs);
    for (const int error : {EAGAIN, EPERM, ESRCH, ENOSYS}) {
        const process_state before;
        std::thread([&] { // kill() may choose the main thread, so the signal is blocked there
            inject.fail(SYS_tgkill, error, 1);
            ::pthread_kill(::pthread_self(), SIGUSR1);
        })
            .join();
        EXPECT_EQ(inject.stop(), 1) << error;
        tocsin::check_signals();
        EXPECT_EQ(std::exchange(runs, 0), 1) << error;
        expect_unchanged(before, "nudge");
    }
}

// What is pending at the end of a runtime is sent again one way or another.
void sent_again(injection& inject)
{
    for (const int sig : {SIGUSR1, SIGRTMIN}) {
        for (const int error : {EAGAIN, EPERM, ENOSYS, ENOMEM}) {
            ::signal(sig, foreign);
            {
                const tocsin::runtime active;
                tocsin::signal(sig, count_runs);
                ::raise(sig);
                inject.fail(SYS_rt_sigqueueinfo, error);
            }
            EXPECT_EQ(inject.stop(), 1) << error;
            EXPECT_TRUE(support::eventually([] { return runs != 0; }));
            EXPECT_EQ(std::exchange(runs, 0), 1) << sig << ' ' << error;
        }
    }
}

// No memory for the page that tells a forked child, whoever needs it first.
void no_page(injection& inject)
{
    // The library's thread-local storage is there: sanitizers map a single page for it, and end when they cannot.
    EXPECT_THROW(tocsin::set_wakeup_fd(-2), std::system_error);
    const auto page = static_cast<unsigned long>(::sysconf(_SC_PAGESIZE));
    const pipe_pair pipe;
    for (const int sig : {SIGPIPE, SIGXFSZ, SIGINT})
        ::signal(sig, SIG_DFL);
    const std::vector<std::function<void()>> users = {
        [] { tocsin::signal(SIGUSR1, count_runs); },
        [&] { tocsin::set_wakeup_fd(pipe.writer()); },
        [] { const tocsin::runtime active; },
    };
    for (const auto& user : users) {
        for (const int error : {ENOMEM, EAGAIN, ENFILE, EPERM}) {
            const process_state before;
            inject.fail(SYS_mmap, error, 0, 1, page);
            std::string said;
            try {
                user();
            } catch (const std::system_error& e) {
                said = e.what();
                EXPECT_EQ(e.code().value(), ENOMEM);
            }
            EXPECT_EQ(inject.stop(), 1);
            EXPECT_EQ(said.rfind("tocsin: no memory for the page that tells a forked child", 0), 0U) << said;
            expect_unchanged(before, said);
        }
    }
    inject.fail(SYS_mmap, ENOMEM, 0, 1, page);
    {
        const tocsin::defer_signals guard;
    }
    EXPECT_EQ(inject.stop(), 1);
    for (const auto& user : users)
        user();
    tocsin::set_wakeup_fd(-1);
    {
        const tocsin::defer_signals guard; // works, and was not counted for ever above
        tocsin::raise_signal(SIGUSR1);
        EXPECT_EQ(runs, 0);
    }
    tocsin::check_signals();
    EXPECT_EQ(runs, 1);
}

// A kernel that cannot wipe a page at fork: the process id tells the child.
void no_wiping(injection& inject)
{
    inject.fail(SYS_madvise, EINVAL);
    tocsin::signal(SIGUSR1, count_runs);
    EXPECT_EQ(inject.stop(), 1);
    ::raise(SIGUSR1); // pending here; not the child's
    const int renewed = support::in_child([] {
        tocsin::check_signals();
        const int inherited = runs;
        tocsin::raise_signal(SIGUSR1);
        return inherited == 0 && runs == 1 ? 0 : 1;
    });
    EXPECT_TRUE(support::exited_with(renewed, 0)) << renewed;
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (child == 0) {
        ::kill(::getpid(), SIGUSR1); // ThreadSanitizer delivers at once what it sees sent: not the bare system call
        ::_exit(0);
    }
    int status = 0;
    support::wait_for(child, &status);
    EXPECT_TRUE(support::died_of(status, SIGUSR1)) << status;
    tocsin::check_signals();
    EXPECT_EQ(runs, 1);
}

// run_main() ends although it cannot send itself the signal it is to die of.
void death(injection& inject)
{
    inject.fail(SYS_kill, EPERM);
    const int status = support::in_child([] {
        ::signal(SIGINT, SIG_DFL);
        return tocsin::run_main([] { tocsin::raise_signal(SIGINT); });
    });
    EXPECT_EQ(inject.stop(), 1);
    EXPECT_TRUE(support::exited_with(status, 128 + SIGINT)) << status;
}

// Children that are given a clean slate get as much of it as the kernel allows.
void clean_slate(injection& inject)
{
    for (const long number : {SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_tgsigqueueinfo}) {
        tocsin::signal(SIGUSR1, count_runs);
        tocsin::signal(SIGUSR2, count_runs);
        const int status = support::in_child([&] {
            inject.fail(number, EPERM);
            tocsin::reset_for_exec();
            inject.stop();
            return tocsin::changed_signals().contains(SIGUSR2) ? 1 : 0;
        });
        EXPECT_TRUE(support::exited_with(status, 0)) << status;
    }
}

// A forked child that is refused its own descriptor writes nothing to its parent's, has its signals all the same, and
// may wait as soon as there is one.
void no_descriptor_in_the_child(injection& inject)
{
    for (const long refused : {SYS_eventfd2, SYS_dup3}) {
        const int lower = ::dup(0);
        ASSERT_GE(lower, 0);
        tocsin::inbox box;
        int calls = 0;
        const auto held = box.on(SIGUSR1, [&] { ++calls; });
        ::close(lower); // the child's new descriptor comes here first
        pollfd parents{box.native_handle(), POLLIN, 0};
        inject.fail(refused, EMFILE);
        const int status = support::in_child([&] {
            if (inject.stop() != 1)
                return 1;
            box.wake();
            ::raise(SIGUSR1);
            if (box.run_pending() != 1 || calls != 1)
                return 2;
            if (::fcntl(parents.fd, F_GETFD) != -1)
                return 3;
            inject.fail(SYS_eventfd2, ENFILE);
            if (support::errno_of([&] { box.wait(0); }) != ENFILE)
                return 4;
            inject.stop();
            box.wait(0); // wake() of above
            if (box.wait(0))
                return 5;
            std::thread([&] { ::raise(SIGUSR1); }).join();
            pollfd own{box.native_handle(), POLLIN, 0};
            return box.wait(10.0) && ::poll(&own, 1, 0) == 1 && box.run_pending() == 1 ? 0 : 6;
        });
        EXPECT_TRUE(support::exited_with(status, 0)) << "system call " << refused << ": wait status " << status;
        EXPECT_EQ(::poll(&parents, 1, 0), 0) << "system call " << refused;
        ::raise(SIGUSR1);
        EXPECT_EQ(::poll(&parents, 1, 0), 1) << "system call " << refused;
        EXPECT_EQ(box.run_pending(), 1U);
        EXPECT_EQ(calls, 1);
    }
}

// No thread: the consumer has no descriptor and no subscription left.
void no_thread(injection& inject)
{
    std::thread([] {}).join(); // the first thread of all may bring another: ThreadSanitizer's own
    for (const int error : {EAGAIN, ENOMEM}) {
        const process_state before;
        inject.fail(sys_clone, error);
        EXPECT_EQ(support::errno_of([] { tocsin::background consumer; }), EAGAIN);
        EXPECT_EQ(inject.stop(), 1) << error;
        expect_unchanged(before, "background");
        inject.fail(sys_clone, error);
        EXPECT_EQ(support::errno_of([] { static_cast<void>(tocsin::stop_on(SIGUSR1)); }), EAGAIN);
        EXPECT_EQ(inject.stop(), 1) << error;
        expect_unchanged(before, "stop_on");
    }
    std::atomic<bool> ran = false;
    tocsin::background consumer;
    const auto subscribed = consumer.on(SIGUSR1, [&] { ran = true; });
    ::raise(SIGUSR1);
    EXPECT_TRUE(support::eventually([&] { return ran.load(); }));
}

// A thread without a name does its work.
void no_thread_name(injection& inject)
{
    inject.fail(SYS_prctl, EPERM);
    std::atomic<bool> ran = false;
    tocsin::background consumer;
    const auto subscribed = consumer.on(SIGUSR1, [&] { ran = true; });
    ::raise(SIGUSR1);
    EXPECT_TRUE(support::eventually([&] { return ran.load(); }));
    EXPECT_EQ(inject.stop(), 1);
}

void lossless_inbox(injection& inject)
{
    const tocsin::signal_set set{SIGRTMIN + 1};
    const auto made = throwing([&](world&) {
        tocsin::lossless_inbox box(set);
        return !box.try_next();
    });
    seen_as errors = direct;
    errors.refused.push_back(EINVAL);
    trial(inject, SYS_signalfd4, "lossless_inbox: no descriptor", errors, made);
    trial(inject, SYS_rt_sigprocmask, "lossless_inbox: blocking the signals", errors, made);
    // The threads of the process cannot be looked at.
    trial(inject, SYS_openat, "lossless_inbox: the threads cannot be checked", {{EMFILE, ENOENT, EACCES}, {}, {}},
          made);
    trial(inject, SYS_read, "lossless_inbox: reading", {{EIO, EINVAL, ENOMEM, ENOSYS}, {}, {EAGAIN}},
          throwing([&, box = std::make_shared<tocsin::lossless_inbox>(set)](world&) {
              if (tocsin::sigpending().empty())
                  tocsin::sigqueue(::getpid(), SIGRTMIN + 1, sigval{.sival_int = 7});
              const auto got = box->try_next();
              return got && got->info.value()->sival_int == 7;
          }));
}

void lossless_inbox_waits(injection& inject)
{
    // What is pending at the end stays so.
    const tocsin::mask_guard blocked(tocsin::signal_set{SIGRTMIN + 1});
    trial(inject, SYS_ppoll, "lossless_inbox: waiting", {{EINVAL, ENOMEM, ENOSYS}, {EINTR}, {}},
          throwing([box = std::make_shared<tocsin::lossless_inbox>(tocsin::signal_set{SIGRTMIN + 1})](world&) {
              if (tocsin::sigpending().empty())
                  tocsin::sigqueue(::getpid(), SIGRTMIN + 1, sigval{});
              return box->wait(10);
          }));
    EXPECT_TRUE(tocsin::sigtimedwait({SIGRTMIN + 1}, 0));
}

void child_watcher(injection& inject)
{
    int told = 0;
    const auto watched = throwing([&](world& w) {
        told = 0;
        tocsin::child_watcher watcher;
        const auto watch = watcher.watch(w.child, [&](const tocsin::child_exit& e) {
            EXPECT_EQ(e.how, tocsin::child_exit::outcome::exited);
            ++told;
        });
        if (!watcher.wait(10))
            return false;
        watcher.run_pending();
        return told == 1;
    });
    const std::vector<int> refused{EMFILE, ENFILE, ENOMEM};
    trial(inject, SYS_epoll_create1, "child_watcher: no descriptor", {refused, {}, {}}, watched);
    trial(inject, SYS_epoll_ctl, "child_watcher: epoll_ctl", {{ENOMEM, ENOSPC, EPERM}, {}, {}}, watched);
    trial(inject, SYS_epoll_pwait, "child_watcher: epoll_wait", {{EINTR, EINVAL, EBADF, ENOSYS}, {}, {}}, watched);
    trial(inject, SYS_ppoll, "child_watcher: waiting", {{EINVAL, ENOMEM, ENOSYS}, {EINTR}, {}}, watched);
    const auto process = [](const world& w) { return "child_watcher: process " + std::to_string(w.child); };
    // Without process descriptors (the last two) it goes by SIGCHLD.
    trial(inject, SYS_pidfd_open, process, {{EMFILE, ENFILE, ENOMEM, ESRCH, EINVAL}, {ENOSYS, EPERM}, {}}, watched);
    // EINVAL: Linux 5.3 has no wait by a process descriptor.
    trial(inject, SYS_waitid, process, {{ECHILD, EINTR, ENOSYS}, {EINVAL}, {}}, watched);
}

const std::vector<row>& table()
{
    static const std::vector<row> rows = {
        {"rt_sigaction", {"sigaction"}, {SYS_rt_sigaction}, dispositions},
        {"rt_sigaction_for_nudging", {"sigaction"}, {SYS_rt_sigaction}, no_signal_for_nudging},
        {"rt_sigprocmask", {"SYS_rt_sigprocmask"}, {SYS_rt_sigprocmask}, masks},
        {"rt_sigsuspend", {"sigsuspend"}, {SYS_rt_sigsuspend}, suspension},
        {"wakeup_write",
         {"SYS_write", "SYS_rt_sigtimedwait", "syscall"},
         {SYS_write, SYS_rt_sigtimedwait},
         wake_up_byte},
        {"report_write", {"SYS_write"}, {SYS_write}, report},
        {"nudge", {"SYS_tgkill"}, {SYS_tgkill}, nudge},
        {"sent_again", {"SYS_rt_sigqueueinfo", "kill"}, {SYS_rt_sigqueueinfo}, sent_again},
        {"call_timer",
         {"SYS_timer_create", "SYS_timer_settime", "SYS_timer_delete"},
         {SYS_timer_create},
         no_call_timer},
        {"deadline_timer",
         {"SYS_timer_create", "SYS_timer_settime", "SYS_timer_delete"},
         {SYS_timer_create},
         [](injection& i) {
             trial(i, SYS_timer_create, "deadline: no timer", direct, throwing([](world&) {
                       const tocsin::deadline limit(100);
                       return !limit.expired();
                   }));
         }},
        {"mmap", {"mmap"}, {SYS_mmap}, no_page},
        {"madvise", {"madvise"}, {SYS_madvise}, no_wiping},
        {"eventfd",
         {"eventfd"},
         {SYS_eventfd2},
         [](injection& i) {
             trial(i, SYS_eventfd2, "inbox: no descriptor", direct, throwing([](world&) {
                       const tocsin::inbox box;
                       return true;
                   }));
         }},
        {"eventfd_in_a_child", {"eventfd", "dup3"}, {SYS_eventfd2, SYS_dup3}, no_descriptor_in_the_child},
        {"kill", {"kill"}, {SYS_kill}, death},
        {"reset_for_exec",
         {"sigaction", "SYS_rt_sigprocmask", "SYS_rt_tgsigqueueinfo"},
         {SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_tgsigqueueinfo},
         clean_slate},
        {"thread", {}, {sys_clone}, no_thread},
        {"thread_name", {"pthread_setname_np"}, {SYS_prctl}, no_thread_name},
        {"lossless_inbox", {"signalfd"}, {SYS_signalfd4, SYS_rt_sigprocmask, SYS_openat, SYS_read}, lossless_inbox},
        {"lossless_inbox_waits", {"SYS_ppoll"}, {SYS_ppoll}, lossless_inbox_waits},
        {"child_watcher",
         {"epoll_create1", "epoll_ctl", "SYS_epoll_pwait", "SYS_waitid"},
         {SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_ppoll, SYS_pidfd_open, SYS_waitid},
         child_watcher},
        {"rt_sigpending",
         {"sigpending"},
         {SYS_rt_sigpending},
         [](injection& i) {
             trial(i, SYS_rt_sigpending, "sigpending", direct,
                   throwing([](world&) { return tocsin::sigpending().empty(); }));
         }},
        {"raise",
         {"raise"},
         {SYS_tgkill},
         [](injection& i) {
             trial(i, SYS_tgkill, "raise_signal: SIGWINCH", direct, throwing([](world&) {
                       tocsin::raise_signal(SIGWINCH);
                       return true;
                   }));
         }},
        {"pthread_kill",
         {"pthread_kill"},
         {SYS_tgkill},
         [](injection& i) {
             trial(i, SYS_tgkill, "pthread_kill: signal 28", direct, throwing([](world&) {
                       tocsin::pthread_kill(::pthread_self(), SIGWINCH);
                       return true;
                   }));
         }},
        {"sigqueue",
         {"sigqueue"},
         {SYS_rt_sigqueueinfo},
         [](injection& i) {
             trial(i, SYS_rt_sigqueueinfo, "sigqueue: SIGWINCH to process " + std::to_string(::getpid()), direct,
                   throwing([pid = ::getpid()](world&) {
                       tocsin::sigqueue(pid, SIGWINCH, {});
                       return true;
                   }));
         }},
        {"pidfd_open",
         {"SYS_pidfd_open"},
         {SYS_pidfd_open},
         [](injection& i) {
             trial(i, SYS_pidfd_open, "pidfd_open: process " + std::to_string(::getpid()), direct,
                   throwing([](world&) { return bool(tocsin::pidfd_open(::getpid())); }));
         }},
        {"pidfd_send_signal",
         {"SYS_pidfd_send_signal"},
         {SYS_pidfd_send_signal},
         [](injection& i) {
             const auto self = tocsin::pidfd_open(::getpid());
             trial(i, SYS_pidfd_send_signal,
                   "pidfd_send_signal: signal 28 to descriptor " + std::to_string(self.native_handle()), direct,
                   throwing([&](world&) {
                       self.send(SIGWINCH);
                       return true;
                   }));
         }},
        {"setitimer",
         {"setitimer"},
         {SYS_setitimer},
         [](injection& i) {
             trial(i, SYS_setitimer, "setitimer: ITIMER_PROF", direct, throwing([](world&) {
                       tocsin::setitimer(tocsin::itimer::prof, 1000, 3);
                       tocsin::setitimer(tocsin::itimer::prof, 0);
                       return true;
                   }));
             trial(i, SYS_setitimer, "alarm: ITIMER_REAL", direct, throwing([](world&) {
                       tocsin::alarm(1000s);
                       tocsin::alarm(0s);
                       return true;
                   }));
         }},
        {"getitimer",
         {"getitimer"},
         {SYS_getitimer},
         [](injection& i) {
             trial(i, SYS_getitimer, "getitimer: ITIMER_VIRTUAL", direct,
                   throwing([](world&) { return tocsin::getitimer(tocsin::itimer::virtual_).interval == 5s; }));
         }},
        {"timerfd_create",
         {"SYS_timerfd_create"},
         {SYS_timerfd_create},
         [](injection& i) {
             trial(i, SYS_timerfd_create, "timerfd_create: clock 1, flags 0", direct, throwing([](world&) {
                       const tocsin::timer_fd timer;
                       return true;
                   }));
         }},
        {"timerfd_settime",
         {"SYS_timerfd_settime"},
         {SYS_timerfd_settime},
         [](injection& i) {
             const auto begins = [](const world& w) {
                 EXPECT_GT(w.far.gettime().initial, 900s);
                 return "timerfd_settime: descriptor " + std::to_string(w.far.native_handle());
             };
             seen_as errors = direct;
             errors.refused.push_back(ECANCELED);
             trial(i, SYS_timerfd_settime, begins, errors,
                   throwing([](world& w) { return w.far.settime(2000).interval == 7s; }));
         }},
        {"timerfd_gettime",
         {"SYS_timerfd_gettime"},
         {SYS_timerfd_gettime},
         [](injection& i) {
             const auto begins = [](const world& w) {
                 return "timerfd_gettime: descriptor " + std::to_string(w.far.native_handle());
             };
             trial(i, SYS_timerfd_gettime, begins, direct,
                   throwing([](world& w) { return w.far.gettime().interval == 7s; }));
         }},
        {"timer_fd_read",
         {"SYS_read", "SYS_poll"},
         {SYS_read, sys_poll},
         [](injection& i) {
             const auto begins = [](const tocsin::timer_fd world::*which) {
                 return [which](const world& w) {
                     return "timer_fd: read of descriptor " + std::to_string((w.*which).native_handle());
                 };
             };
             const auto try_near = both([](world& w, auto&... ec) {
                 const tocsin::timer_read got = w.near.try_read(ec...);
                 return got.what == tocsin::timer_read::outcome::expired && got.expirations == 1;
             });
             const auto try_nonblock = both([](world& w, auto&... ec) {
                 const tocsin::timer_read got = w.near_nonblock.try_read(ec...);
                 return got.what == tocsin::timer_read::outcome::expired && got.expirations == 1;
             });
             const seen_as errors{{EBADF, EMFILE, ENFILE, ENOMEM, EPERM, ENOSYS}, {}, {EINTR, EAGAIN, ECANCELED}};
             trial(i, SYS_read, begins(&world::near), errors, try_near);
             trial(i, SYS_read, begins(&world::near_nonblock), errors, try_nonblock);
             const seen_as look{{EFAULT, EMFILE, ENFILE, ENOMEM, EPERM, ENOSYS}, {}, {EINTR, EAGAIN}};
             trial(i, sys_poll, begins(&world::near), look, try_near);
             seen_as waits = interruptible;
             waits.refused.push_back(ECANCELED);
             trial(i, SYS_read, begins(&world::near), waits,
                   both([](world& w, auto&... ec) { return w.near.read(ec...) == 1; }));
         }},
        {"fcntl_flags",
         {"fcntl"},
         {SYS_fcntl},
         [](injection& i) {
             const auto begins = [](const world& w) {
                 return "set_wakeup_fd: descriptor " + std::to_string(w.wake.writer());
             };
             trial(i, SYS_fcntl, begins, direct,
                   throwing([](world& w) { return tocsin::set_wakeup_fd(w.wake.writer()) == w.wake.writer(); }));
         }},
        {"close",
         {"close"},
         {SYS_close},
         [](injection& i) {
             // The kernel has not been entered, so that the descriptor is open in fact.
             const auto close_again = both([](world& w, auto&... ec) {
                 const int fd = ::dup(w.file);
                 const auto left = [&] { return ::fcntl(fd, F_GETFD) != -1 ? ::close(fd) == 0 : false; };
                 try {
                     blocking::close(fd, ec...);
                 } catch (...) {
                     left();
                     throw;
                 }
                 left();
                 return (!ec && ...);
             });
             trial(i, SYS_close, "close", interruptible, close_again);
             // Owners have no error to give.
             world w;
             const process_state before;
             for (const int error : {EINTR, EIO, EBADF, EPERM}) {
                 int raw = -1;
                 {
                     const tocsin::timer_fd timer;
                     raw = timer.native_handle();
                     i.fail(SYS_close, error);
                 }
                 EXPECT_EQ(i.stop(), 1);
                 ::close(raw);
                 {
                     const auto self = tocsin::pidfd_open(::getpid());
                     raw = self.native_handle();
                     i.fail(SYS_close, error);
                 }
                 EXPECT_EQ(i.stop(), 1);
                 ::close(raw);
             }
             expect_unchanged(before, "close");
         }},
        {"connect",
         {"SYS_connect"},
         {SYS_connect},
         [](injection& i) {
             seen_as errors = interruptible;
             errors.refused.push_back(ECONNREFUSED);
             trial(i, SYS_connect, "connect", errors, both([](world& w, auto&... ec) {
                       blocking::connect(w.other, reinterpret_cast<sockaddr*>(&w.address), w.address_size, ec...);
                       sockaddr_un peer{};
                       socklen_t size = sizeof peer;
                       return ::getpeername(w.other, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
                   }));
         }},
        {"connect_asks",
         {"getsockopt", "getpeername"},
         {SYS_connect, SYS_getsockopt, SYS_getpeername, sys_poll},
         [](injection& i) {
             const auto connect_other = both([](world& w, auto&... ec) {
                 blocking::connect(w.other, reinterpret_cast<sockaddr*>(&w.address), w.address_size, ec...);
                 return (!ec && ...);
             });
             trial(i, SYS_getsockopt, "connect", direct, connect_other, SYS_connect);
             // "Not connected" is why it is asked: the call is begun anew, and any other refusal is taken for it.
             trial(i, SYS_getpeername, "connect", {{}, {ENOTCONN, ENOMEM, EPERM, ENOSYS}, {}}, connect_other,
                   SYS_connect);
             trial(i, sys_poll, "connect", {{ENOMEM, EPERM, ENOSYS}, {EINTR}, {}}, connect_other, SYS_connect);
         }},
        {"openat",
         {"SYS_openat"},
         {SYS_openat},
         [](injection& i) {
             trial(i, SYS_openat, "open", interruptible, both([](world&, auto&... ec) {
                       return opened(blocking::open("/dev/null", O_RDONLY | O_CLOEXEC, 0, ec...));
                   }));
         }},
        {"read",
         {"SYS_read", "SYS_readv", "SYS_pread64"},
         {SYS_read, SYS_readv, SYS_pread64},
         [](injection& i) {
             trial(i, SYS_read, "read", interruptible, both([](world& w, auto&... ec) {
                       return blocking::read(w.data.reader(), &w.byte, 1, ec...) == 1 && w.byte == 'a';
                   }));
             trial(i, SYS_readv, "readv", interruptible, both([](world& w, auto&... ec) {
                       return blocking::readv(w.data.reader(), &w.part, 1, ec...) == 1 && w.byte == 'a';
                   }));
             trial(i, SYS_pread64, "pread", interruptible, both([](world& w, auto&... ec) {
                       return blocking::pread(w.file, &w.byte, 1, 2, ec...) == 1 && w.byte == 'c';
                   }));
         }},
        {"write",
         {"SYS_write", "SYS_writev", "SYS_pwrite64"},
         {SYS_write, SYS_writev, SYS_pwrite64},
         [](injection& i) {
             trial(i, SYS_write, "write", interruptible, both([](world& w, auto&... ec) {
                       return blocking::write(w.data.writer(), &w.byte, 1, ec...) == 1;
                   }));
             trial(i, SYS_writev, "writev", interruptible, both([](world& w, auto&... ec) {
                       return blocking::writev(w.data.writer(), &w.part, 1, ec...) == 1;
                   }));
             trial(i, SYS_pwrite64, "pwrite", interruptible,
                   both([](world& w, auto&... ec) { return blocking::pwrite(w.file, &w.byte, 1, 2, ec...) == 1; }));
         }},
        {"locks",
         {"SYS_flock", "SYS_fcntl"},
         {SYS_flock, SYS_fcntl},
         [](injection& i) {
             trial(i, SYS_flock, "flock", interruptible, both([](world& w, auto&... ec) {
                       blocking::flock(w.file, LOCK_EX, ec...);
                       return (!ec && ...);
                   }));
             trial(i, SYS_fcntl, "fcntl_lock", interruptible, both([](world& w, auto&... ec) {
                       struct ::flock lock {};
                       lock.l_type = F_WRLCK;
                       blocking::fcntl_lock(w.file, F_SETLKW, &lock, ec...);
                       return (!ec && ...);
                   }));
         }},
        {"messages",
         {"SYS_mq_timedreceive", "SYS_mq_timedsend"},
         {SYS_mq_timedreceive, SYS_mq_timedsend},
         [](injection& i) {
             const std::string name = "/tocsin_faults." + std::to_string(::getpid());
             mq_attr attributes{};
             attributes.mq_maxmsg = 8;
             attributes.mq_msgsize = 1;
             const mqd_t queue = ::mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
             if (queue == -1)
                 GTEST_SKIP() << "no message queues here";
             ::mq_unlink(name.c_str());
             trial(i, SYS_mq_timedsend, "mq_send", interruptible, both([&](world&, auto&... ec) {
                       blocking::mq_send(queue, "m", 1, 0, ec...);
                       if ((ec || ...))
                           return false;
                       char got = 0;
                       return ::mq_receive(queue, &got, 1, nullptr) == 1;
                   }));
             trial(i, SYS_mq_timedreceive, "mq_receive", interruptible, both([&](world&, auto&... ec) {
                       mq_attr now{};
                       ::mq_getattr(queue, &now);
                       if (now.mq_curmsgs == 0) {
                           EXPECT_EQ(::mq_send(queue, "m", 1, 0), 0);
                       }
                       char got = 0;
                       return blocking::mq_receive(queue, &got, 1, nullptr, ec...) == 1 && got == 'm';
                   }));
         }},
        {"any_call",
         {"SYS_gettid"}, // blocking::call takes any number
         {SYS_getpgid},
         [](injection& i) {
             trial(i, SYS_getpgid, "call: system call " + std::to_string(SYS_getpgid), interruptible,
                   [](world&, std::error_code* ec) {
                       return (ec != nullptr ? blocking::call(*ec, SYS_getpgid, 0) : blocking::call(SYS_getpgid, 0)) >
                              0;
                   });
         }},
        {"receive",
         {"SYS_recvfrom", "SYS_recvmsg"},
         {SYS_recvfrom, SYS_recvmsg},
         [](injection& i) {
             trial(i, SYS_recvfrom, "recv", interruptible, both([](world& w, auto&... ec) {
                       return blocking::recv(w.sockets[1], &w.byte, 1, 0, ec...) == 1 && w.byte == 'a';
                   }));
             trial(i, SYS_recvfrom, "recvfrom", interruptible, both([](world& w, auto&... ec) {
                       return blocking::recvfrom(w.sockets[1], &w.byte, 1, 0, nullptr, nullptr, ec...) == 1 &&
                              w.byte == 'a';
                   }));
             trial(i, SYS_recvmsg, "recvmsg", interruptible, both([](world& w, auto&... ec) {
                       return blocking::recvmsg(w.sockets[1], &w.message, 0, ec...) == 1 && w.byte == 'a';
                   }));
         }},
        {"send",
         {"SYS_sendto", "SYS_sendmsg"},
         {SYS_sendto, SYS_sendmsg},
         [](injection& i) {
             trial(i, SYS_sendto, "send", interruptible,
                   both([](world& w, auto&... ec) { return blocking::send(w.sockets[1], &w.byte, 1, 0, ec...) == 1; }));
             trial(i, SYS_sendto, "sendto", interruptible, both([](world& w, auto&... ec) {
                       return blocking::sendto(w.sockets[1], &w.byte, 1, 0, nullptr, 0, ec...) == 1;
                   }));
             trial(i, SYS_sendmsg, "sendmsg", interruptible, both([](world& w, auto&... ec) {
                       return blocking::sendmsg(w.sockets[1], &w.message, 0, ec...) == 1;
                   }));
         }},
        {"accept",
         {"SYS_accept4"},
         {SYS_accept4},
         [](injection& i) {
             trial(i, SYS_accept4, "accept", interruptible, both([](world& w, auto&... ec) {
                       return opened(blocking::accept(w.listener, nullptr, nullptr, ec...));
                   }));
             trial(i, SYS_accept4, "accept4", interruptible, both([](world& w, auto&... ec) {
                       return opened(blocking::accept4(w.listener, nullptr, nullptr, SOCK_CLOEXEC, ec...));
                   }));
         }},
        {"poll",
         {"SYS_poll", "SYS_ppoll"},
         {sys_poll, SYS_ppoll},
         [](injection& i) {
             const auto poll_data = both([](world& w, auto&... ec) {
                 pollfd ready{w.data.reader(), POLLIN, 0};
                 return blocking::poll(&ready, 1, 10'000, ec...) == 1;
             });
             trial(i, sys_poll, "poll", interruptible, poll_data);
             if (sys_poll != SYS_ppoll)
                 trial(i, SYS_ppoll, "poll", interruptible, poll_data, sys_poll);
             trial(i, SYS_ppoll, "ppoll", interruptible, both([](world& w, auto&... ec) {
                       pollfd ready{w.data.reader(), POLLIN, 0};
                       const timespec limit{10, 0};
                       sigset_t mask;
                       ::sigfillset(&mask);
                       return blocking::ppoll(&ready, 1, &limit, &mask, ec...) == 1;
                   }));
         }},
        {"select",
         {"SYS_pselect6"},
         {SYS_pselect6},
         [](injection& i) {
             trial(i, SYS_pselect6, "select", interruptible, both([](world& w, auto&... ec) {
                       fd_set in;
                       FD_ZERO(&in);
                       FD_SET(w.data.reader(), &in);
                       const timeval limit{10, 0};
                       return blocking::select(w.data.reader() + 1, &in, nullptr, nullptr, &limit, ec...) == 1 &&
                              FD_ISSET(w.data.reader(), &in);
                   }));
         }},
        {"epoll",
         {"SYS_epoll_wait", "SYS_epoll_pwait"},
         {sys_epoll_wait, SYS_epoll_pwait},
         [](injection& i) {
             const auto wait = both([](world& w, auto&... ec) {
                 epoll_event found{};
                 return blocking::epoll_wait(w.epoll, &found, 1, 10'000, ec...) == 1;
             });
             trial(i, sys_epoll_wait, "epoll_wait", interruptible, wait);
             if (sys_epoll_wait != SYS_epoll_pwait)
                 trial(i, SYS_epoll_pwait, "epoll_wait", interruptible, wait, sys_epoll_wait);
         }},
        {"children",
         {"SYS_wait4", "SYS_waitid"},
         {SYS_wait4, SYS_waitid},
         [](injection& i) {
             trial(i, SYS_wait4, "waitpid", interruptible, both([](world& w, auto&... ec) {
                       int status = -1;
                       return blocking::waitpid(w.child, &status, 0, ec...) == w.child && status == 0;
                   }));
             trial(i, SYS_waitid, "waitid", interruptible, both([](world& w, auto&... ec) {
                       siginfo_t info{};
                       blocking::waitid(P_PID, static_cast<id_t>(w.child), &info, WEXITED, ec...);
                       return info.si_pid == w.child;
                   }));
         }},
        {"sleep",
         {"SYS_nanosleep", "SYS_clock_nanosleep"},
         {SYS_nanosleep, SYS_clock_nanosleep},
         [](injection& i) {
             // It has slept: whatever happens in between, never less than it was asked to.
             const auto slept = [](auto sleep) {
                 const auto start = std::chrono::steady_clock::now();
                 sleep(start);
                 return std::chrono::steady_clock::now() - start >= 2ms;
             };
             trial(i, SYS_nanosleep, "nanosleep", interruptible, both([slept](world&, auto&... ec) {
                       return slept([&](auto) {
                                  const timespec time{0, 2'000'000};
                                  timespec left{1, 1};
                                  blocking::nanosleep(&time, &left, ec...);
                                  if ((!ec && ...)) {
                                      EXPECT_EQ(left.tv_sec, 0);
                                      EXPECT_EQ(left.tv_nsec, 0);
                                  }
                              }) &&
                              (!ec && ...);
                   }));
             trial(i, SYS_nanosleep, "nanosleep", interruptible,
                   throwing([slept](world&) { return slept([](auto) { blocking::sleep_for(2ms); }); }));
             trial(i, SYS_clock_nanosleep, "sleep_until", interruptible,
                   throwing([slept](world&) { return slept([](auto start) { blocking::sleep_until(start + 2ms); }); }));
             // Interrupted, it asks for the same point of the realtime clock again, so that the kernel follows a clock
             // that is set.
             i.fail(SYS_clock_nanosleep, EINTR, 0, 3);
             blocking::sleep_until(std::chrono::system_clock::now() + 2ms);
             EXPECT_EQ(i.stop(), 3);
             EXPECT_EQ(i.argument(SYS_clock_nanosleep, 0), static_cast<unsigned long>(CLOCK_REALTIME));
             EXPECT_EQ(i.argument(SYS_clock_nanosleep, 1), static_cast<unsigned long>(TIMER_ABSTIME));
         }},
        {"futex",
         {"SYS_futex"},
         {SYS_futex},
         [](injection& i) {
             const seen_as errors{{EMFILE, ENFILE, ENOMEM, EPERM, ENOSYS}, {EINTR, EAGAIN}, {ETIMEDOUT}};
             const std::uint32_t word = 1;
             trial(i, SYS_futex, "futex_wait", errors,
                   both([&](world&, auto&... ec) { return blocking::futex_wait(&word, 2, 10s, ec...); }));
         }},
        {"signals_taken",
         {"SYS_rt_sigtimedwait"},
         {SYS_rt_sigtimedwait},
         [](injection& i) {
             const tocsin::signal_set set{SIGTERM};
             const tocsin::mask_guard guard(set);
             const auto pending = [] { // merges with one that is there already
                 ::kill(::getpid(), SIGTERM);
             };
             const seen_as for_ever{{EMFILE, ENFILE, ENOMEM, EPERM, ENOSYS}, {EINTR, EAGAIN}, {}};
             const auto taken = [&](auto wait) {
                 return throwing([&, wait](world&) {
                     pending();
                     try {
                         return wait();
                     } catch (...) {
                         EXPECT_TRUE(tocsin::sigpending().contains(SIGTERM)); // not lost
                         throw;
                     }
                 });
             };
             trial(i, SYS_rt_sigtimedwait, "sigwait", for_ever, taken([&] { return tocsin::sigwait(set) == SIGTERM; }));
             trial(i, SYS_rt_sigtimedwait, "sigwaitinfo", for_ever,
                   taken([&] { return tocsin::sigwaitinfo(set).pid() == ::getpid(); }));
             const seen_as timed{for_ever.refused, {EINTR}, {EAGAIN}};
             trial(i, SYS_rt_sigtimedwait, "sigtimedwait", timed, taken([&] {
                       const auto info = tocsin::sigtimedwait(set, 10s);
                       return info && info->signo() == SIGTERM;
                   }));
         }},
    };
    return rows;
}

// Named in the sources, and nothing to inject.
const std::map<std::string, std::string>& not_injected()
{
    static const std::map<std::string, std::string> names = {
        {"alarm", "cannot fail: alarm(2)"},
        {"getpid", "cannot fail: getpid(2)"},
        {"getuid", "cannot fail: getuid(2)"},
        {"clock_gettime", "makes no system call; clocks that stand still or jump: clock.cpp"},
        {"nanosleep", "waits for a thread inside the trip routine: races.cpp"},
        {"pthread_atfork", "makes no system call; refuses in memory.cpp"},
        {"posix_spawnattr_init", "makes no system call"},
        {"posix_spawnattr_destroy", "makes no system call"},
        {"posix_spawnattr_setflags", "makes no system call"},
        {"posix_spawnattr_setsigdefault", "makes no system call"},
        {"posix_spawnattr_setsigmask", "makes no system call"},
        {"getauxval", "makes no system call"},
        {"pthread_self", "makes no system call"},
        {"sigaddset", "makes no system call"},
        {"sigdelset", "makes no system call"},
        {"sigdescr_np", "makes no system call"},
        {"sigemptyset", "makes no system call"},
        {"sigfillset", "makes no system call"},
        {"sigismember", "makes no system call"},
    };
    return names;
}

bool in_a_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// SYS_name, and name of ::name( in the global namespace.
std::set<std::string> system_names(const std::string& text)
{
    std::set<std::string> names;
    for (std::size_t at = 1; at < text.size(); ++at) {
        const char before = text[at - 1];
        const auto end_of_name = [&](std::size_t begin) {
            while (begin < text.size() && in_a_name(text[begin]))
                ++begin;
            return begin;
        };
        if (text.compare(at, 4, "SYS_") == 0 && !in_a_name(before))
            names.insert(text.substr(at, end_of_name(at) - at));
        if (text.compare(at, 2, "::") == 0 && !in_a_name(before) && before != ':' && before != '>') {
            const std::size_t end = end_of_name(at + 2);
            if (end > at + 2 && end < text.size() && text[end] == '(')
                names.insert(text.substr(at + 2, end - at - 2));
        }
    }
    return names;
}

class faults : public testing::TestWithParam<row> {};

TEST_P(faults, injected) { support::expect_under_injection(GetParam().numbers, GetParam().body); }

INSTANTIATE_TEST_SUITE_P(every, faults, testing::ValuesIn(table()),
                         [](const testing::TestParamInfo<row>& each) { return each.param.name; });

TEST(faults, the_table_has_a_row_for_every_system_call_of_the_sources)
{
    std::set<std::string> known;
    for (const row& each : table())
        known.insert(each.sources.begin(), each.sources.end());
    for (const auto& [name, why] : not_injected())
        EXPECT_TRUE(known.insert(name).second) << name << " has a row: " << why;
    std::set<std::string> named;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(TOCSIN_SOURCES)) {
        if (entry.path().extension() != ".cpp" && entry.path().extension() != ".hpp")
            continue;
        std::ifstream in(entry.path());
        std::stringstream text;
        text << in.rdbuf();
        for (const std::string& name : system_names(text.str())) {
            named.insert(name);
            EXPECT_TRUE(known.contains(name))
                << entry.path().filename() << " calls " << name << ": no row in calls.cpp";
        }
    }
    EXPECT_GT(named.size(), 50U);
    for (const std::string& name : known)
        EXPECT_TRUE(named.contains(name)) << name << " has a row, and the sources do not call it any more";
}

} // namespace
