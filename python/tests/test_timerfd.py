"""timerfd: the functions are those of the module os of Python 3.13, in every answer."""

import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

import processes

HERE = os.path.dirname(os.path.abspath(__file__))


def calls(module):
    done = subprocess.run(
        [sys.executable, "-X", "dev", os.path.join(HERE, "timerfd_calls.py"), module],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr, done.stdout.splitlines()


def tests_of_cpython():
    """test_os.py of 3.13 or later: of the interpreter that runs, or of one that is installed beside it; or None."""
    found = []
    if sys.version_info >= (3, 13):
        found.append(os.path.join(os.path.dirname(os.__file__), "test", "test_os.py"))
    other = shutil.which("python3.13")
    roots = [os.path.dirname(os.path.dirname(os.path.realpath(other)))] if other else []
    roots += glob.glob(os.path.join(os.path.dirname(sys.base_prefix), "3.1[3-9]*"))
    found += [os.path.join(root, "lib", "python3.13", "test", "test_os.py") for root in roots]
    return next(filter(os.path.exists, found), None)


class Functions(processes.Case):
    def test_every_answer_is_that_of_3_13(self):
        with open(os.path.join(HERE, "timerfd_3.13.txt"), encoding="ascii") as file:
            expected = file.read().splitlines()
        self.assertGreater(len(expected), 600)
        code, error, said = calls("tocsin")
        self.assertEqual((code, error), (0, ""))
        self.assertEqual(said, expected)

    @unittest.skipUnless(hasattr(os, "timerfd_create"), "the module os has no timerfd_create()")
    def test_every_answer_is_that_of_the_module_os(self):
        theirs, ours = calls("os"), calls("tocsin")
        self.assertEqual(ours, theirs)

    def test_the_tests_of_cpython_pass(self):
        path = tests_of_cpython()
        if path is None:
            self.skipTest("no Python 3.13 with its tests is installed")
        with open(path, encoding="utf-8") as file:
            source = re.search(r"^class TimerfdTests.*?(?=^\S)", file.read(), re.M | re.S).group(0)
        number = len(re.findall(r"^    def test_", source, re.M))
        self.assertGreater(number, 10)
        self.run_program(f"""
            import platform, selectors, unittest
            from tocsin import timerfd
            for name in timerfd.__all__:
                if name.startswith(("timerfd_", "TFD_")):
                    setattr(os, name, getattr(timerfd, name))
            exec({source!r})
            suite = unittest.defaultTestLoader.loadTestsFromTestCase(TimerfdTests)
            result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
            assert result.testsRun == {number} and result.wasSuccessful() and not result.skipped, result
        """)

    def test_reading_counts_expirations(self):
        self.run_program("""
            from tocsin import timerfd
            fd = timerfd.create(timerfd.CLOCK_MONOTONIC, flags=timerfd.TFD_NONBLOCK)
            begun = time.monotonic_ns()
            timerfd.settime_ns(fd, initial=1_000_000, interval=1_000_000)
            total = 0
            while total < 20:
                select.select([fd], [], [])
                total += int.from_bytes(os.read(fd, 8), sys.byteorder)
                assert time.monotonic_ns() - begun >= total * 1_000_000
            timerfd.settime(fd)
            assert timerfd.gettime_ns(fd) == (0, 0)
            assert raised(OSError, os.read, fd, 8).errno == errno.EAGAIN
            os.close(fd)
            assert raised(OSError, timerfd.gettime, fd).errno == errno.EBADF
        """)

    def test_the_short_names_are_the_same_functions(self):
        self.run_program("""
            from tocsin import timerfd
            for name in "create", "settime", "settime_ns", "gettime", "gettime_ns":
                assert getattr(timerfd, name) is getattr(timerfd, "timerfd_" + name)
            assert (timerfd.CLOCK_REALTIME, timerfd.CLOCK_MONOTONIC) == (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC)
            assert (timerfd.CLOCK_BOOTTIME, timerfd.CLOCK_REALTIME_ALARM, timerfd.CLOCK_BOOTTIME_ALARM) == (7, 8, 9)
        """)

    def test_nothing_leaks(self):
        self.run_program("""
            from tocsin import timerfd
            def use():
                fd = timerfd.create(timerfd.CLOCK_MONOTONIC)
                timerfd.settime(fd, initial=1000.5, interval=1)
                timerfd.settime_ns(fd, initial=10**12, interval=10**9)
                timerfd.gettime(fd), timerfd.gettime_ns(fd)
                for wrong in ({"initial": -1}, {"initial": "x"}, {"initial": 1e300}, {"other": 1}, {"flags": 99}):
                    raised(Exception, timerfd.settime, fd, **wrong)
                    raised(Exception, timerfd.settime_ns, fd, **wrong)
                raised(Exception, timerfd.create, 99)
                os.close(fd)
            def blocks():
                for _ in range(200):
                    use()
                return sys.getallocatedblocks(), len(os.listdir("/proc/self/fd"))
            blocks()
            before, after = blocks(), blocks()
            assert after[0] - before[0] < 100 and after[1] == before[1], (before, after)
        """)


if __name__ == "__main__":
    unittest.main()
