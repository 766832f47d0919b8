// How children end, by process descriptors, and by SIGCHLD where the kernel has none.

#include <tocsin/tocsin.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "faults/inject.hpp"

namespace {

using outcome = tocsin::child_exit::outcome;
using support::eventually;
using support::exited_with;
using support::in_child;

template <class Body>
pid_t start(Body body)
{
    const pid_t pid = ::fork();
    if (pid == 0) {
        body();
        ::_exit(0);
    }
    return pid;
}

// Ends when told to: all of a group at once.
class gate {
public:
    gate() { EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0); }
    ~gate()
    {
        open();
        ::close(ends_[0]);
    }
    gate(const gate&) = delete;
    gate& operator=(const gate&) = delete;
    // In a child: waits until open().
    void pass() const
    {
        ::close(ends_[1]);
        char none = 0;
        while (::read(ends_[0], &none, 1) == -1 && errno == EINTR) {
        }
    }
    void open()
    {
        if (ends_[1] != -1)
            ::close(std::exchange(ends_[1], -1));
    }

private:
    int ends_[2] = {-1, -1};
};

void until_ended(pid_t pid)
{
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == -1 && errno == EINTR) {
    }
}

bool is_readable(int fd)
{
    pollfd each{fd, POLLIN, 0};
    return ::poll(&each, 1, 0) == 1;
}

std::size_t descriptors()
{
    const std::filesystem::directory_iterator begin("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin, std::filesystem::directory_iterator()));
}

// Both with process descriptors and without: the kernel is made not to know the call.
void in_both_ways(const std::function<void()>& body)
{
    {
        SCOPED_TRACE("with process descriptors");
        body();
    }
    for (const int error : {ENOSYS, EPERM}) {
        support::expect_under_injection({SYS_pidfd_open}, [&](support::injection& inject) {
            SCOPED_TRACE("without process descriptors, errno " + std::to_string(error));
            inject.fail(SYS_pidfd_open, error, 0, support::injection::always);
            body();
            inject.stop();
        });
    }
}

// Runs what is pending until `done`.
template <class Done>
bool run_until(tocsin::child_watcher& watcher, Done done)
{
    while (!done()) {
        if (!watcher.wait(20))
            return false;
        watcher.run_pending();
    }
    return true;
}

TEST(child_watcher, exit_status_signal_and_core)
{
    in_both_ways([] {
        tocsin::child_watcher watcher;
        std::map<pid_t, tocsin::child_exit> ended;
        const auto keep = [&](const tocsin::child_exit& e) { ended[e.pid] = e; };
        const pid_t exits = start([] { ::_exit(42); });
        const pid_t killed = start([] { ::raise(SIGKILL); });
        const pid_t aborts = start([] {
            const rlimit none{0, 0};
            ::setrlimit(RLIMIT_CORE, &none);
            ::signal(SIGABRT, SIG_DFL);
            ::raise(SIGABRT);
        });
        const auto one = watcher.watch(exits, keep);
        const auto two = watcher.watch(killed, keep);
        const auto three = watcher.watch(aborts, keep);
        ASSERT_TRUE(run_until(watcher, [&] { return ended.size() == 3; }));
        EXPECT_EQ(ended[exits].how, outcome::exited);
        EXPECT_EQ(ended[exits].status, 42);
        EXPECT_FALSE(ended[exits].core_dumped);
        EXPECT_EQ(ended[killed].how, outcome::signalled);
        EXPECT_EQ(ended[killed].signal, SIGKILL);
        EXPECT_EQ(ended[aborts].how, outcome::signalled);
        EXPECT_EQ(ended[aborts].signal, SIGABRT);
        EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1); // none is left
        EXPECT_EQ(errno, ECHILD);
        EXPECT_FALSE(one.active());
        EXPECT_EQ(watcher.run_pending(), 0U);
    });
}

TEST(child_watcher, a_core_dump_is_told_as_the_kernel_tells_it)
{
    tocsin::child_watcher watcher;
    const pid_t pid = start([] {
        const rlimit some{RLIM_INFINITY, RLIM_INFINITY};
        ::setrlimit(RLIMIT_CORE, &some);
        ::signal(SIGABRT, SIG_DFL);
        static_cast<void>(::chdir("/tmp"));
        ::raise(SIGABRT);
    });
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
    std::optional<tocsin::child_exit> end;
    const auto watch = watcher.watch(pid, [&](const tocsin::child_exit& e) { end = e; });
    ASSERT_TRUE(run_until(watcher, [&] { return end.has_value(); }));
    EXPECT_EQ(end->signal, SIGABRT);
    EXPECT_EQ(end->core_dumped, info.si_code == CLD_DUMPED);
}

TEST(child_watcher, resource_usage)
{
    in_both_ways([] {
        tocsin::child_watcher watcher;
        std::optional<tocsin::child_exit> end;
        constexpr std::size_t size = 64U << 20U;
        const pid_t pid = start([] {
            void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            std::memset(memory, 1, size);
            timespec used{};
            do
                ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
            while (used.tv_sec == 0 && used.tv_nsec < 100'000'000);
        });
        const auto watch = watcher.watch(pid, [&](const tocsin::child_exit& e) { end = e; });
        ASSERT_TRUE(run_until(watcher, [&] { return end.has_value(); }));
        EXPECT_EQ(end->how, outcome::exited);
        EXPECT_GE(end->user_time + end->system_time, std::chrono::milliseconds(90));
        EXPECT_LT(end->user_time + end->system_time, std::chrono::seconds(30));
        EXPECT_GE(end->max_rss_kib, static_cast<std::int64_t>(size / 1024));
        EXPECT_LT(end->max_rss_kib, static_cast<std::int64_t>(size / 1024) * 64);
    });
}

TEST(child_watcher, three_hundred_that_end_at_once_are_all_told)
{
    in_both_ways([] {
        constexpr int count = 300;
        const std::size_t before = descriptors();
        {
            tocsin::child_watcher watcher;
            gate end;
            std::map<pid_t, int> told;
            std::vector<tocsin::child_watch> watches;
            std::vector<pid_t> all;
            for (int n = 0; n < count; ++n) {
                all.push_back(start([&] {
                    end.pass();
                    ::_exit(n % 200);
                }));
                watches.push_back(watcher.watch(all.back(), [&told](const tocsin::child_exit& e) {
                    EXPECT_EQ(e.how, outcome::exited);
                    told[e.pid] = e.status;
                }));
            }
            EXPECT_EQ(watcher.run_pending(), 0U);
            end.open();
            for (const pid_t pid : all)
                until_ended(pid); // SIGCHLD has merged
            EXPECT_TRUE(is_readable(watcher.native_handle()));
            ASSERT_TRUE(run_until(watcher, [&] { return told.size() == count; }));
            for (int n = 0; n < count; ++n)
                EXPECT_EQ(told[all[static_cast<std::size_t>(n)]], n % 200);
        }
        EXPECT_EQ(descriptors(), before);
    });
}

TEST(child_watcher, one_that_other_code_has_waited_for_is_told_as_stolen)
{
    in_both_ways([] {
        tocsin::child_watcher watcher;
        gate end;
        std::optional<tocsin::child_exit> told;
        const pid_t pid = start([&] {
            end.pass();
            ::_exit(5);
        });
        const auto watch = watcher.watch(pid, [&](const tocsin::child_exit& e) { told = e; });
        end.open();
        EXPECT_EQ(::waitpid(-1, nullptr, 0), pid);
        ASSERT_TRUE(run_until(watcher, [&] { return told.has_value(); }));
        EXPECT_EQ(told->how, outcome::stolen);
        EXPECT_EQ(told->pid, pid);
        EXPECT_FALSE(watch.active());
    });
}

TEST(child_watcher, an_ignored_sigchld_takes_the_status_away)
{
    ::signal(SIGCHLD, SIG_IGN);
    tocsin::child_watcher watcher;
    std::optional<tocsin::child_exit> told;
    gate end;
    const pid_t pid = start([&] { end.pass(); });
    const auto watch = watcher.watch(pid, [&](const tocsin::child_exit& e) { told = e; });
    end.open();
    ASSERT_TRUE(run_until(watcher, [&] { return told.has_value(); }));
    EXPECT_EQ(told->how, outcome::stolen);
}

TEST(child_watcher, other_children_are_left_to_others)
{
    in_both_ways([] {
        tocsin::child_watcher watcher;
        bool told = false;
        const pid_t theirs = start([] { ::_exit(9); });
        const pid_t ours = start([] {});
        const auto watch = watcher.watch(ours, [&](const tocsin::child_exit&) { told = true; });
        until_ended(theirs);
        ASSERT_TRUE(run_until(watcher, [&] { return told; }));
        int status = 0;
        EXPECT_EQ(::waitpid(-1, &status, 0), theirs);
        EXPECT_EQ(WEXITSTATUS(status), 9);
    });
}

TEST(child_watcher, a_cancelled_watch_leaves_the_child_alone)
{
    in_both_ways([] {
        tocsin::child_watcher watcher;
        const pid_t pid = start([] {});
        auto watch = watcher.watch(pid, [](const tocsin::child_exit&) { ADD_FAILURE() << "called"; });
        EXPECT_TRUE(watch.active());
        auto moved = std::move(watch);
        EXPECT_TRUE(moved.active());
        EXPECT_FALSE(watch.active()); // NOLINT(bugprone-use-after-move): empty
        until_ended(pid);
        moved = tocsin::child_watch();
        EXPECT_EQ(watcher.run_pending(), 0U);
        EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
    });
}

TEST(child_watcher, callbacks_may_throw_watch_and_cancel)
{
    in_both_ways([] {
        tocsin::child_watcher watcher;
        std::vector<tocsin::child_watch> watches;
        std::vector<pid_t> all;
        int told = 0;
        for (int n = 0; n < 10; ++n) {
            all.push_back(start([] {}));
            until_ended(all.back());
        }
        for (const pid_t pid : all) {
            watches.push_back(watcher.watch(pid, [&](const tocsin::child_exit&) {
                if (++told % 2 == 0)
                    throw std::runtime_error("every other one");
            }));
        }
        int thrown = 0;
        while (told < 10) {
            ASSERT_TRUE(watcher.wait(20)) << told; // what is left is still to be seen
            try {
                watcher.run_pending();
            } catch (const std::runtime_error&) {
                ++thrown;
            }
        }
        EXPECT_EQ(thrown, 5);
        tocsin::child_watch next;
        tocsin::child_watch other;
        const pid_t one = start([] {});
        const pid_t two = start([] {});
        until_ended(one);
        until_ended(two);
        bool done = false;
        int calls = 0;
        const auto first_of_two = [&](const tocsin::child_exit& e) {
            ++calls;
            (e.pid == one ? other : next).cancel(); // the other one, which has ended as well
            const pid_t third = start([] {});
            (e.pid == one ? other : next) = watcher.watch(third, [&](const tocsin::child_exit&) { done = true; });
        };
        next = watcher.watch(one, first_of_two);
        other = watcher.watch(two, first_of_two);
        ASSERT_TRUE(run_until(watcher, [&] { return done; }));
        EXPECT_EQ(calls, 1);
        int status = 0;
        const pid_t left = ::waitpid(-1, &status, 0);
        EXPECT_TRUE(left == one || left == two);
    });
}

TEST(child_watcher, refuses_what_is_no_child_and_changes_nothing)
{
    in_both_ways([] {
        tocsin::child_watcher watcher;
        const std::size_t before = descriptors();
        const auto nothing = [](const tocsin::child_exit&) {};
        const auto refused = [&](pid_t pid) {
            return support::errno_of([&] { static_cast<void>(watcher.watch(pid, nothing)); });
        };
        EXPECT_EQ(refused(0), EINVAL);
        EXPECT_EQ(refused(-1), EINVAL);
        EXPECT_EQ(refused(::getpid()), ECHILD);
        const pid_t gone = start([] {});
        ::waitpid(gone, nullptr, 0);
        const int error = refused(gone);
        EXPECT_TRUE(error == ESRCH || error == ECHILD) << error;
        EXPECT_THROW(static_cast<void>(watcher.watch(1, nullptr)), std::invalid_argument);
        EXPECT_EQ(descriptors(), before);
        EXPECT_FALSE(watcher.wait(0));
        EXPECT_THROW(watcher.wait(-1), std::invalid_argument);
    });
}

TEST(child_watcher, G6_destroyed_in_a_forked_child_it_does_not_touch_the_parents)
{
    in_both_ways([] {
        auto watcher = std::make_unique<tocsin::child_watcher>();
        gate end;
        int told = 0;
        std::vector<tocsin::child_watch> watches;
        for (int n = 0; n < 3; ++n)
            watches.push_back(watcher->watch(start([&] { end.pass(); }), [&](const tocsin::child_exit&) { ++told; }));
        const int status = in_child([&] {
            watches.clear();
            watcher.reset();
            return 0;
        });
        EXPECT_TRUE(exited_with(status, 0)) << status;
        watches.front().cancel(); // and one that a child has a copy of goes away
        end.open();
        ASSERT_TRUE(run_until(*watcher, [&] { return told == 2; }));
        watches.clear();
        while (::waitpid(-1, nullptr, 0) > 0) {
        }
        watcher->run_pending(); // what a SIGCHLD has left
        EXPECT_FALSE(is_readable(watcher->native_handle()));
    });
}

TEST(child_watcher, works_on_any_thread)
{
    std::thread([] {
        tocsin::child_watcher watcher;
        bool told = false;
        const auto watch = watcher.watch(start([] {}), [&](const tocsin::child_exit&) { told = true; });
        EXPECT_TRUE(run_until(watcher, [&] { return told; }));
    }).join();
}

} // namespace
