#include <tocsin/background.hpp>

#include <atomic>
#include <optional>
#include <thread>

#include "process.hpp"
#include "sys/sys.hpp"

namespace tocsin {

struct background::state {
    std::optional<inbox> box{std::in_place};
    std::atomic<bool> over{false};
    std::unique_ptr<std::thread> thread;
    unsigned generation = 0; // of the process that has the thread

    // What a callback throws ends the program here.
    void consume() noexcept
    {
        sys::name_this_thread("tocsin");
        while (!over.load(std::memory_order_acquire)) { // pairs with the store in the destructor
            box->run_pending();
            if (!over.load(std::memory_order_acquire)) // or a callback has destroyed the inbox
                box->wait();
        }
    }
};

namespace {

// A new thread has the mask of the one that makes it. Faults stay: blocked, they would end the program without the
// handler that other code may have for them.
class everything_blocked {
public:
    everything_blocked() noexcept
    {
        sigset_t all;
        ::sigfillset(&all);
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS})
            ::sigdelset(&all, fault);
        sys::set_mask(SIG_SETMASK, &all, &before_);
    }
    ~everything_blocked() { sys::set_mask(SIG_SETMASK, &before_, nullptr); }
    everything_blocked(const everything_blocked&) = delete;
    everything_blocked& operator=(const everything_blocked&) = delete;

private:
    sigset_t before_{};
};

} // namespace

background::background()
    : state_(std::make_shared<state>())
{
    state_->generation = detail::fork_generation();
    const everything_blocked in_the_thread;
    // Assigned before the thread can run a callback: there is no subscription yet.
    state_->thread = std::make_unique<std::thread>([mine = state_] { mine->consume(); });
}

background::~background()
{
    state_->over.store(true, std::memory_order_release);
    if (state_->generation != detail::fork_generation()) {
        // No such thread here. An std::thread cannot be told: it stays behind, as does what the thread held.
        static_cast<void>(state_->thread.release());
        state_->box.reset();
    } else if (state_->thread->get_id() == std::this_thread::get_id()) {
        state_->box.reset(); // run_pending() below us keeps what it still needs
        state_->thread->detach();
    } else {
        state_->box->wake();
        state_->thread->join();
    }
}

subscription background::on(const signal_set& signals, handler callback, subscription_options options)
{
    return state_->box->on(signals, std::move(callback), options);
}

} // namespace tocsin
