#include <systemd/sd-event.h>

#include <ctime>
#include <vector>

#include "workload.hpp"

namespace {

constexpr std::uint64_t accuracy = 1; // microsecond; the default is 250 ms

std::uint64_t loop_time(sd_event* loop)
{
    std::uint64_t now = 0;
    sd_event_now(loop, CLOCK_MONOTONIC, &now);
    return now;
}

struct sd : usual_queue {
    static inline sd_event_source** first = nullptr;

    sd_event* loop = nullptr;
    std::vector<sd_event_source*> timers;

    explicit sd(std::size_t count)
        : timers(count)
    {
        first = timers.data();
        sd_event_default(&loop);
        for (auto& each : timers) {
            sd_event_add_time(loop, &each, CLOCK_MONOTONIC, UINT64_MAX - 1, accuracy, &expired, &each);
            sd_event_source_set_enabled(each, SD_EVENT_OFF);
        }
    }
    static int expired(sd_event_source*, std::uint64_t, void* self)
    {
        workload<sd>::expired(static_cast<std::size_t>(static_cast<sd_event_source**>(self) - first));
        return 0;
    }
    void set(std::size_t which, std::int64_t delay)
    {
        sd_event_source_set_time(timers[which], loop_time(loop) + static_cast<std::uint64_t>(in_units_of(1000, delay)));
    }
    void schedule(std::size_t which, std::int64_t delay)
    {
        set(which, delay);
        sd_event_source_set_enabled(timers[which], SD_EVENT_ONESHOT);
    }
    void reschedule(std::size_t which, std::int64_t delay) { set(which, delay); }
    void open(std::size_t which) { schedule(which, idle_time); }
    void touch(std::size_t which) { set(which, idle_time); }
    void cancel(std::size_t which) { sd_event_source_set_enabled(timers[which], SD_EVENT_OFF); }
    void turn()
    {
        while (sd_event_run(loop, 0) > 0) { // it runs one source at a time
        }
    }
};
const enlist_queue<sd> a("sd-event", 100'000);

struct sd_ticker : ticker {
    sd_event* loop = nullptr;
    sd_event_source* timer = nullptr;

    sd_ticker()
    {
        sd_event_default(&loop);
        begin();
        sd_event_add_time(
            loop, &timer, CLOCK_MONOTONIC, loop_time(loop) + period / 1000, accuracy,
            [](sd_event_source* self, std::uint64_t due, void* of) {
                tick();
                const std::uint64_t now = loop_time(static_cast<sd_event*>(of));
                do {
                    due += period / 1000;
                } while (due <= now);
                return sd_event_source_set_time(self, due);
            },
            loop);
        sd_event_source_set_enabled(timer, SD_EVENT_ON);
    }
    void wait() override { sd_event_run(loop, UINT64_MAX); }
};
const enlist_ticker<sd_ticker> b("sd-event, accuracy 1 us");

} // namespace
