"""Runs real suites serially and in parallel.

    parity.py compare   everything that a user is told must be equal (see compare.py)
    parity.py full      the same, in every combination of start method and distribution
    parity.py part      the same, one combination a suite: --part=N, by default that of today
    parity.py bench     median wall and processor time
    parity.py demo      one suite, side by side

The interpreter that runs the suites needs pytest and pytest-qe: by default that of
`make build/e2e/venv.stamp`. `--with=OPTIONS` gives those of a parallel run and may be repeated;
`--with='-p xdist -n 2'` shows what a peer does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import matrix
from compare import Difference, Recorded, compare
from matrix import PARALLEL
from runs import Run, recorded, slug, timed, warm_up
from suites import PYTHON, SUITES, SetupError, Suite, named, prepare


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
            *seconds(self.serial.wall_s, self.serial.loop_s, self.serial.bound_s),
            *seconds(self.parallel.wall_s),
            str(len(self.differences)),
        ]


def seconds(*values: float | None) -> list[str]:
    return ["-" if value is None else f"{value:.2f}" for value in values]


BOUND = "bound: 1.1 x (serial - loop / 2), where loop is what the serial run spent in tests"
HEADINGS = [
    "suite",
    "options",
    "tests",
    "serial s",
    "loop s",
    "bound s",
    "parallel s",
    "differences",
]


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


def compare_all(pairs: list[tuple[Suite, str]], python: Path, limit: int) -> int:
    parity = Parity(python)
    different = 0
    for suite, options in pairs:
        row = parity.check(suite, options)
        if row.differences or not row.tests:
            different += 1
            print(f"--- {suite.title} {options}\n{show(row, limit)}\n", flush=True)
        else:
            print(f"{suite.title} {options}: {row.tests} tests, equal", flush=True)
    print(f"\n{parity.table()}\n\n{BOUND}")
    print(f"{len(pairs) - different} passed, {different} failed")
    return 1 if different else 0


def run_compare(arguments: argparse.Namespace) -> int:
    pairs = [(s, options) for s in arguments.suites for options in arguments.options]
    return compare_all(pairs, arguments.python, arguments.show)


def run_matrix(arguments: argparse.Namespace) -> int:
    if arguments.command == "full":
        pairs = matrix.full()
    else:
        number = matrix.part_of_today() if arguments.part is None else arguments.part
        print(f"part {number}: parity.py part --part={number}")
        pairs = matrix.part(number)
    chosen = [pair for pair in pairs if pair[0] in arguments.suites]
    return compare_all(chosen, arguments.python, arguments.show)


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
        # A run without the loop's time has failed; its last line, printed below, says so.
        loop = statistics.median(run.loop_s or 0.0 for run in runs[""])
        bound = 1.1 * (walls[""] - loop / 2)
        cpus = {kind: statistics.median(run.cpu_s for run in runs[kind]) for kind in kinds}
        for kind in kinds:
            rows.append(
                [
                    suite.title,
                    kind or "(serial)",
                    *seconds(walls[kind], walls[kind] / walls[""]),
                    *seconds(cpus[kind], cpus[kind] / cpus[""]),
                    *seconds(*([loop, bound] if not kind else [None, None])),
                ]
            )
            print(f"{suite.title} {kind}: {runs[kind][-1].last_line}", flush=True)
    print(
        table(["suite", "options", "wall s", "ratio", "cpu s", "ratio", "loop s", "bound s"], rows)
    )
    print(f"\n{BOUND}")
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


COMMANDS = {
    "compare": run_compare,
    "full": run_matrix,
    "part": run_matrix,
    "bench": run_bench,
    "demo": run_demo,
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument("--suite", action="append", metavar="NAME", help="may be repeated")
    parser.add_argument("--with", action="append", dest="options", metavar="OPTIONS")
    parser.add_argument("--part", type=int, metavar="N", help="which part of the whole")
    parser.add_argument("--python", type=Path, default=PYTHON, help="what runs the suites")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="of bench and demo")
    parser.add_argument("--show", type=int, default=3, metavar="N", help="differences of a sort")
    arguments = parser.parse_args(argv)
    try:
        every = {"bench": SUITES[:-1], "demo": SUITES[:1]}.get(arguments.command, SUITES)
        arguments.suites = [named(name) for name in arguments.suite or []] or every
        arguments.options = arguments.options or [PARALLEL]
        # Made absolute, but not resolved: the link tells a virtual environment.
        arguments.python = arguments.python.absolute()
        return COMMANDS[arguments.command](arguments)
    except SetupError as error:
        print(f"parity: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
