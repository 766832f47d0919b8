#pragma once

// The operating system, behind one seam: the only place that names a system call. A port provides these functions
// again; a test replaces them. All are thin: they return a result or a negated errno and leave errno alone otherwise.

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/types.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>

#include "sys/syscall.hpp"

namespace tocsin::sys {

// Async-signal-safe: the trip routine uses these.
int set_action(int sig, const struct sigaction* action, struct sigaction* previous) noexcept;
void set_default_action(int sig) noexcept;
/// Sends `sig` to the calling thread with the information given; without it where the kernel's queue is full.
void resend_to_self(int sig, siginfo_t& info) noexcept;
/// The same to this process: the calling thread takes it before this returns unless it blocks the signal.
void resend_to_process(int sig, siginfo_t& info) noexcept;
/// Writes one byte, again if interrupted; raises no SIGPIPE where that signal is blocked. Returns 0 or the errno, positive.
int write_byte(int fd, unsigned char byte) noexcept;
/// Makes an eventfd readable.
void signal_event(int fd) noexcept;
int getpid() noexcept;
/// Sends `sig` to one thread of this process.
void nudge(int tid, int sig) noexcept;
/// If the interrupted thread (`context` as a signal handler gets it) is about to enter the kernel in guarded_syscall(), for
/// the first time or again: has it go on at the abort label, which returns -EINTR.
void redirect(void* context) noexcept;
/// What redirect() needs: the thread whose calls it interrupts and the signal for nudging (0: none). Again when one of them
/// has changed. In ordinary code on that thread. A negated errno if redirect() has no effect: -EBUSY for lack of a signal.
/// bound_ranges(): makes redirect() quick where no call of ours was interrupted. At any time.
/// nudge_flags: a nudge itself interrupts a system call, or only lets redirect() look.
#if TOCSIN_REPEATED_CALLS
int prepare_redirect(int tid, int sig) noexcept;
inline void bound_ranges() noexcept {}
inline constexpr int nudge_flags = 0;
#else
inline int prepare_redirect(int /*tid*/, int /*sig*/) noexcept { return 0; }
void bound_ranges() noexcept;
inline constexpr int nudge_flags = SA_RESTART;
#endif
/// Tells the calling thread from others, in one instruction.
inline std::uintptr_t this_thread() noexcept { return reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer()); }

// Process and thread.
int gettid() noexcept;
/// A page of zeroes that a forked child sees as zeroes again, or an ordinary one where the kernel cannot do that; null
/// if there is no memory.
void* map_wiped_page() noexcept;
/// As debuggers and ps show the calling thread: at most 15 characters.
void name_this_thread(const char* name) noexcept;
/// waitid(2) as the kernel has it, with the child's resource usage.
inline int wait_child(int kind, int id, siginfo_t* info, int options, rusage* usage) noexcept
{
    return static_cast<int>(
        raw_syscall(SYS_waitid, kind, id, reinterpret_cast<long>(info), options, reinterpret_cast<long>(usage)));
}

// Signals.
inline int set_mask(int how, const sigset_t* mask, sigset_t* previous) noexcept
{
    return static_cast<int>(
        raw_syscall(SYS_rt_sigprocmask, how, reinterpret_cast<long>(mask), reinterpret_cast<long>(previous), 8));
}
int pending(sigset_t* out) noexcept;
/// Waits with `mask` in force until a handler has run.
void suspend(const sigset_t* mask) noexcept;
int raise(int sig) noexcept;
int thread_kill(pthread_t thread, int sig) noexcept;
int kill(pid_t pid, int sig) noexcept;
int queue(pid_t pid, int sig, sigval value) noexcept;
int pidfd_open(pid_t pid) noexcept;
int pidfd_send(int pidfd, int sig, const siginfo_t* info, unsigned flags) noexcept;

// Timers.
unsigned alarm(unsigned count) noexcept;
int set_itimer(int which, const itimerval* value, itimerval* previous) noexcept;
int get_itimer(int which, itimerval* value) noexcept;
inline int timer_create(int clock, int flags) noexcept
{
    return static_cast<int>(raw_syscall(SYS_timerfd_create, clock, flags));
}
inline int timer_set(int fd, int flags, const itimerspec* value, itimerspec* previous) noexcept
{
    return static_cast<int>(
        raw_syscall(SYS_timerfd_settime, fd, flags, reinterpret_cast<long>(value), reinterpret_cast<long>(previous)));
}
inline int timer_get(int fd, itimerspec* value) noexcept
{
    return static_cast<int>(raw_syscall(SYS_timerfd_gettime, fd, reinterpret_cast<long>(value)));
}
/// Nanoseconds of CLOCK_MONOTONIC, or of another clock.
std::int64_t monotonic_now() noexcept;
std::int64_t clock_now(int clock) noexcept;

// Descriptors.
/// The file status flags (O_NONBLOCK ...).
int status_flags(int fd) noexcept;
inline long read(int fd, void* buffer, std::size_t size) noexcept
{
    return raw_syscall(SYS_read, fd, reinterpret_cast<long>(buffer), static_cast<long>(size));
}
int close(int fd) noexcept;
/// A new eventfd, non-blocking, closed at exec.
int event_fd() noexcept;
/// Puts a new one in the place of an old one, which a parent shares. Negative: there is none any more.
int renew_event_fd(int fd) noexcept;
/// Puts the new descriptor `fresh` in the place of an old one. Negative: that is still there; so is the error of `fresh`,
/// if that is what it is.
int replace(int fd, int fresh) noexcept;
/// A new signalfd for `mask`, non-blocking, closed at exec.
int signal_fd(const sigset_t* mask) noexcept;
/// A new epoll descriptor, closed at exec; readable descriptors in it, each known by a number; what is readable now.
int epoll_fd() noexcept;
int epoll_add(int epoll, int fd, std::uint64_t number) noexcept;
int epoll_remove(int epoll, int fd) noexcept;
inline int epoll_now(int epoll, epoll_event* found, int most) noexcept
{
    return static_cast<int>(raw_syscall(SYS_epoll_pwait, epoll, reinterpret_cast<long>(found), most, 0, 0, 8));
}
inline int poll_now(pollfd* fds, nfds_t count) noexcept
{
#if defined(SYS_poll)
    return static_cast<int>(raw_syscall(SYS_poll, reinterpret_cast<long>(fds), static_cast<long>(count), 0));
#else
    timespec none{};
    return static_cast<int>(
        raw_syscall(SYS_ppoll, reinterpret_cast<long>(fds), static_cast<long>(count), reinterpret_cast<long>(&none)));
#endif
}
int socket_error(int fd) noexcept;
bool is_connected(int fd) noexcept;

} // namespace tocsin::sys
