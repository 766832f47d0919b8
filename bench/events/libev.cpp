#include <ev.h>

#include <csignal>

#include "subject.hpp"

namespace {

template <unsigned Flags>
struct libev : subject {
    struct ev_loop* loop = ev_default_loop(Flags);
    ev_signal watcher;

    libev()
    {
        ev_signal_init(
            &watcher, [](struct ev_loop*, ev_signal*, int) { ++callbacks; }, SIGUSR1);
        ev_signal_start(loop, &watcher);
    }
    void turn() override { ev_run(loop, EVRUN_NOWAIT); }
    void wait() override { ev_run(loop, EVRUN_ONCE); }
};
const enlist<libev<EVFLAG_AUTO>> a("libev");
const enlist<libev<EVFLAG_SIGNALFD>> b("libev with signalfd");

} // namespace
