#pragma once

// What the benchmarks share: each question is a pair, the library beside the same work in raw system calls.

#include <benchmark/benchmark.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>

namespace bench {

using function = void (*)(benchmark::State&);

/// Registers "question/floor" and "question/ours", the names bench/run looks for.
inline bool pair(const std::string& question, function floor, function ours)
{
    benchmark::RegisterBenchmark((question + "/floor").c_str(), floor);
    benchmark::RegisterBenchmark((question + "/ours").c_str(), ours);
    return true;
}

/// For what is set up outside the measured loop.
template <class T>
T require(T result)
{
    if (result < 0)
        throw std::system_error(errno, std::generic_category());
    return result;
}

} // namespace bench
