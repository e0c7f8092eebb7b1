"""pytest-qe beside its peers: pytest, pytest-xdist, pytest-flakefinder.

    python bench/peers.py [--rounds N] [--only NAME]

The interpreter needs all of them (`make bench` sees to it). Each row is one
suite; figures are medians of N interleaved rounds, ratios medians of the
rounds' ratios to the first command of the row. Wall time is what a user waits,
processor time what the machine spends on all processes.
"""

from __future__ import annotations

import argparse

import suites
from rows import HEADINGS, Row, lines
from timing import QE, SERIAL, XDIST, machine, table

FLAKEFINDER = ["-p", "no:xdist", "-p", "no:rerunfailures", "-p", "no:qe", "--flake-finder"]

ROWS = [
    Row(
        "single",
        "one trivial test",
        suites.single,
        {"pytest": SERIAL, "qe": [*QE, "--qe-parallel"], "xdist 1": [*XDIST, "1"]},
    ),
    Row(
        "trivial",
        "5,000 trivial tests in 100 files",
        suites.trivial,
        {"pytest": SERIAL, "qe 2": [*QE, "--qe-parallel=2"], "xdist 2": [*XDIST, "2"]},
    ),
    Row(
        "flaky",
        "the same, 10 passes",
        suites.trivial,
        {
            "flakefinder 10": [*FLAKEFINDER, "--flake-runs=10"],
            "qe 10": [*QE, "--qe-flaky=10"],
        },
    ),
    Row(
        "sleeping",
        "50 files that sleep 1 s, 10 workers",
        suites.sleeping,
        {"qe 10": [*QE, "--qe-parallel=10"], "xdist 10": [*XDIST, "10"]},
    ),
    Row(
        "skewed",
        "40 files of 0.1 s and one of 4 s, 4 workers, second run",
        suites.skewed,
        {
            "qe 4": [*QE, "--qe-parallel=4"],
            "xdist 4": [*XDIST, "4"],
            "xdist 4 worksteal": [*XDIST, "4", "--dist=worksteal"],
        },
    ),
]


def report(rounds: int, only: str | None = None) -> str:
    """The table."""
    return table(HEADINGS, lines(ROWS, rounds, only))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--only", choices=[row.name for row in ROWS], help="one suite")
    args = parser.parse_args()
    print(f"{machine()}; medians of {args.rounds} interleaved rounds")
    print(report(args.rounds, args.only))


if __name__ == "__main__":
    main()
