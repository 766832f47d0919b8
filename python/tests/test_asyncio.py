"""tocsin.asyncio, beside what asyncio itself does with signals."""

import unittest

import processes

HELPERS = """
import asyncio, gc, logging, tocsin.asyncio
from tocsin.asyncio import signals, wait_for_signal

logging.disable(logging.WARNING)  # -X dev: callbacks that take long

async def soon(awaitable):
    return await asyncio.wait_for(awaitable, 30)
"""


class Case(processes.Case):
    maxDiff = None

    def run_program(self, source, **keywords):
        return super().run_program(HELPERS + processes.textwrap.dedent(source), **keywords)


class Signals(Case):
    def test_events_with_who_sent_them(self):
        self.run_program("""
            async def main():
                async for event in signals(signal.SIGTERM, signal.SIGHUP):
                    return event
            loop = asyncio.new_event_loop()
            loop.call_later(0.05, send, signal.SIGTERM)
            event = loop.run_until_complete(main())
            loop.close()
            assert isinstance(event, tocsin.Event) and (event.signum, event.pid) == (15, os.getpid())
        """)

    def test_none_is_lost(self):
        self.run_program("""
            async def main():
                for count in 278, 10000, 65536:
                    async with signals(signal.SIGUSR1, signal.SIGUSR2, capacity=65536) as events:
                        flood(signal.SIGUSR1, count)
                        send(signal.SIGUSR2)
                        for number in [signal.SIGUSR1] * count + [signal.SIGUSR2]:
                            event = await soon(events.__anext__()) if number == 12 else await events.__anext__()
                            assert (event.signum, event.count) == (number, 1)
                        assert events.dropped == 0
            asyncio.run(main())
        """)

    def test_what_finds_no_room_is_counted(self):
        self.run_program("""
            async def main():
                async with signals(signal.SIGUSR1, signal.SIGTERM, capacity=1024) as events:
                    flood(signal.SIGUSR1, 10000)
                    send(signal.SIGTERM)
                    got = 0
                    async for event in events:
                        if event.signum == signal.SIGTERM:
                            break
                        got += 1
                    assert got == 1024 and got + events.dropped == 10000, (got, events.dropped)
                async with signals(signal.SIGUSR1, delivery="merge") as events:
                    flood(signal.SIGUSR1, 65536)
                    assert (await events.__anext__()).count == 65536
            asyncio.run(main())
        """)

    def test_queued_values_in_order_while_the_loop_works(self):
        self.run_program("""
            async def main():
                number, values, ticks = signal.SIGRTMIN + 2, [], [0]
                async def tick():
                    while True:
                        ticks[0] += 1
                        await asyncio.sleep(0)
                other = asyncio.ensure_future(tick())
                events = signals(number, capacity=4096)
                # Without asyncio's thread for the child: two threads may take signals in another order than they came.
                child = subprocess.Popen([sys.executable, "-c", f'''if True:
                    import os, tocsin
                    for value in range(3000):
                        while True:
                            try:
                                tocsin.sigqueue({os.getpid()}, {number}, value)
                                break
                            except BlockingIOError:
                                pass
                '''])
                async for event in events:
                    values.append(event.value)
                    assert event.pid == child.pid and event.origin == "queue"
                    if len(values) == 3000:
                        break
                child.wait()
                await events.aclose()
                wrong = [(n, each) for n, each in enumerate(values) if n != each]
                assert not wrong and events.dropped == 0, (len(wrong), wrong[:5], events.dropped)
                assert ticks[0] > 1
                other.cancel()
            asyncio.run(main())
        """)

    def test_several_iterators_for_one_signal(self):
        self.run_program("""
            async def main():
                async def take(events, number):
                    return [(await soon(events.__anext__())).signum for _ in range(number)]
                async with signals(signal.SIGUSR1) as first, signals([signal.SIGUSR1, signal.SIGUSR2]) as second:
                    tasks = [asyncio.ensure_future(take(first, 3)), asyncio.ensure_future(take(second, 4))]
                    await asyncio.sleep(0.01)
                    flood(signal.SIGUSR1, 3)
                    send(signal.SIGUSR2)
                    assert await asyncio.gather(*tasks) == [[10] * 3, [10] * 3 + [12]]
                # Several tasks that share one: each event goes to one of them.
                async with signals(signal.SIGUSR1) as events:
                    tasks = [asyncio.ensure_future(take(events, 5)) for _ in range(4)]
                    await asyncio.sleep(0.01)
                    flood(signal.SIGUSR1, 20)
                    assert await asyncio.gather(*tasks) == [[10] * 5] * 4
            asyncio.run(main())
        """)

    def test_a_cancelled_wait_loses_none(self):
        self.run_program("""
            async def main():
                got = 0
                async with signals(signal.SIGUSR1, capacity=8192) as events:
                    for round in range(300):
                        task = asyncio.ensure_future(events.__anext__())
                        await asyncio.sleep(0)
                        standard.raise_signal(signal.SIGUSR1)
                        for _ in range(round % 4):
                            await asyncio.sleep(0)
                        task.cancel()
                        try:
                            await task
                            got += 1
                        except asyncio.CancelledError:
                            pass
                    while got < 300:
                        await soon(events.__anext__())
                        got += 1
                    assert events._inbox.try_next() is None
            asyncio.run(main())
        """)

    def test_the_loop_sleeps_while_nobody_asks(self):
        self.run_program("""
            import selectors
            class Counting(selectors.DefaultSelector):
                looks = 0
                def select(self, timeout=None):
                    self.looks += 1
                    return super().select(timeout)
            selector = Counting()
            async def main():
                async with signals(signal.SIGUSR1) as events:
                    task = asyncio.ensure_future(events.__anext__())
                    await asyncio.sleep(0.01)
                    flood(signal.SIGUSR1, 3)
                    await soon(task)
                    before = selector.looks
                    await asyncio.sleep(0.5)  # two are pending: the descriptor is readable
                    assert selector.looks - before < 10, selector.looks - before
                    for _ in range(2):
                        assert (await soon(events.__anext__())).count == 1
            loop = asyncio.SelectorEventLoop(selector)
            loop.run_until_complete(main())
            loop.close()
        """, options=())

    def test_the_loop_may_be_given(self):
        self.run_program("""
            loop = asyncio.new_event_loop()
            for events in signals(loop, signal.SIGUSR1), signals([10, 12], loop=loop), signals(loop, 10, 12):
                assert 10 in events.signals and not events.closed
                async def main():
                    loop.call_later(0.01, send, signal.SIGUSR1)
                    return await soon(events.__anext__())
                assert loop.run_until_complete(main()).signum == 10
                events.close()
                assert events.closed and events.signals == set()
            late = signals(loop, 10)
            async def main():
                task = asyncio.ensure_future(late.__anext__())
                await asyncio.sleep(0)
                task.cancel()
            loop.run_until_complete(main())
            loop.close()
            late.close()
            raised(RuntimeError, signals, 10)
            raised(TypeError, signals, loop, 10, loop=loop)
            raised(ValueError, signals, 65, loop=loop)
            raised(ValueError, signals, loop=loop)
            raised(OSError, signals, signal.SIGKILL, loop=loop)
            raised(TypeError, signals, 10, loop=loop, nonsense=1)
            assert masks()[0] >> 9 & 1 == 0
        """)

    def test_a_loop_needs_readers_only(self):
        self.run_program("""
            class Loop:
                def __init__(self, loop):
                    self._loop = loop
                def __getattr__(self, name):
                    assert name in ("add_reader", "remove_reader", "create_future", "is_closed"), name
                    return getattr(self._loop, name)
            async def main():
                loop = asyncio.get_running_loop()
                async with signals(Loop(loop), signal.SIGUSR1) as events:
                    loop.call_later(0.01, flood, signal.SIGUSR1, 2)
                    for _ in range(2):
                        await soon(events.__anext__())
            asyncio.run(main())
        """)

    def test_a_loop_of_another_thread(self):
        self.run_program("""
            got = []
            async def main():
                async with signals(signal.SIGUSR1) as events:
                    ready.set()
                    async for event in events:
                        got.append(event)
                        if len(got) == 278:
                            break
            ready = threading.Event()
            thread = threading.Thread(target=asyncio.run, args=[main()])
            thread.start()
            ready.wait()
            flood(signal.SIGUSR1, 278)
            thread.join()
            assert len(got) == 278
        """)

    def test_close_ends_who_waits(self):
        self.run_program("""
            async def main():
                events = signals(signal.SIGUSR1)
                async def all_of_them():
                    return [event async for event in events]
                tasks = [asyncio.ensure_future(all_of_them()) for _ in range(2)]
                await asyncio.sleep(0.01)
                await events.aclose()
                assert await soon(asyncio.gather(*tasks)) == [[], []]
                await events.aclose()
                assert await all_of_them() == []
            asyncio.run(main())
        """)

    def test_one_that_nobody_has_ends(self):
        self.run_program("""
            async def main():
                before = masks(), len(os.listdir("/proc/self/fd"))
                asyncio.get_running_loop().call_soon(flood, signal.SIGUSR1, 1)
                async for event in signals(signal.SIGUSR1):
                    break
                gc.collect()
                assert (masks(), len(os.listdir("/proc/self/fd"))) == before
                # On another thread than the loop's.
                events = signals(signal.SIGUSR1)
                task = asyncio.ensure_future(events.__anext__())
                await asyncio.sleep(0.01)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                del task
                box = [events]
                del events
                thread = threading.Thread(target=lambda: (box.pop(), gc.collect()))
                thread.start()
                thread.join()
                end = time.monotonic() + 20
                while (masks(), len(os.listdir("/proc/self/fd"))) != before:
                    assert time.monotonic() < end
                    await asyncio.sleep(0.01)
            async def warm_up():
                async with signals(signal.SIGUSR2):
                    pass
                await asyncio.sleep(0)
            asyncio.run(warm_up())
            asyncio.run(main())
        """)

    def test_wait_for_signal(self):
        self.run_program("""
            async def main():
                loop = asyncio.get_running_loop()
                before = masks()
                loop.call_later(0.01, send, signal.SIGUSR2)
                assert (await soon(wait_for_signal(signal.SIGUSR1, signal.SIGUSR2))).signum == 12
                try:
                    await asyncio.wait_for(wait_for_signal(signal.SIGUSR1), 0.01)
                except asyncio.TimeoutError:
                    assert masks() == before
                else:
                    raise AssertionError("it came")
            asyncio.run(main())
        """)


class BesideAsyncio(Case):
    def test_handlers_of_the_loop_are_called_too_and_are_there_afterwards(self):
        self.run_program("""
            async def main():
                loop = asyncio.get_running_loop()
                calls = []
                loop.add_signal_handler(signal.SIGUSR1, calls.append, 1)
                async with signals(signal.SIGUSR1, signal.SIGTERM) as events:
                    for expected in 1, 2, 3:
                        send(signal.SIGUSR1)
                        assert (await soon(events.__anext__())).signum == 10
                        while len(calls) < expected:
                            await asyncio.sleep(0.001)
                        assert len(calls) == expected
                async with signals(signal.SIGUSR1, chain=False) as events:
                    send(signal.SIGUSR1)
                    assert (await soon(events.__anext__())).signum == 10
                    await asyncio.sleep(0.05)
                    assert len(calls) == 3
                send(signal.SIGUSR1)
                while len(calls) < 4:
                    await asyncio.sleep(0.001)
                assert loop.remove_signal_handler(signal.SIGUSR1)
                assert masks()[0] >> 9 & 1 == 0
            asyncio.run(main())
        """)

    def test_with_the_module_replaced(self):
        self.run_program("""
            tocsin.install()
            async def main():
                loop = asyncio.get_running_loop()
                calls = []
                async with signals(signal.SIGUSR1) as events:
                    loop.add_signal_handler(signal.SIGUSR1, calls.append, 1)
                    send(signal.SIGUSR1)
                    assert (await soon(events.__anext__())).signum == 10
                    while len(calls) < 1:
                        await asyncio.sleep(0.001)
                    assert loop.remove_signal_handler(signal.SIGUSR1)
                    send(signal.SIGUSR1)
                    assert (await soon(events.__anext__())).signum == 10
                    assert len(calls) == 1
                    loop.add_signal_handler(signal.SIGUSR1, calls.append, 1)
                send(signal.SIGUSR1)
                while len(calls) < 2:
                    await asyncio.sleep(0.001)
                async with signals(signal.SIGINT) as events:
                    send(signal.SIGINT)
                    assert (await soon(events.__anext__())).signum == 2
                    await asyncio.sleep(0.01)
                loop.remove_signal_handler(signal.SIGUSR1)
            asyncio.run(main())
            raised(KeyboardInterrupt, send, signal.SIGINT)
        """)

    def test_ctrl_c_is_an_event_and_then_again_ends_the_program(self):
        self.run_program("""
            async def main():
                before = signal.getsignal(signal.SIGINT)
                for _ in range(3):
                    async with signals(signal.SIGINT, signal.SIGTERM) as events:
                        send(signal.SIGINT)
                        assert (await soon(events.__anext__())).signum == 2
                        send(signal.SIGTERM)
                        assert (await soon(events.__anext__())).signum == 15
                        await asyncio.sleep(0.01)
                    assert signal.getsignal(signal.SIGINT) is standard.getsignal(signal.SIGINT) is before
                try:
                    async with signals(signal.SIGTERM):
                        asyncio.get_running_loop().call_later(0.01, send, signal.SIGINT)
                        await asyncio.sleep(60)
                finally:
                    ended.append(1)
            ended = []
            raised(KeyboardInterrupt, asyncio.run, main())
            assert ended == [1] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
            async def chained():
                async with signals(signal.SIGINT, chain=True) as events:
                    asyncio.get_running_loop().call_later(0.01, send, signal.SIGINT)
                    await asyncio.sleep(60)
            raised(KeyboardInterrupt, asyncio.run, chained())
        """)

    def test_on_beside_a_loop(self):
        self.run_program("""
            async def main():
                loop = asyncio.get_running_loop()
                calls, events = [], []
                loop.add_signal_handler(signal.SIGUSR1, calls.append, 1)
                with tocsin.on(signal.SIGUSR2, events.append), tocsin.on(signal.SIGHUP, events.append):
                    send(signal.SIGUSR2)
                    send(signal.SIGUSR1)
                    threading.Timer(0.05, send, [signal.SIGHUP]).start()
                    while len(events) < 2 or not calls:
                        await asyncio.sleep(0.001)
                loop.remove_signal_handler(signal.SIGUSR1)
            asyncio.run(main())
        """)


if __name__ == "__main__":
    unittest.main()
