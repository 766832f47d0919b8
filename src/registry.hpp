#pragma once

// What the program wants to happen for each signal, and what was there before it. Ordinary code, one mutex, any thread.

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <optional>

#include <tocsin/handler.hpp>
#include <tocsin/subscription.hpp>

#include "slot.hpp"

namespace tocsin::detail {

/// The signals that tocsin has set to "ignore" and that were not ignored when it first changed them: an executed
/// program would inherit that. Written under the registry's mutex, read anywhere; a bit is set before the kernel's
/// disposition changes and cleared after.
extern constinit std::atomic<std::uint64_t> given_ignore;

class registry {
public:
    static registry& instance() noexcept;

    /// Sets the disposition and returns the one before. Remembers it for restore_all().
    /// Errors: std::system_error; nothing has changed then.
    handler install(int sig, handler what, const char* function);

    /// What the kernel does with `sig` now.
    handler current(int sig);

    /// The callable to run for a signal that was taken; kind is not callable when it has been replaced meanwhile.
    /// Context: main thread.
    const handler& wanted(int sig) const noexcept { return entries_[index_of(sig)].wanted; }

    /// The kernel's disposition is our trip routine.
    bool is_installed(int sig) noexcept;

    /// Sets or clears SA_RESTART of the current disposition. Errors: std::system_error.
    void set_restart(int sig, bool restart);

    /// From here on install() remembers what it changes; restore_all() puts that back, but for what other code has
    /// changed since. Scopes do not nest. Context: main thread.
    void begin_scope() noexcept;
    void restore_all() noexcept;

    // Subscriptions (mailbox.cpp), with the mutex held.

    /// The slot wants `sig`: its route, then the disposition. False if it is ignored and the options respect that.
    bool route(int sig, std::size_t slot, const subscription_options& options) noexcept;
    /// A subscription with these options has ended. After the last one of the process the disposition before is put back,
    /// unless other code has replaced ours: true if it was and is to get what is still pending. With `last_here` the
    /// slot's route ends too, and no trip routine is left that has seen it.
    bool unroute(int sig, std::size_t slot, const subscription_options& options, bool last_here) noexcept;
    /// The slot is the main thread's and signal() has set a handler.
    [[nodiscard]] bool main_wants(int sig, std::size_t slot) const noexcept
    {
        return slot == main_slot && wanted(sig).is_callable();
    }

    /// For fork(): the mutex is held across it.
    void lock() noexcept { mutex_.lock(); }
    void unlock() noexcept { mutex_.unlock(); }

private:
    struct entry {
        handler wanted;                     // what install() set last
        std::optional<bool> ignored_before; // when install() was first called for it
        bool changed = false;               // since begin_scope(): the two below tell what was there before
        struct sigaction original {};
        handler original_wanted;
        unsigned subscribers = 0; // in all slots; of them, those whose options say so:
        unsigned interrupting = 0;
        unsigned chaining = 0;
        unsigned final_ones = 0;
        unsigned in_main = 0;            // in the main thread's slot
        struct sigaction base {};        // while there are subscribers: what holds without them and without our handler
        chained_handler over = nullptr;  // other code's, found in the place of ours: it may call ours
        chained_handler below = nullptr; // what was there before ours: ours calls it for `over`, and to chain
    };

    static void let_go(int sig, const struct sigaction& given, const entry& mine) noexcept;
    static int give_instead(int sig, const struct sigaction& action, const entry& mine) noexcept;
    static void leave_to_subscribers(int sig, const struct sigaction& after, entry& mine) noexcept;
    static int set_trip(int sig, const entry& mine, bool restart) noexcept;

    handler to_handler(int sig, const struct sigaction& action) const;
    static bool is_ours(const struct sigaction& action, const handler& wanted) noexcept;

    std::mutex mutex_;
    std::array<entry, signal_count> entries_;
};

} // namespace tocsin::detail
