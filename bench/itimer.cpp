// What do setitimer(), getitimer() and alarm() add to the system calls? Nothing expires.

#include <sys/time.h>
#include <unistd.h>

#include <tocsin/itimer.hpp>

#include "pair.hpp"

namespace {

template <class Call>
void armed(benchmark::State& state, Call call)
{
    tocsin::alarm(1000);
    for (auto _ : state)
        benchmark::DoNotOptimize(call());
    tocsin::alarm(0);
}

const bool registered[] = {
    bench::pair(
        "itimer/setitimer",
        [](benchmark::State& state) {
            armed(state, [] {
                constexpr itimerval value{{1, 0}, {1000, 500'000}};
                itimerval old;
                ::setitimer(ITIMER_REAL, &value, &old);
                return old.it_value.tv_sec;
            });
        },
        [](benchmark::State& state) {
            armed(state, [] { return tocsin::setitimer(tocsin::itimer::real, 1000.5, 1); });
        }),
    bench::pair(
        "itimer/getitimer",
        [](benchmark::State& state) {
            armed(state, [] {
                itimerval now;
                ::getitimer(ITIMER_REAL, &now);
                return now.it_value.tv_sec;
            });
        },
        [](benchmark::State& state) { armed(state, [] { return tocsin::getitimer(tocsin::itimer::real); }); }),
    bench::pair(
        "itimer/alarm", [](benchmark::State& state) { armed(state, [] { return ::alarm(1000); }); },
        [](benchmark::State& state) { armed(state, [] { return tocsin::alarm(1000); }); }),
};

} // namespace
