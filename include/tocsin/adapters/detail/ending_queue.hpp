#pragma once

#include <memory>
#include <utility>

#include <tocsin/timer_queue.hpp>

namespace tocsin::detail {

/// A timer_queue that ends before its holder, also in a callback of its own. What its functions hold may use it until they have
/// ended too, as they may a timer_queue's.
class ending_queue {
public:
    explicit ending_queue(int clock)
        : queue(clock)
    {}
    ending_queue(const ending_queue&) = delete;
    ending_queue& operator=(const ending_queue&) = delete;
    ~ending_queue() { end(); }

    void end() noexcept
    {
        if (std::exchange(open_, false))
            std::destroy_at(&queue);
    }
    [[nodiscard]] bool open() const noexcept { return open_; }

    union { // not destroyed by itself
        timer_queue queue;
    };

private:
    bool open_ = true;
};

} // namespace tocsin::detail
