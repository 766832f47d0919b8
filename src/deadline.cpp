#include <tocsin/deadline.hpp>

#include <algorithm>
#include <exception>
#include <stdexcept>

#include "deadlines.hpp"
#include "fail.hpp"
#include "interruptible.hpp"
#include "process.hpp"
#include "safe_point.hpp"
#include "sys/thread_timer.hpp"
#include "trip.hpp"

namespace tocsin {
namespace detail {

constinit limited_thread limited[limited_most]{};
constinit std::atomic<unsigned> limited_elsewhere{0};

namespace {

constexpr std::int64_t never = INT64_MAX;
// While nothing can be thrown, a deadline that has passed is looked at again after this, and then at ever longer intervals:
// a call whose own time begins anew when it is interrupted (SO_RCVTIMEO) must come to its end.
constexpr std::int64_t again_after = 1'000'000;

std::size_t take_place(bool main)
{
    if (main) {
        limited[0].thread.store(sys::this_thread(), std::memory_order_relaxed); // read by this thread's handler
        return 0;
    }
    limited_elsewhere.fetch_add(1, std::memory_order_relaxed); // read by this thread; first, for renew_deadlines()
    static constinit std::atomic<std::size_t> next{0};
    for (std::size_t tries = 0; tries < limited_most; ++tries) {
        const std::size_t at = next.fetch_add(1, std::memory_order_relaxed) % limited_most;
        std::uintptr_t nobody = 0;
        // Acquire pairs with the release in give_up_place(): the one before has left its word.
        if (at != 0 &&
            limited[at].thread.compare_exchange_strong(nobody, sys::this_thread(), std::memory_order_acquire))
            return at;
    }
    limited_elsewhere.fetch_sub(1, std::memory_order_relaxed);
    fail(EAGAIN, "deadline: " + std::to_string(limited_most - 1) + " threads have deadlines already");
}

void give_up_place(std::size_t at) noexcept
{
    limited[at].due().fetch_and(~deadline_bit, std::memory_order_seq_cst);
    limited[at].thread.store(0, std::memory_order_release);
    if (at != 0)
        limited_elsewhere.fetch_sub(1, std::memory_order_relaxed);
}

} // namespace

/// The deadlines of one thread.
struct deadline_stack {
    static constexpr int no_timer = -1;

    deadline* innermost = nullptr;
    std::int64_t set_to = never;     // the timer
    std::int64_t put_off_at = never; // since then nothing can be thrown, as far as known
    int timer = no_timer;
    std::size_t place = 0;
    bool nudge_was_blocked = false;

    [[nodiscard]] bool on_main() const noexcept { return place == 0; }
    void begin();
    void end() noexcept;
    void make_timer(int sig) noexcept;
    void set_timer(std::int64_t at) noexcept;
    [[nodiscard]] std::int64_t earliest(std::int64_t from) const noexcept;
    void follow() noexcept;
    void push(deadline& each);
    void remove(deadline& each) noexcept;
    void look();
    void expired(std::uint64_t id) noexcept;
};

namespace {

thread_local constinit deadline_stack mine;

void block_nudge(int how, int sig, sigset_t* before) noexcept
{
    sigset_t nudge;
    ::sigemptyset(&nudge);
    ::sigaddset(&nudge, sig);
    sys::set_mask(how, &nudge, before);
}

} // namespace

void deadline_stack::begin()
{
    const bool main = is_main_thread();
#if TOCSIN_REPEATED_CALLS
    require_main_thread("deadline"); // the calls of other threads cannot be interrupted: repeated_call.hpp
#endif
    const int sig = nudge_signal_for_timers();
    place = take_place(main);
    make_timer(sig);
    if (timer < 0) {
        const int error = -std::exchange(timer, no_timer);
        give_up_place(place);
        fail(error, "deadline: no timer");
    }
    sigset_t before{};
    block_nudge(SIG_UNBLOCK, sig, &before);
    nudge_was_blocked = ::sigismember(&before, sig) == 1;
}

void deadline_stack::end() noexcept
{
    if (timer >= 0)
        sys::delete_thread_timer(timer); // what it has sent arrives now
    timer = no_timer;
    give_up_place(place);
    if (nudge_was_blocked && !on_main())
        block_nudge(SIG_BLOCK, nudge_number.load(std::memory_order_relaxed), nullptr);
}

void deadline_stack::make_timer(int sig) noexcept
{
    set_to = never;
    timer = sys::make_thread_timer(sig, static_cast<int>(place));
}

void deadline_stack::set_timer(std::int64_t at) noexcept
{
    if (at == set_to || timer < 0)
        return;
    set_to = at;
    sys::set_thread_timer(timer, at);
}

std::int64_t deadline_stack::earliest(std::int64_t from) const noexcept
{
    std::int64_t found = never;
    for (const deadline* each = innermost; each != nullptr; each = each->outer_) {
        const std::int64_t at = each->at_.load(std::memory_order_relaxed);
        if (at >= from)
            found = std::min(found, at);
    }
    return found;
}

// The timer, when a deadline has come, gone or changed.
void deadline_stack::follow() noexcept
{
    put_off_at = never;
    set_timer(earliest(INT64_MIN));
}

void deadline_stack::push(deadline& each)
{
    if (innermost == nullptr)
        begin();
    each.outer_ = innermost;
    innermost = &each;
    follow();
}

void deadline_stack::remove(deadline& each) noexcept
{
    deadline** link = &innermost;
    while (*link != &each && *link != nullptr)
        link = &(*link)->outer_;
    if (*link != nullptr)
        *link = each.outer_;
    if (innermost == nullptr)
        end();
    else
        follow(); // one that has passed: the bit is set again at once
}

// At any time one of these holds for a deadline that has passed: the bit is set, or the timer is set to a time to look
// again, or it is about to send its signal.
void deadline_stack::look()
{
    std::atomic<std::uint64_t>& due = limited[place].due();
    // Relaxed: set by this thread's handler, or by it.
    const bool told = (due.load(std::memory_order_relaxed) & deadline_bit) != 0;
    if (told)
        due.fetch_and(~deadline_bit, std::memory_order_seq_cst); // pairs with note_deadline()
    const int in_flight = std::uncaught_exceptions();
    const std::int64_t now = sys::monotonic_now();
    const deadline* passed = nullptr; // the outermost
    bool later = false;
    for (const deadline* each = innermost; each != nullptr; each = each->outer_) {
        if (each->at_.load(std::memory_order_relaxed) > now)
            continue;
        if (each->exceptions_ < in_flight)
            later = true; // it would end the program
        else
            passed = each;
    }
    put_off_at = later && passed == nullptr ? std::min(put_off_at, now) : never;
    if (passed != nullptr) {
        due.fetch_or(deadline_bit, std::memory_order_seq_cst); // so that the next safe point throws too
        throw deadline_exceeded(passed->id_,
                                "deadline of " + describe(std::chrono::nanoseconds(passed->length_)) + " has passed");
    }
    if (later) {
        set_timer(std::min(now + std::max(again_after, now - put_off_at), earliest(now + 1)));
    } else if (told) {
        set_to = never; // set it also to the same time: it need not go by exactly the same clock
        set_timer(earliest(now + 1));
    }
}

// One that has been seen to be over before the timer has said so: if it is of this thread, the next safe point throws.
void deadline_stack::expired(std::uint64_t id) noexcept
{
    for (const deadline* each = innermost; each != nullptr; each = each->outer_) {
        if (each->id_ == id) {
            limited[place].due().fetch_or(deadline_bit, std::memory_order_seq_cst); // pairs with look()
            return;
        }
    }
}

void look_at_deadlines()
{
    if (mine.innermost != nullptr)
        mine.look();
    else
        main_pending.fetch_and(~deadline_bit, std::memory_order_seq_cst);
}

void look_at_deadlines_elsewhere()
{
    // Relaxed: set by this thread's handler, or by it.
    if (mine.innermost != nullptr && !mine.on_main() && limited[mine.place].due().load(std::memory_order_relaxed) != 0)
        mine.look();
}

const std::atomic<std::uint64_t>& deadline_gate() noexcept
{
    return mine.innermost != nullptr && !mine.on_main() ? limited[mine.place].due() : sys::open_gate;
}

void renew_deadline_timer() noexcept
{
    if (mine.timer < 0)
        return;
    sys::delete_thread_timer(mine.timer);
    mine.make_timer(nudge_number.load(std::memory_order_relaxed));
    mine.set_timer(mine.earliest(INT64_MIN));
}

void renew_deadlines() noexcept
{
    limited[0].thread.store(0, std::memory_order_relaxed);
    if (limited_elsewhere.exchange(0, std::memory_order_relaxed) != 0) { // most programs never touch these pages
        for (limited_thread& each : limited)
            each.thread.store(0, std::memory_order_relaxed);
    }
    if (mine.innermost == nullptr)
        return;
    mine.place = take_place(true);
    mine.make_timer(nudge_number.load(std::memory_order_relaxed));
    mine.set_timer(mine.earliest(INT64_MIN));
}

} // namespace detail

namespace {

// Nanoseconds that are left, as given.
std::int64_t length_of(seconds time, const char* function)
{
    const auto ns = time.nanoseconds(function);
    if (time.given() < 0) // rounded up, a little less than 0 is 0
        throw std::invalid_argument(std::string(function) + ": " + detail::describe(time) +
                                    ": a time must not be negative");
    return ns.count();
}

std::int64_t after_now(std::int64_t ns) noexcept
{
    std::int64_t at = 0;
    return __builtin_add_overflow(sys::monotonic_now(), ns, &at) ? detail::never : at; // centuries
}

constinit std::atomic<std::uint64_t> last_id{0};

std::uint64_t new_id() noexcept { return last_id.fetch_add(1, std::memory_order_relaxed) + 1; }

} // namespace

deadline::deadline(seconds time)
    : at_(0)
    , length_(length_of(time, "deadline"))
    , id_(new_id())
    , exceptions_(std::uncaught_exceptions())
{
    at_.store(after_now(length_), std::memory_order_relaxed);
    detail::mine.push(*this);
}

deadline::deadline(time_point end)
    : at_(end.time_since_epoch().count())
    , length_(remaining().count())
    , id_(new_id())
    , exceptions_(std::uncaught_exceptions())
{
    detail::mine.push(*this);
}

deadline::deadline(const deadline& other, same /*unused*/)
    : at_(other.at_.load(std::memory_order_relaxed))
    , length_(remaining().count())
    , id_(other.id_)
    , exceptions_(std::uncaught_exceptions())
{
    detail::mine.push(*this);
}

deadline::~deadline() { detail::mine.remove(*this); }

void deadline::check(source_location where)
{
    detail::safe_point(where);
    if (detail::mine.innermost != nullptr && !(detail::mine.on_main() && detail::deferred()))
        detail::mine.look();
}

void deadline::reset(seconds time)
{
    length_ = length_of(time, "deadline::reset");
    at_.store(after_now(length_), std::memory_order_relaxed);
    detail::mine.follow();
}

void deadline::cancel() noexcept
{
    at_.store(detail::never, std::memory_order_relaxed);
    detail::mine.follow();
}

bool deadline::expired() const noexcept
{
    if (remaining().count() != 0)
        return false;
    detail::mine.expired(id_);
    return true;
}

std::chrono::nanoseconds deadline::remaining() const noexcept
{
    const std::int64_t at = at_.load(std::memory_order_relaxed);
    if (at == detail::never)
        return std::chrono::nanoseconds::max();
    // Compared first: a point long past would overflow.
    const std::int64_t now = sys::monotonic_now();
    return std::chrono::nanoseconds(at > now ? at - now : 0);
}

} // namespace tocsin
