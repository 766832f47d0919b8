import sys
from collections.abc import Callable, Iterable
from signal import (
    Handlers as Handlers,
    ITIMER_PROF as ITIMER_PROF,
    ITIMER_REAL as ITIMER_REAL,
    ITIMER_VIRTUAL as ITIMER_VIRTUAL,
    ItimerError as ItimerError,
    NSIG as NSIG,
    SIGABRT as SIGABRT,
    SIGALRM as SIGALRM,
    SIGBUS as SIGBUS,
    SIGCHLD as SIGCHLD,
    SIGCLD as SIGCLD,
    SIGCONT as SIGCONT,
    SIGFPE as SIGFPE,
    SIGHUP as SIGHUP,
    SIGILL as SIGILL,
    SIGINT as SIGINT,
    SIGIO as SIGIO,
    SIGIOT as SIGIOT,
    SIGKILL as SIGKILL,
    SIGPIPE as SIGPIPE,
    SIGPOLL as SIGPOLL,
    SIGPROF as SIGPROF,
    SIGPWR as SIGPWR,
    SIGQUIT as SIGQUIT,
    SIGRTMAX as SIGRTMAX,
    SIGRTMIN as SIGRTMIN,
    SIGSEGV as SIGSEGV,
    SIGSTOP as SIGSTOP,
    SIGSYS as SIGSYS,
    SIGTERM as SIGTERM,
    SIGTRAP as SIGTRAP,
    SIGTSTP as SIGTSTP,
    SIGTTIN as SIGTTIN,
    SIGTTOU as SIGTTOU,
    SIGURG as SIGURG,
    SIGUSR1 as SIGUSR1,
    SIGUSR2 as SIGUSR2,
    SIGVTALRM as SIGVTALRM,
    SIGWINCH as SIGWINCH,
    SIGXCPU as SIGXCPU,
    SIGXFSZ as SIGXFSZ,
    SIG_BLOCK as SIG_BLOCK,
    SIG_DFL as SIG_DFL,
    SIG_IGN as SIG_IGN,
    SIG_SETMASK as SIG_SETMASK,
    SIG_UNBLOCK as SIG_UNBLOCK,
    Sigmasks as Sigmasks,
    Signals as Signals,
    default_int_handler as default_int_handler,
    struct_siginfo as struct_siginfo,
)
from types import FrameType
from typing import Any, Union

from typing_extensions import SupportsIndex, TypeAlias

from ._tocsin import (
    Event,
    alarm as alarm,
    getitimer as getitimer,
    pause as pause,
    pidfd_send_signal as pidfd_send_signal,
    pthread_kill as pthread_kill,
    raise_signal as raise_signal,
    set_wakeup_fd as set_wakeup_fd,
    setitimer as setitimer,
    siginterrupt as siginterrupt,
    sigtimedwait as sigtimedwait,
    sigwaitinfo as sigwaitinfo,
    strsignal as strsignal,
)

if sys.version_info >= (3, 11):
    SIGSTKFLT: Signals

# One that must be given a third argument gets the event.
_Handler: TypeAlias = Union[
    Callable[[int, FrameType | None], Any],
    Callable[[int, FrameType | None, Event], Any],
    Handlers,
    int,
]

def signal(signalnum: SupportsIndex, handler: _Handler) -> _Handler | None: ...
def getsignal(signalnum: SupportsIndex) -> _Handler | None: ...
def pthread_sigmask(how: SupportsIndex, mask: Iterable[SupportsIndex]) -> set[Signals | int]: ...
def sigpending() -> set[Signals | int]: ...
def sigwait(sigset: Iterable[SupportsIndex]) -> Signals | int: ...
def valid_signals() -> set[Signals | int]: ...
