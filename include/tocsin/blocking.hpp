#pragma once

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <system_error>
#include <type_traits>

#include <tocsin/error.hpp>
#include <tocsin/seconds.hpp>
#include <tocsin/source_location.hpp>

/// System calls that a signal interrupts usefully. Each does what its man page says, with the same parameters, but for
/// this: when a signal interrupts it on the main thread, the handlers run; what they throw leaves from the call;
/// otherwise the call goes on, with the time that is left. It is also a safe point before it waits. EINTR is never
/// seen. A call that has moved some data returns the short count as the kernel gives it.
///
/// Context: any thread; handlers run on the main thread only, on others an interrupted call just goes on.
/// Errors: std::system_error with the errno and the name of the call; in the form that takes a std::error_code, that
/// code (and -1 where a number is returned). What handlers throw comes out of both forms.
/// Guarantee: a signal that arrives between the last look and the kernel interrupts the call; one that another thread
/// takes does too; so does one with SA_RESTART (siginterrupt(sig, false)).
namespace tocsin::blocking {

/// open(2).
TOCSIN_API int open(const char* path, int flags, mode_t mode = 0, source_location where = source_location::current());
TOCSIN_API int open(const char* path, int flags, mode_t mode, std::error_code& ec,
                    source_location where = source_location::current());
inline int open(const char* path, int flags, std::error_code& ec, source_location where = source_location::current())
{
    return open(path, flags, 0, ec, where);
}

/// read(2).
TOCSIN_API ssize_t read(int fd, void* buffer, std::size_t size, source_location where = source_location::current());
TOCSIN_API ssize_t read(int fd, void* buffer, std::size_t size, std::error_code& ec,
                        source_location where = source_location::current());

/// write(2). A short count is returned as it is.
TOCSIN_API ssize_t write(int fd, const void* buffer, std::size_t size,
                         source_location where = source_location::current());
TOCSIN_API ssize_t write(int fd, const void* buffer, std::size_t size, std::error_code& ec,
                         source_location where = source_location::current());

/// readv(2).
TOCSIN_API ssize_t readv(int fd, const iovec* parts, int count, source_location where = source_location::current());
TOCSIN_API ssize_t readv(int fd, const iovec* parts, int count, std::error_code& ec,
                         source_location where = source_location::current());

/// writev(2).
TOCSIN_API ssize_t writev(int fd, const iovec* parts, int count, source_location where = source_location::current());
TOCSIN_API ssize_t writev(int fd, const iovec* parts, int count, std::error_code& ec,
                          source_location where = source_location::current());

/// pread(2).
TOCSIN_API ssize_t pread(int fd, void* buffer, std::size_t size, off_t offset,
                         source_location where = source_location::current());
TOCSIN_API ssize_t pread(int fd, void* buffer, std::size_t size, off_t offset, std::error_code& ec,
                         source_location where = source_location::current());

/// pwrite(2).
TOCSIN_API ssize_t pwrite(int fd, const void* buffer, std::size_t size, off_t offset,
                          source_location where = source_location::current());
TOCSIN_API ssize_t pwrite(int fd, const void* buffer, std::size_t size, off_t offset, std::error_code& ec,
                          source_location where = source_location::current());

/// recv(2).
TOCSIN_API ssize_t recv(int fd, void* buffer, std::size_t size, int flags,
                        source_location where = source_location::current());
TOCSIN_API ssize_t recv(int fd, void* buffer, std::size_t size, int flags, std::error_code& ec,
                        source_location where = source_location::current());

/// send(2).
TOCSIN_API ssize_t send(int fd, const void* buffer, std::size_t size, int flags,
                        source_location where = source_location::current());
TOCSIN_API ssize_t send(int fd, const void* buffer, std::size_t size, int flags, std::error_code& ec,
                        source_location where = source_location::current());

/// recvfrom(2).
TOCSIN_API ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from, socklen_t* from_size,
                            source_location where = source_location::current());
TOCSIN_API ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from, socklen_t* from_size,
                            std::error_code& ec, source_location where = source_location::current());

/// sendto(2).
TOCSIN_API ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags, const sockaddr* to,
                          socklen_t to_size, source_location where = source_location::current());
TOCSIN_API ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags, const sockaddr* to,
                          socklen_t to_size, std::error_code& ec, source_location where = source_location::current());

/// recvmsg(2).
TOCSIN_API ssize_t recvmsg(int fd, msghdr* message, int flags, source_location where = source_location::current());
TOCSIN_API ssize_t recvmsg(int fd, msghdr* message, int flags, std::error_code& ec,
                           source_location where = source_location::current());

/// sendmsg(2).
TOCSIN_API ssize_t sendmsg(int fd, const msghdr* message, int flags,
                           source_location where = source_location::current());
TOCSIN_API ssize_t sendmsg(int fd, const msghdr* message, int flags, std::error_code& ec,
                           source_location where = source_location::current());

/// accept(2).
TOCSIN_API int accept(int fd, sockaddr* from, socklen_t* from_size, source_location where = source_location::current());
TOCSIN_API int accept(int fd, sockaddr* from, socklen_t* from_size, std::error_code& ec,
                      source_location where = source_location::current());

/// accept4(2).
TOCSIN_API int accept4(int fd, sockaddr* from, socklen_t* from_size, int flags,
                       source_location where = source_location::current());
TOCSIN_API int accept4(int fd, sockaddr* from, socklen_t* from_size, int flags, std::error_code& ec,
                       source_location where = source_location::current());

/// connect(2). An interrupted connection goes on in the background: it is waited for, never started twice.
TOCSIN_API void connect(int fd, const sockaddr* to, socklen_t to_size,
                        source_location where = source_location::current());
TOCSIN_API void connect(int fd, const sockaddr* to, socklen_t to_size, std::error_code& ec,
                        source_location where = source_location::current());

/// close(2). Never tried again: on Linux the descriptor is gone even when a signal interrupted the call, which then
/// counts as success.
TOCSIN_API void close(int fd, source_location where = source_location::current());
TOCSIN_API void close(int fd, std::error_code& ec, source_location where = source_location::current());

/// poll(2). A negative timeout waits for ever. Returns 0 when the time is over.
TOCSIN_API int poll(pollfd* fds, nfds_t count, int timeout_ms, source_location where = source_location::current());
TOCSIN_API int poll(pollfd* fds, nfds_t count, int timeout_ms, std::error_code& ec,
                    source_location where = source_location::current());

/// ppoll(2). Null timeout: for ever. Null mask: unchanged.
TOCSIN_API int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
                     source_location where = source_location::current());
TOCSIN_API int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, std::error_code& ec,
                     source_location where = source_location::current());

/// select(2). The timeout is not modified. Null: for ever.
TOCSIN_API int select(int nfds, fd_set* readable, fd_set* writable, fd_set* exceptional, const timeval* timeout,
                      source_location where = source_location::current());
TOCSIN_API int select(int nfds, fd_set* readable, fd_set* writable, fd_set* exceptional, const timeval* timeout,
                      std::error_code& ec, source_location where = source_location::current());

/// epoll_wait(2).
TOCSIN_API int epoll_wait(int epfd, epoll_event* events, int max_events, int timeout_ms,
                          source_location where = source_location::current());
TOCSIN_API int epoll_wait(int epfd, epoll_event* events, int max_events, int timeout_ms, std::error_code& ec,
                          source_location where = source_location::current());

/// waitpid(2).
TOCSIN_API pid_t waitpid(pid_t pid, int* status, int options, source_location where = source_location::current());
TOCSIN_API pid_t waitpid(pid_t pid, int* status, int options, std::error_code& ec,
                         source_location where = source_location::current());

/// waitid(2).
TOCSIN_API void waitid(idtype_t type, id_t id, siginfo_t* info, int options,
                       source_location where = source_location::current());
TOCSIN_API void waitid(idtype_t type, id_t id, siginfo_t* info, int options, std::error_code& ec,
                       source_location where = source_location::current());

/// flock(2).
TOCSIN_API void flock(int fd, int operation, source_location where = source_location::current());
TOCSIN_API void flock(int fd, int operation, std::error_code& ec, source_location where = source_location::current());

/// fcntl(2), F_SETLKW and F_OFD_SETLKW. Errors also: EINVAL for a command that is not about record locks.
TOCSIN_API void fcntl_lock(int fd, int command, struct ::flock* lock,
                           source_location where = source_location::current());
TOCSIN_API void fcntl_lock(int fd, int command, struct ::flock* lock, std::error_code& ec,
                           source_location where = source_location::current());

/// nanosleep(2). `remaining` (may be null) tells what was left if a handler throws, else zero.
TOCSIN_API void nanosleep(const timespec* request, timespec* remaining,
                          source_location where = source_location::current());
TOCSIN_API void nanosleep(const timespec* request, timespec* remaining, std::error_code& ec,
                          source_location where = source_location::current());

/// mq_receive(3).
TOCSIN_API ssize_t mq_receive(mqd_t queue, char* buffer, std::size_t size, unsigned* priority,
                              source_location where = source_location::current());
TOCSIN_API ssize_t mq_receive(mqd_t queue, char* buffer, std::size_t size, unsigned* priority, std::error_code& ec,
                              source_location where = source_location::current());

/// mq_send(3).
TOCSIN_API void mq_send(mqd_t queue, const char* message, std::size_t size, unsigned priority,
                        source_location where = source_location::current());
TOCSIN_API void mq_send(mqd_t queue, const char* message, std::size_t size, unsigned priority, std::error_code& ec,
                        source_location where = source_location::current());

/// Sleeps for at least `time`, on the monotonic clock.
/// Errors: std::invalid_argument for a negative time or NaN; std::overflow_error for a time that does not fit.
/// The clock gives a sleep no other errors, so that there is no form with a std::error_code.
TOCSIN_API void sleep_for(seconds time, source_location where = source_location::current());

/// Sleeps until the clock has reached `time`; returns at once if it has. A change of the realtime clock is followed.
TOCSIN_API void sleep_until(std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds> time,
                            source_location where = source_location::current());
TOCSIN_API void sleep_until(std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds> time,
                            source_location where = source_location::current());
template <class Clock, class Duration>
void sleep_until(std::chrono::time_point<Clock, Duration> time, source_location where = source_location::current())
{
    if constexpr (std::is_same_v<Clock, std::chrono::steady_clock> ||
                  std::is_same_v<Clock, std::chrono::system_clock>) {
        sleep_until(std::chrono::time_point<Clock, std::chrono::nanoseconds>(
                        seconds(time.time_since_epoch()).nanoseconds("sleep_until")),
                    where);
    } else {
        for (auto now = Clock::now(); now < time; now = Clock::now())
            sleep_for(time - now, where);
    }
}

/// Waits while `*word` equals `expected`, until another thread or process wakes it (FUTEX_WAKE), for at most `timeout`
/// (empty: for ever). True when woken or when the word already differed; false when the time is over. May wake without
/// cause: look at the word again. Source: futex(2), FUTEX_WAIT_BITSET on a shared futex.
TOCSIN_API bool futex_wait(const std::uint32_t* word, std::uint32_t expected, std::optional<seconds> timeout = {},
                           source_location where = source_location::current());
TOCSIN_API bool futex_wait(const std::uint32_t* word, std::uint32_t expected, std::optional<seconds> timeout,
                           std::error_code& ec, source_location where = source_location::current());

/// The number of a system call, and where call() is called.
struct syscall_number {
    template <std::integral T>
    constexpr syscall_number(T n, source_location w = source_location::current()) noexcept
        : number(static_cast<long>(n))
        , where(w)
    {}
    long number;
    source_location where;
};

namespace detail {
TOCSIN_API long call(syscall_number number, const long (&arguments)[6]);
TOCSIN_API long call(syscall_number number, const long (&arguments)[6], std::error_code& ec);

template <class T>
long argument(T value) noexcept
{
    static_assert(std::is_integral_v<T> || std::is_enum_v<T> || std::is_pointer_v<T> || std::is_null_pointer_v<T>,
                  "a system call takes integers and pointers");
    if constexpr (std::is_pointer_v<T>)
        return reinterpret_cast<long>(value);
    else if constexpr (std::is_null_pointer_v<T>)
        return 0;
    else
        return static_cast<long>(value);
}
} // namespace detail

/// Any other system call, by number, with up to six integers or pointers: call(SYS_getrandom, buffer, size, 0). Resumed
/// as it stands when interrupted, so a relative timeout among the arguments starts anew. Returns the kernel's result.
template <class... Arguments>
requires(sizeof...(Arguments) <= 6) long call(syscall_number number, Arguments... arguments)
{
    return detail::call(number, {detail::argument(arguments)...});
}
template <class... Arguments>
requires(sizeof...(Arguments) <= 6) long call(std::error_code& ec, syscall_number number, Arguments... arguments)
{
    return detail::call(number, {detail::argument(arguments)...}, ec);
}

} // namespace tocsin::blocking
