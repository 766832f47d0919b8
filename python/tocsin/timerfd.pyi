from ._tocsin import (
    CLOCK_BOOTTIME as CLOCK_BOOTTIME,
    CLOCK_BOOTTIME_ALARM as CLOCK_BOOTTIME_ALARM,
    CLOCK_MONOTONIC as CLOCK_MONOTONIC,
    CLOCK_REALTIME as CLOCK_REALTIME,
    CLOCK_REALTIME_ALARM as CLOCK_REALTIME_ALARM,
    TFD_CLOEXEC as TFD_CLOEXEC,
    TFD_NONBLOCK as TFD_NONBLOCK,
    TFD_TIMER_ABSTIME as TFD_TIMER_ABSTIME,
    TFD_TIMER_CANCEL_ON_SET as TFD_TIMER_CANCEL_ON_SET,
    Interval as Interval,
    Tick as Tick,
    Timer as Timer,
    TimerQueue as TimerQueue,
    timerfd_create as timerfd_create,
    timerfd_gettime as timerfd_gettime,
    timerfd_gettime_ns as timerfd_gettime_ns,
    timerfd_settime as timerfd_settime,
    timerfd_settime_ns as timerfd_settime_ns,
)

__all__ = [
    "CLOCK_BOOTTIME",
    "CLOCK_BOOTTIME_ALARM",
    "CLOCK_MONOTONIC",
    "CLOCK_REALTIME",
    "CLOCK_REALTIME_ALARM",
    "Interval",
    "TFD_CLOEXEC",
    "TFD_NONBLOCK",
    "TFD_TIMER_ABSTIME",
    "TFD_TIMER_CANCEL_ON_SET",
    "Tick",
    "Timer",
    "TimerQueue",
    "create",
    "gettime",
    "gettime_ns",
    "settime",
    "settime_ns",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_gettime_ns",
    "timerfd_settime",
    "timerfd_settime_ns",
]

create = timerfd_create
settime = timerfd_settime
settime_ns = timerfd_settime_ns
gettime = timerfd_gettime
gettime_ns = timerfd_gettime_ns
