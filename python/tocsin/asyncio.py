"""Signals for asyncio: none lost, with who sent them.

    async for event in tocsin.asyncio.signals(signal.SIGTERM, signal.SIGHUP):
        print(f"got {event}")
"""

import asyncio
import functools
import threading
import weakref

from . import _tocsin
from . import signal as _signal

__all__ = ["signals", "wait_for_signal"]


def _stands_for_ctrl_c(handler):
    # The interpreter's own, or that of asyncio.run(), which cancels the main task.
    if handler is _signal.default_int_handler:
        return True
    runner = getattr(asyncio, "Runner", None)
    own = getattr(handler.func, "__self__", None) if isinstance(handler, functools.partial) else None
    return runner is not None and isinstance(own, runner)


def _numbers(signals):
    for each in signals:
        if hasattr(each, "__index__"):
            yield each
        else:
            yield from each


def _end(loop, inbox, fd):
    loop.remove_reader(fd)
    inbox.close()


class signals:
    """An asynchronous iterator over the Events of these signals, numbers or iterables of them.

    The signals are subscribed to when this is made, and are as before after close(), aclose(), the end of an
    ``async with`` block, or when nobody has it any more. Several iterators may want the same signal: each gets it. The
    first argument may be the loop; else it is ``loop``, or the one that runs. It needs add_reader() and
    remove_reader() only.

    Every arrival is kept, up to ``capacity`` of each signal; ``dropped`` counts what found no room. The further
    options are those of tocsin.on(). With ``chain``, handlers that were set before, loop.add_signal_handler()'s
    included, are called too. That is so if it is not given, but for Ctrl-C's KeyboardInterrupt and asyncio.run()'s
    cancelling: the event stands in their place.
    """

    def __init__(self, *signals, loop=None, delivery="queue", capacity=1024, chain=None, **options):
        if signals and hasattr(signals[0], "add_reader"):
            if loop is not None:
                raise TypeError("signals() got two loops")
            loop, *signals = signals
        self._loop = asyncio.get_running_loop() if loop is None else loop
        self._thread = None  # the loop's, while that watches the descriptor
        self._reading = False
        self._waiting = []
        self._subscriptions = []
        self._inbox = _tocsin.Inbox()
        self._fd = self._inbox.fileno()
        try:
            self._subscribe(list(_numbers(signals)), chain, dict(options, delivery=delivery, capacity=capacity))
        except BaseException:
            self._inbox.close()
            raise

    def _subscribe(self, numbers, chain, options):
        if chain is None:
            alone = [each for each in numbers if _stands_for_ctrl_c(_signal.getsignal(each))]
            parts = (alone, False), ([each for each in numbers if each not in alone], True)
        else:
            parts = ((numbers, chain),)
        for part, chained in parts:
            if part or not numbers:
                self._subscriptions.append(self._inbox.on(part, chain=chained, **options))

    @property
    def signals(self):
        """Those that are listened to: without those that respect_ignore left ignored. Empty at the end."""
        return set().union(*(each.signals for each in self._subscriptions))

    @property
    def dropped(self):
        """Arrivals that found no room."""
        return sum(each.dropped for each in self._subscriptions)

    @property
    def closed(self):
        return self._inbox.closed

    def _read(self):
        if self._reading:
            return
        this = weakref.ref(self)

        def readable():
            self = this()
            if self is not None:
                self._ready()

        self._loop.add_reader(self._fd, readable)
        self._thread = threading.get_ident()
        self._reading = True

    def _ready(self):
        if self.closed:
            return
        while self._waiting:
            waiter = self._waiting.pop(0)
            if not waiter.done():
                waiter.set_result(None)
                return
        # What arrives waits for whoever asks next; the descriptor stays readable meanwhile.
        self._reading = False
        self._loop.remove_reader(self._fd)

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self.closed:
            event = self._inbox.try_next()
            if event is not None:
                return event
            self._read()
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
        raise StopAsyncIteration

    def close(self):
        """End it. Who waits for the next event gets StopAsyncIteration. What has arrived and was not taken goes to the
        handler before, or takes the default action, unless ``pending`` said otherwise."""
        if self.closed:
            return
        if self._reading:
            self._reading = False
            if not self._loop.is_closed():
                self._loop.remove_reader(self._fd)
        self._inbox.close()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def aclose(self):
        self.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        self.close()

    def __del__(self):
        if not hasattr(self, "_inbox"):  # it was refused
            return
        if self._reading and self._thread != threading.get_ident() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_end, self._loop, self._inbox, self._fd)
        elif not self.closed:
            self.close()


async def wait_for_signal(*signals_, **options):
    """Wait for one of these signals and return its Event. Arguments and options are those of signals()."""
    async with signals(*signals_, **options) as events:
        return await events.__anext__()
