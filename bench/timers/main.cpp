// timer_costs QUEUE OPERATION N SEED   what the operation costs with N timers; a line for each number
// timer_costs TICKER lateness N        N ticks of 1 ms: nanoseconds after the time they were to come, a line each
// timer_costs                          the names; for queues with the most timers they can do in reasonable time, and the operations

#include "subject.hpp"

#include <algorithm>
#include <exception>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "clock.hpp"

std::map<std::string, queue_entry>& queues()
{
    static std::map<std::string, queue_entry> all;
    return all;
}

std::map<std::string, make_ticker>& tickers()
{
    static std::map<std::string, make_ticker> all;
    return all;
}

namespace {

std::int64_t begun = 0;
std::vector<std::int64_t> ticks;

void list()
{
    for (const auto& [name, queue] : queues()) {
        std::printf("queue\t%s\t%zu", name.c_str(), queue.most);
        for (const std::string& each : queue.operations)
            std::printf("\t%s", each.c_str());
        std::puts("");
    }
    for (const auto& [name, make] : tickers())
        std::printf("ticker\t%s\n", name.c_str());
}

// A tick is late by the time since the first multiple of the period after the one for which the tick before it came: whatever
// keeps to its grid is late by what its wake-up takes; whatever does not is late by anything.
void lateness(make_ticker make, std::size_t count)
{
    constexpr std::int64_t tolerance = ticker::period / 50; // of the beginning; a wake-up takes longer
    ticks.reserve(count + 1000);
    const auto asked = make();
    while (ticks.size() < count)
        asked->wait();
    std::int64_t due = begun + ticker::period;
    std::int64_t owed = 0; // ticks before that one, which may come late, one right after the other
    std::int64_t missed = 0;
    for (const std::int64_t each : ticks) {
        if (each < due && owed > 0) {
            std::printf("%lld\n", static_cast<long long>(each - (due - owed-- * ticker::period)));
            continue;
        }
        std::printf("%lld\n", static_cast<long long>(each - due));
        missed += owed;
        const std::int64_t grid = begun + (each - begun - tolerance) / ticker::period * ticker::period;
        owed = std::max<std::int64_t>(0, (grid - due) / ticker::period);
        due = std::max(due, grid) + ticker::period;
    }
    missed += owed;
    std::printf("missed %lld\n", static_cast<long long>(missed));
}

int run(int count, char** words)
{
    if (count == 1) {
        list();
        return 0;
    }
    if (count == 5 && queues().count(words[1]) != 0) {
        queues()[words[1]].run(words[2], std::strtoull(words[3], nullptr, 10), std::strtoull(words[4], nullptr, 10));
        return 0;
    }
    if (count == 4 && tickers().count(words[1]) != 0 && std::strcmp(words[2], "lateness") == 0) {
        lateness(tickers()[words[1]], std::strtoull(words[3], nullptr, 10));
        return 0;
    }
    std::fprintf(stderr, "%s: QUEUE OPERATION N SEED, or TICKER lateness N\n", words[0]);
    return 2;
}

} // namespace

std::int64_t ticker::begin()
{
    begun = program_time::now();
    return begun + period;
}

void ticker::tick() { ticks.push_back(program_time::now()); }

int main(int count, char** words)
{
    int status = 1;
    try {
        status = run(count, words);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
    }
    std::fflush(stdout);
    std::_Exit(status); // millions of timers end with the process
}
