// Sockets.

#include <tocsin/blocking.hpp>

#include <sys/syscall.h>

#include <cerrno>

#include "blocking.hpp"

namespace tocsin::blocking {

using namespace tocsin::detail;

ssize_t recv(int fd, void* buffer, std::size_t size, int flags, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_recvfrom, fd, buffer, size, flags, nullptr, nullptr);
}

ssize_t recv(int fd, void* buffer, std::size_t size, int flags, source_location where)
{
    return enter("recv", where, SYS_recvfrom, fd, buffer, size, flags, nullptr, nullptr);
}

ssize_t send(int fd, const void* buffer, std::size_t size, int flags, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_sendto, fd, buffer, size, flags, nullptr, 0);
}

ssize_t send(int fd, const void* buffer, std::size_t size, int flags, source_location where)
{
    return enter("send", where, SYS_sendto, fd, buffer, size, flags, nullptr, 0);
}

ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from, socklen_t* from_size,
                 std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_recvfrom, fd, buffer, size, flags, from, from_size);
}

ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from, socklen_t* from_size,
                 source_location where)
{
    return enter("recvfrom", where, SYS_recvfrom, fd, buffer, size, flags, from, from_size);
}

ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags, const sockaddr* to, socklen_t to_size,
               std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_sendto, fd, buffer, size, flags, to, to_size);
}

ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags, const sockaddr* to, socklen_t to_size,
               source_location where)
{
    return enter("sendto", where, SYS_sendto, fd, buffer, size, flags, to, to_size);
}

ssize_t recvmsg(int fd, msghdr* message, int flags, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_recvmsg, fd, message, flags);
}

ssize_t recvmsg(int fd, msghdr* message, int flags, source_location where)
{
    return enter("recvmsg", where, SYS_recvmsg, fd, message, flags);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_sendmsg, fd, message, flags);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags, source_location where)
{
    return enter("sendmsg", where, SYS_sendmsg, fd, message, flags);
}

int accept(int fd, sockaddr* from, socklen_t* from_size, std::error_code& ec, source_location where)
{
    return static_cast<int>(enter(ec, where, SYS_accept4, fd, from, from_size, 0));
}

int accept(int fd, sockaddr* from, socklen_t* from_size, source_location where)
{
    return static_cast<int>(enter("accept", where, SYS_accept4, fd, from, from_size, 0));
}

int accept4(int fd, sockaddr* from, socklen_t* from_size, int flags, std::error_code& ec, source_location where)
{
    return static_cast<int>(enter(ec, where, SYS_accept4, fd, from, from_size, flags));
}

int accept4(int fd, sockaddr* from, socklen_t* from_size, int flags, source_location where)
{
    return static_cast<int>(enter("accept4", where, SYS_accept4, fd, from, from_size, flags));
}

void connect(int fd, const sockaddr* to, socklen_t to_size, std::error_code& ec, source_location where)
{
    for (;;) {
        safe_point(where);
        const long result = kernel_call(SYS_connect, fd, reinterpret_cast<long>(to), to_size);
        // Not begun, or the kernel was about to go on with it: called again it waits for the same attempt.
        if (result == -ERESTART)
            continue;
        if (result != -EINTR) {
            to_result(ec, result);
            return;
        }
        // The attempt goes on without us: wait for its end and ask how it ended.
        pollfd end{fd, POLLOUT, 0};
        if (poll(&end, 1, -1, ec, where); ec)
            return;
        if (const int error = -sys::socket_error(fd); error != 0) {
            ec.assign(error, std::generic_category());
            return;
        }
        if (sys::is_connected(fd))
            return;
        // A local socket gave up its place in the listener's queue instead: nothing is under way, so it is begun anew.
    }
}

void connect(int fd, const sockaddr* to, socklen_t to_size, source_location where)
{
    return throwing("connect", [&](std::error_code& ec) { return connect(fd, to, to_size, ec, where); });
}

} // namespace tocsin::blocking
