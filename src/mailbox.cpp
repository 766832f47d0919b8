#include "mailbox.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include <tocsin/nudge.hpp>
#include <tocsin/safe_point.hpp>

#include "fail.hpp"
#include "interruptible.hpp"
#include "process.hpp"
#include "registry.hpp"
#include "safe_point.hpp"
#include "sys/sys.hpp"

namespace tocsin::detail {
namespace {

using guard = std::lock_guard<registry>;

// The open mailboxes by slot, for fork(). Guarded by the registry's mutex.
constinit std::array<mailbox*, slot_count> open_boxes{};

// What the handler that signal() set is to have besides what is still in slot 0. Guarded by the mutex. It leaves by
// mailbox::take_kept() only.
constinit std::array<std::optional<arrival>, signal_count> kept_for_handler{};

using rings_of_all = std::array<std::unique_ptr<ring>, signal_count>;

// See subscriber::next_busy. Guarded by the mutex.
constinit subscriber* first_busy = nullptr;

// Adds to what there is of a signal.
void merge(std::optional<arrival>& total, const std::optional<arrival>& more) noexcept
{
    if (!total)
        total = more;
    else if (more)
        total->count += more->count;
}

void add_to(subscriber& who, int sig, const siginfo_t& info, std::uint64_t count) noexcept
{
    if (who.options.delivery != delivery::queue) {
        for (event& each : who.events) {
            if (each.signo == sig) {
                each.count += count;
                return;
            }
        }
    }
    std::size_t& waiting = who.waiting[index_of(sig)];
    try {
        if (who.options.delivery != delivery::queue || waiting < who.options.capacity) {
            who.events.push_back(event{sig, siginfo(info), count, {}});
            ++waiting;
            return;
        }
    } catch (const std::bad_alloc&) {
    }
    who.dropped += count;
}

void require_options(const subscription_options& options, bool has_callback, const char* function)
{
    if (options.pending == at_cancel::run && !has_callback)
        throw std::invalid_argument(std::string(function) + ": at_cancel::run without a callback");
    constexpr std::size_t most = std::size_t{1} << 20;
    if (options.delivery == delivery::queue && (options.capacity == 0 || options.capacity > most))
        throw std::invalid_argument(std::string(function) + ": a queue for " + std::to_string(options.capacity) +
                                    " signals: must be 1 to " + std::to_string(most));
}

void require_catchable(const signal_set& signals, const char* function)
{
    if (signals.empty())
        throw std::invalid_argument(std::string(function) + ": the set of signals is empty");
    for (const signum sig : signals) {
        if (sig == SIGKILL || sig == SIGSTOP)
            fail(EINVAL, std::string(function) + ": " + sig.name() + " cannot be caught");
        if (is_reserved(sig))
            fail(EINVAL, std::string(function) + ": signal " + std::to_string(sig) + " is reserved by the C library");
    }
}

bool is_busy(const subscriber& who) noexcept
{
    return who.running.load(std::memory_order_relaxed) != 0 || who.ending.load(std::memory_order_relaxed) != 0;
}

void add_busy(subscriber& who) noexcept
{
    who.previous_busy = nullptr;
    who.next_busy = first_busy;
    if (first_busy != nullptr)
        first_busy->previous_busy = &who;
    first_busy = &who;
}

void remove_busy(subscriber& who) noexcept
{
    (who.previous_busy == nullptr ? first_busy : who.previous_busy->next_busy) = who.next_busy;
    if (who.next_busy != nullptr)
        who.next_busy->previous_busy = who.previous_busy;
}

// Says which thread is in the callback or ends it, and tells whoever waits for it at the end. The last one in there takes the
// callback of an ended subscription along, before it says so. Made under the mutex, with which it is published; ended without.
class stay {
public:
    stay(subscriber& who, std::atomic<std::uintptr_t>& word) noexcept
        : who_(who)
        , word_(word)
    {
        if (!is_busy(who))
            add_busy(who);
        before_ = word.exchange(sys::this_thread(), std::memory_order_relaxed);
    }
    stay(const stay&) = delete;
    stay& operator=(const stay&) = delete;
    ~stay()
    {
        while (!leave()) {
        }
        word_.notify_all();
    }

private:
    // False: it has taken the callback along.
    bool leave() noexcept
    {
        handler over; // ends when the mutex has been released
        const guard hold(registry::instance());
        const auto& other = &word_ == &who_.running ? who_.ending : who_.running;
        const bool last = before_ == 0 && other.load(std::memory_order_relaxed) == 0;
        if (last && who_.home == nullptr && who_.callback.is_callable()) {
            std::swap(over, who_.callback);
            return false;
        }
        word_.store(before_, std::memory_order_release); // pairs with wait_for_others()
        if (last)
            remove_busy(who_);
        return true;
    }

    subscriber& who_;
    std::atomic<std::uintptr_t>& word_;
    std::uintptr_t before_;
};

void wait_for_others(const std::atomic<std::uintptr_t>& word) noexcept
{
    for (;;) {
        const std::uintptr_t thread = word.load(std::memory_order_acquire); // pairs with ~stay()
        if (thread == 0 || thread == sys::this_thread())
            return;
        word.wait(thread, std::memory_order_acquire);
    }
}

} // namespace

constinit std::atomic<mailbox*> mailbox::main_box{nullptr};

std::shared_ptr<mailbox> mailbox::main()
{
    // Never destroyed: signals arrive during and after static destruction too.
    static auto* const it = new std::shared_ptr<mailbox>(std::make_shared<mailbox>(main_slot));
    main_box.store(it->get(), std::memory_order_release); // pairs with the load in safe_point.cpp
    return *it;
}

std::shared_ptr<mailbox> mailbox::make()
{
    claim_process();
    const int fd = sys::event_fd();
    if (fd < 0)
        fail(-fd, "inbox: no descriptor");
    std::shared_ptr<mailbox> made;
    try {
        const guard hold(registry::instance());
        const auto free = std::find(open_boxes.begin() + 1, open_boxes.end(), nullptr);
        if (free == open_boxes.end())
            throw std::length_error("inbox: all " + std::to_string(slot_count - 1) + " are in use");
        made = std::make_shared<mailbox>(static_cast<std::size_t>(free - open_boxes.begin()));
        *free = made.get();
        made->fd_ = fd;
        made->its_slot().asleep.store(false, std::memory_order_relaxed);
        // Published with the first route.
        made->its_slot().wake.store(wake_target{fd, false, true}.pack(), std::memory_order_seq_cst);
    } catch (...) {
        sys::close(fd);
        throw;
    }
    return made;
}

mailbox::~mailbox()
{
    if (number_ == main_slot)
        return;
    {
        const guard hold(registry::instance());
        its_slot().wake.store(0, std::memory_order_seq_cst);
        quiesce(its_slot());
        open_boxes[number_] = nullptr;
    }
    sys::close(fd_);
}

// Takes a subscriber out, once; its end passes on what was pending, unless that is a parent's. Needs no memory, since destructors
// come here: what cannot be kept is counted as dropped.
class mailbox::ending {
public:
    explicit ending(const std::shared_ptr<subscriber>& who) noexcept
        : who_(*who)
    {
        rings_of_all gone; // end when the mutex has been released
        const guard hold(registry::instance());
        home_ = std::move(who->home);
        if (home_ == nullptr)
            return; // another one has
        for (const signum sig : who->signals)
            gone[index_of(sig)] = leave(sig);
        who->signals = signal_set();
        std::erase(home_->subscribers_, who);
        home_->note_events();
        if (who->options.pending == at_cancel::run)
            stay_.emplace(*who, who->ending);
    }
    ending(const ending&) = delete;
    ending& operator=(const ending&) = delete;
    ~ending()
    {
        stay_.reset();
        if (home_ == nullptr || who_.options.pending != at_cancel::redeliver || !same_process())
            return;
        for (const event& each : who_.events) { // ours alone now
            if (arrival again{each.info.native(), each.count}; put_back_.contains(each.signo))
                resend(each.signo, again);
        }
    }

    /// This is who runs what is pending.
    [[nodiscard]] bool runs() const noexcept { return stay_.has_value() && same_process(); }

private:
    // False in a child that the callback has forked, which has all of this too.
    [[nodiscard]] bool same_process() const noexcept { return fork_generation() == generation_; }

    std::unique_ptr<ring> leave(int sig) noexcept
    {
        registry& all = registry::instance();
        bool others = false;
        bool others_queue = false;
        for (const auto& each : home_->subscribers_) {
            if (each.get() == &who_ || !each->wants(sig))
                continue;
            others = true;
            others_queue |= each->options.delivery == delivery::queue;
        }
        const bool last_here = !others && !all.main_wants(sig, home_->number_);
        if (all.unroute(sig, home_->number_, who_.options, last_here))
            put_back_.insert(sig);
        std::unique_ptr<ring> gone;
        if (others_queue)
            home_->collect_early(sig, home_->its_ring(sig)); // each gets its part
        else
            gone = home_->exchange_ring(sig, nullptr);
        if (last_here) { // no trip routine is left that could add to it
            home_->its_slot().pending().fetch_and(~bit_of(sig), std::memory_order_seq_cst);
            home_->take_kept(sig); // for a handler that has gone: those who listened have had it
        }
        return gone;
    }

    subscriber& who_;
    std::shared_ptr<mailbox> home_; // perhaps its last owner: ends when the mutex has been released
    std::optional<stay> stay_;
    signal_set put_back_;
    const unsigned generation_ = fork_generation();
};

subscription mailbox::subscribe(const std::shared_ptr<mailbox>& home, const char* function, const signal_set& signals,
                                handler callback, const subscription_options& options)
{
    require_catchable(signals, function);
    require_options(options, callback.is_callable(), function);
    const auto who = std::make_shared<subscriber>();
    who->home = home;
    who->options = options;
    if (options.delivery == delivery::queue)
        who->options.capacity = std::bit_ceil(options.capacity);
    who->callback = std::move(callback);
    rings_of_all rings;
    if (options.delivery == delivery::queue) {
        for (const signum sig : signals)
            rings[index_of(sig)] = std::make_unique<ring>(options.capacity);
    }
    claim_process();
    registry& all = registry::instance();
    const guard hold(all);
    if (const auto nudge = nudge_signal(); nudge && signals.contains(*nudge) && !is_main_thread())
        throw std::invalid_argument(
            std::string(function) + ": " + nudge->name() +
            " is kept for nudging: subscribe to it on the main thread, or see set_nudge_signal()");
    home->subscribers_.push_back(who);      // the last that may fail; it wants nothing yet:
    for (const signum sig : signals) {      // what has arrived so far is for those who listen already
        auto& fresh = rings[index_of(sig)]; // before the route: the first arrival goes there
        ring* const queued = home->its_ring(sig);
        if (fresh && (queued == nullptr || queued->capacity() < fresh->capacity()))
            fresh = home->exchange_ring(sig, std::move(fresh));
        else
            home->collect_early(sig, queued);
    }
    who->signals = signals;
    for (const signum sig : signals) {
        if (all.route(sig, home->number_, options))
            continue;
        who->signals.erase(sig);
        if (!home->listens(sig))
            rings[index_of(sig)] = home->exchange_ring(sig, nullptr);
    }
    return subscription(who);
}

// Returns the one before, with nothing in it: each has got its part.
std::unique_ptr<ring> mailbox::exchange_ring(int sig, std::unique_ptr<ring> fresh) noexcept
{
    // Pairs with deliver()'s load: who comes in later than quiesce() sees the new one.
    std::unique_ptr<ring> old(its_slot().rings[index_of(sig)].exchange(fresh.release(), std::memory_order_seq_cst));
    if (old != nullptr)
        quiesce(its_slot());
    collect_early(sig, old.get());
    return old;
}

std::optional<arrival> mailbox::collect(int sig) noexcept
{
    const auto total = hand_out(sig, its_ring(sig));
    note_events();
    auto all = take_kept(sig); // the older ones
    merge(all, total);
    return all;
}

std::optional<arrival> mailbox::take_kept(int sig) noexcept
{
    if (number_ != main_slot)
        return std::nullopt;
    return std::exchange(kept_for_handler[index_of(sig)], std::nullopt);
}

// Before its turn, from a ring that may have been taken out of the slot. What the handler that signal() set is to have waits
// for a safe point: the pending bit is still set, or about to be. Where nobody listens it stays for whoever will: the handler
// that it came for has gone.
void mailbox::collect_early(int sig, ring* queued) noexcept
{
    const bool main_wants = registry::instance().main_wants(sig, number_);
    if (queued == nullptr && !main_wants && !listens(sig))
        return;
    const auto total = hand_out(sig, queued);
    note_events();
    if (main_wants)
        merge(kept_for_handler[index_of(sig)], total);
}

std::optional<arrival> mailbox::hand_out(int sig, ring* queued) noexcept
{
    // The record has what came before there was a ring; or after, once it has been taken out.
    const bool ring_first = its_ring(sig) == nullptr;
    std::optional<arrival> total;
    if (queued != nullptr && ring_first)
        total = hand_out_ring(sig, *queued);
    merge(total, hand_out_record(sig));
    if (queued != nullptr && !ring_first)
        merge(total, hand_out_ring(sig, *queued));
    return total;
}

std::optional<arrival> mailbox::hand_out_record(int sig) noexcept
{
    const std::optional<arrival> total = take(its_slot(), sig);
    if (!total)
        return total;
    for (const auto& each : subscribers_) {
        if (!each->wants(sig))
            continue;
        if (each->options.delivery != delivery::queue)
            add_to(*each, sig, total->info, total->count);
        else
            for (std::uint64_t n = 0; n < total->count; ++n)
                add_to(*each, sig, total->info, 1);
    }
    return total;
}

std::optional<arrival> mailbox::hand_out_ring(int sig, ring& queued) noexcept
{
    std::uint64_t count = 0;
    std::optional<siginfo_t> first;
    for (std::size_t n = 0; n < queued.capacity(); ++n) { // bounded: trips may go on
        const auto info = queued.pop();
        if (!info)
            break;
        if (count++ == 0)
            first = *info;
        for (const auto& each : subscribers_) {
            if (each->wants(sig) && each->options.delivery == delivery::queue)
                add_to(*each, sig, *info, 1);
        }
    }
    if (!first)
        first = queued.last();
    if (!first) // those that were dropped are counted with the first one, which is still being written
        return std::nullopt;
    const std::uint64_t dropped = queued.take_dropped();
    if (count + dropped == 0)
        return std::nullopt;
    for (const auto& each : subscribers_) {
        if (!each->wants(sig))
            continue;
        if (each->options.delivery == delivery::queue)
            each->dropped += dropped;
        else
            add_to(*each, sig, *first, count + dropped);
    }
    return arrival{*first, count + dropped};
}

std::size_t mailbox::run_collected(source_location where, bool (*deferred)() noexcept)
{
    registry& all = registry::instance();
    std::size_t ran = 0;
    while (has_events() && (deferred == nullptr || !deferred())) {
        std::shared_ptr<subscriber> who;
        event next;
        std::optional<stay> inside;
        {
            const guard hold(all);
            const auto found = std::find_if(subscribers_.begin(), subscribers_.end(), [this](const auto& each) {
                return each->callback.is_callable() && !each->events.empty() && !is_early(each->events.front());
            });
            if (found == subscribers_.end())
                break;
            who = *found;
            next = *take_from(*who, where);
            note_events();
            inside.emplace(*who, who->running);
        }
        ++ran;
        std::optional<ending> last; // what else is pending is passed on when the callback has run
        if (who->options.once)
            last.emplace(who);
        who->callback(next);
    }
    return ran;
}

// The handler that signal() set is to have it first, at its turn.
bool mailbox::is_early(const event& next) const noexcept
{
    return number_ == main_slot && kept_for_handler[index_of(next.signo)].has_value();
}

// After each change to somebody's events. Pairs with has_events().
void mailbox::note_events() noexcept
{
    has_events_.store(
        std::any_of(subscribers_.begin(), subscribers_.end(), [](const auto& each) { return !each->events.empty(); }),
        std::memory_order_seq_cst);
}

void mailbox::cancel(const std::shared_ptr<subscriber>& who)
{
    registry& all = registry::instance();
    const ending end(who);
    wait_for_others(who->running);
    if (who->running.load(std::memory_order_relaxed) == 0) // else in the callback, for which the other one may wait
        wait_for_others(who->ending);
    while (end.runs()) {
        std::optional<event> next;
        {
            const guard hold(all);
            if (!who->options.once || who->delivered == 0)
                next = take_from(*who, {});
        }
        if (!next)
            break;
        who->callback(*next);
    }
    handler over; // the callback ends with its subscription, when the mutex has been released
    const guard hold(all);
    if (!is_busy(*who)) // else whoever leaves last takes it along
        std::swap(over, who->callback);
}

void mailbox::close() noexcept
{
    closed_ = true;
    poke();
    for (;;) {
        std::shared_ptr<subscriber> who;
        {
            const guard hold(registry::instance());
            if (subscribers_.empty())
                return;
            who = subscribers_.back();
        }
        cancel(who);
    }
}

signal_set mailbox::signals(const subscriber& who) noexcept
{
    const guard hold(registry::instance());
    return who.signals;
}

mailbox::numbers mailbox::counts(const subscriber& who) noexcept
{
    const guard hold(registry::instance());
    return {who.dropped, who.delivered};
}

bool mailbox::listens(int sig) const noexcept
{
    return std::any_of(subscribers_.begin(), subscribers_.end(), [&](const auto& each) { return each->wants(sig); });
}

// Drained after that: a trip routine that has written found the owner asleep, and has published before; the owner looks
// afterwards. One that is late with its write, or poke(), is found by `readable`.
void mailbox::wake_up(bool readable) noexcept
{
    const bool nobody_wrote = its_slot().asleep.exchange(false, std::memory_order_seq_cst); // pairs with wake()
    if (readable || (armed_ && !nobody_wrote))
        drain();
    armed_ = false;
}

void mailbox::drain() noexcept
{
    std::uint64_t count = 0;
    sys::read(fd_, &count, sizeof count);
}

// Says so first, then looks once more: an arrival after the look finds the owner asleep and writes.
void mailbox::go_to_sleep() noexcept
{
    armed_ = true;
    its_slot().asleep.store(true, std::memory_order_seq_cst); // pairs with the exchange in wake()
    if (may_be_pending() && its_slot().asleep.exchange(false, std::memory_order_seq_cst))
        sys::signal_event(fd_);
}

bool mailbox::may_be_pending() const noexcept
{
    return its_slot().pending().load(std::memory_order_seq_cst) != 0 || has_events();
}

std::size_t mailbox::run_pending(source_location where)
{
    struct sleeper {
        mailbox& box;
        ~sleeper()
        {
            if (box.polled_)
                box.go_to_sleep();
        }
    };
    check_signals(where);
    wake_up();
    const sleeper at_end{*this};
    std::size_t ran = run_collected(where, nullptr); // left by a callback that threw
    std::uint64_t seen = its_slot().pending().load(std::memory_order_seq_cst);
    if (seen == 0 && ran == 0 && polled_)
        drain();                          // by an arrival that an earlier call took before the descriptor was written
    for (; seen != 0; seen &= seen - 1) { // ascending, one pass: see run_pending() of the main thread
        const int sig = std::countr_zero(seen) + 1;
        if ((its_slot().pending().fetch_and(~bit_of(sig), std::memory_order_seq_cst) & bit_of(sig)) == 0)
            continue;
        {
            const guard hold(registry::instance());
            collect(sig);
        }
        ran += run_collected(where, nullptr);
    }
    return ran;
}

bool mailbox::wait(const time_limit& limit, source_location where)
{
    require_descriptor();
    for (;;) {
        if (closed_)
            return false;
        if (may_be_pending())
            return true;
        if (poked_.exchange(false, std::memory_order_acquire)) // pairs with poke()
            return false;
        go_to_sleep();
        const long got = wait_readable(fd_, limit, where);
        wake_up(got > 0);
        const bool found = may_be_pending();
        if (polled_)
            go_to_sleep();
        if (found)
            return true;
        if (got == 0 || got == -ETIMEDOUT)
            return false;
    }
}

std::optional<event> mailbox::take_from(subscriber& who, source_location where) noexcept
{
    if (who.events.empty())
        return std::nullopt;
    event next = who.events.front();
    next.where = where;
    if (who.options.delivery == delivery::count && next.count > 1) {
        --who.events.front().count;
        next.count = 1;
    } else {
        who.events.pop_front();
        --who.waiting[index_of(next.signo)];
    }
    ++who.delivered;
    return next;
}

std::optional<event> mailbox::take_event(source_location where) noexcept
{
    std::shared_ptr<subscriber> who;
    std::optional<event> next;
    {
        const guard hold(registry::instance());
        for (const auto& each : subscribers_) {
            if (!each->callback.is_callable() && !each->events.empty()) {
                who = each;
                next = take_from(*who, where);
                note_events();
                break;
            }
        }
    }
    if (who != nullptr && who->options.once)
        const ending last(who);
    return next;
}

std::optional<event> mailbox::try_next(source_location where)
{
    auto next = take_event(where);
    if (!next) {
        run_pending(where);
        next = take_event(where);
    }
    if (next && polled_ && !may_be_pending()) {
        wake_up();
        go_to_sleep();
    }
    return next;
}

int mailbox::descriptor() noexcept
{
    polled_ = true;
    wake_up();
    go_to_sleep();
    return fd_;
}

void mailbox::poke() noexcept
{
    poked_.store(true, std::memory_order_release);
    sys::signal_event(fd_);
}

void mailbox::renew() noexcept
{
    clear(its_slot());
    for (int sig = 1; sig < nsig; ++sig)
        take_kept(sig);
    for (const auto& each : subscribers_) {
        each->events.clear();
        each->waiting = {};
    }
    note_events();
    if (number_ == main_slot)
        return;
    poked_.store(false, std::memory_order_relaxed);
    armed_ = polled_;
    its_slot().asleep.store(polled_, std::memory_order_relaxed);
    if (sys::renew_event_fd(fd_) < 0) { // closed: the parent's must not be written to
        its_slot().wake.store(0, std::memory_order_relaxed);
        fd_ = -1;
    }
}

// In a child where renew() was refused one.
void mailbox::require_descriptor()
{
    if (fd_ >= 0)
        return;
    const int fd = sys::event_fd();
    if (fd < 0)
        fail(-fd, "inbox::wait: no descriptor since fork()");
    fd_ = fd;
    its_slot().wake.store(wake_target{fd, false, true}.pack(), std::memory_order_seq_cst); // pairs with wake()
}

void mailbox::renew_all() noexcept
{
    for (subscriber* next = first_busy; next != nullptr;) {
        subscriber& each = *std::exchange(next, next->next_busy);
        for (auto* const word : {&each.running, &each.ending}) {
            if (word->load(std::memory_order_relaxed) != sys::this_thread())
                word->store(0, std::memory_order_relaxed); // a thread that does not exist here
        }
        if (!is_busy(each))
            remove_busy(each);
    }
    for (slot& each : slots) // also one that nobody has now: a trip routine that comes too late looks in
        each.visits.forget();
    clear(slots[main_slot]);
    slots[main_slot].wake.store(0, std::memory_order_relaxed);
    if (mailbox* const box = main_box.load(std::memory_order_relaxed); box != nullptr)
        box->renew();
    for (mailbox* const each : open_boxes) {
        if (each != nullptr)
            each->renew();
    }
}

} // namespace tocsin::detail
