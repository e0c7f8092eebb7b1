"""One run of a suite's tests by pytest, measured, and written down where it is to be compared."""

from __future__ import annotations

import os
import re
import resource
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from compare import Recorded, load
from suites import BUILD, HERE, ROOT, SetupError, Suite

sys.path.insert(0, str(ROOT / "tools"))

import bounded

TIMEOUT_S = 600
RUNS = BUILD / "e2e" / "runs"


@dataclass
class Run:
    command: list[str]
    exit: int
    output: str
    wall_s: float
    cpu_s: float
    loop_s: float | None = None  # of wall_s, what pytest's run loop took

    @property
    def bound_s(self) -> float | None:
        """What a parallel run may take, by this serial one: half of its run loop, a tenth more."""
        return None if self.loop_s is None else 1.1 * (self.wall_s - self.loop_s / 2)

    @property
    def last_line(self) -> str:
        """pytest's own last line, without its decoration."""
        lines = [line.strip("= ") for line in self.output.splitlines() if line.strip()]
        found = [line for line in lines if re.search(r" in [\d.:]+ ?s", line)]
        return found[-1] if found else (lines[-1] if lines else "")

    @property
    def counts(self) -> dict[str, int]:
        """What the last line counts, as {"passed": 3}."""
        return {word: int(n) for n, word in re.findall(r"(\d+) ([a-z]+)", self.last_line)}


def environment() -> dict[str, str]:
    """The caller's environment without what would make runs differ."""
    env = dict(os.environ)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS", "CI", "NO_COLOR", "FORCE_COLOR"):
        env.pop(name, None)
    # The order of sets shows in messages, so it has to be the same in every run; a wide
    # terminal cuts no line off at another place because of a longer temporary path.
    env.update(PYTHONHASHSEED="0", COLUMNS="400", PYTHONPATH=str(HERE))
    return env


def execute(suite: Suite, python: Path, options: list[str], record: Path | None = None) -> Run:
    """Runs a suite's tests; the run loop's time and what RECORD names are written down."""
    command = [str(python), "-m", "pytest", *suite.arguments, *options, "-p", "parity_recorder"]
    env = environment()
    RUNS.mkdir(parents=True, exist_ok=True)
    loop = RUNS / "loop"
    loop.unlink(missing_ok=True)
    env["PARITY_LOOP"] = str(loop)
    if record is not None:
        env["PARITY_RECORD"] = str(record)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    status, output = bounded.run(command, TIMEOUT_S, suite.path, env)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    loop_s = float(loop.read_text(encoding="ascii")) if loop.exists() else None
    return Run(command, status, output, wall, cpu, loop_s)


def timed(suite: Suite, python: Path, options: str) -> Run:
    """A run as a user has it: nothing but the run loop's time is written down."""
    # Last failures are none of its business, and change the order.
    return execute(suite, python, ["-p", "no:cacheprovider", *shlex.split(options)])


def recorded(suite: Suite, python: Path, options: str, label: str) -> tuple[Run, Recorded]:
    """A run with everything written down, in build/e2e/runs/LABEL/"""
    kept, directory = RUNS / label, RUNS / "current"  # one path, as it is printed
    for old in (kept, directory):
        shutil.rmtree(old, ignore_errors=True)
    directory.mkdir(parents=True)
    record, junit, cache = (directory / name for name in ("record.jsonl", "junit.xml", "cache"))
    # The cache is empty for each run: last failures would change the order of the next one.
    words = [*shlex.split(options), "-rA", f"--junitxml={junit}", "-o", f"cache_dir={cache}"]
    words += ["-o", "junit_family=xunit1", "-o", "junit_logging=all"]
    run = execute(suite, python, words, record)
    (directory / "output.txt").write_text(run.output, encoding="utf-8")
    result = load(record, junit, cache, run.output, run.exit)
    directory.rename(kept)
    return run, result


def warm_up(suite: Suite, python: Path) -> None:
    """Compiles the byte code of a suite, so that no run pays for it."""
    run = timed(suite, python, "--collect-only -q")
    if run.exit != 0:
        raise SetupError(f"{suite.title} cannot be collected:\n{run.output}")


def slug(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-") or "serial"
