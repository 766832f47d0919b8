#!/usr/bin/env python3
"""Checks the Promela models of the signal protocol with spin, exhaustively, and that each broken variant is caught.

A run is a model and the macros that are defined for it. A correct one must be explored completely without an error; a
broken one must end in the kind of error that is given for it, and in no other.

    run.py                          all runs, as a table
    run.py call                     the runs of one model
    run.py call.no_nudge            one run
    run.py --trail call.no_nudge    and the shortest way into its error
"""

import argparse
import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MEGABYTES = 1900
LIMIT = 240  # seconds for one exploration; each takes a few on an idle machine

# What spin calls an error.
ASSERTION, STUCK, CYCLE = "assertion violated", "invalid end state", "acceptance cycle"


@dataclasses.dataclass(frozen=True)
class Run:
    model: str
    variant: str
    macros: tuple
    expected: str  # None: correct
    what: str

    @property
    def name(self):
        return f"{self.model}.{self.variant}"


def correct(model, what, variant="correct", *macros):
    return Run(model, variant, macros, None, what)


def broken(model, macro, expected, what, *macros):
    return Run(model, macro.lower(), (macro, *macros), expected, what)


RUNS = [
    correct("trip", "each arrival counted once, siginfo whole"),
    broken("trip", "PUBLISH_FIRST", ASSERTION, "pending bit set before the record is complete"),
    broken("trip", "CLEAR_AFTER_PASS", ASSERTION, "bits cleared after the pass instead of each before its handler"),
    broken("trip", "TAKE_ALL_BITS", ASSERTION, "all bits cleared before the pass, and a handler throws"),
    broken("trip", "TAKE_THEN_CLEAR", ASSERTION, "record taken before its bit is cleared"),
    broken("trip", "TAKE_WHILE_WRITING", ASSERTION, "record taken while a thread is still writing it"),
    broken("trip", "MERGE_BY_STORE", ASSERTION, "an arrival merged by load and store"),

    correct("call", "no sleep with a signal pending, no result lost"),
    correct("call", "the same with pause() among the calls", "pause", "PAUSE"),
    correct("call", "what is pending is handled at last", "liveness", "LTL", "TRIPS=1"),
    broken("call", "LOOK_OUTSIDE", STUCK, "check, then sleep: the look comes before the instruction range"),
    broken("call", "NO_REDIRECT", STUCK, "the handler does not move the program counter"),
    broken("call", "RANGE_TOO_LONG", ASSERTION, "the range includes the instruction after the system call"),
    broken("call", "NO_NUDGE", STUCK, "another thread takes the signal and does not nudge"),
    broken("call", "NUDGE_FIRST", STUCK, "wake before publish: nudge, then pending bit"),
    broken("call", "TAKEN_WORD", STUCK, "nudges only who says it is in a call, and takes the word away"),
    correct("call", "the same where the wake-up descriptor fails", "wake_error", "WAKE_ERROR", "TRIPS=2"),
    broken("call", "QUIET_ERROR", STUCK, "the bit set again for a wake-up error, without a nudge", "WAKE_ERROR"),
    broken("call", "GATE_OPEN", CYCLE, "a deferred call looks at the pending word: it never enters the kernel", "LTL",
           "TRIPS=1"),

    correct("inbox", "no sleep with a signal pending and nothing to read"),
    correct("inbox", "the same where an event loop polls the descriptor", "polled", "POLLED"),
    correct("inbox", "in the end all is handled and the owner sleeps", "liveness", "LTL"),
    correct("inbox", "the same in an event loop", "polled_liveness", "LTL", "POLLED"),
    broken("inbox", "WAKE_FIRST", STUCK, "wake before publish", "POLLED"),
    broken("inbox", "DRAIN_ASLEEP", STUCK, "the descriptor drained after saying asleep", "POLLED"),
    broken("inbox", "CHECK_THEN_SLEEP", STUCK, "the last look comes before saying asleep"),
    broken("inbox", "LATE_WRITE_STAYS", CYCLE, "a late write is not drained: the owner spins", "LTL"),

    correct("ring", "each arrival taken once or counted as dropped, those of a thread in order"),
    broken("ring", "ONE_CELL", ASSERTION, "one cell: complete and taken are the same turn"),
    broken("ring", "COMPLETE_FIRST", ASSERTION, "a cell is complete before it is written"),
    broken("ring", "TAKEN_FIRST", ASSERTION, "a cell is given back before it is read"),
    broken("ring", "CLAIM_BY_STORE", ASSERTION, "a number is dealt out by load and store"),
    broken("ring", "DROP_WITHOUT_COUNT", ASSERTION, "an arrival without room is not counted"),
    broken("ring", "POP_ONE", ASSERTION, "one arrival taken for each pending bit"),

    correct("wakeup", "no byte to a descriptor that set_wakeup_fd() has given back"),
    correct("wakeup", "set_wakeup_fd() returns although trips keep coming", "liveness", "LTL"),
    broken("wakeup", "NO_WAIT", ASSERTION, "does not wait for trips that have seen the old descriptor"),
    broken("wakeup", "TURN_FIRST", ASSERTION, "changes the turn, then the word"),
    broken("wakeup", "NO_SECOND_LOOK", ASSERTION, "a trip does not look again after it has counted itself in"),
    broken("wakeup", "COUNT_AFTER_LOOK", ASSERTION, "a trip looks at the word, then counts itself in"),
    broken("wakeup", "COUNT_OUT_EARLY", ASSERTION, "a trip counts itself out before it writes"),
    broken("wakeup", "WAIT_FIRST", ASSERTION, "waits, then changes the word"),
    broken("wakeup", "WAIT_NEW_TURN", ASSERTION, "waits for the new turn's counter"),
    broken("wakeup", "ONE_COUNTER", CYCLE, "one counter for both turns: a flood keeps it waiting", "LTL"),

    correct("unsubscribe", "delivered or previous disposition, never both or neither; slot untouched after"),
    correct("unsubscribe", "all comes to an end", "liveness", "LTL"),
    correct("unsubscribe", "the same where other code puts our handler back", "put_back", "LTL", "PUT_BACK"),
    correct("unsubscribe", "the same where other code puts a handler over ours that calls ours", "cover", "LTL", "COVER"),
    broken("unsubscribe", "NO_QUIESCE", ASSERTION, "does not wait for trips in flight: closed descriptor used"),
    broken("unsubscribe", "COUNT_AFTER_LOOK", ASSERTION, "a trip looks at the route before it counts itself in"),
    broken("unsubscribe", "COUNT_OUT_EARLY", ASSERTION, "a trip counts itself out before it wakes"),
    broken("unsubscribe", "DROP_WITHOUT_ROUTE", ASSERTION, "a trip that finds no route drops the signal"),
    broken("unsubscribe", "SETTLE_FIRST", ASSERTION, "what is pending is taken before the wait for trips in flight"),
    broken("unsubscribe", "NOTE_CLEARED", ASSERTION, "subscribing clears the note that the disposition was put back"),
    broken("unsubscribe", "NO_NUMBER", ASSERTION, "a trip does not see that a route has come and gone"),
    broken("unsubscribe", "NUMBER_FIRST", ASSERTION, "the number of routes grows before the route is there"),
    broken("unsubscribe", "NUMBER_LAST", ASSERTION, "the number of routes grows after the disposition has changed"),
    broken("unsubscribe", "ALWAYS_SENT_AGAIN", CYCLE, "sent again although our handler was put back by other code", "LTL",
           "PUT_BACK"),
    broken("unsubscribe", "NOTE_ALWAYS", CYCLE, "sent again to other code's handler that calls ours", "LTL", "COVER"),

    correct("fork", "parent's signals in the parent, child's in the child or by default"),
    broken("fork", "NO_OWNER_CHECK", ASSERTION, "a trip does not look at the owner word"),
    broken("fork", "OWNER_FIRST", ASSERTION, "the child owns the state before it is renewed"),
    broken("fork", "KEEP_SIGNALS", ASSERTION, "the child keeps what is pending in the parent"),
    broken("fork", "KEEP_RECORDS", ASSERTION, "the child keeps records that a thread of the parent was writing"),
    broken("fork", "KEEP_WAKE", ASSERTION, "the child keeps the parent's wake descriptor"),
    broken("fork", "KEEP_COUNTER", STUCK, "the child counts a trip in flight of a thread that it does not have"),
]


class Failure(Exception):
    pass


def command(words, cwd, limit=LIMIT):
    try:
        done = subprocess.run(words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failure(f"{words[0]}: no end within {limit} s") from None
    return done.returncode, done.stdout


def explore(run, work, shortest=False):
    """Returns (error or None, states, seconds, what spin said)."""
    liveness = "LTL" in run.macros
    shutil.copy(HERE / f"{run.model}.pml", work / "model.pml")
    status, said = command(["spin", "-a", *(f"-D{macro}" for macro in run.macros), "model.pml"], work)
    if status != 0 or re.search(r"\berror\b", said, re.IGNORECASE):
        raise Failure(f"spin:\n{said}")
    # Partial order reduction knows nothing of "provided" clauses.
    flags = ["-DNOREDUCE", f"-DMEMLIM={MEGABYTES}", "-DNFAIR=3" if liveness else "-DSAFETY"]
    if shortest and not liveness:
        flags.append("-DBFS")
    status, said = command(["gcc", "-O2", "-w", *flags, "-o", "pan", "pan.c"], work)
    if status != 0:
        raise Failure(f"gcc:\n{said}")
    begin = time.monotonic()
    _, said = command(["./pan", "-m1000000", *(["-a", "-f"] if liveness else [])], work)
    seconds = time.monotonic() - begin
    errors = re.search(r"errors: (\d+)", said)
    states = re.search(r"(\d+) states, stored", said)
    if not errors or not states:
        raise Failure(f"pan:\n{said}")
    if errors[1] == "0":
        if "Search not completed" in said or "max search depth too small" in said:
            raise Failure(f"not explored completely:\n{said}")
        return None, int(states[1]), seconds, said
    found = [kind for kind in (ASSERTION, STUCK, CYCLE) if re.search(rf"pan:\d+: {kind}", said)]
    if len(found) != 1:
        raise Failure(f"an error of another kind:\n{said}")
    return found[0], int(states[1]), seconds, said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the names of the runs")
    parser.add_argument("--trail", action="store_true", help="print the way into the error that is found")
    parser.add_argument("names", nargs="*", help="models or runs; all if none is given")
    args = parser.parse_args()
    runs = [run for run in RUNS if not args.names or run.name in args.names or run.model in args.names]
    unknown = set(args.names) - {run.name for run in RUNS} - {run.model for run in RUNS}
    if unknown or not runs:
        parser.error(f"no such run: {', '.join(sorted(unknown))}")
    if args.list:
        print("\n".join(run.name for run in runs))
        return 0
    for tool in ("spin", "gcc"):
        if shutil.which(tool) is None:
            print(f"{tool} is not installed", file=sys.stderr)
            return 2
    bad = 0
    print(f"{'run':34} {'result':20} {'states':>9} {'s':>5}  what")
    for run in runs:
        with tempfile.TemporaryDirectory(prefix="tocsin-model-") as directory:
            work = pathlib.Path(directory)
            try:
                error, states, seconds, said = explore(run, work, args.trail)
            except Failure as failure:
                print(f"{run.name:34} FAILED: {failure}")
                bad += 1
                continue
            as_expected = error == run.expected
            bad += not as_expected
            result = error or "no error"
            print(f"{run.name:34} {result:20} {states:>9} {seconds:>5.1f}  {run.what}", flush=True)
            if not as_expected:
                print(f"    WRONG: expected {run.expected or 'no error'}\n{said}")
            if args.trail and error:
                _, trail = command(["spin", *(f"-D{macro}" for macro in run.macros), "-t", "-p", "-g", "model.pml"], work)
                print("\n".join(line for line in trail.splitlines() if line.strip()))
    print(f"{len(runs)} runs, {bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
