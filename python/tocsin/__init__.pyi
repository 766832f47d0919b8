from ._preserve import preserve as preserve
from ._tocsin import (
    Event as Event,
    Inbox as Inbox,
    Interval as Interval,
    Subscription as Subscription,
    Tick as Tick,
    Timer as Timer,
    TimerQueue as TimerQueue,
    add_wakeup_fd as add_wakeup_fd,
    defer as defer,
    on as on,
    pidfd_open as pidfd_open,
    remove_wakeup_fd as remove_wakeup_fd,
    sigqueue as sigqueue,
)

def install() -> None: ...
def uninstall() -> None: ...
