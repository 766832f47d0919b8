#include <ev.h>

#include <memory>

#include "workload.hpp"

namespace {

double in_seconds(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

struct libev : usual_queue {
    static inline ev_timer* first = nullptr;

    struct ev_loop* loop = ev_default_loop(0);
    std::unique_ptr<ev_timer[]> timers;

    explicit libev(std::size_t count)
        : timers(std::make_unique<ev_timer[]>(count))
    {
        first = timers.get();
        for (std::size_t n = 0; n < count; ++n)
            ev_timer_init(&timers[n], &expired, 0., 0.);
    }
    static void expired(struct ev_loop*, ev_timer* self, int)
    {
        workload<libev>::expired(static_cast<std::size_t>(self - first));
    }
    void schedule(std::size_t which, std::int64_t delay)
    {
        ev_timer_set(&timers[which], in_seconds(delay), 0.);
        ev_timer_start(loop, &timers[which]);
    }
    void reschedule(std::size_t which, std::int64_t delay)
    {
        timers[which].repeat = in_seconds(delay);
        ev_timer_again(loop, &timers[which]);
        timers[which].repeat = 0.; // it is to come once
    }
    void open(std::size_t which)
    {
        timers[which].repeat = in_seconds(idle_time);
        touch(which);
    }
    void touch(std::size_t which) { ev_timer_again(loop, &timers[which]); }
    void cancel(std::size_t which) { ev_timer_stop(loop, &timers[which]); }
    void turn() { ev_run(loop, EVRUN_NOWAIT); }
};
const enlist_queue<libev> a("libev");

struct libev_ticker : ticker {
    struct ev_loop* loop = ev_default_loop(0);
    ev_timer timer;

    libev_ticker()
    {
        ev_timer_init(
            &timer, [](struct ev_loop*, ev_timer*, int) { tick(); }, in_seconds(period), in_seconds(period));
        ev_now_update(loop);
        begin();
        ev_timer_start(loop, &timer);
    }
    void wait() override { ev_run(loop, EVRUN_ONCE); }
};
const enlist_ticker<libev_ticker> b("libev");

} // namespace
