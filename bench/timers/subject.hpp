#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

/// A library's timers under the workloads. Each is asked in a process of its own.
struct queue_entry {
    std::vector<std::string> operations;
    std::size_t most; // timers: what it takes as long with as the others with millions
    void (*run)(const std::string& operation, std::size_t count, std::uint64_t seed);
};

/// A library's way to do something every millisecond.
class ticker {
public:
    static constexpr std::int64_t period = 1'000'000; // nanoseconds

    virtual ~ticker() = default;
    /// Waits for something to happen, and runs it.
    virtual void wait() = 0;

    /// In each callback.
    static void tick();

protected:
    /// Right before it asks for the first tick; returns when that is to come: one period from then.
    static std::int64_t begin();
};
using make_ticker = std::unique_ptr<ticker> (*)();

/// All there are, by name.
std::map<std::string, queue_entry>& queues();
std::map<std::string, make_ticker>& tickers();

template <class Ticker>
struct enlist_ticker {
    explicit enlist_ticker(const char* name)
    {
        tickers()[name] = []() -> std::unique_ptr<ticker> { return std::make_unique<Ticker>(); };
    }
};

/// Rounded up: for libraries that count in something coarser.
constexpr std::int64_t in_units_of(std::int64_t unit, std::int64_t nanoseconds)
{
    return (nanoseconds + unit - 1) / unit;
}
