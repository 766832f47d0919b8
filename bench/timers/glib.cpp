#include <glib.h>

#include <vector>

#include "workload.hpp"

namespace {

// Sources with a ready time, of which GLib's own time-outs are made: those that are made once and moved cost the least.
struct glib : usual_queue {
    struct source {
        GSource base;
        std::size_t which;
    };

    GMainContext* context = g_main_context_default();
    std::vector<GSource*> timers;
    GSourceFuncs functions{nullptr, nullptr, &expired, nullptr, nullptr, nullptr};

    explicit glib(std::size_t count)
        : timers(count)
    {
        g_main_context_acquire(context);
        for (std::size_t n = 0; n < count; ++n) {
            timers[n] = g_source_new(&functions, sizeof(source));
            reinterpret_cast<source*>(timers[n])->which = n;
            g_source_attach(timers[n], context);
        }
    }
    static gboolean expired(GSource* self, GSourceFunc, gpointer)
    {
        g_source_set_ready_time(self, -1);
        workload<glib>::expired(reinterpret_cast<source*>(self)->which);
        return G_SOURCE_CONTINUE;
    }
    void schedule(std::size_t which, std::int64_t delay)
    {
        g_source_set_ready_time(timers[which], g_get_monotonic_time() + in_units_of(1000, delay));
    }
    void reschedule(std::size_t which, std::int64_t delay) { schedule(which, delay); }
    void open(std::size_t which) { schedule(which, idle_time); }
    void touch(std::size_t which) { schedule(which, idle_time); }
    void cancel(std::size_t which) { g_source_set_ready_time(timers[which], -1); }
    void turn() { g_main_context_iteration(context, FALSE); }
};
const enlist_queue<glib> a("GLib", 10'000);

struct glib_ticker : ticker {
    glib_ticker()
    {
        const auto callback = [](gpointer) -> gboolean {
            tick();
            return G_SOURCE_CONTINUE;
        };
        begin();
        g_timeout_add(period / 1'000'000, callback, nullptr);
    }
    void wait() override { g_main_context_iteration(nullptr, TRUE); }
};
const enlist_ticker<glib_ticker> b("GLib");

} // namespace
