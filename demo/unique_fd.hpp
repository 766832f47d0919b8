#pragma once

#include <cerrno>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace demo {

/// Owns a descriptor.
class unique_fd {
public:
    unique_fd() noexcept = default;
    explicit unique_fd(int fd) noexcept
        : fd_(fd)
    {}
    unique_fd(unique_fd&& other) noexcept
        : fd_(std::exchange(other.fd_, -1))
    {}
    unique_fd& operator=(unique_fd&& other) noexcept
    {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~unique_fd() { reset(); }

    void reset() noexcept
    {
        if (fd_ != -1)
            ::close(std::exchange(fd_, -1));
    }
    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ != -1; }

private:
    int fd_ = -1;
};

/// The result of a system call, or std::system_error with its errno.
inline int checked(int result, const char* call)
{
    if (result == -1)
        throw std::system_error(errno, std::generic_category(), call);
    return result;
}

} // namespace demo
