#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <csignal>

#include "subject.hpp"

namespace {

struct asio_set : subject {
    asio::io_context io{1};
    asio::signal_set set{io, SIGUSR1};

    asio_set() { again(); }
    void again()
    {
        set.async_wait([this](const asio::error_code& error, int) {
            if (error)
                return;
            ++callbacks;
            again();
        });
    }
    void turn() override { io.poll(); }
    void wait() override { io.run_one(); }
};
const enlist<asio_set> a("Asio");

} // namespace
