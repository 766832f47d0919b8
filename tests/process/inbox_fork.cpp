// G6: a child's inboxes are its own, with nothing pending; the parent's never hear of it.

#include <poll.h>
#include <spawn.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "fork_exec.hpp"

namespace {

using support::died_of;
using support::exited_with;
using support::in_child;
using support::wait_for;
using tocsin::delivery;
using tocsin::inbox;
using tocsin::subscription;
using tocsin::subscription_options;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool address_sanitizer = true;
#elif defined(__has_feature)
constexpr bool address_sanitizer = __has_feature(address_sanitizer);
#else
constexpr bool address_sanitizer = false;
#endif

// In a child: where it is not as it must be, the line is the exit status.
#define ELSE_EXIT(condition)                                                                                           \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return __LINE__ % 200 + 20;                                                                                \
    } while (false)

// A child that hangs dies of this.
void limit_time() { ::alarm(30); }

bool readable(int fd)
{
    pollfd each{fd, POLLIN, 0};
    return ::poll(&each, 1, 0) == 1;
}

std::size_t descriptors()
{
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

subscription_options options_of(delivery how)
{
    subscription_options options;
    options.delivery = how;
    options.pending = tocsin::at_cancel::drop;
    return options;
}

// An inbox that a thread has made, and stays there while others use it; with a callback, or without.
class owner {
public:
    explicit owner(unsigned n)
        : polled_(n % 2 == 0)
        , thread_([this, n] { live(n); })
    {
        while (!ready_)
            ::sched_yield();
    }
    owner(const owner&) = delete;
    owner& operator=(const owner&) = delete;
    ~owner() { end(); }
    void end()
    {
        over_ = true;
        if (thread_.joinable())
            thread_.join();
    }
    /// The thread does not exist here. Ends the inbox too.
    void forget()
    {
        held_.clear();
        box_.reset();
    }

    [[nodiscard]] inbox& box() { return *box_; }
    [[nodiscard]] bool polled() const { return polled_; }
    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] int calls() const { return calls_; }

    /// Runs and takes what is pending; how many.
    int take_all()
    {
        const int before = calls_;
        int events = 0;
        box_->run_pending();
        while (box_->try_next())
            ++events;
        return calls_ - before + events;
    }

    /// Runs there.
    template <class Body>
    void call(Body body)
    {
        work_ = body;
        has_work_ = true;
        while (has_work_)
            ::sched_yield();
    }

private:
    void live(unsigned n)
    {
        box_.emplace();
        const auto how = static_cast<delivery>(n % 3);
        held_.push_back(box_->on(
            {SIGUSR1, SIGRTMIN}, [this] { ++calls_; }, options_of(how)));
        held_.push_back(box_->on(SIGUSR2, options_of(how)));
        if (polled_)
            fd_ = box_->native_handle();
        ready_ = true;
        while (!over_) {
            if (has_work_) {
                work_();
                has_work_ = false;
            }
            ::sched_yield();
        }
        forget();
    }

    bool polled_;
    int fd_ = -1;
    int calls_ = 0;
    std::optional<inbox> box_;
    std::vector<subscription> held_;
    std::function<void()> work_;
    std::atomic<bool> has_work_{false};
    std::atomic<bool> ready_{false};
    std::atomic<bool> over_{false};
    std::thread thread_;
};

class owners {
public:
    owners()
    {
        for (unsigned n = 0; n < 6; ++n)
            all_.push_back(std::make_unique<owner>(n));
    }
    [[nodiscard]] auto begin() { return all_.begin(); }
    [[nodiscard]] auto end() { return all_.end(); }
    owner& operator[](std::size_t n) { return *all_[n]; }
    /// In a child.
    void forget()
    {
        for (auto& each : all_) {
            each->forget();
            static_cast<void>(each.release()); // with a thread that cannot be joined
        }
        all_.clear();
    }

private:
    std::vector<std::unique_ptr<owner>> all_;
};

constexpr int all_signals = 3;

void send_all()
{
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    ::raise(SIGRTMIN);
}

// What a child finds, whoever has forked it.
int look_around(owners& all)
{
    limit_time();
    for (auto& each : all) {
        ELSE_EXIT(!each->polled() || each->box().native_handle() == each->fd());
        ELSE_EXIT(!each->polled() || !readable(each->fd()));
        ELSE_EXIT(!each->box().wait(0));
        ELSE_EXIT(each->take_all() == 0);
    }
    send_all();
    for (auto& each : all) {
        // ThreadSanitizer does not look at what the child of a process with threads sends, and delivers it late.
        ELSE_EXIT(support::thread_sanitizer || !each->polled() || readable(each->fd()));
        ELSE_EXIT(support::thread_sanitizer || each->box().wait());
        ELSE_EXIT(each->take_all() == all_signals);
        ELSE_EXIT(!each->polled() || !readable(each->fd()));
        each->box().wake();
        ELSE_EXIT(!each->polled() || readable(each->fd()));
    }
    return 0;
}

TEST_F(G6, a_child_s_inboxes_are_empty_and_have_descriptors_of_their_own)
{
    owners all;
    for (const bool by_main : {true, false}) {
        send_all();
        int status = -1;
        if (by_main)
            status = in_child([&] { return look_around(all); });
        else
            all[1].call([&] { status = in_child([&] { return look_around(all); }); });
        EXPECT_TRUE(exited_with(status, 0)) << status;
        for (auto& each : all) {
            EXPECT_TRUE(!each->polled() || readable(each->fd()));
            EXPECT_EQ(each->take_all(), all_signals);
            EXPECT_TRUE(!each->polled() || !readable(each->fd()));
        }
    }
}

TEST_F(G6, a_parent_s_inbox_is_never_woken_by_a_child_s_signals)
{
    owners all;
    const int status = in_child([&] {
        limit_time();
        for (int n = 0; n < 100; ++n)
            send_all();
        // Nor a child's by its own child's.
        const int inner = in_child([&] { return look_around(all); });
        ELSE_EXIT(exited_with(inner, 0));
        for (auto& each : all) {
            each->box().run_pending();
            while (each->box().try_next()) {
            }
        }
        const int last = in_child([&] {
            send_all();
            return 0;
        });
        ELSE_EXIT(exited_with(last, 0));
        for (auto& each : all) {
            ELSE_EXIT(!each->polled() || !readable(each->fd()));
            ELSE_EXIT(each->take_all() == 0);
        }
        return 0;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    for (auto& each : all) {
        EXPECT_TRUE(!each->polled() || !readable(each->fd()));
        EXPECT_FALSE(each->box().wait(0));
        EXPECT_EQ(each->take_all(), 0);
    }
}

TEST_F(G6, a_signal_between_fork_and_the_first_use_is_the_child_s)
{
    owners all;
    const int status = in_child([&] {
        limit_time();
        send_all();
        for (auto& each : all)
            ELSE_EXIT(each->take_all() == all_signals);
        return 0;
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
    // Before tocsin knows of the fork it takes the default action there.
    static pid_t parent;
    parent = ::getpid();
    support::in_the_window = [] {
        if (::getpid() != parent)
            support::send_to_self(SIGUSR1);
    };
    const int killed = in_child([] { return 0; });
    support::in_the_window = nullptr;
    EXPECT_TRUE(died_of(killed, SIGUSR1)) << killed;
    for (auto& each : all)
        EXPECT_EQ(each->take_all(), 0);
}

TEST_F(G6, a_child_makes_and_ends_inboxes)
{
    owners all;
    send_all();
    const int status = in_child([&] {
        limit_time();
        std::vector<inbox> more(inbox::max_inboxes - 6);
        try {
            const inbox refused;
            return 1;
        } catch (const std::length_error&) {
        }
        all.forget();
        const auto without = descriptors() - more.size();
        more.clear();
        ELSE_EXIT(descriptors() == without);
        more.resize(inbox::max_inboxes);
        std::vector<subscription> held;
        int calls = 0;
        for (inbox& each : more)
            held.push_back(each.on(SIGUSR1, [&] { ++calls; }));
        ::raise(SIGUSR1);
        for (inbox& each : more)
            each.run_pending();
        ELSE_EXIT(calls == static_cast<int>(inbox::max_inboxes));
        held.clear();
        ::raise(SIGUSR1); // the default action: the parent's inboxes have gone here too
        return 2;
    });
    EXPECT_TRUE(died_of(status, SIGUSR1)) << status;
    for (auto& each : all)
        EXPECT_EQ(each->take_all(), all_signals);
}

TEST_F(G6, a_child_forked_in_a_callback_runs_none_of_the_rest)
{
    inbox box;
    std::optional<pid_t> forked;
    int rest = 0;
    subscription first = box.on(SIGUSR1, [&] {
        if (!forked)
            forked = ::fork();
    });
    auto queued = options_of(delivery::queue);
    const auto second = box.on(
        {SIGUSR1, SIGUSR2, SIGRTMIN}, [&] { ++rest; }, queued);
    for (int n = 0; n < 3; ++n)
        send_all();
    box.run_pending();
    if (forked == 0) {
        limit_time();
        const auto continued = [&] {
            ELSE_EXIT(rest == 0);
            first.cancel();
            ::raise(SIGUSR1);
            ELSE_EXIT(box.run_pending() == 1);
            ELSE_EXIT(rest == 1);
            return 5;
        };
        ::_exit(continued());
    }
    const int status = wait_for(*forked);
    EXPECT_TRUE(exited_with(status, 5)) << status;
    EXPECT_EQ(rest, 9);
}

TEST_F(G6, a_child_forked_in_a_callback_may_end_all_of_it_there)
{
    int status = -1;
    std::optional<inbox> box(std::in_place);
    std::optional<subscription> held;
    held = box->on(SIGUSR1, [&] {
        status = in_child([&] {
            limit_time();
            held->cancel();
            held.reset();
            box.reset();
            inbox another;
            int calls = 0;
            const auto again = another.on(SIGUSR1, [&] { ++calls; });
            ::raise(SIGUSR1);
            another.run_pending();
            ELSE_EXIT(calls == 1);
            return 6;
        });
    });
    ::raise(SIGUSR1);
    EXPECT_EQ(box->run_pending(), 1U);
    EXPECT_TRUE(exited_with(status, 6)) << status;
    ::raise(SIGUSR1);
    EXPECT_EQ(box->run_pending(), 1U);
}

TEST_F(G6, a_child_behind_the_c_library_s_back_or_of_vfork_leaves_the_parent_s_inboxes_alone)
{
    SKIP_WHERE_VFORK_IS_FORK();
    owners all;
    const pid_t cloned = support::raw_clone(0);
    if (cloned == 0) {
        support::send_to_self(SIGUSR1);
        ::syscall(SYS_exit_group, 0);
    }
    EXPECT_TRUE(died_of(wait_for(cloned), SIGUSR1));
    const pid_t borrowed = ::vfork();
    if (borrowed == 0) {
        support::send_to_self(SIGUSR2);
        ::_exit(0);
    }
    EXPECT_TRUE(died_of(wait_for(borrowed), SIGUSR2));
    for (auto& each : all) {
        EXPECT_TRUE(!each->polled() || !readable(each->fd()));
        EXPECT_EQ(each->take_all(), 0);
    }
    send_all();
    for (auto& each : all)
        EXPECT_EQ(each->take_all(), all_signals);
}

TEST_F(G6, a_program_gets_no_descriptor_and_no_disposition_of_an_inbox)
{
    SKIP_IF_EMULATED("the executed program runs on the machine, where real-time signals have other numbers");
    owners all;
    // The shell says with 9 that it has a descriptor of ours, and else dies of the signal that an inbox has here.
    char shell[] = "/bin/sh";
    char option[] = "-c";
    char script[] = "ls -l /proc/$$/fd | grep -q eventfd && exit 9; kill -USR1 $$; exit 8";
    char* const arguments[] = {shell, option, script, nullptr};
    const auto execute = [&] {
        ::execv(shell, arguments);
        ::_exit(127);
    };
    EXPECT_TRUE(
        exited_with(in_child([] { return std::system("ls -l /proc/$PPID/fd | grep -q eventfd") == 0 ? 7 : 1; }), 7))
        << "the look finds what is there";
    EXPECT_TRUE(died_of(in_child([&] {
                            execute();
                            return 0;
                        }),
                        SIGUSR1));
    EXPECT_TRUE(died_of(in_child([&] {
                            tocsin::reset_for_exec();
                            execute();
                            return 0;
                        }),
                        SIGUSR1));
    pid_t spawned = -1;
    const tocsin::spawn_attributes attributes;
    ASSERT_EQ(::posix_spawn(&spawned, shell, nullptr, attributes.native_handle(), arguments, environ), 0);
    EXPECT_TRUE(died_of(wait_for(spawned), SIGUSR1));
    for (auto& each : all) {
        EXPECT_TRUE(!each->polled() || !readable(each->fd()));
        EXPECT_EQ(each->take_all(), 0);
    }
}

TEST_F(G6, a_signal_that_waits_in_an_inbox_takes_the_default_action_at_reset_for_exec)
{
    for (const delivery how : {delivery::merge, delivery::queue}) {
        inbox box;
        const auto held = box.on(
            {SIGTERM, SIGRTMIN}, [] {}, options_of(how));
        for (const int sig : {SIGTERM, SIGRTMIN}) {
            const int status = in_child([&] {
                ::raise(sig);
                tocsin::reset_for_exec();
                return 0;
            });
            EXPECT_TRUE(died_of(status, sig)) << status << ", signal " << sig << (held.active() ? "" : "!");
            // Not what the parent has, nor what has run.
            ::raise(sig);
            const int clean = in_child([&] {
                ::raise(sig);
                box.run_pending();
                tocsin::reset_for_exec();
                return 3;
            });
            EXPECT_TRUE(exited_with(clean, 3)) << clean << ", signal " << sig;
            EXPECT_EQ(box.run_pending(), 1U);
        }
        const int of_main = in_child([&] {
            const tocsin::defer_signals no_safe_point;
            const auto here = tocsin::on(
                SIGHUP, [] {}, options_of(how));
            ::raise(SIGHUP);
            tocsin::reset_for_exec();
            return 0;
        });
        EXPECT_TRUE(died_of(of_main, SIGHUP)) << of_main;
    }
}

// Another thread is in a callback, and a third one waits for that in cancel(): neither exists in the child.
TEST_F(G6, a_child_forked_while_threads_are_in_run_pending_and_cancel_waits_for_neither)
{
    std::atomic<bool> inside{false};
    std::atomic<bool> go_on{false};
    std::optional<inbox> box(std::in_place);
    std::optional<subscription> held = box->on(SIGUSR1, [&] {
        inside = true;
        while (!go_on)
            ::sched_yield();
    });
    subscription other = box->on(SIGUSR2, [] {});
    ::raise(SIGUSR1);
    std::thread runner([&] { box->run_pending(); });
    while (!inside)
        ::sched_yield();
    const auto in_the_middle = [&] {
        limit_time();
        held->cancel();
        held.reset();
        ::raise(SIGUSR2);
        ELSE_EXIT(box->run_pending() == 1);
        other.cancel();
        box.reset();
        int calls = 0;
        inbox mine;
        const auto again = mine.on(SIGUSR1, [&] { ++calls; });
        ::raise(SIGUSR1);
        mine.run_pending();
        ELSE_EXIT(calls == 1);
        return 4;
    };
    int status = in_child(in_the_middle);
    EXPECT_TRUE(exited_with(status, 4)) << "in run_pending(): " << status;
    std::thread canceller([&] { held->cancel(); });
    while (held->active())
        ::sched_yield();
    status = in_child(in_the_middle);
    EXPECT_TRUE(exited_with(status, 4)) << "and in cancel(): " << status;
    go_on = true;
    runner.join();
    canceller.join();
    ::raise(SIGUSR2);
    EXPECT_EQ(box->run_pending(), 1U);
}

TEST_F(G6, a_child_forked_while_a_thread_runs_what_is_pending_at_the_end_waits_for_nothing)
{
    std::atomic<bool> inside{false};
    std::atomic<bool> go_on{false};
    auto options = options_of(delivery::merge);
    options.pending = tocsin::at_cancel::run;
    inbox box;
    subscription held = box.on(
        SIGUSR1,
        [&] {
            inside = true;
            while (!go_on)
                ::sched_yield();
        },
        options);
    ::raise(SIGUSR1);
    std::thread canceller([&] { held.cancel(); });
    while (!inside)
        ::sched_yield();
    const int status = in_child([&] {
        limit_time();
        held.cancel();
        held = box.on(SIGUSR1, [] {});
        ::raise(SIGUSR1);
        ELSE_EXIT(box.run_pending() == 1);
        return 4;
    });
    EXPECT_TRUE(exited_with(status, 4)) << status;
    go_on = true;
    canceller.join();
}

TEST_F(G6, children_forked_while_inboxes_come_and_go_have_working_ones)
{
    if (address_sanitizer || support::thread_sanitizer)
        GTEST_SKIP() << "a sanitizer's allocator may be locked by another thread at fork()";
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    inbox steady;
    std::uint64_t calls = 0;
    const auto held = steady.on(SIGUSR1, [&](const tocsin::event& e) { calls += e.count; });
    std::atomic<std::uint64_t> sent{0};
    for (unsigned n = 0; n < 3; ++n) {
        threads.emplace_back([&, n] {
            while (!over) {
                inbox box;
                auto each = box.on(
                    {SIGUSR1, SIGUSR2}, [] {}, options_of(static_cast<delivery>(n)));
                if (n == 0)
                    static_cast<void>(box.native_handle());
                ::pthread_kill(::pthread_self(), SIGUSR1);
                ++sent;
                box.run_pending();
                each.cancel();
            }
        });
    }
    for (int n = 0; n < 100; ++n) {
        const int status = in_child([&] {
            limit_time();
            ELSE_EXIT(steady.run_pending() == 0);
            ::raise(SIGUSR1);
            ELSE_EXIT(steady.run_pending() == 1);
            inbox mine;
            int here = 0;
            auto each = mine.on(
                {SIGUSR1, SIGUSR2}, [&] { ++here; }, options_of(delivery::queue));
            ::raise(SIGUSR2);
            ELSE_EXIT(mine.wait());
            mine.run_pending();
            ELSE_EXIT(here == 1);
            each.cancel();
            return 0;
        });
        ASSERT_TRUE(exited_with(status, 0)) << status << ", child " << n;
    }
    over = true;
    for (std::thread& each : threads)
        each.join();
    steady.run_pending();
    EXPECT_EQ(calls, sent);
}

} // namespace
