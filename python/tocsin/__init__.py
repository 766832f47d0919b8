"""Signals and timers: none missed, none lost, nothing unsafe. See tocsin.signal."""

from ._preserve import preserve  # noqa: F401
from ._tocsin import (  # noqa: F401
    Event,
    Inbox,
    Interval,
    Subscription,
    Tick,
    Timer,
    TimerQueue,
    add_wakeup_fd,
    defer,
    on,
    pidfd_open,
    remove_wakeup_fd,
    sigqueue,
)


def install():
    """Put tocsin.signal in place of the standard module, for the whole program.

    The functions of the modules signal and _signal are replaced, the modules stay. Handlers that are set are taken over.
    What a module has got by ``from signal import ...`` before stays the standard one's.

    On the main thread of the main interpreter only, else ValueError. A second call changes nothing.
    """
    from . import _replace

    _replace.install()


def uninstall():
    """Undo install(): the functions of signal and _signal are the standard ones again.

    A handler that is set stays with tocsin until the signal is set again.
    """
    from . import _replace

    _replace.uninstall()
