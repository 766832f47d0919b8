// event_costs SUBJECT cost N      a signal to oneself, until its callback has run: wall and CPU nanoseconds for each
// event_costs SUBJECT latency N   from another thread's kill() to the callback in a loop that sleeps: nanoseconds, a line each
// event_costs                     the names of the subjects

#include "subject.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

std::map<std::string, make_subject>& subjects()
{
    static std::map<std::string, make_subject> all;
    return all;
}

namespace {

std::int64_t now(clockid_t clock)
{
    timespec time{};
    ::clock_gettime(clock, &time);
    return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

void once(subject& asked)
{
    const std::uint64_t before = subject::callbacks;
    ::kill(::getpid(), SIGUSR1);
    while (subject::callbacks == before)
        asked.turn();
}

void cost(subject& asked, long rounds)
{
    for (long n = 0; n < 100; ++n)
        once(asked);
    const auto wall = now(CLOCK_MONOTONIC);
    const auto cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    for (long n = 0; n < rounds; ++n)
        once(asked);
    const auto cpu_taken = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    const auto wall_taken = now(CLOCK_MONOTONIC) - wall;
    std::printf("%.1f %.1f\n", static_cast<double>(wall_taken) / static_cast<double>(rounds),
                static_cast<double>(cpu_taken) / static_cast<double>(rounds));
}

bool sleeps(pid_t tid)
{
    std::ifstream in("/proc/self/task/" + std::to_string(tid) + "/stat");
    std::string text((std::istreambuf_iterator<char>(in)), {});
    const auto end = text.rfind(')');
    return end != std::string::npos && text.compare(end, 3, ") S") == 0;
}

void latency(subject& asked, long rounds)
{
    const auto loop = static_cast<pid_t>(::syscall(SYS_gettid));
    std::atomic<std::int64_t> sent{0};
    std::atomic<bool> ready{false};
    std::thread sender([&] {
        for (long n = 0; n < rounds; ++n) {
            while (!ready.exchange(false))
                ::sched_yield();
            while (!sleeps(loop))
                ::sched_yield();
            sent = now(CLOCK_MONOTONIC);
            ::syscall(SYS_tgkill, ::getpid(), loop, SIGUSR1);
        }
    });
    std::vector<std::int64_t> taken;
    for (long n = 0; n < rounds; ++n) {
        const std::uint64_t before = subject::callbacks;
        ready = true;
        while (subject::callbacks == before)
            asked.wait();
        taken.push_back(now(CLOCK_MONOTONIC) - sent);
    }
    sender.join();
    for (const auto each : taken)
        std::printf("%lld\n", static_cast<long long>(each));
}

} // namespace

int main(int count, char** words)
{
    if (count == 1) {
        for (const auto& [name, make] : subjects())
            std::puts(name.c_str());
        return 0;
    }
    const auto found = count == 4 ? subjects().find(words[1]) : subjects().end();
    if (found == subjects().end()) {
        std::fprintf(stderr, "%s: SUBJECT cost|latency N\n", words[0]);
        return 2;
    }
    const auto asked = found->second();
    const long rounds = std::strtol(words[3], nullptr, 10);
    std::strcmp(words[2], "cost") == 0 ? cost(*asked, rounds) : latency(*asked, rounds);
    return 0;
}
