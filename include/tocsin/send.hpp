#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <csignal>
#include <thread>

#include <tocsin/error.hpp>
#include <tocsin/siginfo.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

// Errors of all of these: std::out_of_range for a number outside 1 to nsig - 1 (0, "check only", is accepted where the
// parameter is an int); std::system_error with EINVAL for the numbers the C library reserves (32, 33).

/// Sends `sig` to the calling thread. On the main thread its handler has run when the call returns, unless the thread
/// blocks the signal or handlers are deferred.
/// Errors also: what the handler throws. Source: raise(3).
TOCSIN_API void raise_signal(signum sig, source_location where = source_location::current());

/// Sends `sig` to a thread of this process; 0 only checks that the thread exists. On the main thread pending handlers
/// then run.
/// Errors also: std::system_error with ESRCH for a thread that is known to be gone (id 0, a std::thread that is not
/// joinable). The id of a thread that was joined or has ended while detached is invalid, as for pthread_kill(3).
TOCSIN_API void pthread_kill(std::thread::native_handle_type thread, int sig,
                             source_location where = source_location::current());
TOCSIN_API void pthread_kill(std::thread& thread, int sig, source_location where = source_location::current());
TOCSIN_API void pthread_kill(std::jthread& thread, int sig, source_location where = source_location::current());

/// Sends `sig` to process `pid` with a value the receiver finds in siginfo::value().
/// Errors also: std::system_error with ESRCH, EPERM, EAGAIN (the receiver's queue is full). Source: sigqueue(3).
TOCSIN_API void sigqueue(pid_t pid, signum sig, sigval value);

/// Sends `sig` to the process that `pidfd` stands for; 0 only checks. `info` says what the receiver sees (its code must
/// be negative, as siginfo::queued() makes it, unless the receiver is this process); by default the same as kill(2).
/// Errors also: std::system_error with EBADF, EINVAL, EPERM, ESRCH, ENOSYS. Source: pidfd_send_signal(2).
TOCSIN_API void pidfd_send_signal(int pidfd, int sig, const siginfo* info = nullptr, unsigned flags = 0);

/// Owns a process descriptor, which stands for one process and is never reused for another. Readable when it has ended.
class TOCSIN_API pidfd {
public:
    pidfd() noexcept = default;
    /// Takes over an open process descriptor.
    explicit pidfd(int fd) noexcept
        : fd_(fd)
    {}
    pidfd(pidfd&& other) noexcept
        : fd_(other.release())
    {}
    pidfd& operator=(pidfd&& other) noexcept;
    ~pidfd() { close(); }

    /// -1 when empty.
    [[nodiscard]] int native_handle() const noexcept { return fd_; }
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ != -1; }
    /// Closes the descriptor; nothing happens when empty.
    void close() noexcept;
    /// Gives the descriptor to the caller.
    int release() noexcept;
    /// pidfd_send_signal() on it.
    void send(int sig) const { pidfd_send_signal(fd_, sig); }

private:
    int fd_ = -1;
};

/// Errors: std::system_error with ESRCH, EINVAL (pid below 1), EMFILE, ENOSYS. Source: pidfd_open(2).
[[nodiscard]] TOCSIN_API pidfd pidfd_open(pid_t pid);

} // namespace tocsin
