#!/usr/bin/env python3
"""Shows that the package's tests bite: breaks the package on purpose, once per patch, and demands that a named test notices.

As tests/mutations/run.py, which knows the form of a patch; "caught by" names test cases as unittest does. What is patched is
below python/src and python/tocsin, in a copy.
"""

import argparse
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tests/mutations"))
from run import Failure, Mutation, apply, command  # noqa: E402

TESTS = HERE.parent
EXTENSION = "_tocsin.abi3.so"


class Package:
    """How the build makes the package, so that one with a change can be made beside it."""

    def __init__(self, source, build):
        self.source = source
        self.build = build
        self.commands = {}
        for entry in json.loads((build / "compile_commands.json").read_text()):
            words = shlex.split(entry["command"])
            if "tocsin_python.dir" in words[words.index("-o") + 1]:
                file = pathlib.Path(entry["file"]).relative_to(source).as_posix()
                self.commands[file] = (words, pathlib.Path(entry["directory"]) / words[words.index("-o") + 1])
        if not self.commands:
            raise Failure("compile_commands.json knows no object of the extension")

    def make(self, hunks, work):
        """The package with the change, below `work`."""
        shutil.copytree(self.source / "python/src", work / "python/src")
        shutil.copytree(self.build / "python/tocsin", work / "tocsin")
        (work / "python/tocsin").symlink_to(work / "tocsin")
        changed = {path for path in apply(hunks, work) if path.endswith("pp")}
        if any(path.endswith(".hpp") for path in changed):
            raise Failure("patch .cpp files only")
        if not changed:
            return
        objects = {path: output for path, (_, output) in self.commands.items()}
        for path in changed:
            words = [word.replace(str(self.source / "python/src"), str(work / "python/src"))
                     for word in self.commands[path][0]]
            objects[path] = work / (pathlib.Path(path).name + ".o")
            words[words.index("-o") + 1] = str(objects[path])
            if "-MF" in words:
                words[words.index("-MF") + 1] = str(objects[path]) + ".d"
            command([*words, "-Wno-error"], cwd=self.build)  # a mutation leaves things unused behind
        (work / "tocsin" / EXTENSION).unlink()
        command([words[0], "-shared", "-Wl,-z,nodelete", "-Wl,-z,now",
                 f"-Wl,--version-script={work / 'python/src/tocsin.map'}", "-o", str(work / "tocsin" / EXTENSION),
                 *map(str, objects.values()), str(self.build / "libtocsin.a"), "-pthread"])


def run_test(test, package, limit):
    """'passed', or how it failed: 'failed', 'died of ...', 'hung'; and what it printed."""
    process = subprocess.Popen([sys.executable, "-B", "-m", "unittest", test], cwd=TESTS, stdin=subprocess.DEVNULL,
                               env={**os.environ, "PYTHONPATH": str(package)}, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return "hung", ""
    if process.returncode < 0:
        return f"died of {signal.Signals(-process.returncode).name}", said
    return "passed" if process.returncode == 0 else "failed", said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path, required=True, help="root of the source tree")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="its build tree, with the package built")
    parser.add_argument("--work", type=pathlib.Path, help="where the copies go; below the build tree if not given")
    parser.add_argument("patches", nargs="*", type=pathlib.Path, help="all beside this script if none is given")
    args = parser.parse_args()
    source, build = args.source.resolve(), args.build.resolve()
    work = (args.work or build / "python/tests/mutations/work").resolve()
    failed = False
    for path in args.patches or sorted(HERE.glob("*.patch")):
        begin = time.monotonic()
        here = work / path.stem
        try:
            mutation = Mutation.read(path)
            for test in mutation.tests:
                outcome, said = run_test(test, build / "python", mutation.limit * 6)
                if outcome != "passed":
                    raise Failure(f"{test}, with the package as it is built: {outcome}\n{said}")
            shutil.rmtree(here, ignore_errors=True)
            here.mkdir(parents=True)
            Package(source, build).make(mutation.hunks, here)
            for test in mutation.tests:
                outcome, _ = run_test(test, here, mutation.limit)
                noticed = outcome not in ("passed", "hung") or (outcome == "hung" and mutation.may_hang)
                failed = failed or not noticed
                result = outcome if noticed else "HUNG" if outcome == "hung" else "SURVIVED"
                print(f"{mutation.name:40} {result:10} {time.monotonic() - begin:5.1f} s  {test}", flush=True)
            shutil.rmtree(here)
        except Failure as failure:
            print(f"{path.stem:40} ERROR: {failure}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
