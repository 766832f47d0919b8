// No memory: operator new throws on the n-th allocation, for every n until a function gets through. Whoever throws has
// changed nothing, and it works when there is memory again.

#include <tocsin/tocsin.hpp>

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <thread>

#include "state.hpp"

namespace {

constexpr int unlimited = -1;
int allocations_left = unlimited;
std::atomic<int> allocations{0}; // that have not been freed
int refused_registrations = 0;

} // namespace

// The library's allocations end up here as well as the test's.
// Not inlined: g++ would take free() here for a mistake.
[[gnu::noinline]] void* operator new(std::size_t size)
{
    if (allocations_left == 0)
        throw std::bad_alloc();
    if (allocations_left > 0)
        --allocations_left;
    if (void* const memory = std::malloc(size != 0 ? size : 1)) {
        ++allocations;
        return memory;
    }
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept
{
    allocations -= memory != nullptr;
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept { operator delete(memory); }

// What pthread_atfork() is in the C library: the function itself is linked into each object.
extern "C" int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void* object)
{
    using function = int (*)(void (*)(), void (*)(), void (*)(), void*);
    if (refused_registrations > 0) {
        --refused_registrations;
        return ENOMEM;
    }
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "__register_atfork"));
    return real(prepare, parent, child, object);
}

namespace {

using support::expect_unchanged;
using support::process_state;

int runs = 0;
void count_runs() { ++runs; }
void foreign(int) {}

/// Calls `action` with room for 0, 1, 2 ... allocations until it does not run out. Other errors are its result.
/// Returns how often it ran out.
int run_out_everywhere(const std::string& what, const std::function<void()>& action)
{
    for (int n = 0;; ++n) {
        std::optional<process_state> before(std::in_place);
        bool ran_out = false;
        allocations_left = n;
        try {
            action();
        } catch (const std::bad_alloc&) {
            ran_out = true;
        } catch (const std::exception&) {
        }
        allocations_left = unlimited;
        if (!ran_out)
            return n;
        expect_unchanged(*before, what + ", allocation " + std::to_string(n));
        if (n > 1000) {
            ADD_FAILURE() << what << " never gets through";
            return n;
        }
    }
}

TEST(memory, signal_without_memory_changes_nothing)
{
    const int in_all = run_out_everywhere("signal", [] { tocsin::signal(SIGUSR1, count_runs); });
    EXPECT_GT(in_all, 0);
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(runs, 1);
    std::string got;
    run_out_everywhere("signal, a function with state", [&] {
        tocsin::signal(SIGUSR1, [&got, padding = std::array<char, 100>()] { got += padding[0] == 0 ? "r" : "?"; });
    });
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(got, "r");
    // A foreign handler is kept in memory of its own to be returned.
    ::signal(SIGUSR2, foreign);
    const tocsin::handler ours = count_runs;
    EXPECT_GT(run_out_everywhere("signal over a foreign handler", [&] { tocsin::signal(SIGUSR2, ours); }), 0);
    EXPECT_EQ(tocsin::getsignal(SIGUSR2), ours);
    ::signal(SIGUSR2, foreign);
    EXPECT_GT(run_out_everywhere("getsignal", [] { (void)tocsin::getsignal(SIGUSR2); }), 0);
    EXPECT_TRUE(tocsin::getsignal(SIGUSR2).is_foreign());
    const auto foreign_again = tocsin::signal(SIGUSR2, ours);
    EXPECT_EQ(run_out_everywhere("signal, back", [&] { tocsin::signal(SIGUSR2, foreign_again); }), 0);
    EXPECT_EQ(support::action_of(SIGUSR2).sa_handler, &foreign);
}

TEST(memory, a_refused_signal_without_memory_changes_nothing)
{
    const tocsin::handler ours = count_runs;
    for (const int sig : {SIGKILL, 32, 0, 65})
        EXPECT_GT(run_out_everywhere("signal, refused", [&] { tocsin::signal(sig, ours); }), 0);
    EXPECT_GT(run_out_everywhere("siginterrupt, refused", [] { tocsin::siginterrupt(SIGKILL, true); }), 0);
}

TEST(memory, a_runtime_without_memory_changes_nothing)
{
    for (const int sig : {SIGPIPE, SIGXFSZ, SIGINT})
        ::signal(sig, SIG_DFL);
    const process_state before;
    EXPECT_GT(run_out_everywhere("runtime", [] { const tocsin::runtime active; }), 0);
    expect_unchanged(before, "runtime");
    std::optional<tocsin::runtime> active;
    EXPECT_GT(run_out_everywhere("runtime", [&] { active.emplace(); }), 0);
    EXPECT_EQ(tocsin::getsignal(SIGINT), tocsin::default_int_handler);
    // A second one is refused, with or without memory for saying so.
    EXPECT_GT(run_out_everywhere("second runtime", [] { const tocsin::runtime second; }), 0);
    active.reset();
    expect_unchanged(before, "after the runtime");
}

TEST(memory, the_wakeup_descriptor_is_what_it_was)
{
    tocsin::signal(SIGUSR1, count_runs);
    const support::pipe_pair pipe;
    const support::pipe_pair blocking(0);
    EXPECT_EQ(run_out_everywhere("set_wakeup_fd", [&] { tocsin::set_wakeup_fd(pipe.writer()); }), 0);
    EXPECT_GT(run_out_everywhere("set_wakeup_fd, closed", [] { tocsin::set_wakeup_fd(1'000'000); }), 0);
    EXPECT_GT(run_out_everywhere("set_wakeup_fd, blocking", [&] { tocsin::set_wakeup_fd(blocking.writer()); }), 0);
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(pipe.content(), std::string(1, SIGUSR1));
    EXPECT_EQ(tocsin::set_wakeup_fd(-1), pipe.writer());
}

TEST(memory, timers_descriptors_and_masks_are_what_they_were)
{
    tocsin::timer_fd timer;
    timer.settime(1000, 7);
    const auto still_armed = [&] {
        EXPECT_GT(timer.gettime().initial.count(), 900);
        EXPECT_EQ(timer.gettime().interval.count(), 7);
    };
    using action = std::pair<std::string, std::function<void()>>;
    const std::vector<action> actions = {
        {"timer_fd", [] { const tocsin::timer_fd made; }},
        {"timer_fd, bad clock", [] { const tocsin::timer_fd made(12345); }},
        {"settime", [&] { timer.settime(-1); }},
        {"settime, bad flag", [&] { timer.settime(1, 1, 1 << 20); }},
        {"setitimer", [] { tocsin::setitimer(tocsin::itimer::real, -1); }},
        {"alarm", [] { tocsin::alarm(-1); }},
        {"pthread_sigmask", [] { tocsin::pthread_sigmask(99, {SIGTERM}); }},
        {"mask_guard", [] { const tocsin::mask_guard guard({SIGTERM}); }},
        {"defer_signals", [] { const tocsin::defer_signals guard; }},
        {"pidfd_open", [] { (void)tocsin::pidfd_open(-1); }},
        {"sigqueue", [] { tocsin::sigqueue(-1, SIGTERM, {}); }},
        {"pthread_kill", [] { tocsin::pthread_kill(std::thread::native_handle_type{}, 0); }},
        {"sigtimedwait", [] { (void)tocsin::sigtimedwait({SIGTERM}, -1); }},
        {"read", [] { tocsin::blocking::read(-1, nullptr, 0); }},
        {"open", [] { tocsin::blocking::open("/no/such/file", O_RDONLY); }},
        {"spawn_attributes", [] { const tocsin::spawn_attributes attributes; }},
        {"set_nudge_signal", [] { tocsin::set_nudge_signal(SIGKILL); }},
    };
    for (const auto& [name, run] : actions) {
        const process_state before;
        run_out_everywhere(name, run);
        expect_unchanged(before, name);
        still_armed();
    }
}

TEST(memory, a_subscription_without_memory_leaves_nothing_behind)
{
    const tocsin::handler ours = count_runs;
    for (const auto how : {tocsin::delivery::merge, tocsin::delivery::queue}) {
        for (int n = 0;; ++n) {
            const int before = allocations;
            bool ran_out = false;
            {
                tocsin::inbox box;
                allocations_left = n;
                try {
                    const auto sub = box.on({SIGUSR1, SIGUSR2}, ours, {.delivery = how});
                } catch (const std::bad_alloc&) {
                    ran_out = true;
                }
                allocations_left = unlimited;
                EXPECT_EQ(support::action_of(SIGUSR1).sa_handler, SIG_DFL);
            }
            EXPECT_EQ(allocations, before) << "allocation " << n;
            if (!ran_out) {
                EXPECT_GT(n, 1);
                break;
            }
            ASSERT_LT(n, 1000);
        }
    }
}

TEST(memory, a_handler_without_memory_leaves_the_others_pending)
{
    std::string got;
    tocsin::signal(SIGHUP, [] { ::operator delete(::operator new(100)); });
    tocsin::signal(SIGUSR1, [&] { got += '1'; }); // short: no allocation
    tocsin::signal(SIGUSR2, [&] { got += '2'; });
    for (const int sig : {SIGUSR2, SIGHUP, SIGUSR1})
        ::raise(sig);
    allocations_left = 0;
    EXPECT_THROW(tocsin::check_signals(), std::bad_alloc);
    EXPECT_EQ(got, "");
    tocsin::check_signals();
    allocations_left = unlimited;
    EXPECT_EQ(got, "12");
}

TEST(memory, a_lost_wakeup_byte_is_no_obstacle_without_memory_for_the_report)
{
    tocsin::signal(SIGUSR1, count_runs);
    const support::pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    pipe.fill();
    support::captured_stderr captured;
    ::raise(SIGUSR1);
    allocations_left = 0;
    tocsin::check_signals();
    allocations_left = unlimited;
    EXPECT_EQ(captured.text(), "\n");
    EXPECT_EQ(runs, 1);
    tocsin::set_wakeup_fd(-1);
}

TEST(memory, a_timer_queue_without_memory_changes_nothing)
{
    using namespace std::chrono_literals;
    tocsin::virtual_clock clock;
    {
        const tocsin::timer_queue claims_the_process;
    }
    EXPECT_GT(run_out_everywhere("timer_queue", [] { const tocsin::timer_queue made; }), 0);
    EXPECT_GT(run_out_everywhere("timer_queue, bad clock", [] { const tocsin::timer_queue made(99); }), 0);
    EXPECT_GT(run_out_everywhere("timer_queue, virtual", [&] { const tocsin::timer_queue made(clock); }), 0);
    EXPECT_EQ(clock.next(), std::nullopt);
    EXPECT_GT(run_out_everywhere("virtual_clock", [] { const tocsin::virtual_clock made; }), 0);
    EXPECT_GT(run_out_everywhere("interval", [] { const tocsin::interval made(1); }), 0);
    EXPECT_GT(run_out_everywhere("interval, virtual", [&] { const tocsin::interval made(clock, 1); }), 0);
    EXPECT_EQ(clock.next(), std::nullopt);

    tocsin::timer_queue queue(clock);
    tocsin::timer_queue other(clock);
    tocsin::callback_timer t(count_runs);
    tocsin::callback_timer others(count_runs);
    other.schedule(others, 1h);
    tocsin::interval each(clock, 1);
    std::optional<tocsin::timer_queue::remote> remote;
    EXPECT_EQ(run_out_everywhere("remote_handle", [&] { remote.emplace(queue.remote_handle()); }), 0);
    const std::array<char, 100> padding{};
    tocsin::scheduled held;
    using action = std::pair<std::string, std::function<void()>>;
    // Each leaves what there was, with memory and without.
    const std::vector<action> without = {
        {"schedule", [&] { queue.schedule(t, 10s); }},
        {"reschedule", [&] { queue.reschedule(t, 5s, 1s); }},
        {"cancel", [&] { t.cancel(); }},
        {"schedule to run", [&] { queue.schedule(t, 0s); }},
        {"run_expired", [&] { queue.run_expired(); }},
        {"next_deadline", [&] { (void)queue.next_deadline(); }},
        {"try_wait", [&] { (void)each.try_wait(); }},
        {"restart", [&] { each.restart(); }},
        {"advance", [&] { clock.advance(0.1); }},
        {"next", [&] { (void)clock.next(); }},
        {"wait", [&] { (void)queue.wait(0); }},
        {"remote cancel without a request", [&] { (void)queue.native_handle(); }},
    };
    for (const auto& [name, run] : without)
        EXPECT_EQ(run_out_everywhere(name, run), 0) << name;
    const std::vector<action> refusing = {
        {"a timer of another queue", [&] { queue.schedule(others, 1s); }},
        {"negative slack", [&] { queue.schedule(t, 1s, -1ns); }},
        {"another clock", [&] { queue.schedule(t, std::chrono::system_clock::now()); }},
        {"no period", [&] { (void)queue.every(0s, [] {}); }},
        {"an empty function", [&] { (void)queue.after(1s, nullptr); }},
        {"a negative wait", [&] { queue.wait(-1); }},
        {"interval, a negative wait", [&] { each.wait(-1); }},
        {"advance, negative", [&] { clock.advance(-1); }},
        {"set, negative", [&] { clock.set(-1ns); }},
        {"set, beyond", [&] { clock.set(std::chrono::nanoseconds::max()); }},
    };
    for (const auto& [name, run] : refusing)
        EXPECT_GT(run_out_everywhere(name, run), 0) << name;
    EXPECT_FALSE(t.scheduled());
    EXPECT_TRUE(others.scheduled());
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(queue.size(), 0U);

    const std::vector<std::pair<std::string, std::function<tocsin::scheduled()>>> keeping = {
        {"after", [&] { return queue.after(1s, [padding] { runs += 10 + padding[0]; }); }},
        {"at",
         [&] { return queue.at(std::chrono::steady_clock::time_point(1s), [padding] { runs += 10 + padding[0]; }); }},
        {"every", [&] { return queue.every(1s, [padding] { runs += 10 + padding[0]; }); }},
    };
    for (const auto& [name, make] : keeping) {
        std::size_t size = 1; // as it must be when there was enough
        EXPECT_GT(run_out_everywhere(name,
                                     [&, &made = make] {
                                         size = queue.size();
                                         held.cancel();
                                         held = made();
                                     }),
                  0);
        EXPECT_EQ(size, 0U) << name << ": the failed ones left something";
        EXPECT_EQ(queue.size(), 1U);
        runs = 0;
        clock.advance(2);
        EXPECT_EQ(run_out_everywhere("run_expired", [&] { queue.run_expired(); }), 0) << name;
        EXPECT_EQ(runs, 10) << name;
        held.cancel();
    }

    // What other threads ask for is noted down first.
    runs = 0;
    EXPECT_GT(run_out_everywhere("remote schedule", [&] { remote->schedule(t, 0s); }), 0);
    EXPECT_EQ(run_out_everywhere("run_expired", [&] { queue.run_expired(); }), 0);
    EXPECT_EQ(runs, 1);
    EXPECT_GT(run_out_everywhere("remote cancel", [&] { remote->cancel(t); }), 0);
    EXPECT_GT(run_out_everywhere("remote after", [&] { remote->after(0s, [padding] { runs += 10 + padding[0]; }); }),
              0);
    EXPECT_EQ(run_out_everywhere("run_expired", [&] { queue.run_expired(); }), 0);
    EXPECT_EQ(runs, 11);
    EXPECT_EQ(queue.size(), 0U);
}

// Kilobytes that the kernel wipes at fork: the page that the library maps.
long wiped_memory()
{
    std::ifstream in("/proc/self/smaps");
    long all = 0;
    long size = 0;
    for (std::string line; std::getline(in, line);) {
        if (line.rfind("Size:", 0) == 0)
            size = std::stol(line.substr(5));
        else if (line.rfind("VmFlags:", 0) == 0 && (line + ' ').find(" wf ") != std::string::npos)
            all += size;
    }
    return all;
}

TEST(memory, fork_that_cannot_be_watched_is_an_error_and_leaks_nothing)
{
    const long before = wiped_memory();
    const process_state unchanged;
    for (int n = 0; n < 3; ++n) {
        refused_registrations = 1;
        EXPECT_EQ(support::errno_of([] { tocsin::signal(SIGUSR1, count_runs); }), ENOMEM);
        EXPECT_EQ(refused_registrations, 0);
        expect_unchanged(unchanged, "refused");
    }
    tocsin::signal(SIGUSR1, count_runs);
    const long page = ::sysconf(_SC_PAGESIZE) / 1024;
    if (wiped_memory() != before) { // else the kernel cannot
        EXPECT_EQ(wiped_memory(), before + page);
    }
    const int status = support::in_child([] {
        tocsin::raise_signal(SIGUSR1);
        return runs;
    });
    EXPECT_TRUE(support::exited_with(status, 1)) << status;
}

} // namespace
