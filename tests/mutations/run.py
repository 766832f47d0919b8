#!/usr/bin/env python3
"""Shows that the tests bite: breaks the library on purpose, once per patch, and demands that a named test notices.

For each *.patch: the named test must pass with the library as it is built, and fail with the library rebuilt with the
patch. The header of a patch, lines before the first "---":

    # what is broken, in a sentence or two
    # guarantee: G1
    # caught by: tocsin_process_signal --gtest_filter=G1.*     (several lines: each must notice)
    # may hang                 (no end within the limit counts as noticed)
    # limit: 20                (seconds for one run of the test; 30 if not given)
    # tries: 3                 (for a race: one failure in so many runs counts; the unbroken library must pass them all)

Only files below src/ and include/ are patched, in a copy. Hunks are found by their text, not by their line numbers.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


class Failure(Exception):
    pass


@dataclasses.dataclass
class Mutation:
    name: str
    what: str
    guarantee: str
    tests: list
    may_hang: bool
    limit: float
    tries: int
    hunks: list  # (path, old text, new text)

    @staticmethod
    def read(path):
        header, _, body = path.read_text().partition("\n--- ")
        notes = [line.removeprefix("#").strip() for line in header.splitlines() if line.startswith("#")]
        keyed = {"guarantee": [], "caught by": [], "limit": [], "tries": []}
        what = []
        for note in notes:
            key, _, value = note.partition(":")
            if key in keyed:
                keyed[key].append(value.strip())
            elif note != "may hang":
                what.append(note)
        mutation = Mutation(path.stem, " ".join(what), ", ".join(keyed["guarantee"]), keyed["caught by"],
                            "may hang" in notes, float((keyed["limit"] or [30])[0]), int((keyed["tries"] or [1])[0]),
                            parse_hunks("--- " + body))
        if not (mutation.what and mutation.guarantee and mutation.tests and mutation.hunks):
            raise Failure(f"{path.name}: needs a description, '# guarantee:', '# caught by:' and a diff")
        return mutation


def parse_hunks(diff):
    hunks = []
    path = None
    for line in diff.splitlines():
        if line.startswith("+++ "):
            path = line[4:].split("\t")[0].strip().split("/", 1)[1]
        elif line.startswith("--- "):
            continue
        elif line.startswith("@@"):
            hunks.append((path, [], []))
        elif hunks:
            _, old, new = hunks[-1]
            if not line.startswith("+"):
                old.append(line[1:])
            if not line.startswith("-"):
                new.append(line[1:])
    return hunks


def apply(hunks, root):
    """Returns the files changed."""
    changed = set()
    for path, old, new in hunks:
        file = root / path
        if not file.is_file():
            raise Failure(f"the patch does not apply: there is no {path}")
        lines = file.read_text().split("\n")
        places = [i for i in range(len(lines) - len(old) + 1) if lines[i:i + len(old)] == old]
        if len(places) != 1:
            raise Failure(f"the patch does not apply: {path} has this text {len(places)} times:\n" + "\n".join(old))
        lines[places[0]:places[0] + len(old)] = new
        file.write_text("\n".join(lines))
        changed.add(path)
    return changed


class Library:
    """How the build makes libtocsin.so, so that one with a change can be made beside it."""

    def __init__(self, source, build):
        self.source = source
        self.build = build
        entries = json.loads((build / "compile_commands.json").read_text())
        self.commands = {}
        for entry in entries:
            words = shlex.split(entry["command"]) if "command" in entry else entry["arguments"]
            output = words[words.index("-o") + 1] if "-o" in words else ""
            if "tocsin_objects.dir" in output:
                file = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
                self.commands[file.relative_to(source).as_posix()] = (words, pathlib.Path(entry["directory"]) / output)
        if not self.commands:
            raise Failure("compile_commands.json knows no object of the library")

    def includers(self, changed):
        """The .cpp files that a change reaches, through headers."""
        texts = {path.relative_to(self.source).as_posix(): path.read_text()
                 for directory in ("src", "include") for path in (self.source / directory).rglob("*.[ch]pp")}
        reached = set(changed)
        grew = True
        while grew:
            grew = False
            names = {re.sub(r"^(src|include)/", "", path) for path in reached}
            for path, text in texts.items():
                if path in reached:
                    continue
                included = re.findall(r'#include ["<]([^">]+)[">]', text)
                beside = {(pathlib.PurePosixPath(re.sub(r"^(src|include)/", "", path)).parent / each).as_posix()
                          for each in included}
                if names & (set(included) | beside):
                    reached.add(path)
                    grew = True
        return [path for path in self.commands if path in reached]

    def link(self, changed, work):
        """Compiles what changed in the copy below `work`, and links the library into `work`."""
        objects = {path: output for path, (_, output) in self.commands.items()}
        to_compile = self.includers(changed)

        def compile_one(path):
            words, _ = self.commands[path]
            output = work / (path.replace("/", "_") + ".o")
            moved = [word.replace(str(self.source / "src"), str(work / "src"))
                     .replace(str(self.source / "include"), str(work / "include")) for word in words]
            moved[moved.index("-o") + 1] = str(output)
            if "-MF" in moved:
                moved[moved.index("-MF") + 1] = str(output) + ".d"
            # A mutation leaves things unused behind.
            command([*moved, "-Wno-error"], cwd=self.build)
            return path, output

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            objects.update(pool.map(compile_one, to_compile))
        words = self.commands[to_compile[0]][0]
        flags = [word for word in words if re.match(r"-(f|g|m|O)|--coverage", word)]
        built = self.build / "libtocsin.so"
        name = re.search(r"SONAME.*\[(.*)\]", command(["readelf", "-dW", str(built)]))[1]
        command([words[0], *flags, "-shared", f"-Wl,-soname,{name}", "-Wl,-z,nodelete", "-Wl,-z,now",
                 f"-Wl,--version-script={work / 'src/tocsin.map'}", "-o", str(work / name),
                 *map(str, objects.values()), "-pthread"])
        return name


def command(words, cwd=None):
    done = subprocess.run(words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{shlex.join(words)}\n{done.stdout}")
    return done.stdout


def find_executable(build, name):
    found = [path for path in (build / "tests").glob(f"*/{name}") if os.access(path, os.X_OK) and path.is_file()]
    if len(found) != 1:
        raise Failure(f"{len(found)} executables are called {name}; is it built?")
    # LD_LIBRARY_PATH comes before RUNPATH, but after RPATH.
    if "(RPATH)" in command(["readelf", "-dW", str(found[0])]):
        raise Failure(f"{name} has an RPATH: another library cannot be put in its place")
    return found[0]


def single_tests(test, build):
    """One command for each test that the filter selects: they are made for a process of their own."""
    executable, *options = shlex.split(test)
    path = find_executable(build, executable)
    suite = ""
    for line in command([str(path), *options, "--gtest_list_tests"]).splitlines():
        if line.startswith("  "):
            yield path, suite + line.split("#")[0].strip()
        elif line.endswith("."):
            suite = line.strip()


def run_test(path, name, library_path, limit):
    """'passed', or how it failed: 'failed', 'died of ...', 'hung'."""
    environment = dict(os.environ)
    if library_path:
        environment["LD_LIBRARY_PATH"] = str(library_path)
    with tempfile.TemporaryFile() as output:  # not a pipe: children that outlive the test may hold it
        process = subprocess.Popen([str(path), f"--gtest_filter={name}"], env=environment, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(process.pid, signal.SIGKILL)  # also what a failed test left behind
        except ProcessLookupError:
            pass
        process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if status is None:
        return "hung", said
    if status == 0:
        return "passed", said
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"  # real-time
        return f"died of {name}", said
    return "failed", said


def first_to_notice(mutation, test, build, work):
    """(result, name of the test that noticed, noticed)"""
    hung = None
    for path, name in single_tests(test, build):
        loaded = command(["env", f"LD_LIBRARY_PATH={work}", "ldd", str(path)])
        if f"{work}/libtocsin.so" not in loaded:
            raise Failure(f"{path.name} does not load the mutated library:\n{loaded}")
        for _ in range(mutation.tries):
            outcome, _ = run_test(path, name, work, mutation.limit)
            if outcome == "hung" and not mutation.may_hang:
                hung = name
                break
            if outcome != "passed":
                return outcome, name, True
    return ("HUNG", hung, False) if hung else ("SURVIVED", "", False)


sound = set()  # what has passed with the library as it is built


def demand_sound(mutation, test, build):
    chosen = list(single_tests(test, build))
    if not chosen:
        raise Failure(f"{test}: selects no test")
    for path, name in chosen:
        if (path, name) in sound:
            continue
        for _ in range(mutation.tries):
            outcome, said = run_test(path, name, None, mutation.limit * 3)
            if outcome != "passed":
                raise Failure(f"{path.name} {name}, with the library as it is built: {outcome}\n{said}")
        sound.add((path, name))


def try_mutation(mutation, library, build, work):
    """Returns rows (test, result, the one that noticed, noticed)."""
    for test in mutation.tests:
        demand_sound(mutation, test, build)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for directory in ("src", "include"):
        shutil.copytree(library.source / directory, work / directory)
    library.link(apply(mutation.hunks, work), work)
    rows = [(test, *first_to_notice(mutation, test, build, work)) for test in mutation.tests]
    shutil.rmtree(work)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path, required=True, help="root of the source tree")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="its build tree, with the tests built")
    parser.add_argument("--work", type=pathlib.Path, help="where the copies go; below the build tree if not given")
    parser.add_argument("patches", nargs="*", type=pathlib.Path, help="all beside this script if none is given")
    args = parser.parse_args()
    source, build = args.source.resolve(), args.build.resolve()
    work = (args.work or build / "tests/mutations/work").resolve()
    failed = False
    print(f"{'mutation':34} {'guarantee':10} {'result':16} {'s':>5}  test")
    for path in args.patches or sorted(HERE.glob("*.patch")):
        begin = time.monotonic()
        try:
            mutation = Mutation.read(path)
            rows = try_mutation(mutation, Library(source, build), build, work / path.stem)
        except Failure as failure:
            print(f"{path.stem:34} {'':10} ERROR: {failure}")
            failed = True
            continue
        taken = time.monotonic() - begin
        for test, result, detail, ok in rows:
            print(f"{mutation.name:34} {mutation.guarantee:10} {result:16} {taken:5.1f}  {test}  {detail}")
            failed = failed or not ok
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
