"""The example for GLib."""

import os
import signal
import tempfile
import unittest

from harness import CTRL_C, ExampleTest, eventually

SIGINT, SIGTERM, SIGUSR1, SIGWINCH = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGWINCH


class GlibCopy(ExampleTest):
    name = "glib_copy"
    wrong_arguments = [("x",), ("-1",), ("1", "2"), ("",), ("86401",)]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.pipe = os.path.join(folder.name, "pipe")
        os.mkfifo(self.pipe)

    def begun(self, program):
        """Signals before that would end it."""
        self.assertTrue(eventually(lambda: self.catches(program.pid, SIGTERM)))
        return program

    @staticmethod
    def sleeps(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] == "S"

    @staticmethod
    def catches(pid, number):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            caught = next(line for line in status if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    def copying(self, *arguments, **options):
        """The program, with the reports as its output, and the end of the pipe that it reads."""
        program = self.bash(f'exec "$0" {" ".join(arguments)} < "$1" 2>&1 > "$1.out"', self.pipe, **options)
        end = os.open(self.pipe, os.O_WRONLY)
        self.addCleanup(lambda: end in self.open and os.close(end))
        self.open = {end}
        return self.begun(program), end

    def close(self, end):
        self.open.remove(end)
        os.close(end)

    def ask(self, program, number=SIGUSR1):
        program.send(number)
        return int(program.expect(rf"(\d+) bytes, {signal.Signals(number).name} from pid {os.getpid()} \(.+\), .*\n").group(1))

    def ask_until(self, program, wanted):
        """What has been written to it is on its way."""
        while (copied := self.ask(program)) < wanted:
            pass
        return copied

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_pipes(self):
        for size in (0, 1, 4096, 4097, 1_000_000):
            with self.subTest(size=size):
                program = self.bash(f'set -o pipefail; head -c {size} /dev/zero | "$0" | wc -c')
                self.assert_ended(program, 0, f"{size} bytes, copied\n")
                self.assertEqual(program.text["out"], f"{size}\n")

    def test_content(self):
        program = self.bash('seq 100000 | "$0" | md5sum; seq 100000 | md5sum')
        self.assert_ended(program, 0, None)
        first, second = program.text["out"].splitlines()
        self.assertEqual(first, second)

    def test_who_asks_is_answered(self):
        program, end = self.copying()
        self.assertEqual(self.ask(program), 0)
        os.write(end, b"five\n")
        self.assertEqual(self.ask_until(program, 5), 5)
        self.assertEqual(self.ask(program, SIGWINCH), 5)
        self.close(end)
        program.expect("5 bytes, copied\n")
        self.assert_ended(program, 0)

    def test_answers_while_the_reader_stalls(self):
        program = self.bash('exec "$0" < /dev/zero 2>&1 > "$1"', self.pipe)
        with open(self.pipe, "rb", buffering=0) as reader:
            self.begun(program)
            self.assertEqual(reader.read(1), b"\0")
            self.assertTrue(eventually(lambda: self.sleeps(program.pid)))  # the pipe is full
            copied = self.ask(program)
            for _ in range(3):
                self.assertEqual(self.ask(program), copied)
            program.send(SIGTERM)
            program.expect(rf"{copied} bytes, SIGTERM")
            self.assert_ended(program, -SIGTERM)

    def test_every_second(self):
        program, end = self.copying("1")
        program.expect("0 bytes, going on\n")
        os.write(end, b"x")
        program.expect("1 bytes, going on\n")
        self.close(end)
        self.assert_ended(program, 0)

    def test_end_by_a_signal(self):
        program, end = self.copying()
        os.write(end, b"five\n")
        self.ask_until(program, 5)
        program.send(SIGTERM)
        program.expect(r"5 bytes, SIGTERM from pid \d+")
        self.assert_ended(program, -SIGTERM)

    def test_ctrl_c(self):
        program, _ = self.copying(terminal=True)
        self.ask(program)
        program.type(CTRL_C)
        program.expect(r"0 bytes, SIGINT from the terminal \(Ctrl-C\)\n")
        self.assert_ended(program, -SIGINT)

    def test_ignored_ctrl_c(self):
        program, end = self.copying(ignored=(SIGINT,))
        self.ask(program)
        program.send(SIGINT)
        self.ask(program)
        self.close(end)
        self.assert_ended(program, 0)

    def test_errors(self):
        self.assert_ended(self.bash('echo x | "$0" > /dev/full'), 1, "0 bytes, copied\nglib_copy: No space left on device\n")
        self.assert_ended(self.bash('"$0" < .'), 1, "0 bytes, copied\nglib_copy: Is a directory\n")

    def test_reader_that_goes_away(self):
        program = self.bash('"$0" < /dev/zero | head -c 1 | wc -c; echo "${PIPESTATUS[0]}"')
        self.assert_ended(program, 0, r"\d+ bytes, copied\nglib_copy: Broken pipe\n")
        self.assertEqual(program.text["out"], "1\n1\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
