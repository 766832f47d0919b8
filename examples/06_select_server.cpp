// One loop, one thread: a TCP server and three timers, waited for with select.
//
// The program of 05_epoll_server.cpp for the older call, with the timers set in seconds. select() takes its sets anew
// each time, and only descriptors below FD_SETSIZE (1024): a client beyond that must be turned away.
//
//     ./06_select_server 1234 &  echo stop | nc -q 1 127.0.0.1 1234
//
// Mirrors the select program of Python's timer file descriptor HOWTO.
// Exit status: 0 stopped by a client or SIGTERM, 1 error, 2 wrong arguments; death by SIGINT after Ctrl-C.

#include <sys/select.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <exception>
#include <iostream>
#include <list>
#include <optional>
#include <utility>

#include <tocsin/tocsin.hpp>

#include "command_server.hpp"
#include "descriptor.hpp"

namespace {

struct terminated {}; // thrown by the handler of SIGTERM

class readable_set {
public:
    readable_set() { FD_ZERO(&set_); }
    void add(int fd)
    {
        FD_SET(fd, &set_);
        end_ = std::max(end_, fd + 1);
    }
    void wait() { tocsin::blocking::select(end_, &set_, nullptr, nullptr, nullptr); }
    [[nodiscard]] bool contains(int fd) const { return FD_ISSET(fd, &set_); }

private:
    fd_set set_;
    int end_ = 0;
};

class server {
public:
    explicit server(std::uint16_t port)
        : listener_(example::listen_on_loopback(port))
    {
        for (std::size_t i = 0; i < timers_.size(); ++i) {
            const double period = 0.25 * static_cast<double>(i + 1);
            timers_[i].settime(period, period);
        }
        std::cout << "Listening on 127.0.0.1:" << example::port_of(listener_) << std::endl;
    }

    void run()
    {
        while (!stopped_) {
            readable_set readable;
            readable.add(listener_.get());
            for (const auto& timer : timers_)
                readable.add(timer.native_handle());
            for (const auto& client : clients_)
                readable.add(client.native_handle());

            readable.wait();

            tick(readable);
            receive(readable);
            if (readable.contains(listener_.get())) // last: a new client may get the number of one that has just gone
                accept();
        }
    }

private:
    static constexpr std::size_t most_clients = 100;

    void tick(const readable_set& readable)
    {
        for (std::size_t i = 0; i < timers_.size(); ++i) {
            if (readable.contains(timers_[i].native_handle()))
                std::cout << "Timer " << i + 1 << " expired (" << timers_[i].try_read().expirations << ")" << std::endl;
        }
    }

    void receive(const readable_set& readable)
    {
        clients_.remove_if([&](example::command_connection& client) {
            if (!readable.contains(client.native_handle()))
                return false;
            const auto outcome = client.receive();
            if (outcome == example::command_connection::outcome::stop) {
                std::cout << "Stopping: a client asked for it" << std::endl;
                stopped_ = true;
            } else if (outcome == example::command_connection::outcome::closed) {
                std::cout << "Client disconnected" << std::endl;
            }
            return outcome == example::command_connection::outcome::closed;
        });
    }

    void accept()
    {
        auto client = example::accept_client(listener_);
        if (!client || clients_.size() == most_clients || client->native_handle() >= FD_SETSIZE)
            return; // one too many is closed at once
        clients_.push_back(std::move(*client));
        std::cout << "Client connected" << std::endl;
    }

    static tocsin::timer_fd new_timer() { return tocsin::timer_fd(CLOCK_MONOTONIC, tocsin::timer_fd::nonblock); }

    example::descriptor listener_;
    std::array<tocsin::timer_fd, 3> timers_{new_timer(), new_timer(), new_timer()};
    std::list<example::command_connection> clients_;
    bool stopped_ = false;
};

void run(std::uint16_t port)
{
    tocsin::signal(SIGTERM, [] { throw terminated(); });
    try {
        server(port).run();
    } catch (const terminated&) {
        std::cout << "Stopping: SIGTERM" << std::endl;
    }
}

} // namespace

int main(int argc, char** argv)
{
    const std::optional<std::uint16_t> port =
        argc == 2 ? example::parse_number<std::uint16_t>(argv[1], 0, 65535) : std::uint16_t{1234};
    if (argc > 2 || !port) {
        std::cerr << "usage: 06_select_server [PORT]\n"
                     "Listens on PORT of 127.0.0.1 (default 1234; 0: any that is free) until a client sends `stop`.\n";
        return 2;
    }
    try {
        return tocsin::run_main([&] { run(*port); });
    } catch (const std::exception& error) {
        std::cerr << "06_select_server: " << error.what() << '\n';
        return 1;
    }
}
