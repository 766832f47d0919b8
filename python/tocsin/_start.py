"""What tocsin.pth imports when the interpreter starts with TOCSIN_PATCH=1 in its environment."""

import sys

try:
    from . import _tocsin, install

    if _tocsin.in_main_thread():  # not a sub-interpreter: that starts so as well, and has no handlers
        install()
except Exception as problem:  # the program runs all the same
    print(f"tocsin: not installed, {type(problem).__name__}: {problem}", file=sys.stderr)
