"""Timers: the kernel's own as descriptors, and any number of them on one.

timerfd_create() and its companions are those of the module os of Python 3.13, on every version: the same arguments,
results and errors. They have short names too: timerfd.create(), timerfd.settime() ...

TimerQueue has any number of timers on one descriptor, for an event loop or a thread of its own; Interval has ticks that
do not drift.
"""

from ._tocsin import (  # noqa: F401
    CLOCK_BOOTTIME,
    CLOCK_BOOTTIME_ALARM,
    CLOCK_MONOTONIC,
    CLOCK_REALTIME,
    CLOCK_REALTIME_ALARM,
    TFD_CLOEXEC,
    TFD_NONBLOCK,
    TFD_TIMER_ABSTIME,
    TFD_TIMER_CANCEL_ON_SET,
    Interval,
    Tick,
    Timer,
    TimerQueue,
    timerfd_create,
    timerfd_gettime,
    timerfd_gettime_ns,
    timerfd_settime,
    timerfd_settime_ns,
)

create = timerfd_create
settime = timerfd_settime
settime_ns = timerfd_settime_ns
gettime = timerfd_gettime
gettime_ns = timerfd_gettime_ns

__all__ = [_name for _name in dir() if not _name.startswith("_")]
