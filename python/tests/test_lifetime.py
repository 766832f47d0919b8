"""From import to exit: repeated imports, forks, threads, sub-interpreters, signals that are pending at the end."""

import os
import signal
import subprocess
import sys
import unittest

import processes

SUBINTERPRETERS = """
try:
    import _interpreters                           # 3.13
    kinds = "isolated", "legacy"
    def run(kind, code):
        interpreter = _interpreters.create(kind)
        problem = _interpreters.run_string(interpreter, code)
        _interpreters.destroy(interpreter)
        assert problem is None, problem
except ImportError:
    import _xxsubinterpreters
    kinds = True, False                            # isolated: since 3.12 with a lock of its own
    def run(kind, code):
        interpreter = _xxsubinterpreters.create(isolated=kind)
        _xxsubinterpreters.run_string(interpreter, code)
        _xxsubinterpreters.destroy(interpreter)
"""


class Import(processes.Case):
    def test_every_module_without_a_warning(self):
        self.run_program("""
            import importlib, pkgutil
            names = [module.name for module in pkgutil.iter_modules(tocsin.__path__)]
            assert {"_tocsin", "patch", "signal"} <= set(names), names
            for name in names:
                importlib.import_module("tocsin." + name)
        """, options=("-X", "dev", "-W", "error"))

    def test_a_hundred_times_leaves_nothing_behind(self):
        # The interpreter itself keeps some blocks of memory for later, fewer and fewer: so many rounds come first.
        self.run_program("""
            import gc
            def again():
                for name in [name for name in sys.modules if name.split(".")[0] == "tocsin"]:
                    del sys.modules[name]
                import tocsin.signal
                signal = tocsin.signal
                tocsin.install()
                before = signal.signal(signal.SIGUSR1, lambda signum, frame, event: str(event))
                signal.raise_signal(signal.SIGUSR1)
                signal.signal(signal.SIGUSR1, before)
                tocsin.uninstall()
            def state():
                for _ in range(3):
                    gc.collect()
                return len(gc.get_objects()), sys.getallocatedblocks(), len(os.listdir("/proc/self/fd"))
            for _ in range(800):
                again()
            before = state()
            for _ in range(400):
                again()
            objects, blocks, descriptors = (b - a for a, b in zip(before, state()))
            assert objects < 10 and blocks < 200 and descriptors == 0, (objects, blocks, descriptors)
        """, options=())


class Exit(processes.Case):
    def test_what_comes_while_the_program_ends_is_handled_or_is_as_before(self):
        self.run_program("""
            import atexit
            signal.signal(signal.SIGUSR1, lambda *arguments: print("handled"))
            signal.signal(signal.SIGURG, lambda *arguments: None)
            atexit.register(send, signal.SIGUSR1)
            class AtTheVeryEnd:
                def __del__(self, kill=os.kill, pid=os.getpid(), number=int(signal.SIGURG)):
                    kill(pid, number)
            sys.at_the_very_end = AtTheVeryEnd()
        """)

    def test_in_a_storm(self):
        # SIGURG does nothing by default: neither its handler nor the end of the handlers may do any more.
        program = """
import os, sys, threading, time
from tocsin import signal
main = threading.get_ident()
signal.signal(signal.SIGURG, lambda *arguments: None)
def storm():
    while True:
        signal.pthread_kill(main, signal.SIGURG)
        os.kill(os.getpid(), signal.SIGURG)
for _ in range(2):
    threading.Thread(target=storm, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
        for _ in range(10):
            with subprocess.Popen(
                [sys.executable, "-X", "dev", "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as process:
                process.stdout.readline()
                process.stdin.close()
                while process.poll() is None:
                    os.kill(process.pid, signal.SIGURG)
                self.assertEqual((process.returncode, process.stderr.read()), (0, b""))

    def test_what_is_pending_when_handlers_end_is_not_complained_of(self):
        self.run_program("""
            import builtins, ctypes, functools, types
            signal.signal(signal.SIGWINCH, lambda signum, frame: None)
            class Last:
                def __del__(self, clock=time.monotonic):
                    end = clock() + 0.05  # several ticks of the timer that interrupts
                    while clock() < end:
                        pass
            builtins.last = Last()
            # The interpreter does this, and then takes its handlers away, with no bytecode in between.
            kill = functools.partial(ctypes.PyDLL(None).kill, os.getpid(), signal.SIGWINCH)
            sys.stdout = types.SimpleNamespace(closed=False, flush=kill)
        """)

    def test_waiting_for_threads_handlers_run(self):
        self.run_program("""
            done = threading.Event()
            signal.signal(signal.SIGUSR1, lambda *arguments: done.set())
            def work():
                end.wait()
                send(signal.SIGUSR1)
                assert done.wait(20)
            end = threading.Event()
            threading.Thread(target=work).start()
            end.set()
        """)

    def test_an_interrupted_program_ends_by_the_signal(self):
        done = subprocess.run(
            [sys.executable, "-c", "import os, tocsin; tocsin.install(); os.kill(os.getpid(), 2)"],
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, -signal.SIGINT)
        self.assertIn("KeyboardInterrupt", done.stderr)


class Fork(processes.Case):
    def test_the_child_starts_with_nothing_pending(self):
        self.run_program("""
            seen = []
            signal.signal(signal.SIGUSR2, lambda *arguments: seen.append(os.getpid()))
            def fork(*arguments):
                global child
                child = os.fork()
            signal.signal(signal.SIGUSR1, fork)
            both = {signal.SIGUSR1, signal.SIGUSR2}
            signal.pthread_sigmask(signal.SIG_BLOCK, both)
            send(signal.SIGUSR1)
            send(signal.SIGUSR2)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
            if child == 0:
                os._exit(0 if seen == [] else 1)
            assert os.waitpid(child, 0)[1] == 0
            assert seen == [os.getpid()]
        """)

    def test_handlers_work_in_the_child(self):
        self.run_program("""
            seen = []
            signal.signal(signal.SIGUSR1, lambda signum, frame, event: seen.append(event.pid))
            send(signal.SIGUSR1)
            child = os.fork()
            if child == 0:
                send(signal.SIGUSR1)
                signal.signal(signal.SIGUSR2, lambda signum, frame, event: seen.append(event.signum))
                send(signal.SIGUSR2)
                os._exit(0 if seen == [os.getppid(), os.getpid(), 12] else 1)
            assert os.waitpid(child, 0)[1] == 0
            assert seen == [os.getpid()]
        """)

    def test_a_signal_to_a_child_that_has_just_begun_is_handled_there(self):
        # Stock: lost. The parent is on the processor: most children have not run at all when the signal comes.
        self.run_program("""
            parent = os.getpid()
            def handler(signum, frame):
                assert os.getpid() != parent
                os._exit(7)
            signal.signal(signal.SIGTERM, handler)
            for round in range(300):
                child = os.fork()
                if child == 0:
                    time.sleep(20)
                    os._exit(1)
                for _ in range(round * 20):
                    pass
                os.kill(child, signal.SIGTERM)
                assert os.waitpid(child, 0)[1] == 7 << 8, round
        """)

    def test_forked_while_threads_are_told_of_signals_the_child_knows_a_simulated_one(self):
        self.run_program("""
            simulated = []
            signal.signal(signal.SIGINT, lambda signum, frame, event: event or simulated.append(event))
            def storm():
                while True:
                    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            for _ in range(3):
                threading.Thread(target=storm, daemon=True).start()
            for _ in range(100):
                child = os.fork()
                if child == 0:
                    assert simulated == []
                    _thread.interrupt_main()
                    eventually(lambda: simulated)
                    os._exit(0 if len(simulated) == 1 else 1)
                assert os.waitpid(child, 0)[1] == 0
            os._exit(0 if simulated == [] else 1) # the storm would go on while the interpreter ends
        """, options=("-X", "dev", "-W", "ignore::DeprecationWarning")) # fork() beside threads, since 3.12

    def test_the_child_has_a_timer_of_its_own(self):
        # A thread takes the signal, and only the timer interrupts the main thread, which reads.
        self.run_program("""
            class Interrupted(Exception): pass
            def handler(*arguments): raise Interrupted
            def read_interrupted():
                reader, writer = os.pipe()
                go = threading.Event()
                def take():
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
                    go.wait()
                    send(signal.SIGUSR1)
                thread = threading.Thread(target=take)
                thread.start()
                def read():
                    go.set()
                    os.read(reader, 1)
                raised(Interrupted, read)
                thread.join()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            signal.signal(signal.SIGUSR1, handler)
            child = os.fork()
            for _ in range(20):
                read_interrupted()
            if child == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        """)

    def test_multiprocessing(self):
        self.run_program("""
            import multiprocessing
            tocsin.install()
            seen = []
            standard.signal(standard.SIGTERM, lambda *arguments: seen.append(os.getpid()))
            process = multiprocessing.get_context("fork").Process(target=standard.pause)
            process.start()
            while process.is_alive():
                process.terminate()
                process.join(0.01)
            assert process.exitcode == 0 and seen == [], (process.exitcode, seen)
        """)


class Threads(processes.Case):
    def test_handlers_run_on_the_main_thread_and_none_is_lost(self):
        self.run_program("""
            seen, where = [], set()
            def handler(signum, frame, event):
                seen.append(event.count)
                where.add(threading.current_thread())
            signal.signal(signal.SIGRTMIN, handler)
            def work():
                for _ in range(250):
                    signal.pthread_kill(threading.get_ident(), signal.SIGRTMIN)
            for round in range(1, 21):
                threads = [threading.Thread(target=work) for _ in range(4)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                eventually(lambda: sum(seen) == round * 1000)
            assert where == {threading.main_thread()}
        """)

    def test_what_threads_send_is_never_taken_for_a_simulated_interrupt_nor_the_reverse(self):
        self.run_program("""
            real, simulated = [], []
            def handler(signum, frame, event):
                (simulated if event is None else real).append(event)
            signal.signal(signal.SIGINT, handler)
            def work():
                for _ in range(100):
                    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            for round in range(1, 31):
                threads = [threading.Thread(target=work) for _ in range(4)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                assert len(simulated) == round - 1, simulated
                _thread.interrupt_main()
                eventually(lambda: len(simulated) == round)
            assert real
        """)

    def test_other_threads_may_ask_but_not_set(self):
        self.run_program("""
            problems = []
            def work():
                try:
                    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
                    message = "only works in main thread of the main interpreter"
                    assert message in str(raised(ValueError, signal.signal, signal.SIGUSR1, signal.SIG_IGN))
                    assert message in str(raised(ValueError, signal.set_wakeup_fd, -1))
                    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
                    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
                    assert signal.sigpending() == {signal.SIGUSR1}
                    assert signal.sigtimedwait({signal.SIGUSR1}, 20).si_pid == os.getpid()
                except BaseException as problem:
                    problems.append(problem)
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            assert not problems, problems
        """)


class SubInterpreters(processes.Case):
    def test_they_import_and_ask_but_do_not_set(self):
        self.run_program(SUBINTERPRETERS + """
seen = []
signal.signal(signal.SIGUSR1, lambda *arguments: seen.append(1))
for kind in kinds:
    run(kind, '''if True:
        import tocsin
        from tocsin import signal
        message = "only works in main thread of the main interpreter"
        signal.getsignal(signal.SIGUSR1)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.SIGTERM in signal.valid_signals()
        for function in (tocsin.install, tocsin.uninstall, lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
                         lambda: signal.set_wakeup_fd(-1)):
            try:
                function()
            except ValueError as error:
                assert message in str(error), error
            else:
                raise AssertionError(function)
        signal.alarm(0)
        signal.pthread_sigmask(signal.SIG_BLOCK, ())
    ''')
    send(signal.SIGUSR1)
assert seen == [1, 1], seen
signal.signal(signal.SIGUSR1, signal.SIG_DFL)
""", options=())

    def test_a_signal_during_one_is_handled_after_it(self):
        self.run_program(SUBINTERPRETERS + """
seen = []
def handler(signum, frame, event):
    seen.append(event.pid)
signal.signal(signal.SIGUSR1, handler)
for kind in kinds:
    run(kind, "import os, tocsin.signal; os.kill(os.getpid(), 10)")
eventually(lambda: seen == [os.getpid()] * 2)
""", options=())

    def test_many_leave_the_main_one_intact(self):
        self.run_program(SUBINTERPRETERS + """
seen = []
signal.signal(signal.SIGUSR1, lambda signum, frame, event: seen.append(event.count))
for _ in range(10):
    for kind in kinds:
        run(kind, "import tocsin.signal")
        send(signal.SIGUSR1)
assert seen == [1] * 20, seen
""", options=())


if __name__ == "__main__":
    unittest.main()
