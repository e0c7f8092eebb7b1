"""Times pytest-qe beside its peers, on generated suites, in interleaved runs.

    python bench/peers.py [--runs N] [--only NAME]

The interpreter needs pytest-qe, pytest-xdist and pytest-flakefinder
(`make bench` sees to it). Each row is one suite; each figure the median over N
interleaved runs, and its ratio to plain pytest in the same round. Wall time is
what a user waits, processor time what the machine spends on all processes.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PLUGINS_OFF = ["-p", "no:cacheprovider"]


def trivial(folder: Path) -> None:
    """5,000 trivial tests in 100 files."""
    for i in range(100):
        body = "".join(f"def test_{j}():\n    assert {j} + 1 == {j + 1}\n\n" for j in range(50))
        (folder / f"test_m{i:03}.py").write_text(body)


def sleeping(folder: Path) -> None:
    """50 files that sleep 1 s each."""
    for i in range(50):
        (folder / f"test_s{i:02}.py").write_text(
            "import time\n\ndef test_sleep():\n    time.sleep(1)\n"
        )


def skewed(folder: Path) -> None:
    """40 files of 0.1 s and, last in file order, one of 4 s."""
    for i in range(40):
        (folder / f"test_a{i:02}.py").write_text(
            "import time\n\ndef test_short():\n    time.sleep(0.1)\n"
        )
    (folder / "test_z.py").write_text("import time\n\ndef test_long():\n    time.sleep(4)\n")


def single(folder: Path) -> None:
    """One trivial test."""
    (folder / "test_one.py").write_text("def test_one():\n    pass\n")


SERIAL = ["-p", "no:xdist", "-p", "no:flakefinder"]
XDIST = ["-p", "no:flakefinder", "-n"]


@dataclass(frozen=True)
class Row:
    name: str
    make: Callable[[Path], None]
    commands: dict[str, list[str]]  # the first is what the others are compared with


ROWS = [
    Row("single", single, {"pytest": SERIAL, "qe": [*SERIAL, "--qe-parallel"]}),
    Row(
        "trivial",
        trivial,
        {
            "pytest": SERIAL,
            "qe 2": [*SERIAL, "--qe-parallel=2"],
            "xdist 2": [*XDIST, "2"],
        },
    ),
    Row(
        "flaky 10",
        trivial,
        {
            "flakefinder 10": ["-p", "no:xdist", "--flake-finder", "--flake-runs=10"],
            "qe 10": [*SERIAL, "--qe-flaky=10"],
        },
    ),
    Row(
        "sleeping",
        sleeping,
        {"qe 10": [*SERIAL, "--qe-parallel=10"], "xdist 10": [*XDIST, "10"]},
    ),
    Row(
        "skewed",
        skewed,
        {
            "qe 4": [*SERIAL, "--qe-parallel=4"],
            "xdist 4": [*XDIST, "4"],
            "xdist 4 worksteal": [*XDIST, "4", "--dist=worksteal"],
        },
    ),
]


def timed(options: list[str], folder: Path) -> tuple[float, float]:
    """Wall and processor seconds of one run, with all its processes."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *PLUGINS_OFF, *options],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"pytest {' '.join(options)} failed:\n{done.stdout[-2000:]}{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def run_row(row: Row, runs: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="qe-bench-"))
    try:
        row.make(folder)
        for options in row.commands.values():
            timed(options, folder)  # byte code, caches and history
        walls: dict[str, list[float]] = {name: [] for name in row.commands}
        cpus: dict[str, list[float]] = {name: [] for name in row.commands}
        for _ in range(runs):
            for name, options in row.commands.items():
                wall, cpu = timed(options, folder)
                walls[name].append(wall)
                cpus[name].append(cpu)
        first = next(iter(row.commands))
        for name in row.commands:
            ratios = [a / b for a, b in zip(walls[name], walls[first], strict=True)]
            cpu_ratios = [a / b for a, b in zip(cpus[name], cpus[first], strict=True)]
            print(
                f"{row.name:10} {name:18} {statistics.median(walls[name]):7.2f} "
                f"{statistics.median(ratios):6.2f} {statistics.median(cpus[name]):7.2f} "
                f"{statistics.median(cpu_ratios):6.2f}",
                flush=True,
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=[row.name for row in ROWS])
    args = parser.parse_args()
    print(
        f"{os.cpu_count()} processors, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, medians of {args.runs} interleaved runs"
    )
    print(f"{'suite':10} {'command':18} {'wall s':>7} {'ratio':>6} {'cpu s':>7} {'ratio':>6}")
    for row in ROWS:
        if args.only in (None, row.name):
            run_row(row, args.runs)


if __name__ == "__main__":
    main()
