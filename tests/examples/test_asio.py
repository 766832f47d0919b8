"""The examples for Asio and Boost.Asio."""

import os
import select
import signal
import socket
import unittest

from harness import CTRL_C, ExampleTest

SIGTERM, SIGHUP, SIGUSR1 = signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1


class Server(ExampleTest):
    arguments = ()

    def serve(self, **options):
        program = self.start("0", *self.arguments, **options)
        return program, int(program.expect(r"Listening on 127\.0\.0\.1:(\d+)\n").group(1))

    def connect(self, port):
        client = socket.create_connection(("127.0.0.1", port), timeout=40)
        self.addCleanup(client.close)
        return client, client.makefile("r")

    def by_us(self, name):
        return rf"{name} from pid {os.getpid()} \(.+\), uid {os.getuid()}, by kill\n"


class AsioEcho(Server):
    name = "asio_echo"
    wrong_arguments = [(), ("x",), ("-1",), ("65536",), ("0", "0")]

    def assert_echo(self, client, line):
        client[0].sendall(line.encode())
        self.assertEqual(client[1].readline(), line)

    def sleeps(self, program):
        with open(f"/proc/{program.pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "S"

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_port_in_use(self):
        _, port = self.serve()
        self.assert_ended(self.start(str(port)), 1, "asio_echo: .*Address already in use.*\n")

    def test_echo_and_status_and_stop(self):
        program, port = self.serve()
        clients = [self.connect(port) for _ in range(3)]
        for n, client in enumerate(clients):
            self.assert_echo(client, f"{n}" * 10_000 + "\n")
        program.send(SIGUSR1)
        program.expect("3 clients, 3 lines: " + self.by_us("SIGUSR1"))
        self.assert_echo(clients[1], "more\n")
        program.send(SIGTERM)
        program.expect("Stopping, 3 clients: " + self.by_us("SIGTERM"))
        program.expect("Stopped\n")
        for client in clients:
            self.assertEqual(client[1].read(), "")
        self.assert_ended(program, 0)

    def test_status_asked_for_a_thousand_times(self):
        program, port = self.serve()
        client = self.connect(port)
        for _ in range(1000):
            program.send(SIGUSR1)
        self.assert_echo(client, "still there\n")
        program.send(SIGUSR1)
        program.expect("1 clients, 1 lines: " + self.by_us("SIGUSR1"))
        program.send(SIGTERM)
        program.expect("Stopped\n")
        self.assert_ended(program, 0)

    def test_ctrl_c(self):
        program, port = self.serve(terminal=True)
        self.assert_echo(self.connect(port), "a\n")
        program.type(CTRL_C)
        program.expect(r"Stopping, 1 clients: SIGINT from the terminal \(Ctrl-C\)\n")
        program.expect("Stopped\n")
        self.assert_ended(program, 0)

    def stop_with_a_client_that_never_reads(self):
        program, port = self.serve()
        client, _ = self.connect(port)
        client.setblocking(False)
        while select.select([], [client], [], 0.5)[1] or not self.sleeps(program):
            try:
                client.send(b"x" * 9999 + b"\n")
            except BlockingIOError:
                pass
        program.send(SIGTERM)
        program.expect("Stopping, 1 clients")
        return program

    def test_client_that_never_reads(self):
        program = self.stop_with_a_client_that_never_reads()
        program.expect("Not waiting any longer\nStopped\n")
        self.assert_ended(program, 0)

    def test_second_signal_does_not_wait(self):
        program = self.stop_with_a_client_that_never_reads()
        program.send(SIGTERM)
        self.assert_ended(program, -SIGTERM)


class BoostAsioClock(Server):
    name = "boost_asio_clock"
    arguments = ("3600",)
    wrong_arguments = [(), ("0",), ("x", "1"), ("-1", "1"), ("65536", "1"), ("0", "0"), ("0", "3601"), ("0", "1", "2")]

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_port_in_use(self):
        _, port = self.serve()
        self.assert_ended(self.start(str(port), "1"), 1, "boost_asio_clock: .*Address already in use.*\n")

    def ask(self, program, clients):
        """SIGHUP until it has found all of them."""
        while True:
            program.send(SIGHUP)
            if int(program.expect(r"Telling (\d+) clients: " + self.by_us("SIGHUP")).group(1)) == clients:
                return

    def test_periods(self):
        self.arguments = ("1",)
        program, port = self.serve()
        _, text = self.connect(port)
        periods = []  # not the first ones where the machine was busy
        for _ in range(2):
            line = text.readline()
            self.assertRegex(line, r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, period \d+\n\Z")
            periods.append(int(line.split()[-1]))
        self.assertLess(periods[0], periods[1])
        program.send(SIGTERM)
        self.assert_ended(program, 0)

    def test_hangup_and_stop(self):
        program, port = self.serve()
        clients = [self.connect(port)[1] for _ in range(3)]
        self.ask(program, 3)
        for client in clients:
            self.assertRegex(client.readline(), r"Z, at once\n\Z")
        program.send(SIGTERM)
        program.expect("Stopping, 3 clients: " + self.by_us("SIGTERM"))
        program.expect("Stopped\n")
        for client in clients:
            self.assertRegex(client.read(), r"\A(.*Z, at once\n)*bye\n\Z")
        self.assert_ended(program, 0)

    def test_nohup(self):
        program, port = self.serve(ignored=(SIGHUP,))
        _, text = self.connect(port)
        program.send(SIGHUP)
        program.send(SIGTERM)
        program.expect("Stopped\n")
        self.assert_ended(program, 0)
        self.assertNotIn("Telling", program.text["out"])
        text.read()

    def test_ctrl_c(self):
        program, _ = self.serve(terminal=True)
        program.type(CTRL_C)
        program.expect(r"Stopping, 0 clients: SIGINT from the terminal \(Ctrl-C\)\n")
        program.expect("Stopped\n")
        self.assert_ended(program, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
