"""examples/python/timerfd_old.py, with real clients."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "..", "..", "examples", "python", "timerfd_old.py")


class Example(unittest.TestCase):
    def start(self, *arguments):
        program = subprocess.Popen(
            [sys.executable, "-X", "dev", PROGRAM, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        limit = threading.Timer(60, program.kill)
        limit.start()
        for cleanup in program.stdout.close, program.stderr.close, program.wait, program.kill, limit.cancel:
            self.addCleanup(cleanup)
        return program

    def serve(self):
        program = self.start("0")
        said = program.stdout.readline()
        return program, int(re.fullmatch(r"Listening on 127\.0\.0\.1:(\d+)\n", said).group(1))

    def connect(self, port):
        client = socket.create_connection(("127.0.0.1", port), timeout=40)
        self.addCleanup(client.close)
        return client

    def read_until(self, program, pattern):
        """The lines before the one that matches."""
        lines = []
        for line in iter(program.stdout.readline, ""):
            if re.fullmatch(pattern, line):
                return lines
            lines.append(line)
        self.fail(f"{pattern!r} was not said: {lines}, {program.stderr.read()}")

    def assert_ended(self, program, code):
        said, error = program.communicate(timeout=40)
        self.assertEqual((program.returncode, said, error), (code, "", ""))

    def test_clients_and_timers(self):
        program, port = self.serve()
        client = self.connect(port)
        self.read_until(program, "Client connected\n")
        lines = self.read_until(program, r"Timer 3 expired \(\d+\)\n")
        ticks = [re.fullmatch(r"Timer ([12]) expired \(\d+\)\n", line).group(1) for line in lines]
        self.assertEqual((ticks[0], set(ticks)), ("1", {"1", "2"}))
        client.sendall(b"nothing\nst")
        self.connect(port).close()
        self.read_until(program, "Client disconnected\n")
        client.sendall(b"op\n")
        self.read_until(program, "Stopping: a client asked for it\n")
        self.assert_ended(program, 0)

    def test_sigterm(self):
        program, _ = self.serve()
        program.send_signal(signal.SIGTERM)
        self.read_until(program, "Stopping: SIGTERM\n")
        self.assert_ended(program, 0)

    def test_ctrl_c(self):
        program, _ = self.serve()
        program.send_signal(signal.SIGINT)
        self.assertIn("KeyboardInterrupt", program.communicate(timeout=40)[1])
        self.assertEqual(program.returncode, -signal.SIGINT)

    def test_wrong_arguments(self):
        for wrong in ("x",), ("-1",), ("65536",), ("1", "2"):
            program = self.start(*wrong)
            self.assertEqual(program.communicate(timeout=40), ("", "usage: timerfd_old.py [PORT]\n"))
            self.assertEqual(program.returncode, 2)


if __name__ == "__main__":
    unittest.main()
