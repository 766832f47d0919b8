// A TCP server that tells its clients the time, once in each period, with Boost.Asio, callbacks and several threads: SIGHUP
// says it at once, SIGTERM and Ctrl-C stop it.
//
// The handlers of signals and timer run on the server's strand, like those of its sockets: never two at a time, although all
// threads run the context, so they share its state without a lock. A timer that the server was too busy for has counted its
// expirations: no period is lost unseen.
//
//     ./boost_asio_clock 1234 1 &  nc 127.0.0.1 1234
//     kill -HUP %1; kill %1
//
// Exit status: 0 stopped by a signal, 1 error, 2 wrong arguments.

#include <tocsin/adapters/boost_asio.hpp>
#include <tocsin/tocsin.hpp>

#include <boost/asio.hpp>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <exception>
#include <iostream>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "../descriptor.hpp"

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

std::string time_now()
{
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%FT%TZ", &parts)};
}

class server {
public:
    server(asio::io_context& context, std::uint16_t port, unsigned period)
        : strand_(asio::make_strand(context))
        , acceptor_(strand_, {asio::ip::address_v4::loopback(), port})
        , reload_(strand_, {SIGHUP}, {.respect_ignore = true}) // under nohup it stays ignored
        , stop_(strand_, {SIGINT, SIGTERM}, {.second_is_default = true})
        , period_(strand_)
    {
        period_.fd().settime(period, period);
        accept();
        wait_for_period();
        wait_for_hup();
        wait_for_stop();
        std::cout << "Listening on 127.0.0.1:" << acceptor_.local_endpoint().port() << std::endl;
    }

private:
    static constexpr std::size_t each_part = 65536;

    struct client {
        tcp::socket socket;
        std::string text; // on its way
    };

    void accept()
    {
        acceptor_.async_accept([this](error_code error, tcp::socket socket) {
            if (error)
                return;
            clients_.push_back(std::make_shared<client>(client{std::move(socket), {}}));
            accept();
        });
    }

    void wait_for_period()
    {
        period_.async_wait([this](error_code error, std::uint64_t periods) {
            if (error)
                return;
            tell(time_now() + ", period " + std::to_string(periods_ += periods));
            wait_for_period();
        });
    }

    void wait_for_hup()
    {
        reload_.async_wait([this](error_code error, const tocsin::event& e) {
            if (error)
                return;
            std::cout << "Telling " << clients_.size() << " clients: " << tocsin::describe(e.info) << std::endl;
            tell(time_now() + ", at once");
            wait_for_hup();
        });
    }

    // After it nothing is left to wait for: the context's run() returns on all threads.
    void wait_for_stop()
    {
        stop_.async_wait([this](error_code error, const tocsin::event& e) {
            if (error)
                return;
            std::cout << "Stopping, " << clients_.size() << " clients: " << tocsin::describe(e.info) << std::endl;
            acceptor_.close();
            reload_.cancel();
            period_.cancel();
            for (const auto& each : clients_) {
                if (each->text.empty())
                    say_bye(*each);
                else
                    each->socket.cancel(error); // its line has been sent in full, or is given up
            }
        });
    }

    // Nobody is waited for.
    static void say_bye(client& each)
    {
        error_code ignored;
        each.socket.non_blocking(true, ignored);
        each.socket.write_some(asio::buffer("bye\n", 4), ignored);
        each.socket.close(ignored);
    }

    // A client that does not read is left out until it has what was sent before.
    void tell(const std::string& line)
    {
        for (const auto& each : clients_) {
            if (!each->text.empty())
                continue;
            each->text = line + '\n';
            // Between two parts of the line no write is under way that stopping could cancel.
            const auto next_part = [this](error_code error, std::size_t) -> std::size_t {
                return error || !acceptor_.is_open() ? 0 : each_part;
            };
            asio::async_write(each->socket, asio::buffer(each->text), next_part,
                              [this, each](error_code error, std::size_t sent) {
                                  const bool in_full = sent == each->text.size();
                                  each->text.clear();
                                  if (error || !in_full) // gone, or given up
                                      clients_.remove(each);
                                  else if (!acceptor_.is_open()) // stopping
                                      say_bye(*each);
                              });
        }
    }

    asio::strand<asio::io_context::executor_type> strand_;
    tcp::acceptor acceptor_;
    tocsin::boost_asio::signals reload_;
    tocsin::boost_asio::signals stop_;
    tocsin::boost_asio::timer period_;
    std::list<std::shared_ptr<client>> clients_;
    std::uint64_t periods_ = 0;
};

} // namespace

int main(int argc, char** argv)
{
    const std::optional<std::uint16_t> port =
        argc == 3 ? example::parse_number<std::uint16_t>(argv[1], 0, 65535) : std::nullopt;
    const std::optional<unsigned> period = argc == 3 ? example::parse_number(argv[2], 1U, 3600U) : std::nullopt;
    if (!port || !period) {
        std::cerr
            << "usage: boost_asio_clock PORT SECONDS\n"
               "Tells the clients of PORT of 127.0.0.1 (0: any that is free) the time every SECONDS (1 to 3600).\n";
        return 2;
    }
    try {
        asio::io_context context;
        server serving(context, *port, *period);
        const auto run = [&] { context.run(); };
        {
            const std::array threads{std::jthread(run), std::jthread(run)}; // joined at the end of this block
            run();
        }
        std::cout << "Stopped" << std::endl;
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "boost_asio_clock: " << error.what() << '\n';
        return 1;
    }
}
