#include <event2/event.h>

#include <csignal>

#include "subject.hpp"

namespace {

struct libevent : subject {
    event_base* base = event_base_new();

    libevent()
    {
        event* const made = evsignal_new(
            base, SIGUSR1, [](evutil_socket_t, short, void*) { ++callbacks; }, nullptr);
        event_add(made, nullptr);
    }
    void turn() override { event_base_loop(base, EVLOOP_NONBLOCK); }
    void wait() override { event_base_loop(base, EVLOOP_ONCE); }
};
const enlist<libevent> a("libevent");

} // namespace
