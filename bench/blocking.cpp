// What does an interruptible call add to the system call it makes? Descriptors are always ready: nothing waits.

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tocsin/blocking.hpp>

#include "pair.hpp"

namespace {

class descriptor {
public:
    explicit descriptor(int fd)
        : fd_(bench::require(fd))
    {}
    ~descriptor() { ::close(fd_); }
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    operator int() const { return fd_; } // NOLINT(google-explicit-constructor)

private:
    int fd_;
};

template <class Call>
void with_zeroes(benchmark::State& state, Call call)
{
    const descriptor zeroes(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    char byte = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(call(int{zeroes}, &byte));
}

template <class Call>
void with_ready(benchmark::State& state, Call call)
{
    const descriptor ready(::eventfd(1, EFD_CLOEXEC));
    for (auto _ : state) {
        pollfd one{ready, POLLIN, 0};
        benchmark::DoNotOptimize(call(&one));
    }
}

template <class Call>
void with_epoll(benchmark::State& state, Call call)
{
    const descriptor ready(::eventfd(1, EFD_CLOEXEC));
    const descriptor set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{};
    event.events = EPOLLIN;
    bench::require(::epoll_ctl(set, EPOLL_CTL_ADD, ready, &event));
    for (auto _ : state)
        benchmark::DoNotOptimize(call(int{set}, &event));
}

template <class Call>
void with_select(benchmark::State& state, Call call)
{
    const descriptor ready(::eventfd(1, EFD_CLOEXEC));
    for (auto _ : state) {
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(int{ready}, &readable);
        timeval now{};
        benchmark::DoNotOptimize(call(ready + 1, &readable, &now));
    }
}

template <class Call>
void plain(benchmark::State& state, Call call)
{
    for (auto _ : state)
        benchmark::DoNotOptimize(call());
}

const bool registered[] = {
    bench::pair(
        "blocking/read 1 byte",
        [](benchmark::State& state) { with_zeroes(state, [](int fd, char* to) { return ::read(fd, to, 1); }); },
        [](benchmark::State& state) {
            with_zeroes(state, [](int fd, char* to) { return tocsin::blocking::read(fd, to, 1); });
        }),
    bench::pair(
        "blocking/read 1 byte, error_code",
        [](benchmark::State& state) { with_zeroes(state, [](int fd, char* to) { return ::read(fd, to, 1); }); },
        [](benchmark::State& state) {
            with_zeroes(state, [ec = std::error_code()](int fd, char* to) mutable {
                return tocsin::blocking::read(fd, to, 1, ec);
            });
        }),
    // The cheapest system call there is: the worst case for the ratio.
    bench::pair(
        "blocking/call getppid", [](benchmark::State& state) { plain(state, [] { return ::syscall(SYS_getppid); }); },
        [](benchmark::State& state) { plain(state, [] { return tocsin::blocking::call(SYS_getppid); }); }),
    bench::pair(
        "blocking/poll, no time",
        [](benchmark::State& state) { with_ready(state, [](pollfd* fd) { return ::poll(fd, 1, 0); }); },
        [](benchmark::State& state) {
            with_ready(state, [](pollfd* fd) { return tocsin::blocking::poll(fd, 1, 0); });
        }),
    bench::pair(
        "blocking/poll, 1 s",
        [](benchmark::State& state) { with_ready(state, [](pollfd* fd) { return ::poll(fd, 1, 1000); }); },
        [](benchmark::State& state) {
            with_ready(state, [](pollfd* fd) { return tocsin::blocking::poll(fd, 1, 1000); });
        }),
    bench::pair(
        "blocking/poll, for ever",
        [](benchmark::State& state) { with_ready(state, [](pollfd* fd) { return ::poll(fd, 1, -1); }); },
        [](benchmark::State& state) {
            with_ready(state, [](pollfd* fd) { return tocsin::blocking::poll(fd, 1, -1); });
        }),
    bench::pair(
        "blocking/select, no time",
        [](benchmark::State& state) {
            with_select(state, [](int n, fd_set* in, timeval* t) { return ::select(n, in, nullptr, nullptr, t); });
        },
        [](benchmark::State& state) {
            with_select(state, [](int n, fd_set* in, timeval* t) {
                return tocsin::blocking::select(n, in, nullptr, nullptr, t);
            });
        }),
    bench::pair(
        "blocking/epoll_wait, no time",
        [](benchmark::State& state) {
            with_epoll(state, [](int fd, epoll_event* to) { return ::epoll_wait(fd, to, 1, 0); });
        },
        [](benchmark::State& state) {
            with_epoll(state, [](int fd, epoll_event* to) { return tocsin::blocking::epoll_wait(fd, to, 1, 0); });
        }),
};

} // namespace
