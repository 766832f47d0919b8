#pragma once

// The operating system, behind one seam: the only place that names a system call. A port provides these functions
// again; a test replaces them. All are thin: they return a result or a negated errno and leave errno alone otherwise.

#include <poll.h>
#include <pthread.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/types.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>

namespace tocsin::sys {

// Async-signal-safe: the trip routine uses these.
int set_action(int sig, const struct sigaction* action, struct sigaction* previous) noexcept;
/// Sends `sig` to the calling thread with the information given; without it where the kernel's queue is full.
void resend_to_self(int sig, siginfo_t& info) noexcept;
/// Writes one byte, again if interrupted. Returns 0 or the errno, positive.
int write_byte(int fd, unsigned char byte) noexcept;
int getpid() noexcept;

// Process and thread.
int gettid() noexcept;
/// A page of zeroes that a forked child sees as zeroes again; null if the kernel offers none. `wiped` tells whether it
/// does wipe (else the page is an ordinary one).
void* map_wiped_page(bool& wiped) noexcept;

// Signals.
int set_mask(int how, const sigset_t* mask, sigset_t* previous) noexcept;
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
int timer_create(int clock, int flags) noexcept;
int timer_set(int fd, int flags, const itimerspec* value, itimerspec* previous) noexcept;
int timer_get(int fd, itimerspec* value) noexcept;
/// Nanoseconds of CLOCK_MONOTONIC.
std::int64_t monotonic_now() noexcept;

// Descriptors.
/// The file status flags (O_NONBLOCK ...).
int status_flags(int fd) noexcept;
long read(int fd, void* buffer, std::size_t size) noexcept;
int close(int fd) noexcept;
int poll_now(pollfd* fds, nfds_t count) noexcept;
int socket_error(int fd) noexcept;
bool is_connected(int fd) noexcept;

/// Any system call that may block, entered once: -EINTR when a signal interrupted it. All interruptible calls pass
/// here.
long enter(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) noexcept;

} // namespace tocsin::sys
