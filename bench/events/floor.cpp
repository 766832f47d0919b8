// The least a program can do itself without losing a signal or its sender.

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include "subject.hpp"

namespace {

struct {
    std::atomic<std::uint64_t> flag{0};
    std::atomic<std::uint64_t> written{0};
    std::uint64_t read = 0;
    siginfo_t ring[64];
    int wake = -1;
} state;
std::int64_t senders = 0; // so that the information is read

void trip(int sig, siginfo_t* info, void* /*context*/)
{
    const int saved_errno = errno;
    const std::uint64_t position = state.written.load(std::memory_order_relaxed);
    state.ring[position % 64] = *info;
    state.written.store(position + 1, std::memory_order_release);
    state.flag.fetch_or(std::uint64_t{1} << (sig - 1));
    if (state.wake >= 0)
        ::eventfd_write(state.wake, 1);
    errno = saved_errno;
}

void install()
{
    struct sigaction action = {};
    action.sa_sigaction = trip;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    ::sigfillset(&action.sa_mask);
    ::sigaction(SIGUSR1, &action, nullptr);
}

void check()
{
    if (state.flag.load(std::memory_order_relaxed) == 0)
        return;
    state.flag.exchange(0);
    for (; state.read != state.written.load(std::memory_order_acquire); ++state.read) {
        senders += state.ring[state.read % 64].si_pid;
        ++subject::callbacks;
    }
}

struct raw_flag : subject {
    raw_flag() { install(); }
    void turn() override { check(); }
    void wait() override // with the window that a flag has
    {
        while (state.flag.load(std::memory_order_relaxed) == 0)
            ::poll(nullptr, 0, 10);
        check();
    }
};
const enlist<raw_flag> a("raw handler and flag");

struct raw_descriptor : subject {
    int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    raw_descriptor()
    {
        state.wake = fd;
        install();
    }
    void look(int ms)
    {
        pollfd each{fd, POLLIN, 0};
        if (::poll(&each, 1, ms) != 1)
            return;
        eventfd_t count = 0;
        ::eventfd_read(fd, &count);
        check();
    }
    void turn() override { look(0); }
    void wait() override { look(-1); }
};
const enlist<raw_descriptor> b("raw handler, eventfd, poll");

struct raw_signalfd : subject {
    int fd = -1;

    raw_signalfd()
    {
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGUSR1);
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    void turn() override
    {
        signalfd_siginfo info;
        if (::read(fd, &info, sizeof info) != sizeof info)
            return;
        senders += info.ssi_pid;
        ++callbacks;
    }
    void wait() override
    {
        pollfd each{fd, POLLIN, 0};
        ::poll(&each, 1, -1);
        turn();
    }
};
const enlist<raw_signalfd> c("raw signalfd read");

} // namespace
