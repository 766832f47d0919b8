#include <event2/event.h>
#include <event2/event_struct.h>

#include <memory>

#include "workload.hpp"

namespace {

timeval to_timeval(std::int64_t nanoseconds)
{
    const std::int64_t microseconds = in_units_of(1000, nanoseconds);
    return {microseconds / 1'000'000, microseconds % 1'000'000};
}

template <bool Common>
struct libevent : usual_queue {
    static inline event* first = nullptr;

    event_base* base = event_base_new();
    std::unique_ptr<event[]> timers;
    const timeval idle = to_timeval(idle_time);
    const timeval* connection = Common ? event_base_init_common_timeout(base, &idle) : &idle;

    explicit libevent(std::size_t count)
        : timers(std::make_unique<event[]>(count))
    {
        first = timers.get();
        for (std::size_t n = 0; n < count; ++n)
            event_assign(&timers[n], base, -1, 0, &expired, &timers[n]);
    }
    static void expired(evutil_socket_t, short, void* self)
    {
        workload<libevent>::expired(static_cast<std::size_t>(static_cast<event*>(self) - first));
    }
    void schedule(std::size_t which, std::int64_t delay)
    {
        const timeval time = to_timeval(delay);
        event_add(&timers[which], &time);
    }
    void reschedule(std::size_t which, std::int64_t delay) { schedule(which, delay); }
    void open(std::size_t which) { event_add(&timers[which], connection); }
    void touch(std::size_t which) { event_add(&timers[which], connection); }
    void cancel(std::size_t which) { event_del(&timers[which]); }
    void turn() { event_base_loop(base, EVLOOP_NONBLOCK); }
};
const enlist_queue<libevent<false>> a("libevent");
// For many timers of one delay: only the connections'.
const enlist_queue<libevent<true>> b("libevent, common timeouts", 4'000'000, {"connections", "traffic"});

template <int Flags>
struct libevent_ticker : ticker {
    event_base* base = nullptr;

    libevent_ticker()
    {
        event_config* const config = event_config_new();
        event_config_set_flag(config, Flags);
        base = event_base_new_with_config(config);
        event_config_free(config);
        event* const made = event_new(
            base, -1, EV_PERSIST, [](evutil_socket_t, short, void*) { tick(); }, nullptr);
        const timeval each = to_timeval(period);
        begin();
        event_add(made, &each);
    }
    void wait() override { event_base_loop(base, EVLOOP_ONCE); }
};
const enlist_ticker<libevent_ticker<0>> c("libevent");
const enlist_ticker<libevent_ticker<EVENT_BASE_FLAG_PRECISE_TIMER>> d("libevent, precise timer");

} // namespace
