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
    return throwing("recv", [&](std::error_code& ec) { return recv(fd, buffer, size, flags, ec, where); });
}

ssize_t send(int fd, const void* buffer, std::size_t size, int flags, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_sendto, fd, buffer, size, flags, nullptr, 0);
}

ssize_t send(int fd, const void* buffer, std::size_t size, int flags, source_location where)
{
    return throwing("send", [&](std::error_code& ec) { return send(fd, buffer, size, flags, ec, where); });
}

ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from, socklen_t* from_size,
                 std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_recvfrom, fd, buffer, size, flags, from, from_size);
}

ssize_t recvfrom(int fd, void* buffer, std::size_t size, int flags, sockaddr* from, socklen_t* from_size,
                 source_location where)
{
    return throwing("recvfrom",
                    [&](std::error_code& ec) { return recvfrom(fd, buffer, size, flags, from, from_size, ec, where); });
}

ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags, const sockaddr* to, socklen_t to_size,
               std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_sendto, fd, buffer, size, flags, to, to_size);
}

ssize_t sendto(int fd, const void* buffer, std::size_t size, int flags, const sockaddr* to, socklen_t to_size,
               source_location where)
{
    return throwing("sendto",
                    [&](std::error_code& ec) { return sendto(fd, buffer, size, flags, to, to_size, ec, where); });
}

ssize_t recvmsg(int fd, msghdr* message, int flags, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_recvmsg, fd, message, flags);
}

ssize_t recvmsg(int fd, msghdr* message, int flags, source_location where)
{
    return throwing("recvmsg", [&](std::error_code& ec) { return recvmsg(fd, message, flags, ec, where); });
}

ssize_t sendmsg(int fd, const msghdr* message, int flags, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_sendmsg, fd, message, flags);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags, source_location where)
{
    return throwing("sendmsg", [&](std::error_code& ec) { return sendmsg(fd, message, flags, ec, where); });
}

int accept(int fd, sockaddr* from, socklen_t* from_size, std::error_code& ec, source_location where)
{
    return static_cast<int>(enter(ec, where, SYS_accept4, fd, from, from_size, 0));
}

int accept(int fd, sockaddr* from, socklen_t* from_size, source_location where)
{
    return throwing("accept", [&](std::error_code& ec) { return accept(fd, from, from_size, ec, where); });
}

int accept4(int fd, sockaddr* from, socklen_t* from_size, int flags, std::error_code& ec, source_location where)
{
    return static_cast<int>(enter(ec, where, SYS_accept4, fd, from, from_size, flags));
}

int accept4(int fd, sockaddr* from, socklen_t* from_size, int flags, source_location where)
{
    return throwing("accept4", [&](std::error_code& ec) { return accept4(fd, from, from_size, flags, ec, where); });
}

void connect(int fd, const sockaddr* to, socklen_t to_size, std::error_code& ec, source_location where)
{
    for (;;) {
        check_signals(where);
        const long result = sys::enter(SYS_connect, fd, reinterpret_cast<long>(to), to_size);
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
