// What does the timer descriptor's interface add to the system calls?

#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <ctime>

#include <tocsin/timer_fd.hpp>

#include "pair.hpp"

namespace {

using namespace std::chrono_literals;

constexpr itimerspec far{{1, 0}, {1000, 500'000'000}};
constexpr itimerspec past{{0, 0}, {0, 1}}; // absolute

template <class Call>
void with_timer(benchmark::State& state, int flags, Call call)
{
    tocsin::timer_fd timer(CLOCK_MONOTONIC, flags);
    timer.settime_ns(1000s);
    for (auto _ : state)
        benchmark::DoNotOptimize(call(timer));
}

std::uint64_t read_raw(int fd)
{
    std::uint64_t count = 0;
    return ::read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

const bool registered[] = {
    bench::pair(
        "timer_fd/settime, seconds",
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) {
                itimerspec old;
                ::timerfd_settime(timer.native_handle(), 0, &far, &old);
                return old.it_value.tv_sec;
            });
        },
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) { return timer.settime(1000.5, 1); });
        }),
    bench::pair(
        "timer_fd/settime_ns",
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) {
                itimerspec old;
                ::timerfd_settime(timer.native_handle(), 0, &far, &old);
                return old.it_value.tv_sec;
            });
        },
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) { return timer.settime_ns(1000500ms, 1s); });
        }),
    bench::pair(
        "timer_fd/gettime, seconds",
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) {
                itimerspec now;
                ::timerfd_gettime(timer.native_handle(), &now);
                return now.it_value.tv_sec;
            });
        },
        [](benchmark::State& state) { with_timer(state, 0, [](tocsin::timer_fd& timer) { return timer.gettime(); }); }),
    bench::pair(
        "timer_fd/gettime_ns",
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) {
                itimerspec now;
                ::timerfd_gettime(timer.native_handle(), &now);
                return now.it_value.tv_sec;
            });
        },
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) { return timer.gettime_ns(); });
        }),
    bench::pair(
        "timer_fd/expire and read",
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) {
                ::timerfd_settime(timer.native_handle(), TFD_TIMER_ABSTIME, &past, nullptr);
                return read_raw(timer.native_handle());
            });
        },
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) {
                ::timerfd_settime(timer.native_handle(), TFD_TIMER_ABSTIME, &past, nullptr);
                return timer.read();
            });
        }),
    bench::pair(
        "timer_fd/try_read, none",
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) {
                pollfd one{timer.native_handle(), POLLIN, 0};
                return ::poll(&one, 1, 0) == 1 ? read_raw(timer.native_handle()) : 0;
            });
        },
        [](benchmark::State& state) {
            with_timer(state, 0, [](tocsin::timer_fd& timer) { return timer.try_read(); });
        }),
    bench::pair(
        "timer_fd/try_read, none, nonblock",
        [](benchmark::State& state) {
            with_timer(state, TFD_NONBLOCK, [](tocsin::timer_fd& timer) { return read_raw(timer.native_handle()); });
        },
        [](benchmark::State& state) {
            with_timer(state, TFD_NONBLOCK, [](tocsin::timer_fd& timer) { return timer.try_read(); });
        }),
    bench::pair(
        "timer_fd/expire and try_read, nonblock",
        [](benchmark::State& state) {
            with_timer(state, TFD_NONBLOCK, [](tocsin::timer_fd& timer) {
                ::timerfd_settime(timer.native_handle(), TFD_TIMER_ABSTIME, &past, nullptr);
                return read_raw(timer.native_handle());
            });
        },
        [](benchmark::State& state) {
            with_timer(state, TFD_NONBLOCK, [](tocsin::timer_fd& timer) {
                ::timerfd_settime(timer.native_handle(), TFD_TIMER_ABSTIME, &past, nullptr);
                return timer.try_read();
            });
        }),
    bench::pair(
        "timer_fd/create and close",
        [](benchmark::State& state) {
            for (auto _ : state)
                ::close(bench::require(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)));
        },
        [](benchmark::State& state) {
            for (auto _ : state)
                tocsin::timer_fd(CLOCK_MONOTONIC).close();
        }),
};

} // namespace
