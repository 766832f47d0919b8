// sd-event: sd_event_add_signal() with SD_EVENT_SIGNAL_PROCMASK, which blocks the signal and reads a signalfd.

#include <sys/signalfd.h>
#include <systemd/sd-event.h>

#include <map>

#include "peer.hpp"

namespace {

class sd_event_peer : public peer {
    sd_event* event_ = nullptr;
    std::map<int, sd_event_source*> sources_;

    void on(int sig) override
    {
        const auto callback = [](sd_event_source*, const signalfd_siginfo* info, void*) {
            called(static_cast<int>(info->ssi_signo), {true, static_cast<int>(info->ssi_pid),
                                                       static_cast<int>(info->ssi_uid), info->ssi_code, info->ssi_int});
            return 0;
        };
        if (sd_event_add_signal(event_, &sources_[sig], sig | SD_EVENT_SIGNAL_PROCMASK, callback, nullptr) < 0)
            throw std::logic_error("sd_event_add_signal failed");
    }
    void off(int sig) override
    {
        sd_event_source_disable_unref(sources_.at(sig));
        sources_.erase(sig);
    }
    bool turn(int ms) override
    {
        mark();
        return sd_event_run(event_, static_cast<std::uint64_t>(ms) * 1000) >= 0;
    }

public:
    sd_event_peer() { sd_event_default(&event_); }
};

} // namespace

int main()
{
    sd_event_peer asked;
    return serve(asked);
}
