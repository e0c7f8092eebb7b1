"""What a worker costs: private memory, and the time until its first test.

python bench/workers.py [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import suites
from timing import QE, XDIST, machine, run, suite, table

COMMANDS = {"qe 2": [*QE, "--qe-parallel=2"], "xdist 2": [*XDIST, "2"]}


def _notes(options: list[str], folder: Path) -> dict[str, list[float]]:
    """What the workers noted, by word."""
    found: dict[str, list[float]] = {}
    with tempfile.NamedTemporaryFile("r", prefix="qe-bench-notes-") as file:
        run(options, folder, BENCH_NOTES=file.name)
        for line in file:
            word, value = line.split()
            found.setdefault(word, []).append(float(value))
    return found


def report(rounds: int) -> str:
    """The table: medians over workers and rounds."""
    first: dict[str, list[float]] = {name: [] for name in COMMANDS}
    end: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with suite(suites.watched) as folder:
        for _ in range(rounds):
            for name, options in COMMANDS.items():
                notes = _notes(options, folder)
                first[name] += notes["first"]
                end[name] += notes["end"]
    rows = []
    base_first = statistics.median(first["xdist 2"])
    base_end = statistics.median(end["xdist 2"])
    for name in COMMANDS:
        a, b = statistics.median(first[name]), statistics.median(end[name])
        rows.append(
            [name, f"{a / 1024:.1f}", f"{a / base_first:.2f}",
             f"{b / 1024:.1f}", f"{b / base_end:.2f}"]
        )  # fmt: skip
    return table(["command", "after 1 test MiB", "ratio", "at the end MiB", "ratio"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(machine())
    print(report(args.rounds))


if __name__ == "__main__":
    main()
