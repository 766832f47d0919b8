#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "sys/sys.hpp"

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

void resend_to_self(int sig, siginfo_t& info) noexcept
{
    if (::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::syscall(SYS_gettid), sig, &info) == -1)
        ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), sig);
}

int write_byte(int fd, unsigned char byte) noexcept
{
    while (::write(fd, &byte, 1) == -1) {
        if (errno != EINTR)
            return errno;
    }
    return 0;
}

int getpid() noexcept { return ::getpid(); }

int gettid() noexcept { return static_cast<int>(::syscall(SYS_gettid)); }

void* map_wiped_page(bool& wiped) noexcept
{
    const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const page = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return nullptr;
    wiped = ::madvise(page, size, MADV_WIPEONFORK) == 0;
    return page;
}

int set_mask(int how, const sigset_t* mask, sigset_t* previous) noexcept
{
    return -::pthread_sigmask(how, mask, previous);
}

int pending(sigset_t* out) noexcept { return result(::sigpending(out)); }

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

int timer_create(int clock, int flags) noexcept { return result(::timerfd_create(clock, flags)); }

int timer_set(int fd, int flags, const itimerspec* value, itimerspec* previous) noexcept
{
    return result(::timerfd_settime(fd, flags, value, previous));
}

int timer_get(int fd, itimerspec* value) noexcept { return result(::timerfd_gettime(fd, value)); }

std::int64_t monotonic_now() noexcept
{
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int status_flags(int fd) noexcept { return result(::fcntl(fd, F_GETFL)); }

long read(int fd, void* buffer, std::size_t size) noexcept { return result(::read(fd, buffer, size)); }

int close(int fd) noexcept { return result(::close(fd)); }

int poll_now(pollfd* fds, nfds_t count) noexcept { return result(::poll(fds, count, 0)); }

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

long enter(long number, long a, long b, long c, long d, long e, long f) noexcept
{
    return result(::syscall(number, a, b, c, d, e, f));
}

} // namespace tocsin::sys
