#include <uv.h>

#include <memory>

#include "workload.hpp"

namespace {

constexpr std::int64_t millisecond = 1'000'000;

struct libuv : usual_queue {
    static inline uv_timer_t* first = nullptr;

    uv_loop_t* loop = uv_default_loop();
    std::unique_ptr<uv_timer_t[]> timers;

    explicit libuv(std::size_t count)
        : timers(std::make_unique<uv_timer_t[]>(count))
    {
        first = timers.get();
        for (std::size_t n = 0; n < count; ++n)
            uv_timer_init(loop, &timers[n]);
    }
    void start(std::size_t which, std::int64_t delay, std::int64_t repeat)
    {
        uv_timer_start(
            &timers[which], [](uv_timer_t* self) { workload<libuv>::expired(static_cast<std::size_t>(self - first)); },
            static_cast<std::uint64_t>(in_units_of(millisecond, delay)),
            static_cast<std::uint64_t>(repeat / millisecond));
    }
    void schedule(std::size_t which, std::int64_t delay) { start(which, delay, 0); }
    void reschedule(std::size_t which, std::int64_t delay) { start(which, delay, 0); }
    void open(std::size_t which) { start(which, idle_time, idle_time); }
    void touch(std::size_t which) { uv_timer_again(&timers[which]); }
    void cancel(std::size_t which) { uv_timer_stop(&timers[which]); }
    void turn() { uv_run(loop, UV_RUN_NOWAIT); }
};
const enlist_queue<libuv> a("libuv");

struct libuv_ticker : ticker {
    uv_loop_t* loop = uv_default_loop();
    uv_timer_t timer;

    libuv_ticker()
    {
        uv_timer_init(loop, &timer);
        uv_update_time(loop);
        begin();
        uv_timer_start(
            &timer, [](uv_timer_t*) { tick(); }, period / millisecond, period / millisecond);
    }
    void wait() override { uv_run(loop, UV_RUN_ONCE); }
};
const enlist_ticker<libuv_ticker> b("libuv");

} // namespace
