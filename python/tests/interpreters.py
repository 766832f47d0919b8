"""The stock interpreters of this machine that the package supports."""

import glob
import json
import os
import pathlib
import shutil
import subprocess

ASK = """
import importlib.util, json, os, sys
print(json.dumps({"version": list(sys.version_info[:3]), "executable": os.path.realpath(sys.executable),
                  "tests": importlib.util.find_spec("test.test_signal") is not None}))
"""


class Interpreter:
    def __init__(self, told):
        self.version = tuple(told["version"])
        self.executable = told["executable"]
        self.has_tests = told["tests"]
        owner = "Debian " if self.executable.startswith("/usr/bin/") else ""
        self.name = owner + ".".join(map(str, self.version))

    def __repr__(self):
        return f"{self.name} ({self.executable})"


def ask(command):
    """None if it is no interpreter, or none that the package supports."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYENV_", "TOCSIN"))
    }
    try:
        done = subprocess.run([command, "-I", "-c", ASK], capture_output=True, text=True, timeout=30, env=environment)
        found = Interpreter(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return found if found.version >= (3, 9) else None


def find(commands=()):
    """Those named, or all: on the search path, Debian's, pyenv's. Each once, the oldest first."""
    if not commands:
        directories = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin"]
        pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
        directories += sorted(glob.glob(str(pyenv / "versions/*/bin")))
        directories = [each for each in directories if pathlib.Path(each).name != "shims"]
        names = ["python3"] + [f"python3.{minor}" for minor in range(9, 30)]
        commands = [found for name in names for each in directories if (found := shutil.which(name, path=each))]
    found = {each.executable: each for command in commands if (each := ask(command))}
    return sorted(found.values(), key=lambda each: (each.version, each.executable))
