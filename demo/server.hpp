#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "connection.hpp"
#include "control.hpp"
#include "device.hpp"
#include "http.hpp"
#include "ticker.hpp"
#include "unique_fd.hpp"

namespace demo {

/// A small HTTP server in one thread: epoll, three timers, and signals whose handlers run inside the one call that
/// waits. Answers / (the greeting), /slow?pieces=N, /device, /status.
class server {
public:
    /// Listens on the loopback address; port 0: any free one. Errors: std::system_error, std::runtime_error.
    server(const std::string& config_path, std::uint16_t port);

    /// Serves until a signal says stop and every request in flight is finished. Main thread, under a runtime.
    /// Errors: std::system_error; keyboard_interrupt after the finish, if it was Ctrl-C that said so.
    void run();

private:
    void wait_and_serve();
    void serve(int fd, unsigned what);
    void serve_timers();
    void send_pieces();
    void drop_idle();

    void accept_all();
    void listen_again(bool first);
    void begin_to_stop();
    void serve_client(int fd, unsigned what);
    void answer(connection& client);
    void answer_device(connection& client);
    void pump(int fd, connection& client);
    void drop(int fd);

    void watch(int fd, unsigned what, int operation);
    [[nodiscard]] std::string summary() const;
    [[nodiscard]] std::string status() const;

    control control_;
    device device_;
    unique_fd epoll_;
    unique_fd wake_; // an eventfd
    unique_fd listener_;
    ticker pieces_{"pieces", std::chrono::milliseconds(250)};
    ticker statistics_{"statistics", std::chrono::milliseconds(500)};
    ticker housekeeping_{"housekeeping", std::chrono::milliseconds(750)};
    const std::array<ticker*, 3> timers_{&pieces_, &statistics_, &housekeeping_};
    std::unordered_map<int, connection> clients_;
    std::uint64_t finished_ = 0;
    std::uint64_t finished_said_ = 0;
};

} // namespace demo
