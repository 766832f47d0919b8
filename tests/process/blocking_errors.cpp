// What the calls of tocsin::blocking report when the system refuses.

#include <tocsin/tocsin.hpp>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmath>
#include <functional>
#include <limits>

#include "storm.hpp"

using support::errno_of;
using support::message_of;
namespace blocking = tocsin::blocking;
using namespace std::chrono_literals;

namespace {

struct refused {
    const char* name;
    int error;
    std::function<void()> call;
    /// Returns what the form with a std::error_code returns; -1 where that is nothing.
    std::function<long(std::error_code&)> call_ec;
};
void PrintTo(const refused& r, std::ostream* out) { *out << r.name; }

constexpr int bad = 987654; // no descriptor
char buffer[16];
iovec parts[1] = {{buffer, 16}};
msghdr message{nullptr, 0, parts, 1, nullptr, 0, 0}; // without a buffer an emulator need not enter the kernel
sockaddr_storage address{};
sockaddr* const to = reinterpret_cast<sockaddr*>(&address);
epoll_event found[1];
siginfo_t info;
struct ::flock lock = {};
const timespec backwards{-1, 0};
const timespec unnormal{0, 1'000'000'000};
const timeval negative{-1, 0};

const refused all[] = {
    {"open", ENOENT, [] { blocking::open("/nowhere/at/all", O_RDONLY); },
     [](auto& ec) { return blocking::open("/nowhere/at/all", O_RDONLY, 0, ec); }},
    {"read", EBADF, [] { blocking::read(bad, buffer, 1); },
     [](auto& ec) { return blocking::read(bad, buffer, 1, ec); }},
    {"write", EBADF, [] { blocking::write(bad, buffer, 1); },
     [](auto& ec) { return blocking::write(bad, buffer, 1, ec); }},
    {"readv", EBADF, [] { blocking::readv(bad, parts, 1); },
     [](auto& ec) { return blocking::readv(bad, parts, 1, ec); }},
    {"writev", EBADF, [] { blocking::writev(bad, parts, 1); },
     [](auto& ec) { return blocking::writev(bad, parts, 1, ec); }},
    {"pread", EBADF, [] { blocking::pread(bad, buffer, 1, 0); },
     [](auto& ec) { return blocking::pread(bad, buffer, 1, 0, ec); }},
    {"pwrite", EBADF, [] { blocking::pwrite(bad, buffer, 1, 0); },
     [](auto& ec) { return blocking::pwrite(bad, buffer, 1, 0, ec); }},
    {"recv", EBADF, [] { blocking::recv(bad, buffer, 1, 0); },
     [](auto& ec) { return blocking::recv(bad, buffer, 1, 0, ec); }},
    {"send", EBADF, [] { blocking::send(bad, buffer, 1, 0); },
     [](auto& ec) { return blocking::send(bad, buffer, 1, 0, ec); }},
    {"recvfrom", EBADF, [] { blocking::recvfrom(bad, buffer, 1, 0, nullptr, nullptr); },
     [](auto& ec) { return blocking::recvfrom(bad, buffer, 1, 0, nullptr, nullptr, ec); }},
    {"sendto", EBADF, [] { blocking::sendto(bad, buffer, 1, 0, nullptr, 0); },
     [](auto& ec) { return blocking::sendto(bad, buffer, 1, 0, nullptr, 0, ec); }},
    {"recvmsg", EBADF, [] { blocking::recvmsg(bad, &message, 0); },
     [](auto& ec) { return blocking::recvmsg(bad, &message, 0, ec); }},
    {"sendmsg", EBADF, [] { blocking::sendmsg(bad, &message, 0); },
     [](auto& ec) { return blocking::sendmsg(bad, &message, 0, ec); }},
    {"accept", EBADF, [] { blocking::accept(bad, nullptr, nullptr); },
     [](auto& ec) { return blocking::accept(bad, nullptr, nullptr, ec); }},
    {"accept4", EBADF, [] { blocking::accept4(bad, nullptr, nullptr, 0); },
     [](auto& ec) { return blocking::accept4(bad, nullptr, nullptr, 0, ec); }},
    {"connect", EBADF, [] { blocking::connect(bad, to, sizeof address); },
     [](auto& ec) {
         blocking::connect(bad, to, sizeof address, ec);
         return -1L;
     }},
    {"close", EBADF, [] { blocking::close(bad); },
     [](auto& ec) {
         blocking::close(bad, ec);
         return -1L;
     }},
    {"poll", EFAULT, [] { blocking::poll(nullptr, 1, 0); }, [](auto& ec) { return blocking::poll(nullptr, 1, 0, ec); }},
    {"ppoll", EINVAL, [] { blocking::ppoll(nullptr, 0, &backwards, nullptr); },
     [](auto& ec) { return blocking::ppoll(nullptr, 0, &unnormal, nullptr, ec); }},
    {"select", EINVAL, [] { blocking::select(-1, nullptr, nullptr, nullptr, nullptr); },
     [](auto& ec) { return blocking::select(0, nullptr, nullptr, nullptr, &negative, ec); }},
    {"epoll_wait", EBADF, [] { blocking::epoll_wait(bad, found, 1, 0); },
     [](auto& ec) { return blocking::epoll_wait(bad, found, 1, 0, ec); }},
    {"waitpid", ECHILD, [] { blocking::waitpid(0x7fffffff, nullptr, 0); },
     [](auto& ec) { return blocking::waitpid(-1, nullptr, 0, ec); }},
    {"waitid", ECHILD, [] { blocking::waitid(P_ALL, 0, &info, WEXITED); },
     [](auto& ec) {
         blocking::waitid(P_PID, 0x7fffffff, &info, WEXITED, ec);
         return -1L;
     }},
    {"flock", EBADF, [] { blocking::flock(bad, LOCK_EX); },
     [](auto& ec) {
         blocking::flock(bad, LOCK_EX, ec);
         return -1L;
     }},
    {"fcntl_lock", EBADF, [] { blocking::fcntl_lock(bad, F_SETLKW, &lock); },
     [](auto& ec) {
         blocking::fcntl_lock(bad, F_OFD_SETLKW, &lock, ec);
         return -1L;
     }},
    {"nanosleep", EINVAL, [] { blocking::nanosleep(&backwards, nullptr); },
     [](auto& ec) {
         blocking::nanosleep(&unnormal, nullptr, ec);
         return -1L;
     }},
    {"mq_receive", EBADF, [] { blocking::mq_receive(bad, buffer, 1, nullptr); },
     [](auto& ec) { return blocking::mq_receive(bad, buffer, 1, nullptr, ec); }},
    {"mq_send", EBADF, [] { blocking::mq_send(bad, buffer, 1, 0); },
     [](auto& ec) {
         blocking::mq_send(bad, buffer, 1, 0, ec);
         return -1L;
     }},
    {"futex_wait", EFAULT, [] { blocking::futex_wait(nullptr, 0, 0); },
     [](auto& ec) { return blocking::futex_wait(nullptr, 0, 0, ec) ? 1L : -1L; }},
    {"call", EBADF, [] { blocking::call(SYS_read, bad, buffer, 1); },
     [](auto& ec) { return blocking::call(ec, SYS_read, bad, buffer, 1); }},
};

class blocking_error : public testing::TestWithParam<refused> {};

TEST_P(blocking_error, is_thrown_with_the_name_of_the_call)
{
    const auto& it = GetParam();
    try {
        it.call();
        ADD_FAILURE() << "threw nothing";
    } catch (const std::system_error& e) {
        EXPECT_EQ(e.code(), std::error_code(it.error, std::generic_category())) << e.what();
        EXPECT_EQ(std::string(e.what()).rfind(std::string(it.name) + ":", 0), 0U) << e.what();
    }
}

TEST_P(blocking_error, is_put_into_the_error_code)
{
    const auto& it = GetParam();
    std::error_code ec;
    EXPECT_EQ(it.call_ec(ec), -1);
    EXPECT_EQ(ec, std::error_code(it.error, std::generic_category())) << ec.message();
}

TEST_P(blocking_error, what_a_handler_throws_comes_out_of_both_forms)
{
    const auto& it = GetParam();
    // A time or command that can never be right is refused before the safe point: nothing is lost then.
    const bool late = std::string(it.name) == "ppoll" || std::string(it.name) == "nanosleep";
    const auto expect_stop = [&](const auto& call) {
        support::make_due(SIGUSR1, [] { throw support::stop(); });
        const auto run = [&] {
            try {
                call();
            } catch (const std::system_error&) {
            }
            if (late)
                tocsin::check_signals();
        };
        EXPECT_THROW(run(), support::stop);
    };
    expect_stop([&] { it.call(); });
    std::error_code ec;
    if (std::string(it.name) != "select")
        expect_stop([&] { it.call_ec(ec); });
}

INSTANTIATE_TEST_SUITE_P(every_call, blocking_error, testing::ValuesIn(all),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(blocking_errors, of_files_and_descriptors)
{
    const support::pipe_pair pipe;
    tocsin::signal(SIGPIPE, tocsin::ignore);
    EXPECT_EQ(errno_of([&] { blocking::pread(pipe.reader, buffer, 1, 0); }), ESPIPE);
    EXPECT_EQ(errno_of([&] { blocking::read(pipe.writer, buffer, 1); }), EBADF);
    EXPECT_EQ(errno_of([&] { blocking::recv(pipe.reader, buffer, 1, 0); }), ENOTSOCK);
    EXPECT_EQ(errno_of([&] { blocking::accept(pipe.reader, nullptr, nullptr); }), ENOTSOCK);
    EXPECT_EQ(errno_of([&] { blocking::epoll_wait(pipe.reader, found, 1, 0); }), EINVAL);
    ::fcntl(pipe.reader, F_SETFL, O_NONBLOCK);
    EXPECT_EQ(errno_of([&] { blocking::read(pipe.reader, buffer, 1); }), EAGAIN);
    EXPECT_EQ(errno_of([] { blocking::open("/dev/null", O_RDONLY | O_DIRECTORY); }), ENOTDIR);
    const support::descriptor null(blocking::open("/dev/null", O_WRONLY | O_CLOEXEC));
    EXPECT_EQ(blocking::write(null, buffer, 16), 16);
}

TEST(blocking_errors, a_broken_pipe_is_epipe_when_the_signal_is_ignored_or_handled)
{
    support::pipe_pair pipe;
    pipe.reader.reset();
    tocsin::signal(SIGPIPE, tocsin::ignore);
    EXPECT_EQ(errno_of([&] { blocking::write(pipe.writer, buffer, 1); }), EPIPE);
    int calls = 0;
    tocsin::signal(SIGPIPE, [&] { ++calls; });
    EXPECT_EQ(errno_of([&] { blocking::write(pipe.writer, buffer, 1); }), EPIPE);
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        return calls == 1;
    }));
}

TEST(blocking_errors, too_many_descriptors)
{
    const auto status = support::in_child([] {
        const rlimit few{3, 3};
        ::setrlimit(RLIMIT_NOFILE, &few);
        // No exception: UndefinedBehaviorSanitizer needs descriptors of its own to look at one.
        std::error_code ec;
        blocking::open("/dev/null", O_RDONLY, 0, ec);
        return ec.value();
    });
    EXPECT_TRUE(support::exited_with(status, EMFILE)) << status;
}

TEST(blocking_errors, fcntl_lock_refuses_commands_that_are_not_about_locks)
{
    const support::descriptor file(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int command : {F_GETFD, F_SETFL, F_DUPFD, -1, 12345})
        EXPECT_EQ(errno_of([&] { blocking::fcntl_lock(file, command, &lock); }), EINVAL) << command;
}

TEST(blocking_errors, fcntl_lock_without_waiting_says_that_it_is_held)
{
    const support::scratch place;
    const support::descriptor a(::open(place.file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const support::descriptor b(::open(place.file().c_str(), O_RDWR | O_CLOEXEC));
    struct ::flock want = {};
    want.l_type = F_WRLCK;
    blocking::fcntl_lock(a, F_OFD_SETLK, &want);
    EXPECT_EQ(errno_of([&] { blocking::fcntl_lock(b, F_OFD_SETLK, &want); }), EAGAIN);
    blocking::fcntl_lock(b, F_OFD_GETLK, &want);
    EXPECT_EQ(want.l_pid, -1);
    EXPECT_EQ(errno_of([&] { blocking::flock(bad, LOCK_EX | LOCK_NB); }), EBADF);
    blocking::flock(a, LOCK_EX);
    EXPECT_EQ(errno_of([&] { blocking::flock(b, LOCK_EX | LOCK_NB); }), EWOULDBLOCK);
}

TEST(blocking_errors, times_that_are_none)
{
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const std::uint32_t word = 0;
    for (const double time : {-1.0, -1e-9, -1e-12, -0.25}) {
        EXPECT_THROW(blocking::sleep_for(time), std::invalid_argument) << time;
        EXPECT_THROW(blocking::futex_wait(&word, 0, time), std::invalid_argument) << time;
    }
    EXPECT_NE(message_of<std::invalid_argument>([] { blocking::sleep_for(-0.25); }).find("-0.25"), std::string::npos);
    EXPECT_THROW(blocking::sleep_for(std::nan("")), std::invalid_argument);
    EXPECT_THROW(blocking::futex_wait(&word, 0, std::nan("")), std::invalid_argument);
    for (const double time : {infinity, -infinity, 1e300}) {
        EXPECT_THROW(blocking::sleep_for(time), std::overflow_error) << time;
        EXPECT_THROW(blocking::futex_wait(&word, 0, time), std::overflow_error) << time;
    }
    using hours = std::chrono::time_point<std::chrono::steady_clock, std::chrono::hours>;
    EXPECT_THROW(blocking::sleep_until(hours::max()), std::overflow_error);
    EXPECT_EQ(errno_of([] { blocking::nanosleep(nullptr, nullptr); }), EFAULT);
}

TEST(blocking_errors, the_generic_call_names_the_number)
{
    const auto text = message_of<std::system_error>([] { blocking::call(SYS_close, bad); });
    EXPECT_NE(text.find(std::to_string(SYS_close)), std::string::npos) << text;
    EXPECT_EQ(errno_of([] { blocking::call(100'000); }), ENOSYS);
    EXPECT_EQ(errno_of([] { blocking::call(-1); }), ENOSYS);
}

} // namespace
