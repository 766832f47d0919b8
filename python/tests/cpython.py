#!/usr/bin/env python3
"""Runs CPython's own tests of signals, subprocesses and threads with tocsin in the place of the standard module.

Each suite runs twice, in two virtual environments of each interpreter found: with the standard module (the control),
and with tocsin installed by its .pth file in the process and in all the interpreters that it starts. Every start is
written to a log, with what `signal` was then. A test that passes in the control and does not with tocsin is an error.
One that fails is run once more, alone, and that is said. The suites are the interpreter's, as they are.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

import interpreters

HERE = pathlib.Path(__file__).resolve().parent

# (arguments of regrtest, seconds). The asyncio suites are those with its tests of signals.
QUICK = [
    (["test_signal", "-uall"], 300),
    (["test_threadsignals"], 120),
    (["test_eintr", "-uall", "-v"], 300),
    (["test_asyncio.test_unix_events"], 300),
    (["test_asyncio.test_runners"], 120),
]
FULL = QUICK + [
    (["test_faulthandler"], 600),
    (["test_subprocess"], 900),
    (["test_threading"], 900),
]
TIMERFD = (["test_os", "-m", "TimerfdTests"], 120)  # since 3.13

# What every interpreter of an environment imports when it starts, after tocsin.pth. A test may start one without our
# variable in its environment: tocsin is installed there too.
AT_START = """
import os
def note(replaced):
    log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    os.write(log, b"replaced\\n" if replaced else b"standard\\n")
    os.close(log)
if {replaced}:
    import _signal, signal
    from tocsin import _tocsin, install
    if _tocsin.in_main_thread():
        install()
        note(_signal.signal is _tocsin.signal and signal.set_wakeup_fd is _tocsin.set_wakeup_fd)
else:
    import signal
    try:
        signal.set_wakeup_fd(-1)
        note(False)
    except ValueError: # another interpreter inside the process, which has no handlers
        pass
"""


class Environment:
    def __init__(self, interpreter, directory, package=None, extension=None):
        self.replaced = package is not None
        self.log = directory / "starts"
        self.directory = directory / "venv"
        subprocess.run([interpreter.executable, "-I", "-m", "venv", "--without-pip", self.directory], check=True)
        self.python = self.directory / "bin" / "python"
        (site,) = self.directory.glob("lib/python3*/site-packages")
        if self.replaced:
            shutil.copytree(package / "tocsin", site / "tocsin", ignore=shutil.ignore_patterns("__pycache__"))
            if extension:
                shutil.copy(extension, site / "tocsin")
            shutil.copy(package / "tocsin.pth", site)
        (site / "zz_at_start.py").write_text(AT_START.format(log=str(self.log), replaced=self.replaced))
        (site / "zz_at_start.pth").write_text("import zz_at_start\n")
        self.variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYENV", "TOCSIN"))
        }
        if self.replaced:
            self.variables["TOCSIN_PATCH"] = "1"

    def run(self, arguments, limit, only=()):
        """Outcomes by test, the processes that started, and what was printed."""
        self.log.write_bytes(b"")
        matches = [each for name in only for each in ("-m", name)]
        with tempfile.TemporaryDirectory(prefix="tocsin_cpython_") as work:
            report = pathlib.Path(work) / "report.xml"
            command = [self.python, "-m", "test", f"--junit-xml={report}", f"--timeout={limit}", *arguments, *matches]
            process = subprocess.Popen(
                command,
                cwd=work,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            try:
                output = process.communicate(timeout=limit + 60)[0]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output = process.communicate()[0] + f"\nno end within {limit + 60} s\n"
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            outcomes = read_report(report) if report.exists() else {}
        if "test_eintr" in arguments:
            outcomes.update(read_verbose(output))
        starts = collections.Counter(self.log.read_text().split())
        return outcomes, starts, f"{output}\nexit status {process.returncode}\n"


def read_report(path):
    outcomes = {}
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        tags = {child.tag for child in case}
        what = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        name = case.get("name").removeprefix("test.")
        if outcomes.get(name) != "failed":  # a subtest of it
            outcomes[name] = what
    return outcomes


def read_verbose(output):
    """test_eintr's tests are those of a program that it starts."""
    words = {"ok": "passed", "skipped": "skipped", "FAIL": "failed", "ERROR": "failed"}
    found = re.findall(r"(test_\w+) \(__main__\.(\w+)[\w.]*\)(?: \.\.\. |\n.* \.\.\. )(ok|skipped|FAIL|ERROR)", output)
    return {f"_test_eintr.{case}.{name}": words[word] for name, case, word in found}


def short(names, limit=30):
    names = sorted(names)
    return "".join(f"\n      {name}" for name in names[:limit]) + (
        f"\n      and {len(names) - limit} more" if len(names) > limit else ""
    )


def patterns(names):
    return sorted({name.rsplit(".", 1)[-1].split(" ")[0] for name in names})


def run_suite(environments, arguments, limit, rerun, show, together):
    """A row of the table, and whether it is as it must be."""
    control, tocsin = environments
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(2 if together else 1) as pool:
        first, second = (pool.submit(each.run, arguments, limit) for each in environments)
    stock, stock_starts, stock_output = first.result()
    ours, starts, output = second.result()
    notes = []
    failed = [name for name, what in stock.items() if what == "failed"]
    if failed and rerun:
        again = control.run(arguments, limit, patterns(failed))[0]
        steady = [name for name in failed if again.get(name) != "passed"]
        notes.append(
            f"failed in the control, run once more, {len(failed) - len(steady)} of {len(failed)} passed then:"
            + short(failed)
        )
        stock.update({name: what for name, what in again.items() if name in failed})
    worse = [name for name, what in stock.items() if what == "passed" and ours.get(name) != "passed"]
    if worse and ours and rerun:
        again = tocsin.run(arguments, limit, patterns(worse))[0]
        steady = [name for name in worse if again.get(name) != "passed"]
        notes.append(
            f"failed with tocsin, run once more, {len(worse) - len(steady)} of {len(worse)} passed then:{short(worse)}"
        )
        ours.update({name: what for name, what in again.items() if name in worse})
        worse = steady
    same = sum(ours.get(name) == what for name, what in stock.items())
    better = [name for name, what in stock.items() if what == "failed" and ours.get(name) == "passed"]
    good = bool(stock) and not worse and starts["standard"] == 0 and starts["replaced"] > 0
    if not stock:
        notes.append("the control has no result:\n" + stock_output[-3000:])
    if worse:
        notes.append(f"passed in the control, not with tocsin:{short(worse)}")
    if better:
        notes.append(f"failed in the control, passed with tocsin:{short(better)}")
    if starts["standard"]:
        notes.append(f"{starts['standard']} interpreters had the standard module")
    if (worse or not ours) and show:
        notes.append("its output:\n" + output[-show:])
    count = collections.Counter(ours.values())
    # How often an interpreter started: the log of the one and of the other.
    row = (
        arguments[0].removeprefix("test_asyncio."),
        count["passed"],
        count["failed"],
        count["skipped"],
        f"{same}/{len(stock)}",
        f"{starts['replaced']}/{stock_starts['standard']}",
        f"{time.monotonic() - begin:.0f} s",
    )
    return row, notes, good


def run_interpreter(interpreter, options):
    print(f"\n{interpreter}", flush=True)
    layout = "  {:<20}{:>8}{:>8}{:>9}{:>15}{:>18}{:>8}".format
    print(layout("suite", "passed", "failed", "skipped", "same as stock", "started, stock's", "time"), flush=True)
    suites = QUICK if options.quick else FULL
    if interpreter.version >= (3, 13) and not options.quick:
        suites = suites + [TIMERFD]
    results = []
    with tempfile.TemporaryDirectory(prefix="tocsin_cpython_") as directory:
        directory = pathlib.Path(directory)
        for name in "control", "tocsin":
            (directory / name).mkdir()
        environments = (
            Environment(interpreter, directory / "control"),
            Environment(interpreter, directory / "tocsin", options.package, options.extension),
        )
        if options.suite:
            known = {arguments[0]: (arguments, limit) for arguments, limit in FULL + suites}
            suites = [known.get(name, ([name], 900)) for name in options.suite]
        for arguments, limit in suites:
            arguments = arguments + [each for name in options.match for each in ("-m", name)]
            row, notes, fine = run_suite(
                environments,
                arguments,
                options.limit or limit,
                not options.no_rerun,
                options.show,
                options.quick or options.must_fail,
            )
            print(layout(*row), flush=True)
            for note in notes:
                print("    " + note, flush=True)
            results.append(fine)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--package",
        type=pathlib.Path,
        required=True,
        help="directory with the package tocsin, extension included, and tocsin.pth",
    )
    parser.add_argument("--extension", type=pathlib.Path, help="in the place of the package's own")
    parser.add_argument("--python", action="append", default=[], help="an interpreter; all there are if not given")
    parser.add_argument("--quick", action="store_true", help="the tests of signals only, both runs at a time")
    parser.add_argument(
        "--suite", action="append", default=[], help="this one, of those or any other of the interpreter's"
    )
    parser.add_argument("--match", action="append", default=[], help="only the tests that regrtest's -m selects")
    parser.add_argument("--no-rerun", action="store_true", help="nothing gets a second try")
    parser.add_argument("--limit", type=int, help="seconds for each run of a suite")
    parser.add_argument("--show", type=int, default=3000, help="characters of the output of a suite that went wrong")
    parser.add_argument(
        "--must-fail", action="store_true", help="the extension is broken on purpose: every suite must notice"
    )
    options = parser.parse_args()
    # What a shell makes of them for a program in the background would go on to the tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    found = [each for each in interpreters.find(options.python) if each.has_tests]
    if not found:
        sys.exit("no interpreter with the package `test` found")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # with what it has started
    results = [fine for each in found for fine in run_interpreter(each, options)]
    if options.must_fail:
        print("\nnoticed" if not any(results) else "\nNOT noticed")
        sys.exit(1 if any(results) else 0)
    print("\nno test that passes with the standard module fails with tocsin" if all(results) else "\nFAILED")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
