"""The example for libuv."""

import os
import select
import signal
import socket
import time
import unittest

from harness import CTRL_C, ExampleTest

SIGTERM, SIGUSR1 = signal.SIGTERM, signal.SIGUSR1


class LibuvEcho(ExampleTest):
    name = "libuv_echo"
    wrong_arguments = [(), ("x",), ("-1",), ("65536",), ("0", "0"), ("0", "x"), ("0", "1", "2")]

    def serve(self, *arguments, **options):
        program = self.start("0", *arguments, **options)
        return program, int(program.expect(r"Listening on 127\.0\.0\.1:(\d+)\n").group(1))

    def connect(self, port):
        client = socket.create_connection(("127.0.0.1", port), timeout=40)
        self.addCleanup(client.close)
        return client

    def assert_echo(self, client, data):
        client.sendall(data)
        back = b""
        while len(back) < len(data):
            part = client.recv(1 << 20)
            self.assertTrue(part, "closed early")
            back += part
        self.assertEqual(back, data)

    def by_us(self, name):
        return rf"{name} from pid {os.getpid()} \(.+\), uid {os.getuid()}, by kill\n"

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_port_in_use(self):
        _, port = self.serve()
        self.assert_ended(self.start(str(port)), 1, "libuv_echo: uv_listen: address already in use\n")

    def test_echo_and_status_and_stop(self):
        program, port = self.serve()
        clients = [self.connect(port) for _ in range(3)]
        for n, client in enumerate(clients):
            self.assert_echo(client, b"%d" % n * 10_000)
        program.send(SIGUSR1)
        program.expect("3 clients, 30000 bytes: " + self.by_us("SIGUSR1"))
        clients[0].close()
        self.assert_echo(clients[1], b"more")
        program.expect(r"\d+ bytes/s\n")
        program.send(SIGTERM)
        program.expect("Stopping: " + self.by_us("SIGTERM"))
        program.expect("Stopped after 30004 bytes\n")
        self.assertEqual(clients[1].recv(1), b"")
        self.assert_ended(program, 0)

    def test_status_asked_for_a_thousand_times(self):
        program, port = self.serve()
        client = self.connect(port)
        for _ in range(1000):
            program.send(SIGUSR1)
        self.assert_echo(client, b"still there")
        program.send(SIGTERM)
        program.expect("Stopped after 11 bytes\n")
        self.assert_ended(program, 0)

    def test_a_silent_client_is_hung_up_on(self):
        program, port = self.serve("2")
        began = time.monotonic()
        silent = self.connect(port)
        other = self.connect(port)
        while not select.select([silent], [], [], 0.5)[0]:
            self.assert_echo(other, b"here")  # puts it off
        self.assertGreaterEqual(time.monotonic() - began, 2)
        self.assertEqual(silent.recv(1), b"")
        program.expect("A client was silent for 2 s\n")
        self.assert_echo(other, b"still here")
        program.send(SIGTERM)
        program.expect("Stopped after")
        self.assert_ended(program, 0)

    def test_ctrl_c(self):
        program, port = self.serve(terminal=True)
        self.connect(port)
        program.type(CTRL_C)
        program.expect(r"Stopping: SIGINT from the terminal \(Ctrl-C\)\nStopped after 0 bytes\n")
        self.assert_ended(program, 0)

    def test_client_that_never_reads(self):
        program, port = self.serve()
        client = self.connect(port)
        client.setblocking(False)
        try:
            while True:
                client.send(b"x" * 65536)
        except BlockingIOError:
            pass
        program.send(SIGTERM)
        program.expect("Stopped after")
        self.assert_ended(program, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
