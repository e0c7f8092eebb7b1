"""The distribution: what is in it, and what its build says where it cannot succeed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
#: The page of `qe ui`.
LIVE = ("index.html", "live.js", "live.css", "icon.svg")
PKG_CONFIG = """#!/bin/sh
for word; do case $word in {module}*) exit 1 ;; esac; done
exec pkg-config "$@"
"""


def setup_py(*arguments: str, code: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Runs setup.py, after `code`, where nothing is left of an earlier build."""
    script = f"import sys\n{code}\nsys.argv[0] = 'setup.py'\nimport runpy\n"
    script += f"runpy.run_path({str(ROOT / 'setup.py')!r}, run_name='__main__')\n"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
    )


def assert_stops_with_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode != 0
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("module", "package"),
    [("libuv", "libuv1-dev"), ("libcjson", "libcjson-dev"), ("sqlite3", "libsqlite3-dev")],
)
def test_a_missing_library_is_one_line_that_names_its_package(
    tmp_path: Path, module: str, package: str
) -> None:
    fake = tmp_path / "pkg-config"
    fake.write_text(PKG_CONFIG.format(module=module), encoding="utf-8")
    fake.chmod(0o755)
    done = setup_py("bdist_wheel", PKG_CONFIG=str(fake))
    assert_stops_with_one_line(done, module, package)
    assert done.stderr.count("-dev") == 1


def test_missing_tools_are_named_together() -> None:
    done = setup_py("build_ext", PKG_CONFIG="/nonexistent/pkg-config", CC="/nonexistent/cc -O2")
    assert_stops_with_one_line(done, "install gcc pkg-config")


def test_missing_python_headers_are_named(tmp_path: Path) -> None:
    code = f"import sysconfig; sysconfig.get_path = lambda *a, **k: {str(tmp_path)!r}"
    assert_stops_with_one_line(setup_py("build_ext", code=code), "Python.h", "-dev")


def test_free_threaded_python_is_refused() -> None:
    code = (
        "import sysconfig; real = sysconfig.get_config_var\n"
        "sysconfig.get_config_var = lambda n: 1 if n == 'Py_GIL_DISABLED' else real(n)"
    )
    assert_stops_with_one_line(setup_py("bdist_wheel", code=code), "free-threaded")


def test_elsewhere_than_on_linux_the_wheel_is_pure_and_whole(tmp_path: Path) -> None:
    # Every check would fail here: none may be made.
    code = "import sysconfig; sysconfig.get_config_vars(); sys.platform = 'freebsd14'"
    done = setup_py(
        *("-q", "egg_info", "--egg-base", str(tmp_path)),
        *("build", "--build-base", str(tmp_path / "build")),
        *("bdist_wheel", "--dist-dir", str(tmp_path), "--bdist-dir", str(tmp_path / "bdist")),
        code=code,
        PKG_CONFIG="/nonexistent",
        CC="/nonexistent",
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert not [name for name in names if name.endswith(".so")]
    for ending in ("py", "pyi", "json", "cjs"):
        for path in (ROOT / "python" / "pytest_qe").rglob(f"*.{ending}"):
            assert path.relative_to(ROOT / "python").as_posix() in names
    assert "pytest_qe/web/report.html" in names
    assert {f"pytest_qe/web/live/{name}" for name in LIVE} <= names


def test_source_distribution_holds_every_source() -> None:
    (archive,) = (ROOT / "build" / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    python = [f"python/pytest_qe/**/*.{ending}" for ending in ("py", "json", "cjs")]
    for pattern in ("csrc/**/*.[ch]", "python/_core/*.[ch]", "python/_queue/*.[ch]", *python):
        for path in ROOT.glob(pattern):
            assert path.relative_to(ROOT).as_posix() in names
    assert {"LICENSE", "README.md", "python/pytest_qe/py.typed"} <= names
    assert "python/pytest_qe/web/report.html" in names, "which no Python can make"
    assert {f"python/pytest_qe/web/live/{name}" for name in LIVE} <= names
    assert not [name for name in names if name.endswith((".so", ".o", ".pyc"))]


def test_installed_distribution_is_whole(e2e_python: Path) -> None:
    code = (
        "import importlib.metadata as m, pytest_qe, pytest_qe._core as c, pathlib\n"
        "print(m.version('pytest-qe'), pathlib.Path(c.__file__).name)\n"
        "print((pathlib.Path(pytest_qe.__file__).parent / 'py.typed').exists())\n"
        "from pytest_qe import frameworks\n"
        "print(frameworks.lookup('go test').name, *sorted(\n"
        "    p.name for p in (pathlib.Path(frameworks.__file__).parent / 'reporters').iterdir()))\n"
        "print(sorted(p.name for p in pathlib.Path(pytest_qe.__file__).parent.parent.iterdir()\n"
        "             if p.name in ('_core', 'csrc', 'tests')))\n"
    )
    done = subprocess.run([e2e_python, "-c", code], capture_output=True, text=True, check=True)
    header = (ROOT / "csrc" / "include" / "qe.h").read_text(encoding="utf-8")
    version = re.findall(r'define QE_VERSION "(.*)"', header)[0]
    assert done.stdout.splitlines() == [
        f"{version} _core.abi3.so",
        "True",
        "go mocha.cjs node.cjs",
        "[]",
    ]


def test_installed_distribution_has_all_files_of_the_package(e2e_python: Path) -> None:
    code = (
        "import pathlib, pytest_qe\n"
        "root = pathlib.Path(pytest_qe.__file__).parent\n"
        "print(*(p.relative_to(root).as_posix() for p in root.rglob('*.*')), sep='\\n')\n"
    )
    done = subprocess.run([e2e_python, "-c", code], capture_output=True, text=True, check=True)
    source = ROOT / "python" / "pytest_qe"
    ours = {path.relative_to(source).as_posix() for path in source.rglob("*.*")}
    missing = {name for name in ours if not name.endswith((".pyc", ".so"))}
    assert missing - set(done.stdout.splitlines()) == set()


@pytest.mark.parametrize("module", ["_core", "_queue"])
def test_extension_keeps_to_the_stable_interface(e2e_python: Path, module: str) -> None:
    """Exports its initialiser alone, and uses no private name of the interpreter's."""
    code = f"import pytest_qe.{module} as c; print(c.__file__)"
    done = subprocess.run([e2e_python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(f"{module}.abi3.so")
    nm = subprocess.run(
        ["nm", "-D", done.stdout.strip()], capture_output=True, text=True, check=True
    )
    symbols = [line.split()[-2:] for line in nm.stdout.splitlines()]
    defined = {name for kind, name in symbols if kind in "TDBR"}
    private = {name for kind, name in symbols if kind == "U" and name.startswith("_PyInterp")}
    assert not private
    assert {name for name in defined if not name.startswith("qe_")} == {f"PyInit_{module}"}


@pytest.mark.parametrize(
    ("module", "package"), [("hiredis", "libhiredis-dev"), ("openssl", "libssl-dev")]
)
def test_without_a_library_of_the_queue_the_build_goes_on(
    tmp_path: Path, module: str, package: str
) -> None:
    fake = tmp_path / "pkg-config"
    fake.write_text(PKG_CONFIG.format(module=module), encoding="utf-8")
    fake.chmod(0o755)
    # Of the two extensions this one alone, as the other takes half a minute.
    code = (
        "import setuptools; real = setuptools.setup\n"
        "setuptools.setup = lambda ext_modules, **more: real(ext_modules=ext_modules[1:], **more)"
    )
    done = setup_py(
        *("-q", "build_ext", "--build-lib", str(tmp_path), "--build-temp", str(tmp_path / "temp")),
        code=code,
        PKG_CONFIG=str(fake),
        QE_WERROR="1",
    )
    assert done.returncode == 0, done.stderr
    says = f"{module} >= .* missing.*: install {package}"
    assert re.search(says.replace(": install", ".*install"), done.stdout)
    for path in (ROOT / "python" / "pytest_qe").glob("*.py"):
        (tmp_path / "pytest_qe" / path.name).symlink_to(path)
    for path in (ROOT / "python" / "pytest_qe").glob("_core*.so"):
        (tmp_path / "pytest_qe" / path.name).symlink_to(path)
    asks = (
        "from pytest_qe import queues\n"
        "try: queues.extension()\n"
        "except queues.NoQueueHere as error: print(error)\n"
    )
    asked = subprocess.run(
        [sys.executable, "-c", asks],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert re.fullmatch(f"this installation has no queue: {says}.*\n", asked.stdout), asked
