"""Layers of commands that sleep: how near a run is to what bounds it.

    python bench/layers.py [--rounds N]

The path: three categories that need each other take 1.5, 1.5 and 2 s; five others take 1 s
each. With two processors, one for each category, no run is shorter than 5 s: the path, and half of
all the work. The first command is that bound itself; `make -j2` is the peer.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rows import HEADINGS, Row, lines
from timing import machine, table, timed

QE = [sys.executable, "-m", "pytest_qe", "layer", "all", "-q"]
PATH = {"a": (1.5, ""), "b": (1.5, "a"), "c": (2.0, "b")}
OTHERS = {f"x{number}": (1.0, "") for number in range(5)}


def _project(folder: Path) -> None:
    # The path comes last: who goes by the order given is late.
    parts = {**OTHERS, **PATH}
    categories = [
        {
            "name": name,
            "command": ["sleep", str(seconds)],
            "depends_on": [needs] if needs else [],
            "resources": {"cpu": 1},
        }
        for name, (seconds, needs) in parts.items()
    ]
    layers = {"all": {"execution_mode": "hybrid", "categories": categories}}
    (folder / "test_layers.yaml").write_text(json.dumps({"layers": layers}))
    rules = [f"all: {' '.join(parts)}"]
    rules += [f"{name}: {needs}\n\tsleep {seconds}" for name, (seconds, needs) in parts.items()]
    (folder / "Makefile").write_text("\n".join(rules) + "\n")


ROWS = [
    Row(
        "layers",
        "8 categories, two at a time, bound by 5 s",
        _project,
        {
            "sleep 5": ["sleep", "5"],
            "qe layer, hybrid": [*QE, "--max-parallel=2"],
            "make -j2": ["make", "-s", "-j2", "all"],
            "qe layer, sequential": [*QE, "--strategy=sequential"],
        },
    ),
]


def report(rounds: int, only: str | None = None) -> str:
    """The table."""
    return table(HEADINGS, lines(ROWS, rounds, only, timed))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    args = parser.parse_args()
    print(machine() + "\n")
    print(report(args.rounds))


if __name__ == "__main__":
    main()
