#!/usr/bin/env python3
"""What a signal costs a Python program: kill() to itself and the handler, with the standard module and with tocsin's.

Processes of either kind take turns, so that a slow phase of the machine hits both; the ratio is the median of the ratios of
neighbours. The package must be importable (PYTHONPATH=build/release/python, or a virtual environment).

    bench/python.py [--rounds 40] [--signals 5000]
"""

import argparse
import statistics
import subprocess
import sys

PROGRAM = """
import os, sys, time
kind, count = sys.argv[1], int(sys.argv[2])
if kind == "standard":
    import signal
else:
    from tocsin import signal
if kind == "event":
    def handler(signum, frame, event): pass
else:
    def handler(signum, frame): pass
signal.signal(signal.SIGUSR1, handler)
pid, kill, number = os.getpid(), os.kill, int(signal.SIGUSR1)
for _ in range(200):
    kill(pid, number)
begin = time.perf_counter()
for _ in range(count):
    kill(pid, number)
print((time.perf_counter() - begin) / count * 1e6)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--signals", type=int, default=5000, help="in each round")
    args = parser.parse_args()
    names = {"standard": "standard module", "tocsin": "tocsin.signal", "event": "tocsin.signal, with an Event"}
    times = {kind: [] for kind in names}
    for _ in range(args.rounds):
        for kind, all_of_it in times.items():
            done = subprocess.run([sys.executable, "-c", PROGRAM, kind, str(args.signals)], capture_output=True, text=True,
                                  check=True)
            all_of_it.append(float(done.stdout))
    print(f"Python {sys.version.split()[0]}; microseconds for each signal, medians of {args.rounds} rounds")
    for kind, name in names.items():
        ratio = statistics.median(mine / other for mine, other in zip(times[kind], times["standard"]))
        print(f"{name:30} {statistics.median(times[kind]):6.2f}   {ratio:4.2f} of the standard module")


if __name__ == "__main__":
    main()
