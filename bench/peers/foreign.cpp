// What other code in the process does: installs a handler of its own, and keeps the thread busy while signals arrive.
// Also loaded by the Python peers, so that everyone is asked with the same machine code.

#include <csignal>
#include <unistd.h>

namespace {
volatile std::sig_atomic_t runs = 0;
}

extern "C" {

int foreign_install(int sig)
{
    struct sigaction action = {};
    action.sa_handler = [](int) { runs = runs + 1; };
    return ::sigaction(sig, &action, nullptr);
}

int foreign_runs() { return runs; }

void send_many(int sig, int count)
{
    for (int i = 0; i < count; ++i)
        ::kill(::getpid(), sig);
}

// Both are pending when the call returns, or have been taken in one go.
void send_both(int one, int other)
{
    sigset_t both, before;
    sigemptyset(&both);
    sigaddset(&both, one);
    sigaddset(&both, other);
    ::pthread_sigmask(SIG_BLOCK, &both, &before);
    ::kill(::getpid(), one);
    ::kill(::getpid(), other);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}
}
