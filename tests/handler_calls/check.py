#!/usr/bin/env python3
"""What a signal handler of tocsin may call (G10), checked on the machine code.

1. The disassembly of the linked library is walked from the functions that the kernel calls, over calls and jumps. Each
   indirect one is an error, each function of another library that is not in the list below, each use of thread-local
   storage (in a shared library it may allocate), and recursion. Templates, inline functions and what the compiler adds
   by itself (guards of statics, memcpy, stack protector) are therefore seen.
2. The sources are compiled again for the stack that each function takes (g++ -fcallgraph-info=su,da, clang++
   -fstack-usage): the deepest path must fit the bound. Unbounded dynamic allocation is an error.
3. The library must be linked with -z now: the first call of a function must not enter the dynamic linker.

With --mutation the same is done with a patched copy of the library, and it is an error if nothing is found. A patch
changes files below src/; the lines before the first "---" say what is broken:

    # flagged: REGEX           what the check must say
    # link: OPTION ...         given to the linker as well
"""

import argparse
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

# The one function that may call what it is given: the handler that other code had installed before (chain).
CHAINED = "call_chained"
ENTRIES = ["tocsin_trip", "tocsin_nudged"]
SOURCES = re.compile(r"src/(trip|sys/\w+)\.cpp$")
# Bytes; the kernel's own signal frame comes on top.
STACK_BOUND = 1024
STACK_BOUND_UNOPTIMISED = 2048

# Async-signal-safe by POSIX.1-2017 (2.4.3), but for those with a reason. No cancellation points, such as write():
# a thread with a cancellation pending would be unwound out of the handler, which ends the process.
ALLOWED = {
    "getpid", "memcpy", "memset", "sigaction", "sigaddset", "sigemptyset",
    "__errno_location",  # errno itself: an address inside the thread's control block
    "syscall",           # enters the kernel and sets errno, nothing else (glibc: sysdeps/unix/sysv/linux/*/syscall.S)
    "__stack_chk_fail",  # the process ends anyway
}


class Failure(Exception):
    pass


def command(words, cwd=None):
    done = subprocess.run(words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{shlex.join(map(str, words))}\n{done.stdout}")
    return done.stdout


class Code:
    """Functions of a linked library: name -> (callees, errors). x86-64."""

    BRANCH = re.compile(r"^(?:bnd |notrack |data16 |rex\.\w+ |cs |ds )*(?:call|jmp|j[a-z]+|loop\w*|jrcxz)\w*\s+(.*)$")

    def __init__(self, library):
        self.callees, self.errors = {}, {}
        bodies = {}
        name = None
        for line in command(["objdump", "-d", "--no-show-raw-insn", "-w", str(library)]).splitlines():
            if header := re.match(r"^[0-9a-f]+ <(.+)>:$", line):
                name = header[1]
                bodies[name] = []
            elif name and (code := re.match(r"^\s*[0-9a-f]+:\s+(.*)$", line)):
                bodies[name].append(code[1].strip())
        order = list(bodies)
        for position, name in enumerate(order):
            self.callees[name], self.errors[name] = [], []
            for at, code in enumerate(bodies[name]):
                if not self.is_jump_table(bodies[name][max(at - 2, 0):at + 1]):
                    self.look(name, code)
            last = [code for code in bodies[name] if not re.match(r"(\w+ )*nop|xchg\s+%ax,%ax|int3", code)][-1:]
            # A function that just ends goes on in the next one, unless its last call does not return.
            if last and not re.match(r"(repz |bnd |notrack )*(ret|jmp|ud2|hlt|call)", last[0]) and position + 1 < len(order):
                self.callees[name].append(order[position + 1])

    @staticmethod
    def is_jump_table(codes):
        """A switch as the compilers write it: an offset from a table of constants, added to the table's address."""
        return len(codes) == 3 and re.search(
            r"^movslq \((%r\w+),%r\w+,4\),(%r\w+);add +\1,\2;(notrack )?jmp +\*\2$",
            ";".join(re.sub(r"\s+", " ", code) for code in codes))

    def look(self, name, code):
        # 0x28: the stack protector's canary. 0x0: the address of the control block, which names the thread; a variable
        # found from there shows in check(), by the library's flag STATIC_TLS.
        if "%fs:" in code and not re.search(r"%fs:0x28\b|^(cmp|mov)\w* .*%fs:0x0\b", code):
            self.errors[name].append(f"thread-local storage: {code}")
        branch = self.BRANCH.match(code)
        if not branch:
            return
        target = re.search(r"<([^<>]+?)(\+0x[0-9a-f]+)?>$", branch[1])
        if "*" in branch[1] and CHAINED not in name:
            self.errors[name].append(f"indirect: {code}")
        elif not target and CHAINED not in name:
            self.errors[name].append(f"where to? {code}")
        elif target and (target[1] != name or "call" in code.split()[:2]) and target[1] not in self.callees[name]:
            self.callees[name].append(target[1])

    def walk(self):
        """Returns the functions reached, each with the way to it, and what is wrong."""
        ways = {entry: [entry] for entry in ENTRIES if entry in self.callees}
        wrong = [f"no function {entry} in the library" for entry in ENTRIES if entry not in self.callees]
        to_do = list(ways)
        while to_do:
            name = to_do.pop()
            if name.endswith("@plt"):
                foreign = name.removesuffix("@plt")
                if foreign not in ALLOWED:
                    wrong.append(f"calls {foreign}: {show(ways[name])}")
                continue
            wrong += [f"{error}: in {show(ways[name])}" for error in self.errors[name]]
            for callee in self.callees[name]:
                if callee not in self.callees:
                    wrong.append(f"calls {callee}, unknown: {show(ways[name])}")
                elif callee not in ways:
                    ways[callee] = [*ways[name], callee]
                    to_do.append(callee)
        return ways, wrong


def demangle(names):
    return command(["c++filt", *names]).splitlines()


def show(way):
    return " -> ".join(demangle(way))


class Build:
    """How the build compiles the library; `moved` is a copy of the source tree to take instead."""

    def __init__(self, source, build, moved=None):
        self.source, self.build, self.moved = source, build, moved or source
        self.commands = {}  # source -> (words, object)
        for entry in json.loads((build / "compile_commands.json").read_text()):
            words = shlex.split(entry["command"]) if "command" in entry else entry["arguments"]
            output = words[words.index("-o") + 1] if "-o" in words else ""
            if "tocsin_objects.dir" in output:
                file = (pathlib.Path(entry["directory"]) / entry["file"]).resolve().relative_to(source).as_posix()
                self.commands[file] = (words, pathlib.Path(entry["directory"]) / output)
        if not self.commands:
            raise Failure("compile_commands.json knows no object of the library")

    def compile(self, file, output, *more):
        words = [word.replace(f"{self.source}/src", f"{self.moved}/src") for word in self.commands[file][0]]
        words[words.index("-o") + 1] = str(output)
        # A mutation may leave warnings behind.
        command([*words, "-Wno-error", *more], cwd=output.parent)

    def link(self, changed, work, options):
        objects = []
        for file, (_, built) in self.commands.items():
            if file in changed:
                built = work / (file.replace("/", "_") + ".mutant.o")
                self.compile(file, built)
            objects.append(built)
        words = self.commands["src/trip.cpp"][0]
        flags = [word for word in words if re.match(r"-[fgmO]", word)]
        library = work / "libtocsin.so"
        command([words[0], *flags, "-shared", "-Wl,-z,now", f"-Wl,--version-script={self.source}/src/tocsin.map",
                 *options, "-o", library, *objects, "-pthread"])
        return library

    def is_optimised(self):
        return [word for word in ["-O0", *self.commands["src/trip.cpp"][0]] if word.startswith("-O")][-1] != "-O0"

    def stack(self, work):
        """Bytes for each function of the sources in question, and what is wrong."""
        frames, wrong = {}, []
        clang = "clang" in command([self.commands["src/trip.cpp"][0][0], "--version"]).splitlines()[0]
        for file in self.commands:
            if not SOURCES.search(file):
                continue
            output = work / (file.replace("/", "_") + ".o")
            self.compile(file, output, "-fstack-usage" if clang else "-fcallgraph-info=su,da")
            if clang:  # FILE:LINE:NAME <tab> BYTES <tab> static; without the return address
                found = re.findall(r"^[^\t]*:([^:\t]+)\t(\d+)\t(\S+)$", output.with_suffix(".su").read_text(), re.M)
                found = [(name, int(size) + 8, kind) for name, size, kind in found]
            else:
                found = re.findall(r'^node: \{ title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \(([^)]+)\)',
                                   output.with_suffix(".ci").read_text(), re.M)
            for name, size, kind in found:
                name = name.rpartition(":")[2]  # a static function's title begins with its file
                frames[name] = max(frames.get(name, 0), int(size))
                if kind == "dynamic":
                    wrong.append((name, "takes stack without a bound"))
        return frames, wrong


def deepest(code, frames, name, above=()):
    """Returns (bytes, the way)."""
    if name.endswith("@plt"):
        return 0, []
    if name in above:
        raise Failure(f"recursion: {show([*above, name])}")
    if name not in frames:
        raise Failure(f"stack unknown: {show([*above, name])}")
    below = [deepest(code, frames, callee, (*above, name)) for callee in code.callees[name]]
    size, way = max(below, default=(0, []))
    return frames[name] + size, [name, *way]


def check(build, library, work):
    """Prints what is reached; returns what is wrong."""
    dynamic = command(["readelf", "-dW", library])
    wrong = [] if re.search(r"BIND_NOW|\bNOW\b", dynamic) else ["linked without -z now: lazy binding in a handler"]
    if "STATIC_TLS" in dynamic:
        wrong.append("thread-local storage found by an offset from the control block")
    code = Code(library)
    if not build.is_optimised() and "__clang_call_terminate" in code.callees:
        # Where a noexcept function calls one that is not: at -O0 also the constexpr functions of <atomic>. What could
        # throw is seen itself. In an optimised build it says that something called may throw.
        code.callees["__clang_call_terminate"] = []
    ways, found = code.walk()
    wrong += found
    frames, unbounded = build.stack(work)
    wrong += [f"{what}: {show(ways[name])}" for name, what in unbounded if name in ways]
    print("stack  function")
    names = sorted(ways, key=lambda name: (len(ways[name]), name))
    for name, readable in zip(names, demangle(names)):
        print(f"{'' if name.endswith('@plt') else frames.get(name, '?'):>5}  {'  ' * (len(ways[name]) - 1)}{readable}")
    for entry in ENTRIES:
        if entry not in code.callees:
            continue
        try:
            size, way = deepest(code, frames, entry)
        except Failure as failure:
            wrong.append(str(failure))
            continue
        print(f"{size:>5}  in all: {show(way)}")
        bound = STACK_BOUND if build.is_optimised() else STACK_BOUND_UNOPTIMISED
        if size > bound:
            wrong.append(f"stack: {size} bytes, more than {bound}: {show(way)}")
    return wrong


def apply(patch, root):
    """Returns the notes in the head of the patch and the files changed. Hunks are found by their text."""
    head, _, body = ("\n" + patch.read_text()).partition("\n--- ")
    notes = {key: value.strip() for key, value in re.findall(r"^# (\w+): (.*)$", head, re.M)}
    changed = set()
    for part in re.split(r"^--- ", body, flags=re.M):
        if not part.strip():
            continue
        path = re.search(r"^\+\+\+ \w+/(\S+)", part, re.M)[1]
        text = (root / path).read_text()
        for hunk in re.split(r"^@@.*\n", part, flags=re.M)[1:]:
            lines = hunk.splitlines()
            old = "".join(line[1:] + "\n" for line in lines if not line.startswith("+"))
            new = "".join(line[1:] + "\n" for line in lines if not line.startswith("-"))
            if text.count(old) != 1:
                raise Failure(f"{patch.name} does not apply: {path} has this text {text.count(old)} times:\n{old}")
            text = text.replace(old, new)
        (root / path).write_text(text)
        changed.add(path)
    return notes, changed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path, required=True, help="root of the source tree")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="its build tree, with the library built")
    parser.add_argument("--mutation", type=pathlib.Path, help="a patch whose effect must be found")
    args = parser.parse_args()
    source, tree = args.source.resolve(), args.build.resolve()
    with tempfile.TemporaryDirectory(prefix="tocsin-handler-calls-") as directory:
        work = pathlib.Path(directory)
        if not args.mutation:
            wrong = check(Build(source, tree), tree / "libtocsin.so", work)
            print("\n".join(f"ERROR: {each}" for each in wrong) or "nothing wrong")
            return 1 if wrong else 0
        shutil.copytree(source / "src", work / "src")
        notes, changed = apply(args.mutation, work)
        build = Build(source, tree, work)
        wrong = check(build, build.link(changed, work, shlex.split(notes.get("link", ""))), work)
        caught = [each for each in wrong if re.search(notes["flagged"], each)]
        print("\n".join(f"found: {each}" for each in wrong))
        print("caught" if caught else f"NOT CAUGHT: nothing found that says {notes['flagged']}")
        return 0 if caught else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failed:
        print(f"FAILED: {failed}", file=sys.stderr)
        sys.exit(2)
