// raise_signal, pthread_kill, pidfd_open, pidfd_send_signal, sigqueue.

#include <tocsin/tocsin.hpp>

#include <poll.h>
#include <sys/resource.h>

#include <functional>
#include <thread>

#include "storm.hpp"

using support::errno_of;
using support::message_of;

namespace {

// Every bad number is refused by each sender with the same kind of error, and named.
void expect_numbers_refused(const std::string& function, bool zero_checks, const std::function<void(int)>& send)
{
    for (const int sig : {0, -1, 65, 1 << 30}) {
        if (sig == 0 && zero_checks) {
            EXPECT_NO_THROW(send(0)) << function;
            continue;
        }
        const auto text = message_of<std::out_of_range>([&] { send(sig); });
        EXPECT_NE(text.find(function), std::string::npos) << text;
        EXPECT_NE(text.find(std::to_string(sig)), std::string::npos) << text;
    }
    for (const int sig : {32, 33}) {
        EXPECT_EQ(errno_of([&] { send(sig); }), EINVAL) << function << ' ' << sig;
        const auto text = message_of<std::system_error>([&] { send(sig); });
        EXPECT_NE(text.find(function), std::string::npos) << text;
        EXPECT_NE(text.find(std::to_string(sig)), std::string::npos) << text;
    }
}

TEST(senders, refuse_bad_numbers_by_value)
{
    const auto self = tocsin::pidfd_open(::getpid());
    expect_numbers_refused("raise_signal", false, [](int sig) { tocsin::raise_signal(sig); });
    expect_numbers_refused("pthread_kill", true, [](int sig) { tocsin::pthread_kill(::pthread_self(), sig); });
    expect_numbers_refused("sigqueue", false, [](int sig) { tocsin::sigqueue(::getpid(), sig, sigval{}); });
    expect_numbers_refused("pidfd_send_signal", true,
                           [&](int sig) { tocsin::pidfd_send_signal(self.native_handle(), sig); });
    expect_numbers_refused("pidfd_send_signal", true, [&](int sig) { self.send(sig); });
}

TEST(raise_signal, the_handler_has_run_when_it_returns)
{
    SKIP_WITHOUT_SIGRTMAX();
    int calls = 0;
    tocsin::event last;
    for (const int sig : {SIGUSR1, SIGTERM, SIGRTMIN, SIGRTMAX}) {
        tocsin::signal(sig, [&](const tocsin::event& e) {
            ++calls;
            last = e;
        });
        for (int i = 0; i < 100; ++i) {
            const int before = calls;
            tocsin::raise_signal(sig);
            ASSERT_EQ(calls, before + 1);
            ASSERT_EQ(last.signo, sig);
        }
    }
    EXPECT_EQ(last.info.code(), SI_TKILL);
    EXPECT_EQ(last.info.pid(), ::getpid());
    EXPECT_EQ(last.count, 1U);
    const auto here = static_cast<std::uint_least32_t>(__LINE__ + 1);
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(last.where.line(), here);
}

TEST(raise_signal, what_the_handler_throws_leaves_from_it)
{
    tocsin::signal(SIGUSR1, [] { throw support::stop(); });
    EXPECT_THROW(tocsin::raise_signal(SIGUSR1), support::stop);
    EXPECT_THROW(tocsin::raise_signal(SIGUSR1), support::stop);
}

TEST(raise_signal, a_blocked_or_deferred_signal_waits)
{
    int calls = 0;
    tocsin::signal(SIGUSR1, [&] { ++calls; });
    {
        const tocsin::mask_guard guard({SIGUSR1});
        tocsin::raise_signal(SIGUSR1);
        EXPECT_EQ(calls, 0);
        EXPECT_EQ(tocsin::sigwait({SIGUSR1}), SIGUSR1);
    }
    {
        tocsin::defer_signals later;
        tocsin::raise_signal(SIGUSR1);
        EXPECT_EQ(calls, 0);
        later.release();
    }
    EXPECT_EQ(calls, 1);
}

TEST(raise_signal, on_another_thread_leaves_the_handler_to_the_main_thread)
{
    int calls = 0;
    tocsin::signal(SIGUSR1, [&] { ++calls; });
    std::thread([] { tocsin::raise_signal(SIGUSR1); }).join();
    EXPECT_EQ(calls, 0);
    tocsin::check_signals();
    EXPECT_EQ(calls, 1);
}

TEST(raise_signal, an_ignored_signal_is_no_error)
{
    tocsin::signal(SIGUSR1, tocsin::ignore);
    EXPECT_NO_THROW(tocsin::raise_signal(SIGUSR1));
    EXPECT_TRUE(support::died_of(support::in_child([] {
                                     tocsin::signal(SIGUSR1, tocsin::default_action);
                                     tocsin::raise_signal(SIGUSR1);
                                     return 0;
                                 }),
                                 SIGUSR1));
}

TEST(pthread_kill, to_the_main_thread_from_itself_runs_the_handler)
{
    int calls = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) {
        ++calls;
        EXPECT_EQ(e.info.origin(), tocsin::origin::tkill);
    });
    tocsin::pthread_kill(::pthread_self(), SIGUSR1);
    tocsin::check_signals(); // ThreadSanitizer
    EXPECT_EQ(calls, 1);
}

TEST(pthread_kill, takes_an_id_a_thread_and_a_jthread)
{
    // The target waits for the signal, so that who got it is certain.
    const tocsin::mask_guard guard({SIGUSR1});
    const auto waits = [] { EXPECT_EQ(tocsin::sigwait({SIGUSR1}), SIGUSR1); };
    std::thread by_thread(waits);
    tocsin::pthread_kill(by_thread, SIGUSR1);
    by_thread.join();
    std::jthread by_jthread(waits);
    tocsin::pthread_kill(by_jthread, SIGUSR1);
    by_jthread.join();
    std::thread by_id(waits);
    tocsin::pthread_kill(by_id.native_handle(), SIGUSR1);
    by_id.join();
    EXPECT_EQ(tocsin::sigpending(), tocsin::signal_set{});
}

TEST(pthread_kill, zero_only_checks)
{
    std::atomic<bool> end = false;
    std::thread thread([&] {
        while (!end)
            ::sched_yield();
    });
    EXPECT_NO_THROW(tocsin::pthread_kill(thread, 0));
    EXPECT_NO_THROW(tocsin::pthread_kill(thread.native_handle(), 0));
    end = true;
    thread.join();
}

TEST(pthread_kill, a_thread_known_to_be_gone_is_esrch)
{
    std::thread joined([] {});
    joined.join();
    std::thread none;
    std::jthread no_jthread;
    for (const int sig : {0, SIGUSR1}) {
        EXPECT_EQ(errno_of([&] { tocsin::pthread_kill(joined, sig); }), ESRCH);
        EXPECT_EQ(errno_of([&] { tocsin::pthread_kill(none, sig); }), ESRCH);
        EXPECT_EQ(errno_of([&] { tocsin::pthread_kill(no_jthread, sig); }), ESRCH);
        EXPECT_EQ(errno_of([&] { tocsin::pthread_kill(std::thread::native_handle_type{0}, sig); }), ESRCH);
    }
}

TEST(pthread_kill, a_thread_that_has_ended_but_is_not_joined_is_harmless)
{
    std::atomic<bool> ended = false;
    std::thread thread([&] { ended = true; });
    EXPECT_TRUE(support::eventually([&] { return ended.load(); }));
    int calls = 0;
    tocsin::signal(SIGUSR1, [&] { ++calls; });
    for (int i = 0; i < 1000; ++i) {
        try {
            tocsin::pthread_kill(thread, SIGUSR1);
        } catch (const std::system_error& e) {
            EXPECT_EQ(e.code().value(), ESRCH);
        }
    }
    thread.join();
}

TEST(pthread_kill, runs_what_is_due_afterwards)
{
    support::make_due(SIGUSR2, [] { throw support::stop(); });
    EXPECT_THROW(tocsin::pthread_kill(::pthread_self(), 0), support::stop);
}

TEST(pidfd, reaches_the_process_and_says_when_it_has_ended)
{
    const support::child target([] {
        while (true)
            ::pause();
    });
    const auto fd = tocsin::pidfd_open(target.pid());
    EXPECT_TRUE(static_cast<bool>(fd));
    EXPECT_NE(::fcntl(fd.native_handle(), F_GETFD) & FD_CLOEXEC, 0);
    tocsin::pidfd_send_signal(fd.native_handle(), 0);
    pollfd ended{fd.native_handle(), POLLIN, 0};
    EXPECT_EQ(::poll(&ended, 1, 0), 0);
    tocsin::pidfd_send_signal(fd.native_handle(), SIGTERM);
    EXPECT_EQ(tocsin::blocking::poll(&ended, 1, 20'000), 1);
    siginfo_t info{};
    tocsin::blocking::waitid(P_PID, static_cast<id_t>(target.pid()), &info, WEXITED | WNOWAIT);
    EXPECT_EQ(info.si_status, SIGTERM);
}

TEST(pidfd, a_process_that_was_reaped_is_esrch)
{
    support::child target([] {});
    const auto fd = tocsin::pidfd_open(target.pid());
    EXPECT_EQ(tocsin::blocking::waitpid(target.pid(), nullptr, 0), target.pid());
    EXPECT_EQ(errno_of([&] { fd.send(SIGTERM); }), ESRCH);
    EXPECT_EQ(errno_of([&] { fd.send(0); }), ESRCH);
    EXPECT_EQ(errno_of([&] { (void)tocsin::pidfd_open(target.pid()); }), ESRCH);
    target.forget();
}

TEST(pidfd, without_information_it_looks_like_kill)
{
    tocsin::event seen;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { seen = e; });
    tocsin::pidfd_open(::getpid()).send(SIGUSR1);
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        return seen.signo == SIGUSR1;
    }));
    EXPECT_EQ(seen.info.code(), SI_USER);
    EXPECT_EQ(seen.info.pid(), ::getpid());
}

TEST(pidfd, with_information_the_receiver_sees_it)
{
    SKIP_IF_EMULATED("pidfd_send_signal translates a real-time signal's number, but not the one in the information");
    tocsin::event seen;
    tocsin::signal(SIGRTMIN + 2, [&](const tocsin::event& e) { seen = e; });
    const auto info = tocsin::siginfo::queued(SIGRTMIN + 2, sigval{.sival_int = 77});
    const auto self = tocsin::pidfd_open(::getpid());
    tocsin::pidfd_send_signal(self.native_handle(), SIGRTMIN + 2, &info);
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        return seen.signo == SIGRTMIN + 2;
    }));
    EXPECT_EQ(seen.info.code(), SI_QUEUE);
    ASSERT_TRUE(seen.info.value().has_value());
    EXPECT_EQ(seen.info.value()->sival_int, 77);
}

TEST(pidfd, errors_name_the_descriptor_and_the_signal)
{
    const auto self = tocsin::pidfd_open(::getpid());
    const int fd = self.native_handle();
    EXPECT_EQ(errno_of([] { tocsin::pidfd_send_signal(-1, SIGTERM); }), EBADF);
    EXPECT_EQ(errno_of([] { tocsin::pidfd_send_signal(987654, SIGTERM); }), EBADF);
    const support::pipe_pair not_a_process;
    EXPECT_EQ(errno_of([&] { tocsin::pidfd_send_signal(not_a_process.reader, SIGTERM); }), EBADF);
    EXPECT_EQ(errno_of([&] { tocsin::pidfd_send_signal(fd, SIGTERM, nullptr, 1U << 30); }), EINVAL);
    const auto other = tocsin::siginfo::queued(SIGUSR2, sigval{});
    EXPECT_EQ(errno_of([&] { tocsin::pidfd_send_signal(fd, SIGUSR1, &other); }), EINVAL);
    const auto text = message_of<std::system_error>([] { tocsin::pidfd_send_signal(987654, SIGTERM); });
    EXPECT_NE(text.find("987654"), std::string::npos) << text;
    EXPECT_NE(text.find("15"), std::string::npos) << text;
}

TEST(pidfd, the_kernels_own_codes_may_not_be_given_to_another_process)
{
    const support::child target([] {
        while (true)
            ::pause();
    });
    const auto fd = tocsin::pidfd_open(target.pid());
    siginfo_t raw{};
    raw.si_signo = SIGUSR1;
    raw.si_code = SI_KERNEL;
    const tocsin::siginfo forged(raw);
    EXPECT_EQ(errno_of([&] { tocsin::pidfd_send_signal(fd.native_handle(), SIGUSR1, &forged); }), EPERM);
}

TEST(pidfd, open_refuses_what_is_no_process)
{
    for (const pid_t pid : {0, -1}) {
        EXPECT_EQ(errno_of([&] { (void)tocsin::pidfd_open(pid); }), EINVAL);
        const auto text = message_of<std::system_error>([&] { (void)tocsin::pidfd_open(pid); });
        EXPECT_NE(text.find(std::to_string(pid)), std::string::npos) << text;
    }
    EXPECT_EQ(errno_of([] { (void)tocsin::pidfd_open(0x7fffffff); }), ESRCH);
}

TEST(pidfd, moves_releases_and_closes)
{
    auto a = tocsin::pidfd_open(::getpid());
    const int number = a.native_handle();
    tocsin::pidfd b(std::move(a));
    EXPECT_EQ(a.native_handle(), -1); // NOLINT(bugprone-use-after-move)
    EXPECT_FALSE(static_cast<bool>(a));
    EXPECT_EQ(b.native_handle(), number);
    a = std::move(b);
    EXPECT_EQ(a.native_handle(), number);
    auto& same = a;
    a = std::move(same);
    EXPECT_EQ(a.native_handle(), number);
    EXPECT_EQ(a.release(), number);
    EXPECT_EQ(::fcntl(number, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    {
        tocsin::pidfd c(number);
        c.close();
        c.close();
        EXPECT_FALSE(static_cast<bool>(c));
    }
    EXPECT_EQ(::fcntl(number, F_GETFD), -1);
    EXPECT_EQ(errno_of([&] { a.send(0); }), EBADF);
}

TEST(sigqueue, the_receiver_gets_the_value_and_the_sender)
{
    tocsin::event seen;
    tocsin::signal(SIGRTMIN, [&](const tocsin::event& e) { seen = e; });
    int object = 0;
    tocsin::sigqueue(::getpid(), SIGRTMIN, sigval{.sival_ptr = &object});
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        return seen.signo == SIGRTMIN;
    }));
    EXPECT_EQ(seen.info.code(), SI_QUEUE);
    EXPECT_EQ(seen.info.origin(), tocsin::origin::queue);
    EXPECT_EQ(seen.info.pid(), ::getpid());
    EXPECT_EQ(seen.info.uid(), ::getuid());
    ASSERT_TRUE(seen.info.value().has_value());
    EXPECT_EQ(seen.info.value()->sival_ptr, &object);
}

TEST(sigqueue, to_another_process)
{
    const auto status = support::in_child([] {
        const tocsin::mask_guard guard({SIGRTMIN});
        const support::child target([] {
            const auto info = tocsin::sigwaitinfo({SIGRTMIN});
            ::_exit(info.value() && info.pid() == ::getppid() ? info.value()->sival_int : 1);
        });
        tocsin::sigqueue(target.pid(), SIGRTMIN, sigval{.sival_int = 42});
        int result = 0;
        tocsin::blocking::waitpid(target.pid(), &result, WUNTRACED);
        return WEXITSTATUS(result);
    });
    EXPECT_TRUE(support::exited_with(status, 42)) << status;
}

TEST(sigqueue, errors_name_the_process)
{
    EXPECT_EQ(errno_of([] { tocsin::sigqueue(0x7fffffff, SIGUSR1, sigval{}); }), ESRCH);
    EXPECT_EQ(errno_of([] { tocsin::sigqueue(-1, SIGUSR1, sigval{}); }), ESRCH);
    const auto text = message_of<std::system_error>([] { tocsin::sigqueue(0x7fffffff, SIGUSR1, sigval{}); });
    EXPECT_NE(text.find("2147483647"), std::string::npos) << text;
    EXPECT_NE(text.find("SIGUSR1"), std::string::npos) << text;
}

TEST(sigqueue, a_full_queue_is_eagain)
{
    const auto status = support::in_child([] {
        const tocsin::mask_guard guard({SIGRTMIN});
        const rlimit none{0, 0};
        if (::setrlimit(RLIMIT_SIGPENDING, &none) != 0)
            return 2;
        try {
            tocsin::sigqueue(::getpid(), SIGRTMIN, sigval{});
        } catch (const std::system_error& e) {
            return e.code().value() == EAGAIN ? 0 : 3;
        }
        return 4;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}

TEST(senders, another_users_process_is_eperm)
{
    if (::getuid() != 0)
        GTEST_SKIP() << "needs to give up root";
    const pid_t parent = ::getpid();
    const auto status = support::in_child([parent] {
        const auto fd = tocsin::pidfd_open(parent);
        if (::setresuid(65534, 65534, 65534) != 0)
            return 2;
        try {
            tocsin::sigqueue(parent, SIGUSR1, sigval{});
            return 3;
        } catch (const std::system_error& e) {
            if (e.code().value() != EPERM)
                return 4;
        }
        try {
            fd.send(SIGUSR1);
            return 5;
        } catch (const std::system_error& e) {
            return e.code().value() == EPERM ? 0 : 6;
        }
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}

} // namespace
