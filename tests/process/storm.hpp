#pragma once

// What the tests of interruptible calls share: a timer that interrupts without end, and things to wait for.

#include <tocsin/tocsin.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "support.hpp"

namespace support {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// Far enough apart that the interrupted thread makes progress between two signals, sanitizers included.
inline constexpr std::chrono::microseconds storm_interval = sanitized ? 1000us : 150us;

/// What a handler throws to leave a call. Not a std::exception, so that nothing takes it for an error of the call.
struct stop {};

/// Interrupts the process with SIGALRM at an interval while it lives. `each` runs in the handler.
/// Fork and start threads before: the kernel restarts both when a signal is pending, and may never finish.
class storm {
public:
    explicit storm(std::function<void(const tocsin::event&)> each = {},
                   std::chrono::microseconds interval = storm_interval)
        : each_(std::move(each))
    {
        tocsin::signal(SIGALRM, [this](const tocsin::event& e) {
            ++ticks_;
            if (each_)
                each_(e);
        });
        tocsin::setitimer(tocsin::itimer::real, interval, interval);
    }
    ~storm()
    {
        each_ = nullptr; // what is pending must not throw from here
        tocsin::setitimer(tocsin::itimer::real, 0);
        tocsin::signal(SIGALRM, tocsin::ignore);
    }
    storm(const storm&) = delete;
    storm& operator=(const storm&) = delete;

    /// Handlers that ran.
    [[nodiscard]] int ticks() const noexcept { return ticks_; }

private:
    std::function<void(const tocsin::event&)> each_;
    int ticks_ = 0;
};

/// Makes `handler` due without running it: it runs at the next safe point.
inline void make_due(int sig, tocsin::handler handler)
{
    tocsin::signal(sig, std::move(handler));
    const tocsin::defer_signals later;
    tocsin::raise_signal(sig);
}

/// A descriptor that is closed at the end.
class descriptor {
public:
    descriptor() = default;
    explicit descriptor(int fd)
        : fd_(fd)
    {
        if (fd < 0)
            throw std::runtime_error("no descriptor: errno " + std::to_string(errno));
    }
    descriptor(descriptor&& other) noexcept
        : fd_(std::exchange(other.fd_, -1))
    {}
    descriptor& operator=(descriptor&& other) noexcept
    {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~descriptor() { reset(); }
    void reset()
    {
        if (fd_ >= 0)
            ::close(std::exchange(fd_, -1));
    }
    operator int() const noexcept { return fd_; } // NOLINT(google-explicit-constructor)

private:
    int fd_ = -1;
};

struct pipe_pair {
    pipe_pair()
    {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            throw std::runtime_error("pipe");
        reader = descriptor(ends[0]);
        writer = descriptor(ends[1]);
    }
    descriptor reader, writer;
};

/// write(2) of one byte, by the C library and therefore no safe point.
inline void put(int fd, char c = 'x')
{
    ssize_t done = 0;
    do
        done = ::write(fd, &c, 1);
    while (done == -1 && errno == EINTR);
    if (done != 1)
        throw std::runtime_error("put: errno " + std::to_string(errno));
}

/// read(2) of one byte, the same way.
inline char get(int fd)
{
    char c = 0;
    ssize_t done = 0;
    do
        done = ::read(fd, &c, 1);
    while (done == -1 && errno == EINTR);
    return done == 1 ? c : '\0';
}

/// A child that does `body` and exits with 0, or is killed and reaped at the end.
class child {
public:
    template <class Body>
    explicit child(Body body)
        : pid_(::fork())
    {
        if (pid_ == 0) {
            body();
            ::_exit(0);
        }
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;
    ~child()
    {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            while (::waitpid(pid_, nullptr, 0) == -1 && errno == EINTR) {
            }
        }
    }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// It has been reaped elsewhere.
    void forget() noexcept { pid_ = -1; }

private:
    pid_t pid_;
};

/// A thread that takes no signals.
template <class Body>
std::jthread quiet_thread(Body body)
{
    const tocsin::mask_guard none(tocsin::valid_signals());
    return std::jthread(std::move(body));
}

/// A directory of one test.
class scratch {
public:
    scratch()
    {
        if (::mkdtemp(name_) == nullptr)
            throw std::runtime_error("mkdtemp");
    }
    scratch(const scratch&) = delete;
    scratch& operator=(const scratch&) = delete;
    ~scratch()
    {
        ::unlink(file().c_str());
        ::rmdir(name_);
    }
    /// A name inside it, free to use.
    [[nodiscard]] std::string file() const { return std::string(name_) + "/file"; }

private:
    char name_[32] = "/tmp/tocsin_test.XXXXXX";
};

inline std::chrono::nanoseconds elapsed_since(std::chrono::steady_clock::time_point start)
{
    return std::chrono::steady_clock::now() - start;
}

/// Uses processor time until `time` of the clock has passed, with no system call that a signal could end.
inline void spin_until(std::chrono::steady_clock::time_point time)
{
    while (std::chrono::steady_clock::now() < time) {
    }
}

} // namespace support
