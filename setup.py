# The Python package: CMake builds the extension, with the library's own flags. One wheel serves CPython 3.9 and later.
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

root = Path(__file__).resolve().parent
project = re.search(r'project\(tocsin VERSION ([\d.]+) .*DESCRIPTION "(.*)"\)', (root / "CMakeLists.txt").read_text())


class BuildExtension(build_ext):
    def build_extension(self, extension):
        target = Path(self.get_ext_fullpath(extension.name)).resolve()
        build = Path(self.build_temp).resolve()
        configure = ["cmake", "-S", str(root), "-B", str(build), "-DCMAKE_BUILD_TYPE=RelWithDebInfo"]
        configure += ["-DCMAKE_MODULE_LINKER_FLAGS=-s", f"-DPython3_EXECUTABLE={sys.executable}"]  # -s: stripped
        configure += ["-DTOCSIN_PYTHON=ON", "-DTOCSIN_TESTS=OFF", "-DTOCSIN_EXAMPLES=OFF", "-DTOCSIN_INSTALL=OFF"]
        if not (build / "CMakeCache.txt").exists() and shutil.which("ninja"):
            configure += ["-G", "Ninja"]
        subprocess.run(configure, check=True)
        jobs = str(self.parallel or os.cpu_count())
        subprocess.run(["cmake", "--build", str(build), "--target", "tocsin_python", "--parallel", jobs], check=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(build / "python" / "tocsin" / "_tocsin.abi3.so", target)


class BuildModules(build_py):
    """Besides the package: tocsin.pth, which belongs beside it."""

    def run(self):
        shutil.rmtree(os.path.join(self.build_lib, "tocsin"), ignore_errors=True)  # of another state of the sources
        super().run()
        if not getattr(self, "editable_mode", False):
            self.copy_file("python/tocsin.pth", os.path.join(self.build_lib, "tocsin.pth"))

    def get_outputs(self, include_bytecode=True):
        return [*super().get_outputs(include_bytecode), os.path.join(self.build_lib, "tocsin.pth")]


setup(
    name="tocsin",
    version=project[1],
    description=project[2],
    long_description=(root / "docs" / "python.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    classifiers=[
        "License :: OSI Approved :: MIT License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: C++",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: Implementation :: CPython",
        "Typing :: Typed",
    ],
    python_requires=">=3.9",
    package_dir={"": "python"},
    packages=["tocsin"],
    package_data={"tocsin": ["*.pyi", "py.typed"]},
    ext_modules=[Extension("tocsin._tocsin", sources=[], py_limited_api=True)],
    cmdclass={"build_ext": BuildExtension, "build_py": BuildModules},
    options={"bdist_wheel": {"py_limited_api": "cp39"}},
    zip_safe=False,
)
