#pragma once

// What tests that touch signals share.

#include <sys/wait.h>
#include <sched.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <chrono>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

namespace support {

/// The test runs under ThreadSanitizer, which delivers asynchronous signals late: no bounds on latency then.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool thread_sanitizer = true;
#else
inline constexpr bool thread_sanitizer = false;
#endif
#else
inline constexpr bool thread_sanitizer = false;
#endif

/// What runs the test in place of a machine, as it tells in the environment (cmake/aarch64-linux-gnu.cmake); else null.
inline const char* emulator() { return std::getenv("TOCSIN_EMULATOR"); }

/// For a case that asks for what the emulator does not do; `deviation` says what it does.
#define SKIP_IF_EMULATED(deviation)                                                                                    \
    if (support::emulator() != nullptr)                                                                                \
    GTEST_SKIP() << support::emulator() << ": " << (deviation)

/// The emulator maps the program's signal n >= 32 to its own n + 2, which leaves none for 63 and 64.
#define SKIP_WITHOUT_SIGRTMAX() SKIP_IF_EMULATED("the two highest real-time signals do not exist")
/// It reads a disposition piece by piece: a handler is called without siginfo, or the address that SIG_DFL or SIG_IGN is.
#define SKIP_WITHOUT_ATOMIC_DISPOSITIONS()                                                                             \
    SKIP_IF_EMULATED("it crashes when dispositions change while another thread takes the signal")
/// It aborts (qemu_plugin_vcpu_init_hook: assertion failed).
#define SKIP_WITHOUT_THREADS_IN_A_CHILD() SKIP_IF_EMULATED("a forked child cannot start a thread")
/// What the program blocks as 35 is 37 there.
#define SKIP_WITHOUT_MASKS_IN_PROC() SKIP_IF_EMULATED("/proc shows real-time signals under the machine's numbers")
/// The highest signal that there is.
inline int last_signal() { return emulator() != nullptr ? SIGRTMAX - 2 : SIGRTMAX; }

/// Waits until `condition()` holds; false when `limit` is over. Polls without sleeping long: the condition is the synchronisation.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds(20))
{
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        ::sched_yield();
    }
    return true;
}

/// Runs `body` in a forked child and returns its wait status. `body` returns the exit status; an exception that leaves
/// it gives 99.
template <class Body>
int in_child(Body body)
{
    const pid_t pid = ::fork();
    if (pid == 0) {
        int status = 99;
        try {
            status = body();
        } catch (const std::exception& e) {
            ::dprintf(2, "in_child: %s\n", e.what());
        } catch (...) {
        }
        ::_exit(status);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) == -1 && errno == EINTR) {
    }
    return status;
}

inline bool exited_with(int status, int code) { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
inline bool died_of(int status, int sig) { return WIFSIGNALED(status) && WTERMSIG(status) == sig; }

/// The message of the E that `f` throws; fails the test and returns "" if it throws nothing or something else.
template <class E, class F>
std::string message_of(F f)
{
    try {
        f();
    } catch (const E& e) {
        return e.what();
    } catch (const std::exception& e) {
        ADD_FAILURE() << "threw another kind of error: " << e.what();
        return "";
    }
    ADD_FAILURE() << "threw nothing";
    return "";
}

/// The errno of the std::system_error that `f` throws; fails the test and returns 0 otherwise.
template <class F>
int errno_of(F f)
{
    try {
        f();
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().category(), std::generic_category());
        return e.code().value();
    } catch (const std::exception& e) {
        ADD_FAILURE() << "threw another kind of error: " << e.what();
        return 0;
    }
    ADD_FAILURE() << "threw nothing";
    return 0;
}

} // namespace support
