#pragma once

#include <tocsin/siginfo.hpp>

#include <optional>
#include <string>

#include "log.hpp"

namespace demo {

/// "pid 4242 (bash), uid 1000", or "the terminal".
[[nodiscard]] std::string describe_sender(const tocsin::siginfo& info);

/// How long ago the signal was sent, if its sender used sigqueue(3) with the time on CLOCK_MONOTONIC, in nanoseconds,
/// as the value.
[[nodiscard]] std::optional<clock::duration> time_since_sent(const tocsin::siginfo& info);

} // namespace demo
