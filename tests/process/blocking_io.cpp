// Reading and writing: short counts, whole streams, close, the generic call.

#include <tocsin/tocsin.hpp>

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstring>
#include <thread>
#include <vector>

#include "storm.hpp"

using support::descriptor;
using support::errno_of;
using support::pipe_pair;
using support::storm;
namespace blocking = tocsin::blocking;
using namespace std::chrono_literals;

namespace {

std::vector<char> pattern(std::size_t size)
{
    std::vector<char> bytes(size);
    unsigned state = 1;
    for (char& each : bytes) {
        state = state * 1664525U + 1013904223U;
        each = static_cast<char>(state >> 24);
    }
    return bytes;
}

// Sends it in pieces of odd sizes and reads it back on another thread, which a storm interrupts too.
template <class Send, class Receive>
void expect_whole_stream(int out, int in, Send send, Receive receive)
{
    const auto sent = pattern(300'000);
    std::vector<char> got;
    std::atomic<bool> done = false;
    std::thread reader([&] {
        std::vector<char> buffer(5000);
        while (got.size() < sent.size()) {
            const ssize_t n = receive(in, buffer.data(), buffer.size());
            ASSERT_GT(n, 0);
            got.insert(got.end(), buffer.begin(), buffer.begin() + n);
        }
        done = true;
    });
    {
        const storm interrupts;
        for (std::size_t at = 0; at < sent.size();) {
            const ssize_t n = send(out, sent.data() + at, std::min<std::size_t>(7001, sent.size() - at));
            ASSERT_GT(n, 0);
            at += static_cast<std::size_t>(n);
            if (at % 3 == 0 && !done)
                ::pthread_kill(reader.native_handle(), SIGALRM);
        }
        EXPECT_TRUE(support::eventually([&] {
            tocsin::check_signals();
            return done.load();
        }));
        reader.join();
    }
    EXPECT_TRUE(got == sent);
}

TEST(G15, every_byte_of_a_pipe_arrives_once_under_a_storm)
{
    const pipe_pair pipe;
    expect_whole_stream(
        pipe.writer, pipe.reader, [](int fd, const char* p, std::size_t n) { return blocking::write(fd, p, n); },
        [](int fd, char* p, std::size_t n) { return blocking::read(fd, p, n); });
}

TEST(G15, every_byte_of_a_scattered_pipe_arrives_once_under_a_storm)
{
    const pipe_pair pipe;
    expect_whole_stream(
        pipe.writer, pipe.reader,
        [](int fd, const char* p, std::size_t n) {
            char* const data = const_cast<char*>(p);
            const iovec parts[] = {{data, n / 3}, {data + n / 3, n - n / 3}};
            return blocking::writev(fd, parts, 2);
        },
        [](int fd, char* p, std::size_t n) {
            const iovec parts[] = {{p, n / 2}, {p + n / 2, n - n / 2}};
            return blocking::readv(fd, parts, 2);
        });
}

TEST(G15, every_byte_of_a_socket_arrives_once_under_a_storm)
{
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const descriptor a(ends[0]);
    const descriptor b(ends[1]);
    expect_whole_stream(
        a, b, [](int fd, const char* p, std::size_t n) { return blocking::send(fd, p, n, 0); },
        [](int fd, char* p, std::size_t n) { return blocking::recv(fd, p, n, 0); });
}

TEST(G15, a_write_that_moved_some_data_returns_the_short_count)
{
    const pipe_pair pipe;
    const auto room = static_cast<std::size_t>(::fcntl(pipe.writer, F_SETPIPE_SZ, 4096));
    const auto data = pattern(3 * room);
    const storm interrupts;
    EXPECT_EQ(blocking::write(pipe.writer, data.data(), data.size()), static_cast<ssize_t>(room));
    std::vector<char> got(data.size());
    EXPECT_EQ(blocking::read(pipe.reader, got.data(), got.size()), static_cast<ssize_t>(room));
    EXPECT_EQ(std::memcmp(got.data(), data.data(), room), 0);
    std::error_code ec(EPERM, std::generic_category());
    char* const start = const_cast<char*>(data.data());
    const iovec parts[] = {{start, room}, {start + room, 2 * room}};
    EXPECT_EQ(blocking::writev(pipe.writer, parts, 2, ec), static_cast<ssize_t>(room));
    EXPECT_FALSE(ec);
}

TEST(G15, a_handler_of_a_signal_that_cut_a_transfer_short_throws_at_the_next_safe_point_and_no_count_is_lost)
{
    const pipe_pair pipe;
    const auto room = static_cast<ssize_t>(::fcntl(pipe.writer, F_SETPIPE_SZ, 4096));
    const auto data = pattern(static_cast<std::size_t>(3 * room));
    bool armed = false;
    const storm interrupts([&](const tocsin::event&) {
        if (armed)
            throw support::stop();
    });
    armed = true;
    ssize_t n = -1;
    while (n < 0) { // a signal before the first byte throws, and nothing has been written
        try {
            n = blocking::write(pipe.writer, data.data(), data.size());
        } catch (const support::stop&) {
            int bytes = 0;
            ::ioctl(pipe.reader, FIONREAD, &bytes);
            EXPECT_EQ(bytes, 0);
        }
    }
    armed = false;
    EXPECT_EQ(n, room);
}

TEST(G15, a_receive_that_wants_all_returns_what_it_has)
{
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const descriptor a(ends[0]);
    const descriptor b(ends[1]);
    ASSERT_EQ(::send(a, "abc", 3, 0), 3);
    char got[10] = "";
    const storm interrupts;
    EXPECT_EQ(blocking::recv(b, got, 10, MSG_WAITALL), 3);
    EXPECT_STREQ(got, "abc");
}

TEST(blocking_io, a_short_read_and_the_end_of_file_are_what_they_are)
{
    pipe_pair pipe;
    ASSERT_EQ(::write(pipe.writer, "abc", 3), 3);
    char got[10] = "";
    EXPECT_EQ(blocking::read(pipe.reader, got, 10), 3);
    pipe.writer.reset();
    std::error_code ec(EPERM, std::generic_category());
    EXPECT_EQ(blocking::read(pipe.reader, got, 10, ec), 0);
    EXPECT_FALSE(ec);
    EXPECT_EQ(blocking::read(pipe.reader, got, 0), 0);
}

// Regular files are not interrupted: right results under a storm, and a safe point in each call.
TEST(G15, pread_and_pwrite_are_right_under_a_storm)
{
    const support::scratch place;
    const descriptor file(blocking::open(place.file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const auto data = pattern(64 * 1024);
    const storm interrupts;
    for (int round = 0; round < 50; ++round) {
        for (std::size_t at = 0; at < data.size(); at += 4096) {
            const auto offset = static_cast<off_t>(data.size() - 4096 - at);
            ASSERT_EQ(blocking::pwrite(file, data.data() + offset, 4096, offset), 4096);
            char got[4096];
            std::error_code ec(EPERM, std::generic_category());
            ASSERT_EQ(blocking::pread(file, got, 4096, offset, ec), 4096);
            ASSERT_FALSE(ec);
            ASSERT_EQ(std::memcmp(got, data.data() + offset, 4096), 0);
        }
    }
    EXPECT_EQ(::lseek(file, 0, SEEK_CUR), 0);
    std::vector<char> whole(data.size());
    EXPECT_EQ(blocking::pread(file, whole.data(), whole.size(), 0), static_cast<ssize_t>(whole.size()));
    EXPECT_TRUE(whole == data);
    std::error_code ec;
    EXPECT_EQ(blocking::pwrite(file, "abc", 3, 1, ec), 3);
    EXPECT_GT(interrupts.ticks(), 0);
}

TEST(blocking_io, pread_and_pwrite_are_safe_points)
{
    const support::scratch place;
    const descriptor file(blocking::open(place.file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    std::uint_least32_t line = 0;
    char byte = 'x';
    const auto due = [&] { support::make_due(SIGUSR1, [&](const tocsin::event& e) { line = e.where.line(); }); };
    due();
    const auto here = static_cast<std::uint_least32_t>(__LINE__);
    blocking::pwrite(file, &byte, 1, 0);
    EXPECT_EQ(line, here + 1);
    due();
    blocking::pread(file, &byte, 1, 0);
    EXPECT_EQ(line, here + 4);
    due();
    blocking::call(SYS_getpid);
    EXPECT_EQ(line, here + 7);
    due();
    std::error_code ec;
    blocking::call(ec, SYS_getpid);
    EXPECT_EQ(line, here + 11);
}

TEST(blocking_io, the_place_can_be_handed_in)
{
    const auto somewhere = tocsin::source_location::current();
    std::uint_least32_t line = 0;
    support::make_due(SIGUSR1, [&](const tocsin::event& e) {
        line = e.where.line();
        EXPECT_NE(std::string(e.where.file_name()).find("blocking_io.cpp"), std::string::npos);
#if defined(__cpp_lib_source_location)
#if defined(__cpp_lib_source_location) // else empty: see source_location.hpp
        EXPECT_NE(std::string(e.where.function_name()), "");
#endif
#endif
    });
    blocking::poll(nullptr, 0, 0, somewhere);
    EXPECT_EQ(line, somewhere.line());
}

TEST(open, makes_files_with_the_mode_given)
{
    const support::scratch place;
    const auto old = ::umask(0);
    const descriptor file(blocking::open(place.file().c_str(), O_WRONLY | O_CREAT | O_EXCL, 0640));
    ::umask(old);
    struct stat status = {};
    ASSERT_EQ(::fstat(file, &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0640U);
    EXPECT_EQ(errno_of([&] { blocking::open(place.file().c_str(), O_WRONLY | O_CREAT | O_EXCL, 0640); }), EEXIST);
}

TEST(open, of_a_fifo_whose_other_end_never_comes_is_left_by_an_alarm)
{
    const support::scratch place;
    ASSERT_EQ(::mkfifo(place.file().c_str(), 0600), 0);
    tocsin::signal(SIGALRM, [] { throw std::runtime_error("timed out"); });
    tocsin::setitimer(tocsin::itimer::real, 10ms, 10ms);
    EXPECT_THROW(blocking::open(place.file().c_str(), O_WRONLY), std::runtime_error);
    tocsin::setitimer(tocsin::itimer::real, 0);
}

TEST(close, is_a_safe_point_after_the_descriptor_is_gone)
{
    pipe_pair pipe;
    const int number = ::dup(pipe.reader);
    bool open_then = true;
    std::uint_least32_t line = 0;
    support::make_due(SIGUSR1, [&](const tocsin::event& e) {
        open_then = ::fcntl(number, F_GETFD) != -1;
        line = e.where.line();
        throw support::stop();
    });
    const auto here = static_cast<std::uint_least32_t>(__LINE__ + 1);
    EXPECT_THROW(blocking::close(number), support::stop);
    EXPECT_FALSE(open_then);
    EXPECT_EQ(line, here);
    EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST(close, closes_and_reports_ebadf)
{
    const pipe_pair pipe;
    const int number = ::dup(pipe.reader);
    blocking::close(number);
    EXPECT_EQ(errno_of([&] { blocking::close(number); }), EBADF);
    std::error_code ec;
    blocking::close(-1, ec);
    EXPECT_EQ(ec, std::error_code(EBADF, std::generic_category()));
    const int again = ::dup(pipe.reader);
    blocking::close(again, ec);
    EXPECT_FALSE(ec);
}

TEST(call, takes_integers_pointers_enumerations_and_null)
{
    char random[32] = "";
    EXPECT_EQ(blocking::call(SYS_getrandom, random, sizeof random, 0), 32);
    std::error_code ec(EPERM, std::generic_category());
    EXPECT_EQ(blocking::call(ec, SYS_getrandom, random, 16U, 0L), 16);
    EXPECT_FALSE(ec);
    EXPECT_EQ(blocking::call(SYS_getpid), ::getpid());
    const auto status = support::in_child(
        [] { return errno_of([] { blocking::call(SYS_waitid, P_ALL, 0, nullptr, WEXITED, nullptr); }); });
    EXPECT_TRUE(support::exited_with(status, ECHILD)) << status;
    const support::scratch place;
    // A negative int (AT_FDCWD) must reach the kernel as one.
    const auto fd = blocking::call(SYS_openat, AT_FDCWD, place.file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(blocking::call(SYS_close, fd), 0);
}

} // namespace
