"""The standard module ``signal``, on tocsin's engine.

Every name and every function of the standard module of the running version, with the same arguments, results and errors:
``from tocsin import signal`` instead of ``import signal``. Its documentation is
https://docs.python.org/3/library/signal.html; what is better here is told in docs/python.md.

A handler that must be given a third argument gets a tocsin.Event.
"""

import signal as _standard

from . import _tocsin
from ._tocsin import (  # noqa: F401
    alarm,
    getitimer,
    pause,
    pidfd_send_signal,
    pthread_kill,
    raise_signal,
    set_wakeup_fd,
    setitimer,
    siginterrupt,
    sigtimedwait,
    sigwaitinfo,
    strsignal,
)

# Constants, enumerations and the types of results and errors are the standard module's own: a value of one module is
# a value of the other.
globals().update(
    {
        name: value
        for name, value in vars(_standard).items()
        if name.isupper() or isinstance(value, type) and not name.startswith("_")
    }
)
default_int_handler = _standard.default_int_handler

_IntEnum = _standard._IntEnum
_int_to_enum = _standard._int_to_enum
_enum_to_int = _standard._enum_to_int
Signals = _standard.Signals
Handlers = _standard.Handlers


def signal(signalnum, handler):
    handler = _tocsin.signal(_enum_to_int(signalnum), _enum_to_int(handler))
    return _int_to_enum(handler, Handlers)


def getsignal(signalnum):
    handler = _tocsin.getsignal(signalnum)
    return _int_to_enum(handler, Handlers)


def pthread_sigmask(how, mask):
    before = _tocsin.pthread_sigmask(how, mask)
    return {_int_to_enum(x, Signals) for x in before}


def sigpending():
    return {_int_to_enum(x, Signals) for x in _tocsin.sigpending()}


def sigwait(sigset):
    return _int_to_enum(_tocsin.sigwait(sigset), Signals)


def valid_signals():
    return {_int_to_enum(x, Signals) for x in _tocsin.valid_signals()}


for _function in signal, getsignal, pthread_sigmask, sigpending, sigwait, valid_signals:
    _function.__doc__ = getattr(_tocsin, _function.__name__).__doc__
    _function.__module__ = "signal"
del _function
