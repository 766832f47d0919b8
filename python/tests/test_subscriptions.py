"""on(), Inbox, defer() and preserve()."""

import unittest

import processes

HELPERS = """
import gc, weakref
"""


class Case(processes.Case):
    maxDiff = None

    def run_program(self, source, **keywords):
        return super().run_program(HELPERS + processes.textwrap.dedent(source), **keywords)


class On(Case):
    def test_several_subscribers_each_get_the_event_in_order(self):
        self.run_program("""
            seen = []
            with tocsin.on(signal.SIGUSR1, lambda event: seen.append(("first", event))) as first, \\
                    tocsin.on([signal.SIGUSR1, signal.SIGUSR2], lambda event: seen.append(("second", event))) as second:
                assert (first.signals, second.signals) == ({10}, {10, 12}) and first.active and second.active
                send(signal.SIGUSR1)
                send(signal.SIGUSR2)
            assert [(who, event.signum) for who, event in seen] == [("first", 10), ("second", 10), ("second", 12)], seen
            assert all(isinstance(event, tocsin.Event) and event.pid == os.getpid() for _, event in seen)
            assert not first.active and second.signals == set() and second.delivered == 2
            assert isinstance(first, tocsin.Subscription) and "ended" in repr(first)
        """)

    def test_it_lives_on_when_nobody_keeps_what_on_returned(self):
        self.run_program("""
            seen = []
            tocsin.on(signal.SIGUSR1, seen.append)
            gc.collect()
            send(signal.SIGUSR1)
            assert len(seen) == 1
        """)

    def test_merged_arrivals_are_counted_exactly(self):
        self.run_program("""
            for delivery in "merge", "count":
                events = []
                with tocsin.on(signal.SIGUSR1, events.append, delivery=delivery) as subscription:
                    for expected in 278, 65536:
                        del events[:]
                        with tocsin.defer():
                            flood(signal.SIGUSR1, expected)
                        assert sum(event.count for event in events) == expected
                        assert len(events) == (1 if delivery == "merge" else expected), len(events)
                assert subscription.dropped == 0 and subscription.delivered == (2 if delivery == "merge" else 65814)
        """)

    def test_a_queue_keeps_what_finds_room_and_counts_the_rest(self):
        self.run_program("""
            for capacity, count in (1024, 278), (16384, 10000), (256, 65536):
                events = []
                with tocsin.on(signal.SIGUSR1, events.append, delivery="queue", capacity=capacity) as subscription:
                    with tocsin.defer():
                        flood(signal.SIGUSR1, count)
                    assert len(events) == subscription.delivered and all(event.count == 1 for event in events)
                    assert subscription.delivered + subscription.dropped == count
                    assert subscription.dropped == max(0, count - capacity), (capacity, count, subscription.dropped)
        """)

    def test_queued_signals_of_another_process_come_with_their_values_in_order(self):
        self.run_program("""
            count = 2000
            values = []
            sender = f'''if True:
                import errno, os, tocsin
                for value in range({count}):
                    while True:
                        try:
                            tocsin.sigqueue({os.getpid()}, {signal.SIGRTMIN + 1}, value)
                            break
                        except OSError as error:  # the kernel's queue is full
                            if error.errno != errno.EAGAIN:
                                raise
            '''
            with tocsin.on(signal.SIGRTMIN + 1, values.append, delivery="queue", capacity=4096):
                child = subprocess.Popen([sys.executable, "-c", sender])
                assert child.wait() == 0
                eventually(lambda: len(values) == count)
            assert [event.value for event in values] == list(range(count))
            assert {event.pid for event in values} == {child.pid} and {event.origin for event in values} == {"queue"}
        """)

    def test_once(self):
        self.run_program("""
            before, events = [], []
            signal.signal(signal.SIGUSR1, lambda *arguments: before.append(arguments))
            tracked = lambda event: events.append((event, subscription.active))
            gone = weakref.ref(tracked)
            subscription = tocsin.on(signal.SIGUSR1, tracked, once=True)
            del tracked
            send(signal.SIGUSR1)
            send(signal.SIGUSR1)
            assert len(events) == 1 and events[0][1] is False and len(before) == 1, (events, before)
            assert gone() is None and not subscription.active
            subscription.cancel()
        """)

    def test_the_second_takes_the_default_action(self):
        self.run_program("""
            child = subprocess.run([sys.executable, "-c", '''if True:
                import os, tocsin
                tocsin.on(15, lambda event: print("first", flush=True), second_is_default=True)
                os.kill(os.getpid(), 15)
                os.kill(os.getpid(), 15)
                print("not reached")
            '''], stdout=subprocess.PIPE)
            assert (child.returncode, child.stdout) == (-15, b"first\\n"), child
        """)

    def test_what_is_ignored_stays_ignored_if_asked(self):
        self.run_program("""
            seen = []
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            before = masks()
            with tocsin.on([signal.SIGHUP, signal.SIGUSR1], seen.append, respect_ignore=True) as subscription:
                assert subscription.signals == {10}
                send(signal.SIGHUP)
                send(signal.SIGUSR1)
                assert [event.signum for event in seen] == [10]
                assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert masks() == before
        """)

    def test_what_is_pending_at_the_end(self):
        self.run_program("""
            handled, called = [], []
            signal.signal(signal.SIGUSR2, lambda *arguments: handled.append("ours"))
            standard.signal(signal.SIGUSR1, lambda *arguments: handled.append("standard"))
            for pending, expected in ("redeliver", ["standard"]), ("drop", []), ("run", [[10, 3], [12, 1]]):
                callback = lambda event: called.append([event.signum, event.count])
                with tocsin.Inbox() as inbox:
                    inbox.on([signal.SIGUSR1, signal.SIGUSR2], callback, pending=pending)
                    flood(signal.SIGUSR1, 3)
                    flood(signal.SIGUSR2, 1)
                    assert handled == called == []
                assert handled + called == expected, (pending, handled, called)
                del handled[:], called[:]
            for pending, expected in ("drop", []), ("run", [[10, 3]]):
                subscription = tocsin.on(signal.SIGUSR1, callback, pending=pending)
                with tocsin.defer():
                    flood(signal.SIGUSR1, 3)
                    subscription.cancel()
                assert handled == [] and called == expected, (pending, handled, called)
            child = subprocess.run([sys.executable, "-c", '''if True:
                import os, tocsin
                subscription = tocsin.on(15, print)
                with tocsin.defer():
                    os.kill(os.getpid(), 15)
                    subscription.cancel()
            '''])
            assert child.returncode == -15, child
        """)

    def test_the_handler_before_is_called_if_chained(self):
        self.run_program("""
            for setter in standard.signal, signal.signal:
                seen = []
                setter(signal.SIGUSR1, lambda *arguments: seen.append("before"))
                with tocsin.on(signal.SIGUSR1, lambda event: seen.append("alone")):
                    send(signal.SIGUSR1)
                    assert seen == ["alone"], (setter, seen)
                del seen[:]
                with tocsin.on(signal.SIGUSR1, lambda event: seen.append("chained"), chain=True):
                    send(signal.SIGUSR1)
                    assert seen == ["before", "chained"], (setter, seen)
                    with tocsin.on(signal.SIGUSR1, lambda event: seen.append("alone")):
                        del seen[:]
                        send(signal.SIGUSR1)
                        assert seen == ["before", "chained", "alone"], (setter, seen)
                del seen[:]
                send(signal.SIGUSR1)
                assert seen == ["before"], (setter, seen)
                setter(signal.SIGUSR1, signal.SIG_DFL)
        """)

    def test_a_handler_set_later_is_called_too(self):
        self.run_program("""
            seen = []
            signal.signal(signal.SIGUSR1, lambda *arguments: seen.append("before"))
            with tocsin.on(signal.SIGUSR1, lambda event: seen.append("event")):
                signal.signal(signal.SIGUSR1, lambda *arguments: seen.append("later"))
                send(signal.SIGUSR1)
                assert seen == ["later", "event"], seen
            send(signal.SIGUSR1)
            assert seen == ["later", "event", "later"], seen
            with tocsin.on(signal.SIGUSR1, lambda event: seen.append("event")):
                signal.signal(signal.SIGUSR1, signal.SIG_DFL)
                send(signal.SIGUSR1)
            assert seen[3:] == ["event"] and signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL, seen
        """)

    def test_ctrl_c_is_an_event_and_then_again_an_exception(self):
        self.run_program("""
            events = []
            with tocsin.on(signal.SIGINT, events.append):
                assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
                send(signal.SIGINT)
            assert len(events) == 1
            raised(KeyboardInterrupt, send, signal.SIGINT)
            with tocsin.on(signal.SIGINT, events.append, chain=True):
                raised(KeyboardInterrupt, send, signal.SIGINT)
                eventually(lambda: len(events) == 2)
            assert standard.getsignal(signal.SIGINT) is not None
            raised(KeyboardInterrupt, send, signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            tocsin.install()
            with tocsin.on(signal.SIGINT, events.append):
                send(signal.SIGINT)
            assert len(events) == 3
            raised(KeyboardInterrupt, send, signal.SIGINT)
        """)

    def test_it_puts_back_what_it_found(self):
        self.run_program("""
            def handler(signum, frame): seen.append(signum)
            numbers = [1, 2, 10, 12, 15, 20, 23, 34, 40, 60]
            seen, events = [], []
            tocsin.on(signal.SIGALRM, print).cancel()  # what tocsin itself needs is there from now on
            for setter in standard.signal, signal.signal:
                standard.signal(2, standard.default_int_handler)
                for number, what in (1, signal.SIG_IGN), (10, handler), (20, signal.SIG_IGN), (34, handler):
                    setter(number, what)
                before = masks(), [signal.getsignal(each) for each in numbers], \\
                    [standard.getsignal(each) for each in numbers]
                for chain in False, True:
                    subscription = tocsin.on(numbers, events.append)
                    second = tocsin.on(numbers[3:], events.append, chain=chain)
                    with tocsin.Inbox() as inbox:
                        inbox.on(numbers, chain=chain)
                        assert [signal.getsignal(each) for each in numbers] == before[1]
                        thread = threading.Thread(target=subscription.cancel)
                        thread.start()
                        thread.join()
                    second.cancel()
                    eventually(lambda: (masks(), [signal.getsignal(each) for each in numbers]) == before[:2])
                    if not chain:
                        eventually(lambda: [standard.getsignal(each) for each in numbers] == before[2])
                send(10)
                assert seen == [10] and events == [], (seen, events)
                del seen[:]
                for number in numbers:
                    signal.signal(number, signal.SIG_DFL)
        """)

    def test_what_the_standard_module_set_meanwhile_stays(self):
        self.run_program("""
            seen = []
            with tocsin.on(signal.SIGUSR1, lambda event: seen.append("event")):
                standard.signal(signal.SIGUSR1, lambda *arguments: seen.append("later"))
            send(signal.SIGUSR1)
            assert seen == ["later"], seen
        """)

    def test_what_a_callback_raises_leaves_and_the_others_run(self):
        self.run_program("""
            seen = []
            def callback(event):
                seen.append(event.signum)
                if event.signum == 10:
                    raise KeyError("mine")
            tocsin.on([1, 10, 12, 15], callback)
            tocsin.on(10, lambda event: seen.append("other"))
            def all_of_them():
                with tocsin.defer():
                    for number in 15, 12, 10, 1:
                        send(number)
            raised(KeyError, all_of_them)
            eventually(lambda: len(seen) == 5)
            assert seen == [1, 10, "other", 12, 15], seen
        """)

    def test_it_interrupts_what_blocks(self):
        self.run_program("""
            class Stop(Exception): pass
            def stop(event): raise Stop
            reader, writer = os.pipe()
            tocsin.on(signal.SIGALRM, stop)
            for block in (lambda: time.sleep(60), lambda: os.read(reader, 1), lambda: threading.Lock().acquire() and
                          select.select([reader], [], []), signal.pause):
                raised(Stop, lambda: (signal.setitimer(signal.ITIMER_REAL, 0.05), block()))
        """)

    def test_cancel_from_the_callback_itself(self):
        self.run_program("""
            events = []
            def callback(event):
                events.append(event)
                subscription.cancel()
                subscription.cancel()
            subscription = tocsin.on(signal.SIGUSR1, callback, delivery="count", pending="drop")
            with tocsin.defer():
                flood(signal.SIGUSR1, 3)
            assert len(events) == 1 and not subscription.active
            gone = weakref.ref(callback)
            del callback
            gc.collect()
            assert gone() is None
        """)

    def test_cancel_on_another_thread_waits_for_the_callback(self):
        self.run_program("""
            for round in range(20):
                inside, go_on, steps = threading.Event(), threading.Event(), []
                def callback(event):
                    inside.set()
                    go_on.wait()
                    steps.append("end of the callback")
                subscription = tocsin.on(signal.SIGUSR1, callback)
                def cancel():
                    inside.wait()
                    helper = threading.Timer(0.01, go_on.set)
                    helper.start()
                    subscription.cancel()
                    steps.append("cancelled")
                    helper.join()
                thread = threading.Thread(target=cancel)
                thread.start()
                send(signal.SIGUSR1)
                thread.join()
                assert steps == ["end of the callback", "cancelled"], steps
            eventually(lambda: standard.getsignal(signal.SIGUSR1) is standard.SIG_DFL)
        """)

    def test_many_threads_subscribe_and_cancel_while_signals_come(self):
        self.run_program("""
            stop, counts, errors = [], [0], []
            def count(event): counts[0] += event.count
            standing = tocsin.on(signal.SIGUSR1, count)
            made = []
            def cancel():
                try:
                    while not stop or made:
                        try:
                            made.pop().cancel()
                        except IndexError:
                            time.sleep(0)
                        with tocsin.Inbox() as inbox:
                            inbox.on([signal.SIGUSR1, signal.SIGUSR2], lambda event: None, delivery="queue")
                            inbox.run_pending()
                except BaseException as error:
                    errors.append(error)
            threads = [threading.Thread(target=cancel) for _ in range(4)]
            for thread in threads:
                thread.start()
            sent = 0
            end = time.monotonic() + 2
            while time.monotonic() < end:
                made.append(tocsin.on([signal.SIGUSR1, signal.SIGUSR2], lambda event: None, pending="drop"))
                standard.raise_signal(signal.SIGUSR1)
                sent += 1
            stop.append(1)
            for thread in threads:
                thread.join()
            eventually(lambda: counts[0] == sent)
            assert not errors, errors
            standing.cancel()
            eventually(lambda: standard.getsignal(signal.SIGUSR1) is standard.SIG_DFL)
        """)

    def test_arguments_are_refused_with_a_reason(self):
        self.run_program("""
            ok = lambda event: None
            before = masks()
            for error, text, arguments, options in (
                (ValueError, "signal number out of range", (0, ok), {}),
                (ValueError, "signal number out of range", (65, ok), {}),
                (ValueError, "out of range", ([10, 65], ok), {}),
                (ValueError, "empty", ([], ok), {}),
                (OSError, "Invalid argument", (9, ok), {}),
                (OSError, "Invalid argument", (32, ok), {}),
                (OSError, "Invalid argument", ([10, 19], ok), {}),
                (TypeError, "", (None, ok), {}),
                (TypeError, "", ("TERM", ok), {}),
                (TypeError, "callable", (10, None), {}),
                (TypeError, "callable", (10, 1), {}),
                (TypeError, "", (10,), {}),
                (TypeError, "", (10, ok, "queue"), {}),
                (TypeError, "nonsense", (10, ok), dict(nonsense=1)),
                (ValueError, "delivery must be one of 'merge', 'count', 'queue', not 'all'", (10, ok),
                 dict(delivery="all")),
                (ValueError, "pending must be one of 'redeliver', 'drop', 'run', not ''", (10, ok), dict(pending="")),
                (ValueError, "1 to 1048576", (10, ok), dict(delivery="queue", capacity=0)),
                (ValueError, "1 to 1048576", (10, ok), dict(delivery="queue", capacity=-1)),
                (ValueError, "1 to 1048576", (10, ok), dict(delivery="queue", capacity=1 << 20 | 1)),
            ):
                found = raised(error, tocsin.on, *arguments, **options)
                assert text in str(found), (arguments, options, found)
            with tocsin.Inbox() as inbox:
                assert "without a callback" in str(raised(ValueError, inbox.on, 10, pending="run"))
                raised(TypeError, inbox.on)
                raised(TypeError, inbox.on, 10, "merge")
            raised(TypeError, tocsin.Subscription)
            raised(TypeError, tocsin.Inbox, 1)
            assert masks() == before
            assert all(standard.getsignal(number) is standard.SIG_DFL for number in (10, 12))
        """)

    def test_only_on_the_main_thread_of_the_main_interpreter(self):
        self.run_program("""
            errors = []
            def other():
                errors.append(raised(ValueError, tocsin.on, 10, print))
                errors.append(raised(ValueError, tocsin.preserve().__enter__))
                with tocsin.defer():  # nothing runs here anyway
                    pass
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            assert str(errors[0]) == "on only works in main thread of the main interpreter"
            try:
                import _interpreters as interpreters
            except ImportError:
                import _xxsubinterpreters as interpreters
            inner = interpreters.create()
            problem = interpreters.run_string(inner, f'''if True:
                import sys
                sys.path[:] = {sys.path!r}
                import tocsin
                for what in (lambda: tocsin.on(10, print), tocsin.Inbox, tocsin.preserve().__enter__):
                    try:
                        what()
                    except (ValueError, RuntimeError) as error:
                        assert "main interpreter" in str(error), error
                    else:
                        raise AssertionError(what)
                with tocsin.defer():
                    pass
            ''')
            assert problem is None, problem
            interpreters.destroy(inner)
        """)

    def test_a_child_keeps_it_with_nothing_pending(self):
        self.run_program("""
            events = []
            subscription = tocsin.on(signal.SIGUSR1, events.append, delivery="queue")
            inbox = tocsin.Inbox()
            inbox.on(signal.SIGUSR1)
            other = tocsin.Inbox()
            other.on(signal.SIGUSR1)
            thread = threading.Thread(target=other.wait)
            thread.start()
            with tocsin.defer():
                flood(signal.SIGUSR1, 5)
                sys.stdout.flush()
                import warnings
                warnings.simplefilter("ignore")
                child = os.fork()
                if child == 0:
                    os._exit(8 if inbox.try_next() or events else 0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and len(events) == 5
            thread.join()
            child = os.fork()
            if child == 0:
                try:
                    del events[:]
                    flood(signal.SIGUSR1, 3)
                    assert len(events) == 3, events
                    assert [inbox.next(10).count for _ in range(1)] == [3]
                    assert other.try_next().count == 3  # though a thread of the parent was in it
                    subscription.cancel()
                    inbox.close()
                    other.close()
                    assert standard.getsignal(signal.SIGUSR1) is standard.SIG_DFL
                    os._exit(0)
                finally:
                    os._exit(9)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert inbox.next(0).count == 5 and inbox.next(0) is None
            inbox.close()
            other.close()
        """)

    def test_an_inbox_that_a_thread_of_the_parent_waits_in_is_free_in_the_child(self):
        self.run_program("""
            import warnings
            warnings.simplefilter("ignore")
            inbox = tocsin.Inbox()
            inbox.on(signal.SIGUSR1)
            thread = threading.Thread(target=inbox.wait)
            thread.start()
            def in_use():
                try:
                    inbox.fileno()
                except RuntimeError:
                    return True
            eventually(in_use)
            child = os.fork()
            if child == 0:
                try:
                    flood(signal.SIGUSR1, 2)
                    assert inbox.next(10).count == 2
                    inbox.close()
                    os._exit(0)
                finally:
                    os._exit(9)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            inbox.close()
            thread.join()
        """)

    def test_the_interpreter_ends_with_live_subscriptions(self):
        self.run_program("""
            tocsin.on([signal.SIGTERM, signal.SIGINT], print, delivery="queue", pending="run")
            class Callback:
                def __call__(self, event): print("called")
                def __del__(self): print("gone")
            tocsin.on(signal.SIGUSR1, Callback())
            inbox = tocsin.Inbox()
            inbox.on(signal.SIGUSR2, Callback(), pending="drop")
            import warnings
            warnings.simplefilter("ignore")  # the inbox is not closed
            send(signal.SIGUSR1)
            send(signal.SIGUSR2)
        """)

    # To tell the standard module of a handler sets the disposition for a moment, which an inbox must not feel.
    def test_handlers_come_and_go_while_an_inbox_listens(self):
        self.run_program("""
            number, count = signal.SIGRTMIN, 100000
            inbox = tocsin.Inbox()
            listened = inbox.on(number, delivery="queue", capacity=131072, pending="drop")
            # Never many at once: the kernel's queue is shared by all processes of a user.
            sender = subprocess.Popen([sys.executable, "-c", f'''if True:
                from tocsin import sigqueue
                def queued():
                    with open("/proc/{os.getpid()}/status") as status:
                        return next(int(line.split()[1].partition("/")[0]) for line in status if line.startswith("SigQ"))
                for value in range({count}):
                    while value % 100 == 0 and queued() > 1000:
                        pass
                    sigqueue({os.getpid()}, {int(number)}, value)'''])
            rounds = 0
            while sender.poll() is None:
                tocsin.on(number, lambda event: None, pending="drop").cancel()
                signal.signal(number, lambda *arguments: None)
                signal.signal(number, signal.SIG_DFL)
                signal.signal(number, signal.SIG_IGN)
                rounds += 1
            assert rounds > 10, rounds
            total = 0
            while (event := inbox.try_next()) is not None:
                total += 1
            assert total + listened.dropped == count, (total, listened.dropped, rounds)
            inbox.close()
            assert standard.getsignal(number) == signal.SIG_IGN
        """)

    def test_daemon_threads_in_an_inbox_do_not_stop_the_end(self):
        self.run_program("""
            import warnings
            warnings.simplefilter("ignore")
            inboxes = [tocsin.Inbox() for _ in range(4)]
            ready = []
            def work(inbox):
                inbox.on(signal.SIGUSR1)
                inbox.on(signal.SIGUSR1, lambda event: sum(range(1000)))
                ready.append(1)
                for event in inbox:
                    pass
            for each in inboxes:
                threading.Thread(target=work, args=(each,), daemon=True).start()
            eventually(lambda: len(ready) == 4)
            subprocess.Popen(["/bin/sh", "-c", f"while kill -USR1 {os.getpid()}; do :; done"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            counts = [0]
            tocsin.on(signal.SIGUSR1, lambda event: counts.append(event.count))
            eventually(lambda: sum(counts) > 100)
        """)

    def test_nothing_leaks_when_it_is_imported_again(self):
        self.run_program("""
            import importlib
            def again():
                for name in [name for name in sys.modules if name.partition(".")[0] == "tocsin"]:
                    del sys.modules[name]
                fresh = importlib.import_module("tocsin")
                events = []
                with fresh.on(signal.SIGUSR1, events.append) as subscription, fresh.Inbox() as inbox:
                    assert isinstance(subscription, fresh.Subscription) and isinstance(inbox, fresh.Inbox)
                    send(signal.SIGUSR1)
                with fresh.defer():
                    pass
                assert len(events) == 1
            def count():
                gc.collect()
                return len(gc.get_objects()), len(os.listdir("/proc/self/fd"))
            for _ in range(5):
                again()
            before = count()
            for _ in range(50):
                again()
            after = count()
            assert after[1] == before[1] and after[0] - before[0] < 50, (before, after)
        """)


class Inbox(Case):
    def test_a_thread_of_its_own_takes_events_while_the_others_run(self):
        self.run_program("""
            count, got = 3000, []
            def work():
                with tocsin.Inbox() as inbox:
                    subscription = inbox.on(signal.SIGUSR1, delivery="queue", capacity=4096)
                    inbox.on([signal.SIGTERM])
                    ready.set()
                    for event in inbox:
                        if event.signum == signal.SIGTERM:
                            break
                        got.append(event)
                    got.append(subscription.dropped)
            ready = threading.Event()
            thread = threading.Thread(target=work)
            thread.start()
            ready.wait()
            flood(signal.SIGUSR1, count)
            eventually(lambda: len(got) == count)
            send(signal.SIGTERM)
            thread.join()
            assert got.pop() == 0 and len(got) == count
        """)

    def test_callbacks_run_where_run_pending_is_called(self):
        self.run_program("""
            seen = []
            def work():
                with tocsin.Inbox() as inbox:
                    inbox.on(signal.SIGUSR1, lambda event: seen.append((threading.get_ident(), event.count)))
                    ready.set()
                    assert inbox.wait(60) is True
                    assert inbox.run_pending() == 1 and inbox.run_pending() == 0
            ready = threading.Event()
            thread = threading.Thread(target=work)
            thread.start()
            ready.wait()
            send(signal.SIGUSR1)
            thread.join()
            assert seen == [(thread.ident, 1)], seen
        """)

    def test_several_get_each_arrival_and_a_flood_of_one_loses_no_other(self):
        self.run_program("""
            inboxes = [tocsin.Inbox() for _ in range(10)]
            for inbox in inboxes:
                inbox.on([signal.SIGUSR1, signal.SIGUSR2])
            for _ in range(1000):
                flood(signal.SIGUSR1, 70)
            send(signal.SIGUSR2)
            for inbox in inboxes:
                found = [inbox.try_next() for _ in range(3)]
                assert [(event.signum, event.count) for event in found[:2]] == [(10, 70000), (12, 1)] and not found[2]
                inbox.close()
        """)

    def test_next_waits_as_long_as_it_says(self):
        self.run_program("""
            with tocsin.Inbox() as inbox:
                inbox.on(signal.SIGALRM)
                for limit in 0, 0.05, 0.2:
                    begin = time.monotonic()
                    assert inbox.next(limit) is None
                    assert time.monotonic() - begin >= limit
                assert inbox.wait(0) is False
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                assert inbox.next(60).signum == signal.SIGALRM
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                assert inbox.next().signum == signal.SIGALRM
                assert "non-negative" in str(raised(ValueError, inbox.next, -1))
                raised(TypeError, inbox.next, "1")
                raised(ValueError, inbox.next, float("nan"))
                raised(OverflowError, inbox.next, 1e300)
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                assert inbox.wait(9e9) is True
                assert inbox.try_next()  # else its default action
        """)

    def test_ctrl_c_interrupts_next_on_the_main_thread(self):
        for install in "pass", "tocsin.install()":
            self.run_program(f"""
                {install}
                with tocsin.Inbox() as inbox:
                    inbox.on(signal.SIGUSR1)
                    for wait in (inbox.next, lambda: inbox.next(60), inbox.wait, lambda: next(inbox)):
                        thread = threading.Timer(0.05, send, [signal.SIGINT])
                        raised(KeyboardInterrupt, lambda: (thread.start(), wait()))
                        thread.join()
                    seen = []
                    signal.signal(signal.SIGTERM, lambda *arguments: (seen.append(1), send(signal.SIGUSR1)))
                    thread = threading.Timer(0.05, send, [signal.SIGTERM])
                    thread.start()
                    assert inbox.next().signum == signal.SIGUSR1 and seen == [1]
                    thread.join()
            """)

    def test_wake_and_close_end_what_waits(self):
        self.run_program("""
            inbox = tocsin.Inbox()
            results = []
            thread = threading.Thread(target=lambda: results.append(inbox.next()))
            thread.start()
            inbox.wake()
            thread.join()
            assert results == [None]
            inbox.wake()
            assert list(inbox) == [] and inbox.next(0) is None
            inbox.on(signal.SIGUSR1, print)
            before = len(os.listdir("/proc/self/fd"))
            thread = threading.Thread(target=lambda: results.append(list(inbox)))
            thread.start()
            def in_use():
                try:
                    inbox.fileno()
                except RuntimeError as error:
                    return "another thread" in str(error)
            eventually(in_use)
            raised(RuntimeError, inbox.on, signal.SIGUSR1)
            raised(RuntimeError, inbox.run_pending)
            inbox.close()
            thread.join()
            assert results == [None, []] and len(os.listdir("/proc/self/fd")) == before - 1
            assert inbox.closed and list(inbox) == []
            for call in inbox.fileno, inbox.run_pending, inbox.try_next, inbox.next, inbox.wait, inbox.wake:
                assert str(raised(ValueError, call)) == "the inbox is closed"
            inbox.close()
            assert standard.getsignal(signal.SIGUSR1) is standard.SIG_DFL
        """)

    def test_a_callback_may_close_its_own_inbox(self):
        self.run_program("""
            before = len(os.listdir("/proc/self/fd"))
            for call in "run_pending", "try_next", "next", "wait":
                inbox = tocsin.Inbox()
                seen = []
                def callback(event):
                    seen.append(event)
                    inbox.close()
                inbox.on(signal.SIGUSR1, callback)
                other = inbox.on(signal.SIGUSR1, callback, pending="drop")
                send(signal.SIGUSR1)
                getattr(inbox, call)()
                if call == "wait":
                    inbox.run_pending()
                assert len(seen) == 1 and inbox.closed and not other.active
                assert len(os.listdir("/proc/self/fd")) == before
        """)

    def test_what_a_callback_raises_leaves_and_the_rest_stays(self):
        self.run_program("""
            with tocsin.Inbox() as inbox:
                seen = []
                def callback(event):
                    seen.append(event.signum)
                    if event.signum == 10:
                        raise KeyError
                inbox.on([10, 12], callback)
                send(12)
                send(10)
                raised(KeyError, inbox.run_pending)
                assert select.select([inbox.fileno()], [], [], 0)[0]
                assert inbox.run_pending() == 1 and seen == [10, 12]
                assert not select.select([inbox.fileno()], [], [], 0)[0]
        """)

    def test_an_event_loop_sees_the_descriptor(self):
        self.run_program("""
            import selectors
            with tocsin.Inbox() as inbox, selectors.DefaultSelector() as selector:
                inbox.on(signal.SIGUSR1, delivery="queue")
                selector.register(inbox, selectors.EVENT_READ)
                got = 0
                for _ in range(500):
                    assert selector.select(0) == []
                    flood(signal.SIGUSR1, 3)
                    assert len(selector.select(10)) == 1
                    assert inbox.try_next() is not None
                    assert len(selector.select(0)) == 1
                    while inbox.try_next():
                        got += 1
                assert got == 1000
        """)

    def test_once_and_the_second_and_the_rest(self):
        self.run_program("""
            handled = []
            signal.signal(signal.SIGUSR1, lambda *arguments: handled.append(1))
            with tocsin.Inbox() as inbox:
                subscription = inbox.on(signal.SIGUSR1, once=True)
                send(signal.SIGUSR1)
                assert handled == []
                assert inbox.try_next().count == 1 and inbox.try_next() is None and not subscription.active
                send(signal.SIGUSR1)
                assert handled == [1]
                with inbox.on(signal.SIGUSR1, handled.append, chain=True) as subscription:
                    send(signal.SIGUSR1)
                    assert handled == [1, 1] and inbox.run_pending() == 1 and len(handled) == 3
                inbox.on(signal.SIGUSR2, handled.append, pending="run")
                send(signal.SIGUSR2)
            assert len(handled) == 4
        """)

    def test_a_cycle_through_the_callback_is_collected_and_ends_the_subscription(self):
        self.run_program("""
            import warnings
            events = []
            def make():
                inbox = tocsin.Inbox()
                class Callback:
                    def __call__(self, event): events.append((inbox.closed, event.count))
                callback = Callback()
                subscription = inbox.on(signal.SIGUSR1, callback, pending="run")
                send(signal.SIGUSR1)
                return weakref.ref(inbox), weakref.ref(callback), weakref.ref(subscription)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                refs = make()
                gc.collect()
            assert not any(each() for each in refs), refs
            assert [str(each.message) for each in caught] == ["unclosed tocsin.Inbox"], caught
            assert events == [(True, 1)]
            assert standard.getsignal(signal.SIGUSR1) is standard.SIG_DFL and masks()[0] >> 9 & 1 == 0
        """)

    def test_one_that_nobody_has_ends(self):
        self.run_program("""
            import warnings
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                subscription = tocsin.Inbox().on(signal.SIGUSR1, print)
            assert not subscription.active and len(caught) == 1
            subscription.cancel()
            events = []
            tocsin.on(signal.SIGUSR1, events.append)
            send(signal.SIGUSR1)
            assert len(events) == 1
        """)

    def test_there_are_63(self):
        self.run_program("""
            inboxes = [tocsin.Inbox() for _ in range(63)]
            assert "63" in str(raised(ValueError, tocsin.Inbox))
            for each in inboxes:
                each.on(signal.SIGUSR1)
            send(signal.SIGUSR1)
            for each in inboxes:
                assert each.try_next().count == 1
                each.close()
            tocsin.Inbox().close()
        """)


class Defer(Case):
    def test_nothing_runs_in_the_block_and_all_of_it_at_the_end(self):
        self.run_program("""
            seen = []
            standard.signal(signal.SIGUSR1, lambda *arguments: seen.append("standard"))
            signal.signal(signal.SIGUSR2, lambda *arguments: seen.append("tocsin"))
            tocsin.on(signal.SIGTERM, lambda event: seen.append(event.count))
            one = tocsin.defer()
            with tocsin.defer():
                with tocsin.defer(), one, one:
                    send(signal.SIGUSR1)
                    flood(signal.SIGTERM, 4)
                    send(signal.SIGUSR2)
                    time.sleep(0.05)
                assert seen == [], seen
            assert seen == ["standard", "tocsin", 4], seen
            with one:
                send(signal.SIGUSR2)
                assert len(seen) == 3
            assert len(seen) == 4
        """)

    def test_ctrl_c_leaves_from_the_end(self):
        self.run_program("""
            done = []
            def work():
                with tocsin.defer():
                    with tocsin.defer():
                        send(signal.SIGINT)
                        time.sleep(0.01)
                    done.append("inner")
                done.append("never")
            raised(KeyboardInterrupt, work)
            assert done == ["inner"]
            def fails():
                with tocsin.defer():
                    send(signal.SIGINT)
                    raise OSError("its own")
            assert isinstance(raised(KeyboardInterrupt, fails).__context__, OSError)
            def both():
                with tocsin.defer():
                    send(signal.SIGUSR1)
                    send(signal.SIGUSR2)
            found = []
            def handler(signum, frame):
                found.append(signum)
                raise LookupError(signum)
            signal.signal(signal.SIGUSR1, handler)
            signal.signal(signal.SIGUSR2, handler)
            try:
                try:
                    both()
                finally:  # the other one comes before or here
                    eventually(lambda: len(found) == 2)
            except LookupError as error:
                assert error.args == (signal.SIGUSR2,) and error.__context__.args == (signal.SIGUSR1,)
            assert found == [signal.SIGUSR1, signal.SIGUSR2], found
        """)

    def test_the_standard_module_and_asyncio_find_all_as_before(self):
        self.run_program("""
            import asyncio, socket
            handler = lambda *arguments: seen.append(arguments[0])
            seen = []
            standard.signal(signal.SIGUSR1, handler)
            reader, writer = socket.socketpair()
            writer.setblocking(False)
            standard.set_wakeup_fd(writer.fileno())
            tocsin.on(signal.SIGALRM, print).cancel()
            before = masks(), [standard.getsignal(each) for each in range(1, 65)]
            with tocsin.defer():
                send(signal.SIGUSR1)
                send(signal.SIGUSR1)
                _thread.interrupt_main(signal.SIGUSR1) if sys.version_info >= (3, 10) else send(signal.SIGUSR1)
                assert seen == []
                assert signal.getsignal(signal.SIGUSR1) is handler
            assert seen == [signal.SIGUSR1]
            assert (masks(), [standard.getsignal(each) for each in range(1, 65)]) == before
            assert reader.recv(100) == bytes([signal.SIGUSR1]) * 3
            standard.set_wakeup_fd(-1)
            with tocsin.defer():
                standard.signal(signal.SIGUSR1, signal.SIG_IGN)
                standard.signal(signal.SIGUSR2, handler)
                send(signal.SIGUSR2)  # not known at the beginning
                assert seen.pop() == signal.SIGUSR2
            assert standard.getsignal(signal.SIGUSR1) is standard.SIG_IGN
            reader.close()
            writer.close()
            async def main():
                try:
                    send(signal.SIGINT)
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    seen.append("cancelled")
                    raise
            raised(KeyboardInterrupt, asyncio.run, main())
            assert seen.pop() == "cancelled" or sys.version_info < (3, 11)
        """)

    def test_several_that_the_standard_module_handles_run_though_one_raises(self):
        self.run_program("""
            seen = []
            def handler(signum, frame):
                seen.append(signum)
                if signum == 1:
                    raise LookupError(signum)
            for number in 1, 10, 12, 15:
                standard.signal(number, handler)
            def work():
                with tocsin.defer():
                    for number in 12, 15, 1, 10:
                        send(number)
            assert raised(LookupError, work).args == (1,)
            eventually(lambda: len(seen) == 4)
            assert seen == [1, 10, 12, 15], seen
        """)

    def test_it_belongs_to_its_thread(self):
        self.run_program("""
            one = tocsin.defer()
            raised(RuntimeError, one.__exit__, None, None, None)
            one.__enter__()
            errors = []
            def other():
                errors.append(raised(RuntimeError, one.__enter__))
                errors.append(raised(RuntimeError, one.__exit__, None, None, None))
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            seen = []
            signal.signal(signal.SIGUSR1, lambda *arguments: seen.append(1))
            send(signal.SIGUSR1)
            assert len(errors) == 2 and seen == []
            standard.signal(signal.SIGUSR2, standard.SIG_DFL)
            del one, errors[:]  # as if it had been left
            eventually(lambda: seen == [1])
            assert standard.getsignal(signal.SIGINT) is standard.default_int_handler
            with tocsin.defer():
                child = os.fork()
                if child == 0:
                    send(signal.SIGUSR1)
                    os._exit(len(seen) - 1)
            assert os.waitpid(child, 0)[1] == 0
        """)

    def test_other_threads_are_not_kept_from_working(self):
        self.run_program("""
            seen = []
            signal.signal(signal.SIGUSR1, lambda *arguments: seen.append(1))
            def other():
                with tocsin.defer():
                    send(signal.SIGUSR1)
                    eventually(lambda: seen == [1])
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        """)


class Preserve(Case):
    def test_handlers_are_as_before(self):
        self.run_program("""
            def one(signum, frame): pass
            def two(signum, frame): raise SystemExit("must not run")
            signal.signal(1, one)
            signal.signal(10, signal.SIG_IGN)
            numbers = sorted(signal.valid_signals())
            before = [signal.getsignal(each) for each in numbers], masks()
            with tocsin.preserve():
                for number in 1, 2, 10, 12, 15, 40:
                    signal.signal(number, two)
                standard.signal(3, two)
            assert ([signal.getsignal(each) for each in numbers], masks()) == before
            raised(KeyboardInterrupt, send, 2)
            def fails():
                with tocsin.preserve(1, signal.SIGTERM):
                    signal.signal(1, two)
                    signal.signal(12, one)
                    raise KeyError
            raised(KeyError, fails)
            assert signal.getsignal(1) is one and signal.getsignal(12) is one
        """)

    def test_all_are_put_back_before_a_handler_runs(self):
        self.run_program("""
            def first(signum, frame): raise LookupError([signal.getsignal(each) for each in (10, 12)])
            def inner(signum, frame): raise SystemExit("too late for this one")
            signal.signal(10, first)
            signal.signal(12, first)
            def work():
                with tocsin.preserve(10, 12), tocsin.defer():
                    pass
                with tocsin.defer(), tocsin.preserve(10, 12):
                    signal.signal(10, inner)
                    signal.signal(12, inner)
                    send(10)
            assert raised(LookupError, work).args == ([first, first],)
        """)

    def test_none_runs_for_what_arrives_while_they_are_put_back(self):
        self.run_program("""
            from tocsin import _preserve
            class slow:  # signals arrive in between
                getsignal = staticmethod(signal.getsignal)
                @staticmethod
                def signal(signum, handler):
                    send(10)
                    send(12)
                    return signal.signal(signum, handler)
            _preserve._signal = slow
            seen = []
            def first(signum, frame): seen.append((signum, [signal.getsignal(each) for each in (10, 12)]))
            def inner(signum, frame): raise SystemExit("called in between")
            signal.signal(10, first)
            signal.signal(12, first)
            with tocsin.preserve(10, 12):
                signal.signal(10, inner)
                signal.signal(12, inner)
            assert sorted(signum for signum, _ in seen) == [10, 12], seen
            assert all(found == [first, first] for _, found in seen), seen
        """)

    def test_what_other_code_handles_is_left(self):
        self.run_program("""
            import faulthandler
            faulthandler.register(signal.SIGUSR1, file=open(os.devnull, "w"))
            before = masks()
            assert before[0] >> 9 & 1
            with tocsin.preserve():
                signal.signal(signal.SIGUSR2, signal.default_int_handler)
            assert masks() == before
            send(signal.SIGUSR1)
            import warnings
            warnings.simplefilter("ignore")
        """)


if __name__ == "__main__":
    unittest.main()
