#pragma once

// Makes chosen system calls of a child process fail: the kernel asks this process about every one of them (seccomp's user
// notification), so that an injection can begin and end, and hit the n-th call only, also one made inside a signal
// handler. Nothing of the process under test is replaced or traced.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <new>
#include <vector>

#include "support.hpp"

namespace support {

/// What the child orders and the supervising parent does. Lives in memory that both share.
class injection {
public:
    static constexpr int always = 1 << 30;

    /// From here on calls of `number` fail with `error`: the first `skip` pass, then `times` of them fail. Several may
    /// be in force at once. `second`, if not 0, is what their second argument must be.
    void fail(long number, int error, int skip = 0, int times = 1, unsigned long second = 0)
    {
        for (rule& each : rules_) {
            if (each.in_force.load())
                continue;
            each.number = number;
            each.error = error;
            each.skip = skip;
            each.left = times;
            each.second = second;
            each.in_force.store(true);
            return;
        }
        throw std::logic_error("injection: too many at once");
    }
    /// Ends all of them; returns how many calls have failed since the last time.
    int stop()
    {
        for (rule& each : rules_)
            each.in_force.store(false);
        return failed_.exchange(0);
    }
    /// How often `number` has been called at all.
    [[nodiscard]] int calls(long number) const { return seen_.at(static_cast<std::size_t>(number)).load(); }
    /// What the last call of `number` was given as its n-th argument.
    [[nodiscard]] unsigned long argument(long number, int n) const
    {
        return arguments_.at(static_cast<std::size_t>(number)).at(static_cast<std::size_t>(n)).load();
    }

    /// Parent only: the error for this call, or 0.
    int decide(const seccomp_data& call)
    {
        const auto index = static_cast<std::size_t>(call.nr);
        for (std::size_t n = 0; n < arguments_.at(index).size(); ++n)
            arguments_.at(index).at(n).store(call.args[n]);
        ++seen_.at(index);
        for (rule& each : rules_) {
            if (!each.in_force.load() || each.number != call.nr || (each.second != 0 && each.second != call.args[1]))
                continue;
            if (each.skip > 0) {
                --each.skip;
            } else if (each.left > 0) {
                --each.left;
                ++failed_;
                return each.error;
            }
        }
        return 0;
    }

private:
    struct rule {
        std::atomic<bool> in_force{false}; // publishes what follows
        long number = 0;
        int error = 0;
        int skip = 0;
        int left = 0;
        unsigned long second = 0;
    };
    std::array<rule, 4> rules_;
    std::atomic<int> failed_{0};
    std::array<std::atomic<int>, 1024> seen_{};
    std::array<std::array<std::atomic<unsigned long>, 6>, 1024> arguments_{};
};

namespace detail {

/// The kernel is to ask about these calls; returns the descriptor on which it does, or -1.
inline int ask_about(const std::vector<long>& numbers, int control)
{
    std::vector<sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    // What hands that descriptor over must pass.
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 0, 4));
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(control), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    for (const long number : numbers) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
}

union fd_message {
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

inline bool send_fd(int control, int fd)
{
    char byte = 0;
    iovec part{&byte, 1};
    fd_message ancillary{};
    ancillary.header = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    std::memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof fd);
    msghdr message{nullptr, 0, &part, 1, &ancillary, sizeof ancillary, 0};
    return ::sendmsg(control, &message, 0) == 1;
}

inline int receive_fd(int control)
{
    char byte = 0;
    iovec part{&byte, 1};
    fd_message ancillary{};
    msghdr message{nullptr, 0, &part, 1, &ancillary, sizeof ancillary, 0};
    if (::recvmsg(control, &message, MSG_CMSG_CLOEXEC) != 1 || message.msg_controllen == 0)
        return -1;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(&ancillary.header), sizeof fd);
    return fd;
}

/// Answers the kernel until the last process that it asks about is gone. One that hangs is killed.
inline void supervise(int listener, injection& orders, pid_t pid)
{
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(40);
    for (;;) {
        if (std::chrono::steady_clock::now() > end)
            ::kill(pid, SIGKILL);
        pollfd ready{listener, POLLIN, 0};
        if (::poll(&ready, 1, 1000) == -1 && errno != EINTR)
            return;
        if ((ready.revents & POLLIN) == 0) {
            if ((ready.revents & (POLLHUP | POLLERR)) != 0)
                return;
            continue;
        }
        seccomp_notif question{};
        if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0)
            continue; // who asked has been killed
        seccomp_notif_resp answer{};
        answer.id = question.id;
        if (const int error = orders.decide(question.data); error != 0)
            answer.error = -error;
        else
            answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

} // namespace detail

inline constexpr int no_injection = 77;
inline constexpr int skipped = 78;

/// Runs `body(injection&)` in a child in which calls of `numbers` can be made to fail. Returns the child's wait status:
/// it exits with what `body` returns, or with no_injection where the kernel does not offer this.
template <class Body>
int in_faulty_child(const std::vector<long>& numbers, Body body)
{
    void* const shared = ::mmap(nullptr, sizeof(injection), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "mmap");
    auto* const orders = new (shared) injection;
    int control[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) != 0)
        throw std::system_error(errno, std::generic_category(), "socketpair");
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int listener = detail::ask_about(numbers, control[1]);
        if (listener < 0 || !detail::send_fd(control[1], listener))
            ::_exit(no_injection);
        for (const int fd : {listener, control[0], control[1]})
            ::close(fd); // the supervisor's now: counted by no test
        int status = 99;
        try {
            status = body(*orders);
        } catch (const std::exception& e) {
            ::dprintf(2, "in_faulty_child: %s\n", e.what());
        }
        std::fflush(nullptr);
        ::_exit(status);
    }
    ::close(control[1]);
    const int listener = detail::receive_fd(control[0]);
    ::close(control[0]);
    if (listener >= 0) {
        detail::supervise(listener, *orders, pid);
        ::close(listener);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) == -1 && errno == EINTR) {
    }
    ::munmap(shared, sizeof(injection));
    return status;
}

/// The same for a body that fails by EXPECT.
template <class Body>
void expect_under_injection(const std::vector<long>& numbers, Body body)
{
    const int status = in_faulty_child(numbers, [&](injection& inject) {
        body(inject);
        if (testing::Test::HasFailure())
            return 1;
        return testing::Test::IsSkipped() ? skipped : 0;
    });
    if (exited_with(status, skipped))
        GTEST_SKIP() << "for the reason given above";
    if (exited_with(status, no_injection))
        GTEST_SKIP() << "the kernel does not let a process decide on system calls here (seccomp)";
    EXPECT_TRUE(exited_with(status, 0)) << "wait status " << status;
}

} // namespace support
