#pragma once

// The timers of a queue in the order of their deadlines, without clock, descriptor or callback. All links are in the
// timers themselves: nothing here allocates after construction, and nothing can fail.
//
// Deadlines are cut into slots of 17 ms. When a slot's turn comes its timers are strewn over buckets, each a 256th of it, and
// these are sorted one after the other, each when it is reached: `run_`. What is scheduled for that slot or an earlier one
// since then is in a heap, `hot_`. The later ones wait unsorted in one of three rings:
//
//     ring 0   8192 slots of 2^24 ns (17 ms)      the next 137 s
//     ring 1   8192 slots of 2^36 ns (69 s)       the next 6.5 days
//     ring 2   32768 slots of 2^48 ns (3.3 days)  all that 64 bits of nanoseconds can say
//
// A ring covers at least twice a slot of the next one. So a slot of ring 1 or 2 can be emptied into the ring below during
// the whole time of the slot before it, a few timers in each poll: no poll has to move many.
//
// A timer that is put off while it waits in a ring stays where it is: it is moved on when that slot's turn comes. Crowded slots
// of ring 0 (connections that were opened at once, and are in use since) are swept before, during the four seconds ahead of
// their turn, some timers in each poll: what was put off moves on, what stays is marked and will move at once when it is put
// off. So a slot's turn never finds more than `crowd` timers that are not its own, if there were polls enough. Slots are
// counted by what is put into them: to count what is put off would cost a look at memory each time. Where nothing is put off,
// nothing is swept.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include <tocsin/timer_queue.hpp>

namespace tocsin::detail {

class timer_wheel {
public:
    static constexpr std::int64_t never = INT64_MAX;

    /// Errors: std::bad_alloc.
    explicit timer_wheel(std::int64_t now);
    timer_wheel(const timer_wheel&) = delete;
    timer_wheel& operator=(const timer_wheel&) = delete;
    ~timer_wheel() = default; // empty by then

    /// Schedules or moves; the timer must not be in another wheel. Returns when advance() must be called for its sake at the
    /// latest: its deadline, or earlier.
    std::int64_t insert(timer& which, std::int64_t deadline) noexcept;
    void erase(timer& which) noexcept;
    /// All are no longer scheduled; `release` may destroy each, and with it others. What it schedules stays.
    void clear(void (*release)(timer&)) noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool may_hold(const timer& which) const noexcept
    {
        return which.wheel_ == nullptr || which.wheel_ == this;
    }
    static timer::function function_of(const timer& which) noexcept { return which.expired_; }

    /// Takes out the timers that are due at `now`, each with next(): of those scheduled before this was constructed.
    class batch {
    public:
        batch(timer_wheel& wheel, std::int64_t now) noexcept;
        batch(const batch&) = delete;
        batch& operator=(const batch&) = delete;
        ~batch();
        /// Null: no more. The timer is no longer scheduled.
        timer* next() noexcept;

    private:
        timer_wheel& wheel_;
        std::int64_t now_;
        std::int64_t outer_now_;
    };

    /// A share of the work that must not be left until it is urgent.
    void tidy() noexcept;
    /// When a batch or tidy() is to come next; `now`: at the time of the last batch.
    std::int64_t wake_time(std::int64_t now) noexcept;
    /// The first deadline, or never.
    std::int64_t earliest() noexcept;
    /// The clock was set back: makes the slot of `now` the current one.
    void turn_back(std::int64_t now) noexcept;
    /// So far behind that new timers would crowd in the heap.
    [[nodiscard]] bool is_behind(std::int64_t now) const noexcept { return current_ - slot_of(now) > 1; }

private:
    static constexpr int slot_bits = 24;
    static constexpr int level_bits = 12;
    static constexpr std::int64_t none = INT64_MAX;     // for a slot
    static constexpr std::int64_t no_batch = INT64_MIN; // for the time of one
    static constexpr unsigned chains = 4; // of ring 0: followed side by side, since each step waits for memory
    static constexpr int bucket_bits = 8;
    static constexpr std::size_t buckets = std::size_t{1} << bucket_bits;
    static constexpr int place_bits = 2;

    static constexpr std::uint16_t crowd = 1024;     // timers in one slot of ring 0: some 50 us to move them all
    static constexpr std::int64_t sweep_ahead = 256; // slots: 4.3 s

    enum class place : std::uint64_t {
        list,  // in a ring, or late
        swept, // the same, but it does not stay there when it is put off
        run,   // or in a bucket
        heap,
    };

    struct free_memory {
        void operator()(timer** heads) const noexcept { std::free(heads); }
    };
    // Slot n is at index n % size.
    struct ring {
        ring(int s, std::int64_t n, unsigned c);
        /// The slot here that slot n of ring 0 is in; the first one of ring 0 in a slot here; and when it begins.
        [[nodiscard]] std::int64_t of(std::int64_t n) const noexcept { return n >> shift; }
        [[nodiscard]] std::int64_t start_slot(std::int64_t slot) const noexcept { return slot << shift; }
        [[nodiscard]] std::int64_t start_of(std::int64_t slot) const noexcept { return slot << (shift + slot_bits); }
        [[nodiscard]] timer** chain(std::int64_t slot) const noexcept { return heads.get() + index(slot) * width; }
        /// False: had none.
        bool mark(std::int64_t slot) noexcept
        {
            std::uint64_t& word = bits[index(slot) / 64];
            const std::uint64_t before = word;
            word |= std::uint64_t{1} << (index(slot) % 64);
            used = true;
            return word == before;
        }
        /// The first slot with timers after that of `current`, a slot of ring 0; or none. And where it begins in ring 0.
        std::int64_t next(std::int64_t current) noexcept;
        std::int64_t next_start(std::int64_t current) noexcept;

        int shift;
        std::int64_t size;
        unsigned width; // chains
        std::unique_ptr<timer*[], free_memory> heads;
        std::unique_ptr<std::uint64_t[]> bits; // set if the slot has timers, or had
        bool used = false;                     // false: no slot after the current one has timers

    private:
        [[nodiscard]] std::size_t index(std::int64_t slot) const noexcept
        {
            return static_cast<std::size_t>(slot & (size - 1));
        }
    };

    static std::int64_t slot_of(std::int64_t time) noexcept { return time >> slot_bits; }
    static bool before(const timer& a, const timer& b) noexcept
    {
        return a.deadline_ != b.deadline_ ? a.deadline_ < b.deadline_ : a.order_ < b.order_;
    }
    [[nodiscard]] static place place_of(const timer& which) noexcept
    {
        return static_cast<place>(which.order_ & ((1U << place_bits) - 1));
    }
    static void set_place(timer& which, place where) noexcept
    {
        which.order_ = (which.order_ >> place_bits << place_bits) | static_cast<std::uint64_t>(where);
    }
    // Due already when it is scheduled in a batch: for the next one.
    [[nodiscard]] bool is_late(std::int64_t deadline) const noexcept
    {
        return batch_now_ != no_batch && deadline <= batch_now_;
    }
    static void push(timer*& head, timer& which) noexcept;
    static void unlink(timer& which) noexcept;

    std::int64_t put(timer& which) noexcept;
    void put_late(timer& which) noexcept;
    void put_in_heap(timer& which) noexcept;
    void add_to_heap(timer* root) noexcept;
    void settle_late() noexcept;
    static timer* meld(timer* a, timer* b) noexcept;
    static timer* merge_pairs(timer* siblings) noexcept;
    static timer* merge(timer* a, timer* b) noexcept;
    static timer* sort(timer* list) noexcept;
    timer* first() noexcept;
    void sort_more() noexcept;
    timer* take_all() noexcept;

    bool advance(std::int64_t last) noexcept;
    void load(std::int64_t slot) noexcept;
    std::size_t move_on(timer** heads, unsigned width, std::size_t most) noexcept;
    std::size_t move_down(ring& from, std::int64_t slot, std::size_t most) noexcept;

    [[nodiscard]] std::uint16_t& put_into(std::int64_t slot) noexcept
    {
        return put_into_[static_cast<std::size_t>(slot) % put_into_.size()];
    }
    void sweep(std::size_t most) noexcept;
    void sweep_rest() noexcept;
    bool earliest_in(ring& in, std::int64_t slot, std::size_t& most, std::int64_t& time) noexcept;
    std::int64_t earliest_in(ring& in, std::size_t most) noexcept;

    std::array<ring, 3> rings_;
    timer* run_ = nullptr;
    timer* hot_ = nullptr;
    timer* late_ = nullptr; // due already when they were scheduled, in a batch: for the next one
    std::int64_t current_;  // slot of ring 0: run_ and hot_ hold its timers and those of earlier ones
    std::int64_t batch_now_ = no_batch;
    std::uint64_t orders_ = 0;
    std::size_t size_ = 0;
    // Of the current slot, what comes after run_.
    std::array<timer*, buckets> buckets_{};
    std::array<std::uint64_t, buckets / 64> used_buckets_{}; // those with timers, or had
    std::size_t used_ = 0;                                   // how many
    std::array<std::uint16_t, 8192> put_into_{}; // how many were put into each slot of ring 0; some may be gone
    std::uint64_t put_off_ = 0;                  // how often a timer was, and stayed: if fewer than `crowd`, no sweep
    std::int64_t last_crowd_;                    // no slot behind this one is crowded
    std::int64_t swept_; // crowded slots up to this one have been gone through; if `sweeping_`, this one not wholly
    std::array<timer*, chains> rest_{}; // its timers that have not been looked at yet; it may have others in its chains
    bool sweeping_ = false;
};

} // namespace tocsin::detail
