"""Builds the extension module ``pytest_qe._core``; the rest is in pyproject.toml.

On Linux with CPython the core (csrc/) and its binding (python/_core/) become one
extension for the limited API, so that one wheel serves every Python from 3.10 on.
Elsewhere nothing is compiled: the package is pure Python and runs tests serially.
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
    for module, least, package in LIBRARIES:
        if pkg_config("--exists", f"{module} >= {least}").returncode != 0:
            lacks.append((f"{module} >= {least}", package))
    return lacks


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


def extension() -> Extension:
    modules = [module for module, _, _ in LIBRARIES]
    cflags = shlex.split(pkg_config("--cflags", *modules).stdout)
    libs = shlex.split(pkg_config("--libs", *modules).stdout)
    headers = glob("csrc/**/*.h", recursive=True) + glob("python/_core/*.h")
    strict = ["-Werror"] if os.environ.get("QE_WERROR") == "1" else []
    return Extension(
        "pytest_qe._core",
        sources=sorted(glob("csrc/*.c")) + sorted(glob("python/_core/*.c")),
        include_dirs=["csrc", "csrc/include"],
        define_macros=[("Py_LIMITED_API", "0x030A0000"), ("_GNU_SOURCE", None)],
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


def main() -> None:
    os.chdir(HERE)
    compiling = bool(COMPILING.intersection(sys.argv[1:]))
    if compiling:
        check()
    native = NATIVE and compiling
    setup(
        version=version(),
        ext_modules=[extension()] if native else [],
        options={"bdist_wheel": {"py_limited_api": "cp310"}} if native else {},
    )


main()
