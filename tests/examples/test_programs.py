"""The programs of examples/ that do one thing and end. One class per program; ctest runs each as one test."""

import os
import re
import signal
import tempfile
import time
import unittest

from harness import CTRL_C, ExampleTest, eventually

SIGINT, SIGTERM, SIGHUP, SIGPIPE = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE


class SerialAlarm(ExampleTest):
    name = "01_serial_alarm"
    wrong_arguments = [(), ("a", "b", "c"), ("a", "0"), ("a", "x"), ("a", "-1"), ("a", "5s"), ("a", ""), ("a", "99999999999")]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.device = os.path.join(folder.name, "device")
        os.mkfifo(self.device)

    def turn_on(self):
        os.close(os.open(self.device, os.O_WRONLY))  # returns when the program opens the other end

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_device_that_never_turns_on(self):
        begin = time.monotonic()
        program = self.start(self.device, "1")
        program.expect("Opening .*device, for at most 1 s\n")
        program.expect("Signal handler called with SIGALRM\n")
        self.assert_ended(program, 1, "01_serial_alarm: couldn't open the device\n")
        self.assertGreaterEqual(time.monotonic() - begin, 1.0)

    def test_device_that_turns_on_in_time(self):
        program = self.start(self.device, "3600")
        program.expect("for at most 3600 s\n")
        self.turn_on()
        program.expect("Opened .*; the alarm is off\n")
        self.assert_ended(program, 0)

    def test_default_limit(self):
        program = self.start(self.device)
        program.expect("for at most 5 s\n")
        program.expect("SIGALRM")
        self.assert_ended(program, 1, None)

    def test_terminal_as_device(self):
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        program = self.start(os.ttyname(theirs), "3600")
        program.expect("Opened /dev/pts/")
        self.assert_ended(program, 0)

    def test_no_such_device(self):
        program = self.start(self.device + "x")
        self.assert_ended(program, 1, "01_serial_alarm: .*No such file or directory\n")

    def test_ctrl_c(self):
        program = self.start(self.device, "3600", terminal=True)
        program.expect("for at most")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)
        self.assertNotIn("terminate called", program.text["out"])

    def test_sigterm(self):
        program = self.start(self.device, "3600")
        program.expect("for at most")
        program.send(SIGTERM)
        self.assert_ended(program, -SIGTERM)

    def test_no_terminal_and_no_standard_input(self):
        program = self.start(self.device, "3600", stdin="closed")
        program.expect("for at most")
        self.turn_on()
        self.assert_ended(program, 0)

    def test_nohup(self):
        program = self.bash('exec nohup "$0" "$1" 3600', self.device)
        program.expect("for at most")
        program.send(SIGHUP)
        self.turn_on()
        self.assert_ended(program, 0, None)

    def test_shell_loop_stops_on_ctrl_c(self):
        program = self.bash('for i in 1 2 3; do "$0" "$1" 3600; done; echo not reached', self.device, terminal=True)
        program.expect("for at most")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)
        self.assertNotIn("not reached", program.text["out"])
        self.assertEqual(program.text["out"].count("Opening"), 1)


class BrokenPipe(ExampleTest):
    name = "02_broken_pipe"
    wrong_arguments = [("a",), ("-1",), ("1", "2"), ("",), ("1.5",), ("99999999999",)]

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_head(self):
        for ignored in [(), (SIGPIPE,)]:
            with self.subTest(ignored=ignored):
                program = self.bash('"$0" | head -1; echo "${PIPESTATUS[@]}"', ignored=ignored)
                self.assert_ended(program, 0)
                self.assertEqual(program.text["out"], "line 1\n1 0\n")

    def test_pipefail(self):
        program = self.bash('set -o pipefail; "$0" | head -1')
        self.assert_ended(program, 1)

    def test_reader_that_reads_all(self):
        program = self.bash('set -o pipefail; "$0" | tail -1 && "$0" 0 && "$0" 7 | wc -l')
        self.assert_ended(program, 0)
        self.assertEqual(program.text["out"], "line 100000\n7\n")

    def test_no_reader_from_the_start(self):
        ours, theirs = os.pipe()
        os.close(ours)
        self.addCleanup(os.close, theirs)
        self.assert_ended(self.start(stdout=theirs), 1)

    def test_other_errors_are_reported(self):
        self.assert_ended(self.bash('"$0" > /dev/full'), 1, "02_broken_pipe: .*No space left on device\n")
        self.assert_ended(self.bash('"$0" >&-'), 1, "02_broken_pipe: .*Bad file descriptor\n")

    def stalled(self, **options):
        """The program with a full pipe that nobody reads on."""
        ours, theirs = os.pipe()
        program = self.start(stdout=theirs, **options)
        os.close(theirs)
        self.addCleanup(os.close, ours)
        self.assertEqual(os.read(ours, 7), b"line 1\n")
        return program

    def test_ctrl_c_while_the_reader_stalls(self):
        program = self.stalled(terminal=True)
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)

    def test_sigterm_while_the_reader_stalls(self):
        program = self.stalled()
        program.send(SIGTERM)
        self.assert_ended(program, -SIGTERM)

    def test_shell_stops_on_ctrl_c(self):
        # Not `echo` in bash: a Ctrl-C that it catches just before exec is lost.
        reader = """{ read line; exec sh -c 'echo "got $0"; exec sleep 1000' "$line"; }"""
        script = 'while true; do "$0"; done | ' + reader + "; echo not reached"
        program = self.bash(script, terminal=True)
        program.expect("got line 1\n")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)
        self.assertNotIn("not reached", program.text["out"])

    def test_nohup_and_no_standard_input(self):
        program = self.bash('nohup "$0" 3 2> /dev/null | cat', stdin="closed")
        self.assert_ended(program, 0)
        self.assertEqual(program.text["out"], "line 1\nline 2\nline 3\n")


class TimerDescriptor(ExampleTest):
    name = "04_timer_descriptor"
    wrong_arguments = [("1",), ("a", "b")]

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_four_ticks_and_none_early(self):
        begin = time.monotonic()
        program = self.start(stdin="closed")
        for due in (1.0, 1.5, 2.0, 2.5):
            program.expect(r"Timer expired \(\d+\)\n")
            self.assertGreaterEqual(time.monotonic() - begin, due)
        self.assert_ended(program, 0)
        self.assertEqual(program.text["out"].count("Timer expired"), 4)

    def test_missed_ticks_are_counted(self):
        program = self.start()
        program.expect(r"Timer expired \(\d+\)\n")
        program.send(signal.SIGSTOP)
        time.sleep(1.6)  # what is tested: three ticks go by
        program.send(signal.SIGCONT)
        program.expect(r"Timer expired \(([3-9]|\d\d+)\)\n")
        program.send(SIGTERM)
        self.assert_ended(program, -SIGTERM)

    def test_ctrl_c(self):
        program = self.start(terminal=True)
        program.expect("Timer expired")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)

    def test_shell_loop_stops_on_ctrl_c(self):
        program = self.bash('for i in 1 2 3; do "$0"; done; echo not reached', terminal=True)
        program.expect("Timer expired")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)
        self.assertNotIn("not reached", program.text["out"])
        self.assertLess(program.text["out"].count("Timer expired"), 5)

    def test_nohup(self):
        program = self.bash('exec nohup "$0"')
        program.expect("Timer expired")
        program.send(SIGHUP)
        self.assert_ended(program, 0, None)


class LockAndInterrupt(ExampleTest):
    name = "07_lock_and_interrupt"
    wrong_arguments = [("1",), ("--by-hand", "2"), ("--by-han",)]
    seen = (
        r"Careless: .*\n(.*\n)?(\^C)?  the interrupt was seen\n  the lock is still held, .*\n"
        r"Careful: .*\n(.*\n)?(\^C\n)?  the session is complete\n  the interrupt was seen\n  the lock is free\n\Z"
    )

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_interrupting_itself(self):
        for options in ({}, {"ignored": (SIGINT,)}, {"stdin": "closed"}, {"terminal": True}):
            with self.subTest(options=options):
                program = self.start(**options)
                self.assert_ended(program, 0)
                self.assertRegex(program.text["out"], rf"\A{self.seen}")

    def test_nohup(self):
        program = self.bash('nohup "$0"')
        self.assert_ended(program, 0, None)
        self.assertRegex(program.text["out"], self.seen)

    def test_by_hand(self):
        program = self.start("--by-hand", terminal=True)
        program.expect("press Ctrl-C\n")
        program.type(CTRL_C)
        program.expect("press Ctrl-C, and then Enter.*\n")
        program.type(CTRL_C + b"\n")
        self.assert_ended(program, 0)
        self.assertRegex(program.text["out"], rf"\A{self.seen}")

    def test_by_hand_without_an_interrupt(self):
        program = self.start("--by-hand")
        self.assert_ended(program, 1)
        self.assertEqual(program.text["out"].count("  no interrupt came\n  the lock is free\n"), 2)

    def test_sigterm(self):
        program = self.start("--by-hand", terminal=True)
        program.expect("press Ctrl-C\n")
        program.send(SIGTERM)
        self.assert_ended(program, -SIGTERM)


class StopToken(ExampleTest):
    name = "08_stop_token"
    wrong_arguments = [("0",), ("65",), ("x",), ("",), ("-1",), ("1", "2")]

    def working(self, *arguments, **options):
        program = self.start(*arguments, **options)
        program.expect("Working; press Ctrl-C to end\n")
        for _ in range(3):
            program.expect(r"Job [123] done\n")
        return program

    def assert_stopped(self, program, workers):
        self.assert_ended(program, 0)
        self.assertEqual(program.text["out"].count("A worker ends\n"), workers)
        self.assertRegex(program.text["out"], r"\nJobs done: 3\n\Z")

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_ctrl_c(self):
        program = self.working(terminal=True)
        program.type(CTRL_C)
        program.expect(r"Stopping: SIGINT from the terminal \(Ctrl-C\)\n")
        self.assert_stopped(program, 2)

    def test_sigterm_and_who_sent_it(self):
        for workers in (1, 2, 64):
            with self.subTest(workers=workers):
                program = self.working(str(workers))
                program.send(SIGTERM)
                program.expect(rf"Stopping: SIGTERM from pid {os.getpid()} \(.+\), uid {os.getuid()}, by kill\n")
                self.assert_stopped(program, workers)

    def test_second_ctrl_c_kills_one_that_does_not_end(self):
        # Its output goes into a pipe that is full: it cannot say that it stops.
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        program = self.start(stdout=theirs)
        said = b""
        while said.count(b"done") < 3:
            said += os.read(ours, 4096)
        os.set_blocking(theirs, False)
        try:
            while True:
                os.write(theirs, b"x")
        except BlockingIOError:
            os.set_blocking(theirs, True)
        os.close(theirs)
        program.send(SIGINT)
        self.assertTrue(eventually(lambda: not self.catches(program.pid, SIGINT)))
        program.send(SIGINT)
        self.assert_ended(program, -SIGINT)

    @staticmethod
    def catches(pid, number):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            caught = next(line for line in status if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    def test_nohup_and_no_standard_input(self):
        program = self.bash('exec nohup "$0"', stdin="closed")
        program.expect("Working")
        program.send(SIGHUP)
        program.send(SIGTERM)
        program.expect("Stopping: SIGTERM")
        self.assert_ended(program, 0, None)


class Deadline(ExampleTest):
    name = "09_deadline"
    wrong_arguments = [(), ("1",), ("1", "x"), ("0", "1"), ("1", "2", "3")]

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_a_line_in_time(self):
        program = self.start("3600", "3600", terminal=True)
        program.type(b"one\n")
        program.expect("Heard: one\n")
        program.type(b"\x04")  # the end of the input
        self.assert_ended(program, 0)

    @unittest.skipIf("TOCSIN_THREAD_SANITIZER" in os.environ, "ThreadSanitizer keeps the signal back until the call has ended")
    def test_no_line_in_time_and_then_the_whole_is_over(self):
        begin = time.monotonic()
        program = self.start("1", "3", terminal=True)
        program.expect(r"Are you still there\?\n")
        self.assertGreaterEqual(time.monotonic() - begin, 1.0)
        program.type(b"yes\n")
        program.expect("Heard: yes\n")
        program.expect("09_deadline: deadline of 3 s has passed: .*\n")
        self.assert_ended(program, 1, None)
        self.assertGreaterEqual(time.monotonic() - begin, 3.0)

    def test_ctrl_c(self):
        program = self.start("3600", "3600", terminal=True)
        program.type(b"one\n")
        program.expect("Heard: one\n")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)


class Heartbeats(ExampleTest):
    name = "10_heartbeats"
    wrong_arguments = [(), ("0",), ("x",), ("-1",), ("86401",), ("1", "2")]

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_in_the_order_they_fell_silent(self):
        begin = time.monotonic()
        program = self.bash("(echo ann; echo bob; sleep 0.5; echo ann; printf carl) | \"$0\" 2")
        program.expect("ann is there\nbob is there\ncarl is there\nbob has been silent for 2 s\n")
        self.assertGreaterEqual(time.monotonic() - begin, 2.0)
        program.expect("ann has been silent for 2 s\ncarl has been silent for 2 s\n")
        self.assertGreaterEqual(time.monotonic() - begin, 2.5)
        self.assert_ended(program, 0)

    def test_back(self):
        program = self.bash("(echo ann; sleep 3; echo ann) | \"$0\" 1")
        program.expect("ann is there\nann has been silent for 1 s\nann is back\nann has been silent for 1 s\n")
        self.assert_ended(program, 0)

    def test_thousands(self):
        program = self.bash("seq 20000 | \"$0\" 1")
        self.assert_ended(program, 0)
        silent = re.findall(r"^(\d+) has been silent", program.text["out"], re.MULTILINE)
        self.assertEqual(silent, [str(n) for n in range(1, 20001)])

    def test_empty_input(self):
        self.assert_ended(self.start("1"), 0)

    def test_no_input(self):
        self.assert_ended(self.start("1", stdin="closed"), 1, "10_heartbeats: standard input: .*Bad file descriptor.*\n")

    def test_ctrl_c(self):
        program = self.start("60", terminal=True)
        program.type(b"ann\n")
        program.expect("ann is there")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
