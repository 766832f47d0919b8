#include <sys/epoll.h>

#include <chrono>
#include <memory>

#include <tocsin/tocsin.hpp>

#include "workload.hpp"

namespace {

struct tocsin_queue : usual_queue {
    struct own : tocsin::timer {
        own()
            : timer([](tocsin::timer& self) {
                workload<tocsin_queue>::expired(static_cast<std::size_t>(static_cast<own*>(&self) - first));
            })
        {}
    };
    static inline own* first = nullptr;

    tocsin::timer_queue queue;
    std::unique_ptr<own[]> timers;
    int poll = ::epoll_create1(EPOLL_CLOEXEC);

    explicit tocsin_queue(std::size_t count)
        : timers(std::make_unique<own[]>(count))
    {
        first = timers.get();
        epoll_event wanted{};
        wanted.events = EPOLLIN;
        ::epoll_ctl(poll, EPOLL_CTL_ADD, queue.native_handle(), &wanted);
    }
    void schedule(std::size_t which, std::int64_t delay)
    {
        queue.schedule_at(timers[which], queue.last_now() + std::chrono::nanoseconds(delay));
    }
    void reschedule(std::size_t which, std::int64_t delay) { schedule(which, delay); }
    void open(std::size_t which) { schedule(which, idle_time); }
    void touch(std::size_t which) { schedule(which, idle_time); }
    void cancel(std::size_t which) { timers[which].cancel(); }
    void turn()
    {
        epoll_event ready; // which says nothing here: the library sets its descriptor past clock.cpp
        ::epoll_wait(poll, &ready, 1, 0);
        queue.run_expired(); // for last_now() in any case
    }
};
const enlist_queue<tocsin_queue> a("tocsin");

struct interval : ticker {
    tocsin::interval ticks{std::chrono::steady_clock::time_point(std::chrono::nanoseconds(begin())),
                           std::chrono::nanoseconds(period)};

    void wait() override
    {
        ticks.wait();
        tick();
    }
};
const enlist_ticker<interval> b("tocsin interval");

struct every : ticker {
    tocsin::timer_queue queue;
    tocsin::scheduled ticks = (begin(), queue.every(std::chrono::nanoseconds(period), [] { tick(); }));

    void wait() override
    {
        queue.wait();
        queue.run_expired();
    }
};
const enlist_ticker<every> c("tocsin timer_queue::every");

} // namespace
