#pragma once

#include <cstdint>

#include <tocsin/siginfo.hpp>
#include <tocsin/signum.hpp>
#include <tocsin/source_location.hpp>

namespace tocsin {

/// What a handler is told.
struct event {
    signum signo = 0;
    /// Who sent it and why: the record of the first of the merged arrivals.
    siginfo info;
    /// Arrivals since the handler last ran that are merged into this call: at least 1. A standard signal that is
    /// already pending in the kernel is merged there and counts once.
    std::uint64_t count = 1;
    /// The safe point that runs the handler (what the reference calls the interrupted frame).
    source_location where;
};

} // namespace tocsin
