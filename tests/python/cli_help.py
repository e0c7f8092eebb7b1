"""The `qe` command as users start it, on projects that take no time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents_help import settle_environment
from conftest import HUNG, processes_with, wait_for

QE = [sys.executable, "-m", "pytest_qe"]
SH = "--command=sh {file}"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(text: str) -> str:
    return _ESCAPES.sub("", text)


class Cli:
    """Runs `qe` in a folder of its own; what it left running fails the test."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settle_environment(monkeypatch)
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name, raising=False)
        self.mark = f"QE_CLI_MARK={path}"
        monkeypatch.setenv(*self.mark.split("=", 1))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        monkeypatch.chdir(path)
        (path / ".qe").mkdir()
        self.path = path

    def files(self, **scripts: str) -> None:
        """Makes `NAME.sh` of each."""
        for name, text in scripts.items():
            (self.path / f"{name}.sh").write_text(text + "\n")

    def write(self, name: str, text: str = "") -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *args: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*QE, *args], capture_output=True, text=True, timeout=HUNG, check=False, **more
        )

    def json(self, *args: str) -> tuple[int, dict[str, Any]]:
        """The exit status, and what `--json=-` printed."""
        done = self.run(args[0], "--json=-", *args[1:])
        value: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, value

    def refused(self, *args: str, status: int = 2) -> str:
        """The one line of a command that cannot be carried out."""
        done = self.run(*args)
        assert done.returncode == status, done
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
        assert done.stdout == ""
        return done.stderr[len("error: ") : -1]

    def alive(self) -> dict[int, str]:
        return processes_with(self.mark)

    def nothing_is_left(self) -> None:
        wait_for(lambda: not self.alive(), f"the end of {self.alive()}")

    def exists(self, name: str) -> bool:
        return os.path.exists(self.path / name)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    cli = Cli(tmp_path, monkeypatch)
    yield cli
    cli.nothing_is_left()
