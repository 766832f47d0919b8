#pragma once

// What the tests of dispositions share.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

#include "support.hpp"

namespace support {

/// Both ends close-on-exec and non-blocking unless told otherwise.
class pipe_pair {
public:
    explicit pipe_pair(int flags = O_NONBLOCK)
    {
        if (::pipe2(ends_, flags | O_CLOEXEC) == -1)
            throw std::system_error(errno, std::generic_category(), "pipe2");
    }
    ~pipe_pair()
    {
        close_reader();
        close_writer();
    }
    pipe_pair(const pipe_pair&) = delete;
    pipe_pair& operator=(const pipe_pair&) = delete;

    [[nodiscard]] int reader() const { return ends_[0]; }
    [[nodiscard]] int writer() const { return ends_[1]; }
    void close_reader() { close_end(ends_[0]); }
    void close_writer() { close_end(ends_[1]); }

    /// What can be read now.
    std::string content() const
    {
        std::string all;
        std::array<char, 4096> part{};
        for (;;) {
            const ssize_t n = ::read(reader(), part.data(), part.size());
            if (n > 0)
                all.append(part.data(), static_cast<std::size_t>(n));
            else if (n == 0 || errno != EINTR)
                return all;
        }
    }
    /// Writes until nothing more fits.
    void fill() const
    {
        const std::array<char, 4096> zeroes{};
        for (std::size_t size : {zeroes.size(), std::size_t{1}}) {
            while (::write(writer(), zeroes.data(), size) > 0 || errno == EINTR) {
            }
        }
    }

private:
    static void close_end(int& fd)
    {
        if (fd != -1)
            ::close(fd);
        fd = -1;
    }
    int ends_[2]{};
};

/// Standard error goes into a pipe while it lives.
class captured_stderr {
public:
    captured_stderr()
        : before_(::dup(2))
    {
        ::dup2(pipe_.writer(), 2);
    }
    ~captured_stderr() { restore(); }
    captured_stderr(const captured_stderr&) = delete;
    captured_stderr& operator=(const captured_stderr&) = delete;

    std::string text()
    {
        restore();
        return pipe_.content();
    }

private:
    void restore()
    {
        if (before_ != -1) {
            ::dup2(before_, 2);
            ::close(before_);
        }
        before_ = -1;
    }
    pipe_pair pipe_;
    int before_;
};

/// What the kernel does with every signal, to see that nothing has changed. Without those
/// that the library may keep for itself with the first handler (nudge.hpp).
inline std::vector<std::tuple<int, const void*, int>> all_dispositions()
{
    constexpr int restorer = 0x04000000; // SA_RESTORER: the C library adds it to whatever it sets
    std::vector<std::tuple<int, const void*, int>> all;
    for (int sig = 1; sig < 65; ++sig) {
        if (sig == SIGURG || sig == SIGSTKFLT)
            continue;
        struct sigaction action = {};
        if (::sigaction(sig, nullptr, &action) == 0)
            all.emplace_back(sig, reinterpret_cast<const void*>(action.sa_handler), action.sa_flags & ~restorer);
    }
    return all;
}

inline struct sigaction action_of(int sig)
{
    struct sigaction action = {};
    EXPECT_EQ(::sigaction(sig, nullptr, &action), 0);
    return action;
}

inline pid_t wait_for(pid_t pid, int* status = nullptr)
{
    pid_t result;
    do
        result = ::waitpid(pid, status, 0);
    while (result == -1 && errno == EINTR);
    return result;
}

} // namespace support
