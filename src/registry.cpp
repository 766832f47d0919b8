#include "registry.hpp"

#include <bit>
#include <cerrno>
#include <new>
#include <string>
#include <utility>

#include "fail.hpp"
#include "process.hpp"
#include "sys/sys.hpp"
#include "trip.hpp"

namespace tocsin::detail {

constinit std::atomic<std::uint64_t> given_ignore{0};

namespace {

// A disposition that other code installed, kept so that it can be put back.
struct foreign_handler final : callable_base {
    explicit foreign_handler(const struct sigaction& a)
        : action(a)
    {}
    void call(const event& /*e*/) override {}
    [[nodiscard]] const std::type_info& type() const noexcept override { return typeid(*this); }
    [[nodiscard]] void* target() noexcept override { return &action; }
    [[nodiscard]] bool same(callable_base& other) noexcept override
    {
        return other.type() == type() &&
               static_cast<struct sigaction*>(other.target())->sa_handler == action.sa_handler;
    }
    struct sigaction action;
};

bool is_ignore(const struct sigaction& action) noexcept
{
    return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_IGN;
}

// Sets the disposition and keeps given_ignore right. Relaxed: its reader needs that one word only.
int give(int sig, const struct sigaction& action, bool ignored_before) noexcept
{
    std::uint64_t bit = is_ignore(action) && !ignored_before ? bit_of(sig) : 0;
    given_ignore.fetch_or(bit, std::memory_order_relaxed);
    const int result = sys::set_action(sig, &action, nullptr);
    if (result < 0)
        bit = 0; // SIGKILL, SIGSTOP
    given_ignore.fetch_and(~bit_of(sig) | bit, std::memory_order_relaxed);
    return result;
}

bool is_nudge(const struct sigaction& action) noexcept
{
    return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == tocsin_nudged;
}

// The function of other code that this is, or null.
chained_handler handler_of(const struct sigaction& action) noexcept
{
    if (is_trip(action))
        return nullptr;
    if ((action.sa_flags & SA_SIGINFO) == 0 && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN))
        return nullptr;
    // One that takes the number only leaves the further arguments alone, as when the kernel calls it.
    return action.sa_sigaction;
}

// Before the disposition, so that the first trip finds its way. Pairs with the loads in trip.cpp.
void open_route(int sig, std::size_t slot) noexcept
{
    routes[index_of(sig)].fetch_or(std::uint64_t{1} << slot, std::memory_order_seq_cst);
    routes_opened.fetch_add(1, std::memory_order_seq_cst); // between the route and the disposition: see give_back()
}

// After the disposition has changed. Pairs with the load in deliver(): who comes in later finds no route.
void close_route(int sig, std::size_t slot) noexcept
{
    routes[index_of(sig)].fetch_and(~(std::uint64_t{1} << slot), std::memory_order_seq_cst);
    quiesce(slots[slot]);
}

// Until no trip routine is left that delivers `sig` and was there before.
void settle(int sig) noexcept
{
    for (std::uint64_t left = routes[index_of(sig)].load(std::memory_order_relaxed); left != 0; left &= left - 1)
        quiesce(slots[std::countr_zero(left)]);
}

// While this lives no last delivery sets the default action, nor is about to: it would undo the disposition set meanwhile.
// Ours is set after it has ended: a signal that comes at once is the last one then.
class no_last_delivery {
public:
    explicit no_last_delivery(int sig) noexcept
        : before_(last_deliveries.fetch_and(~bit_of(sig), std::memory_order_relaxed) & bit_of(sig))
    {
        if (before_ != 0) // published with the turn
            settle(sig);
    }
    no_last_delivery(const no_last_delivery&) = delete;
    no_last_delivery& operator=(const no_last_delivery&) = delete;
    ~no_last_delivery() { last_deliveries.fetch_or(before_, std::memory_order_relaxed); }

private:
    const std::uint64_t before_;
};

void settle_last_deliveries(int sig) noexcept { const no_last_delivery ended(sig); }

struct sigaction trip_action() noexcept
{
    struct sigaction action = {};
    action.sa_sigaction = tocsin_trip;
    // No SA_RESTART: interrupted calls must come back to a safe point. All signals blocked: trips do not nest.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigfillset(&action.sa_mask);
    return action;
}

} // namespace

registry& registry::instance() noexcept
{
    // Never destroyed: signals arrive during and after static destruction too.
    alignas(registry) static std::byte storage[sizeof(registry)];
    static registry* const it = new (storage) registry;
    return *it;
}

handler registry::to_handler(int sig, const struct sigaction& action) const
{
    if (is_trip(action)) {
        const entry& mine = entries_[index_of(sig)];
        return mine.subscribers == 0 || mine.wanted.is_callable() ? mine.wanted : to_handler(sig, mine.base);
    }
    if (action.sa_handler == SIG_DFL || is_nudge(action)) // the program has set nothing there
        return default_action;
    if (is_ignore(action))
        return ignore;
    handler result;
    result.kind_ = handler_kind::foreign;
    result.callable_ = std::make_shared<foreign_handler>(action);
    return result;
}

handler registry::install(int sig, handler what, const char* function)
{
    struct sigaction action = {};
    switch (what.kind_) {
    case handler_kind::default_action:
        action.sa_handler = SIG_DFL;
        break;
    case handler_kind::ignore:
        action.sa_handler = SIG_IGN;
        break;
    case handler_kind::foreign:
        action = static_cast<foreign_handler&>(*what.callable_).action;
        break;
    case handler_kind::callable:
        claim_process();
        action = trip_action();
        break;
    }
    const std::lock_guard hold(mutex_);
    if (what.is_callable())
        reserve_nudge_signal(); // with the mutex: against inboxes of other threads
    entry& mine = entries_[index_of(sig)];
    struct sigaction before = {};
    if (sys::set_action(sig, nullptr, &before) < 0 || is_reserved(sig))
        fail(EINVAL, std::string(function) + ": signal " + std::to_string(sig) + " is reserved by the C library");
    handler previous = to_handler(sig, before); // may throw: nothing has changed
    if (is_nudge(before)) {
        if (what.kind_ == handler_kind::default_action)
            return previous;       // it has that for everybody but us
        give_up_nudge_signal(sig); // one that is on its way still finds a handler, the old or the new
        before = {};
    }
    if (!mine.ignored_before)
        mine.ignored_before = is_ignore(before);
    if (const auto theirs = handler_of(before);
        theirs != nullptr && (mine.subscribers != 0 || mine.wanted.is_callable()))
        mine.over = theirs;
    const bool shared = mine.subscribers != 0 && is_trip(before);
    const struct sigaction without_ours = shared && !mine.wanted.is_callable() ? mine.base : before;
    int error = 0;
    if (what.kind_ == handler_kind::callable) {
        open_route(sig, main_slot);
        settle_last_deliveries(sig);
        error = -give(sig, action, *mine.ignored_before);
    } else if (shared) {
        leave_to_subscribers(sig, action, mine);
    } else {
        error = -give_instead(sig, action, mine);
        if (error == 0 && mine.subscribers != 0 && !is_trip(action))
            mine.base = action;
    }
    if (error > 0)
        fail(error, std::string(function) + ": the disposition of " + signum(sig).name() + " cannot be changed");
    if (!mine.changed) {
        mine.original = without_ours;
        mine.original_wanted = mine.wanted;
        mine.changed = true;
    }
    std::swap(mine.wanted, what); // the old one dies with the parameter, after the mutex is released
    return previous;
}

handler registry::current(int sig)
{
    struct sigaction action = {};
    const std::lock_guard hold(mutex_);
    // The C library hides its own signals; nothing of ours can be there.
    if (sys::set_action(sig, nullptr, &action) < 0)
        return default_action;
    return to_handler(sig, action);
}

bool registry::is_installed(int sig) noexcept
{
    struct sigaction action = {};
    return sys::set_action(sig, nullptr, &action) == 0 && is_trip(action);
}

void registry::set_restart(int sig, bool restart)
{
    const std::lock_guard hold(mutex_);
    struct sigaction action = {};
    int error = -sys::set_action(sig, nullptr, &action);
    if (error == 0) {
        action.sa_flags = restart ? action.sa_flags | SA_RESTART : action.sa_flags & ~SA_RESTART;
        error = -sys::set_action(sig, &action, nullptr);
    }
    if (error != 0)
        fail(error, "siginterrupt: " + signum(sig).name());
}

bool registry::is_ours(const struct sigaction& action, const handler& wanted) noexcept
{
    switch (wanted.kind_) {
    case handler_kind::callable:
        return is_trip(action);
    case handler_kind::default_action:
        return action.sa_handler == SIG_DFL;
    case handler_kind::ignore:
        return action.sa_handler == SIG_IGN;
    case handler_kind::foreign:
        return action.sa_handler == static_cast<foreign_handler&>(*wanted.callable_).action.sa_handler;
    }
    return false;
}

// Before the last route ends: what becomes of a signal that is in the trip routine then. It goes back to the kernel, for
// the disposition given; but a handler that may call ours would bring it back for ever.
void registry::let_go(int sig, const struct sigaction& given, const entry& mine) noexcept
{
    const chained_handler theirs = handler_of(given);
    const bool calls_ours = theirs != nullptr && theirs == mine.over;
    // Release, all: pairs with the loads in give_back().
    left_to[index_of(sig)].store(calls_ours ? mine.below : nullptr, std::memory_order_release);
    if (calls_ours)
        given_back.fetch_and(~bit_of(sig), std::memory_order_release);
    else
        given_back.fetch_or(bit_of(sig), std::memory_order_release);
}

// The disposition for the main thread, not the subscribers. A signal that is on its way to its slot gets there or meets
// this one.
int registry::give_instead(int sig, const struct sigaction& action, const entry& mine) noexcept
{
    if (is_trip(action)) { // that of an older handler
        open_route(sig, main_slot);
        settle_last_deliveries(sig);
        return give(sig, action, *mine.ignored_before);
    }
    if (mine.subscribers != 0) { // other code has replaced ours, or a last delivery: the subscribers stay
        const no_last_delivery meanwhile(sig);
        const int result = give(sig, action, *mine.ignored_before);
        if (result == 0 && mine.in_main == 0)
            close_route(sig, main_slot);
        return result;
    }
    let_go(sig, action, mine);
    const int result = give(sig, action, *mine.ignored_before);
    if (result == 0)
        close_route(sig, main_slot);
    return result;
}

// signal() has nothing to do with it any more; `after` holds when they have gone.
void registry::leave_to_subscribers(int sig, const struct sigaction& after, entry& mine) noexcept
{
    mine.base = after;
    if (mine.wanted.is_callable())
        set_trip(sig, mine, true);
    if (mine.in_main == 0)
        close_route(sig, main_slot);
}

int registry::set_trip(int sig, const entry& mine, bool restart) noexcept
{
    settle_last_deliveries(sig);
    struct sigaction action = trip_action();
    if (restart && mine.interrupting == 0)
        action.sa_flags |= SA_RESTART;
    return give(sig, action, *mine.ignored_before);
}

bool registry::route(int sig, std::size_t slot, const subscription_options& options) noexcept
{
    entry& mine = entries_[index_of(sig)];
    struct sigaction before = {};
    sys::set_action(sig, nullptr, &before);
    if (options.respect_ignore && is_ignore(before))
        return false;
    if (is_nudge(before)) {
        give_up_nudge_signal(sig);
        before = {};
    }
    const chained_handler theirs = handler_of(before);
    if (theirs != nullptr && (mine.subscribers != 0 || mine.wanted.is_callable()))
        mine.over = theirs;
    if (mine.subscribers == 0 || theirs != nullptr) {
        mine.base = {};
        if (!is_trip(before))
            mine.base = before;
        if (theirs == nullptr || theirs != mine.over)
            mine.below = theirs;
    }
    if (!mine.ignored_before)
        mine.ignored_before = is_ignore(before);
    ++mine.subscribers;
    mine.in_main += slot == main_slot;
    mine.interrupting += !options.restart;
    mine.chaining += options.chain;
    mine.final_ones += options.second_is_default;
    chained[index_of(sig)].store(mine.chaining != 0 ? mine.below : nullptr, std::memory_order_release);
    if (options.second_is_default)
        last_deliveries.fetch_or(bit_of(sig), std::memory_order_relaxed);
    open_route(sig, slot);
    set_trip(sig, mine, !mine.wanted.is_callable() || (before.sa_flags & SA_RESTART) != 0);
    return true;
}

bool registry::unroute(int sig, std::size_t slot, const subscription_options& options, bool last_here) noexcept
{
    entry& mine = entries_[index_of(sig)];
    --mine.subscribers;
    mine.in_main -= slot == main_slot;
    mine.interrupting -= !options.restart;
    mine.chaining -= options.chain;
    mine.final_ones -= options.second_is_default;
    if (options.second_is_default && mine.final_ones == 0) {
        last_deliveries.fetch_and(~bit_of(sig), std::memory_order_relaxed); // published with the turn
        settle(sig); // a trip routine that has seen the bit may be about to set the default action
    }
    struct sigaction now = {};
    sys::set_action(sig, nullptr, &now);
    const bool final_one_came = options.second_is_default && now.sa_handler == SIG_DFL;
    bool put_back = false;
    if (mine.wanted.is_callable() || mine.subscribers != 0) {
        if (is_trip(now) || (final_one_came && mine.final_ones == 0))
            set_trip(sig, mine, !mine.wanted.is_callable() || (now.sa_flags & SA_RESTART) != 0);
    } else if (is_trip(now) || final_one_came) {
        let_go(sig, mine.base, mine);
        put_back = give(sig, mine.base, *mine.ignored_before) == 0;
    } else { // other code has put its own in the place of ours
        mine.over = handler_of(now);
        let_go(sig, now, mine);
    }
    if (last_here)
        close_route(sig, slot);
    if (mine.chaining == 0) // now that nothing can be delivered to it any more
        chained[index_of(sig)].store(nullptr, std::memory_order_release);
    const bool has_had_them = options.chain && mine.below != nullptr && handler_of(mine.base) == mine.below;
    return put_back && !has_had_them;
}

void registry::begin_scope() noexcept
{
    const std::lock_guard hold(mutex_);
    for (entry& each : entries_)
        each.changed = false;
}

void registry::restore_all() noexcept
{
    for (int sig = 1; sig < nsig; ++sig) {
        handler dropped; // destroyed after the mutex is released: it is the user's code
        const std::lock_guard hold(mutex_);
        entry& mine = entries_[index_of(sig)];
        if (!mine.changed)
            continue;
        struct sigaction now = {};
        if (sys::set_action(sig, nullptr, &now) == 0) {
            if (mine.subscribers != 0 && is_trip(now) && !is_trip(mine.original)) {
                leave_to_subscribers(sig, mine.original, mine);
            } else if (is_ours(now, mine.wanted)) {
                give_instead(sig, mine.original, mine);
            }
        }
        std::swap(dropped, mine.wanted);
        std::swap(mine.wanted, mine.original_wanted);
        if (mine.subscribers != 0 && mine.in_main == 0 && !mine.wanted.is_callable())
            close_route(sig, main_slot); // also where other code has replaced ours
        mine.changed = false;
    }
}

} // namespace tocsin::detail
