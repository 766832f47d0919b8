// No library: sigaction(), a flag, and a look at the flag before each blocking call.

#include <poll.h>
#include <time.h>

#include "peer.hpp"

namespace {

volatile std::sig_atomic_t flags[65];
siginfo_t infos[65];

class naive_peer : public peer {
    struct sigaction before_[65];

    void on(int sig) override
    {
        struct sigaction action = {};
        action.sa_flags = SA_SIGINFO;
        action.sa_sigaction = [](int got, siginfo_t* info, void*) {
            infos[got] = *info;
            flags[got] = 1;
        };
        ::sigaction(sig, &action, &before_[sig]);
    }
    void off(int sig) override { ::sigaction(sig, &before_[sig], nullptr); }
    bool turn(int ms) override
    {
        for (bool again : {true, false}) {
            bool any = false;
            for (int sig = 1; sig < 65; ++sig) {
                if (flags[sig] == 0)
                    continue;
                any = true;
                flags[sig] = 0;
                const siginfo_t& info = infos[sig];
                called(sig, {true, info.si_pid, static_cast<int>(info.si_uid), info.si_code, info.si_value.sival_int});
            }
            if (any || !again)
                break;
            mark();
            ::poll(nullptr, 0, ms);
        }
        return true;
    }
    std::string sleep(int ms) override
    {
        const timespec time{ms / 1000, ms % 1000 * 1000000L};
        ::nanosleep(&time, nullptr);
        return "ok";
    }
};

} // namespace

int main()
{
    naive_peer asked;
    return serve(asked);
}
