"""What the tests of the package share: signals belong to a process, so each case runs in one of its own."""

import subprocess
import sys
import textwrap
import unittest

PRELUDE = """
import _thread, errno, os, select, subprocess, sys, threading, time
import signal as standard
import tocsin
from tocsin import _tocsin, signal

def eventually(condition, limit=20):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0)

def raised(what, function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except what as error:
        return error
    raise AssertionError(f"no {what.__name__}")

def send(number):
    os.kill(os.getpid(), number)

def masks():
    # What the process handles and ignores, but for the signals that tocsin itself and the C library use.
    own = 1 << 31 | 1 << 32
    for number in _tocsin.nudge_signals():
        own |= 1 << number - 1
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return [int(lines[name], 16) & ~own for name in ("SigCgt", "SigIgn")]

def flood(number, count):
    for _ in range(count):
        standard.raise_signal(number)
"""


class Case(unittest.TestCase):
    """A case runs its program by run_program(): it asserts what it wants to know, and must end well within the limit."""

    # From 3.12 on fork() warns of other threads, and does so of one that has just been joined.
    def run_program(self, source, timeout=60, options=("-X", "dev", "-W", "ignore:This process:DeprecationWarning")):
        done = subprocess.run(
            [sys.executable, *options, "-c", PRELUDE + textwrap.dedent(source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout
