#!/usr/bin/env python3
"""What a program that is not ours gets: the installed package, the headers, the shared library's surface.

One subcommand per test; each works in a directory of its own below --work. Exit status 0 when it holds.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
WARNINGS = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
OTHER_LIBRARIES = r"lib(stdc\+\+|m|gcc_s|c)\.so\.\d+|ld-linux.*|libc\+\+(abi)?\.so.*|libunwind\.so.*"


class Failure(Exception):
    pass


def run(*command, env=None):
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          env={**os.environ, "LC_ALL": "C", **(env or {})}, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(words)}\n{done.stdout}\nstatus {done.returncode}")
    return done.stdout


def demand(holds, message):
    if not holds:
        raise Failure(message)


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def prefix(args):
    return args.work / "prefix"


def only(paths, what):
    found = list(paths)
    demand(found, f"no {what} in the installed package")
    return found[0]


def install(args):
    fresh(prefix(args))
    run(args.cmake, "--install", args.build, "--prefix", prefix(args))


def build_consumer(args, name, *options):
    """Configures, builds and runs the user's project; returns what configuring printed."""
    directory = fresh(args.work / name)
    said = run(args.cmake, "-S", HERE / "consumer", "-B", directory, "-G", args.generator,
               f"-DCMAKE_CXX_COMPILER={args.compiler}", *options)
    run(args.cmake, "--build", directory, "--target", "every_name")
    run(directory / "every_name")
    return said, directory / "every_name"


def uses_shared(program):
    return "libtocsin.so" in run("readelf", "-dW", program)


def find_shared(args):
    _, program = build_consumer(args, "find_shared", f"-DCMAKE_PREFIX_PATH={prefix(args)}",
                                "-DTOCSIN_TARGET=tocsin::tocsin")
    demand(uses_shared(program), "tocsin::tocsin is not the shared library")


def find_static(args):
    _, program = build_consumer(args, "find_static", f"-DCMAKE_PREFIX_PATH={prefix(args)}",
                                "-DTOCSIN_TARGET=tocsin::tocsin_static")
    demand(not uses_shared(program), "tocsin::tocsin_static is not the static library")


def moved_copy(args, name):
    """The installed package somewhere else; nothing in it may still name the place it was installed to."""
    moved = fresh(args.work / name) / "elsewhere" / "prefix"
    shutil.copytree(prefix(args), moved, symlinks=True)
    old = str(prefix(args)).encode()
    for path in moved.rglob("*"):
        if path.is_file() and path.suffix in (".cmake", ".pc", ".hpp"):
            demand(old not in path.read_bytes(), f"{path.name} names the prefix it was installed to")
    return moved


def relocated(args):
    """The package works from another place, and what is found there is the copy."""
    moved = moved_copy(args, "moved")
    said, _ = build_consumer(args, "relocated", f"-DCMAKE_PREFIX_PATH={moved}", "-DTOCSIN_TARGET=tocsin::tocsin")
    demand(f"tocsin_DIR is {moved}" in said, f"another copy was found:\n{said}")
    flags = pkg_config_flags(moved)
    demand(any(str(moved.resolve()) in os.path.realpath(flag[2:]) for flag in flags if flag.startswith("-I")),
           f"pkg-config does not follow the prefix: {flags}")


def add_subdirectory(args):
    _, program = build_consumer(args, "add_subdirectory", f"-DTOCSIN_SOURCE={args.source}",
                                "-DTOCSIN_TARGET=tocsin::tocsin")
    demand(uses_shared(program), "tocsin::tocsin is not the shared library")


def pkg_config_flags(where, *options):
    directory = only(where.rglob("tocsin.pc"), "tocsin.pc").parent
    return run("pkg-config", *options, "--cflags", "--libs", "tocsin",
               env={"PKG_CONFIG_PATH": str(directory), "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1"}).split()


def pkg_config(args):
    """Plain compiler, whichever built the library; standard errors of the library are caught by type."""
    directory = fresh(args.work / f"pkg_config_{pathlib.Path(args.compiler).name}")
    program = directory / "every_name"
    run(args.compiler, *WARNINGS, HERE / "every_name.cpp", "-o", program, *pkg_config_flags(prefix(args)))
    library = only(prefix(args).rglob("libtocsin.so"), "libtocsin.so")
    run(program, env={"LD_LIBRARY_PATH": str(library.parent)})


def headers(args):
    """Each header by itself, included twice."""
    directory = fresh(args.work / f"headers_{pathlib.Path(args.compiler).name}")
    include = prefix(args) / "include"
    names = sorted(path.relative_to(include).as_posix() for path in (include / "tocsin").glob("*.hpp"))
    demand(names, "no headers installed")
    umbrella = (include / "tocsin/tocsin.hpp").read_text()
    for name in names:
        demand(name == "tocsin/tocsin.hpp" or f"<{name}>" in umbrella, f"tocsin.hpp does not include {name}")

    def compile_alone(name):
        source = directory / (pathlib.Path(name).stem + ".cpp")
        source.write_text(f"#include <{name}>\n#include <{name}>\n")
        run(args.compiler, *WARNINGS, "-I", include, "-fsyntax-only", source)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(compile_alone, names))
    for text in (include / name for name in names):
        for heavy in ("iostream", "regex", "locale"):
            demand(f"<{heavy}>" not in text.read_text(), f"{text.name} includes <{heavy}>")


def as_documented(args):
    """The command that the README gives builds without a warning, and what it installs works. It is another build type than
    the tests' own."""
    directory = fresh(args.work / "as_documented")
    command = only(re.findall(r"^    (cmake -B build .*--prefix /usr/local)$", (args.source / "README.md").read_text(),
                              re.MULTILINE), "command to install")
    command = command.replace("cmake -B build", f"cmake -S '{args.source}' -B build")
    command = command.replace("--prefix /usr/local", "--prefix prefix")
    run("bash", "-c", f"cd '{directory}' && {command}",
        env={"CXX": args.compiler, "CMAKE_GENERATOR": args.generator, "CXXFLAGS": "-Werror"})
    program = directory / "every_name"
    run(args.compiler, *WARNINGS, HERE / "every_name.cpp", "-o", program, *pkg_config_flags(directory / "prefix"))
    library = only((directory / "prefix").rglob("libtocsin.so"), "libtocsin.so")
    run(program, env={"LD_LIBRARY_PATH": str(library.parent)})


def elf(args):
    """The shared library: exports, flags, dependencies, no code at load time."""
    library = only(prefix(args).rglob("libtocsin.so"), "libtocsin.so")
    for line in run("nm", "-DC", "--defined-only", library).splitlines():
        name = line.split(maxsplit=2)[2]
        demand(re.match(r"(vtable for |typeinfo for |typeinfo name for )?tocsin::|TOCSIN_[\d.]+$", name),
               f"exported, but not of namespace tocsin: {name}")
    dynamic = run("readelf", "-dW", library)
    for flag in ("BIND_NOW", "NODELETE"):
        demand(re.search(rf"\b{flag}\b", dynamic), f"not linked with {flag}")
    demand("TEXTREL" not in dynamic and "RPATH" not in dynamic and "RUNPATH" not in dynamic, dynamic)
    for needed in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic):
        demand(re.fullmatch(OTHER_LIBRARIES, needed), f"depends on {needed}")
    demand(re.search(r"SONAME.*\[libtocsin\.so\.\d+\.\d+\]", dynamic), f"no versioned name:\n{dynamic}")
    # One pointer each: the compiler's own frame_dummy and __do_global_dtors_aux. More is a static constructor.
    pointer = 8 if "ELF64" in run("readelf", "-hW", library) else 4
    for section, size in re.findall(r"\.(init_array|fini_array|ctors|preinit_array)\s+\S+\s+\S+\s+\S+\s+(\S+)",
                                    run("readelf", "-SW", library)):
        demand(int(size, 16) <= pointer, f".{section} has {int(size, 16) // pointer} entries, 1 allowed")
    demand("GNU_STACK" in run("readelf", "-lW", library), "no GNU_STACK header")
    demand(not re.search(r"GNU_STACK.*RWE", run("readelf", "-lW", library)), "the stack is executable")


def plugin(args):
    """A program without the library loads it with a plugin, when it has a thread already."""
    directory = fresh(args.work / "plugin")
    module, host = directory / "plugin.so", directory / "plugin_host"
    run(args.compiler, *WARNINGS, "-shared", "-fPIC", HERE / "plugin.cpp", "-o", module,
        *pkg_config_flags(prefix(args)))
    run(args.compiler, *WARNINGS, HERE / "plugin_host.cpp", "-o", host, "-pthread", "-ldl")
    demand(not uses_shared(host), "the program is linked with the library itself")
    library = only(prefix(args).rglob("libtocsin.so"), "libtocsin.so")
    run(host, module, env={"LD_LIBRARY_PATH": str(library.parent)})


def linkers(args):
    """The static library in programs of every linker that is there: unused sections dropped, fully static. A signal at
    any instruction interrupts a blocking call still (tests/process/window.cpp): the table of guarded calls, which no code
    names, has survived (src/sys/syscall.hpp)."""
    directory = fresh(args.work / "linkers")
    library = only(prefix(args).rglob("libtocsin.a"), "libtocsin.a")
    object_file = directory / "window.o"
    run(args.compiler, "-std=c++20", "-O1", "-fPIE", "-ffunction-sections", "-fdata-sections", "-I",
        prefix(args) / "include", "-I", args.source / "tests", "-c", args.source / "tests/process/window.cpp", "-o",
        object_file)
    linkers_here = [name for name in ("bfd", "gold", "lld") if shutil.which(f"ld.{name}")]
    demand("lld" in linkers_here, "ld.lld is not installed")
    for linker in linkers_here:
        for form, options in (("pie", ["-pie"]), ("static", ["-static"]), ("static-pie", ["-static-pie"])):
            if (linker, form) == ("gold", "static-pie"):
                continue  # gold makes none
            program = directory / f"{linker}_{form}"
            run(args.compiler, *options, f"-fuse-ld={linker}", "-Wl,--gc-sections", "-Wl,-z,now", "-o", program,
                object_file, library, "-lgtest", "-lgtest_main", "-pthread")
            size = re.search(r" tocsin_calls\s+PROGBITS\s+\S+\s+\S+\s+(\S+)", run("readelf", "-SW", program))
            demand(size and int(size[1], 16) >= 12, f"{program.name}: the table of calls is gone")
            demand(form == "pie" or "NEEDED" not in run("readelf", "-dW", program), f"{program.name} is not static")
            run(program, "--gtest_filter=G2.a_signal_at_any_instruction_interrupts*")
            print(f"{program.name}: {int(size[1], 16) // 12} calls")


TESTS = {test.__name__: test for test in
         (install, find_shared, find_static, relocated, add_subdirectory, pkg_config, as_documented, headers, elf, plugin,
          linkers)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("test", choices=TESTS)
    parser.add_argument("--source", type=pathlib.Path, required=True, help="root of the source tree")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="its build tree")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="where to put files")
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--generator", default="Unix Makefiles")
    args = parser.parse_args()
    try:
        TESTS[args.test](args)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
