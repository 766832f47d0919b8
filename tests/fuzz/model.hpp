#pragma once

// What tocsin's documentation, and the kernel's, say must happen: one thread, plain values, nothing of the library.

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

#include "program.hpp"

namespace fuzz {

/// How a signal was sent, as its siginfo must tell.
struct arrival {
    long code = 0;
    long value = 0; // sigqueue: the value; SIGCHLD: the status
};

/// The program would end here, or never go on: such a step is not made (a death is watched in a child).
struct death {
    int sig;
};
struct endless {};

enum class kind : std::uint8_t { default_action, ignore, callable, foreign };

struct disposition {
    kind what = kind::default_action;
    long handler = -1; // of a callable
};

/// What the kernel does with the signal.
struct kernel_action {
    kind what = kind::default_action;
    bool restart = false;
};

class model {
public:
    explicit model(const program& p)
        : program_(&p)
    {}

    // What can be looked at after each step.
    std::vector<token> expected;
    std::vector<std::uint8_t> wake_bytes[2];
    std::array<kernel_action, signal_count> kernel;
    std::array<bool, signal_count> blocked{};
    std::array<bool, signal_count> pending{};
    std::array<long, signal_count> foreign_runs{};

    [[nodiscard]] unsigned long kernel_pending() const
    {
        unsigned long result = 0;
        for (std::size_t i = 0; i < signal_count; ++i)
            result |= static_cast<unsigned long>(!for_thread_[i].empty() || !for_process_[i].empty()) << i;
        return result;
    }
    [[nodiscard]] disposition shown(std::size_t i) const
    {
        switch (kernel[i].what) {
        case kind::callable:
            return wanted_[i];
        default:
            return {kernel[i].what, -1};
        }
    }
    [[nodiscard]] unsigned long mask() const { return pack(blocked); }
    [[nodiscard]] unsigned long pending_mask() const { return pack(pending); }

    /// Makes a step of the program. What handlers throw ends here.
    void make(const step& s)
    {
        try {
            run(s);
        } catch (const thrown& e) {
            see("threw", e.handler);
        }
    }

    /// Becomes the child of a fork.
    void fork()
    {
        expected.clear();
        children.clear();
        in_child_ = true;
        for (auto* each : {&for_thread_, &for_process_})
            each->fill({});
        inbox_.fill({});
        pending.fill(false);
        wake_ = -1;
        for (auto& bytes : wake_bytes)
            bytes.clear();
    }

    /// What the child of a fork does after it: see action::fork.
    void child(const std::vector<step>& steps, bool reset)
    {
        for (const step& each : steps)
            make(each);
        if (reset)
            reset_for_exec();
    }

    [[nodiscard]] bool in_child() const { return in_child_; }
    /// Children cost a thousand times what other steps do: only where the input insists.
    [[nodiscard]] bool may_fork(const step& s) const { return forks_ < most_forks && (s.b & 0x40U) != 0; }
    void count_fork() { ++forks_; }

    /// The child that died of `sig`, or exited with status 0 (sig 0), is reported.
    void child_ended(int sig)
    {
        if (kernel[2].what != kind::ignore) // then the kernel reports no children
            send(2, false, {sig == 0 ? CLD_EXITED : CLD_KILLED, sig});
    }

private:
    struct record {
        long count = 0;
        arrival first;
    };
    using queues = std::array<std::vector<arrival>, signal_count>;
    using set = std::array<bool, signal_count>;

    static unsigned long pack(const set& members)
    {
        unsigned long result = 0;
        for (std::size_t i = 0; i < signal_count; ++i)
            result |= static_cast<unsigned long>(members[i]) << i;
        return result;
    }

    void see(const char* what, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0)
    {
        expected.push_back({what, {a, b, c, d, e, 0}});
    }

    // The kernel.

    [[nodiscard]] bool ignores(std::size_t i) const
    {
        return kernel[i].what == kind::ignore || (kernel[i].what == kind::default_action && is_ignored_by_default(i));
    }

    void set_action(std::size_t i, kernel_action action)
    {
        kernel[i] = action;
        if (ignores(i)) {
            for_thread_[i].clear();
            for_process_[i].clear();
        }
    }

    void deliver(std::size_t i, const arrival& what)
    {
        switch (kernel[i].what) {
        case kind::callable: {
            record& mine = inbox_[i];
            if (mine.count++ == 0)
                mine.first = what;
            pending[i] = true;
            if (wake_ >= 0)
                wake_bytes[wake_].push_back(static_cast<std::uint8_t>(signals[i]));
            break;
        }
        case kind::foreign:
            ++foreign_runs[i];
            break;
        case kind::ignore:
            break;
        case kind::default_action:
            if (!is_ignored_by_default(i))
                throw death{signals[i]};
            break;
        }
    }

    void send(std::size_t i, bool to_thread, const arrival& what)
    {
        if (!blocked[i]) {
            if (!ignores(i))
                deliver(i, what);
            return;
        }
        auto& queue = (to_thread ? for_thread_ : for_process_)[i];
        if (queue.empty() || is_queued(i))
            queue.push_back(what);
    }

    std::optional<arrival> take_from_kernel(std::size_t i, queues& from)
    {
        if (from[i].empty())
            return std::nullopt;
        const arrival first = from[i].front();
        from[i].erase(from[i].begin());
        return first;
    }

    void set_mask(const set& wanted)
    {
        blocked = wanted;
        for (queues* from : {&for_thread_, &for_process_}) {
            for (std::size_t i = 0; i < signal_count; ++i) {
                while (!blocked[i]) {
                    const auto next = take_from_kernel(i, *from);
                    if (!next)
                        break;
                    if (!ignores(i))
                        deliver(i, *next);
                }
            }
        }
    }

    [[nodiscard]] set changed_mask(const step& s) const
    {
        set result{};
        for (std::size_t i = 0; i < signal_count; ++i) {
            const bool member = ((s.a >> i) & 1) != 0;
            switch (s.b % 3) {
            case 0:
                result[i] = blocked[i] || member;
                break;
            case 1:
                result[i] = blocked[i] && !member;
                break;
            default:
                result[i] = member;
            }
        }
        return result;
    }

    // tocsin.

    void call(std::size_t i, long handler, const record& taken)
    {
        switch (handler % 3) {
        case 0: // takes the event
            see("handler", handler, signals[i], taken.count, taken.first.code, taken.first.value);
            break;
        case 1: // takes the number
            see("handler", handler, signals[i]);
            break;
        default:
            see("handler", handler);
        }
        const handler_program& does = program_->handlers[static_cast<std::size_t>(handler)];
        ++depth_;
        try {
            for (const step& each : does.steps) {
                if (depth_ > deepest || steps_ >= handler_steps)
                    break;
                ++steps_;
                run(each);
            }
        } catch (...) {
            --depth_;
            throw;
        }
        --depth_;
        if (does.throws)
            throw thrown{handler};
    }

    record take(std::size_t i)
    {
        const record taken = inbox_[i];
        inbox_[i] = {};
        return taken;
    }

    // One pass over what is pending now.
    std::size_t run_pending()
    {
        std::size_t ran = 0;
        const set seen = pending;
        for (std::size_t i = 0; i < signal_count && deferrals_ == 0; ++i) {
            if (!seen[i] || !pending[i])
                continue;
            pending[i] = false;
            const record taken = take(i);
            if (taken.count == 0)
                continue;
            const disposition now = wanted_[i];
            if (now.what == kind::callable) {
                call(i, now.handler, taken);
                ++ran;
            } else if (now.what != kind::ignore && kernel[i].what != kind::callable) {
                send(i, true, taken.first);
            }
        }
        return ran;
    }

    void check_signals() { run_pending(); }

    // What keeps a call out of the kernel.
    [[nodiscard]] bool due() const { return deferrals_ == 0 && pending_mask() != 0; }

    void set_signal(std::size_t i, const disposition& what)
    {
        check_signals();
        const disposition before = shown(i);
        if (!changed_[i]) {
            original_[i] = kernel[i];
            original_wanted_[i] = wanted_[i];
            changed_[i] = true;
        }
        given_ignore_[i] = what.what == kind::ignore;
        set_action(i, {what.what, what.what == kind::foreign && saved_restart_});
        wanted_[i] = what;
        if (before.what == kind::callable && deferrals_ == 0 && pending[i]) {
            pending[i] = false;
            if (const record taken = take(i); taken.count != 0)
                call(i, before.handler, taken);
        }
        see("signal", static_cast<long>(before.what), before.handler);
    }

    void end_runtime()
    {
        for (std::size_t i = 0; i < signal_count; ++i) {
            if (!changed_[i])
                continue;
            if (kernel[i].what == wanted_[i].what) {
                given_ignore_[i] = original_[i].what == kind::ignore;
                set_action(i, original_[i]);
            }
            wanted_[i] = original_wanted_[i];
            changed_[i] = false;
        }
        for (std::size_t i = 0; i < signal_count; ++i) {
            if (kernel[i].what == kind::callable)
                continue;
            pending[i] = false;
            if (const record taken = take(i); taken.count != 0)
                send(i, true, taken.first);
        }
        runtime_ = false;
    }

    void reset_for_exec()
    {
        for (std::size_t i = 0; i < signal_count; ++i) {
            if (kernel[i].what == kind::callable || kernel[i].what == kind::foreign ||
                (kernel[i].what == kind::ignore && given_ignore_[i]))
                set_action(i, {});
        }
        for (std::size_t i = 0; i < signal_count; ++i) {
            if (!pending[i])
                continue;
            pending[i] = false;
            if (const record taken = take(i); taken.count != 0)
                send(i, true, taken.first);
        }
        set_mask({});
    }

    void wait(unsigned members, bool for_ever)
    {
        check_signals();
        while (for_ever && due()) // kept out of the kernel: handlers first
            check_signals();
        for (queues* from : {&for_thread_, &for_process_}) {
            for (std::size_t i = 0; i < signal_count; ++i) {
                if (((members >> i) & 1U) == 0)
                    continue;
                if (const auto next = take_from_kernel(i, *from)) {
                    see("waited", signals[i], next->code, next->value);
                    return;
                }
            }
        }
        if (for_ever)
            throw endless{};
        see("waited");
    }

    void take_elsewhere(std::size_t i)
    {
        if (in_child_) // there is no other thread
            return;
        while (const auto next = take_from_kernel(i, for_process_)) {
            if (!ignores(i))
                deliver(i, *next);
        }
        if (!ignores(i))
            deliver(i, {SI_USER, 0});
    }

    void fork_child(const step& s)
    {
        if (in_child_ || !may_fork(s))
            return see("no fork");
        count_fork();
        model other = *this;
        other.fork();
        const auto& steps = program_->handlers[s.a % handler_count].steps;
        int sig = 0;
        try {
            other.child(steps, (s.b & 1) != 0);
        } catch (const death& d) {
            sig = d.sig;
        } catch (const endless&) {
            return see("no fork");
        }
        see("fork", sig);
        children.push_back(other);
        child_ended(sig);
    }

    void run(const step& s)
    {
        const std::size_t i = s.which();
        switch (s.what) {
        case action::signal:
            set_signal(i, disposition_for(s.b));
            break;
        case action::save:
            saved_ = shown(i);
            saved_restart_ = kernel[i].restart;
            see("saved", static_cast<long>(saved_.what), saved_.handler);
            break;
        case action::siginterrupt:
            set_action(i, {kernel[i].what, (s.b & 1) == 0});
            break;
        case action::raise_signal:
            send(i, true, {SI_TKILL, 0});
            run_pending();
            if (deferrals_ == 0)
                run_pending();
            break;
        case action::raise:
            send(i, true, {SI_TKILL, 0});
            break;
        case action::kill:
        case action::pidfd_send:
            send(i, false, {SI_USER, 0});
            break;
        case action::sigqueue:
            send(i, false, {SI_QUEUE, s.b});
            break;
        case action::pthread_kill:
            send(i, true, {SI_TKILL, 0});
            check_signals();
            break;
        case action::by_other:
            take_elsewhere(i);
            break;
        case action::sigmask: {
            const auto before = mask();
            set_mask(changed_mask(s));
            check_signals();
            see("mask", static_cast<long>(before));
            break;
        }
        case action::raw_sigmask:
            set_mask(changed_mask(s));
            break;
        case action::mask_guard:
            masks_.push_back(blocked);
            set_mask(changed_mask(s));
            break;
        case action::end_mask:
            if (!masks_.empty()) {
                const set before = masks_.back();
                masks_.pop_back();
                set_mask(before);
            }
            break;
        case action::defer:
            ++deferrals_;
            break;
        case action::end_deferral:
            if (deferrals_ > 0)
                --deferrals_;
            break;
        case action::release:
            if (deferrals_ > 0) {
                --deferrals_;
                check_signals();
            }
            break;
        case action::check_signals:
            check_signals();
            break;
        case action::sigtimedwait:
            wait(s.a, false);
            break;
        case action::sigwaitinfo:
            wait(s.a, true);
            break;
        case action::wakeup_fd:
            see("wakeup_fd", wake_);
            wake_ = s.a % 3 - 1;
            break;
        case action::runtime:
            if (runtime_) {
                end_runtime();
            } else {
                runtime_ = true;
                changed_.fill(false);
            }
            break;
        case action::fork:
            fork_child(s);
            break;
        case action::read:
            check_signals();
            while (due())
                check_signals();
            see("read", s.a);
            break;
        case action::poll:
            check_signals();
            if (due())
                check_signals();
            see("poll");
            break;
        case action::sleep:
            check_signals();
            break;
        case action::pause:
            if (deferrals_ > 0) {
                see("pause refused");
                break;
            }
            for (std::size_t ran = 0; ran == 0;) {
                if (pending_mask() == 0)
                    throw endless{};
                ran = run_pending();
            }
            break;
        case action::foreign:
            set_action(i, {kind::foreign, false});
            break;
        case action::changed: {
            set result{};
            for (std::size_t n = 0; n < signal_count; ++n)
                result[n] = kernel[n].what == kind::callable || (kernel[n].what == kind::ignore && given_ignore_[n]);
            see("changed", static_cast<long>(pack(result)));
            break;
        }
        case action::count:
            break;
        }
    }

    [[nodiscard]] disposition disposition_for(unsigned b) const
    {
        const std::size_t choice = b % (handler_count + 3);
        if (choice == 0)
            return {};
        if (choice == 1)
            return {kind::ignore, -1};
        if (choice == 2)
            return saved_;
        return {kind::callable, static_cast<long>(choice) - 3};
    }

public:
    /// The children of the step, in order, with what each must see.
    std::vector<model> children;

private:
    const program* program_;
    queues for_thread_, for_process_;
    std::array<record, signal_count> inbox_;
    std::array<disposition, signal_count> wanted_;
    std::array<bool, signal_count> changed_{};
    std::array<bool, signal_count> given_ignore_{};
    std::array<kernel_action, signal_count> original_;
    std::array<disposition, signal_count> original_wanted_;
    std::vector<set> masks_;
    disposition saved_;
    bool saved_restart_ = false;
    unsigned deferrals_ = 0;
    int wake_ = -1;
    bool runtime_ = false;
    bool in_child_ = false;
    unsigned depth_ = 0;
    unsigned steps_ = 0;
    unsigned forks_ = 0;
};

} // namespace fuzz
