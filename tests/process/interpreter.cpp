// set_interpreter_hooks(): what the runtime of another language is told, and when.

#include <tocsin/tocsin.hpp>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "dispositions.hpp"

namespace {

using namespace std::chrono_literals;
using support::captured_stderr;
using support::pipe_pair;

void nothing(int) {}

constinit std::atomic<int> arrivals{0};
constinit std::atomic<int> last_arrived{0};
constinit std::atomic<bool> was_pending{false};

void arrived(int sig, siginfo_t* info, void*)
{
    last_arrived = info->si_signo == sig ? sig : -1;
    was_pending = tocsin::detail::main_pending.load() != 0;
    ++arrivals;
}

TEST(interpreter, is_told_of_every_arrival_once_it_is_pending)
{
    tocsin::set_interpreter_hooks({.arrived = arrived});
    tocsin::signal(SIGUSR1, nothing);
    for (int n = 1; n <= 3; ++n) {
        ::raise(SIGUSR1);
        EXPECT_EQ(arrivals, n);
        EXPECT_EQ(last_arrived, SIGUSR1);
        EXPECT_TRUE(was_pending);
    }
    std::thread([] { ::raise(SIGUSR1); }).join();
    EXPECT_EQ(arrivals, 4);
    tocsin::set_interpreter_hooks({});
    ::raise(SIGUSR1);
    EXPECT_EQ(arrivals, 4);
}

TEST(interpreter, is_told_of_what_callbacks_of_the_main_thread_get_and_not_of_inboxes)
{
    tocsin::set_interpreter_hooks({.arrived = arrived});
    const auto here = tocsin::on(SIGUSR1, nothing, {.pending = tocsin::at_cancel::drop});
    tocsin::inbox box;
    const auto there = box.on(SIGUSR2, {.pending = tocsin::at_cancel::drop});
    ::raise(SIGUSR2);
    EXPECT_EQ(arrivals, 0);
    ::raise(SIGUSR1);
    EXPECT_EQ(arrivals, 1);
}

constinit std::atomic<int> foreign_arrivals{0};
int served = 0;
int seen = 0; // of them, when one was served

void install_foreign(int sig)
{
    struct sigaction action = {};
    action.sa_handler = [](int) { ++foreign_arrivals; };
    ASSERT_EQ(::sigaction(sig, &action, nullptr), 0);
}

// What a signal that only the interpreter handles interrupts.
TEST(interpreter, runs_its_own_handlers_when_a_call_is_interrupted)
{
    install_foreign(SIGALRM);
    tocsin::set_interpreter_hooks({.interrupted = [] {
        EXPECT_GT(foreign_arrivals, seen); // one more at least: none that was told of, and none that was not
        seen = foreign_arrivals;
        if (++served == 3)
            throw std::runtime_error("enough");
    }});
    tocsin::setitimer(tocsin::itimer::real, 10ms, 10ms);
    EXPECT_THROW(tocsin::blocking::sleep_for(1h), std::runtime_error);
    EXPECT_EQ(served, 3);
    tocsin::setitimer(tocsin::itimer::real, 0);
}

TEST(interpreter, is_not_asked_on_another_thread_or_under_a_guard)
{
    install_foreign(SIGUSR1);
    tocsin::set_interpreter_hooks({.interrupted = [] { ++served; }});
    const auto interrupt_sleep = [] {
        const auto before = foreign_arrivals.load();
        const auto self = ::pthread_self();
        std::thread other([=] { // until the sleeper has been hit: it may not sleep yet
            while (foreign_arrivals == before) {
                ::pthread_kill(self, SIGUSR1);
                std::this_thread::yield();
            }
        });
        tocsin::blocking::sleep_for(20ms);
        other.join();
    };
    std::thread(interrupt_sleep).join();
    {
        const tocsin::defer_signals guard;
        interrupt_sleep();
    }
    EXPECT_EQ(served, 0);
}

int reported = 0;

TEST(interpreter, reports_what_could_not_be_written_to_the_wakeup_descriptor)
{
    tocsin::signal(SIGUSR1, nothing);
    tocsin::set_interpreter_hooks({.wakeup_error = [](int error) {
        reported = error;
        throw std::runtime_error("told");
    }});
    const pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    pipe.fill();
    captured_stderr quiet;
    ::raise(SIGUSR1);
    EXPECT_THROW(tocsin::check_signals(), std::runtime_error);
    EXPECT_EQ(reported, EAGAIN);
    EXPECT_EQ(quiet.text(), "");
    tocsin::set_wakeup_fd(-1);
}

TEST(interpreter, hooks_are_set_by_the_main_thread)
{
    std::thread([] { EXPECT_THROW(tocsin::set_interpreter_hooks({}), tocsin::thread_error); }).join();
}

// Where the hook is still running, it has not ended: its code may be unloaded after that.
TEST(interpreter, a_hook_that_was_taken_away_does_not_run_any_more)
{
    static constinit std::atomic<int> inside{0};
    static constinit std::atomic<bool> leave{false};
    static constinit std::atomic<bool> left{false};
    tocsin::set_interpreter_hooks({.arrived = [](int, siginfo_t*, void*) {
        inside = 1;
        while (!leave) {
        }
        left = true;
    }});
    tocsin::signal(SIGUSR1, nothing);
    std::thread taker([] { ::raise(SIGUSR1); });
    ASSERT_TRUE(support::eventually([] { return inside == 1; }));
    std::thread release([] {
        for (int n = 0; n < 1000; ++n)
            std::this_thread::yield();
        leave = true;
    });
    tocsin::set_interpreter_hooks({});
    EXPECT_TRUE(left);
    taker.join();
    release.join();
}

} // namespace
