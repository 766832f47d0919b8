#include <tocsin/inbox.hpp>

#include <mutex>
#include <stdexcept>
#include <string>

#include <tocsin/safe_point.hpp>

#include "fail.hpp"
#include "interruptible.hpp"
#include "mailbox.hpp"
#include "process.hpp"
#include "registry.hpp"

namespace tocsin {

using detail::mailbox;

namespace {

handler require_callable(handler callback, const char* function)
{
    if (!callback.is_callable())
        throw std::invalid_argument(std::string(function) + ": " + to_string(callback) + " cannot be called");
    return callback;
}

detail::time_limit limit_of(seconds limit, const char* function)
{
    const auto ns = limit.nanoseconds(function);
    if (ns.count() < 0)
        throw std::invalid_argument(std::string(function) + ": negative time: " + detail::describe(limit));
    return detail::time_limit::after(ns.count());
}

} // namespace

signal_set detail::one_signal(signum signal) { return signal_set{signal}; }

subscription& subscription::operator=(subscription&& other) noexcept
{
    if (this != &other) {
        const subscription old(std::move(*this)); // ends at the end of this block
        who_ = std::move(other.who_);
    }
    return *this;
}

subscription::~subscription()
{
    const auto keep = who_; // the callback may run in there, and assign to this
    if (keep != nullptr)
        mailbox::cancel(keep);
}

void subscription::cancel()
{
    const auto keep = who_;
    if (keep != nullptr)
        mailbox::cancel(keep);
}

bool subscription::active() const noexcept { return !subscribed_signals().empty(); }
signal_set subscription::subscribed_signals() const noexcept
{
    return who_ == nullptr ? signal_set() : mailbox::signals(*who_);
}
std::uint64_t subscription::dropped() const noexcept { return who_ == nullptr ? 0 : mailbox::counts(*who_).dropped; }
std::uint64_t subscription::delivered() const noexcept
{
    return who_ == nullptr ? 0 : mailbox::counts(*who_).delivered;
}

inbox::inbox()
    : box_(mailbox::make())
{}

inbox& inbox::operator=(inbox&& other) noexcept
{
    if (this != &other) {
        const inbox old(std::move(*this)); // ends at the end of this block
        box_ = std::move(other.box_);
    }
    return *this;
}

inbox::~inbox() { close(); }

void inbox::close() noexcept
{
    if (box_ != nullptr)
        box_->close();
}

subscription inbox::on(const signal_set& signals, handler callback, subscription_options options)
{
    return mailbox::subscribe(box_, "inbox::on", signals, require_callable(std::move(callback), "inbox::on"), options);
}

subscription inbox::on(const signal_set& signals, subscription_options options)
{
    return mailbox::subscribe(box_, "inbox::on", signals, handler(), options);
}

int inbox::native_handle() noexcept { return box_->descriptor(); }

std::size_t inbox::run_pending(source_location where)
{
    const auto keep = box_; // a callback may destroy the inbox
    return keep->run_pending(where);
}

bool inbox::wait(source_location where)
{
    const auto keep = box_; // a handler of the main thread may too
    return keep->wait(detail::time_limit::never(), where);
}

bool inbox::wait(seconds limit, source_location where)
{
    const auto keep = box_;
    return keep->wait(limit_of(limit, "inbox::wait"), where);
}

std::optional<event> inbox::try_next(source_location where)
{
    const auto keep = box_;
    return keep->try_next(where);
}

event inbox::next(source_location where)
{
    const auto keep = box_;
    for (;;) {
        if (auto found = keep->try_next(where))
            return *found;
        if (!keep->wait(detail::time_limit::never(), where) && keep->closed())
            throw std::logic_error("inbox::next: the inbox has been destroyed meanwhile");
    }
}

std::optional<event> inbox::next(seconds limit, source_location where)
{
    const auto keep = box_;
    const auto end = limit_of(limit, "inbox::next");
    for (;;) {
        const bool last = end.bounded() && end.remaining() == 0; // callbacks may be due without end
        if (auto found = keep->try_next(where); found || last)
            return found;
        if (!keep->wait(end, where))
            return std::nullopt;
    }
}

void inbox::wake() noexcept { box_->poke(); }

subscription on(const signal_set& signals, handler callback, subscription_options options)
{
    detail::require_main_thread("on");
    callback = require_callable(std::move(callback), "on");
    check_signals(); // what has arrived so far is not for this one
    detail::claim_process();
    {
        const std::lock_guard hold(detail::registry::instance()); // against inboxes of other threads
        detail::reserve_nudge_signal();
    }
    return mailbox::subscribe(mailbox::main(), "on", signals, std::move(callback), options);
}

} // namespace tocsin
