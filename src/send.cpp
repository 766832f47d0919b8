#include <tocsin/send.hpp>

#include <cerrno>
#include <string>

#include <tocsin/safe_point.hpp>

#include "fail.hpp"
#include "safe_point.hpp"
#include "sys/sys.hpp"

namespace tocsin {

void raise_signal(signum sig, source_location where)
{
    detail::require_sendable(sig, "raise_signal", false);
    if (const int error = -sys::raise(sig); error != 0)
        detail::fail(error, "raise_signal: " + sig.name());
    detail::run_raised(sig, where);
}

void pthread_kill(std::thread::native_handle_type thread, int sig, source_location where)
{
    detail::require_sendable(sig, "pthread_kill", true);
    if (thread == 0)
        detail::fail(ESRCH, "pthread_kill: 0 is not a thread");
    if (const int error = -sys::thread_kill(thread, sig); error != 0)
        detail::fail(error, "pthread_kill: signal " + std::to_string(sig));
    check_signals(where);
}

void pthread_kill(std::thread& thread, int sig, source_location where)
{
    pthread_kill(thread.native_handle(), sig, where);
}

void pthread_kill(std::jthread& thread, int sig, source_location where)
{
    pthread_kill(thread.native_handle(), sig, where);
}

void sigqueue(pid_t pid, signum sig, sigval value)
{
    detail::require_sendable(sig, "sigqueue", false);
    if (const int error = -sys::queue(pid, sig, value); error != 0)
        detail::fail(error, "sigqueue: " + sig.name() + " to process " + std::to_string(pid));
}

void pidfd_send_signal(int pidfd, int sig, const siginfo* info, unsigned flags)
{
    detail::require_sendable(sig, "pidfd_send_signal", true);
    if (const int error = -sys::pidfd_send(pidfd, sig, info == nullptr ? nullptr : &info->native(), flags); error != 0)
        detail::fail(error, "pidfd_send_signal: signal " + std::to_string(sig) + " to descriptor " +
                                std::to_string(pidfd) + (flags != 0 ? ", flags " + std::to_string(flags) : ""));
}

pidfd pidfd_open(pid_t pid)
{
    const int fd = sys::pidfd_open(pid);
    if (fd < 0)
        detail::fail(-fd, "pidfd_open: process " + std::to_string(pid));
    return pidfd(fd);
}

pidfd& pidfd::operator=(pidfd&& other) noexcept
{
    if (this != &other) {
        close();
        fd_ = other.release();
    }
    return *this;
}

void pidfd::close() noexcept
{
    if (fd_ != -1)
        sys::close(release());
}

int pidfd::release() noexcept
{
    const int fd = fd_;
    fd_ = -1;
    return fd;
}

} // namespace tocsin
