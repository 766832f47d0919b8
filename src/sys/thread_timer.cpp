#include "sys/thread_timer.hpp"

#include "sys/sys.hpp"

namespace tocsin::sys {

int make_thread_timer(int sig, int value) noexcept
{
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = sig;
    event.sigev_value.sival_int = value;
    event._sigev_un._tid = gettid();
    int made = 0;
    const long error =
        raw_syscall(SYS_timer_create, CLOCK_MONOTONIC, reinterpret_cast<long>(&event), reinterpret_cast<long>(&made));
    return error != 0 ? static_cast<int>(error) : made;
}

} // namespace tocsin::sys
