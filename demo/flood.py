"""Sends a flood of SIGUSR2 to a process, as fast as kill goes, one SIGHUP in the middle, and prints how long it took.

A process of its own, so that it does not compete with the clients of the demonstration for Python's lock.
"""

import os
import signal
import sys
import time

from stage import send_stamped

SIZE = 100_000


def main(pid):
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody may ask any more how long it took
    start = time.monotonic()
    for i in range(SIZE):
        if i == SIZE // 2:
            send_stamped(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGUSR2)
    print(time.monotonic() - start)


if __name__ == "__main__":
    main(int(sys.argv[1]))
