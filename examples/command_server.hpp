#pragma once

// The part of a TCP server that is the same whatever it waits with: listening, accepting, and reading commands, one in
// each line. Used by 05_epoll_server.cpp and 06_select_server.cpp.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <tocsin/blocking.hpp>

#include "descriptor.hpp"

namespace example {

/// Listens on `port` of 127.0.0.1; 0 takes any that is free. Does not block.
inline descriptor listen_on_loopback(std::uint16_t port)
{
    descriptor listener(check(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
    const int yes = 1;
    check(::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "setsockopt");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    check(::listen(listener.get(), SOMAXCONN), "listen");
    return listener;
}

[[nodiscard]] inline int port_of(const descriptor& socket)
{
    sockaddr_in address{};
    socklen_t size = sizeof address;
    check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    return ntohs(address.sin_port);
}

/// A client that sends commands. TCP knows no lines: one may come in pieces, several may come at once.
class command_connection {
public:
    enum class outcome { goes_on, closed, stop };

    explicit command_connection(descriptor socket) noexcept
        : socket_(std::move(socket))
    {}
    [[nodiscard]] int native_handle() const noexcept { return socket_.get(); }

    /// Reads what has come, once, and carries it out.
    outcome receive()
    {
        char buffer[1024];
        std::error_code error;
        const ssize_t size = tocsin::blocking::recv(socket_.get(), buffer, sizeof buffer, 0, error);
        if (error == std::errc::operation_would_block)
            return outcome::goes_on;
        if (error || size == 0)
            return outcome::closed;
        received_.append(buffer, static_cast<std::size_t>(size));

        for (;;) {
            if (received_.starts_with("stop"))
                return outcome::stop;
            const auto end = received_.find('\n');
            if (end == std::string::npos)
                return received_.size() > longest_line ? outcome::closed : outcome::goes_on;
            std::cout << "Unknown command, " << end << " bytes" << std::endl;
            received_.erase(0, end + 1);
        }
    }

private:
    static constexpr std::size_t longest_line = 4096;

    descriptor socket_;
    std::string received_;
};

/// The next client; empty when it has gone in the meantime.
[[nodiscard]] inline std::optional<command_connection> accept_client(const descriptor& listener)
{
    std::error_code error;
    descriptor client(tocsin::blocking::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC, error));
    if (error == std::errc::operation_would_block || error == std::errc::connection_aborted)
        return std::nullopt;
    if (error)
        throw std::system_error(error, "accept4");
    return command_connection(std::move(client));
}

} // namespace example
