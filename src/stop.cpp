#include <tocsin/stop.hpp>

#include <mutex>

#include "process.hpp"
#include "registry.hpp"

namespace tocsin {

struct detail::stop_cause {
    std::stop_source source;
    std::optional<event> cause; // written once, before the request: whoever sees that may read it
};

namespace {

struct shared_thread {
    std::weak_ptr<background> thread;
    unsigned generation = 0; // of the process that has it
};

std::shared_ptr<background> join_shared_thread()
{
    static auto& shared = *new shared_thread; // users may outlive static destruction
    // The registry's mutex, because that one is free in a forked child.
    const auto there = [&]() -> std::shared_ptr<background> {
        return shared.generation == detail::fork_generation() ? shared.thread.lock() : nullptr;
    };
    {
        const std::lock_guard hold(detail::registry::instance());
        if (auto found = there())
            return found;
    }
    auto made = std::make_shared<background>(); // takes the mutex itself; not needed, it ends after the guard below
    const std::lock_guard hold(detail::registry::instance());
    if (auto found = there())
        return found;
    shared = {made, detail::fork_generation()};
    return made;
}

} // namespace

signal_stop& signal_stop::operator=(signal_stop&& other) noexcept
{
    if (this != &other) {
        const signal_stop old(std::move(*this)); // ends at the end of this block
        consumer_ = std::move(other.consumer_);
        state_ = std::move(other.state_);
        listening_ = std::move(other.listening_);
    }
    return *this;
}

std::stop_token signal_stop::get_token() const noexcept
{
    return state_ == nullptr ? std::stop_token() : state_->source.get_token();
}

std::optional<event> signal_stop::cause() const noexcept
{
    if (state_ == nullptr || !state_->source.stop_requested())
        return std::nullopt;
    return state_->cause;
}

signal_stop stop_on(const signal_set& signals, subscription_options options)
{
    auto consumer = join_shared_thread();
    auto state = std::make_shared<detail::stop_cause>();
    auto listening = consumer->on(
        signals,
        [state](const event& e) {
            if (state->source.stop_requested())
                return;
            state->cause = e;
            state->source.request_stop();
        },
        options);
    return {std::move(consumer), std::move(state), std::move(listening)};
}

} // namespace tocsin
