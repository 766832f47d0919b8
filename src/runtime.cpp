#include <tocsin/runtime.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "process.hpp"
#include "registry.hpp"
#include "safe_point.hpp"
#include "sys/sys.hpp"

namespace tocsin {
namespace {

constinit bool active = false; // main thread only

} // namespace

runtime::runtime()
{
    detail::require_main_thread("runtime");
    if (active)
        throw std::logic_error("runtime: another one is alive");
    detail::claim_process(); // so that a child forked by another thread forgets this one
    auto& registry = detail::registry::instance();
    const auto replace_default = [&](int sig, handler with) {
        if (registry.current(sig) == default_action)
            registry.install(sig, std::move(with), "runtime");
    };
    registry.begin_scope();
    try {
        replace_default(SIGPIPE, ignore);
        replace_default(SIGXFSZ, ignore);
        replace_default(SIGINT, default_int_handler);
    } catch (...) {
        registry.restore_all();
        throw;
    }
    active = true;
}

runtime::~runtime()
{
    detail::restore_and_resend();
    active = false;
}

void detail::forget_runtime() noexcept { active = false; }

void detail::die_of_interrupt() noexcept
{
    std::fflush(nullptr);
    sys::set_default_action(SIGINT);
    sigset_t interrupt;
    ::sigemptyset(&interrupt);
    ::sigaddset(&interrupt, SIGINT);
    sys::set_mask(SIG_UNBLOCK, &interrupt, nullptr);
    sys::kill(sys::getpid(), SIGINT);
    // Process 1 of a pid namespace has no default action: end with the status a shell reports for it.
    std::_Exit(128 + SIGINT);
}

} // namespace tocsin
