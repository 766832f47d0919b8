"""The Python peers: the signal module alone ("signal") and asyncio's add_signal_handler ("asyncio"). See peer.cpp."""

import asyncio
import ctypes
import os
import select
import selectors
import signal
import sys
import threading
import time

# Machine code for what other code does: the interpreter must not get a word in between two signals.
foreign = ctypes.CDLL(sys.argv[2])


class AsAsked(Exception):
    pass


class Peer:
    def __init__(self):
        self.records = {}
        self.throws = 0

    def called(self, sig):
        one = self.records.setdefault(sig, [0, 0])
        one[0] += 1
        one[1] = one[1] or time.monotonic_ns()
        if self.throws == sig:
            self.throws = 0
            raise AsAsked

    def total(self):
        return sum(one[0] for one in self.records.values())

    def turns(self, ms, until_called):
        before, start = self.total(), time.monotonic()
        try:
            while True:
                self.turn(max(0.0, ms / 1000 - (time.monotonic() - start)))
                if time.monotonic() - start >= ms / 1000 or (until_called and self.total() != before):
                    return str((time.monotonic() - start) * 1000)
        except AsAsked:
            return "threw"

    def fork_signal(self, sig):
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), sig)
            os._exit(0)
        os.waitpid(pid, 0)
        return "ok"

    def start_thread(self):
        started = threading.Thread(target=threading.Event().wait, daemon=True)
        started.start()
        return str(started.native_id)

    def off_race(self, sig, us):
        os.write(1, b"ready\n")
        start = time.monotonic()
        while time.monotonic() - start < us / 1e6:
            self.turn(0)
        self.off(sig)
        return "ok"

    def timer(self, seconds):
        try:
            self.arm(seconds)
        except (ValueError, OverflowError, OSError):
            return "refused"
        self.turns(300, True)
        return "fired" if self.total() else "silent"

    def obey(self, command, *words):
        if command == "timer":
            return self.timer(float(words[0]))
        numbers = [int(word) for word in words]
        if command in ("on", "off"):
            getattr(self, command)(*numbers)
        elif command in ("run", "wait"):
            return self.turns(*numbers, command == "wait")
        elif command == "count":
            return " ".join(map(str, self.records.get(numbers[0], [0, 0])))
        elif command == "reset":
            self.records = {}
        elif command == "throw":
            self.throws = numbers[0]
        elif command == "thread":
            return self.start_thread()
        elif command == "fork_signal":
            return self.fork_signal(numbers[0])
        elif command == "off_race":
            return self.off_race(*numbers)
        elif command == "foreign":
            foreign.foreign_install(*numbers)
        elif command == "foreign_runs":
            return str(foreign.foreign_runs())
        elif command == "send":
            foreign.send_many(*numbers)
        elif command == "send_both":
            foreign.send_both(*numbers)
        elif command in ("sleep", "timed_wait") and hasattr(self, command):
            return getattr(self, command)(*numbers)
        else:
            return "no"
        return "ok"

    def serve(self):
        line = b""
        while True:
            byte = os.read(0, 1)
            if not byte:
                return
            line += byte
            if byte == b"\n":
                try:
                    answer = self.obey(*line.decode().split())
                except AsAsked:
                    answer = "threw"
                os.write(1, answer.encode() + b"\n")
                line = b""


class Signal(Peer):
    def __init__(self):
        super().__init__()
        self.before = {}
        self.slow = 0.0
        self.wake, self.waker = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self.waker, False)
        self.poller = select.poll()
        self.poller.register(self.wake, select.POLLIN)

    def handler(self, sig, _):
        os.write(self.waker, b"h")
        self.called(sig)
        time.sleep(self.slow)

    def on(self, sig):
        self.before[sig] = signal.signal(sig, self.handler)

    def off(self, sig):
        before = self.before[sig]
        # None: a handler that Python has not installed. It cannot be put back, says the documentation.
        signal.signal(sig, signal.SIG_DFL if before is None else before)

    def turn(self, seconds):
        os.getppid()  # the mark
        if self.poller.poll(seconds * 1000):
            os.read(self.wake, 1)

    def sleep(self, ms):
        start = time.monotonic()
        time.sleep(ms / 1000)
        return str((time.monotonic() - start) * 1000)

    def timed_wait(self, ms):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        self.slow = 0.3
        got = signal.sigtimedwait([signal.SIGUSR2], ms / 1000)
        return "none" if got is None else str(got.si_signo)

    def arm(self, seconds):
        self.on(signal.SIGALRM)
        signal.setitimer(signal.ITIMER_REAL, seconds)


class MarkedSelector(selectors.EpollSelector):
    def select(self, timeout=None):
        os.getppid()  # the mark
        return super().select(timeout)


class Asyncio(Peer):
    def __init__(self):
        super().__init__()
        self.loop = asyncio.SelectorEventLoop(MarkedSelector())
        self.loop.set_exception_handler(lambda *_: None)

    def callback(self, sig):
        self.loop.stop()
        self.called(sig)

    def on(self, sig):
        self.loop.add_signal_handler(sig, self.callback, sig)

    def off(self, sig):
        self.loop.remove_signal_handler(sig)

    def turn(self, seconds):
        timer = self.loop.call_later(seconds, self.loop.stop)
        self.loop.run_forever()
        timer.cancel()

    def arm(self, seconds):
        self.loop.call_later(seconds, self.callback, 0)


{"signal": Signal, "asyncio": Asyncio}[sys.argv[1]]().serve()
