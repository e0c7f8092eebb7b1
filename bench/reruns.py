"""What it costs to run a failed test again, beside pytest-rerunfailures.

    python bench/reruns.py [--rounds N]

Tests that fail ten times and then pass, and as many that pass at once: the difference
is that of the reruns, with the reports of the failures. pytest-rerunfailures runs a test
again in the same process, which what failed has left as it is; ours in a fresh one.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import suites
from timing import QE, machine, run, suite, table

RERUNFAILURES = ["-p", "no:xdist", "-p", "no:flakefinder", "-p", "no:qe"]
TESTS = 20
FAILURES = 10
COMMANDS = {
    "rerunfailures": [*RERUNFAILURES, f"--reruns={FAILURES}"],
    "qe, one worker": [*QE, "--qe-parallel=1", f"--qe-retries={FAILURES}"],
    "qe, two workers": [*QE, "--qe-parallel=2", f"--qe-retries={FAILURES}"],
}


def _more(options: list[str], failing: Path, passing: Path) -> tuple[float, float]:
    """Milliseconds of wall and processor time for each rerun."""
    wall, cpu = run(options, failing)
    less_wall, less_cpu = run(options, passing)
    reruns = TESTS * FAILURES
    return 1000 * (wall - less_wall) / reruns, 1000 * (cpu - less_cpu) / reruns


def report(rounds: int) -> str:
    """The table."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    with (
        suite(lambda folder: suites.failing(folder, TESTS, FAILURES)) as failing,
        suite(lambda folder: suites.failing(folder, TESTS, 0)) as passing,
    ):
        for measured in range(-1, rounds):  # the first for byte code and history
            for name, options in COMMANDS.items():
                more = _more(options, failing, passing)
                if measured >= 0:
                    found[name].append(more)
    medians = {
        name: [statistics.median(values) for values in zip(*times, strict=True)]
        for name, times in found.items()
    }
    rows = [[name, f"{wall:.1f}", f"{cpu:.1f}"] for name, (wall, cpu) in medians.items()]
    head = [f"{TESTS} tests that fail {FAILURES} times", "wall ms a rerun", "cpu ms a rerun"]
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    args = parser.parse_args()
    print(machine() + "\n")
    print(report(args.rounds))


if __name__ == "__main__":
    main()
