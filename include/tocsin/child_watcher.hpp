#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <tocsin/config.hpp>
#include <tocsin/seconds.hpp>
#include <tocsin/signum.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

/// How a child ended.
struct child_exit {
    enum class outcome : unsigned char {
        exited,    ///< by itself: `status`
        signalled, ///< by `signal`
        stolen     ///< it is gone, but other code has waited for it (or SIGCHLD is ignored): the rest is not known
    };
    pid_t pid = 0;
    outcome how = outcome::stolen;
    int status = 0;
    signum signal = 0;
    bool core_dumped = false;
    /// Of the child and of the descendants that it has waited for. Source: getrusage(2).
    std::chrono::microseconds user_time{};
    std::chrono::microseconds system_time{};
    std::int64_t max_rss_kib = 0; ///< the largest resident set, in units of 1024 bytes
};

namespace detail {
struct child_watches;
}

/// What watch() returns: the callback may run while it lives. Movable. Context: as the child_watcher, which it may
/// outlive.
class [[nodiscard]] child_watch {
public:
    /// Holds nothing.
    child_watch() noexcept = default;
    child_watch(child_watch&& other) noexcept
        : all_(std::move(other.all_))
        , number_(std::exchange(other.number_, 0))
    {}
    TOCSIN_API child_watch& operator=(child_watch&& other) noexcept;
    child_watch(const child_watch&) = delete;
    child_watch& operator=(const child_watch&) = delete;
    ~child_watch() { cancel(); }

    /// The callback no longer runs. The child is left alone: somebody has to wait for it.
    TOCSIN_API void cancel() noexcept;
    /// The child has not been reported yet.
    [[nodiscard]] TOCSIN_API bool active() const noexcept;

private:
    friend class child_watcher;
    child_watch(std::weak_ptr<detail::child_watches> all, std::uint64_t number) noexcept
        : all_(std::move(all))
        , number_(number)
    {}

    std::weak_ptr<detail::child_watches> all_;
    std::uint64_t number_ = 0; // 0: none
};

/// Tells how children end. It holds a process descriptor for each and waits for exactly those that it watches, so any
/// number may end at once, whatever SIGCHLD merges, and other children are left to whoever started them. Other code
/// that waits for any child (waitpid(-1)) may come first: the end is reported all the same, as `stolen`.
///
/// An event loop polls native_handle() and calls run_pending() when it is readable; others call wait() first. Without
/// process descriptors (Linux before 5.4, some sandboxes) it looks at every watched child when SIGCHLD comes, by a
/// subscription that lasts as long as the watcher.
/// Context: any thread, one at a time, with its child_watch objects. Not in a forked child, whose children these are
/// not: there it can only be destroyed.
class child_watcher {
public:
    /// Errors: std::system_error EMFILE, ENFILE, ENOMEM; std::bad_alloc.
    TOCSIN_API child_watcher();
    /// No callback runs any more.
    TOCSIN_API ~child_watcher();
    child_watcher(const child_watcher&) = delete;
    child_watcher& operator=(const child_watcher&) = delete;

    /// Calls `callback` once in run_pending() after child `pid` has ended, and has waited for it then (it is no zombie
    /// any more). A child that has ended already is reported too.
    /// Errors: std::invalid_argument for an empty function; std::system_error with ECHILD (not a child of this process,
    /// or waited for already), ESRCH (no process), EINVAL (pid below 1), EMFILE, ENFILE, ENOMEM; without process
    /// descriptors also as inbox::on(). Source: pidfd_open(2), waitid(2).
    [[nodiscard]] TOCSIN_API child_watch watch(pid_t pid, std::function<void(const child_exit&)> callback);

    /// Readable while a watched child has ended that has not been reported (level-triggered). Belongs to the watcher:
    /// do not close it.
    [[nodiscard]] TOCSIN_API int native_handle() const noexcept;

    /// Runs the callbacks of the children that have ended and returns how many ran. A callback may watch and cancel,
    /// but not destroy the watcher. Blocks: no. Errors: what a callback throws; the others are still to come.
    /// std::system_error.
    TOCSIN_API std::size_t run_pending();

    /// Waits until there may be something for run_pending(): true; false when the time is over. Without a limit and
    /// without a child, for ever. On the main thread its handlers run meanwhile, and what they throw leaves from here.
    /// Errors: std::invalid_argument, std::overflow_error for the time, as elsewhere; std::system_error.
    TOCSIN_API bool wait(source_location where = source_location::current());
    TOCSIN_API bool wait(seconds limit, source_location where = source_location::current());

private:
    std::shared_ptr<detail::child_watches> all_;
};

} // namespace tocsin
