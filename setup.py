"""Builds the extension modules of ``pytest_qe``; the rest is in pyproject.toml.

On Linux with CPython the core (csrc/) and its binding (python/_core/) become one
extension for the limited API, so that one wheel serves every Python from 3.10 on.
Elsewhere nothing is compiled: the package is pure Python and runs tests serially.

Runs across machines (csrc/queue/, python/_queue/) are a second extension with libraries
of its own. Where these are missing it is made of one file that says so when it is asked for.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from glob import glob
from pathlib import Path

from setuptools import Extension, setup

HERE = Path(__file__).resolve().parent
NATIVE = sys.platform == "linux" and sys.implementation.name == "cpython"

# pkg-config module, least version, Debian package
LIBRARIES = [
    ("libuv", "1.44", "libuv1-dev"),
    ("libcjson", "1.7", "libcjson-dev"),
    ("sqlite3", "3.31", "libsqlite3-dev"),
]
QUEUE_LIBRARIES = [
    ("hiredis", "0.14", "libhiredis-dev"),
    ("openssl", "1.1.1", "libssl-dev"),
]
# What the queue needs of the core.
QUEUE_CORE = ["qe_cgroup", "qe_clock", "qe_error", "qe_heap", "qe_util"]
COMPILING = {
    "bdist",
    "bdist_wheel",
    "build",
    "build_ext",
    "develop",
    "editable_wheel",
    "install",
}


def version() -> str:
    """The version, whose one source is the C header."""
    header = (HERE / "csrc" / "include" / "qe.h").read_text(encoding="utf-8")
    found = re.search(r'^#define QE_VERSION "([^"]+)"', header, re.MULTILINE)
    if found is None:
        raise SystemExit("pytest-qe: csrc/include/qe.h does not define QE_VERSION")
    return found.group(1)


def pkg_config(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [os.environ.get("PKG_CONFIG", "pkg-config"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def compiler() -> "list[str]":
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def missing() -> "list[tuple[str, str]]":
    """What the build lacks: (what it is, the Debian package that has it)."""
    lacks = []
    cc = compiler()
    if shutil.which(cc[0]) is None:
        lacks.append((f"a C compiler ({cc[0]})", "gcc"))
    else:
        probe = subprocess.run(
            [*cc, "-E", "-x", "c", "-o", os.devnull, "-"],
            input="#include <stdio.h>\n",
            capture_output=True,
            text=True,
            check=False,
        )
        if probe.returncode != 0:
            lacks.append(("the C library's headers", "libc6-dev"))
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        # Debian's own interpreter is python3-dev; another one has its own.
        debian = sys.base_prefix == "/usr"
        major, minor = sys.version_info[:2]
        lacks.append(("Python.h", "python3-dev" if debian else f"python{major}.{minor}-dev"))
    if shutil.which(os.environ.get("PKG_CONFIG", "pkg-config")) is None:
        lacks.append(("pkg-config", "pkg-config"))
        return lacks
    return lacks + missing_of(LIBRARIES)


def missing_of(libraries: "list[tuple[str, str, str]]") -> "list[tuple[str, str]]":
    """Those of the libraries that pkg-config does not find, as ``missing`` has them."""
    return [
        (f"{module} >= {least}", package)
        for module, least, package in libraries
        if pkg_config("--exists", f"{module} >= {least}").returncode != 0
    ]


def check() -> None:
    """Ends the build with one line if it cannot succeed."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise SystemExit(
            "pytest-qe: free-threaded builds of Python are not supported; use a standard build"
        )
    if not NATIVE:
        return
    lacks = missing()
    if lacks:
        things = ", ".join(thing for thing, _ in lacks)
        packages = " ".join(package for _, package in lacks)
        raise SystemExit(f"pytest-qe: missing {things}: install {packages}")


def extension(
    name: str,
    sources: "list[str]",
    libraries: "list[tuple[str, str, str]]",
    *,
    include_dirs: "tuple[str, ...]" = (),
    define_macros: "tuple[tuple[str, str | None], ...]" = (),
) -> Extension:
    modules = [module for module, _, _ in libraries]
    cflags = shlex.split(pkg_config("--cflags", *modules).stdout) if modules else []
    libs = shlex.split(pkg_config("--libs", *modules).stdout) if modules else []
    headers = glob("csrc/**/*.h", recursive=True) + glob("python/_*/*.h")
    strict = ["-Werror"] if os.environ.get("QE_WERROR") == "1" else []
    return Extension(
        name,
        sources=sorted(sources),
        include_dirs=["csrc", "csrc/include", "python/_core", *include_dirs],
        define_macros=[
            ("Py_LIMITED_API", "0x030A0000"),
            ("_GNU_SOURCE", None),
            *define_macros,
        ],
        extra_compile_args=[
            "-std=c11",
            "-fvisibility=hidden",
            "-Wall",
            "-Wextra",
            "-O2",
            *strict,
            *cflags,
        ],
        libraries=["m"],
        extra_link_args=libs,
        depends=sorted(headers),
        py_limited_api=True,
    )


def core() -> Extension:
    sources = glob("csrc/*.c") + glob("python/_core/*.c")
    return extension("pytest_qe._core", sources, LIBRARIES)


def queue() -> Extension:
    lacks = missing_of(QUEUE_LIBRARIES)
    if lacks:
        things = ", ".join(thing for thing, _ in lacks)
        packages = " ".join(package for _, package in lacks)
        print(f"pytest-qe: without runs across machines: {things} missing (install {packages})")
        said = f"{things} missing when pytest-qe was built: install {packages}, and build it again"
        return extension(
            "pytest_qe._queue",
            ["python/_queue/queue_module.c"],
            [],
            define_macros=(("QE_MISSING", f'"{said}"'),),
        )
    sources = glob("csrc/queue/*.c") + glob("python/_queue/*.c")
    sources += [f"csrc/{name}.c" for name in QUEUE_CORE]
    return extension(
        "pytest_qe._queue",
        [*sources, "python/_core/core_types.c"],
        QUEUE_LIBRARIES,
        include_dirs=("csrc/queue",),
    )


def main() -> None:
    os.chdir(HERE)
    compiling = bool(COMPILING.intersection(sys.argv[1:]))
    if compiling:
        check()
    native = NATIVE and compiling
    setup(
        version=version(),
        ext_modules=[core(), queue()] if native else [],
        options={"bdist_wheel": {"py_limited_api": "cp310"}} if native else {},
    )


main()
