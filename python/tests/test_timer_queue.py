"""TimerQueue, Timer, Interval."""

import unittest

import processes


class Queue(processes.Case):
    def test_the_order_is_that_of_the_deadlines_and_none_is_early(self):
        self.run_program("""
            import random
            seed = random.randrange(2**32)
            print("seed", seed)
            numbers = random.Random(seed)
            queue = tocsin.TimerQueue()
            start = queue.now_ns()
            called = []
            timers = []
            def expired(n):
                now = queue.now_ns()
                assert now >= timers[n].deadline_ns, (n, now, timers[n])
                called.append((timers[n].deadline_ns, n))
            for n in range(500):
                timers.append(queue.at_ns(start + numbers.randrange(50) * 1_000_000 + numbers.randrange(2), expired, n))
            assert len(queue) == 500
            assert queue.next_deadline_ns() == min(each.deadline_ns for each in timers)
            while queue:
                assert queue.wait() is True
                queue.run_expired()
            assert called == sorted(called) and len(called) == 500
            assert queue.next_deadline() is None and not any(each.active for each in timers)
        """)

    def test_after_at_and_every_in_seconds_and_nanoseconds(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            begin = queue.now_ns()
            for call, time_of_it in (
                (queue.after, 5), (queue.after, 5.0), (queue.after_ns, 5 * 10**9), (queue.every, 5),
                (queue.every_ns, 5 * 10**9), (queue.at, queue.now() + 5), (queue.at_ns, queue.now_ns() + 5 * 10**9),
            ):
                timer = call(time_of_it, print)
                # A float of seconds is exact to a microsecond.
                assert timer.active and begin + 4_999_999_000 <= timer.deadline_ns <= queue.now_ns() + 5 * 10**9
                assert abs(timer.deadline - timer.deadline_ns / 1e9) < 1e-6
                every = "every" in call.__name__
                assert (timer.period, timer.period_ns) == ((5.0, 5 * 10**9) if every else (None, None))
                assert timer.tick is None
            assert queue.at_ns(12345, print).deadline_ns == 12345
            assert queue.at(12345, print).deadline_ns == 12345 * 10**9
            assert queue.at(0.5, print).deadline_ns == 5 * 10**8
            assert queue.after_ns(2**63 - 1, print).deadline_ns == 2**63 - 1 # never
            assert repr(queue.at(1.5, len)) == "<tocsin.Timer at 1.5: <built-in function len>>"
            assert repr(queue) == "<tocsin.TimerQueue, timers: 12>", queue
        """)

    def test_arguments_are_passed_and_what_is_over_is_due_at_once(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            called = []
            queue.after(0, lambda *all: called.append(all))
            queue.after(-5, lambda *all: called.append(all), 1, "two", None)
            queue.at_ns(-1, called.append, "first")
            assert queue.run_expired() == 3 and queue.run_expired() == 0
            assert called == ["first", (1, "two", None), ()], called
        """)

    def test_equal_deadlines_come_in_the_order_they_were_scheduled(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            called = []
            for n in range(1000):
                queue.at_ns(1000, called.append, n)
            assert queue.run_expired() == 1000 and called == list(range(1000))
        """)

    def test_at_most_limit_are_called(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            called = []
            for n in range(10):
                queue.at_ns(n, called.append, n)
            assert queue.run_expired(limit=3) == 3 and called == [0, 1, 2] and len(queue) == 7
            assert select.select([queue], [], [], 20)[0] == [queue]
            assert queue.run_expired(0) == 0
            assert queue.run_expired(2**100) == 7 and called == list(range(10))
            assert queue.run_expired(None) == 0
        """)

    def test_cancel_and_reschedule(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            called = []
            timer = queue.after(100, called.append, 1)
            assert timer.active and timer.reschedule(200) and timer.deadline > queue.now() + 190
            assert timer.reschedule_ns(5) and timer.deadline_ns <= queue.now_ns()
            assert timer.reschedule_at(1) and timer.deadline_ns == 10**9
            assert timer.reschedule_at_ns(7) and timer.deadline_ns == 7
            assert queue.run_expired() == 1 and called == [1]
            assert not timer.active and timer.tick == (1, 0, 7e-9) and timer.tick.due_ns == 7
            assert not timer.cancel() and not timer.reschedule(1) and len(queue) == 0
            timer = queue.after(100, called.append, 2)
            assert timer.cancel() and not timer.cancel() and not timer.active and len(queue) == 0
            assert not timer.reschedule_at(0) and queue.run_expired() == 0
            assert repr(timer) == "<tocsin.Timer, not active>"
            timer = queue.every(1000, called.append, 3, policy="burst")
            assert timer.reschedule_at_ns(5) and queue.run_expired() == 1 and called == [1, 3]
            assert timer.tick.due_ns == 5 and timer.deadline_ns == 5 + 1000 * 10**9 # counts from there
        """)

    def test_a_dropped_handle_does_not_cancel(self):
        self.run_program("""
            import gc
            queue = tocsin.TimerQueue()
            called = []
            queue.at(1, called.append, 1)
            gc.collect()
            assert queue.run_expired() == 1 and called == [1]
        """)

    def test_every_does_not_drift_and_tells_what_was_missed(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            ticks = []
            timer = queue.every_ns(2_000_000, lambda: ticks.append((timer.tick, queue.now_ns())))
            first = timer.deadline_ns
            while len(ticks) < 20:
                queue.wait()
                queue.run_expired()
            number = 0
            for tick, now in ticks:
                assert tick.number == number + 1 + tick.missed
                assert tick.due_ns == first + (tick.number - 1) * 2_000_000 <= now
                number = tick.number
            assert timer.cancel()
        """)

    def test_policies_for_what_was_missed(self):
        self.run_program("""
            ms = 1_000_000
            def late_by_five(policy):
                queue = tocsin.TimerQueue()
                ticks = []
                timer = queue.every_ns(10 * ms, lambda: ticks.append(timer.tick), policy=policy)
                first = timer.deadline_ns
                while queue.now_ns() < first + 52 * ms:
                    pass
                queue.run_expired()
                ran = queue.now_ns()
                while queue.run_expired():
                    pass
                return first, ticks, timer.deadline_ns, ran
            first, ticks, following, ran = late_by_five("skip")
            assert ticks[0].missed >= 5 and ticks[0].due_ns == first + ticks[0].missed * 10 * ms
            assert (following - first) % (10 * ms) == 0
            first, ticks, following, ran = late_by_five("delay")
            assert ticks[0].missed >= 5 and (following - first) % (10 * ms) != 0 and following >= first + 62 * ms
            first, ticks, following, ran = late_by_five("burst")
            assert len(ticks) >= 6 and not any(each.missed for each in ticks)
            assert [each.due_ns for each in ticks[:6]] == [first + n * 10 * ms for n in range(6)]
        """)

    def test_an_exception_leaves_and_the_others_stay(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            called = []
            def fail():
                raise LookupError("mine")
            queue.at_ns(1, called.append, 1)
            failing = queue.at_ns(2, fail)
            again = queue.every_ns(1, fail)
            again.reschedule_at_ns(3)
            queue.at_ns(4, called.append, 4)
            assert str(raised(LookupError, queue.run_expired)) == "mine" and called == [1]
            assert not failing.active and len(queue) == 2
            assert select.select([queue], [], [], 20)[0]
            raised(LookupError, queue.run_expired)
            assert again.active
            again.cancel()
            assert queue.run_expired() == 1 and called == [1, 4]
            queue.after_ns(0, sys.exit, 3)
            assert raised(SystemExit, queue.run_expired).code == 3
        """)

    def test_callbacks_may_do_anything_to_the_queue(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            called = []
            def again(n):
                called.append(n)
                if n:
                    queue.after(0, again, n - 1) # comes in the next run
            queue.after(0, again, 3)
            for n in 3, 2, 1, 0:
                assert queue.run_expired() == 1
            assert called == [3, 2, 1, 0] and len(queue) == 0

            victim = queue.at_ns(2, called.append, "never")
            queue.at_ns(1, victim.cancel)
            assert queue.run_expired() == 1 and called[-1] == 0
            tick = queue.every_ns(1, lambda: tick.cancel())
            while queue:
                queue.run_expired()
            assert tick.tick.number >= 1 and not tick.active
            put_off = queue.at_ns(2, called.append, "late")
            queue.at_ns(1, lambda: put_off.reschedule(1000))
            assert queue.run_expired() == 1 and len(queue) == 1 and put_off.cancel()

            queue.at_ns(2, called.append, "inner")
            queue.at_ns(1, lambda: called.append(queue.run_expired()))
            queue.run_expired()
            assert called[-2:] == ["inner", 1], called

            queue.at_ns(1, queue.close)
            queue.at_ns(2, called.append, "never")
            assert queue.run_expired() == 1 and queue.closed and "never" not in called

            queue = tocsin.TimerQueue()
            def drop():
                global queue
                del queue
            queue.at_ns(1, drop)
            queue.at_ns(2, called.append, "kept by the call")
            queue.run_expired()
            assert called[-1] == "kept by the call"
        """)

    def test_closing(self):
        self.run_program("""
            import weakref
            class Callback:
                def __call__(self): pass
            queue = tocsin.TimerQueue()
            callback = Callback()
            alive = weakref.ref(callback)
            timer = queue.after(1, callback)
            del callback
            fd = queue.fileno()
            with queue as same:
                assert same is queue and alive()
            assert queue.closed and alive() is None and not timer.active and len(queue) == 0
            assert raised(OSError, os.fstat, fd).errno == errno.EBADF
            queue.close()
            assert not timer.cancel() and not timer.reschedule(1)
            for use in (queue.fileno, queue.run_expired, queue.wait, queue.now, queue.next_deadline, queue.__enter__,
                        lambda: queue.after(1, print)):
                assert str(raised(ValueError, use)) == "the TimerQueue is closed"
            assert repr(queue) == "<tocsin.TimerQueue, closed>"
            timer = tocsin.TimerQueue().after(1, print) # which is gone at once
            assert not timer.active and not timer.reschedule(1)
        """)

    def test_what_a_callback_leaves_behind_may_use_the_queue_while_it_goes(self):
        self.run_program("""
            class Last:
                def __init__(self, queue): self.queue = queue
                def __del__(self):
                    try: log.append(self.queue.after(1, print))
                    except ValueError: log.append("closed")
                def __call__(self): pass
            log = []
            queue = tocsin.TimerQueue()
            timer = queue.after(5, Last(queue))
            timer.cancel()
            assert len(log) == 1 and log[0].active
            queue.at_ns(1, Last(queue))
            queue.run_expired()
            assert len(log) == 2 and log[1].active and len(queue) == 2
            for _ in range(3):
                queue.after(1, Last(queue))
            queue.close()
            assert log[2:] == ["closed"] * 3, log
        """)

    def test_references_and_cycles(self):
        self.run_program("""
            import gc, weakref
            class Object:
                def method(self, *arguments): pass
            def references(use):
                thing = Object()
                alive = weakref.ref(thing)
                use(thing)
                del thing
                return alive
            queue = tocsin.TimerQueue()
            timers = []
            def expire(thing):
                timers.append(queue.at_ns(1, thing.method, thing))
                queue.run_expired()
            def cancel(thing):
                timers.append(queue.after(1, thing.method, thing))
                timers[-1].cancel()
            def refuse(thing):
                raised(ValueError, queue.after, 1, thing.method, thing, slack=-1)
                raised(ValueError, queue.every, 0, thing.method, thing)
            for use in expire, cancel, refuse:
                assert references(use)() is None, use
            def cycle(thing):
                thing.queue = tocsin.TimerQueue()
                thing.timer = thing.queue.after(1000, thing.method, thing)
                thing.every = thing.queue.every(1000, thing.method)
                thing.timer.reschedule(500)
            gc.collect()
            before = len(os.listdir("/proc/self/fd"))
            alive = [references(cycle) for _ in range(50)]
            assert len(os.listdir("/proc/self/fd")) > before and alive[-1]() is not None
            gc.collect()
            assert not any(each() for each in alive) and len(os.listdir("/proc/self/fd")) == before
            held = tocsin.TimerQueue()
            kept = references(lambda thing: held.after(1000, thing.method))
            gc.collect()
            assert kept() is not None # the queue keeps what is scheduled
            weak = weakref.ref(held), weakref.ref(held.after(1, print))
            del held
            assert kept() is None and [each() for each in weak] == [None, None]
        """)

    def test_nothing_leaks(self):
        self.run_program("""
            import gc
            def use():
                with tocsin.TimerQueue() as queue:
                    timers = [queue.after(n, print, n) for n in range(100)] + [queue.every(1, print)]
                    for each in timers[:50]:
                        each.reschedule(3), each.tick, each.deadline, repr(each)
                    for each in timers[25:75]:
                        each.cancel()
                    for n in range(20):
                        queue.at_ns(n, int, n)
                    queue.run_expired(), repr(queue), queue.next_deadline(), queue.now()
                    ticks = tocsin.Interval(period_ns=1000)
                    ticks.wait(), ticks.try_wait(), ticks.wait(0), ticks.restart(), ticks.next_due
                    for wrong in (("x",), (1, "x"), (0,), (float("nan"),), ()):
                        raised(Exception, tocsin.Interval, *wrong)
                        raised(Exception, queue.every, *wrong)
            def blocks():
                for _ in range(30):
                    use()
                gc.collect()
                return sys.getallocatedblocks(), len(os.listdir("/proc/self/fd"))
            blocks()
            before, after = blocks(), blocks()
            assert after[0] - before[0] < 100 and after[1] == before[1], (before, after)
        """)

    def test_wrong_arguments(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            later = queue.after(1000, print)
            for error, text, function, *arguments in (
                (TypeError, "at least 2 positional", queue.after),
                (TypeError, "at least 2 positional", queue.every, 1),
                (TypeError, "TimerQueue.after: the callback 3 is not callable", queue.after, 1, 3),
                (TypeError, "must be real number, not str", queue.after, "1", print),
                (TypeError, "'float' object cannot be", queue.after_ns, 1.0, print),
                (ValueError, "TimerQueue.at: NaN", queue.at, float("nan"), print),
                (OverflowError, "TimerQueue.at: inf s does not fit", queue.at, float("inf"), print),
                (OverflowError, "TimerQueue.after: 10000000000 s does not fit", queue.after, 10**10, print),
                (OverflowError, "TimerQueue.after_ns: 9223372036854775808 ns does", queue.after_ns, 2**63, print),
                (OverflowError, "TimerQueue.every: 100000000000000000000 s does not fit", queue.every, 10**20, print),
                (ValueError, "TimerQueue.every: 0 ns: a period must be above zero", queue.every, 0, print),
                (ValueError, "TimerQueue.every_ns: -1 ns: a period must be", queue.every_ns, -1, print),
                (ValueError, "TimerQueue.run_expired: limit -1: must not be negative", queue.run_expired, -1),
                (ValueError, "limit -1267650600228229401496703205376: must", queue.run_expired, -2**100),
                (TypeError, "cannot be interpreted as an integer", queue.run_expired, 1.5),
                (ValueError, "TimerQueue.wait: timeout -1: must not be negative", queue.wait, -1),
                (ValueError, "TimerQueue.wait: timeout -1e-10: must not be negative", queue.wait, -1e-10),
                (OverflowError, "TimerQueue.wait: inf s does not fit", queue.wait, float("inf")),
                (TypeError, "must be real number", later.reschedule, None),
                (OverflowError, "Timer.reschedule_at_ns: 9223372036854775808 ns", later.reschedule_at_ns, 2**63),
                (ValueError, "TimerQueue: clock 'x': must be 'monotonic', 'realtime', ", tocsin.TimerQueue, "x"),
                (TypeError, "", tocsin.TimerQueue, 1.5),
                (OSError, "[Errno 22] Invalid argument", tocsin.TimerQueue, 99),
                (TypeError, "a Timer is made by TimerQueue", tocsin.Timer),
            ):
                said = str(raised(error, function, *arguments))
                assert text in said, (function, arguments, said)
            for error, text, keywords in (
                (ValueError, "slack -1000000000 ns: must not be negative", {"slack": -1}),
                (TypeError, "must be real number", {"slack": None}),
                (ValueError, "TimerQueue.every: policy 'late': must be 'burst', 'delay' or 'skip'", {"policy": "late"}),
                (ValueError, "TimerQueue.every: policy 1: must be", {"policy": 1}),
                (TypeError, "every() takes the keyword arguments slack and policy only", {"other": 1}),
            ):
                said = str(raised(error, queue.every, 1, print, **keywords))
                assert text in said, (keywords, said)
            assert "after() takes the keyword argument" in str(raised(TypeError, queue.after, 1, print, policy="skip"))
            assert len(queue) == 1
        """)

    def test_slack_puts_timers_together(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            start = queue.now_ns() + 10 * 10**9
            times = [start + n * 10_000_000 for n in range(100)]
            exact = [queue.at_ns(each, print) for each in times]
            loose = [queue.at_ns(each, print, slack=10**9) for each in times]
            assert [each.deadline_ns for each in exact] == times
            assert len({each.deadline_ns for each in loose}) <= 4
            for each, timer in zip(times, loose):
                assert each <= timer.deadline_ns <= each + 10**9
            loose = [queue.at(each / 1e9, print, slack=1.0) for each in times]
            assert len({each.deadline_ns for each in loose}) <= 4
            before = queue.now_ns()
            beat = queue.every(0.25, print, slack=1000)
            assert before + 250_000_000 <= beat.deadline_ns <= queue.now_ns() + 1000_250_000_000
            assert beat.deadline_ns % 2**39 == 0 # any 1000 s have a time as round as that
        """)

    def test_clocks(self):
        self.run_program("""
            for clock, name in ((time.CLOCK_MONOTONIC, "monotonic"), (time.CLOCK_REALTIME, "realtime"),
                                (time.CLOCK_BOOTTIME, "boottime")):
                for queue in tocsin.TimerQueue(clock), tocsin.TimerQueue(name), tocsin.TimerQueue(clock=name):
                    before = time.clock_gettime_ns(clock)
                    now = queue.now_ns()
                    assert before <= now <= time.clock_gettime_ns(clock)
                    timer = queue.at(queue.now() + 0.001, int)
                    assert queue.wait(20) and queue.now_ns() >= timer.deadline_ns and queue.run_expired() == 1
            assert abs(tocsin.TimerQueue().now() - time.monotonic()) < 5
        """)

    def test_waiting(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            begun = time.monotonic()
            assert queue.wait(0) is False and queue.wait(timeout=0.01) is False
            assert time.monotonic() - begun >= 0.01
            queue.after(0, int)
            assert queue.wait() is True and queue.wait(0) is True and queue.wait(None) is True
            queue.run_expired()
            assert queue.wait(0) is False
        """)


class Threads(processes.Case):
    def test_another_thread_may_schedule_while_one_waits(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            called = []
            queue.after(1000, called.append, "late")
            waiting = threading.Event()
            def other():
                waiting.wait()
                queue.after(0.001, called.append, threading.get_ident())
            thread = threading.Thread(target=other)
            thread.start()
            waiting.set()
            assert queue.wait(20) and queue.run_expired() == 1
            thread.join()
            assert called == [thread.ident] and len(queue) == 1
        """)

    def test_one_thread_at_a_time_runs_callbacks_and_a_queue_in_use_is_not_closed(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            inside, leave = threading.Event(), threading.Event()
            queue.at_ns(1, lambda: (inside.set(), leave.wait()))
            thread = threading.Thread(target=queue.run_expired)
            thread.start()
            inside.wait()
            assert str(raised(RuntimeError, queue.run_expired)) == (
                "TimerQueue.run_expired: another thread runs it at this moment")
            leave.set()
            thread.join()
            thread = threading.Thread(target=queue.wait)
            thread.start()
            def is_waiting():
                with open(f"/proc/self/task/{thread.native_id}/syscall") as file:
                    return file.read().split()[0] in ("7", "271", "73") # poll, ppoll
            eventually(is_waiting)
            assert str(raised(RuntimeError, queue.close)) == "TimerQueue.close: a thread is in its wait()"
            queue.after(0, int)
            thread.join()
            queue.close()
        """)

    def test_several_threads_schedule_and_cancel(self):
        self.run_program("""
            sys.setswitchinterval(1e-5)
            queue = tocsin.TimerQueue()
            called, cancelled, made = [], [], []
            def work(first):
                for n in range(first, first + 2000):
                    timer = queue.after_ns(n % 7 * 100_000, called.append, n)
                    if n % 3 == 0 and timer.cancel():
                        cancelled.append(n)
                    elif n % 5 == 0:
                        timer.reschedule_ns(50_000)
                    made.append(n)
            threads = [threading.Thread(target=work, args=(n * 2000,)) for n in range(4)]
            for each in threads:
                each.start()
            while any(each.is_alive() for each in threads) or queue:
                queue.wait(0.01)
                queue.run_expired(limit=100)
            assert sorted(called + cancelled) == list(range(8000)) == sorted(made)
        """)

    def test_a_daemon_thread_waits_while_the_interpreter_ends(self):
        for waiting in "tocsin.TimerQueue()", "tocsin.Interval(0.05)":
            output = self.run_program(LAST.replace("WAITING", waiting))
            self.assertEqual(output, "ended")


LAST = """
exec('''
import threading, tocsin
waited, begun = WAITING, threading.Event()
if hasattr(waited, "after"):
    waited.after(0.05, print)
def wait():
    begun.set()
    waited.wait()
threading.Thread(target=wait, daemon=True).start()
begun.wait()
''', {"__name__": "own"})
class Last: # is destroyed while the interpreter ends, and gives its lock away
    def __del__(self, select=select.select, write=os.write):
        select([], [], [], 0.2)
        write(1, b"ended")
last = Last()
"""


class Process(processes.Case):
    def test_parent_and_child_go_on_each_by_itself(self):
        self.run_program("""
            import warnings
            warnings.simplefilter("ignore", DeprecationWarning)
            queue = tocsin.TimerQueue()
            called = []
            for n in range(3):
                queue.after(0.01 * n, called.append, n)
            ticks = tocsin.Interval(0.01)
            child = os.fork()
            while len(queue):
                assert queue.wait(20)
                queue.run_expired()
            assert called == [0, 1, 2]
            assert ticks.wait(20).number >= 1
            if child == 0:
                queue.after(0, called.append, "child")
                assert queue.wait(20) and queue.run_expired() == 1
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            assert queue.wait(0) is False
        """)

    def test_a_thread_that_waits_in_the_parent_does_not_in_the_child(self):
        self.run_program("""
            import warnings
            warnings.simplefilter("ignore", DeprecationWarning)
            for waited in tocsin.TimerQueue(), tocsin.Interval(1000):
                def is_waiting():
                    with open(f"/proc/self/task/{thread.native_id}/syscall") as file:
                        return file.read().split()[0] in ("7", "271", "73") # poll, ppoll
                thread = threading.Thread(target=waited.wait, daemon=True)
                thread.start()
                eventually(is_waiting)
                assert "close: a thread is in its wait()" in str(raised(RuntimeError, waited.close))
                child = os.fork()
                if child == 0:
                    assert waited.wait(0) in (None, False)
                    waited.close()
                    os._exit(7)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
                raised(RuntimeError, waited.close)
        """)

    def test_ctrl_c_ends_a_wait_with_either_signal_module(self):
        for use in "", "signal.signal(signal.SIGINT, signal.default_int_handler)":
            self.run_program(f"""
                {use}
                queue = tocsin.TimerQueue()
                ticks = tocsin.Interval(1000)
                def waiting():
                    with open(f"/proc/{{os.getppid()}}/syscall") as file:
                        return file.read().split()[0] in ("7", "271", "73")
                for wait in queue.wait, ticks.wait, lambda: queue.wait(1000), ticks.__next__, lambda: ticks.wait(1000):
                    child = os.fork()
                    if child == 0:
                        eventually(waiting)
                        os.kill(os.getppid(), standard.SIGINT)
                        os._exit(0)
                    raised(KeyboardInterrupt, wait)
                    os.waitpid(child, 0)
                queue.after(0, print, "still in use")
                assert queue.wait() and queue.run_expired() == 1
            """)

    def test_a_handler_runs_while_a_wait_goes_on(self):
        self.run_program("""
            queue = tocsin.TimerQueue()
            signal.signal(signal.SIGALRM, lambda *_: queue.after(0.01, called.append, "scheduled by the handler"))
            called = []
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            assert queue.wait(20) and queue.run_expired() == 1 and called
            ran = []
            signal.signal(signal.SIGALRM, lambda *_: ran.append(1))
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            assert tocsin.Interval(0.5).wait().missed >= 0 and ran
        """)

    def test_a_second_interpreter_has_its_own(self):
        self.run_program("""
            try:
                import _interpreters as interpreters
            except ImportError:
                import _xxsubinterpreters as interpreters
            queue = tocsin.TimerQueue()
            queue.after(1000, print)
            program = '''if True:
                import gc, sys
                sys.path[:] = PATH
                import tocsin
                queue = tocsin.TimerQueue()
                called = []
                queue.after(0, called.append, 1)
                kept = queue.after(1000, called.append, 2)
                assert queue.wait(20) and queue.run_expired() == 1 and called == [1] and kept.active
                assert next(tocsin.Interval(0.001)).number >= 1
                '''.replace("PATH", repr(sys.path))
            for _ in range(3):
                other = interpreters.create()
                error = interpreters.run_string(other, program)
                assert error is None, error
                interpreters.destroy(other)
            assert len(queue) == 1 and queue.after(1, print).cancel()
        """)

    def test_imported_again(self):
        self.run_program("""
            import gc
            old = tocsin.TimerQueue()
            for _ in range(3):
                for name in [each for each in sys.modules if each.startswith("tocsin")]:
                    del sys.modules[name]
                del tocsin
                import tocsin
                gc.collect()
                assert type(old) is not tocsin.TimerQueue
                for queue in old, tocsin.TimerQueue():
                    timer = queue.after(0, int)
                    assert queue.run_expired() == 1 and timer.tick.number == 1
        """)


class Loops(processes.Case):
    def test_asyncio(self):
        self.run_program("""
            import asyncio
            async def main():
                loop = asyncio.get_running_loop()
                loop.slow_callback_duration = 60 # its debug mode would tell of a machine under load
                with tocsin.TimerQueue() as queue:
                    loop.add_reader(queue.fileno(), queue.run_expired)
                    done = asyncio.Event()
                    called = []
                    start = queue.now()
                    queue.at(start + 0.02, called.append, 2)
                    queue.at(start + 0.01, called.append, 1)
                    queue.at(start + 0.03, done.set)
                    await asyncio.wait_for(done.wait(), 20)
                    assert called == [1, 2]
                    loop.remove_reader(queue.fileno())
            asyncio.run(main())
        """)

    def test_selectors(self):
        self.run_program("""
            import selectors
            selector = selectors.DefaultSelector()
            queue, ticks = tocsin.TimerQueue(), tocsin.Interval(0.005)
            called = []
            queue.after(0.02, called.append, "expired")
            seen = []
            selector.register(queue, selectors.EVENT_READ, queue.run_expired)
            selector.register(ticks, selectors.EVENT_READ, lambda: seen.append(ticks.try_wait()))
            while not called or len(seen) < 5:
                for key, _ in selector.select(20):
                    key.data()
            selector.close()
            numbers = [each.number for each in seen if each]
            assert numbers == sorted(set(numbers)) and len(numbers) >= 4
        """)


class Ticks(processes.Case):
    def test_nothing_drifts_and_nothing_is_early(self):
        self.run_program("""
            ticks = tocsin.Interval(0.002)
            assert (ticks.period, ticks.period_ns, ticks.closed) == (0.002, 2_000_000, False)
            first = ticks.next_due_ns
            assert abs(ticks.next_due - first / 1e9) < 1e-6
            number = 0
            for tick in ticks:
                assert time.monotonic_ns() >= tick.due_ns == first + (tick.number - 1) * 2_000_000
                assert tick.number == number + 1 + tick.missed
                number = tick.number
                if number >= 20:
                    break
        """)

    def test_policies(self):
        self.run_program("""
            ms = 1_000_000
            def late_by_five(policy):
                ticks = tocsin.Interval(period_ns=10 * ms, policy=policy)
                first = ticks.next_due_ns
                while time.monotonic_ns() < first + 52 * ms:
                    pass
                return first, ticks, ticks.wait()
            first, ticks, tick = late_by_five("skip")
            assert tick.missed >= 5 and tick.due_ns == first + tick.missed * 10 * ms == ticks.next_due_ns - 10 * ms
            first, ticks, tick = late_by_five("delay")
            assert tick.missed >= 5 and ticks.next_due_ns >= first + 62 * ms and (ticks.next_due_ns - first) % (10 * ms)
            first, ticks, tick = late_by_five("burst")
            assert [tick, *(ticks.try_wait() for _ in range(5))] == [
                (n + 1, 0, (first + n * 10 * ms) / 1e9) for n in range(6)]
        """)

    def test_waiting_with_a_limit_and_without(self):
        self.run_program("""
            ticks = tocsin.Interval(1000)
            assert ticks.try_wait() is None and ticks.wait(0) is None
            begun = time.monotonic()
            assert ticks.wait(timeout=0.01) is None and time.monotonic() - begun >= 0.01
            ticks = tocsin.Interval(0.01)
            assert ticks.wait(20).number >= 1 and isinstance(ticks.wait(None), tocsin.Tick)
            before = ticks.next_due_ns
            ticks.restart()
            assert ticks.next_due_ns > before - 10_000_000
            select.select([ticks], [], [], 20)
            assert ticks.try_wait().number >= 3
        """)

    def test_errors(self):
        self.run_program("""
            for error, text, arguments, keywords in (
                (TypeError, "either period or period_ns must be given", (), {}),
                (TypeError, "either period or period_ns must be given", (1,), {"period_ns": 1}),
                (ValueError, "0 ns: a period must be above zero", (0,), {}),
                (ValueError, "-1000000000 ns: a period must be", (-1.0,), {}),
                (ValueError, "Interval: NaN is not a time", (float("nan"),), {}),
                (OverflowError, "Interval: 10000000000 s does not fit", (10**10,), {}),
                (TypeError, "cannot be interpreted as an integer", (), {"period_ns": 1.5}),
                (TypeError, "must be real number", ("1",), {}),
                (ValueError, "Interval: policy 'x': must be 'burst', 'delay' or 'skip'", (1, "x"), {}),
                (ValueError, "Interval: clock 'x': must be", (1,), {"clock": "x"}),
                (OSError, "Invalid argument", (1,), {"clock": 99}),
            ):
                said = str(raised(error, tocsin.Interval, *arguments, **keywords))
                assert text in said, (arguments, keywords, said)
            ticks = tocsin.Interval(1)
            assert "timeout -1: must not be negative" in str(raised(ValueError, ticks.wait, -1))
            with ticks:
                fd = ticks.fileno()
            assert raised(OSError, os.fstat, fd).errno == errno.EBADF and ticks.closed
            for use in (ticks.wait, ticks.try_wait, ticks.fileno, ticks.restart, ticks.__next__, ticks.__enter__,
                        lambda: ticks.period, lambda: ticks.next_due_ns):
                assert str(raised(ValueError, use)) == "the Interval is closed"
        """)


if __name__ == "__main__":
    unittest.main()
