#!/usr/bin/env python3
"""What the extension may call inside a signal handler: the check of the library's own (tests/handler_calls/check.py) on
the machine code of the functions that tocsin calls there. Of the interpreter they call its signal handler only.

    handler_calls.py _tocsin.abi3.so         (with its symbols)
"""

import importlib.util
import pathlib
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def main():
    spec = importlib.util.spec_from_file_location("check", SOURCE / "tests/handler_calls/check.py")
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    check.ENTRIES = ["tocsin_python_arrived", "tocsin_python_nudged"]
    check.CHAINED = "call_interpreter"
    library = sys.argv[1]
    ways, wrong = check.Code(library).walk()
    if "NOW" not in check.command(["readelf", "-dW", library]):
        wrong.append("linked without -z now: lazy binding in a handler")
    for name in check.demangle(sorted(ways)):
        print(name)
    print("\n".join(f"ERROR: {each}" for each in wrong) or "nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
