#include "server.hpp"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <vector>

#include <tocsin/tocsin.hpp>

#include "log.hpp"

namespace demo {
namespace {

constexpr auto idle_limit = std::chrono::seconds(5);
constexpr auto idle_limit_when_stopping = std::chrono::seconds(1);
constexpr int most_pieces = 240;

sockaddr_in loopback(std::uint16_t port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

unique_fd listen_on(std::uint16_t port)
{
    unique_fd fd(checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
    const int yes = 1;
    checked(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "setsockopt");
    const auto address = loopback(port);
    checked(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    checked(::listen(fd.get(), SOMAXCONN), "listen");
    return fd;
}

int port_of(int fd)
{
    sockaddr_in address{};
    socklen_t size = sizeof address;
    checked(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    return ntohs(address.sin_port);
}

} // namespace

server::server(const std::string& config_path, std::uint16_t port)
    : control_(config_path)
    , epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"))
    , wake_(checked(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd"))
    , listener_(listen_on(port))
{
    listen_again(true);
    watch(wake_.get(), EPOLLIN, EPOLL_CTL_ADD);
    for (const ticker* timer : timers_)
        watch(timer->native_handle(), EPOLLIN, EPOLL_CTL_ADD);
}

void server::run()
{
    device_.limit_with_alarm();
    control_.install([this] { return summary(); },
                     // A handler that returns lets epoll_wait go on: this makes it come back.
                     [this] { ::eventfd_write(wake_.get(), 1); });
    say("listening on http://127.0.0.1:", port_of(listener_.get()), "/, process ", ::getpid());
    while (!control_.stop_request() || !clients_.empty()) {
        wait_and_serve();
        if (control_.stop_request() && listener_)
            begin_to_stop();
    }
    say("stopped: ", summary());
    if (control_.stop_request()->signo == SIGINT)
        throw tocsin::keyboard_interrupt(*control_.stop_request());
}

void server::wait_and_serve()
{
    std::array<epoll_event, 64> ready{};
    // Where every handler runs but those that arrive while the device keeps us waiting.
    const int count = tocsin::blocking::epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), -1);
    bool knocked = false;
    for (int i = 0; i < count; ++i) {
        const auto& event = ready.at(static_cast<std::size_t>(i));
        if (event.data.fd == listener_.get())
            knocked = true;
        else
            serve(event.data.fd, event.events);
    }
    // Last: a new client may get the number of one that was dropped above, and is not to get its events.
    if (knocked)
        accept_all();
}

void server::serve(int fd, unsigned what)
{
    if (fd == wake_.get()) {
        eventfd_t count = 0;
        ::eventfd_read(fd, &count);
        return;
    }
    for (const ticker* timer : timers_) {
        if (fd == timer->native_handle())
            return serve_timers();
    }
    serve_client(fd, what);
}

void server::serve_timers()
{
    // One piece however many ticks were missed: the client is promised the pieces, not the pace.
    if (pieces_.take() > 0)
        send_pieces();
    if (statistics_.take() > 0) {
        control_.say_pokes();
        if (finished_ != finished_said_)
            say("requests: ", finished_, " finished, ", clients_.size(), " connections open");
        finished_said_ = finished_;
    }
    if (housekeeping_.take() > 0)
        drop_idle();
}

void server::send_pieces()
{
    std::vector<int> fds; // pump() may drop a client
    for (auto& [fd, client] : clients_) {
        client.next_piece();
        fds.push_back(fd);
    }
    for (const int fd : fds)
        pump(fd, clients_.at(fd));
}

void server::drop_idle()
{
    const clock::duration limit = control_.stop_request() ? idle_limit_when_stopping : idle_limit;
    const auto dropped = std::erase_if(clients_, [limit](const auto& entry) { return entry.second.idle() > limit; });
    if (dropped > 0)
        say("dropped ", dropped, " idle connections");
    if (listener_)
        listen_again(false);
}

// Reported once, until asked for again: with no descriptors left for clients, the loop does not spin.
void server::listen_again(bool first)
{
    watch(listener_.get(), EPOLLIN | EPOLLONESHOT, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
}

void server::accept_all()
{
    for (;;) {
        unique_fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!fd) {
            if (errno == ECONNABORTED)
                continue;
            if (errno == EAGAIN)
                return listen_again(false);
            say("accept: ", std::generic_category().message(errno)); // drop_idle() tries again
            return;
        }
        const int key = fd.get();
        watch(key, EPOLLIN, EPOLL_CTL_ADD);
        clients_.emplace(key, std::move(fd));
    }
}

void server::begin_to_stop()
{
    accept_all(); // whoever has connected before the signal is served
    listener_.reset();
    say("no new connections; ", clients_.size(), " requests in flight");
}

void server::serve_client(int fd, unsigned what)
{
    const auto found = clients_.find(fd);
    if (found == clients_.end())
        return; // dropped since epoll_wait reported it
    connection& client = found->second;
    if ((what & (EPOLLERR | EPOLLHUP)) != 0 || ((what & EPOLLIN) != 0 && !client.receive()))
        return drop(fd);
    if (!client.request_head().empty())
        answer(client);
    pump(fd, client);
}

void server::answer(connection& client)
{
    const auto [method, path, query] = parse_request(client.request_head());
    if (method.empty())
        client.answer(response("400 Bad Request", "not HTTP\n"));
    else if (method != "GET")
        client.answer(response("405 Method Not Allowed", "only GET\n"));
    else if (path == "/")
        client.answer(response("200 OK", control_.settings().greeting + "\n"));
    else if (path == "/slow")
        client.answer_in_pieces(query_number(query, "pieces", 4, 1, most_pieces));
    else if (path == "/device")
        answer_device(client);
    else if (path == "/status")
        client.answer(response("200 OK", status()));
    else
        client.answer(response("404 Not Found", "try / /slow?pieces=4 /device /status\n"));
}

void server::answer_device(connection& client)
try {
    const config settings = control_.settings(); // a copy: SIGHUP may arrive while the device keeps us waiting
    say("device: opening, limit ", in_ms(settings.device_limit));
    const auto start = clock::now();
    const auto data = device_.read(settings.device, settings.device_limit);
    if (data)
        return client.answer(response("200 OK", *data));
    const auto passed = clock::now() - start;
    say("device: no answer, SIGALRM ended the wait after ", in_ms(passed), " (limit ", in_ms(settings.device_limit),
        ")");
    client.answer(response("504 Gateway Timeout", "the device did not answer within " + in_ms(passed) + "\n"));
} catch (const std::system_error& error) {
    client.answer(response("500 Internal Server Error", std::string(error.what()) + "\n"));
}

void server::pump(int fd, connection& client)
{
    if (!client.send())
        return drop(fd);
    if (!client.finished())
        return watch(fd, client.interest(), EPOLL_CTL_MOD);
    ++finished_;
    drop(fd);
}

void server::drop(int fd) { clients_.erase(fd); }

void server::watch(int fd, unsigned what, int operation)
{
    epoll_event event{};
    event.events = what;
    event.data.fd = fd;
    checked(::epoll_ctl(epoll_.get(), operation, fd, &event), "epoll_ctl");
}

std::string server::summary() const
{
    std::string text = std::to_string(finished_) + " requests finished, " + std::to_string(clients_.size()) + " open";
    for (const ticker* timer : timers_)
        text += "; " + std::string(timer->name()) + " " + std::to_string(timer->ticks()) + " ticks";
    return text;
}

} // namespace demo
