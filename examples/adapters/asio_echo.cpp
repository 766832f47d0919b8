// A TCP server that sends back each line it gets, in coroutines of Asio's: SIGTERM and Ctrl-C stop it, SIGUSR1 asks how it is
// going.
//
// A signal is one more thing to co_await, and what it wakes up is an ordinary coroutine that knows who sent it. Stopping is
// orderly: no new clients, what has come is sent back, a timer limits how long a slow client can hold that up; then run()
// returns by itself, because nothing is left to wait for. The second Ctrl-C does not wait.
//
//     ./asio_echo 1234 &  nc 127.0.0.1 1234
//     kill -USR1 %1; kill %1
//
// Exit status: 0 stopped by a signal, 1 error, 2 wrong arguments.

#include <tocsin/adapters/asio.hpp>
#include <tocsin/tocsin.hpp>

#include <asio.hpp>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "../descriptor.hpp"

namespace {

using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;

// What goes wrong in a coroutine ends it, and nothing else: a client that hangs up, a wait that is cancelled.
class server {
public:
    server(asio::io_context& context, std::uint16_t port)
        : acceptor_(context, {asio::ip::address_v4::loopback(), port})
        , status_(context, {SIGUSR1})
        , stop_(context, {SIGINT, SIGTERM}, {.second_is_default = true})
        , patience_(context)
    {
        asio::co_spawn(context, accept(), asio::detached);
        asio::co_spawn(context, tell_status(), asio::detached);
        asio::co_spawn(context, stop(), asio::detached);
        std::cout << "Listening on 127.0.0.1:" << acceptor_.local_endpoint().port() << std::endl;
    }

private:
    static constexpr double patience = 2.0;

    awaitable<void> accept()
    {
        for (;;) {
            tcp::socket client = co_await acceptor_.async_accept(use_awaitable);
            const auto executor = client.get_executor();
            asio::co_spawn(executor, serve(std::move(client)), asio::detached);
        }
    }

    awaitable<void> serve(tcp::socket client)
    {
        clients_.insert(&client);
        try {
            std::string text;
            for (;;) {
                const std::size_t size =
                    co_await asio::async_read_until(client, asio::dynamic_buffer(text, 65536), '\n', use_awaitable);
                co_await asio::async_write(client, asio::buffer(text, size), use_awaitable);
                text.erase(0, size);
                ++lines_;
            }
        } catch (const std::exception&) { // the end of the file too
        }
        clients_.erase(&client);
        leave_when_done();
    }

    awaitable<void> tell_status()
    {
        for (;;) {
            const tocsin::event e = co_await status_.async_wait(use_awaitable);
            std::cout << clients_.size() << " clients, " << lines_ << " lines: " << tocsin::describe(e.info)
                      << std::endl;
        }
    }

    awaitable<void> stop()
    {
        const tocsin::event e = co_await stop_.async_wait(use_awaitable);
        std::cout << "Stopping, " << clients_.size() << " clients: " << tocsin::describe(e.info) << std::endl;
        acceptor_.close();
        status_.cancel();
        asio::error_code ignored;
        for (tcp::socket* const each : clients_) // what has come is still read
            each->shutdown(tcp::socket::shutdown_receive, ignored);
        patience_.fd().settime(patience);
        leave_when_done();
        if (!clients_.empty())
            co_await patience_.async_wait(use_awaitable);
        if (!clients_.empty())
            std::cout << "Not waiting any longer" << std::endl;
        for (tcp::socket* const each : clients_)
            each->close(ignored);
    }

    void leave_when_done()
    {
        if (clients_.empty() && !acceptor_.is_open())
            patience_.cancel();
    }

    tcp::acceptor acceptor_;
    tocsin::asio::signals status_;
    tocsin::asio::signals stop_;
    tocsin::asio::timer patience_;
    std::set<tcp::socket*> clients_;
    unsigned long lines_ = 0;
};

} // namespace

int main(int argc, char** argv)
{
    const std::optional<std::uint16_t> port =
        argc == 2 ? example::parse_number<std::uint16_t>(argv[1], 0, 65535) : std::nullopt;
    if (!port) {
        std::cerr
            << "usage: asio_echo PORT\n"
               "Sends back each line it gets on PORT of 127.0.0.1 (0: any that is free) until Ctrl-C or SIGTERM.\n";
        return 2;
    }
    try {
        asio::io_context context(1);
        server serving(context, *port);
        context.run();
        std::cout << "Stopped" << std::endl;
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "asio_echo: " << error.what() << '\n';
        return 1;
    }
}
