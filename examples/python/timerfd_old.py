"""Timer descriptors on an old Python: a TCP server and three timers in one loop, waited for with epoll.

The module os has timerfd_create() since Python 3.13. tocsin.timerfd has it on every version, so this is the epoll
program of Python's timer file descriptor HOWTO for 3.9 and later: three timers tick every 0.25, 0.5 and 0.75 s, set in
exact nanoseconds. A client that sends `stop` ends the server:

    python3 timerfd_old.py 1234 &  echo stop | nc -q 1 127.0.0.1 1234

So do SIGTERM and Ctrl-C. Exit status: 0 stopped, 2 wrong arguments; death by SIGINT after Ctrl-C.
"""

import contextlib
import os
import select
import socket
import sys

from tocsin import signal, timerfd


class Terminated(Exception):
    pass


def terminate(signum, frame):
    raise Terminated


class Server:
    def __init__(self, port):
        self.epoll = select.epoll()
        self.callbacks = {}
        self.clients = set()
        self.timers = []
        self.running = True
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.setblocking(False)
        self.watch(self.listener.fileno(), self.accept)
        for number in 1, 2, 3:
            timer = timerfd.create(timerfd.CLOCK_MONOTONIC, flags=timerfd.TFD_NONBLOCK)
            self.timers.append(timer)
            timerfd.settime_ns(timer, initial=number * 250_000_000, interval=number * 250_000_000)
            self.watch(timer, self.tick, number, timer)

    def watch(self, fd, callback, *args):
        self.callbacks[fd] = callback, args
        self.epoll.register(fd, select.EPOLLIN)

    def run(self):
        print(f"Listening on 127.0.0.1:{self.listener.getsockname()[1]}", flush=True)
        while self.running:
            for fd, _ in self.epoll.poll():
                if fd in self.callbacks:  # an event before it may have closed the descriptor
                    callback, args = self.callbacks[fd]
                    callback(*args)

    def tick(self, number, timer):
        expirations = int.from_bytes(os.read(timer, 8), sys.byteorder)
        print(f"Timer {number} expired ({expirations})", flush=True)

    def accept(self):
        try:
            client, _ = self.listener.accept()
        except OSError:  # it is gone already
            return
        client.setblocking(False)
        self.clients.add(client)
        self.watch(client.fileno(), self.receive, client, bytearray())
        print("Client connected", flush=True)

    def receive(self, client, line):
        try:
            data = client.recv(1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *complete, rest = (line + data).split(b"\n")
        line[:] = rest[:1024]
        if b"stop" in complete:
            print("Stopping: a client asked for it", flush=True)
            self.running = False
        elif not data:
            del self.callbacks[client.fileno()]
            self.clients.remove(client)
            client.close()
            print("Client disconnected", flush=True)

    def close(self):
        for each in self.listener, self.epoll, *self.clients:
            each.close()
        for each in self.timers:
            os.close(each)


def main():
    if len(sys.argv) > 2 or not all(each.isdecimal() and int(each) < 65536 for each in sys.argv[1:]):
        print("usage: timerfd_old.py [PORT]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, terminate)
    try:
        with contextlib.closing(Server(int(sys.argv[1]) if len(sys.argv) == 2 else 1234)) as server:
            server.run()
    except Terminated:
        print("Stopping: SIGTERM", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
