// What does the mask interface add to the system calls, and what does it cost to postpone handlers without any?

#include <csignal>

#include <tocsin/mask.hpp>
#include <tocsin/safe_point.hpp>

#include "pair.hpp"

namespace {

sigset_t native_set()
{
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGINT);
    ::sigaddset(&set, SIGTERM);
    return set;
}

void raw_pair(benchmark::State& state)
{
    for (auto _ : state) {
        const sigset_t set = native_set();
        sigset_t before;
        ::pthread_sigmask(SIG_BLOCK, &set, &before);
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        benchmark::DoNotOptimize(before);
    }
}

const bool registered[] = {
    bench::pair("mask/pthread_sigmask pair", raw_pair,
                [](benchmark::State& state) {
                    for (auto _ : state) {
                        const auto before = tocsin::pthread_sigmask(tocsin::sigmask::block, {SIGINT, SIGTERM});
                        tocsin::pthread_sigmask(tocsin::sigmask::set_mask, before);
                    }
                }),
    bench::pair("mask/mask_guard", raw_pair,
                [](benchmark::State& state) {
                    for (auto _ : state)
                        const tocsin::mask_guard blocked({SIGINT, SIGTERM});
                }),
    // The floor is the mask pair that the guard saves its user.
    bench::pair("mask/defer_signals", raw_pair,
                [](benchmark::State& state) {
                    for (auto _ : state)
                        const tocsin::defer_signals postponed;
                }),
};

} // namespace
