// GLib: g_unix_signal_add().

#include <glib-unix.h>

#include <map>

#include "peer.hpp"

namespace {

class glib_peer : public peer {
    std::map<int, guint> sources_;

    void on(int sig) override
    {
        const auto callback = [](gpointer got) -> gboolean {
            called(GPOINTER_TO_INT(got));
            return G_SOURCE_CONTINUE;
        };
        sources_[sig] = g_unix_signal_add(sig, callback, GINT_TO_POINTER(sig));
    }
    void off(int sig) override
    {
        g_source_remove(sources_.at(sig));
        sources_.erase(sig);
    }
    bool turn(int ms) override
    {
        const auto expired = [](gpointer done) -> gboolean {
            *static_cast<bool*>(done) = true;
            return G_SOURCE_REMOVE;
        };
        bool done = false;
        const guint timer = g_timeout_add(static_cast<guint>(ms), expired, &done);
        mark();
        g_main_context_iteration(nullptr, TRUE);
        if (!done)
            g_source_remove(timer);
        return true;
    }
    // Its signals come through a thread, which fork() does not copy.
    bool usable_in_child() const override { return false; }
};

} // namespace

int main()
{
    glib_peer asked;
    return serve(asked);
}
