#pragma once

#include <atomic>
#include <cstdint>

namespace bench {

// In a file of their own, so that the compiler knows as little of them as of the library's.
extern constinit std::atomic<std::uint64_t> floor_word;
void floor_word_is_set();

} // namespace bench
