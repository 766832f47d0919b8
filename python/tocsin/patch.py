"""Run a program with tocsin in place of the standard module signal.

    python -m tocsin.patch script.py [argument ...]
    python -m tocsin.patch -m module [argument ...]
    python -m tocsin.patch -c code [argument ...]

The Python programs that it starts do the same, if tocsin is installed where they look for packages: TOCSIN_PATCH=1 is in
their environment, and tocsin.pth looks for it. Those started with -S do not read it.
"""

import builtins
import importlib.machinery
import importlib.util
import io
import os
import runpy
import sys
import types
import zipfile

import tocsin


def _run(code, **names):
    main = types.ModuleType("__main__")
    main.__dict__.update(names, __annotations__={}, __builtins__=builtins)
    sys.modules["__main__"] = main  # for good: what runs at exit finds it
    exec(code, main.__dict__)


def _run_code(source):
    if _searches_here():
        sys.path[0] = ""
    _run(compile(source, "<string>", "exec", dont_inherit=True))


def _run_module(name):
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(name + ".__main__")
    code = spec.loader.get_code(spec.name) if spec is not None and hasattr(spec.loader, "get_code") else None
    if code is None:
        sys.exit(f"tocsin.patch: no module to run is named {name}")
    sys.argv[0] = spec.origin
    _run(
        code,
        __cached__=spec.cached,
        __file__=spec.origin,
        __loader__=spec.loader,
        __package__=spec.parent,
        __spec__=spec,
    )


def _run_script(path):
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        if _searches_here():
            del sys.path[0]
        runpy.run_path(path, run_name="__main__")
        return
    if _searches_here():
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    path = os.path.join(os.getcwd(), path)  # the program may go elsewhere
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as problem:
        print(f"tocsin.patch: can't open file {path!r}: [Errno {problem.errno}] {problem.strerror}", file=sys.stderr)
        sys.exit(2)
    code = compile(source, path, "exec", dont_inherit=True)
    _run(code, __cached__=None, __file__=path, __loader__=importlib.machinery.SourceFileLoader("__main__", path))


def _searches_here():
    """The first place to look for modules is the working directory, and is to be what it is for such a program."""
    return not (sys.flags.isolated or getattr(sys.flags, "safe_path", False))


def main():
    arguments = sys.argv[1:]
    if not arguments or arguments[0].startswith("-") and (arguments[0] not in ("-c", "-m") or len(arguments) == 1):
        asked = arguments[:1] in (["-h"], ["--help"])
        print(__doc__.strip(), file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 2)
    os.environ["TOCSIN_PATCH"] = "1"
    tocsin.install()
    if arguments[0] in ("-c", "-m"):
        sys.argv[:] = [arguments[0], *arguments[2:]]
        (_run_code if arguments[0] == "-c" else _run_module)(arguments[1])
    else:
        sys.argv[:] = arguments
        _run_script(arguments[0])


if __name__ == "__main__":
    main()
