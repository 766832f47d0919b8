#include <tocsin/fork.hpp>

#include <optional>

#include "deadlines.hpp"
#include "fail.hpp"
#include "mailbox.hpp"
#include "registry.hpp"
#include "slot.hpp"
#include "sys/sys.hpp"
#include "trip.hpp"

namespace tocsin {
namespace {

// As reset_for_exec() must treat a disposition.
enum class treatment { keep, ours, other_handler };

// Asks the kernel, not the registry: its mutex may be held by a thread that does not exist here, and in a child of
// vfork() it is the parent's.
treatment treatment_of(int sig) noexcept
{
    struct sigaction now = {};
    if (sys::set_action(sig, nullptr, &now) < 0)
        return treatment::keep; // the C library's own
    if (detail::is_trip(now))
        return treatment::ours;
    if ((now.sa_flags & SA_SIGINFO) == 0) {
        if (now.sa_handler == SIG_DFL)
            return treatment::keep;
        if (now.sa_handler == SIG_IGN) {
            const bool given = (detail::given_ignore.load(std::memory_order_relaxed) & detail::bit_of(sig)) != 0;
            return given ? treatment::ours : treatment::keep;
        }
    }
    return sig == detail::nudge_number.load(std::memory_order_relaxed) ? treatment::keep : treatment::other_handler;
}

// What a slot has not been asked for yet takes the disposition that is there now. Others may be at the same slot only where
// this process itself executes the program.
void resend_pending(detail::slot& of) noexcept
{
    const bool is_main = &of == &detail::slots[detail::main_slot];
    // Acquire pairs with the store in mailbox::main().
    detail::mailbox* const box = is_main ? detail::mailbox::main_box.load(std::memory_order_acquire) : nullptr;
    // Deadlines stay, for the case that no program is executed after all.
    const std::uint64_t bits = of.pending().fetch_and(detail::deadline_bit, std::memory_order_seq_cst);
    for (const signum sig : signal_set::from_bits(bits)) {
        if (auto late = detail::take(of, sig))
            sys::resend_to_self(sig, late->info);
        if (auto kept = box == nullptr ? std::nullopt : box->take_kept(sig))
            sys::resend_to_self(sig, kept->info);
        // Acquire pairs with mailbox::exchange_ring()'s exchange.
        auto* const queued = of.rings[detail::index_of(sig)].load(std::memory_order_acquire);
        if (auto first = queued == nullptr ? std::nullopt : queued->pop())
            sys::resend_to_self(sig, *first); // once: it ends the process, or is ignored
    }
}

} // namespace

signal_set changed_signals() noexcept
{
    std::uint64_t bits = 0;
    for (int sig = 1; sig < nsig; ++sig) {
        if (treatment_of(sig) == treatment::ours)
            bits |= detail::bit_of(sig);
    }
    return signal_set::from_bits(bits);
}

void reset_for_exec() noexcept
{
    struct sigaction by_default = {};
    by_default.sa_handler = SIG_DFL;
    for (int sig = 1; sig < nsig; ++sig) {
        if (treatment_of(sig) != treatment::keep)
            sys::set_action(sig, &by_default, nullptr);
    }
    // Arrived after fork(), for what will not run here any more. Not in a child that still has its parent's.
    if (detail::in_owner_process()) {
        for (detail::slot& each : detail::slots)
            resend_pending(each);
    }
    // Last, so that no handler runs: it would lose the signal, or in a child of vfork() work on the parent's memory.
    // A nudge that is pending (only where this process itself executes the program) is spent on its handler here;
    // pending still at exec, one that is not SIGURG would end the new program.
    sigset_t none;
    ::sigemptyset(&none);
    sys::set_mask(SIG_SETMASK, &none, nullptr);
}

spawn_attributes::spawn_attributes()
{
    if (const int error = ::posix_spawnattr_init(&native_); error != 0)
        detail::fail(error, "posix_spawnattr_init");
    // These cannot fail: the flags and sets are valid.
    const sigset_t changed = changed_signals().native();
    ::posix_spawnattr_setsigdefault(&native_, &changed);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&native_, &none);
    ::posix_spawnattr_setflags(&native_, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

spawn_attributes::~spawn_attributes() { ::posix_spawnattr_destroy(&native_); }

} // namespace tocsin
