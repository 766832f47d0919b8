#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <vector>

#include "workload.hpp"

namespace {

using std::chrono::nanoseconds;

struct asio_queue : usual_queue {
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    std::vector<asio::steady_timer> timers;

    explicit asio_queue(std::size_t count)
    {
        timers.reserve(count);
        for (std::size_t n = 0; n < count; ++n)
            timers.emplace_back(io);
    }
    void schedule(std::size_t which, std::int64_t delay)
    {
        timers[which].expires_after(nanoseconds(delay));
        timers[which].async_wait([which](const asio::error_code& error) {
            if (!error)
                workload<asio_queue>::expired(which);
        });
    }
    void reschedule(std::size_t which, std::int64_t delay) { schedule(which, delay); }
    void open(std::size_t which) { schedule(which, idle_time); }
    void touch(std::size_t which) { schedule(which, idle_time); }
    void cancel(std::size_t which) { timers[which].cancel(); }
    void settle() { io.poll(); } // the handlers of what was cancelled
    void turn() { io.poll(); }
};
const enlist_queue<asio_queue> a("Asio");

struct asio_ticker : ticker {
    asio::io_context io{1};
    asio::steady_timer timer{io};

    asio_ticker()
    {
        timer.expires_at(std::chrono::steady_clock::time_point(nanoseconds(begin())));
        again();
    }
    void again()
    {
        timer.async_wait([this](const asio::error_code&) {
            tick();
            do {
                timer.expires_at(timer.expiry() + nanoseconds(period));
            } while (timer.expiry() <= std::chrono::steady_clock::now());
            again();
        });
    }
    void wait() override { io.run_one(); }
};
const enlist_ticker<asio_ticker> b("Asio");

} // namespace
