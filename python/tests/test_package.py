"""The wheel: what is in it, installed into a new environment without network, and what tocsin.pth does there.

The wheel is that of $TOCSIN_WHEEL, or is built.
"""

import glob
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import zipfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
REPLACED = "import signal; print(signal.signal.__code__.co_filename.endswith('tocsin/signal.py'))"


def run(*command, status=0, **options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TOCSIN"))}
    environment.update(options.pop("environment", {}))
    done = subprocess.run(
        [str(each) for each in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=250,
        check=False,
        env=environment,
        **options,
    )
    if done.returncode != status:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.directory = pathlib.Path(temporary.name).resolve()
        cls.wheel = os.environ.get("TOCSIN_WHEEL")
        if not cls.wheel:
            run(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index",
                "--wheel-dir", cls.directory / "wheel", SOURCE)  # fmt: skip
            (cls.wheel,) = glob.glob(str(cls.directory / "wheel" / "*.whl"))
        cls.python = cls.new_environment("venv")
        cls.packages = pathlib.Path(
            run(cls.python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))").stdout.strip()
        )

    @classmethod
    def new_environment(cls, name):
        run(sys.executable, "-m", "venv", cls.directory / name)
        python = cls.directory / name / "bin" / "python"
        run(python, "-m", "pip", "install", "--no-index", "--disable-pip-version-check", cls.wheel)
        return python

    def patched(self, *options, program=REPLACED, environment=None):
        return run(self.python, *options, "-c", program, environment={"TOCSIN_PATCH": "1", **(environment or {})})

    def test_what_is_in_the_wheel(self):
        version = re.search(r"project\(tocsin VERSION (\S+)", (SOURCE / "CMakeLists.txt").read_text())[1]
        self.assertRegex(os.path.basename(self.wheel), rf"^tocsin-{version}-cp39-abi3-linux_\w+\.whl$")
        with zipfile.ZipFile(self.wheel) as wheel:
            names = set(wheel.namelist())
            information = f"tocsin-{version}.dist-info"
            metadata = wheel.read(f"{information}/METADATA").decode()
            self.assertEqual(wheel.read(f"{information}/LICENSE"), (SOURCE / "LICENSE").read_bytes())
        package = {path.name for path in (SOURCE / "python" / "tocsin").iterdir() if path.suffix in (".py", ".pyi")}
        expected = {f"tocsin/{name}" for name in package | {"_tocsin.abi3.so", "py.typed"}} | {"tocsin.pth"}
        self.assertEqual({name for name in names if ".dist-info" not in name}, expected)
        for wanted in f"Version: {version}", "License: MIT", "Requires-Python: >=3.9", "# tocsin for Python":
            self.assertIn(wanted, metadata)

    @unittest.skipUnless(shutil.which("readelf"), "no readelf")
    def test_the_extension_is_stripped_and_exports_one_name(self):
        extension = self.packages / "tocsin" / "_tocsin.abi3.so"
        self.assertNotIn(".symtab", run("readelf", "-SW", extension).stdout)
        symbols = run("readelf", "--dyn-syms", "-W", extension).stdout
        defined = [line.split()[7] for line in symbols.splitlines() if re.search(r"(GLOBAL|WEAK).* \d+ ", line)]
        self.assertEqual(defined, ["PyInit__tocsin"])

    @unittest.skipUnless(shutil.which("readelf"), "no readelf")
    def test_it_needs_nothing_private_of_the_interpreter(self):
        symbols = run("readelf", "--dyn-syms", "-W", self.packages / "tocsin" / "_tocsin.abi3.so").stdout
        used = [line.split()[7] for line in symbols.splitlines() if re.search(r" UND _?Py", line)]
        stable = re.compile(r"Py.*|_Py_(NoneStruct|TrueStruct|FalseStruct|Dealloc)|_PyObject_New|_Py.*_SizeT")
        private = [name for name in used if not stable.fullmatch(name)]
        self.assertGreater(len(used), 50)
        self.assertEqual(private, [])

    def test_it_is_installed_and_removed_without_a_trace(self):
        self.assertEqual(run(self.python, "-I", "-m", "pip", "check").stdout, "No broken requirements found.\n")
        program = "from importlib.metadata import version; import tocsin.signal; print(version('tocsin'))"
        self.assertRegex(run(self.python, "-I", "-X", "dev", "-W", "error", "-c", program).stdout, r"^\d+\.\d+\.\d+\n$")
        other = self.new_environment("other")
        packages = pathlib.Path(str(self.packages).replace("/venv/", "/other/"))
        run(other, "-c", "import tocsin.signal")
        self.assertTrue(list(packages.glob("*tocsin*")))
        run(other, "-m", "pip", "uninstall", "--yes", "tocsin")
        self.assertEqual(list(packages.glob("*tocsin*")), [])

    def test_without_the_variable_nothing_is_imported(self):
        program = "import sys; print([name for name in sys.modules if 'tocsin' in name or name == 'signal'])"
        for environment in {}, {"TOCSIN_PATCH": ""}, {"TOCSIN_PATCH": "0"}:
            self.assertEqual(run(self.python, "-c", program, environment=environment).stdout, "[]\n")

    def test_with_it_every_interpreter_but_one_without_site(self):
        for options in (), ("-I",), ("-E",), ("-s",), ("-X", "dev", "-W", "error"), ("-B", "-O"):
            done = self.patched(*options)
            self.assertEqual((done.stdout, done.stderr), ("True\n", ""), options)
        self.assertEqual(self.patched("-S").stdout, "False\n")

    def test_programs_that_a_patched_program_starts(self):
        program = (
            "import subprocess, sys; "
            f"print(*(subprocess.run([sys.executable, *options, '-c', {REPLACED!r}], stdout=-1, text=True).stdout "
            "for options in ([], ['-I'], ['-S'])))"
        )
        done = run(self.python, "-m", "tocsin.patch", "-c", program)
        self.assertEqual(done.stdout.split(), ["True", "True", "False"])

    def test_a_patched_interpreter_has_its_interrupt(self):
        program = "import os, signal\nassert signal.getsignal(2) is signal.default_int_handler\nos.kill(os.getpid(), 2)"
        done = run(self.python, "-c", program, environment={"TOCSIN_PATCH": "1"}, status=-signal.SIGINT)
        self.assertIn("KeyboardInterrupt", done.stderr)
        ignored = "import signal; print(signal.getsignal(2) is signal.SIG_IGN)"
        done = run("sh", "-c", f'trap "" INT; exec {self.python} -c "{ignored}"', environment={"TOCSIN_PATCH": "1"})
        self.assertEqual(done.stdout, "True\n")

    def test_sub_interpreters_of_a_patched_program_start_without_a_word(self):
        done = self.patched(program="""
try:
    import _interpreters
    interpreter = _interpreters.create()
    assert _interpreters.run_string(interpreter, "import signal") is None
except ImportError:
    import _xxsubinterpreters
    interpreter = _xxsubinterpreters.create()
    _xxsubinterpreters.run_string(interpreter, "import signal")
""")
        self.assertEqual(done.stderr, "")

    def test_a_broken_package_does_not_keep_the_interpreter_from_starting(self):
        python = self.new_environment("broken")
        package = pathlib.Path(str(self.packages).replace("/venv/", "/broken/")) / "tocsin"
        environment = {"TOCSIN_PATCH": "1"}

        def start():
            self.assertEqual(run(python, "-c", "print('started')").stderr, "")
            done = run(python, "-c", "print('started')", environment=environment)
            self.assertEqual(done.stdout, "started\n")
            return done.stderr

        (package / "_tocsin.abi3.so").write_bytes(b"not an extension")
        self.assertIn("ImportError", start())
        (package / "_replace.py").write_text("broken (")
        self.assertIn("tocsin", start())
        shutil.rmtree(package)
        self.assertIn("tocsin", start())


if __name__ == "__main__":
    unittest.main()
