"""The real suites that end-to-end tests run: pinned source distributions.

Each is downloaded with pip, checked against its digest and unpacked once. The packages
that a suite tests and needs go into the environment that runs it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build"
DIRECTORY = BUILD / "suites"
PYTHON = BUILD / "e2e" / "venv" / "bin" / "python"


@dataclass(frozen=True)
class Suite:
    name: str
    version: str
    sha256: str  # of the source distribution; empty: the files lie beside this one
    requires: tuple[str, ...] = field(default=())
    arguments: tuple[str, ...] = ("tests",)

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}".strip()

    @property
    def path(self) -> Path:
        return DIRECTORY / f"{self.name}-{self.version}".rstrip("-")


SUITES = [
    Suite(
        "click",
        "8.5.1",
        "9bbfada76703fd1d784b83eea012e3e8c6a001a876543ef104fa56aaaeb072b4",
        ("click==8.5.1",),
    ),
    Suite(
        "jinja2",
        "3.1.6",
        "0137fb05990d35f1275a587e9aee6d56da821fc83491a0fb838183be43f66d6d",
        ("jinja2==3.1.6", "trio>=0.30"),
    ),
    Suite(
        "marshmallow",
        "4.4.0",
        "9e6ffa8511012ca89732324c1c253efd7b4d35632dcbdf80aa793fe01804af3e",
        ("marshmallow==4.4.0", "simplejson>=3.19"),
    ),
    Suite(
        "tomlkit",
        "0.15.2",
        "83e32755ba1d20d9340bd069ee97e9f6232ba2346b63ffcba425de01f7e327a6",
        ("tomlkit==0.15.2", "pyyaml>=6"),
    ),
    Suite(
        "boltons",
        "26.2.0",
        "d39cfd15c1a1c3bd4d705c82252fa9edb8e4f5e8cc039f8e39afac7b1b47e92c",
        ("boltons==26.2.0",),
    ),
    Suite(
        "pluggy",
        "1.7.0",
        "d1eaa46ebb595891b860ab086b4d09c8588af65ebd4361b8e8f4bb8920b90ba8",
        ("pluggy==1.7.0",),
        ("testing",),
    ),
    # Our own: everything that a report can hold, on purpose full of failures.
    Suite("odd", "", "", (), (".",)),
]


class SetupError(Exception):
    """A suite cannot be had; the message says why."""


def named(name: str) -> Suite:
    for suite in SUITES:
        if suite.name == name:
            return suite
    raise SetupError(f"no suite {name!r}: there are {', '.join(s.name for s in SUITES)}")


def pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SetupError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def download(suite: Suite) -> None:
    """Puts the files of a suite into its path."""
    if not suite.sha256:
        # Ours: copied every time, so that its settings are found, not those above it.
        shutil.rmtree(suite.path, ignore_errors=True)
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(HERE / suite.name, suite.path, ignore=skip)
        return
    if suite.path.exists():
        return
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    pip(
        Path(sys.executable),
        *("download", "-q", "--disable-pip-version-check", "--no-deps"),
        *("--no-binary", suite.name, "-d", str(DIRECTORY)),
        f"{suite.name}=={suite.version}",
    )
    archive = DIRECTORY / f"{suite.name}-{suite.version}.tar.gz"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != suite.sha256:
        raise SetupError(f"{archive.name}: SHA-256 is {digest}, not {suite.sha256}")
    # Unpacked beside its place, then moved there: a half suite is never taken for one.
    unpacked = DIRECTORY / f".{suite.name}.{os.getpid()}"
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(unpacked, filter="data")
        else:
            tar.extractall(unpacked)
    (unpacked / suite.path.name).rename(suite.path)
    unpacked.rmdir()


SETTINGS = {
    "pytest.ini": "",
    "pyproject.toml": "[tool.pytest",
    "tox.ini": "[pytest]",
    "setup.cfg": "[tool:pytest]",
}


def settle(path: Path) -> None:
    """Gives a suite without settings of its own empty ones: pytest would find ours above it."""
    files = ((path / name, section) for name, section in SETTINGS.items())
    if not any(f.exists() and section in f.read_text(encoding="utf-8") for f, section in files):
        (path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")


def prepare(suite: Suite, python: Path) -> None:
    """Makes a suite ready to run with an interpreter that has pytest."""
    download(suite)
    settle(suite.path)
    if not suite.requires:
        return
    # Beside the interpreter: gone when its environment is made anew.
    marker = python.parent.parent / f".suite-{suite.name}"
    wanted = "\n".join(suite.requires) + "\n"
    if not marker.exists() or marker.read_text(encoding="utf-8") != wanted:
        pip(python, "install", "-q", "--disable-pip-version-check", *suite.requires)
        marker.write_text(wanted, encoding="utf-8")
