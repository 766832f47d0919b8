// An HTTP server that Ctrl-C or SIGTERM stops without cutting off anyone.
//
// The server (cpp-httplib) runs threads of its own and knows nothing of signals. An exception thrown from a handler
// could stop it half way through anything. So the handler throws nothing: the arrival of a signal writes one byte to a
// wake-up descriptor, whichever thread the signal hit; the main thread reads it and stops the server in an orderly way.
// Requests in flight are answered first. A second Ctrl-C does not wait for them.
//
//     ./03_http_server 8000 &  curl http://127.0.0.1:8000/  curl 'http://127.0.0.1:8000/slow?seconds=5'
//
// Mirrors the HTTP server in the "Note on Signal Handlers and Exceptions" of Python's `signal` module.
// Exit status: 0 stopped by a signal, 1 error, 2 wrong arguments.

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include <httplib.h>
#include <tocsin/tocsin.hpp>

#include "descriptor.hpp"

namespace {

// One write per line: requests are answered, and print, in several threads.
void say(const std::string& line) { std::cout << line + '\n' << std::flush; }

// Every signal that has a handler arrives here as one byte, its number.
class wakeup_pipe {
public:
    wakeup_pipe()
        : wakeup_pipe(make())
    {
        // Only this end: the signal handler must never block, the reader may.
        example::check(::fcntl(write_end_.get(), F_SETFL, O_NONBLOCK), "fcntl");
        tocsin::set_wakeup_fd(write_end_.get());
    }
    ~wakeup_pipe() { tocsin::set_wakeup_fd(-1); }
    wakeup_pipe(const wakeup_pipe&) = delete;
    wakeup_pipe& operator=(const wakeup_pipe&) = delete;

    tocsin::signum wait()
    {
        unsigned char number = 0;
        tocsin::blocking::read(read_end_.get(), &number, sizeof number);
        tocsin::check_signals(); // the handler is still due when another thread took the signal
        return number;
    }

private:
    struct ends {
        int fds[2];
    };
    static ends make()
    {
        ends both{};
        example::check(::pipe2(both.fds, O_CLOEXEC), "pipe2");
        return both;
    }
    explicit wakeup_pipe(ends both) noexcept
        : read_end_(both.fds[0])
        , write_end_(both.fds[1])
    {}

    example::descriptor read_end_;
    example::descriptor write_end_;
};

// Runs the server in a thread of its own for as long as it lives.
class running_server {
public:
    explicit running_server(httplib::Server& server)
        : server_(server)
        , thread_([&server] { server.listen_after_bind(); })
    {
        while (!server.is_running()) // stop() would do nothing before that
            std::this_thread::yield();
    }
    ~running_server() { server_.stop(); } // accepts no more; the thread ends when all requests are answered
    running_server(const running_server&) = delete;
    running_server& operator=(const running_server&) = delete;

private:
    httplib::Server& server_;
    std::jthread thread_;
};

void hello(const httplib::Request&, httplib::Response& response) { response.set_content("hello\n", "text/plain"); }

void slow(const httplib::Request& request, httplib::Response& response)
{
    const auto seconds = example::parse_number(request.get_param_value("seconds").c_str(), 0, 3600).value_or(2);
    say("Slow request begun");
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    response.set_content("slow but complete\n", "text/plain");
    say("Slow request answered");
}

void report(const tocsin::event& e)
{
    std::string line = "Signal handler called with " + to_string(e.signo);
    if (e.info.origin() == tocsin::origin::user)
        line += " from process " + std::to_string(*e.info.pid());
    say(line);
}

void serve(int port)
{
    httplib::Server server;
    server.set_keep_alive_timeout(1); // idle connections hold up the end no longer than this
    server.Get("/", hello);
    server.Get("/slow", slow);
    if (port == 0)
        port = server.bind_to_any_port("127.0.0.1");
    else if (!server.bind_to_port("127.0.0.1", port))
        port = -1;
    if (port == -1)
        throw std::runtime_error("cannot bind to that port of 127.0.0.1");

    wakeup_pipe wakeup;
    if (tocsin::getsignal(SIGINT) != tocsin::ignore) // as in a background job of a script: leave it so
        tocsin::signal(SIGINT, report);
    tocsin::signal(SIGTERM, report);

    const running_server running(server);
    say("Serving on http://127.0.0.1:" + std::to_string(port) + "/");
    const tocsin::signum stopped_by = wakeup.wait();

    tocsin::signal(stopped_by, tocsin::default_action); // the second one is final
    say("Finishing the requests in flight; " + to_string(stopped_by) + " again to stop at once");
}

} // namespace

int main(int argc, char** argv)
{
    const std::optional<int> port = argc == 2 ? example::parse_number(argv[1], 0, 65535) : 8000;
    if (argc > 2 || !port) {
        std::cerr << "usage: 03_http_server [PORT]\n"
                     "Serves / and /slow?seconds=N on PORT of 127.0.0.1 (default 8000; 0: any that is free).\n";
        return 2;
    }
    try {
        const int status = tocsin::run_main([&] { serve(*port); });
        say("Server stopped");
        return status;
    } catch (const std::exception& error) {
        std::cerr << "03_http_server: " << error.what() << '\n';
        return 1;
    }
}
