"""What the demonstration is made of: the server in its terminal, its clients, its configuration, and the narrator."""

import ctypes
import http.client
import json
import os
import pty
import re
import signal
import statistics
import termios
import threading
import time

PATIENCE = 20  # seconds until something that should happen counts as failed
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failure(Exception):
    pass


class Narrator:
    """Standard output, for the main thread and the one that relays the server's lines."""

    def __init__(self):
        self.lock = threading.Lock()
        self.failed = 0
        self.steps = 0
        self.broken = False

    def say(self, text=""):
        with self.lock:
            try:
                print(text, flush=True)
            except BrokenPipeError:
                self.broken = True
        if self.broken and threading.current_thread() is threading.main_thread():
            raise BrokenPipeError

    def step(self, text):
        self.steps += 1
        self.say(f"\n{self.steps}. {text}")

    def check(self, good, text):
        self.failed += not good
        self.say(f"   {'ok    ' if good else 'FAILED'} {text}")


def shortly(seconds):
    return f"{seconds * 1e3:.3f} ms" if seconds < 1 else f"{seconds:.3f} s"


def spread(times):
    return f"median {shortly(statistics.median(times))}, max {shortly(max(times))} of {len(times)}"


def spread_of(account):
    """The same from what the server's /status says of a signal."""
    return (f"median {shortly(account['median_us'] / 1e6)}, max {shortly(account['max_us'] / 1e6)} "
            f"of {account['timed']}")


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise Failure(f"timed out: {what}")
        time.sleep(0.002)
    return result


libc = ctypes.CDLL(None, use_errno=True)
libc.sigqueue.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


def send_stamped(pid, number):
    """sigqueue(3) with the time as the value, so that the server can say how late the signal is."""
    if libc.sigqueue(pid, number, time.monotonic_ns() & (2 ** (8 * ctypes.sizeof(ctypes.c_void_p)) - 1)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class Configuration:
    """The file the server reads, in a directory of its own with the device that never answers."""

    def __init__(self, directory):
        self.path = directory / "server.conf"
        self.device = directory / "device"
        os.mkfifo(self.device)

    def write(self, greeting, extra=""):
        new = self.path.with_suffix(".new")
        new.write_text(f"greeting = {greeting}\ndevice = {self.device}\ndevice_limit_ms = 1000\n{extra}")
        new.replace(self.path)  # at once: a reader sees the old file or the new one


class Server:
    """The program, on a terminal of its own: we hold the other end and can type Ctrl-C."""

    def __init__(self, program, configuration, narrator):
        self.narrator = narrator
        self.lines = []
        self.seen = 0
        self.changed = threading.Condition()
        # No signal may end us between the fork and the moment we know whom to clean up.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            self.become(program, configuration, before)
        servers.append(self)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self.relay = threading.Thread(target=self.relay_lines, daemon=True)
        self.relay.start()
        self.port = int(self.expect(r"listening on http://127\.0\.0\.1:(\d+)/").group(1))

    @staticmethod
    def become(program, configuration, mask):
        try:
            # Python ignores SIGPIPE and SIGXFSZ, which a new program would inherit.
            for number in (*ENDING_SIGNALS, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask - set(ENDING_SIGNALS))
            os.execv(program, [program, configuration])
        finally:
            os._exit(127)

    def relay_lines(self):
        rest = b""
        while True:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:  # EIO: the last process has closed the terminal
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace").rstrip("\r")
                self.narrator.say(f"      | {text}")
                with self.changed:
                    self.lines.append(text)
                    self.changed.notify_all()
        with self.changed:
            self.lines.append("(the end of its output)")
            self.changed.notify_all()

    def expect(self, pattern):
        """The match in a line that was printed after the one found before."""
        deadline = time.monotonic() + PATIENCE
        with self.changed:
            while True:
                while self.seen < len(self.lines):
                    self.seen += 1
                    if match := re.search(pattern, self.lines[self.seen - 1]):
                        return match
                if not self.changed.wait(deadline - time.monotonic()):
                    raise Failure(f"the server did not print {pattern!r}")

    def type_ctrl_c(self):
        os.write(self.terminal, termios.tcgetattr(self.terminal)[6][termios.VINTR])

    def wait(self):
        """How it ended: an exit status, or minus the signal that killed it."""

        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        wait_until(lambda: os.waitid(os.P_PID, self.pid, ended), "the server's end")
        self.relay.join(PATIENCE)
        code = self.reap()
        os.close(self.terminal)
        return code

    def destroy(self):
        os.kill(self.pid, signal.SIGKILL)  # not reaped, so the number is still its own
        self.reap()

    def reap(self):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)  # reaped and off the list, or neither
        _, status = os.waitpid(self.pid, 0)
        servers.remove(self)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return os.waitstatus_to_exitcode(status)

    def get(self, path):
        """Status and body; an error if the answer is not complete."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.get("/status")[1])

    def greeting(self):
        return self.get("/")[1].strip()


servers = []  # not yet reaped


class Clients:
    """Several clients at once. Each asks for `path` `times` times, or until told to stop."""

    def __init__(self, server, count, path, times=None):
        self.times = []
        self.answers = []
        self.errors = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(server, path, times), daemon=True)
                        for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def work(self, server, path, times):
        while not self.stopping.is_set() and (times is None or times > 0):
            start = time.monotonic()
            try:
                status, body = server.get(path)
                self.answers.append((status, body))
                self.times.append(time.monotonic() - start)
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
            if times is not None:
                times -= 1

    def finish(self):
        """Waits for them; true if all got answers, and good ones."""
        for thread in self.threads:
            thread.join(2 * PATIENCE)
        if self.errors:
            raise Failure(f"{len(self.errors)} errors of clients, the first: {self.errors[0]}")
        return all(status == 200 for status, _ in self.answers) and bool(self.answers)


def slow_clients(server, count, pieces):
    """Clients whose answers take a while, once the server works on them all."""
    clients = Clients(server, count, f"/slow?pieces={pieces}", 1)
    wait_until(lambda: server.status()["open"] > count, "the slow requests to begin")  # one is the question itself
    return clients


def all_complete(clients, count, pieces):
    body = "".join(f"piece {i} of {pieces}\n" for i in range(1, pieces + 1))
    return clients.finish() and [answer[1] for answer in clients.answers] == [body] * count
