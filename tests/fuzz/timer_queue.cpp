// Sequences of operations on a timer_queue, on a virtual clock, against the model of the stress test.

#include <tocsin/timer_queue.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "input.hpp"
#include "stress/timer_model.hpp"

namespace {

struct choices {
    // One byte while that is enough: inputs stay short, and a changed byte changes one choice.
    std::int64_t pick(std::int64_t below)
    {
        if (below <= 256)
            return bytes.byte() % below;
        // A number of bits, and then these: small distances are as likely as large ones.
        const unsigned bits = bytes.byte() % 64U;
        std::uint64_t value = 0;
        for (unsigned n = 0; n < bits; n += 8)
            value = value << 8 | bytes.byte();
        return static_cast<std::int64_t>((value & ((std::uint64_t{1} << bits) - 1)) %
                                         static_cast<std::uint64_t>(below));
    }
    [[nodiscard]] bool over() const { return bytes.empty(); }
    static void require(bool holds, const char* what) { fuzz::require(holds, what); }

    fuzz::input bytes;
};

} // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) { return 0; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    choices from{fuzz::input(data, size)};
    // From a few nanoseconds to centuries.
    const auto span = std::int64_t{1} << (3 + from.bytes.byte() % 57);
    const auto step = std::max<std::int64_t>(span >> (from.bytes.byte() % 16), 1);
    const auto timers = std::size_t{1} << (from.bytes.byte() % 5);
    timer_model::player one(from, std::chrono::nanoseconds{span}, std::chrono::nanoseconds{step}, timers);
    one.play(400, 4);
    return 0;
}
