"""The servers of examples/, with real clients. One class per program; ctest runs each as one test."""

import ctypes
import http.client
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
import unittest

from harness import CTRL_C, ExampleTest, eventually

SIGINT, SIGTERM, SIGHUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class HttpServer(ExampleTest):
    name = "03_http_server"
    wrong_arguments = [("a",), ("-1",), ("65536",), ("1", "2"), ("",)]

    def serve(self, **options):
        program = self.start("0", **options)
        return program, int(program.expect(r"Serving on http://127\.0\.0\.1:(\d+)/\n").group(1))

    def curl(self, address):
        self.assertTrue(shutil.which("curl"), "this test needs curl")
        client = subprocess.Popen(["curl", "--silent", "--show-error", "--fail", address], stdout=subprocess.PIPE, text=True)
        self.addCleanup(client.stdout.close)
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        return client

    def get(self, port, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
        self.addCleanup(connection.close)
        connection.request("GET", path, headers={"Connection": "close"})
        return connection

    def assert_answer(self, connection, text):
        response = connection.getresponse()
        self.assertEqual((response.status, response.read().decode()), (200, text))

    def stop_during_slow_request(self, program, address, stop):
        """A request is in flight when `stop` is called: it is answered all the same, after the server said it stops."""
        for seconds in (2, 10):  # the second only for a machine so loaded that the first request ended before the stop
            client = self.curl(address.format(seconds))
            program.expect("Slow request begun\n")
            stop()
            said = program.expect("Finishing the requests in flight|Slow request answered").group(0)
            if said.startswith("Finishing"):
                break
            program.expect("Finishing the requests in flight")
        program.expect("Slow request answered\n")
        self.assertEqual(client.communicate(timeout=40)[0], "slow but complete\n")
        self.assertEqual(client.returncode, 0)
        program.expect("Server stopped\n")

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_requests(self):
        program, port = self.serve()
        client = self.curl(f"http://127.0.0.1:{port}/")
        self.assertEqual(client.communicate(timeout=40)[0], "hello\n")
        self.assert_answer(self.get(port, "/slow?seconds=0"), "slow but complete\n")
        program.send(SIGINT)
        program.expect(f"Signal handler called with SIGINT from process {os.getpid()}\n")
        program.expect("Server stopped\n")
        self.assert_ended(program, 0)

    def test_ctrl_c_finishes_the_request_in_flight(self):
        program, port = self.serve(terminal=True)
        self.stop_during_slow_request(program, f"http://127.0.0.1:{port}/slow?seconds={{}}", lambda: program.type(CTRL_C))
        self.assert_ended(program, 0)
        self.assertIn("Signal handler called with SIGINT\n", program.text["out"])

    def test_sigterm_finishes_the_request_in_flight(self):
        program, port = self.serve()
        self.stop_during_slow_request(program, f"http://127.0.0.1:{port}/slow?seconds={{}}", lambda: program.send(SIGTERM))
        self.assert_ended(program, 0)

    def test_signal_taken_by_another_thread(self):
        program, _ = self.serve()
        threads = [int(tid) for tid in os.listdir(f"/proc/{program.pid}/task") if int(tid) != program.pid]
        self.assertTrue(threads)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(234 if os.uname().machine == "x86_64" else 131, program.pid, max(threads), SIGTERM)  # tgkill
        program.expect("Signal handler called with SIGTERM\n")
        program.expect("Server stopped\n")
        self.assert_ended(program, 0)

    def test_second_ctrl_c_does_not_wait(self):
        program, port = self.serve(terminal=True)
        client = self.get(port, "/slow?seconds=3600")
        program.expect("Slow request begun\n")
        program.type(CTRL_C)
        program.expect("SIGINT again to stop at once\n")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)
        with self.assertRaises((http.client.HTTPException, ConnectionError)):
            client.getresponse()

    def test_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            program = self.start(str(taken.getsockname()[1]))
            self.assert_ended(program, 1, "03_http_server: cannot bind to that port of 127.0.0.1\n")

    def test_interrupt_ignored_as_in_a_background_job(self):
        program, port = self.serve(ignored=(SIGINT,), stdin="closed")
        program.send(SIGINT)
        self.assert_answer(self.get(port, "/"), "hello\n")
        program.send(SIGTERM)
        program.expect("Server stopped\n")
        self.assert_ended(program, 0)
        self.assertNotIn("SIGINT", program.text["out"])

    def test_nohup(self):
        program = self.bash('exec nohup "$0" 0')
        port = int(program.expect(r":(\d+)/\n").group(1))
        program.send(SIGHUP)
        self.assert_answer(self.get(port, "/"), "hello\n")
        program.send(SIGTERM)
        self.assert_ended(program, 0, None)

    def test_shell_loop_goes_on_after_an_orderly_stop(self):
        program = self.bash('for i in 1 2; do "$0" 0; echo "status $?"; done; echo end', terminal=True)
        for _ in range(2):
            program.expect("Serving on")
            program.type(CTRL_C)
            program.expect("status 0\n")
        program.expect("end\n")
        program.finish()

    def test_no_descriptor_is_left_open(self):
        program, port = self.serve()
        before = program.descriptors()
        for _ in range(20):
            self.assert_answer(self.get(port, "/"), "hello\n")
        self.assertTrue(eventually(lambda: program.descriptors() == before), program.descriptors())
        program.send(SIGTERM)
        self.assert_ended(program, 0)


class CommandServer:
    """What the two servers have in common: everything."""

    wrong_arguments = [("a",), ("-1",), ("65536",), ("1", "2"), ("",)]

    def serve(self, **options):
        program = self.start("0", **options)
        return program, int(program.expect(r"Listening on 127\.0\.0\.1:(\d+)\n").group(1))

    def connect(self, program, port):
        client = socket.create_connection(("127.0.0.1", port), timeout=40)
        self.addCleanup(client.close)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        program.expect("Client connected\n")
        return client

    def assert_stopped_by_client(self, program):
        program.expect("Stopping: a client asked for it\n")
        self.assert_ended(program, 0)

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_timers(self):
        begin = time.monotonic()
        program, port = self.serve(stdin="closed")
        program.expect(r"Timer 3 expired \(\d+\)\n(.*\n)*?Timer 3 expired \(\d+\)\n")
        elapsed = time.monotonic() - begin
        self.connect(program, port).sendall(b"stop\n")
        self.assert_stopped_by_client(program)
        ticks = {timer: 0 for timer in "123"}
        for line in program.text["out"].splitlines():
            if line.startswith("Timer"):
                ticks[line.split()[1]] += int(line.rstrip(")").split("(")[1])
        self.assertGreaterEqual(elapsed, 1.5)
        # By the second tick of the third timer, at 1.5 s, the others have had 6 and 3, of which the last may be due.
        self.assertGreaterEqual(ticks["1"], 5)
        self.assertGreaterEqual(ticks["2"], 2)
        self.assertGreaterEqual(ticks["3"], 2)

    def test_stop_in_pieces_after_other_commands(self):
        program, port = self.serve()
        client = self.connect(program, port)
        for piece in (b"hel", b"lo\r\nwhat is", b" this\nst", b"op\r\n"):
            client.sendall(piece)
        program.expect("Unknown command, 6 bytes\n(.*\n)*?Unknown command, 12 bytes\n")
        self.assert_stopped_by_client(program)
        self.assertEqual(client.recv(1), b"")

    def test_several_clients_come_and_go(self):
        program, port = self.serve()
        first, second, third = (self.connect(program, port) for _ in range(3))
        first.close()
        program.expect("Client disconnected\n")
        second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        second.close()  # by a reset
        program.expect("Client disconnected\n")
        third.sendall(b"x" * 10000)  # no line is that long
        program.expect("Client disconnected\n")
        self.connect(program, port).sendall(b"stop")
        self.assert_stopped_by_client(program)

    def test_ctrl_c(self):
        program, port = self.serve(terminal=True)
        client = self.connect(program, port)
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)
        self.assertEqual(client.recv(1), b"")

    def test_sigterm(self):
        program, port = self.serve()
        client = self.connect(program, port)
        program.send(SIGTERM)
        program.expect("Stopping: SIGTERM\n")
        self.assert_ended(program, 0)
        self.assertEqual(client.recv(1), b"")

    def test_nohup(self):
        program = self.bash('exec nohup "$0" 0')
        port = int(program.expect(r":(\d+)\n").group(1))
        program.send(SIGHUP)
        self.connect(program, port).sendall(b"stop\n")
        program.expect("Stopping: a client asked for it\n")
        self.assert_ended(program, 0, None)

    def test_shell_loop_stops_on_ctrl_c(self):
        program = self.bash('for i in 1 2 3; do "$0" 0; done; echo not reached', terminal=True)
        program.expect("Timer 2")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)
        self.assertNotIn("not reached", program.text["out"])
        self.assertEqual(program.text["out"].count("Listening"), 1)

    def test_port_that_is_taken(self):
        program, port = self.serve()
        self.assert_ended(self.start(str(port)), 1, f"{self.name}: .*Address already in use\n")
        client = self.connect(program, port)
        client.sendall(b"stop\n")
        self.assert_stopped_by_client(program)
        again = self.start(str(port))  # at once, although the connection lingers
        again.expect(f":{port}\n")
        self.connect(again, port).sendall(b"stop\n")
        self.assert_stopped_by_client(again)

    def test_no_descriptor_is_left_open(self):
        program, port = self.serve()
        before = program.descriptors()
        for _ in range(20):
            self.connect(program, port).close()
            program.expect("Client disconnected\n")
        self.assertTrue(eventually(lambda: program.descriptors() == before), program.descriptors())
        clients = [self.connect(program, port) for _ in range(100)]
        with socket.create_connection(("127.0.0.1", port), timeout=40) as one_too_many:
            self.assertEqual(one_too_many.recv(1), b"")
        clients[0].sendall(b"stop\n")
        self.assert_stopped_by_client(program)


class EpollServer(CommandServer, ExampleTest):
    name = "05_epoll_server"


class SelectServer(CommandServer, ExampleTest):
    name = "06_select_server"


if __name__ == "__main__":
    unittest.main(verbosity=2)
