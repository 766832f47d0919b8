// Every call of tocsin::blocking that can wait, put through the same trials: it goes on after handlers, what a handler
// throws leaves from it, it is a safe point before it waits, and on another thread it just goes on.

#include <tocsin/tocsin.hpp>

#include <linux/futex.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <ostream>
#include <thread>
#include <vector>

#include "storm.hpp"

using support::descriptor;
using support::pipe_pair;
using support::storm;
namespace blocking = tocsin::blocking;
using tocsin::source_location;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

/// One call that waits until release() is called, or for a time of its own.
struct scene {
    /// Makes the call and tests its result: in the throwing form, then in the other one. The location is handed in once
    /// and left to the default once: both must be what handlers see.
    std::function<void()> call;
    std::function<void(std::error_code&)> call_ec;
    /// Lets the call finish. Works before the call too, from any thread.
    std::function<void()> release;
    /// The call ends by itself after a time: on a busy machine before much has happened.
    bool ends_by_itself = false;
};

// Remembers the line of the call on which it stands.
std::atomic<std::uint_least32_t> call_line;
#define AT(...) (call_line = static_cast<std::uint_least32_t>(__LINE__), __VA_ARGS__)

constexpr char letters[] = "abcdefgh";

std::array<descriptor, 2> socket_pair(int type)
{
    int ends[2];
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0)
        throw std::runtime_error("socketpair");
    return {descriptor(ends[0]), descriptor(ends[1])};
}

// An address in the abstract name space, chosen by the kernel when `fd` is bound.
struct unix_address {
    explicit unix_address(int fd)
    {
        sockaddr_un automatic{};
        automatic.sun_family = AF_UNIX;
        if (::bind(fd, reinterpret_cast<const sockaddr*>(&automatic), sizeof(sa_family_t)) != 0)
            throw std::runtime_error("bind");
        ::getsockname(fd, get(), &size);
    }
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&name); }
    sockaddr_un name{};
    socklen_t size = sizeof name;
};

void fill_pipe(int fd)
{
    ::fcntl(fd, F_SETPIPE_SZ, 4096);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    const std::vector<char> page(4096, 'f');
    while (::write(fd, page.data(), page.size()) > 0) {
    }
    ::fcntl(fd, F_SETFL, 0);
}

// Makes room for one more, and takes no more than was there before.
void drain_pipe(int fd)
{
    char page[4096];
    if (::read(fd, page, sizeof page) != 4096)
        throw std::runtime_error("drain_pipe");
}

void drain_socket(int fd)
{
    char one = 0;
    if (::recv(fd, &one, 1, MSG_DONTWAIT) != 1)
        throw std::runtime_error("drain_socket");
}

// The last datagram, behind those that filled the queue.
std::string last_datagram(int fd)
{
    char got[16];
    std::string last;
    for (ssize_t n = 0; (n = ::recv(fd, got, sizeof got, MSG_DONTWAIT)) > 0;)
        last.assign(got, static_cast<std::size_t>(n));
    return last;
}

void fill_socket(int fd)
{
    while (::send(fd, "f", 1, MSG_DONTWAIT) == 1) {
    }
}

// A scene that reads `letters` from `in`, which `out` writes.
template <class Read>
scene read_scene(std::shared_ptr<void> keep, int out, Read read)
{
    return {[read] { read(nullptr); }, [read](std::error_code& ec) { read(&ec); },
            [keep, out] {
                if (::write(out, letters, 8) != 8)
                    throw std::runtime_error("write");
            }};
}

scene open_scene()
{
    struct state {
        support::scratch place;
        std::string name = place.file();
        std::atomic<int> other = -1;
        void end() { descriptor(other.exchange(-1)); }
        ~state()
        {
            if (other >= 0)
                end();
        }
    };
    auto s = std::make_shared<state>();
    if (::mkfifo(s->name.c_str(), 0600) != 0)
        throw std::runtime_error("mkfifo");
    const auto use = [s](int fd) {
        const descriptor mine(fd);
        EXPECT_TRUE(support::eventually([&] { return s->other >= 0; })); // the other thread is about to return
        support::put(s->other, 'q');
        EXPECT_EQ(support::get(mine), 'q');
        s->end();
    };
    return {[=] { use(AT(blocking::open(s->name.c_str(), O_RDONLY | O_CLOEXEC))); },
            [=](std::error_code& ec) { use(AT(blocking::open(s->name.c_str(), O_RDONLY | O_CLOEXEC, 0, ec))); },
            [=] { s->other = ::open(s->name.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC); }};
}

scene read_pipe()
{
    auto p = std::make_shared<pipe_pair>();
    return read_scene(p, p->writer, [fd = int(p->reader)](std::error_code* ec) {
        char got[9] = "";
        const auto n = ec ? AT(blocking::read(fd, got, 8, *ec)) : AT(blocking::read(fd, got, 8));
        EXPECT_EQ(n, 8);
        EXPECT_STREQ(got, letters);
    });
}

scene readv_pipe()
{
    auto p = std::make_shared<pipe_pair>();
    return read_scene(p, p->writer, [fd = int(p->reader)](std::error_code* ec) {
        char a[4] = "";
        char b[7] = "";
        const iovec parts[] = {{a, 3}, {b, 6}};
        const auto n = ec ? AT(blocking::readv(fd, parts, 2, *ec)) : AT(blocking::readv(fd, parts, 2));
        EXPECT_EQ(n, 8);
        EXPECT_EQ(std::string(a) + b, letters);
    });
}

scene generic_call()
{
    auto p = std::make_shared<pipe_pair>();
    return read_scene(p, p->writer, [fd = int(p->reader)](std::error_code* ec) {
        char got[9] = "";
        const auto n = ec ? AT(blocking::call(*ec, SYS_read, fd, got, 8)) : AT(blocking::call(SYS_read, fd, got, 8));
        EXPECT_EQ(n, 8);
        EXPECT_STREQ(got, letters);
    });
}

template <int Type>
scene recv_socket()
{
    auto p = std::make_shared<std::array<descriptor, 2>>(socket_pair(Type));
    return read_scene(p, (*p)[1], [fd = int((*p)[0])](std::error_code* ec) {
        char got[9] = "";
        const auto n = ec ? AT(blocking::recv(fd, got, 8, 0, *ec)) : AT(blocking::recv(fd, got, 8, 0));
        EXPECT_EQ(n, 8);
        EXPECT_STREQ(got, letters);
    });
}

scene recvmsg_socket()
{
    auto p = std::make_shared<std::array<descriptor, 2>>(socket_pair(SOCK_STREAM));
    return read_scene(p, (*p)[1], [fd = int((*p)[0])](std::error_code* ec) {
        char got[9] = "";
        iovec part{got, 8};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const auto n = ec ? AT(blocking::recvmsg(fd, &message, 0, *ec)) : AT(blocking::recvmsg(fd, &message, 0));
        EXPECT_EQ(n, 8);
        EXPECT_STREQ(got, letters);
    });
}

scene recvfrom_socket()
{
    struct state {
        descriptor receiver{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
        descriptor sender{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
        unix_address to{receiver};
        unix_address from{sender};
    };
    auto s = std::make_shared<state>();
    if (::connect(s->sender, s->to.get(), s->to.size) != 0)
        throw std::runtime_error("connect");
    return read_scene(s, s->sender, [s](std::error_code* ec) {
        char got[9] = "";
        sockaddr_un from{};
        socklen_t size = sizeof from;
        auto* const name = reinterpret_cast<sockaddr*>(&from);
        const int fd = s->receiver;
        const auto n = ec ? AT(blocking::recvfrom(fd, got, 8, 0, name, &size, *ec))
                          : AT(blocking::recvfrom(fd, got, 8, 0, name, &size));
        EXPECT_EQ(n, 8);
        EXPECT_STREQ(got, letters);
        EXPECT_EQ(size, s->from.size);
        EXPECT_EQ(std::memcmp(&from, &s->from.name, size), 0);
    });
}

// Writes one byte where there is no room, and finds it last after the filling.
template <class Write>
scene write_pipe_scene(Write write)
{
    auto p = std::make_shared<pipe_pair>();
    fill_pipe(p->writer);
    const auto check = [p](ssize_t n) {
        EXPECT_EQ(n, 8);
        char got[9] = "";
        EXPECT_EQ(::read(p->reader, got, 8), 8);
        EXPECT_STREQ(got, letters);
        fill_pipe(p->writer);
    };
    return {[=] { check(write(int(p->writer), nullptr)); },
            [=](std::error_code& ec) { check(write(int(p->writer), &ec)); }, [p] { drain_pipe(p->reader); }};
}

scene write_pipe()
{
    return write_pipe_scene([](int fd, std::error_code* ec) {
        return ec ? AT(blocking::write(fd, letters, 8, *ec)) : AT(blocking::write(fd, letters, 8));
    });
}

scene writev_pipe()
{
    return write_pipe_scene([](int fd, std::error_code* ec) {
        char text[9];
        std::memcpy(text, letters, 9);
        const iovec parts[] = {{text, 3}, {text + 3, 5}};
        return ec ? AT(blocking::writev(fd, parts, 2, *ec)) : AT(blocking::writev(fd, parts, 2));
    });
}

// Sends one datagram where there is no room.
template <class Send>
scene send_scene(Send send)
{
    auto p = std::make_shared<std::array<descriptor, 2>>(socket_pair(SOCK_DGRAM));
    fill_socket((*p)[0]);
    const auto check = [p](ssize_t n) {
        EXPECT_EQ(n, 8);
        EXPECT_EQ(last_datagram((*p)[1]), letters);
        fill_socket((*p)[0]);
    };
    return {[=] { check(send(int((*p)[0]), nullptr)); }, [=](std::error_code& ec) { check(send(int((*p)[0]), &ec)); },
            [p] { drain_socket((*p)[1]); }};
}

scene send_socket()
{
    return send_scene([](int fd, std::error_code* ec) {
        return ec ? AT(blocking::send(fd, letters, 8, 0, *ec)) : AT(blocking::send(fd, letters, 8, 0));
    });
}

scene sendmsg_socket()
{
    return send_scene([](int fd, std::error_code* ec) {
        char text[9];
        std::memcpy(text, letters, 9);
        iovec part{text, 8};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        return ec ? AT(blocking::sendmsg(fd, &message, 0, *ec)) : AT(blocking::sendmsg(fd, &message, 0));
    });
}

scene sendto_socket()
{
    struct state {
        descriptor receiver{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
        descriptor sender{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
        unix_address to{receiver};
        void fill()
        {
            while (::sendto(sender, "f", 1, MSG_DONTWAIT, to.get(), to.size) == 1) {
            }
        }
    };
    auto s = std::make_shared<state>();
    s->fill();
    const auto send = [s](std::error_code* ec) {
        const int fd = s->sender;
        auto* const to = s->to.get();
        const auto n = ec ? AT(blocking::sendto(fd, letters, 8, 0, to, s->to.size, *ec))
                          : AT(blocking::sendto(fd, letters, 8, 0, to, s->to.size));
        EXPECT_EQ(n, 8);
        EXPECT_EQ(last_datagram(s->receiver), letters);
        s->fill();
    };
    return {[send] { send(nullptr); }, [send](std::error_code& ec) { send(&ec); }, [s] { drain_socket(s->receiver); }};
}

struct listener {
    descriptor fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    unix_address name{fd};
    std::vector<descriptor> others;
    std::mutex guard;
    explicit listener(int backlog)
    {
        if (::listen(fd, backlog) != 0)
            throw std::runtime_error("listen");
    }
    // Connects without waiting; false when there is no room.
    bool add_client()
    {
        const std::lock_guard hold(guard);
        descriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const bool connected = ::connect(client, name.get(), name.size) == 0;
        if (connected) {
            ::send(client, "x", 1, MSG_NOSIGNAL); // it may have been accepted and closed already
            others.push_back(std::move(client));
        }
        return connected;
    }
    void take_client()
    {
        const std::lock_guard hold(guard);
        others.emplace_back(::accept(fd, nullptr, nullptr));
    }
};

scene accept_socket()
{
    auto s = std::make_shared<listener>(5);
    const auto accept = [s](std::error_code* ec) {
        sockaddr_un from{};
        socklen_t size = sizeof from;
        auto* const name = reinterpret_cast<sockaddr*>(&from);
        const int fd = s->fd;
        const descriptor got(ec ? AT(blocking::accept(fd, name, &size, *ec)) : AT(blocking::accept(fd, name, &size)));
        EXPECT_EQ(from.sun_family, AF_UNIX);
        EXPECT_EQ(size, sizeof(sa_family_t)); // the client has no name
        EXPECT_EQ(::fcntl(got, F_GETFD) & FD_CLOEXEC, 0);
        EXPECT_EQ(support::get(got), 'x');
    };
    return {[=] { accept(nullptr); }, [=](std::error_code& ec) { accept(&ec); }, [s] { s->add_client(); }};
}

scene accept4_socket()
{
    auto s = std::make_shared<listener>(5);
    const auto accept = [s](std::error_code* ec) {
        const int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
        const int fd = s->fd;
        const descriptor got(ec ? AT(blocking::accept4(fd, nullptr, nullptr, flags, *ec))
                                : AT(blocking::accept4(fd, nullptr, nullptr, flags)));
        EXPECT_EQ(::fcntl(got, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        EXPECT_NE(::fcntl(got, F_GETFL) & O_NONBLOCK, 0);
    };
    return {[=] { accept(nullptr); }, [=](std::error_code& ec) { accept(&ec); }, [s] { s->add_client(); }};
}

// A local listener whose queue is full: the connection waits for room.
scene connect_socket()
{
    auto s = std::make_shared<listener>(0);
    while (s->add_client()) {
    }
    const auto connect = [s](std::error_code* ec) {
        const descriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (ec)
            AT(blocking::connect(client, s->name.get(), s->name.size, *ec));
        else
            AT(blocking::connect(client, s->name.get(), s->name.size));
        sockaddr_un peer{};
        socklen_t size = sizeof peer;
        EXPECT_EQ(::getpeername(client, reinterpret_cast<sockaddr*>(&peer), &size), 0);
        // One connection, not several: whoever else waits is one of those that filled the queue.
        while (s->add_client()) {
        }
    };
    return {[=] { connect(nullptr); }, [=](std::error_code& ec) { connect(&ec); }, [s] { s->take_client(); }};
}

template <class Wait>
scene readiness_scene(Wait wait)
{
    struct state {
        pipe_pair pipe;
        pipe_pair idle;
        descriptor set{::epoll_create1(EPOLL_CLOEXEC)};
    };
    auto s = std::make_shared<state>();
    for (const int fd : {int(s->pipe.reader), int(s->idle.reader)}) {
        epoll_event interest{EPOLLIN, {.fd = fd}};
        ::epoll_ctl(s->set, EPOLL_CTL_ADD, fd, &interest);
    }
    const auto run = [=](std::error_code* ec) {
        wait(*s, ec);
        support::get(s->pipe.reader);
    };
    return {[=] { run(nullptr); }, [=](std::error_code& ec) { run(&ec); }, [s] { support::put(s->pipe.writer); }};
}

template <int Timeout>
scene poll_fd()
{
    return readiness_scene([](auto& s, std::error_code* ec) {
        pollfd fds[] = {{s.idle.reader, POLLIN, -1}, {s.pipe.reader, POLLIN, -1}};
        const int n = ec ? AT(blocking::poll(fds, 2, Timeout, *ec)) : AT(blocking::poll(fds, 2, Timeout));
        EXPECT_EQ(n, 1);
        EXPECT_EQ(fds[0].revents, 0);
        EXPECT_EQ(fds[1].revents, POLLIN);
    });
}

template <int Timeout>
scene ppoll_fd()
{
    return readiness_scene([](auto& s, std::error_code* ec) {
        pollfd fds[] = {{s.idle.reader, POLLIN, -1}, {s.pipe.reader, POLLIN, -1}};
        const timespec limit{Timeout, 0};
        const timespec* const t = Timeout < 0 ? nullptr : &limit;
        const int n = ec ? AT(blocking::ppoll(fds, 2, t, nullptr, *ec)) : AT(blocking::ppoll(fds, 2, t, nullptr));
        EXPECT_EQ(n, 1);
        EXPECT_EQ(fds[0].revents, 0);
        EXPECT_EQ(fds[1].revents, POLLIN);
    });
}

template <int Timeout>
scene select_fd()
{
    return readiness_scene([](auto& s, std::error_code* ec) {
        const int idle = s.idle.reader;
        const int in = s.pipe.reader;
        const int top = std::max(idle, in) + 1;
        fd_set set;
        FD_ZERO(&set);
        FD_SET(idle, &set);
        FD_SET(in, &set);
        const timeval limit{Timeout, 0};
        const timeval* const t = Timeout < 0 ? nullptr : &limit;
        const int n = ec ? AT(blocking::select(top, &set, nullptr, nullptr, t, *ec))
                         : AT(blocking::select(top, &set, nullptr, nullptr, t));
        EXPECT_EQ(n, 1);
        EXPECT_TRUE(FD_ISSET(in, &set));
        EXPECT_FALSE(FD_ISSET(idle, &set));
        EXPECT_EQ(limit.tv_sec, Timeout);
    });
}

template <int Timeout>
scene epoll_fd()
{
    return readiness_scene([](auto& s, std::error_code* ec) {
        epoll_event found[4] = {};
        const int n = ec ? AT(blocking::epoll_wait(s.set, found, 4, Timeout, *ec))
                         : AT(blocking::epoll_wait(s.set, found, 4, Timeout));
        EXPECT_EQ(n, 1);
        EXPECT_EQ(found[0].data.fd, int(s.pipe.reader));
    });
}

// Children that end one by one, each when its pipe is closed.
struct family {
    std::array<pipe_pair, 3> ends;
    std::array<std::unique_ptr<support::child>, 3> children;
    std::atomic<std::size_t> next = 0;
    family()
    {
        for (std::size_t i = 0; i < ends.size(); ++i) {
            children[i] = std::make_unique<support::child>([this, i] {
                for (auto& each : ends)
                    each.writer.reset();
                support::get(ends[i].reader);
                ::_exit(3);
            });
        }
    }
    void release() { ends[next].writer.reset(); }
};

scene waitpid_child()
{
    auto s = std::make_shared<family>();
    const auto wait = [s](std::error_code* ec) {
        auto& mine = *s->children[s->next];
        const pid_t pid = mine.pid();
        int status = 0;
        const pid_t got = ec ? AT(blocking::waitpid(pid, &status, 0, *ec)) : AT(blocking::waitpid(pid, &status, 0));
        EXPECT_EQ(got, pid);
        EXPECT_TRUE(support::exited_with(status, 3));
        mine.forget();
        ++s->next;
    };
    return {[=] { wait(nullptr); }, [=](std::error_code& ec) { wait(&ec); }, [s] { s->release(); }};
}

scene waitid_child()
{
    auto s = std::make_shared<family>();
    const auto wait = [s](std::error_code* ec) {
        auto& mine = *s->children[s->next];
        const auto id = static_cast<id_t>(mine.pid());
        siginfo_t info{};
        if (ec)
            AT(blocking::waitid(P_PID, id, &info, WEXITED, *ec));
        else
            AT(blocking::waitid(P_PID, id, &info, WEXITED));
        EXPECT_EQ(info.si_pid, mine.pid());
        EXPECT_EQ(info.si_status, 3);
        mine.forget();
        ++s->next;
    };
    return {[=] { wait(nullptr); }, [=](std::error_code& ec) { wait(&ec); }, [s] { s->release(); }};
}

struct two_files {
    support::scratch place;
    descriptor mine{::open(place.file().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    descriptor other{::open(place.file().c_str(), O_RDWR | O_CLOEXEC)};
};

scene flock_file()
{
    auto s = std::make_shared<two_files>();
    ::flock(s->other, LOCK_EX);
    const auto lock = [s](std::error_code* ec) {
        if (ec)
            AT(blocking::flock(s->mine, LOCK_EX, *ec));
        else
            AT(blocking::flock(s->mine, LOCK_EX));
        EXPECT_EQ(::flock(s->other, LOCK_EX | LOCK_NB), -1);
        ::flock(s->mine, LOCK_UN);
        ::flock(s->other, LOCK_EX);
    };
    return {[=] { lock(nullptr); }, [=](std::error_code& ec) { lock(&ec); }, [s] { ::flock(s->other, LOCK_UN); }};
}

struct ::flock whole_file(short type)
{
    struct ::flock lock = {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    return lock;
}

scene lock_of_open_file()
{
    auto s = std::make_shared<two_files>();
    const auto set_other = [s](short type) {
        auto lock = whole_file(type);
        return ::fcntl(s->other, F_OFD_SETLK, &lock);
    };
    set_other(F_WRLCK);
    const auto lock = [=](std::error_code* ec) {
        auto want = whole_file(F_WRLCK);
        if (ec)
            AT(blocking::fcntl_lock(s->mine, F_OFD_SETLKW, &want, *ec));
        else
            AT(blocking::fcntl_lock(s->mine, F_OFD_SETLKW, &want));
        EXPECT_EQ(set_other(F_WRLCK), -1);
        auto undo = whole_file(F_UNLCK);
        ::fcntl(s->mine, F_OFD_SETLK, &undo);
        set_other(F_WRLCK);
    };
    return {[=] { lock(nullptr); }, [=](std::error_code& ec) { lock(&ec); }, [=] { set_other(F_UNLCK); }};
}

// Record locks belong to a process: a child holds this one, and gives it up when told.
scene lock_of_process()
{
    struct state {
        two_files files;
        pipe_pair held;
        pipe_pair end;
        std::unique_ptr<support::child> holder;
    };
    auto s = std::make_shared<state>();
    s->holder = std::make_unique<support::child>([s] {
        auto lock = whole_file(F_WRLCK);
        while (true) {
            ::fcntl(s->files.mine, F_SETLKW, &lock);
            support::put(s->held.writer);
            if (support::get(s->end.reader) == '\0')
                ::_exit(0);
            auto undo = whole_file(F_UNLCK);
            ::fcntl(s->files.mine, F_SETLK, &undo);
            support::put(s->held.writer);
            support::get(s->end.reader);
        }
    });
    support::get(s->held.reader);
    const auto lock = [s](std::error_code* ec) {
        auto want = whole_file(F_WRLCK);
        if (ec)
            AT(blocking::fcntl_lock(s->files.mine, F_SETLKW, &want, *ec));
        else
            AT(blocking::fcntl_lock(s->files.mine, F_SETLKW, &want));
        // The child holds it again before the next one.
        auto undo = whole_file(F_UNLCK);
        ::fcntl(s->files.mine, F_SETLK, &undo);
        support::get(s->held.reader);
        support::put(s->end.writer);
        support::get(s->held.reader);
    };
    return {[=] { lock(nullptr); }, [=](std::error_code& ec) { lock(&ec); }, [s] { support::put(s->end.writer); }};
}

struct message_queue {
    std::string name = "/tocsin_test." + std::to_string(::getpid());
    mqd_t fd;
    message_queue()
    {
        mq_attr attributes{};
        attributes.mq_maxmsg = 2;
        attributes.mq_msgsize = 8;
        fd = ::mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
        if (fd == -1)
            throw std::runtime_error("mq_open: errno " + std::to_string(errno));
        ::mq_unlink(name.c_str());
    }
    message_queue(const message_queue&) = delete;
    message_queue& operator=(const message_queue&) = delete;
    ~message_queue() { ::mq_close(fd); }
};

scene receive_message()
{
    auto s = std::make_shared<message_queue>();
    const auto receive = [s](std::error_code* ec) {
        char got[9] = "";
        unsigned priority = 0;
        const auto n = ec ? AT(blocking::mq_receive(s->fd, got, 8, &priority, *ec))
                          : AT(blocking::mq_receive(s->fd, got, 8, &priority));
        EXPECT_EQ(n, 8);
        EXPECT_STREQ(got, letters);
        EXPECT_EQ(priority, 5U);
    };
    return {[=] { receive(nullptr); }, [=](std::error_code& ec) { receive(&ec); },
            [s] { ::mq_send(s->fd, letters, 8, 5); }};
}

scene send_message()
{
    auto s = std::make_shared<message_queue>();
    const auto fill = [s] {
        ::mq_send(s->fd, "f", 1, 9);
        ::mq_send(s->fd, "f", 1, 9);
    };
    fill();
    const auto send = [=](std::error_code* ec) {
        if (ec)
            AT(blocking::mq_send(s->fd, letters, 8, 3, *ec));
        else
            AT(blocking::mq_send(s->fd, letters, 8, 3));
        char got[9] = "";
        unsigned priority = 0;
        ::mq_receive(s->fd, got, 8, nullptr); // the other filling
        EXPECT_EQ(::mq_receive(s->fd, got, 8, &priority), 8);
        EXPECT_STREQ(got, letters);
        EXPECT_EQ(priority, 3U);
        fill();
    };
    return {[=] { send(nullptr); }, [=](std::error_code& ec) { send(&ec); },
            [s] {
                char got[8];
                ::mq_receive(s->fd, got, 8, nullptr);
            }};
}

template <int Timeout>
scene futex_word()
{
    auto word = std::make_shared<std::atomic<std::uint32_t>>(7);
    const auto wait = [word](std::error_code* ec) {
        const auto* const raw = reinterpret_cast<const std::uint32_t*>(word.get());
        const std::optional<tocsin::seconds> limit =
            Timeout < 0 ? std::optional<tocsin::seconds>() : tocsin::seconds(Timeout);
        while (*word == 7) {
            const bool woken =
                ec ? AT(blocking::futex_wait(raw, 7, limit, *ec)) : AT(blocking::futex_wait(raw, 7, limit));
            EXPECT_TRUE(woken);
        }
        *word = 7;
    };
    return {[=] { wait(nullptr); }, [=](std::error_code& ec) { wait(&ec); },
            [word] {
                *word = 8;
                ::syscall(SYS_futex, word.get(), FUTEX_WAKE, 1, nullptr, nullptr, 0);
            }};
}

scene timer_descriptor()
{
    auto timer = std::make_shared<tocsin::timer_fd>();
    const auto read = [timer](std::error_code* ec) {
        EXPECT_EQ(ec ? AT(timer->read(*ec)) : AT(timer->read()), 1U);
        timer->disarm();
    };
    return {[=] { read(nullptr); }, [=](std::error_code& ec) { read(&ec); }, [=] { timer->settime(1ns); }};
}

// Sleeps end by themselves.
template <class Sleep>
scene sleep_scene(Sleep sleep)
{
    const auto run = [sleep](std::error_code* ec) {
        const auto start = steady_clock::now();
        sleep(ec);
        EXPECT_GE(support::elapsed_since(start), 60ms);
    };
    return {[=] { run(nullptr); }, [=](std::error_code& ec) { run(&ec); }, [] {}, true};
}

scene sleep_nanosleep()
{
    return sleep_scene([](std::error_code* ec) {
        const timespec time{0, 60'000'000};
        timespec left{1, 1};
        if (ec)
            AT(blocking::nanosleep(&time, &left, *ec));
        else
            AT(blocking::nanosleep(&time, &left));
        EXPECT_EQ(left.tv_sec, 0);
        EXPECT_EQ(left.tv_nsec, 0);
    });
}

scene sleep_for()
{
    return sleep_scene([](std::error_code* ec) {
        AT(blocking::sleep_for(60ms));
        if (ec)
            ec->clear();
    });
}

template <class Clock>
scene sleep_until()
{
    return sleep_scene([](std::error_code* ec) {
        AT(blocking::sleep_until(Clock::now() + 60ms));
        if (ec)
            ec->clear();
    });
}

struct other_clock {
    using duration = std::chrono::microseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<other_clock>;
    [[maybe_unused]] static constexpr bool is_steady = true;
    static time_point now()
    {
        return time_point(std::chrono::duration_cast<duration>(steady_clock::now().time_since_epoch()));
    }
};

struct trial {
    const char* name;
    scene (*make)();
};
void PrintTo(const trial& t, std::ostream* out) { *out << t.name; }

const trial trials[] = {
    {"open", open_scene},
    {"read", read_pipe},
    {"readv", readv_pipe},
    {"write", write_pipe},
    {"writev", writev_pipe},
    {"recv_stream", recv_socket<SOCK_STREAM>},
    {"recv_datagram", recv_socket<SOCK_DGRAM>},
    {"recv_packet", recv_socket<SOCK_SEQPACKET>},
    {"recvfrom", recvfrom_socket},
    {"recvmsg", recvmsg_socket},
    {"send", send_socket},
    {"sendto", sendto_socket},
    {"sendmsg", sendmsg_socket},
    {"accept", accept_socket},
    {"accept4", accept4_socket},
    {"connect_local", connect_socket},
    {"poll_for_ever", poll_fd<-1>},
    {"poll_a_minute", poll_fd<60'000>},
    {"ppoll_for_ever", ppoll_fd<-1>},
    {"ppoll_a_minute", ppoll_fd<60>},
    {"select_for_ever", select_fd<-1>},
    {"select_a_minute", select_fd<60>},
    {"epoll_wait_for_ever", epoll_fd<-1>},
    {"epoll_wait_a_minute", epoll_fd<60'000>},
    {"waitpid", waitpid_child},
    {"waitid", waitid_child},
    {"flock", flock_file},
    {"fcntl_lock_open_file", lock_of_open_file},
    {"fcntl_lock_process", lock_of_process},
    {"mq_receive", receive_message},
    {"mq_send", send_message},
    {"futex_wait_for_ever", futex_word<-1>},
    {"futex_wait_a_minute", futex_word<60>},
    {"timer_fd_read", timer_descriptor},
    {"nanosleep", sleep_nanosleep},
    {"sleep_for", sleep_for},
    {"sleep_until_steady", sleep_until<steady_clock>},
    {"sleep_until_system", sleep_until<std::chrono::system_clock>},
    {"sleep_until_other_clock", sleep_until<other_clock>},
    {"call", generic_call},
};

class G15_calls : public testing::TestWithParam<trial> {
protected:
    scene make()
    {
        try {
            return GetParam().make();
        } catch (const std::runtime_error& e) {
            if (std::string(e.what()).find("mq_open") != std::string::npos)
                skip_ = e.what();
            else
                throw;
        }
        return {};
    }
    bool skipped() const { return !skip_.empty(); }
    std::string skip_;
};

#define MAKE_SCENE(name)                                                                                               \
    const scene name = make();                                                                                         \
    if (skipped())                                                                                                     \
    GTEST_SKIP() << skip_

TEST_P(G15_calls, goes_on_after_each_of_many_handlers)
{
    MAKE_SCENE(it);
    std::vector<std::uint_least32_t> lines;
    bool inside = false;
    const storm interrupts([&](const tocsin::event& e) {
        if (!inside || lines.size() >= 10)
            return;
        lines.push_back(e.where.line());
        if (lines.size() == 10)
            it.release();
    });
    inside = true;
    do
        it.call();
    while (it.ends_by_itself && lines.size() < 10);
    inside = false;
    EXPECT_EQ(lines.size(), 10U);
    for (const auto line : lines)
        EXPECT_EQ(line, call_line);
    lines.clear();
    std::error_code ec(EPERM, std::generic_category());
    inside = true;
    do
        it.call_ec(ec);
    while (it.ends_by_itself && lines.size() < 10);
    inside = false;
    EXPECT_FALSE(ec) << ec.message();
    EXPECT_EQ(lines.size(), 10U);
    for (const auto line : lines)
        EXPECT_EQ(line, call_line);
}

TEST_P(G15_calls, lets_out_what_a_handler_throws_and_can_be_made_again)
{
    MAKE_SCENE(it);
    bool inside = false;
    {
        int ticks = 0;
        const storm interrupts([&](const tocsin::event&) {
            if (inside && ++ticks % 3 == 0)
                throw support::stop();
        });
        std::error_code ec;
        for (int i = 0; i < 3; ++i) {
            inside = true;
            EXPECT_THROW(do it.call(); while (it.ends_by_itself), support::stop);
            EXPECT_THROW(do it.call_ec(ec); while (it.ends_by_itself), support::stop);
            inside = false;
        }
    }
    it.release();
    it.call();
}

TEST_P(G15_calls, is_a_safe_point_before_it_waits)
{
    MAKE_SCENE(it);
    int calls = 0;
    std::uint_least32_t line = 0;
    support::make_due(SIGUSR1, [&](const tocsin::event& e) {
        ++calls;
        line = e.where.line();
        it.release();
    });
    it.call();
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(line, call_line);
    support::make_due(SIGUSR1, [] { throw support::stop(); });
    EXPECT_THROW(it.call(), support::stop);
    support::make_due(SIGUSR1, [] { throw support::stop(); });
    std::error_code ec;
    EXPECT_THROW(it.call_ec(ec), support::stop);
    it.release();
    it.call_ec(ec);
}

TEST_P(G15_calls, on_another_thread_just_goes_on)
{
    MAKE_SCENE(it);
    std::atomic<bool> done = false;
    std::thread worker([&] {
        try {
            it.call();
        } catch (...) {
            ADD_FAILURE() << "threw";
        }
        done = true;
    });
    {
        const tocsin::mask_guard not_here({SIGALRM}); // the kernel hands it to the other thread
        int ticks = 0;
        const auto here = std::this_thread::get_id();
        const storm interrupts([&](const tocsin::event&) {
            EXPECT_EQ(std::this_thread::get_id(), here);
            ++ticks;
        });
        EXPECT_TRUE(support::eventually([&] {
            tocsin::check_signals();
            return ticks >= 10 || done;
        }));
        it.release();
        EXPECT_TRUE(support::eventually([&] {
            tocsin::check_signals();
            return done.load();
        }));
    }
    worker.join();
}

TEST_P(G15_calls, under_deferral_goes_on_without_handlers)
{
    MAKE_SCENE(it);
    int calls = 0;
    {
        tocsin::defer_signals later;
        tocsin::signal(SIGALRM, [&] { ++calls; });
        tocsin::setitimer(tocsin::itimer::real, support::storm_interval, support::storm_interval);
        it.release();
        it.call();
        tocsin::setitimer(tocsin::itimer::real, 0);
        EXPECT_EQ(calls, 0);
    }
    tocsin::check_signals();
    EXPECT_LE(calls, 1);
}

INSTANTIATE_TEST_SUITE_P(every_call, G15_calls, testing::ValuesIn(trials),
                         [](const auto& each) { return std::string(each.param.name); });

} // namespace
