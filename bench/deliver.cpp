// What does a signal cost, from the call that sends it to the handler that reads its siginfo? The floor is the least a
// program can do itself without losing one: a handler that copies the siginfo into a ring and sets a flag, and a
// consumer that looks at the flag and calls a function.

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>

#include <tocsin/tocsin.hpp>

#include "pair.hpp"

namespace {

constexpr int ours = SIGUSR1;
constexpr int raw = SIGUSR2;

std::int64_t senders = 0; // what the handlers add up, so that the siginfo is read

struct {
    std::atomic<std::uint64_t> flag{0};
    std::atomic<std::uint64_t> written{0};
    std::uint64_t read = 0;
    siginfo_t ring[64];
    int wake = -1;
    void (*handler)(const siginfo_t&) = nullptr;
} floor_state;

void raw_trip(int sig, siginfo_t* info, void* /*context*/)
{
    const int saved_errno = errno;
    const std::uint64_t position = floor_state.written.load(std::memory_order_relaxed);
    floor_state.ring[position % 64] = *info;
    floor_state.written.store(position + 1, std::memory_order_release);
    floor_state.flag.fetch_or(std::uint64_t{1} << (sig - 1));
    if (floor_state.wake >= 0) {
        const auto byte = static_cast<unsigned char>(sig);
        while (::write(floor_state.wake, &byte, 1) == -1 && errno == EINTR) {
        }
    }
    errno = saved_errno;
}

void raw_check()
{
    if (floor_state.flag.load(std::memory_order_relaxed) == 0)
        return;
    floor_state.flag.exchange(0);
    while (floor_state.read != floor_state.written.load(std::memory_order_acquire))
        floor_state.handler(floor_state.ring[floor_state.read++ % 64]);
}

/// The dispositions of both sides, the same but for the function: src/registry.cpp, trip_action().
class raw_handler {
public:
    raw_handler()
    {
        floor_state.handler = [](const siginfo_t& info) { senders += info.si_pid; };
        struct sigaction action = {};
        action.sa_sigaction = raw_trip;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        ::sigfillset(&action.sa_mask);
        bench::require(::sigaction(raw, &action, nullptr));
    }
    ~raw_handler() { ::signal(raw, SIG_DFL); }
    raw_handler(const raw_handler&) = delete;
    raw_handler& operator=(const raw_handler&) = delete;
};

class our_handler {
public:
    our_handler()
    {
        tocsin::signal(ours, [](const tocsin::event& e) { senders += e.info.native().si_pid; });
    }
    ~our_handler() { tocsin::signal(ours, tocsin::default_action); }
    our_handler(const our_handler&) = delete;
    our_handler& operator=(const our_handler&) = delete;
};

template <class Send>
void measure_raw(benchmark::State& state, Send send)
{
    const raw_handler installed;
    senders = 0;
    for (auto _ : state) {
        send();
        raw_check();
    }
    if (senders != state.iterations() * ::getpid())
        state.SkipWithError("signals lost");
}

template <class Send>
void measure_ours(benchmark::State& state, Send send)
{
    const our_handler installed;
    senders = 0;
    for (auto _ : state) {
        send();
        tocsin::check_signals();
    }
    if (senders != state.iterations() * ::getpid())
        state.SkipWithError("signals lost");
}

void tgkill(int sig) { ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), sig); }

/// A non-blocking pipe, as set_wakeup_fd() wants it.
struct wake_pipe {
    wake_pipe() { bench::require(::pipe2(ends, O_NONBLOCK | O_CLOEXEC)); }
    ~wake_pipe()
    {
        ::close(ends[0]);
        ::close(ends[1]);
    }
    wake_pipe(const wake_pipe&) = delete;
    wake_pipe& operator=(const wake_pipe&) = delete;
    void drain() const
    {
        char byte = 0;
        bench::require(::read(ends[0], &byte, 1));
    }
    int ends[2];
};

const bool registered[] = {
    bench::pair(
        "deliver/kill", [](benchmark::State& state) { measure_raw(state, [pid = ::getpid()] { ::kill(pid, raw); }); },
        [](benchmark::State& state) { measure_ours(state, [pid = ::getpid()] { ::kill(pid, ours); }); }),
    bench::pair(
        "deliver/tgkill", [](benchmark::State& state) { measure_raw(state, [] { tgkill(raw); }); },
        [](benchmark::State& state) { measure_ours(state, [] { tgkill(ours); }); }),
    bench::pair(
        "deliver/raise_signal", [](benchmark::State& state) { measure_raw(state, [] { ::raise(raw); }); },
        [](benchmark::State& state) { measure_ours(state, [] { tocsin::raise_signal(ours); }); }),
    bench::pair(
        "deliver/sigqueue",
        [](benchmark::State& state) { measure_raw(state, [pid = ::getpid()] { ::sigqueue(pid, raw, sigval{1}); }); },
        [](benchmark::State& state) {
            measure_ours(state, [pid = ::getpid()] { tocsin::sigqueue(pid, ours, sigval{1}); });
        }),
    bench::pair(
        "deliver/kill with a wake-up pipe",
        [](benchmark::State& state) {
            const wake_pipe pipe;
            floor_state.wake = pipe.ends[1];
            measure_raw(state, [&pipe, pid = ::getpid()] {
                ::kill(pid, raw);
                pipe.drain();
            });
            floor_state.wake = -1;
        },
        [](benchmark::State& state) {
            const wake_pipe pipe;
            tocsin::set_wakeup_fd(pipe.ends[1]);
            measure_ours(state, [&pipe, pid = ::getpid()] {
                ::kill(pid, ours);
                pipe.drain();
            });
            tocsin::set_wakeup_fd(-1);
        }),
};

} // namespace
