// Interruptions at moments that no timer hits for certain. close() of the C library is replaced here; system calls
// are made to fail with EINTR by the kernel (seccomp), in a child, because that is for good.

#include <tocsin/tocsin.hpp>

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cstddef>

#include "storm.hpp"

namespace blocking = tocsin::blocking;
using support::pipe_pair;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

int closes = 0;
int failing_closes = 0;

} // namespace

// Called by the library in place of the C library's.
extern "C" int close(int fd)
{
    ++closes;
    static const auto real = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_NEXT, "close"));
    const int result = real(fd);
    if (failing_closes > 0) {
        --failing_closes;
        errno = EINTR; // as Linux does: the descriptor is gone all the same
        return -1;
    }
    return result;
}

namespace {

/// From now on the system call fails with EINTR, always. May be repeated for others.
bool interrupt_every(long number)
{
    const sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINTR),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{static_cast<unsigned short>(std::size(program)), const_cast<sock_filter*>(program)};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// Runs `body` in a child in which `number` is interrupted without end, and takes over its failures.
template <class Body>
void expect_under_interruption(long number, Body body)
{
    constexpr int no_filter = 77;
    const int status = support::in_child([&] {
        if (!interrupt_every(number))
            return no_filter;
        ::alarm(30); // a loop without end dies
        body();
        return testing::Test::HasFailure() ? 1 : 0;
    });
    if (support::exited_with(status, no_filter))
        GTEST_SKIP() << "no seccomp here";
    EXPECT_TRUE(support::exited_with(status, 0)) << "status " << status << ", system call " << number;
}

TEST(G15, close_is_never_tried_again)
{
    const pipe_pair pipe;
    for (const bool throwing : {true, false}) {
        const int number = ::dup(pipe.reader);
        closes = 0;
        failing_closes = 1;
        std::error_code ec(EPERM, std::generic_category());
        if (throwing)
            blocking::close(number);
        else
            blocking::close(number, ec);
        EXPECT_EQ(ec.value(), throwing ? EPERM : 0); // interrupted is closed
        EXPECT_EQ(closes, 1);
        EXPECT_EQ(failing_closes, 0);
        EXPECT_EQ(::fcntl(number, F_GETFD), -1);
    }
}

TEST(G15, an_interrupted_close_runs_the_handler_once_the_descriptor_is_gone)
{
    const pipe_pair pipe;
    const int number = ::dup(pipe.reader);
    support::make_due(SIGUSR1, [] { throw support::stop(); });
    closes = 0;
    failing_closes = 1;
    EXPECT_THROW(blocking::close(number), support::stop);
    EXPECT_EQ(closes, 1);
    EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST(G15, a_timer_descriptor_and_a_process_descriptor_are_closed_once)
{
    closes = 0;
    failing_closes = 2;
    {
        const tocsin::timer_fd timer;
        const auto self = tocsin::pidfd_open(::getpid());
    }
    EXPECT_EQ(closes, 2);
}

TEST(G15, select_clears_its_sets_when_the_last_look_is_interrupted_too)
{
    expect_under_interruption(SYS_pselect6, [] {
        const pipe_pair pipe;
        for (const int milliseconds : {0, 3}) {
            fd_set in;
            FD_ZERO(&in);
            FD_SET(pipe.reader, &in);
            FD_SET(pipe.writer, &in);
            fd_set out = in;
            fd_set except = in;
            const timeval limit{0, milliseconds * 1000};
            const auto start = steady_clock::now();
            EXPECT_EQ(blocking::select(pipe.writer + 1, &in, &out, &except, &limit), 0);
            EXPECT_GE(support::elapsed_since(start), milliseconds * 1ms);
            for (const int fd : {int(pipe.reader), int(pipe.writer)}) {
                EXPECT_FALSE(FD_ISSET(fd, &in));
                EXPECT_FALSE(FD_ISSET(fd, &out));
                EXPECT_FALSE(FD_ISSET(fd, &except));
            }
        }
    });
}

TEST(G15, select_leaves_alone_what_lies_beyond_the_number_of_descriptors)
{
    expect_under_interruption(SYS_pselect6, [] {
        fd_set in;
        FD_ZERO(&in);
        FD_SET(500, &in);
        const timeval none{};
        EXPECT_EQ(blocking::select(64, &in, nullptr, nullptr, &none), 0);
        EXPECT_TRUE(FD_ISSET(500, &in));
        EXPECT_EQ(blocking::select(0, &in, nullptr, nullptr, &none), 0);
        EXPECT_TRUE(FD_ISSET(500, &in));
    });
}

template <class Call>
void expect_timeout(long number, Call call)
{
    expect_under_interruption(number, [&] {
        const auto start = steady_clock::now();
        call();
        EXPECT_GE(support::elapsed_since(start), 3ms);
    });
}

TEST(G15, timed_calls_that_are_interrupted_without_end_time_out)
{
    const timespec limit{0, 3'000'000};
    expect_timeout(SYS_ppoll, [] {
#if defined(SYS_poll)
        EXPECT_TRUE(interrupt_every(SYS_poll));
#endif
        pollfd nothing[2] = {{-1, POLLIN, -1}, {-1, POLLIN, -1}};
        EXPECT_EQ(blocking::poll(nothing, 2, 3), 0);
        EXPECT_EQ(nothing[0].revents, 0);
        EXPECT_EQ(nothing[1].revents, 0);
    });
    expect_timeout(SYS_ppoll, [&] {
        pollfd nothing{-1, POLLIN, -1};
        EXPECT_EQ(blocking::ppoll(&nothing, 1, &limit, nullptr), 0);
        EXPECT_EQ(nothing.revents, 0);
        EXPECT_EQ(blocking::ppoll(nullptr, 0, &limit, nullptr), 0);
    });
    expect_timeout(SYS_epoll_pwait, [] {
#if defined(SYS_epoll_wait)
        EXPECT_TRUE(interrupt_every(SYS_epoll_wait));
#endif
        const support::descriptor set(::epoll_create1(EPOLL_CLOEXEC));
        epoll_event found{};
        EXPECT_EQ(blocking::epoll_wait(set, &found, 1, 3), 0);
    });
    expect_timeout(SYS_nanosleep, [&] { blocking::nanosleep(&limit, nullptr); });
}

TEST(G15, a_connection_that_is_made_is_not_begun_again)
{
    // Connected, and the interruption is told all the same: as when it comes at the last moment. Starting again would
    // go on for ever here.
    expect_under_interruption(SYS_connect, [] {
        int ends[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        const support::descriptor a(ends[0]);
        const support::descriptor b(ends[1]);
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        blocking::connect(a, reinterpret_cast<sockaddr*>(&name), sizeof(sa_family_t));
    });
}

TEST(G9, a_wait_interrupted_without_end_never_makes_up_a_signal)
{
    expect_under_interruption(SYS_rt_sigtimedwait, [] {
        const tocsin::mask_guard guard({SIGUSR2});
        for (const auto time : {0us, 1us, 500us, 3000us}) {
            const auto start = steady_clock::now();
            EXPECT_EQ(tocsin::sigtimedwait({SIGUSR2}, time), std::nullopt);
            EXPECT_GE(support::elapsed_since(start), time);
        }
    });
}

} // namespace
