#include "floor_word.hpp"

#include <cstdlib>

namespace bench {

constinit std::atomic<std::uint64_t> floor_word{0};
void floor_word_is_set() { std::abort(); }

} // namespace bench
