"""Runs a program as a person would: at a terminal, in a pipe, from a script; and waits for what it says, never for time to pass."""

import fcntl
import os
import pty
import re
import selectors
import signal
import subprocess
import termios
import time
import unittest

DIRECTORY = os.environ.get("TOCSIN_EXAMPLES_DIR", ".")
DEADLINE = 40.0  # seconds: only a failing test ever waits this long
CTRL_C = b"\x03"


def example(name):
    return os.path.join(os.path.abspath(DIRECTORY), name)


def eventually(condition, deadline=DEADLINE):
    """Polls until condition() holds; False if it never does."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Program:
    """A program in a session of its own: without a terminal, or on a new one, which is then its controlling terminal.

    The dispositions of signals are those a login shell gives, whatever this test inherited, but for those in `ignored`.
    """

    def __init__(self, argv, terminal=False, stdin="null", stdout="read", ignored=()):
        self.text = {"out": "", "err": ""}
        self._seen = 0
        self._streams = selectors.DefaultSelector()
        self.terminal = None
        theirs = []

        def reading(name):
            ours, other = os.pipe()
            self._streams.register(ours, selectors.EVENT_READ, name)
            theirs.append(other)
            return other

        if terminal:
            self.terminal, tty = pty.openpty()
            theirs.append(tty)
            self._streams.register(self.terminal, selectors.EVENT_READ, "out")
            streams = [tty, tty, tty]
        else:
            null = os.open(os.devnull, os.O_RDONLY)
            theirs.append(null)
            streams = [null, reading("out") if stdout == "read" else stdout, reading("err")]
        if terminal and stdout != "read":
            streams[1] = stdout

        def in_child():
            if terminal:
                fcntl.ioctl(2, termios.TIOCSCTTY, 0)
            if stdin == "closed":
                os.close(0)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT, signal.SIGALRM):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])

        self.process = subprocess.Popen(
            argv,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            start_new_session=True,
            restore_signals=False,
            preexec_fn=in_child,
        )
        self.pid = self.process.pid
        for fd in theirs:
            os.close(fd)

    def _read(self, end):
        """Takes in what has come; False when all streams have ended."""
        if not self._streams.get_map():
            return False
        ready = self._streams.select(max(0.0, end - time.monotonic()))
        if not ready:
            raise AssertionError(f"nothing more came in time; so far: {self.text}")
        for key, _ in ready:
            try:
                data = os.read(key.fd, 65536)
            except OSError:  # EIO: nobody has the terminal open any more
                data = b""
            if data:
                self.text[key.data] += data.decode(errors="replace").replace("\r\n", "\n")
            else:
                self._streams.unregister(key.fd)
                os.close(key.fd)
                if key.fd == self.terminal:
                    self.terminal = None
        return True

    def expect(self, pattern):
        """Waits until the output goes on to say `pattern` (a regular expression) and returns the match."""
        end = time.monotonic() + DEADLINE
        while True:
            found = re.compile(pattern).search(self.text["out"], self._seen)
            if found:
                self._seen = found.end()
                return found
            if not self._read(end):
                raise AssertionError(f"ended without saying {pattern!r}: {self.text}")

    def type(self, keys):
        os.write(self.terminal, keys)

    def send(self, number):
        self.process.send_signal(number)

    def finish(self):
        """Waits for the end; the exit status, negative for a death by that signal."""
        end = time.monotonic() + DEADLINE
        while self._read(end):
            pass
        return self.process.wait(DEADLINE)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        for fd in list(self._streams.get_map()):
            self._streams.unregister(fd)
            os.close(fd)
        self._streams.close()


class ExampleTest(unittest.TestCase):
    """Base of the tests of one example, `name`."""

    name = ""
    wrong_arguments = ()

    @property
    def path(self):
        return example(self.name)

    def start(self, *arguments, **options):
        program = Program([self.path, *arguments], **options)
        self.addCleanup(program.close)
        return program

    def bash(self, script, *arguments, **options):
        """`script` finds the example as $0 and the arguments as $1 ..."""
        program = Program(["bash", "-c", script, self.path, *arguments], **options)
        self.addCleanup(program.close)
        return program

    def assert_ended(self, program, status, err=""):
        self.assertEqual(program.finish(), status, program.text)
        if err is not None:
            self.assertRegex(program.text["err"], rf"\A{err}\Z")

    def check_wrong_arguments(self):
        for arguments in self.wrong_arguments:
            with self.subTest(arguments=arguments):
                program = self.start(*arguments)
                self.assert_ended(program, 2, rf"usage: {self.name}\b.*\n.*\n")
                self.assertEqual(program.text["out"], "")
