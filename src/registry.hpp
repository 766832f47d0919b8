#pragma once

// What the program wants to happen for each signal, and what was there before it. Ordinary code, one mutex, any thread.

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <optional>

#include <tocsin/handler.hpp>

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
    };

    handler to_handler(int sig, const struct sigaction& action) const;
    static bool is_ours(const struct sigaction& action, const handler& wanted) noexcept;

    std::mutex mutex_;
    std::array<entry, signal_count> entries_;
};

} // namespace tocsin::detail
