"""Runs real suites serially and in parallel.

    parity.py compare   reports, warnings, JUnit and exit status must be equal
    parity.py bench     median wall and processor time
    parity.py demo      one suite, side by side

The interpreter that runs the suites needs pytest and pytest-qe: by default that of
`make build/e2e/venv.stamp`. `--with=OPTIONS` gives those of a parallel run and may be repeated;
`--with='-p xdist -n 2'` shows what a peer does.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from compare import Difference, Recorded, compare, load
from suites import BUILD, HERE, PYTHON, SUITES, SetupError, Suite, named, prepare

PARALLEL = "--qe-parallel"
TIMEOUT_S = 600


@dataclass
class Run:
    command: list[str]
    exit: int
    output: str
    wall_s: float
    cpu_s: float

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


def environment(record: Path | None) -> dict[str, str]:
    """The caller's environment without what would make runs differ."""
    env = dict(os.environ)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS", "CI", "NO_COLOR", "FORCE_COLOR"):
        env.pop(name, None)
    # The order of sets shows in messages, so it has to be the same in every run; a wide
    # terminal cuts no line off at another place because of a longer temporary path.
    env.update(PYTHONHASHSEED="0", COLUMNS="400", PYTHONPATH=str(HERE))
    if record is not None:
        env["PARITY_RECORD"] = str(record)
    return env


def execute(command: list[str], directory: Path, env: dict[str, str]) -> Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=directory,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            output += f"\nkilled after {TIMEOUT_S} s\n"
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(command, process.returncode, output, wall, cpu)


def pytest_command(suite: Suite, python: Path, options: str) -> list[str]:
    # Last failures are none of a comparison's business, and change the order.
    plain = [str(python), "-m", "pytest", *suite.arguments, "-p", "no:cacheprovider"]
    return [*plain, *shlex.split(options)]


def timed(suite: Suite, python: Path, options: str) -> Run:
    """A run as a user has it: no recorder."""
    return execute(pytest_command(suite, python, options), suite.path, environment(None))


def recorded(suite: Suite, python: Path, options: str, label: str) -> tuple[Run, Recorded]:
    """A run with everything written down, in build/e2e/LABEL.*"""
    directory = BUILD / "e2e" / "runs"
    directory.mkdir(parents=True, exist_ok=True)
    record, junit = directory / f"{label}.jsonl", directory / f"{label}.xml"
    for old in (record, junit):
        old.unlink(missing_ok=True)
    command = pytest_command(suite, python, options)
    command += ["-ra", "-p", "parity_recorder", f"--junitxml={junit}", "-o", "junit_family=xunit1"]
    run = execute(command, suite.path, environment(record))
    (directory / f"{label}.out").write_text(run.output, encoding="utf-8")
    return run, load(record, junit, run.output, run.exit)


def warm_up(suite: Suite, python: Path) -> None:
    """Compiles the byte code of a suite, so that no run pays for it."""
    run = timed(suite, python, "--collect-only -q")
    if run.exit != 0:
        raise SetupError(f"{suite.title} cannot be collected:\n{run.output}")


def slug(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-") or "serial"


@dataclass
class Row:
    """One line of the table: a parallel run against the serial one."""

    suite: Suite
    options: str
    tests: int
    serial: Run
    parallel: Run
    differences: list[Difference] = field(default_factory=list)

    def cells(self) -> list[str]:
        return [
            self.suite.title,
            self.options,
            str(self.tests),
            f"{self.serial.wall_s:.2f}",
            f"{self.parallel.wall_s:.2f}",
            f"{self.parallel.wall_s / self.serial.wall_s:.2f}",
            str(len(self.differences)),
        ]


HEADINGS = ["suite", "options", "tests", "serial s", "parallel s", "ratio", "differences"]


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as they need to be; numbers to the right."""
    lines = [headings, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


class Parity:
    """Runs each suite serially once, and then as often as asked in parallel."""

    def __init__(self, python: Path) -> None:
        self.python = python
        self.baselines: dict[str, tuple[Run, Recorded]] = {}
        self.rows: list[Row] = []

    def baseline(self, suite: Suite) -> tuple[Run, Recorded]:
        if suite.name not in self.baselines:
            prepare(suite, self.python)
            warm_up(suite, self.python)
            self.baselines[suite.name] = recorded(suite, self.python, "", f"{suite.name}-serial")
        return self.baselines[suite.name]

    def check(self, suite: Suite, options: str) -> Row:
        serial, expected = self.baseline(suite)
        parallel, found = recorded(suite, self.python, options, f"{suite.name}-{slug(options)}")
        differences = compare(expected, found)
        row = Row(suite, options, len(found.tests), serial, parallel, differences)
        self.rows.append(row)
        return row

    def table(self) -> str:
        return table(HEADINGS, [row.cells() for row in self.rows])


def show(row: Row, limit: int) -> str:
    """How many differences of each sort there are, and the first few of each."""
    sorts: dict[str, list[Difference]] = {}
    for difference in row.differences:
        sorts.setdefault(difference.sort, []).append(difference)
    parts = [f"{len(found):6} {sort}" for sort, found in sorts.items()]
    for found in sorts.values():
        parts += [f"\n{difference}" for difference in found[:limit]]
    if row.differences and not row.tests:
        parts.append("\n".join(row.parallel.output.splitlines()[-30:]))
    return "\n".join(parts)


def run_compare(arguments: argparse.Namespace) -> int:
    parity = Parity(arguments.python)
    different = False
    for suite in arguments.suites:
        for options in arguments.options:
            row = parity.check(suite, options)
            if row.differences:
                different = True
                print(f"--- {suite.title} {options}\n{show(row, arguments.show)}\n", flush=True)
    print(parity.table())
    return 1 if different else 0


def run_bench(arguments: argparse.Namespace) -> int:
    rows = []
    for suite in arguments.suites:
        prepare(suite, arguments.python)
        warm_up(suite, arguments.python)
        # Interleaved, so that a busy moment of the machine meets every kind of run.
        kinds: list[str] = ["", *arguments.options]
        runs: dict[str, list[Run]] = {kind: [] for kind in kinds}
        for _ in range(arguments.repeat):
            for kind in kinds:
                runs[kind].append(timed(suite, arguments.python, kind))
        walls = {kind: statistics.median(run.wall_s for run in runs[kind]) for kind in kinds}
        cpus = {kind: statistics.median(run.cpu_s for run in runs[kind]) for kind in kinds}
        for kind in kinds:
            rows.append(
                [
                    suite.title,
                    kind or "(serial)",
                    f"{walls[kind]:.2f}",
                    f"{walls[kind] / walls['']:.2f}",
                    f"{cpus[kind]:.2f}",
                    f"{cpus[kind] / cpus['']:.2f}",
                ]
            )
            print(f"{suite.title} {kind}: {runs[kind][-1].last_line}", flush=True)
    print(table(["suite", "options", "wall s", "ratio", "cpu s", "ratio"], rows))
    return 0


def versions(python: Path) -> str:
    code = "import platform, pytest; print(platform.python_version(), pytest.__version__)"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    number, pytest_version = done.stdout.split()
    return f"Python {number}, pytest {pytest_version}"


def run_demo(arguments: argparse.Namespace) -> int:
    suite, options = arguments.suites[0], arguments.options[0]
    processors = len(os.sched_getaffinity(0))
    if options == PARALLEL and processors < 2:
        options = f"{PARALLEL}=2"
    print(f"getting {suite.title} from the package index", flush=True)
    prepare(suite, arguments.python)
    warm_up(suite, arguments.python)
    words = " ".join(suite.arguments)
    titles = [f"pytest {words}", f"pytest {words} {options}"]
    best: list[Run | None] = [None, None]
    for turn in range(arguments.repeat):
        for index, kind in enumerate(["", options]):
            print(f"run {turn + 1} of {arguments.repeat}: {titles[index]}", flush=True)
            run = timed(suite, arguments.python, kind)
            fastest = best[index]
            if fastest is None or run.wall_s < fastest.wall_s or run.exit != 0:
                best[index] = run
    serial, parallel = best
    assert serial is not None and parallel is not None
    names = sorted(set(serial.counts) | set(parallel.counts))
    rows = [[n, str(serial.counts.get(n, 0)), str(parallel.counts.get(n, 0))] for n in names]
    rows.append(["exit status", str(serial.exit), str(parallel.exit)])
    rows.append(["wall time", f"{serial.wall_s:.2f} s", f"{parallel.wall_s:.2f} s"])
    rows.append(["processor time", f"{serial.cpu_s:.2f} s", f"{parallel.cpu_s:.2f} s"])
    width = max(len(title) for title in titles) + 2
    print(
        f"\n{suite.title} on {processors} processors, {versions(arguments.python)}; "
        f"the fastest of {arguments.repeat} runs each\n"
    )
    print(f"{'':<16}" + "".join(f"{title:>{width}}" for title in titles))
    for name, *cells in rows:
        print(f"{name:<16}" + "".join(f"{cell:>{width}}" for cell in cells))
    if serial.counts != parallel.counts or serial.exit != parallel.exit:
        for title, run in zip(titles, (serial, parallel), strict=True):
            print(f"\n$ {title}")
            print("\n".join(run.output.splitlines()[-20:]))
        print("\nThe outcomes DIFFER.")
        return 1
    print(f"\nSame outcomes, {serial.wall_s / parallel.wall_s:.2f} times as fast.")
    return 0


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["compare", "bench", "demo"])
    parser.add_argument("--suite", action="append", metavar="NAME", help="may be repeated")
    parser.add_argument("--with", action="append", dest="options", metavar="OPTIONS")
    parser.add_argument("--python", type=Path, default=PYTHON, help="what runs the suites")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="of bench and demo")
    parser.add_argument("--show", type=int, default=3, metavar="N", help="differences of a sort")
    arguments = parser.parse_args(argv)
    try:
        every = SUITES if arguments.command == "compare" else SUITES[:3]
        every = SUITES[:1] if arguments.command == "demo" else every
        arguments.suites = [named(name) for name in arguments.suite or []] or every
        arguments.options = arguments.options or [PARALLEL]
        # Made absolute, but not resolved: the link tells a virtual environment.
        arguments.python = arguments.python.absolute()
        command = {"compare": run_compare, "bench": run_bench, "demo": run_demo}
        return command[arguments.command](arguments)
    except SetupError as error:
        print(f"parity: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
