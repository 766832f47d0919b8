"""The example for Qt."""

import os
import signal
import socket
import tempfile
import unittest

from harness import CTRL_C, ExampleTest

SIGINT, SIGTERM, SIGHUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class QtChat(ExampleTest):
    name = "qt_chat"
    wrong_arguments = [(), ("0",), ("x", "f"), ("-1", "f"), ("65536", "f"), ("0", "f", "g")]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.greeting = os.path.join(folder.name, "greeting")
        self.write("Welcome\n")

    def write(self, text):
        with open(self.greeting, "w", encoding="ascii") as file:
            file.write(text)

    def room(self, **options):
        program = self.start("0", self.greeting, **options)
        return program, int(program.expect(r"Chatting on 127\.0\.0\.1:(\d+)\n").group(1))

    def client(self, port, greeting="Welcome\n"):
        connection = socket.create_connection(("127.0.0.1", port), timeout=40)
        self.addCleanup(connection.close)
        lines = connection.makefile("rw", encoding="ascii")
        self.addCleanup(lines.close)
        self.assertEqual(lines.readline(), greeting)
        return lines

    def say(self, client, text):
        client.write(text)
        client.flush()

    def by_us(self):
        return rf"from pid {os.getpid()} \(.+\), uid {os.getuid()}, by kill\n"

    def test_wrong_arguments(self):
        self.check_wrong_arguments()

    def test_errors(self):
        self.assert_ended(self.start("0", self.greeting + "x"), 1, "qt_chat: cannot read .*greetingx\n")
        _, port = self.room()
        self.assert_ended(self.start(str(port), self.greeting), 1, "qt_chat: cannot listen: .*\n")

    def test_lines_go_to_all_others(self):
        program, port = self.room()
        clients = [self.client(port) for _ in range(3)]
        self.say(clients[0], "first\nsec")
        self.say(clients[0], "ond\n")
        for client in clients[1:]:
            self.assertEqual(client.readline(), "first\n")
            self.assertEqual(client.readline(), "second\n")
        self.say(clients[1], "third\n")
        self.assertEqual(clients[0].readline(), "third\n")
        program.send(SIGTERM)
        self.assert_ended(program, 0)

    def test_reload(self):
        program, port = self.room()
        self.client(port)
        self.write("Good evening\n")
        program.send(SIGHUP)
        program.expect(rf"Reloaded: SIGHUP {self.by_us()}")
        self.client(port, "Good evening\n")
        os.unlink(self.greeting)
        program.send(SIGHUP)
        program.expect("Not reloaded: SIGHUP")
        self.client(port, "Good evening\n")
        program.send(SIGTERM)
        self.assert_ended(program, 0)

    def test_clients_are_told(self):
        for clients in (0, 1, 3):
            with self.subTest(clients=clients):
                program, port = self.room()
                there = [self.client(port) for _ in range(clients)]
                program.send(SIGTERM)
                program.expect(rf"Stopping, {clients} here: SIGTERM {self.by_us()}")
                for client in there:
                    self.assertRegex(client.readline(), rf"\AThe server stops: SIGTERM {self.by_us()}\Z")
                    self.assertEqual(client.readline(), "")
                self.assert_ended(program, 0)

    def stalled(self, **options):
        """With a client that does not read what another one writes."""
        program, port = self.room(**options)
        self.client(port)
        writer = self.client(port)
        self.say(writer, ("x" * 1000 + "\n") * 20_000)
        self.say(writer, "end\n")
        last = self.client(port)  # is served after that
        self.say(last, "seen\n")
        while writer.readline() != "seen\n":
            pass
        return program

    def test_client_that_never_reads(self):
        program = self.stalled()
        program.send(SIGTERM)
        program.expect("Stopping, 3 here")
        program.expect("Not waiting any longer\n")
        self.assert_ended(program, 0)

    def test_second_ctrl_c_does_not_wait(self):
        program = self.stalled(terminal=True)
        program.type(CTRL_C)
        program.expect(r"Stopping, 3 here: SIGINT from the terminal \(Ctrl-C\)\n")
        program.type(CTRL_C)
        self.assert_ended(program, -SIGINT)

    def test_nohup(self):
        program = self.bash('exec nohup "$0" 0 "$1"', self.greeting)
        program.expect("Chatting")
        program.send(SIGHUP)
        program.expect("Reloaded")
        program.send(SIGTERM)
        self.assert_ended(program, 0, None)


if __name__ == "__main__":
    unittest.main(verbosity=2)
