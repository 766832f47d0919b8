#include <tocsin/lossless_inbox.hpp>

#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <new>
#include <string_view>
#include <thread>

#include <tocsin/nudge.hpp>

#include "describe.hpp"
#include "fail.hpp"
#include "interruptible.hpp"
#include "process.hpp"
#include "sys/sys.hpp"

namespace tocsin {
namespace {

// The signals of all lossless inboxes, as signal_set::to_bits().
constinit std::atomic<std::uint64_t> owned{0};

std::string list(const std::vector<unblocked_thread>& threads)
{
    std::string text = "lossless_inbox: to be blocked in every thread, before it starts, but not blocked:";
    for (const unblocked_thread& each : threads) {
        text += (&each == threads.data() ? " " : "; ") + to_string(each.unblocked) + " in thread " +
                std::to_string(each.tid) + " (" + detail::printable(each.name) + ")";
    }
    return text;
}

struct thread_status {
    std::string name;
    std::uint64_t blocked = 0; // bit n - 1 stands for signal n, the C library's included
};

// What /proc/self/task/TID/status says: empty for a thread that is gone or takes no more signals.
std::optional<thread_status> read_status(const std::filesystem::path& task)
{
    std::ifstream in(task / "status");
    thread_status found;
    std::string line;
    bool complete = false;
    const auto value_of = [&](std::string_view key) -> std::optional<std::string_view> {
        if (line.rfind(key, 0) != 0)
            return std::nullopt;
        std::string_view rest = std::string_view(line).substr(key.size());
        rest.remove_prefix(std::min(rest.find_first_not_of("\t "), rest.size()));
        return rest;
    };
    while (std::getline(in, line)) {
        if (const auto name = value_of("Name:")) {
            found.name = *name;
        } else if (const auto life = value_of("State:"); life && !life->empty() && std::strchr("ZXx", life->front())) {
            return std::nullopt; // a main thread that has ended before the others
        } else if (const auto mask = value_of("SigBlk:")) {
            complete = std::from_chars(mask->data(), mask->data() + mask->size(), found.blocked, 16).ec == std::errc();
        }
    }
    if (!complete)
        return std::nullopt;
    return found;
}

// The C library blocks everything, its own two signals included, while a thread starts another, and the new one begins
// so: only afterwards do they have the masks that count. Nobody else can block those two, but by bare system calls:
// whoever does so for good is believed after a while.
std::optional<thread_status> status_of(const std::filesystem::path& task)
{
    const std::uint64_t own = ~valid_signals().to_bits();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    for (;;) {
        auto found = read_status(task);
        if (!found || (found->blocked & own) != own || std::chrono::steady_clock::now() > end)
            return found;
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
}

// The threads that do not block all of them. A thread begins with the mask of the one that starts it: so when a look at
// the list shows nobody new, nobody can have slipped through between two.
std::vector<unblocked_thread> threads_without(const signal_set& signals)
{
    const std::filesystem::path tasks = "/proc/self/task";
    std::map<pid_t, std::optional<thread_status>> seen;
    for (bool somebody_new = true; somebody_new;) {
        somebody_new = false;
        std::error_code error;
        std::filesystem::directory_iterator each(tasks, error);
        for (; !error && each != std::filesystem::directory_iterator(); each.increment(error)) {
            const pid_t tid = std::stoi(each->path().filename().string());
            if (seen.contains(tid))
                continue;
            somebody_new = true;
            seen[tid] = status_of(each->path());
        }
        if (error)
            detail::fail(error.value(), "lossless_inbox: the threads cannot be checked: " + tasks.string());
    }
    std::vector<unblocked_thread> found;
    for (const auto& [tid, thread] : seen) {
        if (!thread)
            continue;
        if (const auto open = signals - signal_set::from_bits(thread->blocked); !open.empty())
            found.push_back({tid, thread->name, open});
    }
    return found;
}

void require_signals(const signal_set& signals)
{
    if (signals.empty())
        throw std::invalid_argument("lossless_inbox: the set of signals is empty");
    for (const signum sig : signals) {
        detail::require_sendable(sig, "lossless_inbox", false);
        if (sig == SIGKILL || sig == SIGSTOP)
            detail::fail(EINVAL, "lossless_inbox: " + sig.name() + " cannot be blocked");
        if (nudge_signal() == sig)
            throw std::invalid_argument("lossless_inbox: " + sig.name() +
                                        " is kept for nudging: see set_nudge_signal()");
    }
}

void* to_pointer(std::uint64_t value) noexcept { return std::bit_cast<void*>(static_cast<std::uintptr_t>(value)); }

// The members of the kernel's union that the code stands for: siginfo_layout() in linux/kernel/signal.c.
siginfo_t to_siginfo(const signalfd_siginfo& from) noexcept
{
    siginfo_t to{};
    to.si_signo = static_cast<int>(from.ssi_signo);
    to.si_errno = from.ssi_errno;
    to.si_code = from.ssi_code;
    const auto sender = [&] {
        to.si_pid = static_cast<pid_t>(from.ssi_pid);
        to.si_uid = from.ssi_uid;
    };
    const auto value = [&] { to.si_value.sival_ptr = to_pointer(from.ssi_ptr); };
    const auto ready = [&] {
        to.si_band = static_cast<decltype(to.si_band)>(from.ssi_band);
        to.si_fd = from.ssi_fd;
    };
    switch (siginfo(to).origin()) {
    case origin::timer:
        to.si_timerid = static_cast<int>(from.ssi_tid);
        to.si_overrun = static_cast<int>(from.ssi_overrun);
        value();
        break;
    case origin::child:
        sender();
        to.si_status = from.ssi_status;
        to.si_utime = static_cast<clock_t>(from.ssi_utime);
        to.si_stime = static_cast<clock_t>(from.ssi_stime);
        break;
    case origin::fault:
        if (to.si_code == SI_KERNEL)
            sender();
        else {
            to.si_addr = to_pointer(from.ssi_addr);
            to.si_addr_lsb = static_cast<short>(from.ssi_addr_lsb);
        }
        break;
    case origin::async_io:
        if (to.si_code > 0 || to.si_code == SI_SIGIO) {
            ready();
            break;
        }
        [[fallthrough]];
    default:
        if (to.si_signo == SIGSYS && to.si_code > 0 && to.si_code < SI_KERNEL) {
            to.si_call_addr = to_pointer(from.ssi_call_addr);
            to.si_syscall = from.ssi_syscall;
            to.si_arch = from.ssi_arch;
        } else if (to.si_code >= POLL_IN && to.si_code <= POLL_HUP) { // O_ASYNC with a standard signal (F_SETSIG)
            ready();
        } else {
            sender();
            if (to.si_code < 0)
                value();
        }
    }
    return to;
}

detail::time_limit limit_of(seconds limit, const char* function)
{
    const auto ns = limit.nanoseconds(function);
    if (limit.given() < 0)
        throw std::invalid_argument(std::string(function) + ": negative time: " + detail::describe(limit));
    return detail::time_limit::after(ns.count());
}

void put_back(const signalfd_siginfo& each) noexcept
{
    siginfo_t info = to_siginfo(each);
    sys::resend_to_process(info.si_signo, info);
}

} // namespace

unblocked_error::unblocked_error(std::vector<unblocked_thread> threads)
    : std::logic_error(list(threads))
    , threads_(std::make_shared<const std::vector<unblocked_thread>>(std::move(threads)))
{}

struct lossless_inbox::state {
    explicit state(const signal_set& signals) noexcept
        : wanted(signals)
    {}
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    // Everything that has been done, in reverse: also when the constructor of the inbox gives up.
    ~state()
    {
        give_back();
        if (fd >= 0)
            sys::close(fd);
        owned.fetch_and(~claimed.to_bits(), std::memory_order_relaxed);
        if (!to_unblock.empty() && thread == sys::this_thread()) {
            const sigset_t native = to_unblock.native();
            sys::set_mask(SIG_UNBLOCK, &native, nullptr);
        }
    }

    void claim()
    {
        std::uint64_t seen = owned.load(std::memory_order_relaxed);
        do {
            if (const auto taken = signal_set::from_bits(seen) & wanted; !taken.empty())
                throw std::logic_error("lossless_inbox: another one has " + to_string(taken));
        } while (!owned.compare_exchange_weak(seen, seen | wanted.to_bits(), std::memory_order_relaxed));
        claimed = wanted;
    }

    void block()
    {
        const sigset_t native = wanted.native();
        sigset_t before{};
        detail::check(sys::set_mask(SIG_BLOCK, &native, &before), "lossless_inbox: blocking the signals");
        to_unblock = wanted - signal_set(before);
    }

    // What was read by the process before fork() is not ours.
    void forget_the_parents() noexcept
    {
        if (generation == detail::fork_generation())
            return;
        generation = detail::fork_generation();
        first = last = 0;
    }

    /// Reads up to `most` more when there is nothing left; false if nothing is pending.
    bool fill(std::size_t most)
    {
        forget_the_parents();
        if (first != last)
            return true;
        const long got = sys::read(fd, read_ahead.data(), most * sizeof read_ahead[0]);
        if (got < 0 && got != -EAGAIN)
            detail::fail(static_cast<int>(-got), "lossless_inbox: reading");
        first = 0;
        last = got > 0 ? static_cast<std::size_t>(got) / sizeof read_ahead[0] : 0;
        return last != 0;
    }

    event take(source_location where)
    {
        const siginfo info(to_siginfo(read_ahead.at(first++)));
        return event{info.signo(), info, 1, where};
    }

    /// Sends what has been read ahead to this process again, before what is still pending.
    void give_back() noexcept
    {
        forget_the_parents();
        if (first == last)
            return;
        std::vector<signalfd_siginfo> rest;
        try { // all of it: those behind would overtake
            rest.assign(read_ahead.begin() + static_cast<std::ptrdiff_t>(first),
                        read_ahead.begin() + static_cast<std::ptrdiff_t>(last));
            first = last;
            while (fill(read_ahead.size())) {
                rest.insert(rest.end(), read_ahead.begin(), read_ahead.begin() + static_cast<std::ptrdiff_t>(last));
                first = last;
            }
        } catch (const std::exception&) { // no memory: none lost, the order is
        }
        for (const signalfd_siginfo& each : rest)
            put_back(each);
        for (; first != last; ++first)
            put_back(read_ahead.at(first));
    }

    bool wait(const detail::time_limit& limit, source_location where)
    {
        forget_the_parents();
        if (first != last)
            return true;
        return detail::wait_readable(fd, limit, "lossless_inbox: waiting", where);
    }

    const signal_set wanted;
    signal_set claimed;
    signal_set to_unblock;
    const std::uintptr_t thread = sys::this_thread();
    int fd = -1;
    unsigned generation = detail::fork_generation();
    bool polled = false; // somebody waits on the descriptor: what is pending is to be there
    std::array<signalfd_siginfo, 64> read_ahead{};
    std::size_t first = 0; // of those that have not been returned
    std::size_t last = 0;
};

lossless_inbox::lossless_inbox(const signal_set& signals)
    : signals_(signals)
{
    require_signals(signals);
    detail::claim_process(); // counts forks
    state_ = std::make_unique<state>(signals);
    state_->claim();
    state_->block();
    if (auto others = threads_without(signals); !others.empty())
        throw unblocked_error(std::move(others));
    const sigset_t native = signals.native();
    state_->fd = sys::signal_fd(&native);
    detail::check(state_->fd, "lossless_inbox: no descriptor");
}

lossless_inbox::~lossless_inbox() = default;

int lossless_inbox::native_handle()
{
    if (!state_->polled)
        state_->give_back();
    state_->polled = true;
    return state_->fd;
}

std::optional<event> lossless_inbox::try_next(source_location where)
{
    if (!state_->fill(state_->polled ? 1 : state_->read_ahead.size()))
        return std::nullopt;
    return state_->take(where);
}

event lossless_inbox::next(source_location where)
{
    for (;;) {
        if (auto found = try_next(where))
            return *found;
        state_->wait(detail::time_limit::never(), where);
    }
}

std::optional<event> lossless_inbox::next(seconds limit, source_location where)
{
    const auto end = limit_of(limit, "lossless_inbox::next");
    for (;;) {
        if (auto found = try_next(where))
            return found;
        if (!state_->wait(end, where))
            return std::nullopt;
    }
}

bool lossless_inbox::wait(source_location where) { return state_->wait(detail::time_limit::never(), where); }

bool lossless_inbox::wait(seconds limit, source_location where)
{
    return state_->wait(limit_of(limit, "lossless_inbox::wait"), where);
}

std::size_t lossless_inbox::run_pending(const handler& f, source_location where)
{
    if (!f.is_callable())
        throw std::invalid_argument("lossless_inbox::run_pending: " + to_string(f) + " cannot be called");
    struct back_to_the_kernel { // what `f` did not get to, where the descriptor is to show it
        state& box;
        ~back_to_the_kernel()
        {
            if (box.polled)
                box.give_back();
        }
    } const at_end{*state_};
    std::size_t ran = 0;
    for (; state_->fill(state_->read_ahead.size()); ++ran)
        f(state_->take(where));
    return ran;
}

} // namespace tocsin
