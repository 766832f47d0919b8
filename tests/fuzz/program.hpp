#pragma once

// What an input of api_sequence means: some handlers, each a short list of steps, and a longer list of steps to make.

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "input.hpp"

namespace fuzz {

inline constexpr std::size_t signal_count = 6;

/// Harmless ones, in ascending order: two that are ignored by default, two that the kernel queues.
inline const std::array<int, signal_count> signals = {SIGUSR1, SIGUSR2, SIGCHLD, SIGWINCH, SIGRTMIN + 1, SIGRTMIN + 2};

inline bool is_queued(std::size_t index) { return index >= 4; }
inline bool is_ignored_by_default(std::size_t index) { return index == 2 || index == 3; }

enum class action : std::uint8_t {
    signal,        // a: signal, b: what it is set to
    save,          // a: signal: getsignal(), for a later signal()
    siginterrupt,  // a: signal, b: flag
    raise_signal,  // a: signal, as for all senders
    raise,         //
    kill,          //
    sigqueue,      // b: value
    pthread_kill,  //
    pidfd_send,    //
    by_other,      // another thread takes the signal
    sigmask,       // a: set, b: how
    raw_sigmask,   // the same, the C library's
    mask_guard,    // the same
    end_mask,      //
    defer,         //
    end_deferral,  // by destructor
    release,       //
    check_signals, //
    sigtimedwait,  // a: set
    sigwaitinfo,   // a: set
    wakeup_fd,     // a: none or one of two
    runtime,       // begins or ends
    fork,          // a: the handler whose steps the child makes, b: whether it then resets itself for exec
    read,          // of a byte that is there
    poll,          // without waiting
    sleep,         // for no time
    pause,         // only where something is due
    foreign,       // a: signal: other code installs a handler
    changed,       // changed_signals()
    count
};

inline constexpr std::array<const char*, static_cast<std::size_t>(action::count)> action_names = {
    "signal",     "save",          "siginterrupt", "raise_signal", "raise",      "kill",     "sigqueue", "pthread_kill",
    "pidfd_send", "by_other",      "sigmask",      "raw_sigmask",  "mask_guard", "end_mask", "defer",    "end_deferral",
    "release",    "check_signals", "sigtimedwait", "sigwaitinfo",  "wakeup_fd",  "runtime",  "fork",     "read",
    "poll",       "sleep",         "pause",        "foreign",      "changed"};

struct step {
    action what = action::check_signals;
    std::uint8_t a = 0;
    std::uint8_t b = 0;
    [[nodiscard]] std::size_t which() const noexcept { return a % signal_count; }
    [[nodiscard]] std::string text() const
    {
        return std::string(action_names[static_cast<std::size_t>(what)]) + "(" + std::to_string(a) + ", " +
               std::to_string(b) + ")";
    }
};

inline constexpr std::size_t handler_count = 6;
inline constexpr std::size_t longest_handler = 3;
inline constexpr std::size_t longest_program = 40;
/// Handlers within handlers, and steps made by handlers altogether: an end to those that raise their own signal.
inline constexpr unsigned deepest = 3;
inline constexpr unsigned handler_steps = 60;
inline constexpr unsigned most_forks = 2;

struct handler_program {
    std::vector<step> steps;
    bool throws = false;
};

struct program {
    std::array<handler_program, handler_count> handlers;
    std::vector<step> steps;

    static step read_step(input& in)
    {
        const auto what = in.byte() % static_cast<unsigned>(action::count);
        const auto a = in.byte();
        return {static_cast<action>(what), a, in.byte()};
    }
    [[nodiscard]] std::string text() const
    {
        std::string result;
        for (std::size_t n = 0; n < handler_count; ++n) {
            if (handlers[n].steps.empty() && !handlers[n].throws)
                continue;
            result += "\n  handler " + std::to_string(n) + ":";
            for (const step& each : handlers[n].steps)
                result += " " + each.text();
            result += handlers[n].throws ? " throw" : "";
        }
        for (std::size_t n = 0; n < steps.size(); ++n)
            result += "\n  step " + std::to_string(n) + ": " + steps[n].text();
        return result;
    }
    static program read(input in)
    {
        program result;
        for (handler_program& each : result.handlers) {
            const unsigned head = in.byte();
            each.throws = (head & 0x10U) != 0;
            for (std::size_t i = 0; i < head % (longest_handler + 1); ++i)
                each.steps.push_back(read_step(in));
        }
        while (!in.empty() && result.steps.size() < longest_program)
            result.steps.push_back(read_step(in));
        return result;
    }
};

/// A handler that throws throws this, in both worlds.
struct thrown {
    long handler;
};

/// One thing that is to be seen: the model writes a list of them, the library must produce the same.
struct token {
    const char* what = "";
    std::array<long, 6> values{};
    bool operator==(const token& other) const { return std::strcmp(what, other.what) == 0 && values == other.values; }
    [[nodiscard]] std::string text() const
    {
        std::ostringstream out;
        out << what;
        for (const long value : values)
            out << ' ' << value;
        return out.str();
    }
};

} // namespace fuzz
