#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <atomic>
#include <algorithm>
#include <type_traits>

#include "sys/sys.hpp"
#include "sys/syscall.hpp"

namespace tocsin::sys {

constinit const std::atomic<std::uint64_t> open_gate{0};

#if !TOCSIN_REPEATED_CALLS
// One guarded_syscall(): each member is the distance from itself to the instruction.
struct guarded_range {
    std::int32_t begin;
    std::int32_t end;
    std::int32_t abort;
};
#endif

} // namespace tocsin::sys

#if !TOCSIN_REPEATED_CALLS
extern "C" {
// Provided by the linker: the bounds of the section; null where a program links none of the calls.
extern const tocsin::sys::guarded_range __start_tocsin_calls[] __attribute__((weak, visibility("hidden")));
extern const tocsin::sys::guarded_range __stop_tocsin_calls[] __attribute__((weak, visibility("hidden")));
}
#endif

namespace tocsin::sys {
namespace {

template <class T>
T result(T value) noexcept
{
    return value == -1 ? static_cast<T>(-errno) : value;
}

} // namespace

int set_action(int sig, const struct sigaction* action, struct sigaction* previous) noexcept
{
    return result(::sigaction(sig, action, previous));
}

void set_default_action(int sig) noexcept
{
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    set_action(sig, &action, nullptr);
}

void resend_to_self(int sig, siginfo_t& info) noexcept
{
    if (::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::syscall(SYS_gettid), sig, &info) != -1)
        return;
    // Not with this information: a standard signal always passes without it.
    if (::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), sig) != -1)
        return;
    // Nor a real-time one, for which the queue has no room (RLIMIT_SIGPENDING): it passes like that of kill(2) only.
    siginfo_t plain{};
    plain.si_signo = sig;
    plain.si_code = SI_USER;
    ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::syscall(SYS_gettid), sig, &plain);
}

void resend_to_process(int sig, siginfo_t& info) noexcept
{
    // By the thread's number, which stands for its process too: for another number than the caller's own the kernel refuses
    // what looks like another's kill(), so that only the main thread could say getpid().
    if (::syscall(SYS_rt_sigqueueinfo, ::syscall(SYS_gettid), sig, &info) == -1)
        ::kill(::getpid(), sig); // as above
}

int write_byte(int fd, unsigned char byte) noexcept
{
    // Not write(): that is a cancellation point, and a thread must not be unwound out of a signal handler.
    while (::syscall(SYS_write, fd, &byte, 1) == -1) {
        const int error = errno;
        if (error == EINTR)
            continue;
        if (error == EPIPE) { // it came with a SIGPIPE for this thread, blocked here: nobody else's business
            sigset_t pipe;
            ::sigemptyset(&pipe);
            ::sigaddset(&pipe, SIGPIPE);
            const timespec now{};
            ::syscall(SYS_rt_sigtimedwait, &pipe, nullptr, &now, sizeof(std::uint64_t));
        }
        return error;
    }
    return 0;
}

void signal_event(int fd) noexcept
{
    const std::uint64_t one = 1;
    ::syscall(SYS_write, fd, &one, sizeof one);
}

int getpid() noexcept { return ::getpid(); }

void nudge(int tid, int sig) noexcept { ::syscall(SYS_tgkill, ::getpid(), tid, sig); }

#if !TOCSIN_REPEATED_CALLS
namespace {

// All the ranges lie between these two, from bound_ranges() on; before that, anywhere.
constinit std::atomic<std::uintptr_t> lowest_range{0};
constinit std::atomic<std::uintptr_t> highest_range{UINTPTR_MAX};

std::uintptr_t target(const std::int32_t& offset) noexcept
{
    return reinterpret_cast<std::uintptr_t>(&offset) + static_cast<std::uintptr_t>(std::intptr_t{offset});
}

} // namespace

void bound_ranges() noexcept
{
    std::uintptr_t lowest = UINTPTR_MAX;
    std::uintptr_t highest = 0;
    for (const guarded_range* each = __start_tocsin_calls; each != __stop_tocsin_calls; ++each) {
        lowest = std::min(lowest, target(each->begin));
        highest = std::max(highest, target(each->end));
    }
    // Relaxed: each value is right with either value of the other.
    lowest_range.store(lowest, std::memory_order_relaxed);
    highest_range.store(highest, std::memory_order_relaxed);
}

void redirect(void* context) noexcept
{
    auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    auto& program_counter = machine.gregs[REG_RIP];
#elif defined(__aarch64__)
    auto& program_counter = machine.pc;
#endif
    const auto at = static_cast<std::uintptr_t>(program_counter);
    // Relaxed, both: pairs with bound_ranges(). Most signals interrupt something else than a call of ours.
    if (at < lowest_range.load(std::memory_order_relaxed) || at >= highest_range.load(std::memory_order_relaxed))
        return;
    for (const guarded_range* each = __start_tocsin_calls; each != __stop_tocsin_calls; ++each) {
        if (at >= target(each->begin) && at < target(each->end)) {
            program_counter = static_cast<std::remove_reference_t<decltype(program_counter)>>(target(each->abort));
            return;
        }
    }
}
#endif

int gettid() noexcept { return static_cast<int>(::syscall(SYS_gettid)); }

void* map_wiped_page() noexcept
{
    const auto size = static_cast<std::size_t>(::getauxval(AT_PAGESZ));
    void* const page = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return nullptr;
    ::madvise(page, size, MADV_WIPEONFORK); // since Linux 4.14
    return page;
}

void name_this_thread(const char* name) noexcept { ::pthread_setname_np(::pthread_self(), name); }

int pending(sigset_t* out) noexcept { return result(::sigpending(out)); }

// NOLINTNEXTLINE(concurrency-mt-unsafe): it changes the calling thread's mask only
void suspend(const sigset_t* mask) noexcept { ::sigsuspend(mask); }

int raise(int sig) noexcept { return ::raise(sig) == 0 ? 0 : -errno; }

int thread_kill(pthread_t thread, int sig) noexcept { return -::pthread_kill(thread, sig); }

int kill(pid_t pid, int sig) noexcept { return result(::kill(pid, sig)); }

int queue(pid_t pid, int sig, sigval value) noexcept { return result(::sigqueue(pid, sig, value)); }

int pidfd_open(pid_t pid) noexcept { return static_cast<int>(result(::syscall(SYS_pidfd_open, pid, 0U))); }

int pidfd_send(int pidfd, int sig, const siginfo_t* info, unsigned flags) noexcept
{
    return static_cast<int>(result(::syscall(SYS_pidfd_send_signal, pidfd, sig, info, flags)));
}

unsigned alarm(unsigned count) noexcept { return ::alarm(count); }

int set_itimer(int which, const itimerval* value, itimerval* previous) noexcept
{
    return result(::setitimer(static_cast<__itimer_which_t>(which), value, previous));
}

int get_itimer(int which, itimerval* value) noexcept
{
    return result(::getitimer(static_cast<__itimer_which_t>(which), value));
}

std::int64_t monotonic_now() noexcept { return clock_now(CLOCK_MONOTONIC); }

std::int64_t clock_now(int clock) noexcept
{
    timespec now{};
    ::clock_gettime(clock, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int status_flags(int fd) noexcept { return result(::fcntl(fd, F_GETFL)); }

int close(int fd) noexcept { return result(::close(fd)); }

int event_fd() noexcept { return result(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int renew_event_fd(int fd) noexcept
{
    ::close(fd); // first, so that there is room for one
    const int fresh = event_fd();
    if (fresh < 0 || fresh == fd)
        return fresh;
    return replace(fd, fresh);
}

int replace(int fd, int fresh) noexcept
{
    if (fresh < 0)
        return fresh;
    const int got = result(::dup3(fresh, fd, O_CLOEXEC));
    ::close(fresh);
    return got;
}

int signal_fd(const sigset_t* mask) noexcept { return result(::signalfd(-1, mask, SFD_CLOEXEC | SFD_NONBLOCK)); }

int epoll_fd() noexcept { return result(::epoll_create1(EPOLL_CLOEXEC)); }

int epoll_add(int epoll, int fd, std::uint64_t number) noexcept
{
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.u64 = number;
    return result(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted));
}

int epoll_remove(int epoll, int fd) noexcept { return result(::epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr)); }

int socket_error(int fd) noexcept
{
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1 ? -errno : -error;
}

bool is_connected(int fd) noexcept
{
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

} // namespace tocsin::sys
