// libevent: evsignal_new().

#include <event2/event.h>

#include <map>

#include "peer.hpp"

namespace {

class libevent_peer : public peer {
    event_base* base_ = event_base_new();
    event* timer_ = evtimer_new(
        base_, [](evutil_socket_t, short, void*) {}, nullptr);
    std::map<int, event*> events_;

    void on(int sig) override
    {
        event* made = evsignal_new(
            base_, sig, [](evutil_socket_t got, short, void*) { called(got); }, nullptr);
        event_add(made, nullptr);
        events_[sig] = made;
    }
    void off(int sig) override
    {
        event_free(events_.at(sig)); // deletes it first
        events_.erase(sig);
    }
    bool turn(int ms) override
    {
        const timeval time{ms / 1000, ms % 1000 * 1000};
        evtimer_add(timer_, &time);
        mark();
        event_base_loop(base_, EVLOOP_ONCE);
        evtimer_del(timer_);
        return true;
    }
    void in_child() override { event_reinit(base_); }
};

} // namespace

int main()
{
    libevent_peer asked;
    return serve(asked);
}
