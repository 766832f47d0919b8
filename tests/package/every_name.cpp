// Every row of the documented surface, used as a program would write it. Exit status 0 when all of it holds.

#include <tocsin/tocsin.hpp>

#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <set>
#include <sstream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using floating_seconds = std::chrono::duration<double>;
using std::chrono::nanoseconds;

void require(bool holds, const char* what, int line)
{
    if (holds)
        return;
    std::fprintf(stderr, "every_name.cpp:%d: %s\n", line, what);
    std::exit(1);
}
#define REQUIRE(...) require(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__, __LINE__)

// How late the program is: what is left of a timer is less by no more than that.
class stopwatch {
public:
    [[nodiscard]] nanoseconds elapsed() const { return std::chrono::steady_clock::now() - begin_; }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// The expression has exactly this type.
#define SAME(type, ...) static_assert(std::is_same_v<type, decltype(__VA_ARGS__)>)

template <class Error, class F>
Error thrown(F f)
{
    try {
        f();
    } catch (const Error& e) {
        return e;
    } catch (...) {
        std::fputs("threw another type\n", stderr);
        std::exit(1);
    }
    std::fputs("threw nothing\n", stderr);
    std::exit(1);
}

template <class F>
int errno_of(F f)
{
    return thrown<std::system_error>(f).code().value();
}

template <class T>
std::string printed(const T& value)
{
    std::ostringstream out;
    out << value;
    REQUIRE(out.str() == to_string(value));
    return out.str();
}

// ---- Values and constants

static_assert(tocsin::nsig == NSIG);
static_assert(std::is_convertible_v<int, tocsin::signum> && std::is_convertible_v<tocsin::signum, int>);
static_assert(std::is_enum_v<tocsin::sigmask> && !std::is_convertible_v<tocsin::sigmask, int>);
static_assert(std::is_enum_v<tocsin::itimer> && !std::is_convertible_v<tocsin::itimer, int>);
static_assert(std::is_base_of_v<std::system_error, tocsin::itimer_error>);
static_assert(std::is_base_of_v<std::logic_error, tocsin::thread_error>);
static_assert(std::is_base_of_v<std::logic_error, tocsin::unblocked_error>);
static_assert(!std::is_base_of_v<std::exception, tocsin::keyboard_interrupt>);
static_assert(tocsin::timer_fd::nonblock == TFD_NONBLOCK);
static_assert(tocsin::timer_fd::cloexec == TFD_CLOEXEC);
static_assert(tocsin::timer_fd::abstime == TFD_TIMER_ABSTIME);
static_assert(tocsin::timer_fd::cancel_on_set == TFD_TIMER_CANCEL_ON_SET);
static_assert(std::ranges::forward_range<tocsin::signal_set>);
static_assert(std::is_trivially_copyable_v<tocsin::signal_set> && std::is_copy_constructible_v<tocsin::siginfo>);
static_assert(tocsin::signal_set{SIGINT, SIGTERM}.size() == 2); // at compile time too

template <class T>
constexpr bool move_only =
    std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_assignable_v<T> && !std::is_copy_constructible_v<T>;
static_assert(move_only<tocsin::timer_fd> && move_only<tocsin::pidfd>);
static_assert(move_only<tocsin::signal_stop> && move_only<tocsin::child_watch>);

void values()
{
    const tocsin::signum interrupt = SIGINT;
    const int number = interrupt;
    SAME(std::string, interrupt.name());
    REQUIRE(number == 2 && interrupt.name() == "SIGINT");
    REQUIRE(tocsin::signum(SIGRTMIN + 3).name() == "SIGRTMIN+3");
    SAME(std::optional<tocsin::signum>, tocsin::parse_signal("int"));
    for (const char* name : {"int", "SIGINT", "2"})
        REQUIRE(tocsin::parse_signal(name) == SIGINT);
    REQUIRE(tocsin::parse_signal("RTMIN+3") == SIGRTMIN + 3);
    REQUIRE(!tocsin::parse_signal(std::string("nothing")));
    switch (interrupt) {
    case SIGINT:
        break;
    default:
        REQUIRE(false);
    }
    REQUIRE(std::set<tocsin::signum>{SIGTERM, SIGINT}.begin()->name() == "SIGINT");
    REQUIRE(std::unordered_set<tocsin::signum>{SIGTERM, SIGINT}.count(SIGINT) == 1);

    using tocsin::sigmask;
    REQUIRE(static_cast<int>(sigmask::block) == SIG_BLOCK && static_cast<int>(sigmask::unblock) == SIG_UNBLOCK &&
            static_cast<int>(sigmask::set_mask) == SIG_SETMASK);
    REQUIRE(printed(tocsin::signum(SIGTERM)) == "SIGTERM");
    REQUIRE(!printed(tocsin::default_action).empty() && !printed(tocsin::ignore).empty());
    REQUIRE(!printed(sigmask::block).empty() && !printed(sigmask::set_mask).empty());
    REQUIRE(!printed(tocsin::itimer::virtual_).empty());
    REQUIRE(!printed(tocsin::signal_set{SIGINT}).empty());
    REQUIRE(!printed(tocsin::handler(tocsin::ignore)).empty());

    SAME(std::optional<std::string>, tocsin::strsignal(SIGINT));
    REQUIRE(tocsin::strsignal(SIGINT) == "Interrupt");
    thrown<std::out_of_range>([] { (void)tocsin::strsignal(0); });
    SAME(tocsin::signal_set, tocsin::valid_signals());
    REQUIRE(tocsin::valid_signals().contains(SIGKILL) && tocsin::valid_signals().size() > 60);
}

void sets()
{
    const tocsin::signal_set a{SIGINT, SIGTERM};
    const tocsin::signal_set b = {SIGTERM, tocsin::signum(SIGHUP)};
    REQUIRE((a | b) == tocsin::signal_set{SIGHUP, SIGINT, SIGTERM});
    REQUIRE((a & b) == tocsin::signal_set{SIGTERM});
    REQUIRE((a - b).contains(SIGINT) && !(a - b).contains(SIGTERM) && (a - b).size() == 1);
    int last = 0;
    for (const tocsin::signum sig : a | b) { // ascending
        REQUIRE(sig > last);
        last = sig;
    }
    const std::vector<tocsin::signum> listed(a.begin(), a.end());
    REQUIRE(listed.size() == 2);
    thrown<std::out_of_range>([] { (void)tocsin::signal_set{65}; });
}

// ---- Handlers

int calls = 0;
void plain() { ++calls; }
void numbered(int sig) { calls += sig == SIGUSR1 ? 1 : 100; }
void numbered_noexcept(int /*sig*/) noexcept { ++calls; }
void strong(tocsin::signum sig) { calls += sig == SIGUSR1 ? 1 : 100; }
void full(const tocsin::event& e) { calls += e.signo == SIGUSR1 ? 1 : 100; }
struct functor {
    int* count;
    void operator()(const tocsin::event& /*e*/) const { ++*count; }
};
struct object {
    void method(tocsin::signum /*sig*/) { ++calls; }
};

void raise_once(int line)
{
    calls = 0;
    tocsin::raise_signal(SIGUSR1);
    require(calls == 1, "the handler has run when raise_signal returns", line);
}

void handler_forms()
{
    SAME(tocsin::handler, tocsin::signal(SIGUSR1, plain));
    const tocsin::handler first = tocsin::signal(SIGUSR1, SIG_DFL);
    REQUIRE(first == tocsin::default_action && tocsin::default_action == first && first != tocsin::ignore);
    tocsin::signal(tocsin::signum(SIGUSR1), plain);
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, &plain);
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, numbered);
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, &numbered);
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, numbered_noexcept);
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, strong);
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, full);
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, functor{&calls});
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, [] { ++calls; });
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, [](int /*sig*/) { ++calls; });
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, [](tocsin::signum /*sig*/) { ++calls; });
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, [](const tocsin::event& /*e*/) { ++calls; });
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, [](tocsin::event /*by value*/) { ++calls; });
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, [](const auto& e) { calls += e.signo == SIGUSR1; });
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, [](auto... /*anything*/) { ++calls; });
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, [mine = std::make_unique<int>(1)]() mutable { calls += (*mine)--; }); // move-only
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, [](int sig) { return calls += sig == SIGUSR1; }); // a result that nobody wants
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, std::function<void(int)>(numbered));
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, std::function<void(const tocsin::event&)>(full));
    raise_once(__LINE__);
    object target;
    tocsin::signal(SIGUSR1, std::bind_front(&object::method, &target));
    raise_once(__LINE__);
    tocsin::signal(SIGUSR1, std::bind(&object::method, &target, std::placeholders::_1));
    raise_once(__LINE__);
    const tocsin::handler named = plain;
    tocsin::signal(SIGUSR1, named);
    raise_once(__LINE__);
    thrown<std::invalid_argument>([] { tocsin::signal(SIGUSR1, std::function<void()>()); });
    thrown<std::invalid_argument>([] { tocsin::signal(SIGUSR1, static_cast<void (*)()>(nullptr)); });
}

void handler_values()
{
    tocsin::signal(SIGUSR1, tocsin::ignore);
    SAME(tocsin::handler, tocsin::getsignal(SIGUSR1));
    REQUIRE(tocsin::getsignal(SIGUSR1) == tocsin::ignore);
    REQUIRE(tocsin::getsignal(SIGUSR1) == SIG_IGN && tocsin::getsignal(SIGUSR1) != SIG_DFL);
    tocsin::signal(SIGUSR1, SIG_IGN);
    REQUIRE(tocsin::signal(SIGUSR1, functor{&calls}) == tocsin::ignore);

    tocsin::handler mine = tocsin::getsignal(SIGUSR1);
    SAME(functor*, mine.target<functor>());
    REQUIRE(mine.target<functor>() != nullptr && mine.target<functor>()->count == &calls);
    REQUIRE(mine.target<int>() == nullptr);
    REQUIRE(mine.type() == tocsin::handler_kind::callable && mine.is_callable() && !mine.is_foreign());
    REQUIRE(mine == tocsin::getsignal(SIGUSR1));
    REQUIRE(tocsin::signal(SIGUSR1, mine) == mine); // what signal() returned can be installed again
    tocsin::signal(SIGUSR1, numbered);
    REQUIRE(*tocsin::getsignal(SIGUSR1).target<void (*)(int)>() == numbered);
    REQUIRE(tocsin::getsignal(SIGUSR1) == numbered);

    // Installed behind the library's back: foreign, and it can be put back.
    std::signal(SIGUSR2, [](int) {});
    const tocsin::handler foreign = tocsin::signal(SIGUSR2, plain);
    REQUIRE(foreign.type() == tocsin::handler_kind::foreign && foreign.is_foreign());
    REQUIRE(foreign != tocsin::default_action && foreign != tocsin::ignore);
    tocsin::signal(SIGUSR2, foreign);
    REQUIRE(tocsin::getsignal(SIGUSR2) == foreign);
    tocsin::signal(SIGUSR2, tocsin::default_action);

    thrown<std::out_of_range>([] { tocsin::signal(0, tocsin::ignore); });
    thrown<std::out_of_range>([] { (void)tocsin::getsignal(tocsin::nsig); });
    REQUIRE(errno_of([] { tocsin::signal(SIGKILL, tocsin::ignore); }) == EINVAL);
    REQUIRE(errno_of([] { tocsin::signal(SIGSTOP, plain); }) == EINVAL);
    static_assert(std::is_void_v<decltype(tocsin::siginterrupt(SIGUSR1, false))>);
    tocsin::siginterrupt(SIGUSR1, false);
    tocsin::siginterrupt(SIGUSR1, true);
}

void events()
{
    std::optional<tocsin::event> seen;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { seen = e; });
    SAME(tocsin::signum, seen->signo);
    SAME(tocsin::siginfo, seen->info);
    static_assert(std::is_integral_v<decltype(seen->count)>);
    ::kill(::getpid(), SIGUSR1);
    static_assert(std::is_void_v<decltype(tocsin::check_signals())>);
    tocsin::check_signals();
    const unsigned line = __LINE__ - 1;
    REQUIRE(seen && seen->signo == SIGUSR1 && seen->count == 1 && seen->where.line() == line);
    REQUIRE(std::strstr(seen->where.file_name(), "every_name.cpp") != nullptr);
#if defined(__cpp_lib_source_location) // else empty: see source_location.hpp
    REQUIRE(std::string(seen->where.function_name()).find("events") != std::string::npos);
#endif
#if defined(__cpp_lib_source_location)
    const std::source_location standard = seen->where;
    REQUIRE(standard.line() == line && standard.column() == seen->where.column());
    tocsin::check_signals(std::source_location::current());
#endif

    const tocsin::siginfo& info = seen->info;
    SAME(tocsin::signum, info.signo());
    SAME(int, info.code());
    SAME(int, info.error());
    SAME(std::optional<pid_t>, info.pid());
    SAME(std::optional<uid_t>, info.uid());
    SAME(std::optional<int>, info.status());
    SAME(std::optional<long>, info.band());
    SAME(std::optional<sigval>, info.value());
    SAME(std::optional<void*>, info.address());
    SAME(std::optional<int>, info.timer_id());
    SAME(std::optional<int>, info.overrun());
    SAME(std::optional<int>, info.fd());
    SAME(tocsin::origin, info.origin());
    REQUIRE(info.signo() == SIGUSR1 && info.code() == SI_USER && info.error() == 0);
    REQUIRE(info.origin() == tocsin::origin::user && info.pid() == ::getpid() && info.uid() == ::getuid());
    REQUIRE(!info.status() && !info.band() && !info.value() && !info.address() && !info.timer_id() && !info.overrun() &&
            !info.fd());
    using tocsin::origin;
    for (const origin each : {origin::kernel, origin::terminal, origin::user, origin::queue, origin::timer,
                              origin::child, origin::fault, origin::tkill, origin::mesgq, origin::async_io})
        REQUIRE(!printed(each).empty());
    REQUIRE(!printed(info).empty());
    tocsin::signal(SIGUSR1, tocsin::default_action);
}

void interrupts()
{
    // default_int_handler throws across the library's border and is caught by type.
    const auto previous = tocsin::signal(SIGINT, tocsin::default_int_handler);
    bool caught = false;
    try {
        try {
            tocsin::raise_signal(SIGINT);
        } catch (const std::exception&) {
            REQUIRE(false); // keyboard_interrupt is no std::exception
        }
    } catch (const tocsin::keyboard_interrupt&) {
        caught = true;
    }
    REQUIRE(caught);
    tocsin::signal(SIGINT, previous);
    caught = false;
    try {
        tocsin::default_int_handler(tocsin::event{});
    } catch (const tocsin::keyboard_interrupt&) {
        caught = true;
    }
    REQUIRE(caught);

    // One for another thread, too.
    std::thread([] {
        thrown<tocsin::thread_error>([] { tocsin::signal(SIGUSR1, plain); });
        thrown<std::logic_error>([] { tocsin::set_wakeup_fd(-1); });
    }).join();

    SAME(int, tocsin::run_main([] {}));
    REQUIRE(tocsin::run_main([] {}) == 0);
    REQUIRE(tocsin::run_main([] { return 7; }) == 7);
    const pid_t child = ::fork();
    if (child == 0) {
        tocsin::run_main([] { tocsin::raise_signal(SIGINT); });
        std::_Exit(9);
    }
    int status = 0;
    REQUIRE(tocsin::blocking::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

void deferral_and_wakeup()
{
    calls = 0;
    tocsin::signal(SIGUSR1, plain);
    {
        const tocsin::defer_signals guard;
        tocsin::raise_signal(SIGUSR1);
        REQUIRE(calls == 0);
    }
    tocsin::check_signals();
    REQUIRE(calls == 1);

    int pipe[2];
    REQUIRE(::pipe2(pipe, O_NONBLOCK | O_CLOEXEC) == 0);
    SAME(int, tocsin::set_wakeup_fd(-1));
    REQUIRE(tocsin::set_wakeup_fd(pipe[1]) == -1);
    REQUIRE(tocsin::set_wakeup_fd(pipe[1], {.warn_on_full_buffer = false}) == pipe[1]);
    REQUIRE(tocsin::set_wakeup_fd(pipe[1], tocsin::wakeup_options{.warn_on_full_buffer = true}) == pipe[1]);
    tocsin::raise_signal(SIGUSR1);
    unsigned char byte = 0;
    REQUIRE(tocsin::blocking::read(pipe[0], &byte, 1) == 1 && byte == SIGUSR1);
    REQUIRE(tocsin::set_wakeup_fd(-1) == pipe[1]);
    ::close(pipe[0]);
    ::close(pipe[1]);
    REQUIRE(errno_of([&] { tocsin::set_wakeup_fd(pipe[1]); }) == EBADF);
    int blocking[2];
    REQUIRE(::pipe(blocking) == 0);
    thrown<std::invalid_argument>([&] { tocsin::set_wakeup_fd(blocking[1]); });
    ::close(blocking[0]);
    ::close(blocking[1]);
}

// ---- Sending, masks, waiting

void sending()
{
    static_assert(std::is_void_v<decltype(tocsin::raise_signal(SIGUSR1))>);
    calls = 0;
    tocsin::signal(SIGUSR1, [] { ++calls; });
    tocsin::raise_signal(tocsin::signum(SIGUSR1));
    tocsin::pthread_kill(::pthread_self(), SIGUSR1);
    REQUIRE(calls == 2);
    tocsin::pthread_kill(::pthread_self(), 0);

    std::atomic<bool> end = false;
    const auto wait = [&] { end.wait(false); };
    std::thread thread(wait);
    std::jthread joining(wait);
    tocsin::pthread_kill(thread, 0);
    tocsin::pthread_kill(joining, 0);
    tocsin::pthread_kill(thread.native_handle(), 0);
    tocsin::pthread_kill(joining.native_handle(), SIGURG); // ignored by default
    end = true;
    end.notify_all();
    thread.join();

    SAME(tocsin::pidfd, tocsin::pidfd_open(::getpid()));
    tocsin::pidfd self = tocsin::pidfd_open(::getpid());
    SAME(int, self.native_handle());
    tocsin::pidfd_send_signal(self.native_handle(), 0);
    tocsin::pidfd_send_signal(self.native_handle(), SIGUSR1);
    const auto queued = tocsin::siginfo::queued(SIGUSR1, sigval{.sival_int = 5});
    tocsin::pidfd_send_signal(self.native_handle(), SIGUSR1, &queued);
    tocsin::pidfd_send_signal(self.native_handle(), SIGUSR1, nullptr, 0);
    tocsin::check_signals();
    REQUIRE(calls > 2);
    tocsin::pidfd moved = std::move(self);
    const int fd = moved.release();
    SAME(int, moved.release());
    ::close(fd);
    moved.close();

    std::optional<sigval> value;
    tocsin::signal(SIGRTMIN, [&](const tocsin::event& e) { value = e.info.value(); });
    tocsin::sigqueue(::getpid(), SIGRTMIN, sigval{.sival_int = 42});
    tocsin::check_signals();
    REQUIRE(value && value->sival_int == 42);
    tocsin::signal(SIGRTMIN, SIG_DFL);
}

void masks_and_waits()
{
    using tocsin::sigmask;
    const tocsin::signal_set both{SIGUSR1, SIGRTMIN};
    SAME(tocsin::signal_set, tocsin::pthread_sigmask(sigmask::block, both));
    const tocsin::signal_set old = tocsin::pthread_sigmask(sigmask::block, {SIGUSR1, SIGRTMIN});
    tocsin::pthread_sigmask(SIG_UNBLOCK, both);
    tocsin::pthread_sigmask(SIG_SETMASK, old);
    tocsin::pthread_sigmask(SIG_BLOCK, {SIGUSR1});
    REQUIRE(tocsin::pthread_sigmask(sigmask::block, {}).contains(SIGUSR1));

    ::raise(SIGUSR1);
    SAME(tocsin::signal_set, tocsin::sigpending());
    REQUIRE(tocsin::sigpending().contains(SIGUSR1));
    SAME(tocsin::signum, tocsin::sigwait({SIGUSR1}));
    REQUIRE(tocsin::sigwait({SIGUSR1}) == SIGUSR1);
    ::raise(SIGUSR1);
    SAME(tocsin::siginfo, tocsin::sigwaitinfo({SIGUSR1}));
    REQUIRE(tocsin::sigwaitinfo({SIGUSR1, SIGRTMIN}).signo() == SIGUSR1);
    SAME(std::optional<tocsin::siginfo>, tocsin::sigtimedwait({SIGUSR1}, 0));
    REQUIRE(!tocsin::sigtimedwait({SIGUSR1}, 0));
    REQUIRE(!tocsin::sigtimedwait({SIGUSR1}, 0.001));
    REQUIRE(!tocsin::sigtimedwait({SIGUSR1}, 1ms));
    REQUIRE(!tocsin::sigtimedwait({SIGUSR1}, std::chrono::duration<double, std::milli>(0.5)));
    ::raise(SIGUSR1);
    REQUIRE(tocsin::sigtimedwait({SIGUSR1}, std::chrono::hours(1))->signo() == SIGUSR1);
    thrown<std::invalid_argument>([] { (void)tocsin::sigtimedwait({SIGUSR1}, -1.0); });
    thrown<std::invalid_argument>([] { (void)tocsin::sigtimedwait({SIGUSR1}, -1ns); });
    tocsin::pthread_sigmask(sigmask::unblock, {SIGUSR1});

    {
        const tocsin::mask_guard guard({SIGUSR1, SIGUSR2});
        const tocsin::mask_guard inner(sigmask::set_mask, {SIGHUP});
        REQUIRE(inner.previous().contains(SIGUSR2));
    }
    REQUIRE(!tocsin::pthread_sigmask(SIG_BLOCK, {}).contains(SIGUSR2));

    calls = 0;
    tocsin::signal(SIGALRM, plain);
    tocsin::setitimer(ITIMER_REAL, 0.001);
    tocsin::pause();
    REQUIRE(calls == 1);
}

// ---- Timers

void interval_timers()
{
    SAME(unsigned, tocsin::alarm(0U));
    SAME(unsigned, tocsin::alarm(5));
    SAME(nanoseconds, tocsin::alarm(1500ms));
    const stopwatch seconds;
    REQUIRE(tocsin::alarm(100) == 0);
    const unsigned left = tocsin::alarm(0);
    REQUIRE(left <= 100 &&
            std::chrono::seconds(left) + 500ms + seconds.elapsed() >= 100s); // alarm(2) rounds to seconds
    const stopwatch fine;
    REQUIRE(tocsin::alarm(1500ms) == 0ns);
    const nanoseconds rest = tocsin::alarm(floating_seconds(0));
    REQUIRE(rest <= 1500ms && rest + fine.elapsed() + 1us >= 1500ms); // setitimer(2) counts microseconds

    SAME(tocsin::itimer_value, tocsin::setitimer(tocsin::itimer::real, 0.5));
    SAME(tocsin::itimer_value, tocsin::getitimer(tocsin::itimer::real));
    SAME(floating_seconds, tocsin::getitimer(ITIMER_REAL).delay);
    SAME(floating_seconds, tocsin::getitimer(ITIMER_REAL).interval);
    for (const tocsin::itimer which : {tocsin::itimer::real, tocsin::itimer::virtual_, tocsin::itimer::prof}) {
        tocsin::setitimer(which, 100.5, 0.25);
        const auto [delay, interval] = tocsin::getitimer(which);
        REQUIRE(delay > 100s && interval == 250ms);
        tocsin::setitimer(which, 100s, 250ms);
        tocsin::setitimer(which, std::chrono::minutes(2), floating_seconds(0.25));
        tocsin::setitimer(which, 100, 1);
        REQUIRE(tocsin::setitimer(which, 0).interval == 1s);
    }
    for (const auto which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}) {
        tocsin::setitimer(which, 100.0F, 0.25);
        REQUIRE(tocsin::getitimer(which).interval == 250ms);
        tocsin::setitimer(which, 0.0);
    }
    const auto refused = thrown<tocsin::itimer_error>([] { tocsin::setitimer(99, 1.0); });
    REQUIRE(refused.code() == std::errc::invalid_argument);
    thrown<std::system_error>([] { tocsin::setitimer(ITIMER_REAL, -1.0); });
    thrown<tocsin::itimer_error>([] { (void)tocsin::getitimer(-1); });
}

void descriptor_timers()
{
    SAME(int, tocsin::timerfd_create(CLOCK_MONOTONIC));
    const int fd = tocsin::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    REQUIRE((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    SAME(floating_seconds, tocsin::timerfd_settime(fd, 1.5).initial);
    SAME(floating_seconds, tocsin::timerfd_settime(fd, 1.5).interval);
    SAME(nanoseconds, tocsin::timerfd_settime_ns(fd, 1ns).initial);
    SAME(nanoseconds, tocsin::timerfd_settime_ns(fd, 1ns).interval);
    tocsin::timerfd_settime(fd, 100.5, 0.25);
    REQUIRE(tocsin::timerfd_settime(fd, 100s, 250ms, 0).interval == 250ms);
    tocsin::timerfd_settime(fd, 4e9, 0, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
    SAME(decltype(tocsin::timerfd_settime(fd, 1.0)), tocsin::timerfd_gettime(fd));
    SAME(decltype(tocsin::timerfd_settime_ns(fd, 1ns)), tocsin::timerfd_gettime_ns(fd));
    const auto [initial, interval] = tocsin::timerfd_gettime(fd);
    REQUIRE(initial > 1s && interval == 0s);
    tocsin::timerfd_settime_ns(fd, 100s, 250ms);
    tocsin::timerfd_settime_ns(fd, nanoseconds(5), nanoseconds(7), 0);
    REQUIRE(tocsin::timerfd_gettime_ns(fd).interval == 7ns);
    ::close(fd);

    tocsin::timer_fd timer(CLOCK_MONOTONIC, tocsin::timer_fd::nonblock | tocsin::timer_fd::cloexec);
    timer.settime(100.5, 0.25);
    timer.settime(100s);
    const stopwatch armed;
    timer.settime_ns(100s, 250ms, 0);
    REQUIRE(timer.gettime().interval == 250ms && timer.gettime_ns().interval == 250ms);
    const nanoseconds rest = timer.disarm().initial;
    REQUIRE(rest <= 100s && rest + armed.elapsed() >= 100s);
    using outcome = tocsin::timer_read::outcome;
    REQUIRE(timer.try_read().what == outcome::none);
    REQUIRE(errno_of([&] { timer.read(); }) == EAGAIN);
    std::error_code ec;
    timer.read(ec);
    REQUIRE(ec == std::errc::resource_unavailable_try_again);
    static_assert(outcome::clock_changed != outcome::expired);

    tocsin::timer_fd waiting;
    SAME(std::uint64_t, waiting.read());
    waiting.settime(0.0001);
    REQUIRE(waiting.read() == 1);
    waiting.settime_ns(1ns, 1ms, tocsin::timer_fd::abstime);
    pollfd ready{waiting.native_handle(), POLLIN, 0};
    REQUIRE(tocsin::blocking::poll(&ready, 1, -1) == 1);
    const tocsin::timer_read read = waiting.try_read();
    REQUIRE(read.what == outcome::expired && read.expirations >= 1);
    REQUIRE(waiting.try_read(ec).what != outcome::clock_changed && !ec);
    tocsin::timer_fd moved = std::move(waiting);
    REQUIRE(waiting.native_handle() == -1); // NOLINT(bugprone-use-after-move)
    const int owned = moved.release();
    moved.close();
    moved = tocsin::timer_fd::adopt(owned);
}

// ---- Interruptible calls, with the parameters of the man pages

namespace blocking = tocsin::blocking;

void files()
{
    std::error_code ec;
    SAME(int, blocking::open("/dev/null", O_RDONLY));
    SAME(ssize_t, blocking::read(0, nullptr, 0));
    const int null = blocking::open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(errno_of([] { blocking::open("/nowhere", O_RDONLY); }) == ENOENT);
    REQUIRE(blocking::open("/nowhere", O_RDONLY, 0, ec) == -1 && ec == std::errc::no_such_file_or_directory);
    char name[] = "/tmp/tocsin-every-name-XXXXXX";
    const int made = ::mkstemp(name);
    REQUIRE(made != -1);
    ::close(made);
    const int fd = blocking::open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ::unlink(name);
    char bytes[4] = {};
    REQUIRE(blocking::write(fd, "abcd", 4) == 4);
    REQUIRE(blocking::write(fd, "abcd", 4, ec) == 4 && !ec);
    REQUIRE(blocking::pwrite(fd, "xy", 2, 0) == 2 && blocking::pwrite(fd, "xy", 2, 2, ec) == 2);
    REQUIRE(blocking::pread(fd, bytes, sizeof bytes, 0) == 4 && blocking::pread(fd, bytes, 4, 0, ec) == 4);
    REQUIRE(std::memcmp(bytes, "xyxy", 4) == 0);
    ::lseek(fd, 0, SEEK_SET);
    REQUIRE(blocking::read(fd, bytes, 2) == 2 && blocking::read(fd, bytes, 2, ec) == 2);
    iovec parts[] = {{bytes, 2}, {bytes + 2, 2}};
    REQUIRE(blocking::writev(fd, parts, 2) == 4 && blocking::writev(fd, parts, 2, ec) == 4);
    ::lseek(fd, 0, SEEK_SET);
    REQUIRE(blocking::readv(fd, parts, 2) == 4 && blocking::readv(fd, parts, 2, ec) == 4);
    REQUIRE(blocking::read(-1, bytes, 1, ec) == -1 && ec == std::errc::bad_file_descriptor);

    static_assert(std::is_void_v<decltype(blocking::flock(fd, LOCK_EX))>);
    blocking::flock(fd, LOCK_EX);
    blocking::flock(fd, LOCK_UN, ec);
    struct ::flock lock = {};
    lock.l_type = F_WRLCK;
    blocking::fcntl_lock(fd, F_SETLKW, &lock);
    lock.l_type = F_UNLCK;
    blocking::fcntl_lock(fd, F_OFD_SETLKW, &lock, ec);
    REQUIRE(!ec);
    blocking::close(fd);
    blocking::close(null, ec);
    REQUIRE(!ec);

    // A queue may be refused where the system has none; what is proved is that the calls exist.
    REQUIRE(errno_of([&] { blocking::mq_receive(mqd_t(-1), bytes, sizeof bytes, nullptr); }) != 0);
    REQUIRE(errno_of([&] { blocking::mq_send(mqd_t(-1), bytes, sizeof bytes, 0); }) != 0);
    unsigned priority = 0;
    REQUIRE(blocking::mq_receive(mqd_t(-1), bytes, sizeof bytes, &priority, ec) == -1 && ec);
    blocking::mq_send(mqd_t(-1), bytes, sizeof bytes, priority, ec);
    REQUIRE(ec);
    SAME(ssize_t, blocking::mq_receive(mqd_t(-1), bytes, sizeof bytes, nullptr));
}

void sockets()
{
    std::error_code ec;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(::bind(listener, generic, size) == 0 && ::listen(listener, 4) == 0);
    REQUIRE(::getsockname(listener, generic, &size) == 0);
    const int client = ::socket(AF_INET, SOCK_STREAM, 0);
    const int second = ::socket(AF_INET, SOCK_STREAM, 0);
    blocking::connect(client, generic, size);
    blocking::connect(second, generic, size, ec);
    REQUIRE(!ec);
    sockaddr_storage from{};
    socklen_t from_size = sizeof from;
    SAME(int, blocking::accept(listener, nullptr, nullptr));
    const int server = blocking::accept(listener, reinterpret_cast<sockaddr*>(&from), &from_size);
    const int other = blocking::accept(listener, nullptr, nullptr, ec);
    REQUIRE(server >= 0 && other >= 0 && !ec);

    char bytes[4] = {};
    REQUIRE(blocking::send(client, "ab", 2, 0) == 2 && blocking::send(client, "cd", 2, 0, ec) == 2);
    REQUIRE(blocking::recv(server, bytes, 2, MSG_WAITALL) == 2 && blocking::recv(server, bytes, 2, 0, ec) == 2);
    iovec part{bytes, 2};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    REQUIRE(blocking::sendmsg(client, &message, 0) == 2 && blocking::sendmsg(client, &message, 0, ec) == 2);
    REQUIRE(blocking::recvmsg(server, &message, MSG_WAITALL) == 2 && blocking::recvmsg(server, &message, 0, ec) == 2);
    REQUIRE(blocking::sendto(client, "ab", 2, MSG_NOSIGNAL, nullptr, 0) == 2);
    REQUIRE(blocking::sendto(client, "ab", 2, 0, nullptr, 0, ec) == 2);
    from_size = sizeof from;
    REQUIRE(blocking::recvfrom(server, bytes, 2, MSG_WAITALL, nullptr, nullptr) == 2);
    REQUIRE(blocking::recvfrom(server, bytes, 2, 0, reinterpret_cast<sockaddr*>(&from), &from_size, ec) == 2);
    for (const int fd : {listener, client, second, server, other})
        ::close(fd);
    REQUIRE(errno_of([&] { blocking::connect(-1, generic, size); }) == EBADF);
}

void waits()
{
    std::error_code ec;
    tocsin::timer_fd timer;
    timer.settime_ns(1ns);
    const int fd = timer.native_handle();
    pollfd ready{fd, POLLIN, 0};
    SAME(int, blocking::poll(&ready, 1, 0));
    REQUIRE(blocking::poll(&ready, 1, -1) == 1 && blocking::poll(&ready, 1, 1000, ec) == 1);
    const timespec moment{0, 1000};
    sigset_t none;
    ::sigemptyset(&none);
    REQUIRE(blocking::ppoll(&ready, 1, &moment, &none) == 1 && blocking::ppoll(&ready, 1, nullptr, nullptr, ec) == 1);
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    timeval timeout{1, 0};
    REQUIRE(blocking::select(fd + 1, &readable, nullptr, nullptr, nullptr) == 1);
    REQUIRE(blocking::select(fd + 1, &readable, nullptr, nullptr, &timeout, ec) == 1);
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    REQUIRE(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted) == 0);
    std::array<epoll_event, 2> found{};
    REQUIRE(blocking::epoll_wait(epoll, found.data(), int(found.size()), -1) == 1);
    REQUIRE(blocking::epoll_wait(epoll, found.data(), 2, 0, ec) == 1);
    ::close(epoll);

    const auto child = [] {
        const pid_t pid = ::fork();
        if (pid == 0)
            std::_Exit(3);
        return pid;
    };
    int status = 0;
    SAME(pid_t, blocking::waitpid(-1, &status, 0));
    pid_t pid = child();
    REQUIRE(blocking::waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
    pid = child();
    siginfo_t info{};
    blocking::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
    REQUIRE(info.si_pid == pid && tocsin::siginfo(info).status() == 3);
    blocking::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT, ec);
    REQUIRE(!ec && blocking::waitpid(pid, nullptr, 0, ec) == pid);
    REQUIRE(blocking::waitpid(-1, &status, 0, ec) == -1 && ec == std::errc::no_child_process);
}

void sleeps()
{
    std::error_code ec;
    const auto begin = std::chrono::steady_clock::now();
    blocking::sleep_for(0.001);
    blocking::sleep_for(1ms);
    blocking::sleep_for(floating_seconds(0.001));
    blocking::sleep_until(std::chrono::steady_clock::now() + 1ms);
    blocking::sleep_until(std::chrono::system_clock::now() + 1ms);
    blocking::sleep_until(std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()));
    timespec remaining{1, 1};
    const timespec request{0, 1'000'000};
    blocking::nanosleep(&request, nullptr);
    blocking::nanosleep(&request, &remaining, ec);
    REQUIRE(!ec && remaining.tv_sec == 0 && remaining.tv_nsec == 0);
    REQUIRE(std::chrono::steady_clock::now() - begin >= 5ms);

    std::uint32_t word = 1;
    SAME(bool, blocking::futex_wait(&word, 0));
    REQUIRE(blocking::futex_wait(&word, 0) && !blocking::futex_wait(&word, 1, 0.001));
    REQUIRE(!blocking::futex_wait(&word, 1, 1ms, ec) && !ec);

    SAME(long, blocking::call(SYS_getpid));
    REQUIRE(blocking::call(SYS_getpid) == ::getpid());
    std::array<unsigned char, 8> random{};
    REQUIRE(blocking::call(SYS_getrandom, random.data(), random.size(), 0) == 8);
    REQUIRE(blocking::call(ec, SYS_getppid) == ::getppid() && !ec);
    REQUIRE(blocking::call(ec, SYS_read, -1, nullptr, 0) == -1 && ec == std::errc::bad_file_descriptor);
    REQUIRE(errno_of([] { blocking::call(SYS_close, -1); }) == EBADF);
    REQUIRE(blocking::call(SYS_mmap, nullptr, 4096UL, 0, 0x22, -1, 0L) != 0); // six, PROT_NONE
}

void time_limits()
{
    const stopwatch begun;
    tocsin::deadline whole(100s);
    const nanoseconds rest = whole.remaining();
    REQUIRE(!whole.expired() && rest <= 100s && rest + begun.elapsed() >= 100s);
    REQUIRE(whole.end() > std::chrono::steady_clock::now());
    whole.reset(50);
    REQUIRE(tocsin::within(100, [] { return 7; }) == 7);
    REQUIRE(tocsin::within(whole, [] { return 8; }) == 8);
    try {
        const tocsin::deadline over(tocsin::deadline::time_point{});
        REQUIRE(over.expired());
        tocsin::deadline::check();
        REQUIRE(false);
    } catch (const tocsin::deadline_exceeded& e) {
        REQUIRE(e.code() == std::errc::timed_out && !whole.is(e));
    }
    whole.cancel();
    REQUIRE(whole.remaining() == std::chrono::nanoseconds::max());
}

// ---- Signals elsewhere than at safe points

void consumers()
{
    std::atomic<int> ran = 0;
    tocsin::background consumer;
    tocsin::subscription one = consumer.on(SIGUSR1, [&] { ran |= 1; });
    const tocsin::subscription two =
        consumer.on(tocsin::signal_set{SIGUSR2}, [&](int) { ran |= 2; }, {.restart = true});
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    while (ran != 3)
        std::this_thread::yield();
    one.cancel();

    tocsin::signal_stop stop = tocsin::stop_on({SIGTERM, SIGHUP}, {.second_is_default = true});
    SAME(std::stop_token, stop.get_token());
    SAME(std::optional<tocsin::event>, stop.cause());
    const tocsin::signal_stop other = tocsin::stop_on(SIGUSR1);
    ::raise(SIGHUP);
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    const std::stop_token token = stop;
    REQUIRE(!changed.wait(lock, token, [] { return false; }));
    REQUIRE(stop.cause()->signo == SIGHUP && !other.cause());
    REQUIRE(tocsin::describe(stop.cause()->info).find("SIGHUP from pid " + std::to_string(::getpid())) == 0);
}

void lossless()
{
    const tocsin::signal_set set{SIGRTMIN + 1};
    std::atomic<bool> over = false;
    std::jthread open([&] { over.wait(false); });
    const auto error = thrown<tocsin::unblocked_error>([&] { tocsin::lossless_inbox refused(set); });
    SAME(const std::vector<tocsin::unblocked_thread>&, error.threads());
    const tocsin::unblocked_thread& offender = error.threads().at(0);
    REQUIRE(offender.tid != 0 && !offender.name.empty() && offender.unblocked == set);
    over = true;
    over.notify_one();
    open.join();
    tocsin::lossless_inbox box(set);
    REQUIRE(box.blocked_signals() == set && box.native_handle() >= 0);
    for (int n = 0; n < 6; ++n)
        tocsin::sigqueue(::getpid(), SIGRTMIN + 1, sigval{.sival_int = n});
    REQUIRE(box.wait() && box.wait(1s));
    REQUIRE(box.try_next()->info.value()->sival_int == 0);
    REQUIRE(box.next().info.value()->sival_int == 1);
    REQUIRE(box.next(1.5)->info.value()->sival_int == 2);
    REQUIRE(box.run_pending([](const tocsin::event& e) { calls = e.info.value()->sival_int; }) == 3 && calls == 5);
}

void children()
{
    tocsin::child_watcher watcher;
    std::vector<tocsin::child_exit> ended;
    const pid_t pid = ::fork();
    if (pid == 0)
        std::_Exit(3);
    tocsin::child_watch watch = watcher.watch(pid, [&](const tocsin::child_exit& e) { ended.push_back(e); });
    REQUIRE(watch.active() && watcher.native_handle() >= 0);
    REQUIRE(watcher.wait() && watcher.wait(1s));
    REQUIRE(watcher.run_pending() == 1 && !watch.active());
    watch.cancel();
    const tocsin::child_exit& end = ended.at(0);
    REQUIRE(end.pid == pid && end.how == tocsin::child_exit::outcome::exited && end.status == 3);
    REQUIRE(end.how != tocsin::child_exit::outcome::signalled && end.how != tocsin::child_exit::outcome::stolen);
    REQUIRE(end.signal == 0 && !end.core_dumped && end.max_rss_kib > 0);
    SAME(std::chrono::microseconds, end.user_time);
    REQUIRE(end.user_time + end.system_time < 60s);
}

void timer_queues()
{
    tocsin::virtual_clock clock(CLOCK_BOOTTIME, 5s);
    clock.advance(0.5);
    clock.set(7s);
    REQUIRE(clock.now() == 7s && !clock.next());
    SAME(tocsin::boot_clock::time_point, tocsin::boot_clock::now());

    tocsin::timer_queue queue(clock);
    int ran = 0;
    tocsin::callback_timer mine([&] { ++ran; });
    tocsin::timer& base = mine;
    queue.schedule(mine, 1s);
    queue.schedule(mine, tocsin::boot_clock::time_point(9s), 1ms);
    REQUIRE(base.scheduled() && base.deadline() >= 9s && queue.reschedule(mine, 2500ms) && queue.size() == 1);
    queue.schedule_at(mine, queue.now() + 3s);
    REQUIRE(queue.next_deadline() == 10s && clock.next() && !queue.empty());
    REQUIRE(tocsin::timer_queue::cancel(mine) && !mine.cancel());

    tocsin::scheduled once = queue.after(1s, [&] { ++ran; });
    const tocsin::scheduled at = queue.at(tocsin::boot_clock::time_point(8s), [&] { ++ran; });
    tocsin::scheduled again = queue.every(
        1s, [&](const tocsin::tick& t) { ran += static_cast<int>(t.number - t.missed); }, tocsin::missed_ticks::burst);
    REQUIRE(once.active());
    once.detach();
    tocsin::timer_queue::remote remote = queue.remote_handle();
    REQUIRE(remote.after(1s, [&] { ++ran; }) && remote.at(tocsin::boot_clock::time_point(8s), [&] { ++ran; }));
    REQUIRE(remote.schedule(mine, 1s) && remote.cancel(mine));
    clock.advance(1);
    REQUIRE(queue.wait() && queue.native_handle() >= 0);
    REQUIRE(queue.run_expired() == 5U);
    REQUIRE(ran == 5 && queue.last_now() == 8s && !queue.wait(0));
    again.cancel();

    tocsin::interval ticks(clock, 1s, tocsin::missed_ticks::delay);
    REQUIRE(!ticks.try_wait() && ticks.period() == 1s && ticks.next_due() == 9s && ticks.native_handle() >= 0);
    clock.advance(2);
    const tocsin::tick late = ticks.wait();
    REQUIRE(late.number == 2 && late.missed == 1 && late.due == 10s && !ticks.wait(0));
    ticks.restart();
    const auto first = std::chrono::steady_clock::now();
    tocsin::interval grid(first, 1ms);
    const tocsin::tick tick = grid.wait(); // the first, or a later one if this comes late
    REQUIRE(tick.number >= 1 && tick.missed == tick.number - 1);
    const nanoseconds due = tick.due - first.time_since_epoch();
    REQUIRE(due >= 0ns && due % 1ms == 0ns && tick.due <= std::chrono::steady_clock::now().time_since_epoch());
    static_assert(move_only<tocsin::timer_queue> && move_only<tocsin::scheduled> && move_only<tocsin::interval>);
}

} // namespace

int main()
{
    interrupts(); // has runtimes of its own
    const tocsin::runtime runtime;
    REQUIRE(tocsin::getsignal(SIGPIPE) == tocsin::ignore && tocsin::getsignal(SIGXFSZ) == tocsin::ignore);
    using function = void (*)(const tocsin::event&);
    REQUIRE(tocsin::getsignal(SIGINT) == tocsin::ignore ||
            *tocsin::getsignal(SIGINT).target<function>() == tocsin::default_int_handler);
    values();
    sets();
    handler_forms();
    handler_values();
    events();
    deferral_and_wakeup();
    sending();
    masks_and_waits();
    interval_timers();
    descriptor_timers();
    files();
    sockets();
    waits();
    sleeps();
    time_limits();
    timer_queues();
    consumers();
    lossless();
    children();
}
