#pragma once

// What the tests of children and of the programs they execute share.

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include <tocsin/tocsin.hpp>

#include "support.hpp"

#define SKIP_WHERE_VFORK_IS_FORK()                                                                                     \
    if (support::thread_sanitizer)                                                                                     \
        GTEST_SKIP()                                                                                                   \
            << "ThreadSanitizer makes vfork a fork, and keeps a copy of the dispositions in the shared memory";        \
    SKIP_IF_EMULATED("vfork is a fork, and clone shares memory with threads only")

namespace support {

// Runs in every forked child before tocsin renews its state there: registered when the program starts, so before
// tocsin's own function.
inline void (*in_the_window)() = nullptr;
inline const int window_registered = ::pthread_atfork(nullptr, nullptr, [] {
    if (in_the_window != nullptr)
        in_the_window();
});

inline int runs = 0;

inline void count_runs() { ++runs; }

// Two bare system calls, so that a child of vfork() may do it. Not raise(), and not syscall(): ThreadSanitizer, which
// delivers at once what it sees sent, would not see it.
inline void send_to_self(int sig) { ::kill(::getpid(), sig); }

inline int wait_for(pid_t pid)
{
    int status = 0;
    while (::waitpid(pid, &status, __WALL) == -1 && errno == EINTR) {
    }
    return status;
}

// A child made by the system call itself: no atfork functions, no C library.
inline pid_t raw_clone(unsigned long flags)
{
    return static_cast<pid_t>(::syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
}

// The parent is what it was: nothing pending, its handler not run, still installed and working.
inline void expect_parent_untouched(int sig = SIGUSR1)
{
    EXPECT_EQ(tocsin::detail::main_pending.load(), 0U);
    tocsin::check_signals();
    EXPECT_EQ(runs, 0);
    EXPECT_TRUE(tocsin::getsignal(sig).is_callable());
    tocsin::raise_signal(sig);
    EXPECT_EQ(runs, 1);
    runs = 0;
}

class pipe_ends {
public:
    explicit pipe_ends(int flags = O_CLOEXEC) { EXPECT_EQ(::pipe2(fds_, flags), 0); }
    ~pipe_ends()
    {
        close_writer();
        ::close(fds_[0]);
    }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    [[nodiscard]] int reader() const { return fds_[0]; }
    [[nodiscard]] int writer() const { return fds_[1]; }
    void close_writer()
    {
        if (fds_[1] != -1)
            ::close(fds_[1]);
        fds_[1] = -1;
    }

private:
    int fds_[2] = {-1, -1};
};

// What a program that wants a clean slate for its children has changed: a handler, an ignored signal, a mask.
class changed_process {
public:
    changed_process()
        : block_({SIGUSR2, SIGTERM, SIGRTMIN})
    {
        tocsin::signal(SIGUSR1, count_runs);
        tocsin::signal(SIGTSTP, tocsin::ignore);
    }

    static tocsin::signal_set ignored() { return {SIGPIPE, SIGXFSZ, SIGTSTP}; }
    static tocsin::signal_set handled() { return {SIGINT, SIGUSR1}; }
    static tocsin::signal_set blocked() { return {SIGUSR2, SIGTERM, SIGRTMIN}; }

private:
    // The test runner may have been started with some of these ignored.
    struct known_start {
        known_start()
        {
            for (const int sig : {SIGPIPE, SIGXFSZ, SIGTSTP, SIGINT, SIGUSR1})
                ::signal(sig, SIG_DFL);
        }
    };
    known_start start_;
    tocsin::runtime runtime_;
    tocsin::mask_guard block_;
};

} // namespace support

// Every test starts without what the one before has set, should they share a process.
class G6 : public testing::Test {
protected:
    void SetUp() override
    {
        support::runs = 0;
        for (const int sig : tocsin::changed_signals())
            ::signal(sig, SIG_DFL);
    }
};
