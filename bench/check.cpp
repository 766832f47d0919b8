// What does a safe point cost while nothing is pending?

#include <tocsin/safe_point.hpp>

#include <cstddef>
#include <utility>

#include "floor_word.hpp"
#include "pair.hpp"

namespace {

// Many in a row, written out: one check takes less than the loop around it.
template <class Check>
void repeat(benchmark::State& state, Check check)
{
    constexpr std::size_t count = 64;
    for (auto _ : state) {
        [&]<std::size_t... n>(std::index_sequence<n...>) { (((void)n, check()), ...); }
        (std::make_index_sequence<count>{});
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(count));
}

const bool registered = bench::pair(
    "check_signals/64 times",
    [](benchmark::State& state) {
        repeat(
            state, []() __attribute__((always_inline)) {
                if (bench::floor_word.load(std::memory_order_relaxed) != 0) [[unlikely]]
                    bench::floor_word_is_set();
            });
    },
    [](benchmark::State& state) {
        repeat(
            state, []() __attribute__((always_inline)) { tocsin::check_signals(); });
    });

} // namespace
