"""Timing whole runs of a test runner, interleaved, so that a busy machine is fair."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: What a user's own runs have not, or have in each: kept out of all alike.
OFF = ["-p", "no:cacheprovider"]
QE = ["-p", "no:xdist", "-p", "no:flakefinder", "-p", "no:rerunfailures"]
SERIAL = [*QE, "-p", "no:qe"]
XDIST = ["-p", "no:flakefinder", "-p", "no:rerunfailures", "-p", "no:qe", "-n"]


@dataclass
class Times:
    """Seconds of each round."""

    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """The median wall time."""
        return statistics.median(self.walls)

    @property
    def cpu(self) -> float:
        """The median processor time, of all processes."""
        return statistics.median(self.cpus)

    def ratios(self, other: Times) -> tuple[float, float]:
        """Medians of the ratios round by round, of wall and processor time."""
        return (
            statistics.median(a / b for a, b in zip(self.walls, other.walls, strict=True)),
            statistics.median(a / b for a, b in zip(self.cpus, other.cpus, strict=True)),
        )


@contextmanager
def suite(make: Callable[[Path], None]) -> Iterator[Path]:
    """A folder with a generated suite, for as long as it is needed."""
    folder = Path(tempfile.mkdtemp(prefix="qe-bench-"))
    try:
        make(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(options: list[str], folder: Path, **more_env: str) -> tuple[float, float]:
    """Wall and processor seconds of one run of pytest, as a user would start it."""
    return timed([sys.executable, "-m", "pytest", "-q", *OFF, *options], folder, **more_env)


def timed(argv: list[str], folder: Path, **more_env: str) -> tuple[float, float]:
    """Wall and processor seconds of a command, with all processes that it waited for."""
    unwanted = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    env = {k: v for k, v in os.environ.items() if k not in unwanted} | more_env
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        argv,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def interleaved(
    commands: dict[str, list[str]],
    folder: Path,
    rounds: int,
    once: Callable[..., tuple[float, float]] = run,
) -> dict[str, Times]:
    """Each command once unmeasured (byte code, history), then in turn."""
    for options in commands.values():
        once(options, folder)
    times = {name: Times() for name in commands}
    for _ in range(rounds):
        for name, options in commands.items():
            wall, cpu = once(options, folder)
            times[name].walls.append(wall)
            times[name].cpus.append(cpu)
    return times


def machine() -> str:
    """What it ran on, in one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    usable = len(os.sched_getaffinity(0))
    return (
        f"{usable} processors ({model}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2)] + ["-" * (w + 1) + ":" for w in widths[1:]]) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])
