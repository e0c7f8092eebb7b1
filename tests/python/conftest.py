"""Every test runs a real pytest in a process of its own, and leaves none behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from _pytest.config import default_plugins

from shell import Shell

#: Seconds after which a run counts as hung: far above what any run needs.
HUNG = 60.0

#: Plugins of other distributions: off, unless a test asks for them. pytest's own
#: go before one of the same name (pytest-subtests, where pytest has subtests).
OTHERS = sorted({e.name for e in entry_points(group="pytest11")} - {"qe", *default_plugins})

#: Where one of these is set, pytest writes longer summaries and hypothesis keeps no
#: database: not what the tests compare.
ON_CI = (
    "CI", "BUILD_NUMBER", "TF_BUILD", "BUILDKITE", "CIRCLECI", "CIRRUS_CI", "CODEBUILD_BUILD_ID",
    "GITHUB_ACTIONS", "GITLAB_CI", "HEROKU_TEST_RUN_ID", "TEAMCITY_VERSION",
)  # fmt: skip


class Qe:
    """Runs pytest on a suite below ``pytester.path``."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.monkeypatch = monkeypatch
        self.path: Path = pytester.path
        self.use()

    def use(self, *plugins: str) -> None:
        """Turns on these plugins of other distributions, and no others."""
        for name in plugins:
            if name not in OTHERS:
                pytest.fail(f"{name} is not installed (see [dependency-groups] test)")
        blocked = [f"-p no:{name}" for name in OTHERS if name not in plugins]
        self.addopts = " ".join(blocked)
        self.monkeypatch.setenv("PYTEST_ADDOPTS", self.addopts)

    def setenv(self, name: str, value: str) -> None:
        self.monkeypatch.setenv(name, value)

    def files(self, **sources: str) -> None:
        """Makes ``NAME.py`` from each argument; ``a__b`` is ``a/b.py``."""
        for name, source in sources.items():
            path = self.path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(exist_ok=True)
            lines = source.strip("\n").split("\n")
            indent = len(lines[0]) - len(lines[0].lstrip())
            text = "\n".join(line[indent:] for line in lines)
            path.write_text(text + "\n", encoding="utf-8", errors="surrogateescape")

    def run(self, *args: str, timeout: float = HUNG) -> pytest.RunResult:
        return self.pytester.runpytest_subprocess(*args, timeout=timeout)

    def json(self, *args: str) -> tuple[pytest.RunResult, Result]:
        """A run with ``--qe-json``, and what it wrote."""
        path = self.path / "result.json"
        path.unlink(missing_ok=True)
        result = self.run(*args, f"--qe-json={path}")
        return result, Result(json.loads(path.read_text("utf-8")))

    def popen(self, *args: str, **more: Any) -> subprocess.Popen[bytes]:
        """A run in the background, leader of a process group of its own."""
        more.setdefault("stdout", open(self.path / "out.txt", "wb"))
        more.setdefault("stderr", subprocess.STDOUT)
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *args],
            cwd=self.path,
            start_new_session=True,
            **more,
        )

    def output(self) -> str:
        """What a run of ``popen`` has printed."""
        return (self.path / "out.txt").read_text("utf-8", "replace")

    def lines(self, name: str) -> list[str]:
        """The lines that tests appended to a file."""
        path = self.path / name
        return path.read_text("utf-8").splitlines() if path.exists() else []


class Result:
    """What ``--qe-json`` wrote."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.tests: list[dict[str, Any]] = data["tests"]
        self.run: dict[str, Any] = data["run"]

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The test whose id ends with ``name``."""
        found = [t for t in self.tests if t["id"].split("::", 1)[-1] == name or t["id"] == name]
        assert len(found) == 1, (name, [t["id"] for t in self.tests])
        return found[0]

    def outcomes(self) -> dict[str, str]:
        return {t["id"].split("::", 1)[-1]: t["outcome"] for t in self.tests}

    def workers(self) -> dict[str, str]:
        """Who ran the last attempt of each test, by whole id."""
        return {t["id"]: t["attempts"][-1]["worker"] for t in self.tests}

    def starts(self) -> list[str]:
        """Ids (without the file) in the order of the first start."""
        ran = [t for t in self.tests if t["attempts"]]
        ran.sort(key=lambda t: t["attempts"][0]["start"])
        return [t["id"].split("::", 1)[-1] for t in ran]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def mounted(path: Path, *arguments: str) -> Iterator[Path]:
    """A file system of our own there, gone after the test."""
    path.mkdir()
    before = os.getcwd()
    done = subprocess.run(["mount", *arguments, str(path)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"mounting is not permitted: {done.stderr.strip()}")
    try:
        yield path
    finally:
        os.chdir(before)
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path: Path) -> None:
    """Leaves no byte free."""
    with open(path / "filler", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


def processes_with(mark: str) -> dict[int, str]:
    """The living processes that were started with ``mark`` in the environment."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
            if mark.encode() in environment:
                command = Path(f"/proc/{name}/cmdline").read_bytes()
                found[int(name)] = command.replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            pass
    return found


@pytest.fixture
def qe(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Qe]:
    for name in list(os.environ):
        if name.startswith(("PYTEST_XDIST_", "QE_", "PYTEST_ADDOPTS", "PYTEST_PLUGINS")):
            monkeypatch.delenv(name)
        if name in ON_CI:
            monkeypatch.delenv(name)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:  # as nohup and shells leave it
            signal.signal(number, signal.SIG_DFL)
    mark = f"QE_TESTS_MARK={uuid.uuid4().hex}"
    monkeypatch.setenv(*mark.split("="))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:backslashreplace")
    yield Qe(pytester, monkeypatch)
    deadline = time.monotonic() + 10
    while (left := processes_with(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert not left, "processes outlived the run"


@pytest.fixture
def shell(qe: Qe) -> Iterator[Shell]:
    shell = Shell(qe.path, wait_for)
    shell.wait("$ ")
    yield shell
    shell.close()
