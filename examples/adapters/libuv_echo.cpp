// A TCP server that sends back what it gets, in libuv's loop. It is libuv's way of ending that signals fit into: on SIGTERM
// or Ctrl-C everything is closed, and uv_run() returns by itself when nothing is left.
//
// SIGUSR1 asks how it is going. A timer reports bytes per period while there is traffic: it counts the periods that
// a busy loop has missed, so that the rate is right all the same. Each client has a timer in a queue, which is put off
// whenever something comes: who is silent for too long is hung up on.
//
//     ./libuv_echo 1234 &  nc 127.0.0.1 1234
//     kill -USR1 %1; kill %1
//
// Exit status: 0 stopped by a signal, 1 error, 2 wrong arguments.

#include <tocsin/adapters/libuv.hpp>
#include <tocsin/tocsin.hpp>

#include <netinet/in.h>
#include <uv.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "../descriptor.hpp"

namespace {

void check(int result, const char* call)
{
    if (result < 0)
        throw std::runtime_error(std::string(call) + ": " + ::uv_strerror(result));
}

template <class Handle>
uv_handle_t* base(Handle* handle)
{
    return reinterpret_cast<uv_handle_t*>(handle);
}

class server {
public:
    explicit server(std::chrono::seconds idle)
        : idle_(idle)
    {
        check(::uv_loop_init(&loop_), "uv_loop_init");
        ::uv_tcp_init(&loop_, &listener_);
        listener_.data = this;
    }
    ~server()
    {
        close_all();
        ::uv_run(&loop_, UV_RUN_DEFAULT); // what has been closed says so
        ::uv_loop_close(&loop_);
    }
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    void listen(std::uint16_t port)
    {
        sockaddr_in address{};
        ::uv_ip4_addr("127.0.0.1", port, &address);
        check(::uv_tcp_bind(&listener_, reinterpret_cast<sockaddr*>(&address), 0), "uv_tcp_bind");
        check(::uv_listen(stream(&listener_), 128, &server::connected), "uv_listen");
        int size = sizeof address;
        check(::uv_tcp_getsockname(&listener_, reinterpret_cast<sockaddr*>(&address), &size), "uv_tcp_getsockname");

        signals_ = std::make_unique<tocsin::libuv::signals>(&loop_);
        stop_ =
            signals_->on({SIGINT, SIGTERM}, [this](const tocsin::event& e) { stop(e); }, {.second_is_default = true});
        status_ = signals_->on(SIGUSR1, [this](const tocsin::event& e) {
            std::cout << clients_.size() << " clients, " << bytes_ << " bytes: " << tocsin::describe(e.info)
                      << std::endl;
        });
        period_ = std::make_unique<tocsin::libuv::timer>(&loop_, [this](std::uint64_t periods) { report(periods); });
        period_->fd().settime(1.0, 1.0);
        timers_ = std::make_unique<tocsin::libuv::timers>(&loop_);
        std::cout << "Listening on 127.0.0.1:" << ntohs(address.sin_port) << std::endl;
    }

    void run()
    {
        ::uv_run(&loop_, UV_RUN_DEFAULT);
        std::cout << "Stopped after " << bytes_ << " bytes" << std::endl;
    }

private:
    struct client : tocsin::timer {
        explicit client(server* of)
            : timer([](timer& self) {
                auto& silent = static_cast<client&>(self);
                std::cout << "A client was silent for " << silent.home->idle_.count() << " s" << std::endl;
                silent.home->close(&silent);
            })
            , home(of)
        {}
        uv_tcp_t socket{};
        server* home;
    };
    struct answer {
        uv_write_t request{};
        std::vector<char> data;
    };

    static uv_stream_t* stream(uv_tcp_t* socket) { return reinterpret_cast<uv_stream_t*>(socket); }

    static void connected(uv_stream_t* listener, int status)
    {
        auto* const self = static_cast<server*>(listener->data);
        if (status < 0)
            return;
        auto* const fresh = new client(self);
        ::uv_tcp_init(&self->loop_, &fresh->socket);
        fresh->socket.data = fresh;
        self->clients_.insert(fresh);
        self->timers_->queue().schedule(*fresh, self->idle_);
        if (::uv_accept(listener, stream(&fresh->socket)) < 0 ||
            ::uv_read_start(stream(&fresh->socket), &server::allocate, &server::received) < 0)
            self->close(fresh);
    }

    // One for all: what is in it is copied before the next client is read.
    static void allocate(uv_handle_t* socket, std::size_t, uv_buf_t* buffer)
    {
        auto& space = static_cast<client*>(socket->data)->home->buffer_;
        *buffer = ::uv_buf_init(space.data(), static_cast<unsigned>(space.size()));
    }

    static void received(uv_stream_t* from, ssize_t size, const uv_buf_t* buffer)
    {
        auto* const who = static_cast<client*>(from->data);
        if (size < 0) { // the end, too
            who->home->close(who);
        } else if (size > 0) {
            who->home->bytes_ += static_cast<std::uint64_t>(size);
            who->home->timers_->queue().schedule(*who, who->home->idle_); // put off
            auto reply = std::make_unique<answer>();
            reply->request.data = reply.get();
            reply->data.assign(buffer->base, buffer->base + size);
            const uv_buf_t whole = ::uv_buf_init(reply->data.data(), static_cast<unsigned>(size));
            const auto written = [](uv_write_t* request, int) { delete static_cast<answer*>(request->data); };
            if (::uv_write(&reply->request, from, &whole, 1, written) == 0)
                static_cast<void>(reply.release()); // until it has been written
        }
    }

    void close(client* who)
    {
        who->cancel();
        if (clients_.erase(who) != 0)
            ::uv_close(base(&who->socket), [](uv_handle_t* closed) { delete static_cast<client*>(closed->data); });
    }

    void report(std::uint64_t periods)
    {
        if (bytes_ != reported_)
            std::cout << (bytes_ - reported_) / periods << " bytes/s" << std::endl;
        reported_ = bytes_;
    }

    void stop(const tocsin::event& e)
    {
        std::cout << "Stopping: " << tocsin::describe(e.info) << std::endl;
        close_all();
    }

    // Also from inside the callbacks of what it closes.
    void close_all()
    {
        while (!clients_.empty())
            close(*clients_.begin());
        if (::uv_is_closing(base(&listener_)) == 0)
            ::uv_close(base(&listener_), nullptr);
        timers_.reset();
        period_.reset();
        signals_.reset();
    }

    uv_loop_t loop_{};
    uv_tcp_t listener_{};
    std::array<char, 65536> buffer_{};
    std::set<client*> clients_;
    std::uint64_t bytes_ = 0;
    std::uint64_t reported_ = 0;
    std::unique_ptr<tocsin::libuv::signals> signals_;
    tocsin::subscription stop_;
    tocsin::subscription status_;
    std::unique_ptr<tocsin::libuv::timer> period_;
    std::chrono::seconds idle_;
    std::unique_ptr<tocsin::libuv::timers> timers_;
};

} // namespace

int main(int argc, char** argv)
{
    const std::optional<std::uint16_t> port =
        argc == 2 || argc == 3 ? example::parse_number<std::uint16_t>(argv[1], 0, 65535) : std::nullopt;
    const std::optional<int> idle = argc == 3 ? example::parse_number<int>(argv[2], 1, 86400) : 60;
    if (!port || !idle) {
        std::cerr
            << "usage: libuv_echo PORT [SECONDS]\n"
               "Sends back what comes to PORT of 127.0.0.1 (0: any that is free) until Ctrl-C or SIGTERM; hangs up on "
               "clients that are silent for SECONDS (60).\n";
        return 2;
    }
    try {
        tocsin::signal(SIGPIPE, tocsin::ignore); // a client that hangs up
        server echo{std::chrono::seconds(*idle)};
        echo.listen(*port);
        echo.run();
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "libuv_echo: " << error.what() << '\n';
        return 1;
    }
}
