// Files, descriptors, locks, message queues.

#include <tocsin/blocking.hpp>

#include <sys/syscall.h>

#include <cerrno>
#include <string>

#include "blocking.hpp"

namespace tocsin::blocking {

using namespace tocsin::detail;

int open(const char* path, int flags, mode_t mode, std::error_code& ec, source_location where)
{
    return static_cast<int>(enter(ec, where, SYS_openat, AT_FDCWD, path, flags, mode));
}

int open(const char* path, int flags, mode_t mode, source_location where)
{
    return static_cast<int>(enter("open", where, SYS_openat, AT_FDCWD, path, flags, mode));
}

ssize_t read(int fd, void* buffer, std::size_t size, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_read, fd, buffer, size);
}

ssize_t read(int fd, void* buffer, std::size_t size, source_location where)
{
    return enter("read", where, SYS_read, fd, buffer, size);
}

ssize_t write(int fd, const void* buffer, std::size_t size, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_write, fd, buffer, size);
}

ssize_t write(int fd, const void* buffer, std::size_t size, source_location where)
{
    return enter("write", where, SYS_write, fd, buffer, size);
}

ssize_t readv(int fd, const iovec* parts, int count, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_readv, fd, parts, count);
}

ssize_t readv(int fd, const iovec* parts, int count, source_location where)
{
    return enter("readv", where, SYS_readv, fd, parts, count);
}

ssize_t writev(int fd, const iovec* parts, int count, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_writev, fd, parts, count);
}

ssize_t writev(int fd, const iovec* parts, int count, source_location where)
{
    return enter("writev", where, SYS_writev, fd, parts, count);
}

ssize_t pread(int fd, void* buffer, std::size_t size, off_t offset, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_pread64, fd, buffer, size, offset);
}

ssize_t pread(int fd, void* buffer, std::size_t size, off_t offset, source_location where)
{
    return enter("pread", where, SYS_pread64, fd, buffer, size, offset);
}

ssize_t pwrite(int fd, const void* buffer, std::size_t size, off_t offset, std::error_code& ec, source_location where)
{
    return enter(ec, where, SYS_pwrite64, fd, buffer, size, offset);
}

ssize_t pwrite(int fd, const void* buffer, std::size_t size, off_t offset, source_location where)
{
    return enter("pwrite", where, SYS_pwrite64, fd, buffer, size, offset);
}

void close(int fd, std::error_code& ec, source_location where)
{
    // The close comes first, so that a handler that throws leaves no open descriptor behind.
    int error = -sys::close(fd);
    if (error == EINTR)
        error = 0;
    ec.assign(error, std::generic_category());
    safe_point(where);
}

void close(int fd, source_location where)
{
    return throwing("close", [&](std::error_code& ec) { return close(fd, ec, where); });
}

void flock(int fd, int operation, std::error_code& ec, source_location where)
{
    enter(ec, where, SYS_flock, fd, operation);
}

void flock(int fd, int operation, source_location where) { enter("flock", where, SYS_flock, fd, operation); }

void fcntl_lock(int fd, int command, struct ::flock* lock, std::error_code& ec, source_location where)
{
    switch (command) {
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        enter(ec, where, SYS_fcntl, fd, command, lock);
        break;
    default:
        ec.assign(EINVAL, std::generic_category());
    }
}

void fcntl_lock(int fd, int command, struct ::flock* lock, source_location where)
{
    return throwing("fcntl_lock", [&](std::error_code& ec) { return fcntl_lock(fd, command, lock, ec, where); });
}

ssize_t mq_receive(mqd_t queue, char* buffer, std::size_t size, unsigned* priority, std::error_code& ec,
                   source_location where)
{
    return enter(ec, where, SYS_mq_timedreceive, queue, buffer, size, priority, nullptr);
}

ssize_t mq_receive(mqd_t queue, char* buffer, std::size_t size, unsigned* priority, source_location where)
{
    return enter("mq_receive", where, SYS_mq_timedreceive, queue, buffer, size, priority, nullptr);
}

void mq_send(mqd_t queue, const char* message, std::size_t size, unsigned priority, std::error_code& ec,
             source_location where)
{
    enter(ec, where, SYS_mq_timedsend, queue, message, size, priority, nullptr);
}

void mq_send(mqd_t queue, const char* message, std::size_t size, unsigned priority, source_location where)
{
    enter("mq_send", where, SYS_mq_timedsend, queue, message, size, priority, nullptr);
}

long detail::call(syscall_number number, const long (&a)[6], std::error_code& ec)
{
    return enter(ec, number.where, number.number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

long detail::call(syscall_number number, const long (&a)[6])
{
    const long result = tocsin::detail::interruptible(
        number.where, [&] { return kernel_call(number.number, a[0], a[1], a[2], a[3], a[4], a[5]); });
    if (result < 0) [[unlikely]]
        fail(static_cast<int>(-result), "call: system call " + std::to_string(number.number));
    return result;
}

} // namespace tocsin::blocking
