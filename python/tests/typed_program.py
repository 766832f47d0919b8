"""What a program with types writes: for test_stubs.py, never run."""

from __future__ import annotations

import asyncio
import os
from types import FrameType

import tocsin
import tocsin.asyncio
from tocsin import signal, timerfd


def two(signum: int, frame: FrameType | None) -> None: ...


def three(signum: int, frame: FrameType | None, event: tocsin.Event) -> None:
    pid: int | None = event.pid
    text: str = event.describe()
    status: int = event.info.si_status
    name: str = event.pid  # type: ignore[assignment]
    print(pid, name, text, status, event.signum + event.count, event.name.lower())


def four(signum: int, frame: FrameType | None, event: tocsin.Event, more: int) -> None: ...


def handlers() -> None:
    before = signal.signal(signal.SIGTERM, two)
    signal.signal(signal.SIGTERM, three)
    signal.signal(15, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, four)  # type: ignore[arg-type]
    signal.signal("SIGTERM", two)  # type: ignore[arg-type]
    signal.signal(signal.SIGTERM, None)  # type: ignore[arg-type]
    if before is not None:
        signal.signal(signal.SIGTERM, before)
    number: signal.Signals = signal.SIGTERM
    found: set[signal.Signals | int] = signal.pthread_sigmask(signal.SIG_BLOCK, {number, 36})
    answer = signal.sigtimedwait(found, 0.5)
    print(answer.si_pid)  # type: ignore[union-attr]
    left: int = signal.alarm(1)
    print(left, signal.setitimer(signal.ITIMER_REAL, 0.5)[0], signal.set_wakeup_fd(-1, warn_on_full_buffer=False))


def replaced() -> None:
    tocsin.install()
    tocsin.uninstall()


def subscriptions() -> None:
    with tocsin.on({signal.SIGHUP, 35}, lambda event: print(event.pid), delivery="queue", capacity=10) as subscription:
        print(subscription.dropped + subscription.delivered, subscription.signals)
    tocsin.on(signal.SIGHUP, two)  # type: ignore[arg-type]
    tocsin.on(signal.SIGHUP, print, delivery="often")  # type: ignore[arg-type]
    inbox = tocsin.Inbox()
    inbox.on(signal.SIGHUP)
    for event in inbox:
        print(event.name)
    found = inbox.next(timeout=1)
    print(found.name)  # type: ignore[union-attr]
    with tocsin.defer(), tocsin.preserve(signal.SIGINT):
        tocsin.sigqueue(os.getpid(), signal.SIGRTMIN, 5)


async def events() -> None:
    async with tocsin.asyncio.signals(signal.SIGTERM, signal.SIGHUP, capacity=5) as stream:
        async for event in stream:
            print(event.describe())
    tocsin.asyncio.signals(asyncio.get_running_loop(), signal.SIGTERM)
    print((await tocsin.asyncio.wait_for_signal(signal.SIGTERM)).pid)


def timers() -> None:
    fd = timerfd.create(timerfd.CLOCK_MONOTONIC, flags=timerfd.TFD_NONBLOCK)
    left: tuple[float, float] = timerfd.settime(fd, initial=0.5)
    timerfd.settime_ns(fd, initial=0.5)  # type: ignore[arg-type]
    queue = tocsin.TimerQueue("boottime")
    timer = queue.every(0.5, print, "tick", policy="burst")
    timer.reschedule(1)
    queue.after(1)  # type: ignore[call-arg]
    for tick in tocsin.Interval(period_ns=1000):
        number, missed, due = tick
        print(number + missed, due, tick.due_ns, left)
    tocsin.Interval()  # type: ignore[call-overload]
