// What fork() does: G6, and who the main thread is afterwards.

#include <tocsin/tocsin.hpp>

#include <sys/mman.h>
#include <sys/syscall.h>

#include <atomic>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <thread>

#include "dispositions.hpp"

namespace {

using support::died_of;
using support::exited_with;
using support::in_child;

void nothing(int) {}

// A counter that parent and children share.
class shared_counter {
public:
    shared_counter()
        : page_(::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
        , value_(new (page_) std::atomic<int>(0))
    {}
    ~shared_counter() { ::munmap(page_, sizeof(std::atomic<int>)); }
    shared_counter(const shared_counter&) = delete;
    shared_counter& operator=(const shared_counter&) = delete;
    std::atomic<int>& operator*() const { return *value_; }

private:
    void* page_;
    std::atomic<int>* value_;
};

TEST(G6, a_signal_in_a_forked_child_never_reaches_the_parents_handlers)
{
    const shared_counter in_parent;
    const shared_counter in_children;
    const pid_t parent = ::getpid();
    tocsin::signal(SIGUSR1, [&] { ++(::getpid() == parent ? *in_parent : *in_children); });
    const support::pipe_pair wakeup;
    tocsin::set_wakeup_fd(wakeup.writer());
    for (int n = 0; n < 10; ++n) {
        const int status = in_child([] {
            for (int sent = 0; sent < 10; ++sent) {
                ::kill(::getpid(), SIGUSR1);
                ::raise(SIGUSR1);
            }
            tocsin::raise_signal(SIGUSR1);
            return 0;
        });
        EXPECT_TRUE(exited_with(status, 0)) << status;
        tocsin::check_signals();
    }
    EXPECT_EQ(*in_parent, 0);
    EXPECT_GE(*in_children, 10);
    EXPECT_EQ(wakeup.content(), "");
    tocsin::set_wakeup_fd(-1);
}

TEST(G6, a_child_starts_with_nothing_pending)
{
    SKIP_WITHOUT_SIGRTMAX();
    int ran = 0;
    std::uint64_t arrivals = 0;
    for (const int sig : {SIGHUP, SIGUSR1, SIGRTMAX})
        tocsin::signal(sig, [&](const tocsin::event& e) {
            ++ran;
            arrivals += e.count;
        });
    for (const int sig : {SIGHUP, SIGUSR1, SIGRTMAX})
        ::raise(sig);
    const int status = in_child([&] {
        if (tocsin::detail::main_pending.load() != 0)
            return 50;
        tocsin::check_signals();
        if (ran != 0)
            return 51;
        tocsin::raise_signal(SIGUSR1);
        return ran == 1 && arrivals == 1 ? 0 : 52; // the parent's arrival is not merged into the child's
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    EXPECT_EQ(ran, 0);
    tocsin::check_signals();
    EXPECT_EQ(ran, 3);
    EXPECT_EQ(arrivals, 3U);
}

TEST(G6, a_child_forked_inside_a_handler_runs_none_of_the_rest)
{
    int status = -1;
    const shared_counter others;
    const pid_t parent = ::getpid();
    tocsin::signal(SIGUSR1, [&] {
        status = in_child([&] {
            tocsin::check_signals();
            return 8;
        });
    });
    tocsin::signal(SIGUSR2, [&] { ++*others; });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    tocsin::check_signals();
    ASSERT_EQ(::getpid(), parent);
    EXPECT_TRUE(exited_with(status, 8)) << status;
    EXPECT_EQ(*others, 1);
}

TEST(G6, a_child_that_returns_from_the_handler_it_was_forked_in_runs_none_of_the_rest)
{
    const shared_counter others;
    std::optional<pid_t> forked;
    tocsin::signal(SIGUSR1, [&] { forked = ::fork(); });
    tocsin::signal(SIGUSR2, [&] { ++*others; });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    tocsin::check_signals();
    if (forked == 0)
        ::_exit(9);
    int status = -1;
    support::wait_for(*forked, &status);
    EXPECT_TRUE(exited_with(status, 9)) << status;
    EXPECT_EQ(*others, 1);
}

TEST(G6, a_child_made_behind_the_c_librarys_back_takes_the_default_action)
{
    const shared_counter ran;
    tocsin::signal(SIGUSR1, [&] { ++*ran; });
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); // no atfork handlers run
    if (child == 0) {
        ::kill(::getpid(), SIGUSR1);
        ::syscall(SYS_exit_group, 0);
    }
    int status = -1;
    support::wait_for(child, &status);
    EXPECT_TRUE(died_of(status, SIGUSR1)) << status;
    tocsin::check_signals();
    EXPECT_EQ(*ran, 0);
    tocsin::raise_signal(SIGUSR1); // the parent's disposition is untouched
    EXPECT_EQ(*ran, 1);
}

TEST(G6, a_grandchild_is_a_process_of_its_own_too)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] { ++ran; });
    const int status = in_child([&] {
        ::raise(SIGUSR1);
        const int inner = in_child([&] {
            tocsin::check_signals();
            if (ran != 0)
                return 60;
            tocsin::raise_signal(SIGUSR1);
            return ran;
        });
        tocsin::check_signals();
        return exited_with(inner, 1) && ran == 1 ? 0 : 61;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

TEST(G6, children_forked_during_a_flood_start_with_nothing_pending)
{
    std::uint64_t arrivals = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { arrivals += e.count; });
    std::atomic<bool> stop{false};
    std::uint64_t sent = 0;
    std::thread flood([&] {
        while (!stop) {
            ::raise(SIGUSR1); // on this thread, which the child does not have
            ++sent;
        }
    });
    const std::uint64_t before = arrivals;
    for (int n = 0; n < 100; ++n) {
        const int status = in_child([&] {
            const std::uint64_t inherited = arrivals;
            tocsin::check_signals();
            if (arrivals != inherited)
                return 70;
            tocsin::raise_signal(SIGUSR1);
            return arrivals == inherited + 1 ? 0 : 71;
        });
        ASSERT_TRUE(exited_with(status, 0)) << status;
        tocsin::check_signals();
    }
    stop = true;
    flood.join();
    tocsin::check_signals();
    EXPECT_EQ(arrivals - before, sent);
}

TEST(fork, handlers_and_dispositions_work_in_the_child_as_in_the_parent)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] { ++ran; });
    const int status = in_child([&] {
        tocsin::raise_signal(SIGUSR1);
        if (ran != 1)
            return 50;
        tocsin::signal(SIGUSR2, [&] { ran += 10; });
        tocsin::raise_signal(SIGUSR2);
        tocsin::signal(SIGUSR1, SIG_IGN);
        tocsin::raise_signal(SIGUSR1);
        return ran == 11 ? 0 : 51;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(ran, 1);
}

TEST(fork, the_first_handler_may_be_set_in_the_child)
{
    const int status = in_child([] {
        int ran = 0;
        tocsin::signal(SIGUSR1, [&] { ++ran; });
        tocsin::raise_signal(SIGUSR1);
        return ran;
    });
    EXPECT_TRUE(exited_with(status, 1)) << status;
    EXPECT_TRUE(tocsin::getsignal(SIGUSR1) == tocsin::default_action);
}

TEST(fork, a_deferral_of_the_forking_thread_goes_on_in_the_child)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] { ++ran; });
    tocsin::defer_signals guard;
    const int status = in_child([&] {
        tocsin::raise_signal(SIGUSR1);
        if (ran != 0)
            return 50;
        guard.release();
        return ran;
    });
    EXPECT_TRUE(exited_with(status, 1)) << status;
}

// Forks on a second thread after `prepare` has run there; the child checks that it owns signals.
int fork_on_a_second_thread(const std::function<void()>& prepare)
{
    int status = -1;
    std::thread([&] {
        prepare();
        status = in_child([] {
            int ran = 0;
            tocsin::signal(SIGUSR1, [&] { ++ran; });
            tocsin::raise_signal(SIGUSR1);
            tocsin::check_signals();
            const support::pipe_pair pipe;
            tocsin::set_wakeup_fd(pipe.writer());
            ::raise(SIGUSR1);
            tocsin::check_signals();
            return ran == 2 && pipe.content().size() == 1 ? 0 : 50 + ran;
        });
    }).join();
    return status;
}

void know_that_this_is_not_the_main_thread() { EXPECT_THROW(tocsin::signal(SIGUSR1, nothing), tocsin::thread_error); }

TEST(fork, the_thread_that_forked_is_the_new_main_thread)
{
    tocsin::signal(SIGUSR2, nothing);
    const int status = fork_on_a_second_thread([] {});
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

TEST(fork, the_thread_that_forked_is_the_new_main_thread_also_if_it_was_refused_before)
{
    tocsin::signal(SIGUSR2, nothing);
    const int status = fork_on_a_second_thread(know_that_this_is_not_the_main_thread);
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

TEST(fork, the_thread_that_forked_is_the_new_main_thread_also_before_the_first_handler)
{
    const int status = fork_on_a_second_thread(know_that_this_is_not_the_main_thread);
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

TEST(fork, the_deferral_of_a_main_thread_that_is_gone_ends)
{
    tocsin::signal(SIGUSR2, nothing);
    const tocsin::defer_signals guard;
    const int status = fork_on_a_second_thread(know_that_this_is_not_the_main_thread);
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

TEST(fork, the_deferral_of_a_main_thread_that_is_gone_ends_also_for_a_thread_new_to_tocsin)
{
    tocsin::signal(SIGUSR2, nothing);
    const tocsin::defer_signals guard;
    const int status = fork_on_a_second_thread([] {});
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

TEST(fork, the_deferral_of_a_main_thread_that_is_gone_ends_also_before_the_first_handler)
{
    const tocsin::defer_signals guard;
    const int status = fork_on_a_second_thread([] {});
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

TEST(fork, the_runtime_of_a_main_thread_that_is_gone_does_not_prevent_another)
{
    const tocsin::runtime active;
    int status = -1;
    std::thread([&] { status = in_child([] { return tocsin::run_main([] { return 0; }); }); }).join();
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

TEST(fork, the_parents_main_thread_stays_the_main_thread)
{
    tocsin::signal(SIGUSR2, nothing);
    fork_on_a_second_thread([] {});
    EXPECT_NO_THROW(tocsin::signal(SIGUSR1, nothing));
    std::thread([] { EXPECT_THROW(tocsin::signal(SIGUSR1, nothing), tocsin::thread_error); }).join();
}

} // namespace
