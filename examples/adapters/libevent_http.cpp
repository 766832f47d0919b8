// A web server for one page, in libevent's loop: SIGHUP reads the page anew, SIGTERM and Ctrl-C stop it.
//
// The handlers run in the loop, between the callbacks of the web server, so they may read files, allocate and print; and
// they know who asked. Stopping is orderly: no new clients, what has been begun is answered, a timer limits how long a slow
// client can hold that up. The second Ctrl-C does not wait.
//
//     ./libevent_http 8000 page.html &  curl http://127.0.0.1:8000/; kill -HUP $!; kill $!
//
// Exit status: 0 stopped by a signal, 1 error, 2 wrong arguments.

#include <tocsin/adapters/libevent.hpp>
#include <tocsin/tocsin.hpp>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "../descriptor.hpp"

namespace {

template <auto Free>
struct freed_by {
    template <class T>
    void operator()(T* object) const noexcept
    {
        Free(object);
    }
};

std::string contents_of(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    std::string text(std::istreambuf_iterator<char>(file), {});
    if (!file)
        throw std::runtime_error("cannot read " + path);
    return text;
}

class server {
public:
    server(std::uint16_t port, std::string path)
        : path_(std::move(path))
        , page_(contents_of(path_))
        , socket_(::evhttp_bind_socket_with_handle(http_.get(), "127.0.0.1", port))
    {
        if (socket_ == nullptr)
            throw std::runtime_error("cannot listen on port " + std::to_string(port));
        ::evhttp_set_gencb(http_.get(), &server::answer, this);
        sockaddr_in address{};
        socklen_t size = sizeof address;
        example::check(
            ::getsockname(::evhttp_bound_socket_get_fd(socket_), reinterpret_cast<sockaddr*>(&address), &size),
            "getsockname");
        std::cout << "Serving " << path_ << " on http://127.0.0.1:" << ntohs(address.sin_port) << "/" << std::endl;
    }

    void run()
    {
        ::event_base_dispatch(base_.get());
        std::cout << "Stopped after " << answered_ << " answers" << std::endl;
    }

private:
    static constexpr double patience = 2.0;

    // What a handler throws ends up in on_error: here it is only reported, and the old page stays.
    void reload(const tocsin::event& e)
    {
        page_ = contents_of(path_);
        std::cout << "Reloaded, " << page_.size() << " bytes: " << tocsin::describe(e.info) << std::endl;
    }

    void stop(const tocsin::event& e)
    {
        evhttp_bound_socket* const listening = std::exchange(socket_, nullptr);
        if (listening == nullptr)
            return;
        ::evhttp_del_accept_socket(http_.get(), listening);
        std::cout << "Stopping, " << unfinished_ << " to answer: " << tocsin::describe(e.info) << std::endl;
        patience_.fd().settime(patience);
        leave_when_done();
    }

    void leave_when_done()
    {
        if (socket_ == nullptr && unfinished_ == 0)
            ::event_base_loopexit(base_.get(), nullptr);
    }

    void answer(evhttp_request* request)
    {
        ++unfinished_;
        ::evhttp_request_set_on_complete_cb(
            request,
            [](evhttp_request*, void* self) {
                --static_cast<server*>(self)->unfinished_;
                ++static_cast<server*>(self)->answered_;
                static_cast<server*>(self)->leave_when_done();
            },
            this);
        ::evbuffer_add(::evhttp_request_get_output_buffer(request), page_.data(), page_.size());
        ::evhttp_send_reply(request, HTTP_OK, "OK", nullptr);
    }
    static void answer(evhttp_request* request, void* self) { static_cast<server*>(self)->answer(request); }

    static void report(const std::exception_ptr& error)
    {
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            std::cout << "Not reloaded: " << e.what() << std::endl;
        }
    }

    std::string path_;
    std::string page_;
    unsigned unfinished_ = 0; // stays up when a client hangs up half way: patience_ ends that
    unsigned answered_ = 0;
    // In this order: what is in the loop goes before it, and who is told that this serves may send signals.
    std::unique_ptr<event_base, freed_by<::event_base_free>> base_{::event_base_new()};
    std::unique_ptr<evhttp, freed_by<::evhttp_free>> http_{::evhttp_new(base_.get())};
    evhttp_bound_socket* socket_; // null: stopping
    tocsin::libevent::signals signals_{base_.get(), &server::report};
    tocsin::subscription reload_ = signals_.on(SIGHUP, [this](const tocsin::event& e) { reload(e); });
    tocsin::subscription stop_ =
        signals_.on({SIGINT, SIGTERM}, [this](const tocsin::event& e) { stop(e); }, {.second_is_default = true});
    tocsin::libevent::timer patience_{base_.get(), [this](std::uint64_t) {
                                          std::cout << "Not waiting any longer" << std::endl;
                                          ::event_base_loopbreak(base_.get());
                                      }};
};

} // namespace

int main(int argc, char** argv)
{
    const std::optional<std::uint16_t> port =
        argc == 3 ? example::parse_number<std::uint16_t>(argv[1], 0, 65535) : std::nullopt;
    if (!port) {
        std::cerr << "usage: libevent_http PORT FILE\n"
                     "Serves FILE on PORT of 127.0.0.1 (0: any that is free) until Ctrl-C or SIGTERM; SIGHUP reads it "
                     "anew.\n";
        return 2;
    }
    try {
        tocsin::signal(SIGPIPE, tocsin::ignore); // a client that hangs up
        server(*port, argv[2]).run();
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "libevent_http: " << error.what() << '\n';
        return 1;
    }
}
