#pragma once

// What the stress tests share: chance that can be repeated, and sizes.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

namespace stress {

/// A generator whose seed is printed.
inline std::mt19937_64 make_chance()
{
    const char* const given = std::getenv("TOCSIN_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("TOCSIN_SEED=%llu\n", static_cast<unsigned long long>(seed));
    return std::mt19937_64(seed);
}

/// `full` with TOCSIN_STRESS=full in the environment.
inline int size(int usual, int full)
{
    const char* const wish = std::getenv("TOCSIN_STRESS");
    return wish != nullptr && std::strcmp(wish, "full") == 0 ? full : usual;
}

} // namespace stress
