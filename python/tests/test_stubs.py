"""The stubs: the names that there are, and types that a checker takes."""

import ast
import importlib
import importlib.util
import os
import pathlib
import pkgutil
import subprocess
import sys
import tempfile
import types
import unittest

import tocsin

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = pathlib.Path(tocsin.__file__).resolve().parent
MODULES = ["tocsin", *("tocsin." + module.name for module in pkgutil.iter_modules(tocsin.__path__))]


def names_in_stub(body):
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets)
        elif isinstance(node, ast.ImportFrom):
            yield from (name.asname for name in node.names if name.asname == name.name)
        elif isinstance(node, ast.If):
            condition = compile(ast.Expression(node.test), "stub", "eval")
            yield from names_in_stub(node.body if eval(condition, {"sys": sys}) else node.orelse)


class Names(unittest.TestCase):
    def test_they_are_those_there_are(self):
        for name in MODULES:
            if name == "tocsin._start":  # it does what it is for when it is imported
                continue
            with self.subTest(name):
                module = importlib.import_module(name)
                path = PACKAGE / "__init__.pyi" if name == "tocsin" else PACKAGE / (name.split(".")[1] + ".pyi")
                stub = {each for each in names_in_stub(ast.parse(path.read_text()).body) if not each.startswith("_")}
                is_module = types.ModuleType
                there = {each for each, value in vars(module).items() if not isinstance(value, is_module)}
                there = {each for each in getattr(module, "__all__", there) if not each.startswith("_")}
                self.assertEqual(stub, there)

    def test_every_class_has_what_its_stub_says(self):
        tree = ast.parse((PACKAGE / "_tocsin.pyi").read_text())
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                with self.subTest(node.name):
                    stub = {each for each in names_in_stub(node.body) if not each.startswith("_")}
                    there = {each for each in vars(getattr(tocsin._tocsin, node.name)) if not each.startswith("_")}
                    self.assertEqual(stub, there - {"n_fields", "n_sequence_fields", "n_unnamed_fields"})


@unittest.skipUnless(importlib.util.find_spec("mypy"), "no mypy for this interpreter")
class Checked(unittest.TestCase):
    def mypy(self, *command):
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                [sys.executable, "-m", *command],
                env={**os.environ, "MYPYPATH": str(PACKAGE.parent), "MYPY_CACHE_DIR": cache},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=240,
                check=False,
            )
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_typed_program(self):
        # What is wrong there says so, and is an error itself if it is not wrong.
        self.mypy("mypy", "--strict", str(HERE / "typed_program.py"))

    def test_against_what_is_there(self):
        with tempfile.NamedTemporaryFile("w") as allowed:
            allowed.write("tocsin.signal.Signals.SIGSTKFLT\n")  # a class of the standard library's stubs
            allowed.write("tocsin.asyncio.signals.__init__\n")  # hands options on: the stub knows which
            allowed.flush()
            self.mypy("mypy.stubtest", "--allowlist", allowed.name, "--ignore-unused-allowlist", "tocsin")


if __name__ == "__main__":
    unittest.main()
