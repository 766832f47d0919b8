// What do the waits for blocked signals add to the system calls?

#include <unistd.h>

#include <csignal>
#include <ctime>

#include <tocsin/mask.hpp>
#include <tocsin/wait.hpp>

#include "pair.hpp"

namespace {

template <class Call>
void with_blocked(benchmark::State& state, Call call)
{
    const tocsin::mask_guard blocked({SIGUSR1});
    for (auto _ : state)
        benchmark::DoNotOptimize(call());
}

sigset_t native_set()
{
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGUSR1);
    return set;
}

const bool registered[] = {
    bench::pair(
        "wait/sigtimedwait, no time",
        [](benchmark::State& state) {
            with_blocked(state, [] {
                const sigset_t set = native_set();
                constexpr timespec now{};
                siginfo_t info;
                return ::sigtimedwait(&set, &info, &now);
            });
        },
        [](benchmark::State& state) {
            with_blocked(state, [] { return tocsin::sigtimedwait({SIGUSR1}, 0).has_value(); });
        }),
    bench::pair(
        "wait/raise and sigwaitinfo",
        [](benchmark::State& state) {
            with_blocked(state, [] {
                const sigset_t set = native_set();
                siginfo_t info;
                ::raise(SIGUSR1);
                ::sigwaitinfo(&set, &info);
                return info.si_pid;
            });
        },
        [](benchmark::State& state) {
            with_blocked(state, [] {
                ::raise(SIGUSR1);
                return tocsin::sigwaitinfo({SIGUSR1}).native().si_pid;
            });
        }),
};

} // namespace
