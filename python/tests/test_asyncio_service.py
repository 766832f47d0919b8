"""examples/python/asyncio_service.py, as a user would run it."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import unittest

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples/python/asyncio_service.py"
SENDER = pathlib.Path("/proc/self/comm").read_text(encoding="utf-8").strip()


class Service(unittest.TestCase):
    def setUp(self):
        self.service = subprocess.Popen(
            [sys.executable, "-X", "dev", str(EXAMPLE)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(self.service.stderr.close)
        self.addCleanup(self.service.stdout.close)
        self.addCleanup(self.service.wait)
        self.addCleanup(self.service.kill)
        self.port = int(self.service.stdout.readline().rpartition(":")[2])

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.addCleanup(connection.close)
        return connection, connection.makefile("rw")

    def say(self, file, text):
        file.write(text + "\n")
        file.flush()
        self.assertEqual(file.readline(), text.upper() + "\n")

    def sender(self, name):
        return f"{name} from pid {os.getpid()} ({SENDER}), uid {os.getuid()}, by kill"

    def expect_end(self, *lines):
        output, errors = self.service.communicate(timeout=30)
        self.assertEqual((output.splitlines(), errors, self.service.returncode), (list(lines), "", 0))

    def test_it_says_who_stopped_it_and_finishes_what_is_going_on(self):
        connection, file = self.connect()
        self.say(file, "one")
        self.service.send_signal(signal.SIGHUP)
        self.assertEqual(self.service.stdout.readline(), self.sender("SIGHUP") + ": 1 open connections\n")
        self.service.send_signal(signal.SIGTERM)
        self.assertEqual(self.service.stdout.readline(), "stopped by " + self.sender("SIGTERM") + "\n")
        self.assertEqual(self.service.stdout.readline(), "finishing 1 connection\n")
        self.service.send_signal(signal.SIGTERM)  # impatient
        self.say(file, "two")
        self.say(file, "three")
        with self.assertRaises(ConnectionError):
            socket.create_connection(("127.0.0.1", self.port), timeout=30)
        file.close()
        connection.close()
        self.expect_end("done, 3 lines answered")

    def test_ctrl_c(self):
        self.service.send_signal(signal.SIGINT)
        self.expect_end("stopped by " + self.sender("SIGINT"), "done, 0 lines answered")


if __name__ == "__main__":
    unittest.main()
