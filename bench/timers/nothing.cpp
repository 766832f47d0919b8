// What the workloads themselves cost, and what memory does.

#include <memory>

#include "workload.hpp"

namespace {

struct nothing : usual_queue {
    static constexpr bool expires = false;

    explicit nothing(std::size_t) {}
    void schedule(std::size_t which, std::int64_t delay) { asm volatile("" : : "r"(which), "r"(delay)); }
    void reschedule(std::size_t which, std::int64_t delay) { schedule(which, delay); }
    void open(std::size_t which) { schedule(which, idle_time); }
    void touch(std::size_t which) { schedule(which, idle_time); }
    void cancel(std::size_t which) { schedule(which, 0); }
    void turn() {}
};
const enlist_queue<nothing> a("nothing", 4'000'000, {"schedule", "cancel", "reschedule", "connections", "traffic"});

// Each timer's own line of the cache is read and written, and nothing else: less cannot be.
struct one_line : usual_queue {
    static constexpr bool expires = false;
    struct alignas(64) line {
        volatile std::int64_t time = 0;
    };
    std::unique_ptr<line[]> lines;

    explicit one_line(std::size_t count)
        : lines(std::make_unique<line[]>(count))
    {}
    void schedule(std::size_t which, std::int64_t delay) { lines[which].time = lines[which].time + delay; }
    void reschedule(std::size_t which, std::int64_t delay) { schedule(which, delay); }
    void open(std::size_t which) { schedule(which, idle_time); }
    void touch(std::size_t which) { schedule(which, idle_time); }
    void cancel(std::size_t which) { schedule(which, 0); }
    void turn() {}
};
const enlist_queue<one_line> b("one line of memory", 4'000'000,
                               {"schedule", "cancel", "reschedule", "connections", "traffic"});

} // namespace
