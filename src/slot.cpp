#include "slot.hpp"

#include <ctime>

namespace tocsin::detail {

constinit std::atomic<std::uint64_t> routes[signal_count]{};
constinit std::atomic<std::uint64_t> last_deliveries{0};
constinit std::atomic<std::uint64_t> given_back{0};
constinit std::atomic<std::uint64_t> routes_opened{0};
constinit std::atomic<chained_handler> chained[signal_count]{};
constinit std::atomic<chained_handler> interpreter{nullptr};
constinit std::atomic<chained_handler> left_to[signal_count]{};
constinit slot slots[slot_count]{};

std::optional<arrival> take(slot& from, int sig) noexcept { return from.records[index_of(sig)].take(); }

bool being_written(const slot& in, int sig) noexcept { return in.records[index_of(sig)].being_written(); }

void quiesce(slot& which) noexcept
{
    const unsigned old = which.visits.change_turn();
    // Whoever is inside does not block. Sleeping lets it go on even if this thread has a real-time priority.
    while (which.visits.any_of(old)) {
        constexpr timespec moment{0, 1000};
        ::nanosleep(&moment, nullptr);
    }
}

void clear(slot& which) noexcept
{
    which.pending().store(0, std::memory_order_relaxed);
    which.wake_error.store(0, std::memory_order_relaxed);
    for (record& each : which.records)
        each.word.store(0, std::memory_order_relaxed);
    for (auto& each : which.rings) {
        if (ring* const it = each.load(std::memory_order_relaxed); it != nullptr)
            it->clear();
    }
}

} // namespace tocsin::detail
