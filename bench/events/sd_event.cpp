#include <systemd/sd-event.h>

#include <csignal>
#include <cstdint>

#include "subject.hpp"

namespace {

struct sd : subject {
    sd_event* loop = nullptr;

    sd()
    {
        const auto callback = [](sd_event_source*, const signalfd_siginfo*, void*) {
            ++callbacks;
            return 0;
        };
        sd_event_default(&loop);

        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGUSR1);
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        sd_event_add_signal(loop, nullptr, SIGUSR1, callback, nullptr);
    }
    void turn() override { sd_event_run(loop, 0); }
    void wait() override { sd_event_run(loop, UINT64_MAX); }
};
const enlist<sd> a("sd-event");

} // namespace
