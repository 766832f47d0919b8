#include <tocsin/signal.hpp>

#include <cerrno>
#include <ostream>
#include <stdexcept>
#include <string>

#include "fail.hpp"
#include "process.hpp"
#include "registry.hpp"
#include "safe_point.hpp"
#include "slot.hpp"
#include "sys/sys.hpp"

namespace tocsin {

namespace detail {
void refuse_empty_handler()
{
    throw std::invalid_argument("handler: an empty function or null pointer cannot be called");
}
} // namespace detail

handler::handler(void (*function)(int))
{
    if (function == SIG_DFL)
        return;
    if (function == SIG_IGN) {
        kind_ = kind::ignore;
        return;
    }
    if (function == SIG_ERR || function == SIG_HOLD)
        throw std::invalid_argument("handler: SIG_ERR and SIG_HOLD are not dispositions");
    kind_ = kind::callable;
    callable_ = std::make_shared<detail::callable<void (*)(int)>>(function);
}

bool handler::equal(const handler& a, const handler& b) noexcept
{
    if (a.kind_ != b.kind_ || a.callable_ == b.callable_)
        return a.kind_ == b.kind_;
    return a.callable_ != nullptr && b.callable_ != nullptr && a.callable_->same(*b.callable_);
}

handler signal(signum sig, handler what, source_location where)
{
    detail::require_main_thread("signal");
    detail::require_in_range(sig, "signal");
    check_signals(where);
    handler previous = detail::registry::instance().install(sig, std::move(what), "signal");
    // What arrived between the safe point above and the change belongs to the old handler.
    const std::uint64_t bit = detail::bit_of(sig);
    if (previous.is_callable() && !detail::deferred() &&
        (detail::main_pending.fetch_and(~bit, std::memory_order_seq_cst) & bit) != 0) {
        const auto taken = detail::take_main(sig, previous);
        detail::keep_rest_pending(sig);
        if (taken)
            previous(event{sig, siginfo(taken->info), taken->count, where});
    }
    return previous;
}

handler getsignal(signum sig)
{
    detail::require_in_range(sig, "getsignal");
    return detail::registry::instance().current(sig);
}

void siginterrupt(signum sig, bool flag)
{
    detail::require_in_range(sig, "siginterrupt");
    if (detail::is_reserved(sig))
        detail::fail(EINVAL, "siginterrupt: " + sig.name() + " is reserved by the C library");
    detail::registry::instance().set_restart(sig, !flag);
}

void default_int_handler(const event& e) { throw keyboard_interrupt(e); }

std::string to_string(disposition what) { return what == ignore ? "SIG_IGN" : "SIG_DFL"; }

std::string to_string(handler_kind what)
{
    switch (what) {
    case handler_kind::default_action:
        return to_string(default_action);
    case handler_kind::ignore:
        return to_string(ignore);
    case handler_kind::callable:
        return "callable";
    case handler_kind::foreign:
        return "foreign";
    }
    return "handler_kind(" + std::to_string(static_cast<int>(what)) + ")";
}

std::string to_string(const handler& what) { return to_string(what.type()); }

std::ostream& operator<<(std::ostream& out, disposition what) { return out << to_string(what); }
std::ostream& operator<<(std::ostream& out, handler_kind what) { return out << to_string(what); }
std::ostream& operator<<(std::ostream& out, const handler& what) { return out << to_string(what); }

} // namespace tocsin
