#!/usr/bin/env python3
"""Asks the standard module and ours the same questions, and compares the answers.

For every interpreter found, three processes: the standard module `signal`; `tocsin.signal` imported in its place; the
standard module after tocsin.install(). Each evaluates CALLS in order, and then looks at every name. A difference
that is not in DELIBERATE is an error. --print shows the answers of one process, one line each.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BIG = 2**40
HUGE = 10**20

# (label, expression). `s` is the module that is asked; the other names are in Child.names().
CALLS = []


def ask(label, expression=None):
    CALLS.append((label, expression or f"s.{label}"))


for each in ("0", "-1", "65", "64", "'x'", "None", "10.0", str(BIG), "True"):
    ask(f"signal({each},nop)")
ask("signal(<Signals.SIGUSR1: 10>,nop)", "s.signal(s.SIGUSR1, nop)")
ask("signal(SIGUSR1,SIG_DFL)", "s.signal(s.SIGUSR1, s.SIG_DFL)")
for each in ("None", "'x'", "2", "5", "1.0", "0.0", "True", "False", "object"):
    ask(f"signal(SIGUSR2,{each})", f"s.signal(s.SIGUSR2, {each})")
for each in ("SIGKILL", "32", "33", "SIGSTOP"):
    number = each if each.isdigit() else f"s.{each}"
    ask(f"signal({each},nop)", f"s.signal({number}, nop)")
    ask(f"signal({each},SIG_DFL)", f"s.signal({number}, s.SIG_DFL)")
    ask(f"signal({each},SIG_IGN)", f"s.signal({number}, s.SIG_IGN)")
ask("signal()")
ask("signal(1)")
ask("signal(1,2,3)")
ask("signal(kw)", "s.signal(signalnum=s.SIGHUP, handler=nop)")
ask("signal(kw) again", "s.signal(handler=s.SIG_IGN, signalnum=s.SIGHUP)")
ask("signal(wrong kw)", "s.signal(sig=1, handler=nop)")
ask("signal(index,nop)", "s.signal(Index(12), nop)")
ask("signal(int,nop)", "s.signal(Int(12), nop)")
ask("signal(12,callable)", "s.signal(12, Callable())")
ask("signal(12,callable with int)", "s.signal(12, CallableInt())")
ask("signal(12,no callable, int)", "s.signal(12, Int(1))")
ask("signal(12,type)", "s.signal(12, dict)")
ask("signal(12,bound)", "s.signal(12, Callable().method)")
ask("signal(12,huge)", f"s.signal(12, {HUGE})")
ask("signal(12,-1)", "s.signal(12, -1)")
ask("signal(12,SIG_DFL)", "s.signal(12, s.SIG_DFL)")
ask("signal(34,nop)", "s.signal(34, nop)")
ask("signal(63,nop)", "s.signal(63, nop)")
ask("signal(63,SIG_DFL)", "s.signal(63, s.SIG_DFL)")
ask("signal(62,SIG_IGN)", "s.signal(62, s.SIG_IGN)")
ask("signal(62,SIG_DFL)", "s.signal(62, s.SIG_DFL)")
for each in (
    "0",
    "65",
    "64",
    "63",
    "62",
    "32",
    "33",
    "-5",
    "'x'",
    "None",
    "10.0",
    str(BIG),
    "Index(10)",
    "Int(10)",
    "True",
):
    ask(f"getsignal({each})")
for each in ("SIGKILL", "SIGSTOP", "SIGINT", "SIGPIPE", "SIGXFSZ", "SIGHUP", "SIGSEGV", "SIGCHLD"):
    ask(f"getsignal({each})", f"s.getsignal(s.{each})")
ask("getsignal()")
ask("getsignal(kw)", "s.getsignal(signalnum=10)")
for each in ("0", "65", "64", "32", "34", "35", "2", "31", "'x'", "", "None", "2.0", str(BIG)):
    ask(f"strsignal({each})")
ask("valid_signals", "sorted(s.valid_signals()), sorted({type(x).__name__ for x in s.valid_signals()})")
ask("valid_signals(1)")
for each in ("-1", "0", "1.5", "'x'", "None", "2147483648", "4294967296", str(HUGE), "", "1, 2"):
    ask(f"alarm({each})")
ask("alarm(kw)", "s.alarm(seconds=1)")
ask("alarm twice", "s.alarm(100), s.alarm(0), s.alarm(0)")
for each in (
    "-1, 0",
    "9, 1",
    "0, -1",
    "0, -1e-9",
    "0, -0.0",
    "0, 'x'",
    "0, nan",
    "0, inf",
    "0, -inf",
    "0, 1e300",
    f"0, {10**30}",
    f"0, -{10**30}",
    "0, 100, -1",
    "0, 100, nan",
    "0, 100, 'x'",
    "0, 100, None",
    "0",
    "",
    "0, 1, 2, 3",
    "'x', 1",
    "1.0, 1",
    "0, None",
    "0, 2**63",
    "0, 9223372036, 0",
    "0, 9223372037, 0",
    "0, 9223372036.8, 0",
    "0, 9223372036.9, 0",
    "0, 0",
):
    ask(f"setitimer({each})", f"rounded(s.setitimer, {each})" if each else "s.setitimer()")
ask("setitimer(0, 100, 0.5)", "rounded(s.setitimer, 0, 100, 0.5)")
ask("setitimer(0, 0) after", "rounded(s.setitimer, 0, 0)")
ask("setitimer(1, 1000, 1e-9)", "s.setitimer(1, 1000, 1e-9), rounded(s.getitimer, 1), s.setitimer(1, 0) and None")
ask("setitimer(1, 1000, Fraction)", "s.setitimer(1, 1000, __import__('fractions').Fraction(1, 2))")
ask("setitimer(1, 0) after", "rounded(s.setitimer, 1, 0)")
ask("setitimer(kw)", "s.setitimer(which=0, seconds=1)")
ask("setitimer(0, True)", "s.setitimer(0, True) and rounded(s.setitimer, 0, 0)")
ask("setitimer(0, Index)", "s.setitimer(0, Index(7)) and rounded(s.setitimer, 0, 0)")
ask("setitimer(0, Float)", "s.setitimer(0, Float(7.5)) and rounded(s.setitimer, 0, 0)")
ask("setitimer(REAL,Decimal(1.5))", "s.setitimer(s.ITIMER_REAL, __import__('decimal').Decimal('1.5'))")
ask("setitimer off", "s.setitimer(0, 0) and None")
for each in ("-1", "0", "1", "2", "3", "'x'", "None", "1.0", "", str(BIG)):
    ask(f"getitimer({each})")
ask("ItimerError", "s.ItimerError.__mro__[:3], s.ItimerError.__name__, s.ItimerError.__module__")
ask("set_wakeup_fd(bad)", "s.set_wakeup_fd(12345)")
ask("set_wakeup_fd(blocking)", "s.set_wakeup_fd(blocking)")
ask(
    "set_wakeup_fd(ok)",
    "s.set_wakeup_fd(nonblocking) , s.set_wakeup_fd(nonblocking) == nonblocking, s.set_wakeup_fd(-1) == nonblocking",
)
for each in (
    "-2",
    "'x'",
    "1.0",
    "None",
    str(BIG),
    f"-{BIG}",
    "2**31",
    "",
    "-1,False",
    "fd=-1",
    "-1,warn_on_full_buffer=0",
    "-1,warn_on_full_buffer='x'",
    "-1,warn=1",
    "Index(-1)",
    "-1,warn_on_full_buffer=Broken()",
):
    ask(f"set_wakeup_fd({each})")
ask("set_wakeup_fd(closed)", "s.set_wakeup_fd(closed())")
for each in (
    "0,1",
    "65,1",
    "-1,1",
    "9,1",
    "9,0",
    "19,1",
    "32,1",
    "33,0",
    "10,0",
    "10,1",
    "64,0",
    "64,1",
    "10,'x'",
    "10,None",
    "10,2.0",
    "'x',1",
    "1.0,1",
    "10",
    "",
    "10,1,1",
    f"10,{BIG}",
    f"{BIG},1",
    "10,True",
):
    ask(f"siginterrupt({each})")
for each in ("0", "65", "-1", "32", "33", "'x'", "None", "10.0", "", str(BIG), "1,2"):
    ask(f"raise_signal({each})")
ask("raise_signal(SIGUSR1) handled", "handled(s.SIGUSR1, lambda: s.raise_signal(s.SIGUSR1))")
ask("raise_signal(64) handled", "handled(64, lambda: s.raise_signal(64))")
ask("raise_signal(kw)", "s.raise_signal(signalnum=0)")
ask("raise_signal raises", "handled(s.SIGUSR1, lambda: s.raise_signal(s.SIGUSR1), KeyError('from the handler'))")
ask("pthread_sigmask(99,[])", "s.pthread_sigmask(99, [])")
for each in (
    "[0]",
    "[65]",
    f"[{2**80}]",
    "[-1]",
    "['x']",
    "[1.0]",
    "[None]",
    "5",
    "None",
    "[32]",
    "[33]",
    "[9, 19]",
    "range(1, 65)",
    "{}",
    "[True]",
    "()",
    "iter([10])",
    "[s.SIGUSR1, 10]",
    "(1/0 for _ in 'x')",
    "'ab'",
    "b'\\n'",
    "[Index(10)]",
    "[Int(10)]",
    f"[-{2**80}]",
):
    for how in ("SIG_BLOCK", "SIG_UNBLOCK"):
        ask(f"pthread_sigmask({how},{each})", f"s.pthread_sigmask(s.{how}, {each})")
    ask(f"pthread_sigmask(SIG_SETMASK,[]) after {each}", "s.pthread_sigmask(s.SIG_SETMASK, [])")
ask("pthread_sigmask('x',[])")
ask("pthread_sigmask(99,5)")
ask("pthread_sigmask('x',5)")
ask("pthread_sigmask()")
ask("pthread_sigmask(0)")
ask("pthread_sigmask(kw)", "s.pthread_sigmask(how=0, mask=[])")
ask("pthread_sigmask handles", "handled(s.SIGUSR1, lambda: blocked(s.SIGUSR1, lambda: kill(s.SIGUSR1)))")
ask("pthread_sigmask raises", "handled(s.SIGUSR1, lambda: blocked(s.SIGUSR1, lambda: kill(s.SIGUSR1)), KeyError('x'))")
ask("pthread_sigmask after", "s.pthread_sigmask(0, [])")
ask("sigpending()")
ask("sigpending(1)")
ask(
    "sigpending with some",
    "blocked((10, 36), lambda: (kill(10), kill(36), s.sigpending(), s.sigwait([10]), s.sigwait([36])))",
)
for each in ("[0]", "5", "None", "['x']", "", "[1], 2", "[65]"):
    ask(f"sigwait({each})")
    ask(f"sigwaitinfo({each})")
ask("sigwait(kw)", "blocked((10,), lambda: (kill(10), s.sigwait(sigset=[10])))")
ask("sigwait([10])", "blocked((10,), lambda: (kill(10), s.sigwait([10])))[-1]")
ask("sigwait([36])", "blocked((36,), lambda: (kill(36), s.sigwait([36])))[-1]")
ask(
    "sigwait({10, 36})",
    "blocked((10, 36), lambda: (kill(36), kill(10), s.sigwait({10, 36}), s.sigwait({10, 36})))[-2:]",
)
ask("sigwaitinfo([10])", "blocked((10,), lambda: (kill(10), s.sigwaitinfo([10])))[-1]")
ask("sigwaitinfo by raise_signal", "blocked((10,), lambda: (s.raise_signal(10), s.sigwaitinfo([10])))[-1]")
ask("sigwaitinfo by alarm", "blocked((14,), lambda: (s.setitimer(0, 0.001), s.sigwaitinfo([14])))[-1]")
ask("sigwaitinfo by child", "blocked((17,), lambda: (child(3), s.sigwaitinfo([17])))[-1].si_status, os.wait()[1]")
ask("sigtimedwait ready", "blocked((10,), lambda: (kill(10), s.sigtimedwait([10], 0)))[-1]")
for each in (
    "0",
    "-1",
    "-0.001",
    "-1e-10",
    "-0.0",
    "nan",
    "inf",
    "-inf",
    "1e300",
    "'x'",
    "None",
    str(10**30),
    f"-{10**30}",
    "0.001",
    "1e-12",
    "True and 0",
    "0, 1",
):
    ask(f"sigtimedwait([10],{each})", f"blocked((10,), lambda: s.sigtimedwait([10], {each}))")
ask("sigtimedwait([10])", "s.sigtimedwait([10])")
ask("sigtimedwait()")
ask("sigtimedwait(5, 0)")
ask("sigtimedwait(5, 'x')")
ask("sigtimedwait([0], -1)")
ask("sigtimedwait(kw)", "s.sigtimedwait(sigset=[], timeout=0)")
ask("sigtimedwait([],0.01)")
ask("sigtimedwait([9],0)")
ask("sigtimedwait raising", "handled(14, lambda: (s.setitimer(0, 0.01), s.sigtimedwait([10], 100)), KeyError('x'))")
ask("sigwaitinfo raising", "handled(14, lambda: (s.setitimer(0, 0.01), s.sigwaitinfo([10])), KeyError('x'))")
ask("sigtimedwait goes on", "handled(14, lambda: (s.setitimer(0, 0.01), s.sigtimedwait([10], 0.2)))")
for each in ("0", "65", "-1", "32", "33", "'x'", "1.0", "None", str(BIG)):
    ask(f"pthread_kill(me,{each})", f"s.pthread_kill(me, {each})")
for each in ("x", "1.0", "None", "[]", "Index(1)", "int", "Callable()"):
    ask(f"pthread_kill({each},0)", f"s.pthread_kill({repr(each) if each == 'x' else each}, 0)")
ask("pthread_kill(me)", "s.pthread_kill(me)")
ask("pthread_kill()")
ask("pthread_kill(me,0,0)", "s.pthread_kill(me, 0, 0)")
ask("pthread_kill kw", "s.pthread_kill(thread_id=me, signalnum=0)")
ask("siginterrupt kw", "s.siginterrupt(signalnum=10, flag=1)")
ask("pthread_kill handled", "handled(s.SIGUSR1, lambda: s.pthread_kill(me, s.SIGUSR1))")
ask("pthread_kill raises", "handled(s.SIGUSR1, lambda: s.pthread_kill(me, s.SIGUSR1), KeyError('x'))")
ask("pthread_kill audited", "audited(lambda: s.pthread_kill(me, 0))")
ask("pthread_kill bad audited", "audited(lambda: s.pthread_kill(me, 99))")
for each in (
    "0,2",
    "0,2,1",
    "-1,0",
    "'x',0",
    "None,0",
    "1.0,0",
    "0,'x'",
    "0,99",
    f"{BIG},0",
    f"0,{BIG}",
    "0,0,None,'x'",
    "0",
    "",
    "0,0,None,0,0",
    "0,0,None,-1",
):
    ask(f"pidfd_send_signal({each})")
ask("pidfd bad", "s.pidfd_send_signal(9999, 0)")
ask("pidfd ok 0", "s.pidfd_send_signal(pidfd, 0)")
ask("pidfd sig 99", "s.pidfd_send_signal(pidfd, 99)")
ask("pidfd sig -1", "s.pidfd_send_signal(pidfd, -1)")
ask("pidfd flags 99", "s.pidfd_send_signal(pidfd, 0, None, 99)")
ask("pidfd handled", "handled(s.SIGUSR1, lambda: s.pidfd_send_signal(pidfd, s.SIGUSR1))")
ask("pidfd kw", "s.pidfd_send_signal(pidfd=pidfd, signalnum=0)")
# Again and again: the first one may come before the call.
ask("pause()", "first(handled(14, lambda: (s.setitimer(0, 0.01, 0.01), s.pause(), s.setitimer(0, 0))[1]))")
ask("pause() raises", "handled(14, lambda: (s.setitimer(0, 0.01), s.pause()), KeyError('x'))")
ask("pause(1)")
for each in ("", "1,2", "1,2,3", "'x',2", "1,None", "1.0,2"):
    ask(f"default_int_handler({each})")
ask("default_int_handler is", "s.default_int_handler is __import__('_signal').default_int_handler is s.getsignal(2)")
for each in (
    "signal(10, nop)",
    "signal(99, nop)",
    "signal('x', nop)",
    "signal(10, 'x')",
    "set_wakeup_fd(-1)",
    "set_wakeup_fd(9999)",
    "set_wakeup_fd('x')",
    "getsignal(10)",
    "siginterrupt(10, 1)",
    "alarm(0)",
    "raise_signal(0)",
    "sigpending()",
    "pthread_sigmask(0, [10])",
    "strsignal(2)",
    "setitimer(1, 0)",
    "getitimer(1)",
    "sigtimedwait([10], 0)",
    "pthread_kill(__import__('threading').get_ident(), 0)",
    "pidfd_send_signal(pidfd, 0)",
):
    ask(f"thread: {each}", f"in_thread(lambda: s.{each})")
ask(
    "constants",
    "s.NSIG, s.SIG_DFL, s.SIG_IGN, s.SIG_BLOCK, s.SIG_UNBLOCK, s.SIG_SETMASK, "
    "s.ITIMER_REAL, s.ITIMER_VIRTUAL, s.ITIMER_PROF",
)
ask("struct_siginfo", "s.struct_siginfo.__module__, s.struct_siginfo.n_fields, s.struct_siginfo.n_sequence_fields")
ask("struct_siginfo(())")
ask("struct_siginfo(range(7))")
ask(
    "aliases",
    "[(n, int(m)) for n, m in s.Signals.__members__.items() if n != m.name], "
    "str(s.SIGIO), s.SIGIOT, s.Signals.__module__",
)
ask("Handlers", "list(s.Handlers), s.Handlers.__module__, list(s.Sigmasks), s.Sigmasks.__module__")
# What handlers see, and in which order.
ask("handler's arguments", "arguments_of_handler()")
ask("a lambda with defaults", "result_of_handler(lambda a, b, c=5: (a, type(b).__name__, c))")
ask("a handler with *args", "result_of_handler(lambda *a: len(a))")
ask("a handler of one parameter", "result_of_handler(lambda a: a)")
ask("a handler of no parameter", "result_of_handler(lambda: 1)")
ask("a handler that is a class", "result_of_handler(Recorder)")
ask("several at once", "several([10, 12, 1, 40, 64, 15])")
ask("several, one raises", "several([10, 12, 1, 15], 10)")
ask("the same three times", "several([10, 10, 10])")
ask("a handler replaced by itself", "replaced_in_handler()")
ask("a handler inside a handler", "nested()")
ask("signal() runs what is due", "drained()")
ask("interrupt_main", "handled(2, lambda: _thread.interrupt_main())")
ask("interrupt_main default", "_thread.interrupt_main() or loop()")
ask("interrupt_main USR1", "handled(10, lambda: _thread.interrupt_main(10)) if sys.version_info >= (3, 10) else None")
ask("interrupt_main unhandled", "_thread.interrupt_main(12) if sys.version_info >= (3, 10) else None")
ask(
    "interrupt_main ignored",
    "s.signal(12, 1), _thread.interrupt_main(12) if sys.version_info >= (3, 10) else None, s.signal(12, 0)",
)
ask("interrupt_main bad", "_thread.interrupt_main(99) if sys.version_info >= (3, 10) else None")
ask("interrupt_main in thread", "handled(2, lambda: in_thread(_thread.interrupt_main))")
ask("KeyboardInterrupt", "kill(2) or loop()")
ask("wakeup bytes", "wakeup([10, 12, 1])")
ask("wakeup bytes of many", "wakeup([10] * 5)")
ask("wakeup bytes RT", "wakeup([36, 64])")
ask("wakeup interrupt_main", "wakeup([2], lambda sig: _thread.interrupt_main())")
ask("wakeup ignored", "wakeup([10], ignore=True)")
ask("wakeup full", "wakeup_full(True)")
ask("wakeup full, silent", "wakeup_full(False)")
ask("wakeup closed", "wakeup_closed(True)")
ask("wakeup closed, silent", "wakeup_closed(False)")
ask("sleep goes on", "handled(14, lambda: (s.setitimer(0, 0.01), slept(0.2)))")
ask("sleep raises", "handled(14, lambda: (s.setitimer(0, 0.01), slept(100)), KeyError('x'))")
ask("read goes on", "handled(14, lambda: (s.setitimer(0, 0.02), read_late()))")
ask("lock goes on", "handled(14, lambda: (s.setitimer(0, 0.01), held().acquire(timeout=0.2)))")
ask("lock raises", "handled(14, lambda: (s.setitimer(0, 0.01), held().acquire()), KeyError('x'))")
ask("siginterrupt False restarts", "restarted()")
ask("flags of the disposition", "flags_of(10)")
ask("flags of it, siginterrupt", "s.siginterrupt(10, False), flags_of(10)")
ask("reset by signal()", "s.signal(10, nop) and None, flags_of(10), s.signal(10, 0) and None")
ask("fork", "in_fork(lambda: (s.getsignal(2), s.getsignal(10), s.sigpending()))")
ask("fork handles", "in_fork(lambda: handled(10, lambda: kill(10)))")
ask("fork drops what was pending", "fork_drops()")
ask(
    "fork keeps the wakeup descriptor",
    "s.set_wakeup_fd(nonblocking) and in_fork(lambda: s.set_wakeup_fd(-1) == nonblocking), "
    "s.set_wakeup_fd(-1) and None",
)
ask("exec resets", "status_of('import signal; print(signal.getsignal(10), signal.getsignal(12))', {10: nop, 12: 1})")
ask("exit by KeyboardInterrupt", "status_of('import os, signal; os.kill(os.getpid(), 2)\\nwhile True: pass')")
ask(
    "exit by SystemExit in a handler",
    "status_of('import os, signal, sys; signal.signal(10, lambda *a: sys.exit(7)); "
    "os.kill(os.getpid(), 10)\\nwhile True: pass')",
)
ask(
    "exit by an exception",
    "status_of('import os, signal, sys; signal.signal(10, lambda *a: 1 / 0); "
    "os.kill(os.getpid(), 10)\\nwhile True: pass')",
)
ask("exit by SIGTERM", "status_of('import os; os.kill(os.getpid(), 15)')")
ask(
    "pending at the exit",
    "status_of('import os, signal, atexit; signal.signal(10, lambda *a: print(a[0])); "
    "atexit.register(os.kill, os.getpid(), 10)')",
)
ask("getsignal at the exit", "status_of(AT_EXIT)")
ask("foreign disposition", "foreign(12)")
ask("faulthandler chain", "chained()")


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Int:
    def __init__(self, value):
        self.value = value

    def __int__(self):
        return self.value


class Float(float):
    pass


class Callable:
    def __call__(self, *arguments):
        return None

    def method(self, sig, frame):
        return None


class CallableInt(Callable, Int):
    def __init__(self):
        self.value = 0


class Broken:
    def __bool__(self):
        raise KeyError("no truth")


class Recorder:
    seen = []

    def __init__(self, *arguments):
        self.seen.append(len(arguments))


AT_EXIT = """
import signal, atexit
class Late:
    def __del__(self): print(late(10), late(2), late(12), late(9))
late = signal.getsignal
signal.signal(10, lambda *a: None)
keep = Late()
import builtins; builtins.keep = keep
del keep
"""


class Child:
    """Evaluates CALLS, in a process of its own."""

    def __init__(self, mode):
        import signal

        if mode != "stock":
            import tocsin
        if mode == "imported":
            from tocsin import signal
        if mode == "installed":
            tocsin.install()
        self.mode = mode
        self.s = signal

    def names(self):
        import _thread
        import threading

        names = {name: getattr(self, name) for name in dir(self) if not name.startswith("__")}
        names.update({name: value for name, value in globals().items() if isinstance(value, type) or name == "AT_EXIT"})
        self.read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        names.update(
            nop=lambda signum, frame: None,
            os=os,
            sys=sys,
            _thread=_thread,
            nan=float("nan"),
            inf=float("inf"),
            blocking=self.read_end,
            nonblocking=write_end,
            me=threading.get_ident(),
            kill=lambda sig: os.kill(os.getpid(), sig),
            pidfd=os.pidfd_open(os.getpid()),
        )
        self.nonblocking = write_end
        return names

    def run(self):
        import threading
        import warnings

        names = self.names()
        # One that all other threads would block; and an idle thread must not make a difference.
        assert threading.active_count() == 1
        for label, expression in CALLS:
            self.s.setitimer(0, 0)
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                try:
                    value = eval(expression, names)
                    answer = f"OK {type(value).__name__} {value!r}"
                except BaseException as problem:
                    answer = f"{type(problem).__name__}: {problem}"
            answer += "".join(f" | {each.category.__name__}: {each.message}" for each in warned)
            self.say(label, answer)
        self.look()

    def say(self, label, answer):
        answer = re.sub(r"0x[0-9a-f]{6,}", "0xADDRESS", answer)
        answer = re.sub(rf"\b{os.getpid()}\b", "PID", answer)
        print(json.dumps([label, answer]), flush=True)

    def look(self):
        """Every name of the module, what it is, and what it says of itself."""
        import inspect

        for name in sorted(vars(self.s)):
            value = getattr(self.s, name)
            if name.startswith("__") or inspect.ismodule(value) or name == "_replaced_by_tocsin":
                continue
            what = [type(value).__name__, getattr(value, "__module__", None), getattr(value, "__qualname__", None)]
            if callable(value) and not isinstance(value, type):
                try:
                    what.append(str(inspect.signature(value)))
                except ValueError:
                    what.append("no signature")
                what.append("documented" if getattr(value, "__doc__", None) else "not documented")
                what.append(getattr(value, "__text_signature__", None))
            elif isinstance(value, int):
                what.append(repr(value))
            self.say(f"name {name}", repr(what))

    def rounded(self, function, *arguments):
        return tuple(round(each, 2) for each in function(*arguments))

    def closed(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        os.close(write_end)
        return write_end

    def handled(self, sig, body, error=None):
        got = []

        def handler(signum, frame):
            got.append((type(signum).__name__, int(signum), frame is not None))
            if error is not None:
                raise error

        before = self.s.signal(sig, handler)
        try:
            try:
                result = body()
            except KeyError as problem:
                result = repr(problem)
            self.settle()
            return got, result, self.s.getsignal(sig) is handler
        finally:
            self.s.signal(sig, before)

    def first(self, answer):
        """Of handled(), where there may have been several signals."""
        got, *others = answer
        return got[:1], *others

    def settle(self):
        for _ in range(100):
            pass

    def blocked(self, sigs, body):
        sigs = sigs if isinstance(sigs, tuple) else (sigs,)
        self.s.pthread_sigmask(self.s.SIG_BLOCK, sigs)
        try:
            return body()
        finally:
            self.s.pthread_sigmask(self.s.SIG_UNBLOCK, sigs)

    def child(self, status):
        pid = os.fork()
        if pid == 0:
            os._exit(status)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    def audited(self, body):
        seen = []
        on = [True]
        sys.addaudithook(
            lambda name, arguments: seen.append((name, arguments[1:])) if on and name.startswith("signal.") else None
        )
        try:
            body()
        except OSError as problem:
            seen.append(str(problem))
        on.clear()
        return seen

    def end(self, thread):
        """Until the kernel has forgotten it too: it could take a signal that the main thread blocks."""
        thread.join()
        while os.path.exists(f"/proc/self/task/{thread.native_id}"):
            pass

    def in_thread(self, body):
        import threading

        result = []

        def run():
            try:
                value = body()
                result.append(f"{type(value).__name__} {value!r}")
            except BaseException as problem:
                result.append(f"{type(problem).__name__}: {problem}")

        thread = threading.Thread(target=run)
        thread.start()
        self.end(thread)
        return result[0]

    def arguments_of_handler(self):
        seen = []

        def handler(signum, frame):
            seen.append((type(signum).__name__, signum, frame.f_code.co_name, frame is sys._getframe(1)))

        self.s.signal(10, handler)
        os.kill(os.getpid(), 10)
        self.settle()
        self.s.signal(10, self.s.SIG_DFL)
        return seen

    def result_of_handler(self, handler):
        seen = []

        def outer(*arguments):
            try:
                seen.append(repr(handler(*arguments)).split(" object")[0])
            except TypeError as problem:
                seen.append(str(problem))

        self.s.signal(10, outer if handler is not Recorder else handler)
        try:
            os.kill(os.getpid(), 10)
            self.settle()
            return seen, Recorder.seen
        finally:
            self.s.signal(10, self.s.SIG_DFL)

    def several(self, sigs, raising=None):
        seen = []

        def handler(signum, frame):
            seen.append(signum)
            if signum == raising:
                raise KeyError(signum)

        for sig in sigs:
            self.s.signal(sig, handler)
        caught = None
        try:
            self.s.pthread_sigmask(self.s.SIG_BLOCK, sigs)
            for sig in sigs:
                os.kill(os.getpid(), sig)
            try:
                self.s.pthread_sigmask(self.s.SIG_UNBLOCK, sigs)
                self.settle()
            except KeyError as problem:
                caught = repr(problem)
                seen.append("except")
            self.settle()
        finally:
            for sig in sigs:
                self.s.signal(sig, self.s.SIG_DFL)
        return seen, caught

    def replaced_in_handler(self):
        seen = []

        def second(signum, frame):
            seen.append("second")

        def first(signum, frame):
            seen.append("first")
            seen.append(self.s.signal(10, second) is first)

        self.s.signal(10, first)
        for _ in range(2):
            os.kill(os.getpid(), 10)
            self.settle()
        return seen, self.s.signal(10, self.s.SIG_DFL) is second

    def nested(self):
        seen = []

        def handler(signum, frame):
            seen.append(len(seen))
            if len(seen) < 5:
                os.kill(os.getpid(), 10)
                self.settle()
                seen.append("back")

        self.s.signal(10, handler)
        os.kill(os.getpid(), 10)
        self.settle()
        self.s.signal(10, self.s.SIG_DFL)
        return seen

    def drained(self):
        seen = []
        self.s.signal(10, lambda *_: seen.append("old"))
        os.kill(os.getpid(), 10), self.s.signal(10, self.s.SIG_IGN)
        seen.append("set")
        self.settle()
        self.s.signal(10, self.s.SIG_DFL)
        return seen

    def loop(self):
        for _ in range(10**7):
            pass
        return "not interrupted"

    def wakeup(self, sigs, send=None, ignore=False):
        before = {}
        for sig in sigs:
            before.setdefault(sig, self.s.signal(sig, self.s.SIG_IGN if ignore else lambda *_: None))
        old = self.s.set_wakeup_fd(self.nonblocking)
        for sig in sigs:
            (send or (lambda sig: os.kill(os.getpid(), sig)))(sig)
            self.settle()
        self.s.set_wakeup_fd(old)
        for sig, handler in before.items():
            self.s.signal(sig, handler)
        os.set_blocking(self.read_end, False)
        try:
            return os.read(self.read_end, 1000)
        except BlockingIOError:
            return None
        finally:
            os.set_blocking(self.read_end, True)

    def unraisable(self, body):
        import io

        hooked = []
        sys.unraisablehook = lambda it: hooked.append((it.exc_type.__name__, str(it.exc_value), it.err_msg, it.object))
        stderr, sys.stderr = sys.stderr, io.StringIO()
        try:
            body()
            self.settle()
            return hooked, sys.stderr.getvalue()
        finally:
            sys.stderr = stderr
            sys.unraisablehook = sys.__unraisablehook__

    def wakeup_full(self, warn):
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        try:
            while True:
                os.write(write_end, b"x" * 65536)
        except BlockingIOError:
            pass
        self.s.signal(10, lambda *_: None)
        self.s.set_wakeup_fd(write_end, warn_on_full_buffer=warn)
        try:
            return self.unraisable(lambda: os.kill(os.getpid(), 10))
        finally:
            self.s.set_wakeup_fd(-1)
            self.s.signal(10, self.s.SIG_DFL)
            os.close(read_end)
            os.close(write_end)

    def wakeup_closed(self, warn):
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        self.s.signal(10, lambda *_: None)
        self.s.set_wakeup_fd(write_end, warn_on_full_buffer=warn)
        os.close(read_end)
        os.close(write_end)
        try:
            return self.unraisable(lambda: os.kill(os.getpid(), 10))
        finally:
            self.s.set_wakeup_fd(-1)
            self.s.signal(10, self.s.SIG_DFL)

    def slept(self, seconds):
        import time

        begin = time.monotonic()
        time.sleep(seconds)
        return time.monotonic() - begin >= seconds

    def read_late(self):
        import threading

        read_end, write_end = os.pipe()

        def write():
            self.s.sigtimedwait([], 0.2)
            os.write(write_end, b"late")

        thread = threading.Thread(target=write)
        thread.start()
        try:
            return os.read(read_end, 10)
        finally:
            self.end(thread)
            os.close(read_end)
            os.close(write_end)

    def held(self):
        import threading

        lock = threading.Lock()
        lock.acquire()
        return lock

    def restarted(self):
        """A handler with SA_RESTART does not end read(), so it runs when that has returned."""
        import threading

        seen = []
        read_end, write_end = os.pipe()
        self.s.signal(10, lambda *_: seen.append("handler"))
        self.s.siginterrupt(10, False)

        def send():
            self.s.pthread_kill(threading.main_thread().ident, 10)
            self.s.sigtimedwait([], 0.05)
            seen.append("write")
            os.write(write_end, b"x")

        thread = threading.Thread(target=send)
        thread.start()
        os.read(read_end, 1)
        self.settle()
        self.end(thread)
        self.s.signal(10, self.s.SIG_DFL)
        os.close(read_end)
        os.close(write_end)
        return sorted(seen)

    def flags_of(self, sig):
        """SA_RESTART of the disposition, as the C library tells it."""
        import ctypes

        raw = ctypes.create_string_buffer(152)
        ctypes.CDLL(None).sigaction(sig, None, raw)
        flags = int.from_bytes(raw.raw[136:140], "little")
        return bool(flags & 0x10000000)

    def in_fork(self, body):
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                answer = repr(body())
            except BaseException as problem:
                answer = repr(problem)
            os.write(write_end, answer.encode())
            os._exit(0)
        os.close(write_end)
        with open(read_end) as file:
            answer = file.read()
        status = os.waitpid(pid, 0)[1]
        return answer, status

    def fork_drops(self):
        seen = []
        self.s.signal(10, lambda *_: seen.append(10))
        self.s.pthread_sigmask(self.s.SIG_BLOCK, [10])
        os.kill(os.getpid(), 10)
        answer = self.in_fork(lambda: (self.s.pthread_sigmask(self.s.SIG_UNBLOCK, [10]), list(seen)))
        self.s.pthread_sigmask(self.s.SIG_UNBLOCK, [10])
        self.s.signal(10, self.s.SIG_DFL)
        return answer, seen

    def status_of(self, program, handlers=()):
        """A program of its own, with the same module in the place of `signal`."""
        for sig, handler in dict(handlers).items():
            self.s.signal(sig, handler)
        head = "" if self.mode == "stock" else "import tocsin; tocsin.install()\n"
        done = subprocess.run([sys.executable, "-c", head + program], capture_output=True, text=True, timeout=60)
        for sig in dict(handlers):
            self.s.signal(sig, self.s.SIG_DFL)
        # The line numbers of a traceback are those of the program.
        return done.returncode, done.stdout, re.sub(r"line \d+", "line N", done.stderr)

    def foreign(self, sig):
        """What other code has set is not told of."""
        import ctypes

        libc = ctypes.CDLL(None)
        libc.signal.restype = ctypes.c_void_p
        libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        libc.signal(sig, 1)
        before = self.s.getsignal(sig)
        previous = self.s.signal(sig, lambda *_: None)
        self.s.signal(sig, self.s.SIG_DFL)
        return before, previous

    def chained(self):
        import faulthandler
        import tempfile

        seen = []
        self.s.signal(12, lambda signum, frame: seen.append(signum))
        with tempfile.TemporaryFile() as file:
            faulthandler.register(12, file=file, chain=True)
            os.kill(os.getpid(), 12)
            self.settle()
            faulthandler.unregister(12)
            file.seek(0)
            written = b"Current thread" in file.read()
        os.kill(os.getpid(), 12)
        self.settle()
        self.s.signal(12, self.s.SIG_DFL)
        return seen, written


# (labels, the stock answer, ours, why), the first three as regular expressions that match the whole.
DELIBERATE = [
    (
        r"pthread_sigmask\(SIG_UNBLOCK,range\(1, 65\)\)",
        r"OK set .*SIGURG.* 60, 61, 62, 63, .*",
        r"OK set (?!.*(SIGURG| 60, 61, 62, 63, )).*",
        "the signals that interrupt what waits are not blocked with all the others (nudge_signals())",
    ),
    (
        r"fork keeps the wakeup descriptor",
        r"OK tuple \(\('True', 0\), None\)",
        r"OK tuple \(\('False', 0\), None\)",
        "in a forked child the wakeup descriptor, whose reader is the parent, is off",
    ),
    (
        r".*kw\)?",
        r"TypeError: _signal\.(\w+\(\) takes no keyword arguments)",
        r"TypeError: (\w+\(\) takes no keyword arguments)",
        "the stable interface names no module there",
    ),
    (
        r"name set_wakeup_fd",
        r".*'no signature', 'documented', None\]",
        r".*'\(fd, /, \*, warn_on_full_buffer=True\)', 'documented', .*",
        "ours tells its parameters on every version",
    ),
    (
        r"wakeup (full|closed|closed, silent)",
        r".*, 'Exception ignored when trying to write to the signal wakeup fd', None\)\], ''\)",
        r".*, None, None\)\], 'Exception ignored when trying to write to the signal wakeup fd:\\n'\)",
        "3.12 hands the heading to sys.unraisablehook, by a function that is its own: "
        "here it goes to standard error, as before 3.12",
    ),
]


def deliberate(label, stock, ours):
    return any(
        re.fullmatch(labels, label) and re.fullmatch(theirs, stock) and re.fullmatch(us, ours)
        for labels, theirs, us, _ in DELIBERATE
    )


def answers(interpreter, mode, package):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TOCSIN"))}
    environment["PYTHONPATH"] = str(package)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [interpreter, str(HERE / "differential.py"), "--child", mode],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    told = dict(json.loads(line) for line in done.stdout.splitlines())
    if done.returncode != 0 or done.stderr:
        told["the process"] = f"ended with {done.returncode}, standard error: {done.stderr}"
    return told


def compare(interpreter, package, verbose):
    print(f"{interpreter}:")
    stock = answers(interpreter.executable, "stock", package)
    failures = 0
    for mode in "imported", "installed":
        ours = answers(interpreter.executable, mode, package)
        same = known = 0
        for label in {**stock, **ours}:
            left, right = stock.get(label, "nothing"), ours.get(label, "nothing")
            if left == right:
                same += 1
            elif deliberate(label, left, right):
                known += 1
            else:
                failures += 1
                print(f"  {mode}: {label}\n    stock {left!r}\n    ours  {right!r}")
        print(f"  {mode}: {same} the same, {known} deliberately not")
    return failures


def main():
    if sys.argv[1:2] == ["--child"]:
        Child(sys.argv[2]).run()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--package", type=pathlib.Path, required=True, help="directory with the package tocsin, extension included"
    )
    parser.add_argument("--python", action="append", default=[], help="an interpreter; all there are if not given")
    parser.add_argument("--print", metavar="MODE", choices=["stock", "imported", "installed"], help="print the answers")
    options = parser.parse_args()
    import interpreters

    found = interpreters.find(options.python)
    if options.print:
        for each in found:
            for label, answer in answers(each.executable, options.print, options.package).items():
                print(f"{label:<44} {answer!r}"[:2000])
        return
    failures = sum(compare(each, options.package, True) for each in found)
    if not found:
        sys.exit("no interpreter found")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
