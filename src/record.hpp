#pragma once

// The two lock-free cells through which a signal's information passes from the trip routine, on any number of threads at
// once, to the one consumer of a slot, and the count of those inside. Both sides of each here. write(), push(), enter()
// and leave() run inside signal handlers.

#include <atomic>
#include <bit>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace tocsin::detail {

/// One signal as a consumer takes it.
struct arrival {
    siginfo_t info;
    std::uint64_t count;
};

/// What is known of a signal that has arrived and has not been taken: the siginfo of the first arrival and the number
/// of arrivals merged into it. `word` says who may touch `info`:
///   0               empty: the next arrival claims it
///   writing | n     one trip routine is copying its siginfo; n arrivals so far
///   full | n        complete; consumers may read, further arrivals add 1
struct record {
    static constexpr std::uint64_t writing = std::uint64_t{1} << 63;
    static constexpr std::uint64_t full = std::uint64_t{1} << 62;
    static constexpr std::uint64_t count_mask = full - 1;

    std::atomic<std::uint64_t> word{0};
    siginfo_t info{};

    /// Claims the record or merges into it. Lock-free: a failed exchange means that another thread changed the word.
    void write(const siginfo_t& of) noexcept
    {
        std::uint64_t seen = word.load(std::memory_order_relaxed);
        for (;;) {
            if (seen != 0) {
                // Merge. Relaxed: nothing is published but the number itself, which take() reads by an exchange.
                if (word.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed))
                    return;
            } else if (word.compare_exchange_weak(seen, writing | 1, std::memory_order_acquire,
                                                  std::memory_order_relaxed)) {
                break; // Acquire pairs with take()'s exchange: its read of the old info is over.
            }
        }
        info = of;
        // writing -> full, keeping the count that others added meanwhile. Release pairs with take()'s load.
        word.fetch_xor(writing | full, std::memory_order_release);
    }

    /// Empty when there is nothing, or when a trip routine on another thread is still writing it: that one publishes the
    /// pending bit again when it is done.
    std::optional<arrival> take() noexcept
    {
        // Acquire pairs with the release in write(): the info is complete.
        if ((word.load(std::memory_order_acquire) & full) == 0)
            return std::nullopt;
        arrival result{info, 0};
        // Release: our reading of the info is over before the next arrival claims it (acquire in write()).
        result.count = word.exchange(0, std::memory_order_acq_rel) & count_mask;
        return result;
    }

    [[nodiscard]] bool being_written() const noexcept { return (word.load(std::memory_order_relaxed) & writing) != 0; }
};

/// Counts trip routines in and out, by the turn they came in. Who has changed something waits for those of the old turn
/// alone, so that a flood cannot keep it waiting. A store-buffer handshake: each side writes, then looks at the other's
/// word, seq_cst all four.
class visitors {
public:
    /// Returns the turn, for leave(). Retries only when the turn has changed.
    unsigned enter() noexcept
    {
        for (;;) {
            const unsigned turn = turn_.load(std::memory_order_relaxed); // a guess: looked at again
            inside_[turn].fetch_add(1, std::memory_order_seq_cst);
            if (turn_.load(std::memory_order_seq_cst) == turn)
                return turn;
            leave(turn);
        }
    }
    /// Release pairs with any_of(): what was done inside is over.
    void leave(unsigned turn) noexcept { inside_[turn].fetch_sub(1, std::memory_order_release); }

    /// Returns the old turn. One caller at a time, which waits until nobody of the old turn is left.
    unsigned change_turn() noexcept
    {
        const unsigned old = turn_.load(std::memory_order_relaxed); // written here only
        turn_.store(1 - old, std::memory_order_seq_cst);
        return old;
    }
    [[nodiscard]] bool any_of(unsigned turn) const noexcept
    {
        return inside_[turn].load(std::memory_order_seq_cst) != 0;
    }

    /// In a forked child: those inside are the parent's. Writes to the page only where there are some.
    void forget() noexcept
    {
        for (auto& count : inside_) {
            if (count.load(std::memory_order_relaxed) != 0)
                count.store(0, std::memory_order_relaxed);
        }
    }

private:
    std::atomic<unsigned> turn_{0};
    std::atomic<unsigned> inside_[2]{};
};

/// Every arrival with its own siginfo, up to a capacity. Each cell's turn says whose it is: n, the arrival number n may
/// claim it; n + 1, that arrival is complete; n + capacity, it has been taken.
class ring {
public:
    /// Errors: std::bad_alloc.
    explicit ring(std::size_t capacity)
        : mask_(std::bit_ceil(capacity < 2 ? 2 : capacity) -
                1) // with one cell "complete" and "taken" are the same turn
        , cells_(std::make_unique<cell[]>(mask_ + 1))
    {
        for (std::size_t i = 0; i <= mask_; ++i)
            cells_[i].turn.store(i, std::memory_order_relaxed); // published with the pointer to the ring
    }

    [[nodiscard]] std::size_t capacity() const noexcept { return mask_ + 1; }

    /// Drops it, and counts that, when there is no room.
    void push(const siginfo_t& info) noexcept
    {
        std::uint64_t at = tail_.load(std::memory_order_relaxed);
        for (;;) {
            cell& mine = cells_[at & mask_];
            const std::uint64_t turn = mine.turn.load(std::memory_order_acquire); // pairs with pop()'s release
            if (turn < at) {                                                      // what is there has not been taken
                dropped_.fetch_add(1, std::memory_order_relaxed);                 // published with the pending bit
                return;
            }
            if (turn > at) { // another arrival was faster
                at = tail_.load(std::memory_order_relaxed);
            } else if (tail_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) {
                mine.info = info;
                mine.turn.store(at + 1, std::memory_order_release); // pairs with pop()'s acquire
                return;
            }
        }
    }

    /// The next complete arrival. Empty when there is none, or when it is still being written: it will be published.
    std::optional<siginfo_t> pop() noexcept
    {
        cell& next = cells_[head_ & mask_];
        if (next.turn.load(std::memory_order_acquire) != head_ + 1) // pairs with push()'s release
            return std::nullopt;
        last_ = next.info;
        next.turn.store(head_ + mask_ + 1, std::memory_order_release); // pairs with push()'s acquire
        ++head_;
        return last_;
    }

    /// What was taken last; empty before the first. Stands for arrivals that were dropped.
    [[nodiscard]] const std::optional<siginfo_t>& last() const noexcept { return last_; }

    /// The arrivals dropped since this was last asked.
    std::uint64_t take_dropped() noexcept { return dropped_.exchange(0, std::memory_order_relaxed); }

    /// Forgets everything. Only while nobody pushes: in a forked child.
    void clear() noexcept
    {
        while (pop()) {
        }
        // An arrival that a thread of the parent was writing when it forked: claimed, never completed.
        for (; head_ != tail_.load(std::memory_order_relaxed); ++head_)
            cells_[head_ & mask_].turn.store(head_ + mask_ + 1, std::memory_order_relaxed);
        take_dropped();
    }

private:
    struct cell {
        std::atomic<std::uint64_t> turn{0};
        siginfo_t info{};
    };

    std::atomic<std::uint64_t> tail_{0}; // claimed by trip routines
    std::uint64_t head_ = 0;             // taken by the owner
    std::optional<siginfo_t> last_;
    std::atomic<std::uint64_t> dropped_{0};
    std::size_t mask_;
    std::unique_ptr<cell[]> cells_;
};

} // namespace tocsin::detail
