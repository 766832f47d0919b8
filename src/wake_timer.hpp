#pragma once

// A descriptor that becomes readable at a time: on one of the kernel's clocks, or on a virtual one.

#include <cstdint>
#include <memory>

#include <tocsin/clock.hpp>

namespace tocsin::detail {

class wake_timer {
public:
    static constexpr std::int64_t never = INT64_MAX;

    /// Errors: as timerfd_create().
    explicit wake_timer(int clock);
    /// Errors: std::system_error EMFILE, ENFILE, ENOMEM; std::bad_alloc.
    explicit wake_timer(const virtual_clock& clock);
    wake_timer(const wake_timer&) = delete;
    wake_timer& operator=(const wake_timer&) = delete;
    ~wake_timer();

    [[nodiscard]] time_base base() const noexcept;
    /// Since the clock's epoch.
    [[nodiscard]] std::int64_t now() const noexcept;
    /// A child of fork() gets one of its own under the number, at the first call (queue_fork.hpp).
    /// Errors: std::system_error EMFILE, ENFILE, ENOMEM there.
    [[nodiscard]] int native_handle();
    /// Readable from `time` on, not before. Errors: as native_handle(); nothing has changed then.
    void set(std::int64_t time);
    /// The same, in a child that was refused a descriptor: for when it gets one.
    void set_when_renewed(std::int64_t time) noexcept;
    /// The clock can be set, and may have gone back since the descriptor became readable: it stays so until set() again.
    [[nodiscard]] bool may_be_early() const noexcept { return virtual_ != nullptr || base() == time_base::realtime; }

private:
    friend class tocsin::virtual_clock;
    friend struct virtual_time;
    void renew();
    void set_in_kernel() noexcept;
    void set_event(std::int64_t now) noexcept;

    int clock_;
    int fd_;
    unsigned generation_;
    std::int64_t time_ = never;
    std::shared_ptr<virtual_time> virtual_; // null: the kernel's
};

} // namespace tocsin::detail
