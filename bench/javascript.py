"""qe-jest and qe-mocha beside jest and mocha.

    python bench/javascript.py --packages FOLDER [--rounds N] [--only NAME]

FOLDER has node_modules with all of them (`make bench` sees to it). Goals: on Node 20
at most 1/1.5 of jest's processor time, on Node 22 at most 1.03 of it; a skewed suite,
the second time, within 1.05 of what the longest file or the sum of all allows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import js_suites
from rows import HEADINGS, Row, lines
from timing import machine, suite, table, timed

WORKERS = 2


def rows(packages: Path) -> list[Row]:
    """All suites."""
    modules = packages / "node_modules"

    def node(script: str, *options: str) -> list[str]:
        return ["node", str(modules / script), *options]

    def jest(node22: bool = False) -> dict[str, list[str]]:
        found = {
            "jest -w 2": node("jest/bin/jest.js", "-w", str(WORKERS)),
            "qe-jest 2": node("qe-jest/js/bin/qe-jest.js", f"--parallel={WORKERS}"),
        }
        if node22:
            (other,) = modules.glob("node-linux-*/bin/node")
            found = {name: [str(other), *argv[1:]] for name, argv in found.items()}
        return found

    return [
        Row("jest", "60 files of 3 trivial tests", js_suites.trivial, jest()),
        Row("jest22", "the same on Node 22", js_suites.trivial, jest(node22=True)),
        Row("real", "200 files that use lodash, ajv, date-fns", js_suites.dependent, jest()),
        Row(
            "mocha",
            "60 files of 3 trivial tests",
            js_suites.trivial_mocha,
            {
                "mocha": node("mocha/bin/mocha.js"),
                "mocha 2": node("mocha/bin/mocha.js", "--parallel", f"--jobs={WORKERS}"),
                "qe-mocha 2": node("qe-jest/js/bin/qe-mocha.js", f"--parallel={WORKERS}"),
            },
        ),
    ]


def _linked(make: Callable[[Path], None], packages: Path) -> Callable[[Path], None]:
    """The suite, with the packages where its files look for them."""

    def made(folder: Path) -> None:
        make(folder)
        (folder / "node_modules").symlink_to(packages / "node_modules")

    return made


def report(packages: Path, rounds: int, only: str | None = None) -> str:
    """The table, and the skewed suite."""
    linked = [replace(row, make=_linked(row.make, packages)) for row in rows(packages)]
    found = lines(linked, rounds, only, timed)
    parts = [table(HEADINGS, found)] if found else []
    if only in (None, "skewed"):
        parts.append(_skewed(packages, rounds))
    return "\n\n".join(parts)


def _skewed(packages: Path, rounds: int) -> str:
    """The second run of a skewed suite against the longest-first bound.

    The bound is what the longest file, or all files shared out evenly, take by the
    run's own measure; the start is what a suite of one trivial file takes.
    """
    qe = rows(packages)[0].commands["qe-jest 2"]
    starts, walls, bounds = [], [], []
    with (
        suite(_linked(js_suites.single, packages)) as small,
        suite(_linked(js_suites.skewed, packages)) as folder,
    ):
        timed(qe, small)
        timed(qe, folder)  # remembers how long each file takes
        for _ in range(rounds):
            starts.append(timed(qe, small)[0])
            told = folder / "told.json"
            walls.append(timed([*qe, "--json", f"--outputFile={told}"], folder)[0])
            files = json.loads(told.read_text())["testResults"]
            seconds = [(one["endTime"] - one["startTime"]) / 1000 for one in files]
            bounds.append(max(max(seconds), sum(seconds) / WORKERS))
    ratios = [
        (wall - start) / bound for wall, start, bound in zip(walls, starts, bounds, strict=True)
    ]
    row = ["40 files of 0.1 s and one of 5 s, second run", *(
        f"{statistics.median(values):.2f}" for values in (walls, starts, bounds, ratios)
    )]  # fmt: skip
    return table(["skewed suite", "wall s", "start s", "bound s", "(wall - start) / bound"], [row])


def versions(packages: Path) -> str:
    """What was compared, in one line."""
    names = ("jest", "mocha", "qe-jest")
    found = []
    for name in names:
        manifest = packages / "node_modules" / name / "package.json"
        found.append(f"{name} {json.loads(manifest.read_text())['version']}")
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return ", ".join([f"Node {node.stdout.strip()}", *found])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--packages", type=Path, required=True, help="where node_modules is")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--only", help="one suite: jest, jest22, real, mocha, skewed")
    args = parser.parse_args()
    packages = args.packages.resolve()
    print(f"{machine()}; {versions(packages)}; medians of {args.rounds} interleaved rounds")
    print(report(packages, args.rounds, args.only))


if __name__ == "__main__":
    main()
