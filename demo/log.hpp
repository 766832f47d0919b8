#pragma once

#include <chrono>
#include <sstream>
#include <string>

namespace demo {

using clock = std::chrono::steady_clock; // CLOCK_MONOTONIC: the clock of the timers and of the senders' stamps

/// "0.043 ms"
[[nodiscard]] std::string in_ms(clock::duration time);

/// Writes one line to standard output, after the time since the program started.
void say_line(const std::string& text);

template <class... Parts>
void say(const Parts&... parts)
{
    std::ostringstream line;
    (line << ... << parts);
    say_line(line.str());
}

} // namespace demo
