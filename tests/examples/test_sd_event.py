"""The example for sd-event, with this test in the place of systemd."""

import os
import signal
import socket
import tempfile
import unittest

from harness import CTRL_C, ExampleTest

SIGINT, SIGTERM, SIGHUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class SdEventService(ExampleTest):
    name = "sd_event_service"
    wrong_arguments = [(), ("a", "b")]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "beat")
        self.manager_name = os.path.join(folder.name, "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(self.manager_name)
        self.manager.settimeout(40)
        self.write("5")

    def write(self, text):
        with open(self.file, "w", encoding="ascii") as file:
            file.write(text)

    def service(self, environment="", **options):
        program = self.bash(f'NOTIFY_SOCKET="$2" {environment} exec "$0" "$1"', self.file, self.manager_name, **options)
        program.expect("A beat every .* ms\n")
        self.assertEqual(self.told(), {"READY": "1"})
        return program

    def told(self):
        """What the manager hears next."""
        return dict(line.split("=", 1) for line in self.manager.recv(65536).decode().splitlines())

    def by_us(self):
        return rf"from pid {os.getpid()} \(.+\), uid {os.getuid()}, by kill"

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_wrong_settings(self):
        for text in ("", "0", "x", "1.5", "86400001"):
            with self.subTest(text=text):
                self.write(text)
                self.assert_ended(self.start(self.file), 1, "sd_event_service: .*beat: not a number of milliseconds .*\n")
        self.assert_ended(self.start(self.file + "x"), 1, "sd_event_service: .*beatx: not a number .*\n")

    def test_without_a_manager(self):
        program = self.start(self.file)
        program.expect("A beat every 5 ms\n")
        program.expect("Beat 1")
        program.send(SIGTERM)
        program.expect(rf"Stopping: SIGTERM {self.by_us()}\nStopped after \d+ beats\n")
        self.assert_ended(program, 0)

    def test_the_manager_is_told(self):
        program = self.service()
        program.expect(r"Beat \d+\n")
        self.write("7")
        program.send(SIGHUP)
        first = self.told()
        self.assertEqual(first["RELOADING"], "1")
        self.assertGreater(int(first["MONOTONIC_USEC"]), 0)
        program.expect("A beat every 7 ms\n")
        second = self.told()
        self.assertEqual(second["READY"], "1")
        self.assertRegex(second["STATUS"], rf"\ASettings read, SIGHUP {self.by_us()}\Z")
        program.expect(r"Beat \d+\n")
        program.send(SIGTERM)
        last = self.told()
        self.assertEqual(last["STOPPING"], "1")
        self.assertRegex(last["STATUS"], rf"\AStopped by SIGTERM {self.by_us()}\Z")
        self.assert_ended(program, 0)

    def test_wrong_settings_are_not_taken(self):
        program = self.service()
        self.write("soon")
        program.send(SIGHUP)
        program.expect("Not reloaded: .*: not a number of milliseconds")
        self.assertIn("RELOADING", self.told())
        self.assertEqual(self.told(), {"READY": "1", "STATUS": "The settings are wrong"})
        program.expect(r"Beat \d+\n")
        program.send(SIGTERM)
        self.assert_ended(program, 0)

    def test_manager_that_has_gone(self):
        program = self.service()
        self.manager.close()
        os.unlink(self.manager_name)
        program.send(SIGHUP)
        self.assert_ended(program, 1, "sd_event_service: sd_notify: .*\n")

    def test_watchdog(self):
        program = self.service("WATCHDOG_USEC=200000")
        self.assertEqual([self.told() for _ in range(3)], [{"WATCHDOG": "1"}] * 3)
        program.send(SIGTERM)
        self.assert_ended(program, 0)

    def test_ctrl_c(self):
        program = self.service(terminal=True)
        program.type(CTRL_C)
        program.expect(r"Stopping: SIGINT from the terminal \(Ctrl-C\)\n")
        self.assert_ended(program, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
