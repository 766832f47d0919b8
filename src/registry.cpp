#include "registry.hpp"

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
    if (is_trip(action))
        return entries_[index_of(sig)].wanted;
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
        reserve_nudge_signal();
        action = trip_action();
        break;
    }
    const std::lock_guard hold(mutex_);
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
    if (what.kind_ == handler_kind::callable) {
        // Before the disposition, so that the first trip finds its way. Release pairs with tocsin_trip()'s load.
        routes[index_of(sig)].fetch_or(std::uint64_t{1} << main_slot, std::memory_order_release);
    }
    if (!mine.ignored_before)
        mine.ignored_before = is_ignore(before);
    if (const int error = -give(sig, action, *mine.ignored_before); error > 0)
        fail(error, std::string(function) + ": the disposition of " + signum(sig).name() + " cannot be changed");
    if (!mine.changed) {
        mine.original = before;
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
        if (sys::set_action(sig, nullptr, &now) == 0 && is_ours(now, mine.wanted))
            give(sig, mine.original, *mine.ignored_before);
        std::swap(dropped, mine.wanted);
        std::swap(mine.wanted, mine.original_wanted);
        mine.changed = false;
    }
}

} // namespace tocsin::detail
