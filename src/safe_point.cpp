#include "safe_point.hpp"

#include <poll.h>
#include <sys/syscall.h>

#include <bit>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <string>
#include <system_error>

#include <tocsin/interpreter.hpp>

#include "fail.hpp"
#include "interruptible.hpp"
#include "mailbox.hpp"
#include "process.hpp"
#include "registry.hpp"
#include "slot.hpp"
#include "sys/sys.hpp"
#include "trip.hpp"

namespace tocsin {
namespace detail {
namespace {

// Guards alive on the main thread, the only one that runs handlers and so the only one that reads this.
constinit unsigned deferrals = 0;

// Claims one bit. Acquire pairs with the fetch_or in publish(); seq_cst as that is.
bool claim(int sig) noexcept
{
    if (bit_of(sig) == deadline_bit)
        return false; // no signal: look_at_deadlines() claims it
    return (main_pending.fetch_and(~bit_of(sig), std::memory_order_seq_cst) & bit_of(sig)) != 0;
}

void write_to_stderr(const std::string& text) noexcept
{
    for (const char c : text)
        sys::write_byte(2, static_cast<unsigned char>(c));
}

// What set_interpreter_hooks() has set; `arrived` is the trip routine's. Main thread only.
constinit interpreter_hooks hooks;

// What the trip routine could not say about the wake-up descriptor.
void report_wake_error()
{
    std::atomic<int>& word = slots[main_slot].wake_error;
    if (word.load(std::memory_order_relaxed) == 0)
        return;
    const int error = word.exchange(0, std::memory_order_acquire); // pairs with the store in wake()
    if (error == 0)
        return;
    if (hooks.wakeup_error != nullptr)
        return hooks.wakeup_error(error);
    try {
        write_to_stderr("tocsin: ignored an error in writing to the signal wakeup fd: " +
                        std::generic_category().message(error) + " (errno " + std::to_string(error) + ")\n");
    } catch (...) { // no memory for the text: the error is about a wake-up only
        sys::write_byte(2, '\n');
    }
}

// The handler was replaced after the signal was recorded by a disposition that is not a callable: the signal meets it.
void meet_disposition(int sig, arrival& taken) noexcept
{
    const handler_kind now = registry::instance().wanted(sig).type();
    if (now != handler_kind::ignore && !registry::instance().is_installed(sig))
        resend(sig, taken);
}

// Rare: another thread is between claiming the record and completing it. It publishes soon; sleeping instead of spinning
// lets it run even if this thread has a real-time priority.
void wait_while_written(int sig) noexcept
{
    while (being_written(slots[main_slot], sig)) {
        constexpr timespec moment{0, 1000};
        ::nanosleep(&moment, nullptr);
    }
}

// How many handlers ran.
std::size_t dispatch(int sig, source_location where)
{
    struct at_end { // also when a handler throws
        int sig;
        ~at_end() { keep_rest_pending(sig); }
    } const rest{sig};
    std::size_t ran = 0;
    const handler run = registry::instance().wanted(sig); // a copy: the handler may replace itself
    if (auto taken = take_main(sig, run)) {
        if (run.is_callable()) {
            run(event{sig, siginfo(taken->info), taken->count, where});
            ++ran;
        } else {
            meet_disposition(sig, *taken);
        }
    }
    mailbox* const box = mailbox::main_box.load(std::memory_order_acquire); // pairs with the store in main()
    return box == nullptr ? ran : ran + box->run_collected(where, deferred);
}

} // namespace

// Gives back to the kernel what was taken, for the disposition that is there now. To the process, since the main thread
// may block what another thread took. A queued signal as many times as it came: of the further ones only the number is
// known.
void resend(int sig, arrival& taken) noexcept
{
    sys::resend_to_process(sig, taken.info);
    for (std::uint64_t n = 1; sig >= SIGRTMIN && n < taken.count; ++n)
        sys::kill(sys::getpid(), sig);
}

void keep_rest_pending(int sig) noexcept
{
    if (mailbox* const box = mailbox::main_box.load(std::memory_order_acquire); box != nullptr && box->has_events())
        main_pending.fetch_or(bit_of(sig), std::memory_order_seq_cst);
}

std::optional<arrival> take_main(int sig, const handler& run) noexcept
{
    if (mailbox* const box = mailbox::main_box.load(std::memory_order_acquire); box != nullptr) {
        const std::lock_guard hold(registry::instance());
        auto taken = box->collect(sig);
        if (!run.is_callable() && box->listens(sig))
            taken.reset(); // theirs alone
        return taken;
    }
    return take(slots[main_slot], sig);
}

std::size_t run_pending(source_location where)
{
    if (!is_main_thread() || !state_is_current())
        return 0;
    report_wake_error();
    std::size_t ran = 0;
    // One pass over what is pending now: a signal that arrives again meanwhile waits for the next safe point, so that a
    // flood of a low number never starves a higher one. Each bit is cleared just before its handler runs: if one
    // throws, or runs a safe point of its own, the others are still pending.
    std::uint64_t seen = main_pending.load(std::memory_order_seq_cst);
    for (; seen != 0 && deferrals == 0; seen &= seen - 1) {
        const int sig = std::countr_zero(seen) + 1;
        if (claim(sig))
            ran += dispatch(sig, where);
    }
    // After the handlers: one that throws tells what happened better than a deadline does. What passed meanwhile counts.
    if (deferrals == 0 && (main_pending.load(std::memory_order_relaxed) & deadline_bit) != 0)
        look_at_deadlines();
    return ran;
}

void run_raised(int sig, source_location where)
{
    run_pending(where);
    if (!is_main_thread() || deferrals != 0)
        return;
    wait_while_written(sig);
    run_pending(where);
}

const std::atomic<std::uint64_t>& call_gate() noexcept
{
    // What is pending must not stop a call whose thread runs no handlers now: it would never block again.
    const bool runs_handlers = slots[main_slot].owner.load(std::memory_order_relaxed) == sys::this_thread() &&
                               deferrals == 0 && state_is_current();
    if (runs_handlers)
        return main_pending;
    return limited_elsewhere.load(std::memory_order_relaxed) == 0 ? sys::open_gate : deadline_gate();
}

bool deferred() noexcept { return deferrals != 0; }

void end_all_deferrals() noexcept { deferrals = 0; }

void serve_interpreter()
{
    if (hooks.interrupted != nullptr && is_main_thread() && deferrals == 0)
        hooks.interrupted();
}

// Not in the header: code with guarded system calls must exist once (sys/syscall.hpp).
long wait_readable(int fd, const time_limit& limit, source_location where)
{
    pollfd each{fd, POLLIN, 0};
    return interruptible_until(where, limit, [&](const timespec* time) {
        return kernel_call_within(time, SYS_ppoll, reinterpret_cast<long>(&each), 1, reinterpret_cast<long>(time), 0,
                                  0);
    });
}

bool wait_readable(int fd, const time_limit& limit, const char* whose, source_location where)
{
    const long got = wait_readable(fd, limit, where);
    if (got < 0 && got != -ETIMEDOUT)
        fail(static_cast<int>(-got), whose);
    return got > 0;
}

void restore_and_resend() noexcept
{
    registry::instance().restore_all();
    for (int sig = 1; sig < nsig; ++sig) {
        if (registry::instance().is_installed(sig))
            continue; // its handler is older than the scope and stays, and so does what is pending for it
        claim(sig);
        if (auto taken = take_main(sig, handler())) // nobody is recording it any more: restore_all() waited
            resend(sig, *taken);
        keep_rest_pending(sig); // for subscribers
    }
}

} // namespace detail

void set_interpreter_hooks(const interpreter_hooks& wanted)
{
    detail::require_main_thread("set_interpreter_hooks");
    detail::claim_process();
    const std::lock_guard hold(detail::registry::instance());             // quiesce()
    detail::interpreter.store(wanted.arrived, std::memory_order_seq_cst); // pairs with the load in deliver()
    detail::quiesce(detail::slots[detail::main_slot]);
    detail::hooks = wanted;
}

defer_signals::defer_signals() noexcept
    : active_(detail::is_main_thread())
{
    if (!active_)
        return;
    try { // so that a child forked by another thread forgets this guard
        detail::claim_process();
    } catch (...) { // no memory: the guard works all the same
    }
    ++detail::deferrals;
}

defer_signals::~defer_signals()
{
    if (active_ && detail::deferrals > 0) // 0: a child forked by another thread has forgotten all guards
        --detail::deferrals;
}

void defer_signals::release(source_location where)
{
    if (!active_)
        return;
    active_ = false;
    if (detail::deferrals > 0)
        --detail::deferrals;
    check_signals(where);
}

} // namespace tocsin
