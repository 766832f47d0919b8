#pragma once

// What several examples share: an owned descriptor, and errors of plain system calls as exceptions.

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

namespace example {

/// The result of a system call that reports errors as -1: throws std::system_error instead.
inline int check(int result, const char* call)
{
    if (result == -1)
        throw std::system_error(errno, std::generic_category(), call);
    return result;
}

/// Owns a descriptor: closed on every way out of the scope, exceptions thrown by signal handlers included.
class descriptor {
public:
    explicit descriptor(int fd) noexcept
        : fd_(fd)
    {}
    descriptor(descriptor&& other) noexcept
        : fd_(std::exchange(other.fd_, -1))
    {}
    descriptor& operator=(descriptor&& other) noexcept
    {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~descriptor()
    {
        if (fd_ != -1)
            ::close(fd_);
    }

    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_;
};

/// A whole number from `lowest` to `highest` that is the whole of `text`; empty for anything else.
template <class Integer>
[[nodiscard]] std::optional<Integer> parse_number(const char* text, Integer lowest, Integer highest)
{
    Integer number{};
    const char* const end = text + std::strlen(text);
    const auto [stopped, error] = std::from_chars(text, end, number);
    if (error != std::errc{} || stopped != end || number < lowest || number > highest)
        return std::nullopt;
    return number;
}

} // namespace example
