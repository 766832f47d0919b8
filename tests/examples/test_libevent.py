"""The example for libevent."""

import http.client
import os
import signal
import socket
import tempfile
import unittest

from harness import CTRL_C, ExampleTest

SIGINT, SIGTERM, SIGHUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class LibeventHttp(ExampleTest):
    name = "libevent_http"
    wrong_arguments = [(), ("0",), ("x", "f"), ("-1", "f"), ("65536", "f"), ("0", "f", "g")]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.page = os.path.join(folder.name, "page")
        self.write("first")

    def write(self, text):
        with open(self.page, "w", encoding="ascii") as file:
            file.write(text)

    def serve(self, **options):
        program = self.start("0", self.page, **options)
        port = int(program.expect(r"Serving .*page on http://127\.0\.0\.1:(\d+)/\n").group(1))
        return program, port

    def get(self, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
        connection.request("GET", "/")
        try:
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def by_us(self):
        return rf"from pid {os.getpid()} \(.+\), uid {os.getuid()}, by kill\n"

    def begin_long_answer(self, port):
        """A client that has asked for much and has not read it: too much for the buffers of the sockets."""
        client = socket.create_connection(("127.0.0.1", port), timeout=40)
        self.addCleanup(client.close)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(client.recv(8), b"HTTP/1.0")
        return client

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_no_such_page(self):
        self.assert_ended(self.start("0", self.page + "x"), 1, "libevent_http: cannot read .*pagex\n")

    def test_port_in_use(self):
        _, port = self.serve()
        self.assert_ended(self.start(str(port), self.page), 1, f"libevent_http: cannot listen on port {port}\n")

    def test_reload_and_stop(self):
        program, port = self.serve()
        self.assertEqual(self.get(port), "first")
        for text in ("second", "the third"):
            self.write(text)
            program.send(SIGHUP)
            program.expect(rf"Reloaded, {len(text)} bytes: SIGHUP {self.by_us()}")
            self.assertEqual(self.get(port), text)
        program.send(SIGTERM)
        program.expect(rf"Stopping, 0 to answer: SIGTERM {self.by_us()}")
        program.expect("Stopped after 3 answers\n")
        self.assert_ended(program, 0)

    def test_page_that_cannot_be_read_any_more(self):
        program, port = self.serve()
        os.rename(self.page, self.page + "x")
        program.send(SIGHUP)
        program.expect("Not reloaded: cannot read .*page\n")
        self.assertEqual(self.get(port), "first")
        program.send(SIGTERM)
        self.assert_ended(program, 0)

    def test_ctrl_c(self):
        program, _ = self.serve(terminal=True)
        program.type(CTRL_C)
        program.expect(r"Stopping, 0 to answer: SIGINT from the terminal \(Ctrl-C\)\n")
        self.assert_ended(program, 0)

    def test_what_has_been_begun_is_answered(self):
        self.write("x" * 20_000_000)
        program, port = self.serve()
        client = self.begin_long_answer(port)
        program.send(SIGTERM)
        program.expect("Stopping, 1 to answer")
        size = 8
        while data := client.recv(1 << 20):
            size += len(data)
        self.assertGreater(size, 20_000_000)
        program.expect("Stopped after 1 answers")
        self.assert_ended(program, 0)

    def test_client_that_never_reads(self):
        self.write("x" * 20_000_000)
        program, port = self.serve()
        self.begin_long_answer(port)
        program.send(SIGTERM)
        program.expect("Stopping, 1 to answer")
        program.expect("Not waiting any longer\nStopped after 0 answers\n")
        self.assert_ended(program, 0)

    def test_second_ctrl_c_does_not_wait(self):
        self.write("x" * 20_000_000)
        program, port = self.serve(terminal=True)
        self.begin_long_answer(port)
        program.type(CTRL_C)
        program.expect("Stopping, 1 to answer")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)

    def test_nohup(self):
        program = self.bash('exec nohup "$0" 0 "$1"', self.page)
        program.expect("Serving")
        program.send(SIGHUP)
        program.expect("Reloaded, 5 bytes")
        program.send(SIGTERM)
        self.assert_ended(program, 0, None)


if __name__ == "__main__":
    unittest.main(verbosity=2)
