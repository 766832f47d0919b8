// connect(2): an interrupted attempt is finished, never started twice.

#include <tocsin/tocsin.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <vector>

#include "storm.hpp"

using support::descriptor;
using support::errno_of;
using support::storm;
namespace blocking = tocsin::blocking;
using namespace std::chrono_literals;

namespace {

// A TCP listener on loopback whose queue is full: further attempts stay under way until there is room.
class full_listener {
public:
    full_listener()
    {
        name_.sin_family = AF_INET;
        name_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = size;
        if (::bind(fd_, name(), length) != 0 || ::listen(fd_, 0) != 0)
            throw std::runtime_error("listen");
        ::getsockname(fd_, name(), &length);
        while (add()) {
        }
    }
    sockaddr* name() { return reinterpret_cast<sockaddr*>(&name_); }
    static constexpr socklen_t size = sizeof(sockaddr_in);

    // Takes everyone out of the queue.
    void make_room()
    {
        pollfd ready{fd_, POLLIN, 0};
        while (::poll(&ready, 1, 0) == 1)
            accepted_.emplace_back(::accept(fd_, nullptr, nullptr));
    }
    void close() { fd_.reset(); }
    [[nodiscard]] int fd() const { return fd_; }

private:
    bool add()
    {
        descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        ::connect(client, name(), size);
        pollfd done{client, POLLOUT, 0};
        if (::poll(&done, 1, 300) != 1)
            return false; // given up, so that it takes no room later
        clients_.push_back(std::move(client));
        return true;
    }

    descriptor fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in name_{};
    std::vector<descriptor> clients_;
    std::vector<descriptor> accepted_;
};

bool is_connected(int fd)
{
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

TEST(G15, an_interrupted_connection_is_finished)
{
    full_listener listener;
    const descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int ticks = 0;
    std::uint_least32_t line = 0;
    const storm interrupts([&](const tocsin::event& e) {
        if (++ticks == 20) {
            line = e.where.line();
            EXPECT_FALSE(is_connected(client));
            listener.make_room();
        }
    });
    const auto here = static_cast<std::uint_least32_t>(__LINE__ + 1);
    blocking::connect(client, listener.name(), full_listener::size);
    EXPECT_TRUE(is_connected(client));
    EXPECT_GE(ticks, 20);
    EXPECT_EQ(line, here);
}

TEST(G15, an_interrupted_connection_that_is_refused_says_so)
{
    for (const bool throwing : {true, false}) {
        full_listener listener;
        const descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        int ticks = 0;
        const storm interrupts([&](const tocsin::event&) {
            if (++ticks == 20) {
                listener.make_room();
                listener.close();
            }
        });
        std::error_code ec;
        if (throwing)
            EXPECT_EQ(errno_of([&] { blocking::connect(client, listener.name(), full_listener::size); }), ECONNREFUSED);
        else
            blocking::connect(client, listener.name(), full_listener::size, ec);
        EXPECT_EQ(ec.value(), throwing ? 0 : ECONNREFUSED);
        EXPECT_FALSE(is_connected(client));
        EXPECT_GE(ticks, 20);
    }
}

TEST(G15, what_a_handler_throws_leaves_from_connect_and_the_attempt_goes_on)
{
    full_listener listener;
    const descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    {
        int ticks = 0;
        const storm interrupts([&](const tocsin::event&) {
            if (++ticks == 5)
                throw support::stop();
        });
        EXPECT_THROW(blocking::connect(client, listener.name(), full_listener::size), support::stop);
    }
    EXPECT_FALSE(is_connected(client));
    listener.make_room();
    pollfd done{client, POLLOUT, 0};
    EXPECT_EQ(blocking::poll(&done, 1, 30'000), 1);
    EXPECT_TRUE(is_connected(client));
}

TEST(G15, a_nonblocking_connection_is_begun_and_not_waited_for)
{
    full_listener listener;
    const descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const storm interrupts;
    EXPECT_EQ(errno_of([&] { blocking::connect(client, listener.name(), full_listener::size); }), EINPROGRESS);
    EXPECT_EQ(errno_of([&] { blocking::connect(client, listener.name(), full_listener::size); }), EALREADY);
}

TEST(G15, a_refused_connection_is_an_error_at_once)
{
    full_listener listener;
    listener.make_room();
    listener.close();
    const storm interrupts;
    for (int i = 0; i < 100; ++i) {
        const descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(errno_of([&] { blocking::connect(client, listener.name(), full_listener::size); }), ECONNREFUSED);
    }
}

TEST(G15, connections_that_succeed_at_once_do_so_under_a_storm)
{
    full_listener listener;
    listener.make_room();
    const storm interrupts;
    for (int i = 0; i < 200; ++i) {
        const descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        blocking::connect(client, listener.name(), full_listener::size);
        ASSERT_TRUE(is_connected(client));
        listener.make_room();
    }
}

TEST(G15, a_datagram_socket_connects_under_a_storm)
{
    full_listener listener;
    const descriptor client(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const storm interrupts;
    for (int i = 0; i < 200; ++i)
        blocking::connect(client, listener.name(), full_listener::size);
    EXPECT_TRUE(is_connected(client));
}

} // namespace
