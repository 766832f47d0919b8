#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.hpp"
#include "subject.hpp"

namespace {

struct raw_timerfd : ticker {
    int poll = ::epoll_create1(EPOLL_CLOEXEC);
    int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    raw_timerfd()
    {
        epoll_event wanted{};
        wanted.events = EPOLLIN;
        ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted);
        const itimerspec every{{0, period}, {0, period}};
        begin();
        ::timerfd_settime(fd, 0, &every, nullptr);
    }
    void wait() override
    {
        epoll_event ready;
        std::uint64_t ticks = 0;
        if (::epoll_wait(poll, &ready, 1, -1) == 1 && ::read(fd, &ticks, sizeof ticks) == sizeof ticks)
            tick();
    }
};
const enlist_ticker<raw_timerfd> a("raw timerfd and epoll");

} // namespace
