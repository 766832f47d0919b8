#pragma once

// The time of the program, its libraries and its timer descriptors.
//
// After stop() it stands still until advance(): clock_gettime() reads the real clock, for what that costs, and answers with
// the program's own; a descriptor of timerfd_create() becomes readable when that time is reached. So a minute passes in no
// time, the same one for every library, and what is due in a turn of a loop does not depend on how long the last one took.

#include <cstdint>

namespace program_time {

void stop();
void advance(std::int64_t nanoseconds);
/// On CLOCK_MONOTONIC.
std::int64_t now();

} // namespace program_time

/// What the calling thread has used of a processor, in nanoseconds.
std::int64_t cpu_time();
