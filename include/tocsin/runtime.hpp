#pragma once

#include <type_traits>
#include <utility>

#include <tocsin/signal.hpp>

namespace tocsin {

/// The dispositions a program (not a library) wants at start-up: SIGPIPE and SIGXFSZ ignored, so that writing to a
/// closed pipe or past the file size limit is an error and not a death, and SIGINT given to default_int_handler. Each
/// only if it had the default action: an inherited "ignore", as under nohup, and handlers of other code stay.
/// The destructor puts back every disposition that was changed through tocsin while it lived, unless other code has
/// changed it since. It runs no handlers, since what they refer to may be gone: a signal still pending takes the
/// disposition that is put back, as if it had come a moment later.
/// Context: main thread. Errors: thread_error; std::logic_error while another runtime lives.
class TOCSIN_API runtime {
public:
    runtime();
    ~runtime();
    runtime(const runtime&) = delete;
    runtime& operator=(const runtime&) = delete;
};

namespace detail {
[[noreturn]] TOCSIN_API void die_of_interrupt() noexcept;
} // namespace detail

/// Runs `f` under a runtime and returns its result (0 if it returns nothing). If keyboard_interrupt comes out of it,
/// the process flushes C streams and dies by SIGINT, so that a shell that waits for it sees the interrupt; functions
/// registered with std::atexit do not run then. Other exceptions pass through.
/// Context: main thread.
template <class F>
int run_main(F&& f)
{
    try {
        const runtime active;
        if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
            std::forward<F>(f)();
            return 0;
        } else {
            return std::forward<F>(f)();
        }
    } catch (const keyboard_interrupt&) {
        detail::die_of_interrupt();
    }
}

} // namespace tocsin
