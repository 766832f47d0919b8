#include "timer_wheel.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <new>
#include <utility>

namespace tocsin::detail {

namespace {

constexpr std::size_t most_per_poll = 256; // timers that one poll moves out of a ring: some 15 us
constexpr std::size_t most_to_sweep = 512; // and of those that were put off
constexpr std::uint16_t few_to_sort = 2;   // not worth a search for their buckets
constexpr std::size_t enough_to_sort = 32; // at once
constexpr int sweep_bits = 20;             // 1 ms, after which it goes on
constexpr std::size_t most_to_search = 64; // for a deadline: rather one wake-up too many, at the start of the slot

} // namespace

timer_wheel::ring::ring(int s, std::int64_t n, unsigned c)
    : shift(s)
    , size(n)
    , width(c)
    // Large and mostly not touched: pages of zeroes that take no memory yet.
    , heads(static_cast<timer**>(std::calloc(static_cast<std::size_t>(n) * c, sizeof(void*))))
    , bits(std::make_unique<std::uint64_t[]>(static_cast<std::size_t>(n) / 64))
{
    if (heads == nullptr)
        throw std::bad_alloc();
}

std::int64_t timer_wheel::ring::next(std::int64_t current) noexcept
{
    if (!used)
        return none;
    const std::int64_t end = of(current) + size;
    for (std::int64_t slot = of(current) + 1; slot < end;) {
        std::uint64_t& word = bits[index(slot) / 64];
        const std::uint64_t rest = word >> (index(slot) % 64);
        if (rest == 0) {
            slot += 64 - static_cast<std::int64_t>(index(slot) % 64);
            continue;
        }
        slot += std::countr_zero(rest);
        if (slot >= end) // that is the current one's bit
            break;
        timer* const* const head = chain(slot);
        if (std::any_of(head, head + width, [](const timer* each) { return each != nullptr; }))
            return slot;
        word &= ~(std::uint64_t{1} << (index(slot) % 64)); // all are gone
    }
    used = false;
    return none;
}

std::int64_t timer_wheel::ring::next_start(std::int64_t current) noexcept
{
    const std::int64_t slot = next(current);
    return slot == none ? none : start_slot(slot);
}

timer_wheel::timer_wheel(std::int64_t now)
    : rings_{ring(0, 8192, chains), ring(level_bits, 8192, 1), ring(2 * level_bits, 32768, 1)}
    , current_(slot_of(now))
    , last_crowd_(current_)
    , swept_(current_)
{}

void timer_wheel::push(timer*& head, timer& which) noexcept
{
    which.next_ = head;
    if (head != nullptr)
        head->back_ = &which.next_;
    which.back_ = &head;
    head = &which;
}

void timer_wheel::unlink(timer& which) noexcept
{
    *which.back_ = which.next_;
    if (which.next_ != nullptr)
        which.next_->back_ = which.back_;
}

// To where the timer belongs by its deadline.
std::int64_t timer_wheel::put(timer& which) noexcept
{
    const std::int64_t slot = slot_of(which.deadline_);
    if (slot <= current_) {
        put_in_heap(which);
        return which.deadline_;
    }
    std::size_t level = 0;
    while (rings_[level].of(slot) - rings_[level].of(current_) >= rings_[level].size)
        ++level;
    ring& in = rings_[level];
    const std::int64_t mine = in.of(slot);
    push(in.chain(mine)[(which.order_ >> place_bits) & (in.width - 1)], which);
    set_place(which, place::list);
    const bool had = in.mark(mine);
    if (level > 0)
        return in.start_of(mine - 1); // from then on it may be moved down
    std::uint16_t& count = put_into(slot);
    const std::uint16_t before = had ? count : 0;
    if (before < crowd) [[likely]] {
        count = static_cast<std::uint16_t>(before + 1);
        return which.deadline_;
    }
    if (slot <= swept_) {
        set_place(which, place::swept);
        return which.deadline_;
    }
    last_crowd_ = std::max(last_crowd_, slot);
    return put_off_ < crowd ? which.deadline_ : in.start_of(slot - sweep_ahead);
}

void timer_wheel::put_late(timer& which) noexcept
{
    push(late_, which);
    set_place(which, place::list);
}

std::int64_t timer_wheel::insert(timer& which, std::int64_t deadline) noexcept
{
    const std::uint64_t order = ++orders_ << place_bits;
    const bool late = is_late(deadline);
    if (which.wheel_ == this) {
        if (place_of(which) == place::list && deadline >= which.deadline_ && !late) { // found there early enough
            which.deadline_ = deadline;
            which.order_ = order | static_cast<std::uint64_t>(place::list);
            return ++put_off_ == crowd ? rings_[0].start_of(current_ + 1) : never;
        }
        erase(which);
    }
    which.wheel_ = this;
    which.deadline_ = deadline;
    which.order_ = order;
    ++size_;
    if (!late)
        return put(which);
    put_late(which);
    return deadline;
}

void timer_wheel::erase(timer& which) noexcept
{
    unlink(which);
    if (place_of(which) == place::heap)
        add_to_heap(merge_pairs(which.child_));
    which.wheel_ = nullptr;
    --size_;
}

// Every timer, as a list by next_; none is linked any more.
timer* timer_wheel::take_all() noexcept
{
    timer* all = nullptr;
    const auto take_list = [&all](timer*& head) {
        while (head != nullptr) {
            timer* const each = std::exchange(head, head->next_);
            each->next_ = all;
            all = each;
        }
    };
    for (ring& in : rings_) {
        for (std::int64_t slot = 0; (slot = in.next(current_)) != none;) {
            for (unsigned chain = 0; chain < in.width; ++chain)
                take_list(in.chain(slot)[chain]);
        }
    }
    take_list(late_);
    for (timer*& head : rest_)
        take_list(head);
    sweeping_ = false;
    take_list(run_);
    for (timer*& bucket : buckets_)
        take_list(bucket);
    while (hot_ != nullptr) { // with each, its children come into the list of those to take
        timer* const each = std::exchange(hot_, hot_->next_);
        if (timer* last = each->child_; last != nullptr) {
            while (last->next_ != nullptr)
                last = last->next_;
            last->next_ = std::exchange(hot_, each->child_);
        }
        each->next_ = all;
        all = each;
    }
    return all;
}

void timer_wheel::clear(void (*release)(timer&)) noexcept
{
    for (timer* all = take_all(); all != nullptr;) // linked again: what is released may destroy others of them
        put_late(*std::exchange(all, all->next_));
    while (late_ != nullptr) {
        timer& each = *late_;
        erase(each);
        release(each);
    }
}

void timer_wheel::turn_back(std::int64_t now) noexcept
{
    timer* all = take_all();
    current_ = slot_of(now);
    last_crowd_ = current_;
    swept_ = current_;
    put_into_.fill(0);
    while (all != nullptr)
        put(*std::exchange(all, all->next_));
}

// The heap, a pairing heap: each timer is before its children. The root's next_ is null when nothing is under way.

timer* timer_wheel::meld(timer* a, timer* b) noexcept
{
    if (a == nullptr || b == nullptr)
        return a == nullptr ? b : a;
    if (before(*b, *a))
        std::swap(a, b);
    push(a->child_, *b);
    return a;
}

timer* timer_wheel::merge_pairs(timer* siblings) noexcept
{
    timer* pairs = nullptr;
    while (siblings != nullptr) {
        timer* const a = siblings;
        timer* const b = a->next_;
        siblings = b == nullptr ? nullptr : b->next_;
        timer* const pair = meld(a, b);
        pair->next_ = pairs;
        pairs = pair;
    }
    timer* root = nullptr;
    while (pairs != nullptr) {
        timer* const rest = pairs->next_;
        root = meld(root, pairs);
        pairs = rest;
    }
    return root;
}

void timer_wheel::add_to_heap(timer* root) noexcept
{
    hot_ = meld(hot_, root);
    if (hot_ == nullptr)
        return;
    hot_->next_ = nullptr;
    hot_->back_ = &hot_;
}

void timer_wheel::put_in_heap(timer& which) noexcept
{
    which.child_ = nullptr;
    set_place(which, place::heap);
    add_to_heap(&which);
}

timer* timer_wheel::first() noexcept
{
    if (run_ == nullptr && used_ > 0)
        sort_more();
    if (run_ == nullptr || hot_ == nullptr)
        return run_ != nullptr ? run_ : hot_;
    return before(*run_, *hot_) ? run_ : hot_;
}

// A slot's turn: its timers are strewn over buckets, each a 256th of the slot, and these sorted one after the other.

timer* timer_wheel::merge(timer* a, timer* b) noexcept
{
    timer* merged = nullptr;
    timer** end = &merged;
    while (a != nullptr && b != nullptr) {
        timer*& less = before(*b, *a) ? b : a;
        *end = less;
        end = &less->next_;
        less = less->next_;
    }
    *end = a != nullptr ? a : b;
    return merged;
}

timer* timer_wheel::sort(timer* list) noexcept
{
    if (list->next_ == nullptr)
        return list;
    // Bin n holds a sorted list of 2^n, or none.
    std::array<timer*, 48> bins; // NOLINT(cppcoreguidelines-pro-type-member-init): as far as used
    std::size_t used = 0;
    while (list != nullptr) {
        timer* sorted = std::exchange(list, list->next_);
        sorted->next_ = nullptr;
        std::size_t bin = 0;
        for (; bin < used && bins[bin] != nullptr; ++bin)
            sorted = merge(std::exchange(bins[bin], nullptr), sorted);
        if (bin == used)
            ++used;
        bins[bin] = sorted;
    }
    timer* sorted = nullptr;
    for (std::size_t bin = 0; bin < used; ++bin)
        sorted = merge(bins[bin], sorted);
    return sorted;
}

void timer_wheel::load(std::int64_t slot) noexcept
{
    current_ = slot;
    const bool few = std::exchange(put_into(slot), 0) <= few_to_sort;
    ring& in = rings_[0];
    std::array<timer*, chains> next{};
    std::copy_n(in.chain(slot), chains, next.begin());
    std::fill_n(in.chain(slot), chains, nullptr);
    for (bool more = true; more;) {
        more = false;
        for (timer*& head : next) {
            if (head == nullptr)
                continue;
            more = true;
            timer* const each = std::exchange(head, head->next_);
            __builtin_prefetch(head);
            if (slot_of(each->deadline_) != slot) { // put off since
                put(*each);
                continue;
            }
            const auto bucket =
                few ? 0 : static_cast<std::size_t>(each->deadline_ >> (slot_bits - bucket_bits)) % buckets;
            push(buckets_[bucket], *each);
            set_place(*each, place::run);
            std::uint64_t& word = used_buckets_[bucket / 64];
            const std::uint64_t bit = std::uint64_t{1} << (bucket % 64);
            used_ += (word & bit) == 0 ? 1 : 0;
            word |= bit;
        }
    }
}

// The next buckets become run_: one that is not empty, or several with few timers.
void timer_wheel::sort_more() noexcept
{
    timer** end = &run_;
    std::size_t sorted = 0;
    for (std::size_t word = 0; sorted < enough_to_sort && used_ > 0;) {
        std::uint64_t& used = used_buckets_[word];
        if (used == 0) {
            ++word;
            continue;
        }
        timer*& bucket = buckets_[word * 64 + static_cast<std::size_t>(std::countr_zero(used))];
        used &= used - 1;
        --used_;
        if (bucket == nullptr) // all are gone
            continue;
        for (timer* each = sort(std::exchange(bucket, nullptr)); each != nullptr; each = each->next_) {
            *end = each;
            each->back_ = end;
            end = &each->next_;
            ++sorted;
        }
    }
    *end = nullptr;
}

// Goes to the first slot with timers up to `last`, or to `last` itself: false. Only when run_ and the heap are empty.
bool timer_wheel::advance(std::int64_t last) noexcept
{
    while (current_ < last) {
        const std::int64_t found = rings_[0].next(current_);
        if (sweeping_ && swept_ <= std::min(found, last)) {
            sweep_rest();
            continue;
        }
        // Where the next slot of a higher ring begins: its timers come into the lower ones then.
        std::int64_t boundary = rings_[1].start_slot(rings_[1].of(current_) + 1);
        if (found == none) // nothing is passed by on the way to the next one in use
            boundary = std::min(rings_[1].next_start(current_), rings_[2].next_start(current_));
        if (found < boundary && found <= last) {
            load(found);
            if (first() != nullptr)
                return true;
            continue; // all were put off
        }
        if (boundary > last)
            break;
        current_ = boundary - 1;
        for (std::size_t level = rings_.size() - 1; level > 0; --level) {
            ring& from = rings_[level];
            if (from.start_slot(from.of(boundary)) == boundary)
                move_down(from, from.of(boundary), SIZE_MAX);
        }
        load(boundary);
        if (first() != nullptr)
            return true;
    }
    current_ = std::max(current_, last);
    return false;
}

// From lists that are followed side by side to where they belong. Returns how many more it could have moved: zero if some
// may be left.
std::size_t timer_wheel::move_on(timer** heads, unsigned width, std::size_t most) noexcept
{
    for (bool more = true; more;) {
        more = false;
        for (timer** head = heads; head != heads + width; ++head) {
            if (*head == nullptr)
                continue;
            if (most == 0)
                return 0;
            --most;
            more = true;
            timer& each = **head;
            unlink(each);
            __builtin_prefetch(*head);
            put(each);
        }
    }
    return most;
}

std::size_t timer_wheel::move_down(ring& from, std::int64_t slot, std::size_t most) noexcept
{
    return move_on(from.chain(slot), from.width, most);
}

void timer_wheel::tidy() noexcept
{
    for (std::size_t level = rings_.size() - 1; level > 0; --level)
        move_down(rings_[level], rings_[level].of(current_) + 1, most_per_poll);
    sweep(most_to_sweep);
}

// The timers of a crowded slot are taken out of it, and then put where they belong, a share at a time: see put() for those
// that belong to it.
void timer_wheel::sweep(std::size_t most) noexcept
{
    if (put_off_ < crowd)
        return;
    const std::int64_t end = current_ + sweep_ahead;
    for (;;) {
        if (sweeping_) {
            most = move_on(rest_.data(), chains, most);
            if (most == 0)
                return;
            sweeping_ = false;
        }
        swept_ = std::max(swept_, current_);
        if (last_crowd_ <= swept_)
            swept_ = std::max(swept_, end);
        while (swept_ < end && put_into(swept_ + 1) < crowd)
            ++swept_;
        if (swept_ >= end)
            return;
        ++swept_;
        timer** const heads = rings_[0].chain(swept_);
        for (unsigned chain = 0; chain < chains; ++chain) {
            if ((rest_[chain] = std::exchange(heads[chain], nullptr)) != nullptr)
                rest_[chain]->back_ = &rest_[chain];
        }
        sweeping_ = true;
    }
}

void timer_wheel::sweep_rest() noexcept
{
    move_on(rest_.data(), chains, SIZE_MAX);
    sweeping_ = false;
}

// Brings `time` down to the earliest of a slot, to its beginning if there are more than `most`. Those that have been put off
// are moved on, to any ring, and count here. False if none stays.
bool timer_wheel::earliest_in(ring& in, std::int64_t slot, std::size_t& most, std::int64_t& time) noexcept
{
    bool any = false;
    for (unsigned chain = 0; chain < in.width; ++chain) {
        for (timer* next = in.chain(slot)[chain]; next != nullptr;) {
            timer& each = *std::exchange(next, next->next_);
            if (most == 0) {
                time = std::min(time, in.start_of(slot));
                return true;
            }
            --most;
            time = std::min(time, each.deadline_);
            if (in.of(slot_of(each.deadline_)) == slot) {
                any = true;
            } else {
                unlink(each);
                put(each);
            }
        }
    }
    return any;
}

std::int64_t timer_wheel::earliest_in(ring& in, std::size_t most) noexcept
{
    std::int64_t time = never;
    for (;;) {
        const std::int64_t slot = in.next(current_);
        if (slot == none || earliest_in(in, slot, most, time))
            return time;
    }
}

std::int64_t timer_wheel::wake_time(std::int64_t now) noexcept
{
    if (late_ != nullptr) // in a batch inside another one, for after that
        return now;
    const std::int64_t near = std::max(current_, slot_of(now) + 1);
    if (first() == nullptr)
        advance(near); // so soon that what is scheduled from now on is later, nearly all of it
    std::int64_t time = first() != nullptr ? first()->deadline_ : earliest_in(rings_[0], most_to_search);
    for (std::size_t level = 1; level < rings_.size(); ++level) {
        ring& in = rings_[level];
        const std::int64_t slot = in.next(current_);
        if (slot == in.of(current_) + 1) // it is being moved down
            time = std::min(time, rings_[0].start_of(slot_of(now) + 1));
        else if (slot != none)
            time = std::min(time, in.start_of(slot - 1));
    }
    if (sweeping_)
        time = std::min(time, ((now >> sweep_bits) + 1) << sweep_bits);
    else if (last_crowd_ > swept_ && size_ >= crowd && put_off_ >= crowd)
        time = std::min(time, rings_[0].start_of(std::max(swept_ - sweep_ahead / 2, slot_of(now) + 1)));
    return time;
}

std::int64_t timer_wheel::earliest() noexcept
{
    if (sweeping_)
        sweep_rest();
    std::int64_t time = first() != nullptr ? first()->deadline_ : never;
    for (const timer* each = late_; each != nullptr; each = each->next_)
        time = std::min(time, each->deadline_);
    for (ring& in : rings_)
        time = std::min(time, earliest_in(in, SIZE_MAX));
    return time;
}

timer_wheel::batch::batch(timer_wheel& wheel, std::int64_t now) noexcept
    : wheel_(wheel)
    , now_(now)
    , outer_now_(std::exchange(wheel.batch_now_, no_batch))
{
    wheel.settle_late();
    wheel.batch_now_ = now;
}

timer_wheel::batch::~batch()
{
    wheel_.batch_now_ = outer_now_;
    wheel_.settle_late();
}

void timer_wheel::settle_late() noexcept
{
    for (timer* next = std::exchange(late_, nullptr); next != nullptr;) {
        timer& each = *std::exchange(next, next->next_);
        if (is_late(each.deadline_))
            put_late(each);
        else
            put(each);
    }
}

timer* timer_wheel::batch::next() noexcept
{
    for (;;) {
        if (timer* const found = wheel_.first(); found != nullptr) {
            if (found->deadline_ > now_)
                return nullptr;
            wheel_.erase(*found);
            return found;
        }
        if (!wheel_.advance(slot_of(now_)))
            return nullptr;
    }
}

} // namespace tocsin::detail
