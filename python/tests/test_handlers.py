"""Handlers: what signal() of tocsin does beyond the standard module, and where both meet. What the standard module does is
tested by CPython's own tests: cpython.py."""

import unittest

import processes


class Handlers(processes.Case):
    def test_a_third_parameter_that_must_be_given_gets_the_event(self):
        self.run_program("""
            seen = []
            class Object:
                def method(self, signum, frame, event): seen.append(("method", event.signum))
                def __call__(self, *arguments): seen.append(("object", len(arguments)))
            def default(signum, frame, event=None): seen.append(("default", event))
            def keyword(signum, frame, *, event=None): seen.append(("keyword", event))
            for handler in (lambda signum, frame, event: seen.append(("function", event.signum)),
                            Object().method, Object(), default, keyword, lambda *all: seen.append(("all", len(all)))):
                signal.signal(signal.SIGUSR1, handler)
                send(signal.SIGUSR1)
            assert seen == [("function", 10), ("method", 10), ("object", 2), ("default", None), ("keyword", None),
                            ("all", 2)], seen
        """)

    def test_an_event_tells_who_sent_it_and_how_often(self):
        self.run_program("""
            events = []
            signal.signal(signal.SIGUSR1, lambda signum, frame, event: events.append(event))
            signal.signal(signal.SIGRTMIN, lambda signum, frame, event: events.append(event))
            with tocsin.defer():
                for _ in range(3):
                    send(signal.SIGUSR1)
                tocsin.sigqueue(os.getpid(), signal.SIGRTMIN, 42)
                assert events == []
            user, queued = events
            assert (user.name, user.origin, user.pid, user.uid, user.value) == \
                ("SIGUSR1", "user", os.getpid(), os.getuid(), None)
            assert user.count == 3
            assert (queued.name, queued.origin, queued.value, queued.count) == ("SIGRTMIN", "queue", 42, 1)
            assert isinstance(queued.info, signal.struct_siginfo) and queued.info.si_status == 42
            assert str(user) == user.describe() and f"pid {os.getpid()}" in str(user), str(user)
            assert "value 42" in repr(queued), repr(queued)
            assert raised(TypeError, tocsin.Event)
        """)

    def test_a_child_says_how_it_ended(self):
        self.run_program("""
            events = []
            signal.signal(signal.SIGCHLD, lambda signum, frame, event: events.append(event))
            child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
            child.wait()
            eventually(lambda: events)
            assert (events[0].origin, events[0].pid, events[0].status) == ("child", child.pid, 7), events
        """)

    def test_after_a_handler_that_raises_the_others_still_run(self):
        self.run_program("""
            seen = []
            def handler(signum, frame):
                seen.append(signum)
                if signum == signal.SIGUSR1:
                    raise KeyError("mine")
            numbers = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM]
            for number in numbers:
                signal.signal(number, handler)
            def all_of_them():
                with tocsin.defer():
                    for number in numbers:
                        send(number)
            assert str(raised(KeyError, all_of_them)) == "'mine'"
            eventually(lambda: seen == numbers)
        """)

    def test_after_a_standard_handler_that_raises_meanwhile_too(self):
        # The first handler, which has no bytecode, simulates a Ctrl-C: the interpreter comes to that one when it looks
        # again while it is at SIGTERM.
        self.run_program("""
            import ctypes
            seen = []
            signal.signal(signal.SIGTERM, lambda signum, frame: seen.append(signum))
            press_ctrl_c = ctypes.pythonapi.PyErr_SetInterrupt
            press_ctrl_c.argtypes = [ctypes.c_int, ctypes.py_object]
            standard.signal(standard.SIGUSR2, press_ctrl_c)
            both = [standard.SIGUSR2, standard.SIGTERM]
            standard.pthread_sigmask(standard.SIG_BLOCK, both)
            for number in both:
                send(number)
            raised(KeyboardInterrupt, standard.pthread_sigmask, standard.SIG_UNBLOCK, both)
            eventually(lambda: seen == [signal.SIGTERM])
        """)

    def test_a_simulated_interrupt_runs_the_handler_without_an_event(self):
        self.run_program("""
            seen = []
            before = signal.signal(signal.SIGINT, lambda signum, frame, event: seen.append(event))
            assert before is signal.default_int_handler
            _thread.interrupt_main()
            eventually(lambda: seen == [None])
            send(signal.SIGINT)
            eventually(lambda: len(seen) == 2)
            assert seen[1].origin == "user"
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            assert standard.getsignal(signal.SIGINT) == signal.SIG_IGN
            _thread.interrupt_main()
            for _ in range(1000):
                pass
            assert len(seen) == 2
        """)

    # Real ones from other threads and simulated ones: each real one is handled, and none twice.
    def test_real_signals_are_counted_exactly_beside_simulated_ones(self):
        self.run_program("""
            count = simulated = 0
            def handler(signum, frame, event):
                global count, simulated
                if event is None:
                    simulated += 1
                else:
                    count += event.count
            signal.signal(signal.SIGRTMIN, handler)
            signal.signal(signal.SIGUSR1, lambda *all: None)
            def sender():
                for _ in range(2000):
                    signal.pthread_kill(threading.get_ident(), signal.SIGRTMIN)
            threads = [threading.Thread(target=sender) for _ in range(3)]
            for each in threads: each.start()
            for each in threads: each.join()
            eventually(lambda: count == 6000)
            assert simulated == 0, simulated
        """)

    def test_the_standard_module_knows_whom_to_call(self):
        self.run_program("""
            handler = lambda *all: None
            assert signal.signal(signal.SIGUSR1, handler) == signal.SIG_DFL
            assert signal.getsignal(signal.SIGUSR1) is handler
            assert callable(standard.getsignal(signal.SIGUSR1))
            other = lambda *all: None
            standard.signal(signal.SIGUSR1, other)
            assert signal.getsignal(signal.SIGUSR1) is other
            assert signal.signal(signal.SIGUSR1, handler) is other
            assert signal.signal(signal.SIGUSR1, signal.SIG_DFL) is handler
            assert standard.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        """)

    def test_of_two_calls_for_one_signal_the_one_that_ends_last_counts(self):
        # Ctrl-C comes inside signal(), when that asks how many parameters the handler has.
        self.run_program("""
            import ctypes, functools
            seen = []
            press_ctrl_c = ctypes.pythonapi.PyErr_SetInterrupt
            press_ctrl_c.argtypes = [ctypes.py_object]
            class Handler:
                __func__ = property(functools.partial(press_ctrl_c))
                def __call__(self, signum, frame): seen.append(signum)
            def on_ctrl_c(signum, frame):
                seen.append(signum)
                signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            standard.signal(standard.SIGINT, on_ctrl_c)
            handler = Handler()
            signal.signal(signal.SIGUSR1, handler)
            assert seen == [signal.SIGINT], seen
            assert signal.getsignal(signal.SIGUSR1) is handler
            send(signal.SIGUSR1)
            assert seen == [signal.SIGINT, signal.SIGUSR1], seen
        """)

    def test_a_refused_handler_changes_nothing(self):
        self.run_program("""
            handler = lambda *all: None
            signal.signal(signal.SIGUSR1, handler)
            assert raised(TypeError, signal.signal, signal.SIGUSR1, None)
            assert raised(OSError, signal.signal, signal.SIGKILL, handler).errno == errno.EINVAL
            assert raised(ValueError, signal.signal, 65, handler)
            assert signal.getsignal(signal.SIGUSR1) is handler
            assert signal.getsignal(signal.SIGKILL) == signal.SIG_DFL
            def pending(signum, frame): raise KeyError("pending")
            signal.signal(signal.SIGUSR2, pending)
            guard = tocsin.defer()
            guard.__enter__()
            send(signal.SIGUSR2)
            assert raised(KeyError, guard.__exit__, None, None, None)
            assert signal.getsignal(signal.SIGUSR1) is handler
        """)


class Waits(processes.Case):
    def test_other_threads_run_while_one_waits(self):
        self.run_program("""
            standard.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            waits = (signal.sigwait, signal.sigwaitinfo, lambda those: signal.sigtimedwait(those, 1000))
            sys.setswitchinterval(1000)  # the interpreter's lock goes to another thread only where it is given away
            def work(gate):
                gate.acquire()
                send(signal.SIGUSR1)
            for wait in waits:
                gate = threading.Lock()
                gate.acquire()
                thread = threading.Thread(target=work, args=(gate,))
                thread.start()
                gate.release()
                wait([signal.SIGUSR1])
                thread.join()
        """)


class Nudge(processes.Case):
    def test_the_program_may_have_the_signal_that_tocsin_uses(self):
        self.run_program("""
            seen = []
            signal.signal(signal.SIGUSR1, lambda *all: None)
            before = _tocsin.nudge_signals()
            for number in before:
                signal.signal(number, lambda signum, frame: seen.append(signum))
            after = _tocsin.nudge_signals()
            assert len(before) == len(after) == 2 and not before & after, (before, after)
            for number in sorted(before):
                send(number)
            eventually(lambda: sorted(seen) == sorted(before))
        """)

    def test_it_is_not_seen(self):
        self.run_program("""
            signal.signal(signal.SIGUSR1, lambda *all: None)
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            nudges = _tocsin.nudge_signals()
            assert not nudges & signal.pthread_sigmask(signal.SIG_BLOCK, [])
            send(signal.SIGUSR1)
            assert signal.sigpending() == {signal.SIGUSR1}
            assert signal.sigtimedwait(signal.valid_signals(), 1).si_signo == signal.SIGUSR1
            assert signal.sigtimedwait(signal.valid_signals(), 0.05) is None
        """)

    def test_it_writes_nothing_to_the_standard_wakeup_descriptor(self):
        self.run_program("""
            import ctypes, itertools
            seen = []
            signal.signal(signal.SIGUSR1, lambda signum, frame: seen.append(signum))
            reader, writer = os.pipe()
            os.set_blocking(writer, False)
            standard.set_wakeup_fd(writer)
            kill = ctypes.PyDLL(None).kill
            once = map(kill, [os.getpid()], [signal.SIGUSR1])
            begin = time.monotonic()
            sum(itertools.chain(once, range(6_000_000)))  # without a bytecode, for many ticks
            eventually(lambda: seen == [signal.SIGUSR1])
            assert time.monotonic() - begin > 0.02
            standard.set_wakeup_fd(-1)
            assert os.read(reader, 99) == b"\\x0a"
        """)

    def test_a_forked_child_has_its_own(self):
        self.run_program("""
            signal.signal(signal.SIGUSR1, lambda *all: None)
            pid = os.fork()
            if pid == 0:
                taken = []
                signal.signal(signal.SIGUSR1, lambda *all: taken.append(time.monotonic()))
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
                def taker():
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
                    send(signal.SIGUSR1)
                threading.Thread(target=taker).start()
                begin = time.monotonic()
                time.sleep(5)
                os._exit(0 if taken and taken[0] - begin < 4 else 1)
            assert os.waitpid(pid, 0)[1] == 0
        """)


class Wakeup(processes.Case):
    def test_several_descriptors(self):
        self.run_program("""
            signal.signal(signal.SIGUSR1, lambda *all: None)
            pipes = [os.pipe() for _ in range(3)]
            for reader, writer in pipes:
                os.set_blocking(reader, False)
                assert raised(ValueError, _tocsin.add_wakeup_fd, writer)
                os.set_blocking(writer, False)
            assert signal.set_wakeup_fd(pipes[0][1]) == -1
            _tocsin.add_wakeup_fd(pipes[1][1])
            _tocsin.add_wakeup_fd(pipes[2][1])
            send(signal.SIGUSR1)
            assert [os.read(reader, 9) for reader, _ in pipes] == [b"\\x0a"] * 3
            _tocsin.remove_wakeup_fd(pipes[1][1])
            assert raised(ValueError, _tocsin.remove_wakeup_fd, pipes[1][1])
            send(signal.SIGUSR1)
            assert raised(BlockingIOError, os.read, pipes[1][0], 9)
            assert os.read(pipes[2][0], 9) == b"\\x0a"
            pid = os.fork()
            if pid == 0:
                send(signal.SIGUSR1)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert os.read(pipes[0][0], 9) == b"\\x0a" and raised(BlockingIOError, os.read, pipes[0][0], 9)
            assert raised(BlockingIOError, os.read, pipes[2][0], 9)
            signal.set_wakeup_fd(-1)
        """)

    def test_it_is_off_in_a_child_for_simulated_signals_too(self):
        self.run_program("""
            seen = []
            signal.signal(signal.SIGINT, lambda signum, frame: seen.append(signum))
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            os.set_blocking(writer, False)
            signal.set_wakeup_fd(writer)
            pid = os.fork()
            if pid == 0:
                _thread.interrupt_main()
                eventually(lambda: seen == [signal.SIGINT])
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert raised(BlockingIOError, os.read, reader, 9)
            _thread.interrupt_main()
            eventually(lambda: seen == [signal.SIGINT])
            assert os.read(reader, 9) == b"\\x02"
            signal.set_wakeup_fd(-1)
        """)


if __name__ == "__main__":
    unittest.main()
