// What does a time limit cost? The floor does by hand, in raw system calls, what one deadline needs: a timer that interrupts
// the thread.

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include <tocsin/blocking.hpp>
#include <tocsin/deadline.hpp>

#include "pair.hpp"

namespace {

using namespace std::chrono_literals;

// As by hand: no handler is installed, for none of them ever fires.
class raw_limit {
public:
    raw_limit()
    {
        sigevent event{};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = SIGURG;
        event._sigev_un._tid = tid_;
        bench::require(::syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer_));
        timespec end{};
        ::clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += 100;
        const itimerspec value{{0, 0}, end};
        ::syscall(SYS_timer_settime, timer_, TIMER_ABSTIME, &value, nullptr);
    }
    ~raw_limit() { ::syscall(SYS_timer_delete, timer_); }
    raw_limit(const raw_limit&) = delete;
    raw_limit& operator=(const raw_limit&) = delete;

private:
    static inline const int tid_ = static_cast<int>(::syscall(SYS_gettid));
    int timer_ = 0;
};

template <class Action>
void repeat(benchmark::State& state, Action action)
{
    for (auto _ : state)
        action();
}

int zeroes()
{
    static const int fd = bench::require(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    return fd;
}

void floor_read(char* to) { benchmark::DoNotOptimize(::read(zeroes(), to, 1)); }
void our_read(char* to) { benchmark::DoNotOptimize(tocsin::blocking::read(zeroes(), to, 1)); }

const bool registered[] = {
    bench::pair(
        "deadline/scope", [](benchmark::State& state) { repeat(state, [] { const raw_limit limit; }); },
        [](benchmark::State& state) { repeat(state, [] { const tocsin::deadline limit(100s); }); }),
    // Against a look at the clock: it needs no system call.
    bench::pair(
        "deadline/scope inside another, ends later",
        [](benchmark::State& state) {
            repeat(state, [] {
                timespec now{};
                benchmark::DoNotOptimize(::clock_gettime(CLOCK_MONOTONIC, &now));
            });
        },
        [](benchmark::State& state) {
            const tocsin::deadline outer(50s);
            repeat(state, [] { const tocsin::deadline limit(100s); });
        }),
    bench::pair(
        "deadline/scope and read 1 byte",
        [](benchmark::State& state) {
            repeat(state, [byte = char()]() mutable {
                const raw_limit limit;
                floor_read(&byte);
            });
        },
        [](benchmark::State& state) {
            repeat(state, [byte = char()]() mutable {
                const tocsin::deadline limit(100s);
                our_read(&byte);
            });
        }),
    bench::pair(
        "deadline/read 1 byte inside",
        [](benchmark::State& state) {
            const raw_limit limit;
            repeat(state, [byte = char()]() mutable { floor_read(&byte); });
        },
        [](benchmark::State& state) {
            const tocsin::deadline limit(100s);
            repeat(state, [byte = char()]() mutable { our_read(&byte); });
        }),
};

} // namespace
