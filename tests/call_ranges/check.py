#!/usr/bin/env python3
"""The instructions of every interruptible system call (sys::guarded_syscall), checked in the linked library.

The section tocsin_calls says for each call where its range begins and ends and where it is aborted. Each range must be
the look at the pending mask, a branch to its abort label and the system call, and nothing else: an instruction more,
and a signal there either makes a finished call look interrupted or is slept through. The abort label must set the
result to -ERESTART and go to the end of the range. x86-64 and AArch64.

With --mutation the same is done with a patched copy of the library, and it is an error if nothing is found. A patch
changes files below src/; the lines before the first "---" say what is broken, and "# flagged: REGEX" what the check must
say.
"""

import argparse
import pathlib
import re
import shutil
import struct
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "handler_calls"))
from check import Build, Failure, apply, command

SECTION = "tocsin_calls"
ENTRY = 12  # bytes: three distances
INTERRUPTED = "0xffffffffffffffab"  # -ERESTART

# For each machine (e_machine of ELF): the range, then what is at the abort label. ABORT and END stand for addresses.
MACHINES = {
    62: ([r"cmpq \$0x0,\S+( # .*)?", r"jne ABORT", r"syscall"], [rf"mov \${INTERRUPTED},%rax", r"jmp END"]),
    # ldur: see guarded_syscall. The registers of the call must survive the look.
    183: ([r"ldur (?P<look>x(?![0-58],)\d+), \[x\d+\]", r"cbnz (?P=look), ABORT", r"svc #0x0"],
          [rf"mov x0, #{INTERRUPTED}( // .*)?", r"b END"]),
}


def read_section(path):
    """Returns machine, address and bytes of the section; None for its bytes if there is none."""
    elf = path.read_bytes()
    if elf[:6] != b"\x7fELF\x02\x01":
        raise Failure(f"{path}: no ELF file of 64 bits, little-endian")
    machine, = struct.unpack_from("<H", elf, 18)
    table, = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + at * size) for at in range(count)]
    for name, _, _, address, offset, length in headers:
        begin = headers[names][4] + name
        if elf[begin:elf.index(b"\0", begin)] == SECTION.encode():
            return machine, address, elf[offset:offset + length]
    return machine, 0, None


def instructions(objdump, library):
    """address -> (instruction, address of the next one)."""
    found = []
    for line in command([objdump, "-d", "--no-show-raw-insn", "-w", library]).splitlines():
        if code := re.match(r"^\s*([0-9a-f]+):\s+(.*)$", line):
            text = re.sub(r"\s+", " ", code[2]).strip()
            found.append((int(code[1], 16), re.sub(r" <[^<>]*>$", "", text)))
    following = [address for address, _ in found[1:]] + [None]
    return {address: (text, then) for (address, text), then in zip(found, following)}


def sequence(code, begin, end=None, most=5):
    """The instructions from `begin` to `end`, or `most` of them."""
    texts = []
    while begin in code and begin != end and len(texts) < most:
        texts.append(code[begin][0])
        begin = code[begin][1]
    return texts


def matches(patterns, texts, abort, end):
    # One expression for all, so that a group of one line may be meant in another.
    wanted = "\n".join(patterns).replace("ABORT", f"{abort:x}").replace("END", f"{end:x}")
    return re.fullmatch(wanted, "\n".join(texts))


def check(objdump, library, objects):
    machine, start, table = read_section(library)
    if machine not in MACHINES:
        raise Failure(f"no description of machine {machine}")
    if not table or len(table) % ENTRY:
        return 0, [f"section {SECTION}: {'absent' if table is None else len(table)}"]
    wrong = []
    compiled = sum(len(read_section(each)[2] or b"") for each in objects)
    if compiled != len(table):
        wrong.append(f"{compiled // ENTRY} ranges compiled, {len(table) // ENTRY} linked")
    range_patterns, abort_patterns = MACHINES[machine]
    code = instructions(objdump, library)
    seen = set()
    for at in range(0, len(table), ENTRY):
        begin, end, abort = (start + at + 4 * i + distance
                             for i, distance in enumerate(struct.unpack_from("<iii", table, at)))
        where = f"{begin:x}..{end:x}, abort {abort:x}"
        inside = sequence(code, begin, end)
        if not matches(range_patterns, inside, abort, end):
            wrong.append(f"range {where}: {'; '.join(inside)}")
        undo = sequence(code, abort, most=len(abort_patterns))
        if not matches(abort_patterns, undo, abort, end):
            wrong.append(f"abort {where}: {'; '.join(undo)}")
        if seen & {begin, abort}:
            wrong.append(f"listed twice: {where}")
        seen |= {begin, abort}
    return len(table) // ENTRY, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path, required=True, help="root of the source tree")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="its build tree, with the library built")
    parser.add_argument("--objdump", default="objdump", help="one that knows the library's machine")
    parser.add_argument("--mutation", type=pathlib.Path, help="a patch whose effect must be found")
    args = parser.parse_args()
    source, tree = args.source.resolve(), args.build.resolve()
    with tempfile.TemporaryDirectory(prefix="tocsin-call-ranges-") as directory:
        work = pathlib.Path(directory)
        shutil.copytree(source / "src", work / "src")
        notes = apply(args.mutation, work)[0] if args.mutation else {}
        build = Build(source, tree, work)
        objects = [built for _, built in build.commands.values()]
        library = tree / "libtocsin.so"
        if args.mutation:
            calling = [file for file, (_, built) in build.commands.items() if read_section(built)[2]]
            library = build.link(calling, work, [])
            objects = [each for each in objects if not read_section(each)[2]] + list(work.glob("*.mutant.o"))
        count, wrong = check(args.objdump, library, objects)
    if not args.mutation:
        print("\n".join(f"ERROR: {each}" for each in wrong) or f"nothing wrong: {count} ranges")
        return 1 if wrong else 0
    print("\n".join(f"found: {each}" for each in wrong))
    caught = any(re.search(notes["flagged"], each) for each in wrong)
    print("caught" if caught else f"NOT CAUGHT: nothing found that says {notes['flagged']}")
    return 0 if caught else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failed:
        print(f"FAILED: {failed}", file=sys.stderr)
        sys.exit(2)
