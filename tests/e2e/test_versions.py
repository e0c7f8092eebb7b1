"""The plugin's smoke tests with the oldest and the newest pytest and Python at hand.

What is tested is the one wheel, built here from the source distribution. Each run takes both
interpreters, one with each pytest; which with which changes with the part (see matrix.py).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runs import bounded
from suites import BUILD, ROOT
from test_parity import PART

OLDEST = "pytest==8.0.0"
NEWEST = "pytest"
VERSION = """
import sys, sysconfig
usable = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
print(*sys.version_info[:2]) if usable else None
"""


def interpreters() -> dict[tuple[int, int], Path]:
    """The Pythons at hand that the plugin supports, by version."""
    found: dict[tuple[int, int], Path] = {}
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [shutil.which(f"python3.{minor}") for minor in range(10, 30)]
    for path in [sys.executable, *names, *sorted(root.glob("*/bin/python"))]:
        if path is None:
            continue
        done = subprocess.run([str(path), "-c", VERSION], capture_output=True, text=True)
        words = [int(word) for word in done.stdout.split()]
        if done.returncode == 0 and words >= [3, 10]:
            found.setdefault((words[0], words[1]), Path(path))
    return found


PYTHONS = interpreters()
FIRST, LAST = min(PYTHONS), max(PYTHONS)
PAIRS = [(FIRST, OLDEST), (LAST, NEWEST)] if PART % 2 else [(FIRST, NEWEST), (LAST, OLDEST)]


@pytest.fixture(scope="module")
def wheel(e2e_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    (source,) = (BUILD / "dist").glob("*.tar.gz")
    pip(e2e_python, "wheel", "--no-deps", "-w", str(folder), str(source))
    (path,) = folder.glob("*.whl")
    return path


def pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", *arguments, "-q", "--disable-pip-version-check"]
    status, output = bounded.run(command, 300)
    assert status == 0, output


@pytest.mark.parametrize(
    ("version", "wanted"), PAIRS, ids=[f"python{v[0]}.{v[1]} {w}" for v, w in PAIRS]
)
def test_smoke(wheel: Path, version: tuple[int, int], wanted: str) -> None:
    if FIRST == LAST and wanted == NEWEST:
        pytest.skip(f"only one Python is at hand, {FIRST}: its newest pytest runs all tests anyway")
    folder = BUILD / "e2e" / "versions" / f"{version[0]}.{version[1]}-{wanted}"
    python = folder / "bin" / "python"
    if not python.exists():
        env = {**os.environ, "PYTHON": str(PYTHONS[version])}
        status, output = bounded.run([str(ROOT / "tools/venv.sh"), str(folder)], 300, env=env)
        assert status == 0, output
    pip(python, "install", "-U", wanted)
    pip(python, "install", "--force-reinstall", "--no-deps", str(wheel))
    pip(python, "install", str(wheel), "pexpect", "hypothesis")  # what it and its tests need
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "QE_", "PYTHON"))}
    options = ["-m", "smoke", "-q", "-p", "no:xdist", "--qe-parallel=2", "--qe-timeout=300"]
    command = [str(python), "-m", "pytest", "tests/python", *options]
    status, output = bounded.run(command, 600, ROOT, env)
    assert status == 0, output
    assert int(re.findall(r"(\d+) passed", output)[-1]) >= 20
