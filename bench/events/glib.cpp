#include <glib-unix.h>

#include <csignal>

#include "subject.hpp"

namespace {

struct glib : subject {
    glib()
    {
        const auto callback = [](gpointer) -> gboolean {
            ++callbacks;
            return G_SOURCE_CONTINUE;
        };
        g_unix_signal_add(SIGUSR1, callback, nullptr);
    }
    void turn() override { g_main_context_iteration(nullptr, FALSE); }
    void wait() override { g_main_context_iteration(nullptr, TRUE); }
};
const enlist<glib> a("GLib");

} // namespace
