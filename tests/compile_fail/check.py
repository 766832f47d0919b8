#!/usr/bin/env python3
"""Compiles one file that must not compile, with each compiler given.

The file names the reason in a line `// expect: <regular expression>`, which a diagnostic of the error must match, and
marks every wrong line with `// BAD`: without these lines the same file must compile. So the failure is the one meant.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror",
         "-Wno-unused-variable", "-Wno-unused-but-set-variable"]


def compile_text(compiler, include, text, name):
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory) / name
        source.write_text(text)
        done = subprocess.run([compiler, *FLAGS, f"-I{include}", str(source)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env={**os.environ, "LC_ALL": "C"}, check=False)
        return done.returncode == 0, done.stdout


def problem(compiler, include, path):
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    expected = re.search(r"^// expect: (.+)$", text, re.MULTILINE)
    good = "".join(line for line in lines if not line.rstrip().endswith("// BAD"))
    if expected is None or good == text:
        return "needs a line `// expect: ...` and a line that ends in `// BAD`"
    compiles, said = compile_text(compiler, include, good, path.name)
    if not compiles:
        return f"does not compile without its wrong lines:\n{said}"
    compiles, said = compile_text(compiler, include, text, path.name)
    if compiles:
        return "compiles"
    errors = "\n".join(line for line in said.splitlines() if "error:" in line)
    if not re.search(expected[1], errors):
        return f"fails for another reason than /{expected[1]}/:\n{said}"
    return None


def main():
    include, path, *compilers = sys.argv[1:]
    failed = False
    for compiler in compilers:
        if found := problem(compiler, include, pathlib.Path(path)):
            print(f"{pathlib.Path(path).name}, {compiler}: {found}", file=sys.stderr)
            failed = True
    return 1 if failed or not compilers else 0


if __name__ == "__main__":
    sys.exit(main())
