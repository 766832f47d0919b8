#pragma once

// Who listens in one slot: its subscribers, what has been taken out of the slot for each, and whose callback runs now.
// The ordinary side of a slot; the trip routine never sees it. Everything is guarded by the registry's mutex, which is never
// held while a callback or a destructor of the user's runs.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include <tocsin/event.hpp>
#include <tocsin/handler.hpp>
#include <tocsin/subscription.hpp>

#include "slot.hpp"

namespace tocsin::detail {

struct subscriber {
    std::shared_ptr<mailbox> home; // null once cancelled: whoever keeps the subscription keeps no inbox
    signal_set signals;            // empty once cancelled
    subscription_options options;
    handler callback;                                // not callable: its events are for next(), or it has ended
    std::deque<event> events;                        // once cancelled, the canceller's
    std::array<std::size_t, signal_count> waiting{}; // of these, by signal: no signal takes another's room
    std::uint64_t dropped = 0;
    std::uint64_t delivered = 0;
    /// The thread (sys::this_thread()) in the callback, or 0. Whoever cancels from another one waits for 0. A callback
    /// may run again inside itself.
    std::atomic<std::uintptr_t> running{0};
    /// The thread that cancels and may yet call the callback (at_cancel::run), or 0.
    std::atomic<std::uintptr_t> ending{0};
    /// Those where either is not 0, for fork(): also ones that have ended, which no mailbox knows.
    subscriber* next_busy = nullptr;
    subscriber* previous_busy = nullptr;

    [[nodiscard]] bool wants(int sig) const noexcept { return signals.contains(sig); }
};

class time_limit;

class mailbox {
public:
    /// Slot 0's, without a descriptor; made by the first on(), never destroyed. Errors: std::bad_alloc.
    static std::shared_ptr<mailbox> main();
    /// The same, or null while there is none.
    static constinit std::atomic<mailbox*> main_box;
    /// One with a slot of its own. Errors: as inbox().
    static std::shared_ptr<mailbox> make();

    explicit mailbox(std::size_t number) noexcept
        : number_(number)
    {}
    mailbox(const mailbox&) = delete;
    mailbox& operator=(const mailbox&) = delete;
    ~mailbox();

    /// See inbox::on().
    static subscription subscribe(const std::shared_ptr<mailbox>& home, const char* function, const signal_set& signals,
                                  handler callback, const subscription_options& options);
    /// See subscription::cancel().
    static void cancel(const std::shared_ptr<subscriber>& who);
    /// Cancels all, for good: whoever waits on another frame of this thread is told.
    void close() noexcept;
    [[nodiscard]] bool closed() const noexcept { return closed_; }

    static signal_set signals(const subscriber& who) noexcept;
    struct numbers {
        std::uint64_t dropped;
        std::uint64_t delivered;
    };
    static numbers counts(const subscriber& who) noexcept;

    /// Somebody is subscribed to `sig`. Under the mutex.
    [[nodiscard]] bool listens(int sig) const noexcept;
    /// Takes what has arrived of `sig` out of the slot and gives each subscriber its part; all of it in one for the
    /// handler that signal() set. Under the mutex.
    std::optional<arrival> collect(int sig) noexcept;
    /// What has been taken out of slot 0 before its turn and is kept for the handler that signal() set; nothing elsewhere.
    /// Under the mutex, or in reset_for_exec().
    std::optional<arrival> take_kept(int sig) noexcept;
    /// Runs the callbacks of what has been collected; how many. Stops when `deferred` (or null) says so. What a callback
    /// throws leaves from here. Both may leave some: has_events().
    std::size_t run_collected(source_location where, bool (*deferred)() noexcept);
    /// Some subscriber has events that it has not been given. Context: any thread.
    [[nodiscard]] bool has_events() const noexcept { return has_events_.load(std::memory_order_seq_cst); }

    // For the owner of an inbox: see there.
    std::size_t run_pending(source_location where);
    bool wait(const time_limit& limit, source_location where);
    std::optional<event> try_next(source_location where);
    int descriptor() noexcept;
    void poke() noexcept;

    /// In a forked child, under the mutex: nothing is pending, all descriptors are its own.
    static void renew_all() noexcept;

private:
    class ending;

    [[nodiscard]] slot& its_slot() const noexcept { return slots[number_]; }
    [[nodiscard]] bool may_be_pending() const noexcept;
    void collect_early(int sig, ring* queued) noexcept;
    std::optional<arrival> hand_out(int sig, ring* queued) noexcept;
    std::optional<arrival> hand_out_record(int sig) noexcept;
    std::optional<arrival> hand_out_ring(int sig, ring& queued) noexcept;
    std::unique_ptr<ring> exchange_ring(int sig, std::unique_ptr<ring> fresh) noexcept;
    [[nodiscard]] ring* its_ring(int sig) const noexcept
    {
        return its_slot().rings[index_of(sig)].load(std::memory_order_relaxed); // written under the mutex
    }
    [[nodiscard]] bool is_early(const event& next) const noexcept;
    void note_events() noexcept;
    std::optional<event> take_event(source_location where) noexcept;
    static std::optional<event> take_from(subscriber& who, source_location where) noexcept;
    void wake_up(bool readable = false) noexcept;
    void go_to_sleep() noexcept;
    void drain() noexcept;
    void renew() noexcept;
    void require_descriptor();

    const std::size_t number_;
    int fd_ = -1;
    bool polled_ = false; // an event loop waits on the descriptor: asleep whenever the owner is not in run_pending()
    bool closed_ = false; // the inbox has gone; written and read on its thread
    bool armed_ = false;  // the owner has said that it sleeps: somebody may have written to the descriptor
    std::atomic<bool> poked_{false};
    std::atomic<bool> has_events_{false};                  // follows subscribers_, written under the mutex
    std::vector<std::shared_ptr<subscriber>> subscribers_; // guarded by the mutex, in the order of subscription
};

} // namespace tocsin::detail
