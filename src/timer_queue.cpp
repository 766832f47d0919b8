#include <tocsin/timer_queue.hpp>

#include <algorithm>
#include <bit>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fail.hpp"
#include "interruptible.hpp"
#include "queue_fork.hpp"
#include "timer_wheel.hpp"
#include "virtual_time.hpp"
#include "wake_timer.hpp"

namespace tocsin {

using std::chrono::nanoseconds;

namespace detail {
namespace {

constexpr std::int64_t never = timer_wheel::never;
constexpr std::size_t most_requests = 1024; // that wait for a thread that sleeps long: 64 KiB

nanoseconds plus(std::int64_t time, nanoseconds delay) noexcept
{
    std::int64_t sum = 0;
    if (__builtin_add_overflow(time, delay.count(), &sum))
        sum = delay < nanoseconds{0} ? INT64_MIN : never;
    return nanoseconds{sum};
}

const char* name_of(time_base base) noexcept
{
    switch (base) {
    case time_base::realtime:
        return "the real-time clock (std::chrono::system_clock)";
    case time_base::boottime:
        return "the boot-time clock (tocsin::boot_clock)";
    default:
        return "the monotonic clock (std::chrono::steady_clock)";
    }
}

nanoseconds on_clock(time_base mine, time_base other, nanoseconds time)
{
    if (mine != other)
        throw std::invalid_argument(std::string("timer_queue: a time point of ") + name_of(other) +
                                    ", but the queue runs on " + name_of(mine));
    return time;
}

// The roundest time from `deadline` to `slack` later: others have been given it too, in other processes as well.
std::int64_t within_slack(std::int64_t deadline, nanoseconds slack)
{
    if (slack < nanoseconds{0})
        throw std::invalid_argument("timer_queue: slack " + std::to_string(slack.count()) +
                                    " ns: must not be negative");
    if (slack == nanoseconds{0} || deadline <= 0)
        return deadline;
    const auto latest = static_cast<std::uint64_t>(plus(deadline, slack).count());
    const std::uint64_t differing = latest ^ static_cast<std::uint64_t>(deadline - 1);
    return static_cast<std::int64_t>(latest & ~(std::bit_floor(differing) - 1));
}

} // namespace

struct timer_request {
    enum class kind : unsigned char { schedule, cancel };
    kind what;
    timer* which;
    std::int64_t time;
    std::shared_ptr<timer_task> task; // if that is what `which` is
};

// What a queue shares with other threads. The mutex is held for moments, and never while a callback runs.
struct queue_link {
    template <class Clock>
    explicit queue_link(Clock& clock)
        : alarm(std::in_place, clock)
    {
        const std::lock_guard hold(all_links);
        next = std::exchange(first_link, this);
        if (next != nullptr)
            next->back = &next;
    }
    queue_link(const queue_link&) = delete;
    queue_link& operator=(const queue_link&) = delete;
    ~queue_link()
    {
        const std::lock_guard hold(all_links);
        *back = next;
        if (next != nullptr)
            next->back = back;
    }

    // Has the owner woken at `time`. With the mutex held.
    void wake_at(std::int64_t time)
    {
        alarm->set(time);
        armed.store(time, std::memory_order_relaxed);
    }
    bool ask(timer_request request);

    std::mutex mutex;
    std::optional<wake_timer> alarm; // until the very end of the queue
    bool gone = false;               // for others than the queue itself: from its end on
    // When the descriptor becomes readable, or never. Written under the mutex; relaxed: the owner reads it without, to see
    // whether it has to look.
    std::atomic<std::int64_t> armed{never};
    std::vector<timer_request> requests;
    std::int64_t first_request = never; // the earliest time among them
    std::uint64_t asked = 0;            // calls of sync()
    std::uint64_t taken = 0;            // of these: what was asked for before them is being done
    std::uint64_t answered = 0;
    std::condition_variable answer;
    std::thread::id running; // in a callback

    // All there are, for fork().
    static constinit std::mutex all_links;
    static constinit queue_link* first_link;
    queue_link* next = nullptr;
    queue_link** back = &first_link;
};

constinit std::mutex queue_link::all_links;
constinit queue_link* queue_link::first_link = nullptr;

void lock_queues() noexcept
{
    queue_link::all_links.lock();
    for (queue_link* each = queue_link::first_link; each != nullptr; each = each->next)
        each->mutex.lock();
    virtual_time::mutex.lock(); // which is taken with that of a queue held
}

void unlock_queues() noexcept
{
    virtual_time::mutex.unlock();
    for (queue_link* each = queue_link::first_link; each != nullptr; each = each->next)
        each->mutex.unlock();
    queue_link::all_links.unlock();
}

void unlock_queues_in_child() noexcept
{
    for (queue_link* each = queue_link::first_link; each != nullptr; each = each->next) {
        std::construct_at(&each->answer); // not destroyed before: that would wait for those who wait in the parent
        each->answered = each->asked;
    }
    unlock_queues();
    for (queue_link* each = queue_link::first_link; each != nullptr; each = each->next) { // there is one thread
        try {
            if (each->alarm)                                     // a queue that is gone has none
                static_cast<void>(each->alarm->native_handle()); // now, before an event loop looks at its descriptors
        } catch (...) {                                          // refused: it is tried again where it is used
        }
    }
}

struct queue_state {
    template <class Clock>
    explicit queue_state(Clock& clock)
        : link(std::make_shared<queue_link>(clock))
        , last_now(link->alarm->now())
        , wheel(last_now)
    {}
    queue_state(const queue_state&) = delete;
    queue_state& operator=(const queue_state&) = delete;
    ~queue_state() = default;

    void schedule(timer& which, std::int64_t time)
    {
        if (!wheel.may_hold(which))
            throw std::logic_error("timer_queue: the timer is scheduled in another queue");
        const std::int64_t wake = wheel.insert(which, time);
        if (wake < link->armed.load(std::memory_order_relaxed)) [[unlikely]]
            wake_for(which, wake);
    }
    void wake_for(timer& which, std::int64_t time);
    std::size_t run(std::size_t limit);
    void do_what_is_asked();
    void finish() noexcept;
    void end_all() noexcept;
    void close() noexcept;
    [[nodiscard]] std::shared_ptr<timer_task> add(std::shared_ptr<timer_task> task, std::int64_t time);

    std::shared_ptr<queue_link> link;
    std::int64_t last_now;
    timer_wheel wheel;
    unsigned depth = 0; // of run(), which a callback may call
    bool open = true;
};

void queue_state::wake_for(timer& which, std::int64_t time)
{
    const std::lock_guard hold(link->mutex);
    const std::int64_t armed = link->armed.load(std::memory_order_relaxed);
    if (time >= armed)
        return;
    // Not where the clock can be set back: what has passed may come again, and the earliest comes first.
    if (depth != 0 && armed <= last_now && !link->alarm->may_be_early()) // it is readable, and finish() comes
        return;
    try {
        link->wake_at(time);
    } catch (...) { // a forked child gets no descriptor of its own
        which.cancel();
        throw;
    }
}

// A timer with a function, for after(), at() and every(). Owned by its handle, and by itself while it is scheduled.
struct timer_task : timer {
    timer_task(std::function<void(const tick&)> f, nanoseconds tolerance)
        : timer(&expired)
        , function(std::move(f))
        , slack(tolerance)
    {}

    static void expired(timer& which)
    {
        auto& self = static_cast<timer_task&>(which);
        const auto keep = std::exchange(self.held, nullptr); // a callback may let go of the handle
        tick now{1, 0, self.deadline()};
        if (self.times) {
            // A nested run may have found the clock set back.
            now = self.times->take(std::max(nanoseconds{self.queue->last_now}, self.times->next()));
            self.queue->schedule(self, within_slack(self.times->next().count(), self.slack));
            self.held = keep;
        }
        self.function(now);
    }
    static void release(timer& which) noexcept
    {
        if (timer_wheel::function_of(which) == &expired)
            std::exchange(static_cast<timer_task&>(which).held, nullptr).reset();
    }

    queue_state* queue = nullptr; // while it is scheduled
    std::function<void(const tick&)> function;
    nanoseconds slack;
    std::optional<tick_times> times; // of every()
    std::shared_ptr<timer_task> held;
};

std::shared_ptr<timer_task> queue_state::add(std::shared_ptr<timer_task> task, std::int64_t time)
{
    task->queue = this;
    schedule(*task, within_slack(time, task->slack));
    task->held = task;
    return task;
}

void queue_state::do_what_is_asked()
{
    std::vector<timer_request> requests;
    {
        const std::lock_guard hold(link->mutex);
        requests.swap(link->requests);
        link->first_request = never;
        link->taken = link->asked;
        link->running = std::this_thread::get_id();
    }
    for (timer_request& each : requests) {
        if (!wheel.may_hold(*each.which))
            continue;
        if (each.what == timer_request::kind::cancel)
            each.which->cancel();
        else if (each.task != nullptr)
            static_cast<void>(add(std::move(each.task), each.time));
        else
            wheel.insert(*each.which, each.time);
    }
}

std::size_t queue_state::run(std::size_t limit)
{
    struct at_end { // also when a callback throws
        queue_state& self;
        ~at_end()
        {
            --self.depth;
            if (self.open)
                self.finish();
        }
    };
    {
        const std::lock_guard hold(link->mutex);
        static_cast<void>(link->alarm->native_handle()); // a forked child's own, before anything changes
    }
    ++depth;
    const at_end end{*this};
    do_what_is_asked();
    last_now = link->alarm->now();
    if (wheel.is_behind(last_now))
        wheel.turn_back(last_now);
    timer_wheel::batch due(wheel, last_now);
    std::size_t ran = 0;
    while (ran < limit && open) {
        timer* const each = due.next();
        if (each == nullptr)
            break;
        ++ran;
        timer_wheel::function_of (*each)(*each);
    }
    return ran;
}

// When to come again; also after a run in a callback, which may be in a loop of its own. The descriptor is left alone if it
// says the right thing, or will be readable before that: once too often costs less than to set it after every change.
void queue_state::finish() noexcept
{
    const std::int64_t now = last_now;
    wheel.tidy();
    std::int64_t time = wheel.wake_time(now);
    const std::lock_guard hold(link->mutex);
    if (depth == 0) {
        link->running = {};
        if (const std::uint64_t done = link->requests.empty() ? link->asked : link->taken; link->answered != done) {
            link->answered = done;
            link->answer.notify_all();
        }
        if (link->requests.empty()) // not before: a sync() that came since they were taken has yet to be
            link->first_request = never;
    }
    time = std::min(time, link->first_request);
    const std::int64_t armed = link->armed.load(std::memory_order_relaxed);
    if (armed > now && time >= armed && !link->alarm->may_be_early())
        return;
    if (armed <= now && time <= now)
        return;
    try {
        link->wake_at(time);
    } catch (...) { // a child forked by a callback gets no descriptor of its own yet
        link->alarm->set_when_renewed(time);
        link->armed.store(time, std::memory_order_relaxed);
    }
}

void queue_state::end_all() noexcept
{
    while (wheel.size() != 0) // again for what the ends of functions have scheduled
        wheel.clear(&timer_task::release);
}

void queue_state::close() noexcept
{
    open = false;
    end_all();
    std::vector<timer_request> dropped; // without the mutex: with functions, whose ends may do anything
    {
        const std::lock_guard hold(link->mutex);
        link->gone = true;
        dropped.swap(link->requests);
    }
    link->answer.notify_all();
    dropped.clear();
    end_all();
    const std::lock_guard hold(link->mutex);
    link->alarm.reset();
}

} // namespace detail

void timer::remove() noexcept { wheel_->erase(*this); }

void scheduled::cancel() noexcept
{
    if (task_ == nullptr)
        return;
    task_->cancel();
    task_->held.reset();
    task_.reset();
}

bool scheduled::active() const noexcept { return task_ != nullptr && task_->scheduled(); }
void scheduled::detach() noexcept { task_.reset(); }

timer_queue::timer_queue(int clock)
    : state_(std::make_shared<detail::queue_state>(clock))
{}

timer_queue::timer_queue(virtual_clock& clock)
    : state_(std::make_shared<detail::queue_state>(clock))
{}

timer_queue& timer_queue::operator=(timer_queue&& other) noexcept
{
    if (this != &other) {
        const timer_queue old(std::move(*this)); // closed at the end of this block
        state_ = std::move(other.state_);
    }
    return *this;
}

timer_queue::~timer_queue()
{
    if (state_ != nullptr)
        state_->close();
}

void timer_queue::schedule_at(timer& which, nanoseconds time, nanoseconds slack)
{
    state_->schedule(which, detail::within_slack(time.count(), slack));
}

int timer_queue::native_handle() const
{
    const std::lock_guard hold(state_->link->mutex);
    return state_->link->alarm->native_handle();
}

std::size_t timer_queue::run_expired(std::size_t limit)
{
    const auto keep = state_; // a callback may destroy this
    return limit == 0 ? 0 : keep->run(limit);
}

bool timer_queue::wait(source_location where)
{
    return detail::wait_readable(native_handle(), detail::time_limit::never(), "timer_queue: waiting", where);
}

bool timer_queue::wait(seconds limit, source_location where)
{
    const auto time = limit.nanoseconds("timer_queue::wait");
    if (limit.given() < 0)
        throw std::invalid_argument("timer_queue::wait: " + detail::describe(limit) + ": a time must not be negative");
    return detail::wait_readable(native_handle(), detail::time_limit::after(time.count()), "timer_queue: waiting",
                                 where);
}

std::optional<nanoseconds> timer_queue::next_deadline() noexcept
{
    const std::int64_t time = state_->wheel.earliest();
    if (state_->wheel.size() == 0)
        return std::nullopt;
    return nanoseconds{time};
}

std::size_t timer_queue::size() const noexcept { return state_->wheel.size(); }
nanoseconds timer_queue::now() const noexcept { return nanoseconds{state_->link->alarm->now()}; }
nanoseconds timer_queue::last_now() const noexcept { return nanoseconds{state_->last_now}; }
nanoseconds timer_queue::from_now(nanoseconds delay) const noexcept
{
    return detail::plus(state_->link->alarm->now(), delay);
}

nanoseconds timer_queue::on_my_clock(detail::time_base base, nanoseconds time) const
{
    return detail::on_clock(state_->link->alarm->base(), base, time);
}

scheduled timer_queue::once(nanoseconds time, std::function<void()> f, nanoseconds slack)
{
    if (!f)
        throw std::invalid_argument("timer_queue: empty function");
    return scheduled(state_->add(std::make_shared<detail::timer_task>([f = std::move(f)](const tick&) { f(); }, slack),
                                 time.count()));
}

scheduled timer_queue::repeat(nanoseconds period, std::function<void(const tick&)> f, missed_ticks policy,
                              nanoseconds slack)
{
    if (!f)
        throw std::invalid_argument("timer_queue: empty function");
    auto task = std::make_shared<detail::timer_task>(std::move(f), slack);
    task->times.emplace("timer_queue::every", from_now(period), period, policy);
    const std::int64_t first = task->times->next().count();
    return scheduled(state_->add(std::move(task), first));
}

timer_queue::remote timer_queue::remote_handle() { return remote(state_->link); }

bool detail::queue_link::ask(timer_request request)
{
    const std::lock_guard hold(mutex);
    if (gone)
        return false;
    std::int64_t time = request.time;
    requests.push_back(std::move(request));
    if (requests.size() >= most_requests)
        time = INT64_MIN;
    if (time < armed.load(std::memory_order_relaxed)) {
        try {
            wake_at(time);
        } catch (...) {                          // a forked child gets no descriptor of its own
            std::swap(request, requests.back()); // whose function ends without the mutex
            requests.pop_back();
            throw;
        }
    }
    first_request = std::min(first_request, time);
    return true;
}

bool timer_queue::remote::schedule_at(timer& which, nanoseconds time)
{
    return link_->ask({detail::timer_request::kind::schedule, &which, time.count(), {}});
}

bool timer_queue::remote::cancel(timer& which)
{
    return link_->ask({detail::timer_request::kind::cancel, &which, detail::never, {}}); // in time if before it is due
}

bool timer_queue::remote::once(nanoseconds time, std::function<void()> f)
{
    if (!f)
        throw std::invalid_argument("timer_queue: empty function");
    auto task = std::make_shared<detail::timer_task>([f = std::move(f)](const tick&) { f(); }, nanoseconds{0});
    timer* const which = task.get();
    return link_->ask({detail::timer_request::kind::schedule, which, time.count(), std::move(task)});
}

bool timer_queue::remote::sync()
{
    std::unique_lock hold(link_->mutex);
    if (link_->gone)
        return false;
    if (link_->running == std::this_thread::get_id())
        throw std::logic_error("timer_queue::remote::sync: in a callback of the queue, which would wait for itself");
    link_->wake_at(INT64_MIN);
    link_->first_request = INT64_MIN;
    const std::uint64_t mine = ++link_->asked;
    link_->answer.wait(hold, [&] { return link_->answered >= mine || link_->gone; });
    return link_->answered >= mine;
}

nanoseconds timer_queue::remote::from_now(nanoseconds delay) const
{
    const std::lock_guard hold(link_->mutex);
    return detail::plus(link_->alarm ? link_->alarm->now() : 0, delay);
}

nanoseconds timer_queue::remote::on_its_clock(detail::time_base base, nanoseconds time) const
{
    const std::lock_guard hold(link_->mutex);
    return link_->alarm ? detail::on_clock(link_->alarm->base(), base, time) : time;
}

} // namespace tocsin
