"""The example for libev."""

import os
import signal
import tempfile
import unittest

from harness import CTRL_C, ExampleTest, eventually

SIGTERM, SIGHUP, SIGUSR1 = signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1


class LibevLogger(ExampleTest):
    name = "libev_logger"
    wrong_arguments = [(), ("",), ("a", "b")]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = os.path.join(folder.name, "log")
        self.fifo = os.path.join(folder.name, "input")
        os.mkfifo(self.fifo)

    def started(self, **options):
        """The program reads a FIFO, whose other end is returned."""
        program = self.bash('exec "$0" "$1" < "$2"', self.log, self.fifo, **options)
        ours = open(self.fifo, "w", buffering=1, encoding="ascii")
        self.addCleanup(ours.close)
        program.expect("Writing to .*log\n")
        return program, ours

    def read(self, path):
        with open(path, encoding="ascii") as file:
            return file.read()

    def by_us(self, name):
        return rf"{name} from pid {os.getpid()} \(.+\), uid {os.getuid()}, by kill\n"

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_end_of_the_input(self):
        program = self.bash('seq 100000 | "$0" "$1"', self.log)
        program.expect("100000 lines\n")
        self.assert_ended(program, 0)
        self.assertEqual(self.read(self.log), "".join(f"{n}\n" for n in range(1, 100001)))

    def test_appends_regular_file(self):
        for _ in range(2):
            program = self.bash('seq 3 > "$1.in"; exec "$0" "$1" < "$1.in"', self.log)
            program.expect("3 lines\n")
            self.assert_ended(program, 0)
        self.assertEqual(self.read(self.log), "1\n2\n3\n1\n2\n3\n")

    def test_written_four_times_a_second(self):
        _, ours = self.started()
        ours.write("soon\n")
        self.assertTrue(eventually(lambda: self.read(self.log) == "soon\n"))

    def test_rotation(self):
        program, ours = self.started()
        for n in range(20):
            ours.write(f"{n}\n")
            seen = 0
            while seen != 1:  # what is in the pipe is read before or after the signal
                program.send(SIGUSR1)
                seen = int(program.expect(r"(\d+) lines: " + self.by_us("SIGUSR1")).group(1)) - n
            os.rename(self.log, f"{self.log}.{n}")
            program.send(SIGHUP)
            program.expect("Reopened: " + self.by_us("SIGHUP"))
            self.assertEqual(self.read(f"{self.log}.{n}"), f"{n}\n")
        self.assertEqual(self.read(self.log), "")
        program.send(SIGTERM)
        program.expect("Stopping: " + self.by_us("SIGTERM") + "20 lines\n")
        self.assert_ended(program, 0)

    def test_nothing_is_left_in_the_pipe(self):
        program, ours = self.started()
        for n in range(1000):
            ours.write(f"{n}\n")
        program.send(SIGTERM)
        program.expect("Stopping: .*\n1000 lines\n")
        self.assert_ended(program, 0)
        self.assertEqual(len(self.read(self.log).splitlines()), 1000)

    def test_ctrl_c(self):
        program, ours = self.started(terminal=True)
        ours.write("last words")
        ours.flush()
        program.type(CTRL_C)
        program.expect(r"Stopping: SIGINT from the terminal \(Ctrl-C\)\n0 lines\n")
        self.assert_ended(program, 0)
        self.assertEqual(self.read(self.log), "last words")

    def test_errors_end_it(self):
        self.assert_ended(self.start("/nowhere/log"), 1, "libev_logger: /nowhere/log: No such file or directory\n")
        self.assert_ended(self.bash('echo x | "$0" /dev/full'), 1, "libev_logger: /dev/full: No space left on device\n")
        self.assert_ended(self.bash('"$0" "$1" < /', self.log), 1, "libev_logger: standard input: Is a directory\n")
        program, _ = self.started()
        os.rename(self.log, self.log + ".1")
        os.mkdir(self.log)
        program.send(SIGHUP)
        self.assert_ended(program, 1, "libev_logger: .*log: Is a directory\n")

    def test_writing_fails_in_the_timer(self):
        program = self.bash('exec 3<> "$1"; echo x >&3; exec "$0" /dev/full <&3', self.fifo)
        self.assert_ended(program, 1, "libev_logger: /dev/full: No space left on device\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
