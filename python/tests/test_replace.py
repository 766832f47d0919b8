"""install(), uninstall() and python -m tocsin.patch: tocsin.signal in place of the standard module."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

import processes


class Replace(processes.Case):
    def test_every_function_is_replaced_and_nothing_else(self):
        self.run_program("""
            import _signal, types
            def functions(module):
                return {name: value for name, value in vars(module).items()
                        if isinstance(value, (types.FunctionType, types.BuiltinFunctionType)) and name[0] != "_"}
            before = {module: dict(vars(module)) for module in (standard, _signal)}
            functions_before = {module: functions(module) for module in before}
            tocsin.install()
            assert sys.modules["signal"] is standard and sys.modules["_signal"] is _signal
            for module, ours in (standard, signal), (_signal, _tocsin):
                for name, value in functions_before[module].items():
                    now = getattr(module, name)
                    assert now is (value if name == "default_int_handler" else getattr(ours, name)), name
                for name, value in before[module].items():
                    assert name in functions_before[module] or getattr(module, name) is value, name
                added = vars(module).keys() - before[module].keys()
                assert all(name.startswith("_") for name in added), added
            tocsin.uninstall()
            for module, names in before.items():
                assert dict(vars(module)) == names
        """)

    def test_handlers_there_are_taken_over_and_stay_when_it_is_undone(self):
        self.run_program("""
            seen = []
            def handler(signum, frame): seen.append(signum)
            standard.signal(standard.SIGUSR1, handler)
            standard.signal(standard.SIGUSR2, standard.SIG_IGN)
            tocsin.install()
            assert standard.getsignal(standard.SIGUSR1) is handler
            assert standard.getsignal(standard.SIGUSR2) is standard.SIG_IGN
            assert standard.getsignal(standard.SIGINT) is standard.default_int_handler
            send(standard.SIGUSR1)
            send(standard.SIGUSR2)
            assert raised(KeyboardInterrupt, send, standard.SIGINT)
            tocsin.uninstall()
            send(standard.SIGUSR1)
            assert seen == [10, 10], seen
            assert signal.getsignal(standard.SIGUSR1) is handler
            standard.signal(standard.SIGUSR1, lambda signum, frame: seen.append("new"))
            send(standard.SIGUSR1)
            assert seen == [10, 10, "new"], seen
            tocsin.install()
            send(standard.SIGUSR1)
            assert seen == [10, 10, "new", "new"], seen
        """)

    def test_twice_is_once(self):
        self.run_program("""
            original = standard.signal
            tocsin.install()
            ours = standard.signal
            tocsin.install()
            assert standard.signal is ours is not original
            tocsin.uninstall()
            assert standard.signal is original
            tocsin.uninstall()
            assert standard.signal is original
        """)

    def test_imported_anew_it_still_knows_what_was_there(self):
        self.run_program("""
            original = standard.signal
            tocsin.install()
            for name in [name for name in sys.modules if name.split(".")[0] == "tocsin"]:
                del sys.modules[name]
            import tocsin, tocsin.signal
            tocsin.install()
            assert standard.signal is tocsin.signal.signal
            tocsin.uninstall()
            assert standard.signal is original
        """)

    def test_a_function_replaced_by_others_since_is_left_to_them(self):
        self.run_program("""
            tocsin.install()
            theirs = lambda *arguments: None
            standard.alarm = theirs
            tocsin.uninstall()
            assert standard.alarm is theirs
        """)

    def test_the_module_signal_may_be_loaded_again(self):
        self.run_program("""
            import importlib
            tocsin.install()
            importlib.reload(standard)
            seen = []
            standard.signal(standard.SIGUSR1, lambda signum, frame, event: seen.append(event.pid))
            send(standard.SIGUSR1)
            assert seen == [os.getpid()], seen
            assert standard.getsignal(standard.SIGTERM) is standard.SIG_DFL
        """)

    def test_what_was_imported_by_name_before_is_the_standard_one(self):
        self.run_program("""
            from signal import getsignal, signal as by_name
            tocsin.install()
            seen = []
            handler = lambda signum, frame: seen.append(signum)
            by_name(standard.SIGUSR1, handler)
            assert standard.getsignal(standard.SIGUSR1) is handler is getsignal(standard.SIGUSR1)
            send(standard.SIGUSR1)
            assert seen == [10]
            assert standard.signal(standard.SIGUSR1, standard.SIG_DFL) is handler
            assert by_name(standard.SIGUSR1, handler) is standard.SIG_DFL
        """)

    def test_other_threads_are_refused_and_nothing_has_changed(self):
        self.run_program("""
            before = dict(vars(standard))
            errors = []
            def elsewhere():
                for function in tocsin.install, tocsin.uninstall:
                    errors.append(str(raised(ValueError, function)))
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            assert errors == ["tocsin.install() only works in main thread of the main interpreter",
                              "tocsin.uninstall() only works in main thread of the main interpreter"], errors
            assert dict(vars(standard)) == before
        """)

    def test_asyncio_and_its_runner_use_it(self):
        self.run_program("""
            import asyncio
            tocsin.install()
            async def main():
                loop = asyncio.get_running_loop()
                stopped = asyncio.Event()
                loop.add_signal_handler(standard.SIGTERM, stopped.set)
                send(standard.SIGTERM)
                await asyncio.wait_for(stopped.wait(), 20)
                loop.remove_signal_handler(standard.SIGTERM)
                return "done"
            assert asyncio.run(main()) == "done"
            async def interrupted():
                send(standard.SIGINT)
                await asyncio.sleep(20)
            assert raised(KeyboardInterrupt, asyncio.run, interrupted())
            assert standard.getsignal(standard.SIGINT) is standard.default_int_handler
        """)


REPORT = """
import os, signal, subprocess, sys
replaced = os.path.basename(os.path.dirname(signal.signal.__code__.co_filename)) == "tocsin"
"""


class Patch(unittest.TestCase):
    """The directory of the package is one for PYTHONPATH here, so tocsin.pth is not read: test_package.py."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name).resolve()

    def write(self, name, text):
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(REPORT + text)
        return str(path)

    def patch(self, *arguments, options=(), status=0):
        done = subprocess.run(
            [sys.executable, *options, "-m", "tocsin.patch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.directory,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def test_a_script_runs_as_if_it_were_started_itself(self):
        script = self.write(
            "program/script.py",
            """
import __main__, beside
print(replaced, __name__, __file__, sys.argv, sys.path[0], __spec__, __main__.__dict__ is globals(), beside.here)
print(os.environ["TOCSIN_PATCH"])
""",
        )
        self.write("program/beside.py", "here = __name__")
        done = self.patch(script, "-x", "two words")
        expected = f"True __main__ {script} {[script, '-x', 'two words']} {self.directory}/program None True beside\n1\n"
        self.assertEqual((done.stdout, done.stderr), (expected, ""))

    def test_a_script_is_told_of_itself_what_the_interpreter_tells(self):
        (self.directory / "script.py").write_text(
            "import sys\n"
            "print(__file__, sys.argv, sys._getframe().f_code.co_filename, type(__loader__), __loader__.name,\n"
            "      __loader__.path, sorted(name for name in globals() if name.startswith('__')))\n"
        )
        for path in "script.py", "./script.py", str(self.directory / "script.py"):
            with self.subTest(path):
                stock = subprocess.run([sys.executable, path], cwd=self.directory, capture_output=True, text=True)
                self.assertIn(str(self.directory), stock.stdout)
                self.assertEqual(self.patch(path).stdout, stock.stdout)

    def test_a_script_that_is_not_there(self):
        stderr = self.patch("nothing.py", status=2).stderr
        self.assertRegex(stderr, r"^tocsin.patch: can't open file '/.*/nothing.py': \[Errno 2\] .*\n$")

    def test_a_module_or_package(self):
        self.write("module.py", "print(replaced, __name__, __file__, sys.argv[1:], __spec__.name, sys.argv[0])")
        self.write("package/__init__.py", "")
        self.write("package/__main__.py", "print(replaced, __name__, __package__, sys.argv[1:])")
        file = self.directory / "module.py"
        self.assertEqual(
            self.patch("-m", "module", "a").stdout, f"True __main__ {file} ['a'] module {file}\n"
        )
        self.assertEqual(self.patch("-m", "package", "b").stdout, "True __main__ package ['b']\n")
        self.assertIn("no module to run is named nothing", self.patch("-m", "nothing", status=1).stderr)

    def test_code(self):
        done = self.patch("-c", REPORT + "print(replaced, __name__, sys.argv, repr(sys.path[0]))", "a")
        self.assertEqual(done.stdout, "True __main__ ['-c', 'a'] ''\n")

    def test_a_directory_with_a_main_program(self):
        self.write("app/__main__.py", "print(replaced, __name__, sys.argv, sys.path[0])")
        self.assertEqual(self.patch("app", "a").stdout, "True __main__ ['app', 'a'] app\n")

    def test_its_exit_is_the_programs(self):
        self.assertEqual(self.patch("-c", "raise SystemExit(7)", status=7).stderr, "")
        self.assertIn("ZeroDivisionError", self.patch("-c", "1 / 0", status=1).stderr)
        script = self.write("script.py", "os.kill(os.getpid(), signal.SIGINT)")
        self.assertIn("KeyboardInterrupt", self.patch(script, status=-signal.SIGINT).stderr)
        self.patch("-c", "import os; os.kill(os.getpid(), 15)", status=-signal.SIGTERM)

    def test_multiprocessing_finds_the_program_again(self):
        script = self.write(
            "script.py",
            """
import multiprocessing
def work(number): return number + 1
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(work, [1, 2]))
""",
        )
        done = self.patch(script)
        self.assertEqual((done.stdout, done.stderr), ("[2, 3]\n", ""))

    def test_how_it_is_used(self):
        self.assertIn("python -m tocsin.patch script.py", self.patch("--help").stdout)
        for wrong in (), ("-c",), ("-x", "a"):
            self.assertIn("python -m tocsin.patch script.py", self.patch(*wrong, status=2).stderr)


if __name__ == "__main__":
    unittest.main()
