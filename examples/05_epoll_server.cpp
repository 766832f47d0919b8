// One loop, one thread: a TCP server and three timers, waited for with epoll.
//
// A timer descriptor is a descriptor like any other, so the loop that waits for clients can wait for timers too. Three
// timers tick every 0.25, 0.5 and 0.75 s, set in exact nanoseconds. A client that sends `stop` ends the server:
//
//     ./05_epoll_server 1234 &  echo stop | nc -q 1 127.0.0.1 1234
//
// SIGTERM and Ctrl-C end it as well. Their handlers throw, and here that is safe: the exception can come only out of
// the calls of tocsin::blocking, at places the program chose, and whatever is open is closed by its owner.
//
// Mirrors the epoll program of Python's timer file descriptor HOWTO. The same with select: 06_select_server.cpp.
// Exit status: 0 stopped by a client or SIGTERM, 1 error, 2 wrong arguments; death by SIGINT after Ctrl-C.

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <exception>
#include <iostream>
#include <map>
#include <optional>
#include <utility>

#include <tocsin/tocsin.hpp>

#include "command_server.hpp"
#include "descriptor.hpp"

namespace {

struct terminated {}; // thrown by the handler of SIGTERM

class server {
public:
    explicit server(std::uint16_t port)
        : listener_(example::listen_on_loopback(port))
    {
        watch(listener_.get());
        for (std::size_t i = 0; i < timers_.size(); ++i) {
            const auto period = std::chrono::milliseconds(250) * (i + 1);
            timers_[i].settime_ns(period, period);
            watch(timers_[i].native_handle());
        }
        std::cout << "Listening on 127.0.0.1:" << example::port_of(listener_) << std::endl;
    }

    void run()
    {
        while (!stopped_) {
            std::array<epoll_event, 16> events{};
            const int count =
                tocsin::blocking::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < count; ++i)
                ready(events[static_cast<std::size_t>(i)].data.fd);
        }
    }

private:
    static constexpr std::size_t most_clients = 100;

    void watch(int fd)
    {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        example::check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }

    void ready(int fd)
    {
        if (fd == listener_.get())
            accept();
        else if (const auto client = clients_.find(fd); client != clients_.end())
            receive(client);
        else
            tick(fd);
    }

    void accept()
    {
        auto client = example::accept_client(listener_);
        if (!client || clients_.size() == most_clients)
            return; // one too many is closed at once
        const int fd = client->native_handle();
        watch(fd);
        clients_.emplace(fd, std::move(*client));
        std::cout << "Client connected" << std::endl;
    }

    void receive(std::map<int, example::command_connection>::iterator client)
    {
        switch (client->second.receive()) {
        case example::command_connection::outcome::goes_on:
            break;
        case example::command_connection::outcome::closed:
            clients_.erase(client); // closing a descriptor takes it out of the epoll set
            std::cout << "Client disconnected" << std::endl;
            break;
        case example::command_connection::outcome::stop:
            std::cout << "Stopping: a client asked for it" << std::endl;
            stopped_ = true;
            break;
        }
    }

    void tick(int fd)
    {
        for (std::size_t i = 0; i < timers_.size(); ++i) {
            if (timers_[i].native_handle() == fd)
                std::cout << "Timer " << i + 1 << " expired (" << timers_[i].try_read().expirations << ")" << std::endl;
        }
    }

    static tocsin::timer_fd new_timer() { return tocsin::timer_fd(CLOCK_MONOTONIC, tocsin::timer_fd::nonblock); }

    example::descriptor epoll_{example::check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")};
    example::descriptor listener_;
    std::array<tocsin::timer_fd, 3> timers_{new_timer(), new_timer(), new_timer()};
    std::map<int, example::command_connection> clients_;
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
        std::cerr << "usage: 05_epoll_server [PORT]\n"
                     "Listens on PORT of 127.0.0.1 (default 1234; 0: any that is free) until a client sends `stop`.\n";
        return 2;
    }
    try {
        return tocsin::run_main([&] { run(*port); });
    } catch (const std::exception& error) {
        std::cerr << "05_epoll_server: " << error.what() << '\n';
        return 1;
    }
}
