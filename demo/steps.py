"""The demonstration, step by step."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import flood
from stage import (PATIENCE, Clients, Configuration, Failure, Narrator, Server, all_complete, send_stamped, shortly,
                   slow_clients, spread, spread_of, wait_until)


def show_clients(n, server):
    n.step("Real clients: 8 at a time, 40 requests each.")
    clients = Clients(server, 8, "/", 40)
    n.check(clients.finish() and len(clients.times) == 320, f"every one answered: {spread(clients.times)}")
    if curl := shutil.which("curl"):
        url = f"http://127.0.0.1:{server.port}/"
        result = subprocess.run([curl, "-sS", "--noproxy", "*", "--max-time", str(PATIENCE), url],
                                capture_output=True, text=True)
        n.check(result.returncode == 0, f"curl {url} says: {result.stdout.strip() or result.stderr.strip()}")


def show_timers(n, server):
    n.step("Three timers, at 0.25, 0.5 and 0.75 s, in the same epoll_wait.")
    time.sleep(1.6)

    def complete():
        """The account at a moment when no tick is on its way."""
        timers = server.status()["timers"]
        return all(timer["ticks"] == timer["due"] for timer in timers.values()) and timers

    for name, timer in wait_until(complete, "as many ticks as are due").items():
        good = timer["early"] == 0 and timer["ticks"] > 0
        n.check(good, f"{name:12} every {timer['period_ms']} ms: {timer['ticks']} ticks of {timer['due']} due, "
                f"none early, the latest {shortly(timer['latest_us'] / 1e6)} late")


def show_latency(n, server, count=500):
    n.step(f"How fast is a signal? {count} times SIGUSR2 by sigqueue, each with the time it was sent.")
    before = server.status()["signals"]["SIGUSR2"]["arrivals"]
    for _ in range(count):
        send_stamped(server.pid, signal.SIGUSR2)
        time.sleep(0.001)
    account = wait_until(lambda: (a := server.status()["signals"]["SIGUSR2"])["arrivals"] > before and a,
                         "SIGUSR2 to arrive")
    n.check(account["timed"] > 0, f"from the sender's clock to the handler, out of epoll_wait: {spread_of(account)}")


def show_reload(n, server, configuration):
    n.step("Reload: the file is edited, then SIGHUP.")
    old = server.greeting()
    configuration.write("good evening")
    start = time.monotonic()
    send_stamped(server.pid, signal.SIGHUP)
    wait_until(lambda: server.greeting() == "good evening", "the new greeting")
    n.check(True, f'clients got "{old}", and after {shortly(time.monotonic() - start)} "good evening"')
    server.expect("configuration re-read")
    configuration.write("broken", "no such line\n")
    send_stamped(server.pid, signal.SIGHUP)
    server.expect("the old configuration stays")
    n.check(server.greeting() == "good evening", "a file with a mistake is refused and changes nothing")


def show_report(n, server):
    n.step("Report: a shell runs kill -USR1. The handler learns who it was.")
    # The shell stays until its input ends, so that its name can still be looked up.
    with subprocess.Popen(["sh", "-c", 'kill -USR1 "$1"; read -r end', "sh", str(server.pid)],
                          stdin=subprocess.PIPE) as shell:
        found = server.expect(r"SIGUSR1 from pid (\d+) \((.*?)\), uid (\d+)")
        shell.stdin.close()
        good = int(found[1]) == shell.pid and int(found[3]) == os.getuid()
    n.check(good, f"it was process {found[1]}, {found[2]}, run by user {found[3]}")


def show_flood(n, server, configuration):
    n.step(f"Flood: {flood.SIZE} times SIGUSR2 as fast as kill goes, one SIGHUP among them, 4 clients all the time.")
    before = server.status()["signals"]["SIGUSR2"]
    configuration.write("still here")
    clients = Clients(server, 4, "/")
    command = [sys.executable, "-B", flood.__file__, str(server.pid)]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True) as flooder:
        took = float(flooder.stdout.read())
    late = server.expect(r"SIGHUP from .*, sent (.*?) ago: configuration re-read")
    clients.stopping.set()
    n.check(clients.finish(), f"{len(clients.times)} requests meanwhile, all answered: {spread(clients.times)}")
    n.check(server.greeting() == "still here", f"SIGHUP was not lost: handled {late[1]} after it was sent")
    after = server.status()["signals"]["SIGUSR2"]
    arrivals, calls = (after[key] - before[key] for key in ("arrivals", "calls"))
    n.check(0 < calls <= arrivals <= flood.SIZE,
            f"{flood.SIZE} sent in {shortly(took)}; the kernel merged what was still pending, {arrivals} arrived, "
            f"counted in {calls} calls of the handler")


def show_alarm(n, server):
    n.step("A hung operation: /device opens a FIFO nobody writes to. Limit 1 s, by alarm and a handler that throws.")
    before = server.status()["timers"]["pieces"]["merged"]
    clients = Clients(server, 1, "/device", 1)
    server.expect("device: opening")
    send_stamped(server.pid, signal.SIGUSR1)
    place = server.expect(r"SIGUSR1 from .*, handled at (.*)")[1]
    n.check(place.startswith("device.cpp"), f"SIGUSR1 is handled inside the hung open ({place}), which goes on")
    took = server.expect(r"SIGALRM ended the wait after (.*?) \(limit (.*)\)")
    clients.finish()
    status = clients.answers[0][0] if clients.answers else None
    n.check(status == 504, f"given up after {took[1]} for a limit of {took[2]}, the client got {status}")
    merged = server.status()["timers"]["pieces"]["merged"] - before
    n.check(server.greeting() == "still here", "the others are served again; the timer counted on: "
            f"{merged} ticks came in together with a later one")


def show_sigterm(n, server):
    n.step("SIGTERM with 4 slow requests in flight.")
    clients = slow_clients(server, 4, 5)
    start = time.monotonic()
    send_stamped(server.pid, signal.SIGTERM)
    server.expect("no new connections")
    try:
        socket.create_connection(("127.0.0.1", server.port), PATIENCE).close()
        refused = False
    except OSError:
        refused = True
    n.check(refused, "new connections are refused")
    n.check(all_complete(clients, 4, 5), f"all 4 answers are complete: {spread(clients.times)}")
    code = server.wait()
    n.check(code == 0, f"the server ended {shortly(time.monotonic() - start)} after the signal, exit status {code}")


def show_ctrl_c(n, server):
    n.step("The server again, and Ctrl-C typed in its terminal, with 3 slow requests in flight.")
    clients = slow_clients(server, 3, 4)
    server.type_ctrl_c()
    server.expect("SIGINT from the terminal.*stopping")
    n.check(all_complete(clients, 3, 4), "all 3 answers are complete")
    code = server.wait()
    n.check(code == -signal.SIGINT, f"ended by {ending(code)}, so that a shell knows it was Ctrl-C")


def show_second_ctrl_c(n, server):
    n.step("Once more, with a request that would take a minute: a second Ctrl-C ends at once.")
    clients = slow_clients(server, 1, 240)
    server.type_ctrl_c()
    server.expect("stopping")
    start = time.monotonic()
    server.type_ctrl_c()
    code = server.wait()
    n.check(code == -signal.SIGINT, f"ended {shortly(time.monotonic() - start)} later by {ending(code)}")
    for thread in clients.threads:
        thread.join(PATIENCE)


def ending(code):
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def show(program, directory):
    n = Narrator()
    start = time.monotonic()
    configuration = Configuration(directory)
    configuration.write("good morning")
    n.say("A server with three timers and real clients, controlled by signals. Its own lines are marked |, with the\n"
          "seconds since it started.")
    try:
        server = Server(program, configuration.path, n)
        show_clients(n, server)
        show_timers(n, server)
        show_latency(n, server)
        show_reload(n, server, configuration)
        show_report(n, server)
        show_flood(n, server, configuration)
        show_alarm(n, server)
        show_sigterm(n, server)
        show_ctrl_c(n, Server(program, configuration.path, n))
        show_second_ctrl_c(n, Server(program, configuration.path, n))
    except (Failure, OSError, http.client.HTTPException) as error:
        if isinstance(error, BrokenPipeError) and n.broken:
            raise
        n.check(False, f"{type(error).__name__}: {error}")
    n.say(f"\n{'All' if n.failed == 0 else 'Not all'} went well: {n.steps} steps in "
          f"{time.monotonic() - start:.1f} s, {n.failed} FAILED.")
    return 0 if n.failed == 0 else 1
