"""Whole test files, each by a command of its own: qe beside xargs and pytest-xdist.

    python bench/files.py [--rounds N] [--only NAME]

What bounds a row is in its name: 50 files of 1 s, 10 at once, take 5 s; starts 0.1 s apart
take 4.9 s by themselves. The hunter's own limits (files two at a time, half a second apart,
three runs of each, 0.2 s apart) make 20.5 s of 100 runs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import suites
from rows import HEADINGS, Row, lines
from timing import machine, table, timed

QE = [sys.executable, "-m", "pytest_qe"]
PYTEST = f"{sys.executable} -m pytest -q -p no:cacheprovider"
FILES = "test_*.py"


def _shell(command: str) -> list[str]:
    return ["sh", "-c", command]


def _qe(command: str, *options: str) -> list[str]:
    return _shell(" ".join([*QE, command, FILES, "--framework=pytest", *options]))


def _ten(folder: Path) -> None:
    suites.sleeping(folder, 10)


ROWS = [
    Row(
        "files",
        "50 files of 1 s, 10 at once",
        suites.sleeping,
        {
            "xargs -P 10 pytest": _shell(f"ls {FILES} | xargs -P 10 -n 1 {PYTEST}"),
            "qe exec": _qe("exec"),
            "qe exec --warm": _qe("exec", "--warm"),
            "pytest-xdist -n 10": _shell(f"{PYTEST} -p no:qe -n 10 {FILES}"),
        },
    ),
    Row(
        "hunt",
        "10 files of 1 s, 10 runs of each",
        _ten,
        {
            "qe hunt": _qe("hunt"),
            "qe hunt --warm": _qe("hunt", "--warm"),
            "qe hunt --warm --adaptive": _qe("hunt", "--warm", "--adaptive"),
        },
    ),
]


def report(rounds: int, only: str | None = None) -> str:
    """The table."""
    return table(HEADINGS, lines(ROWS, rounds, only, timed))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    parser.add_argument("--only", choices=[row.name for row in ROWS])
    args = parser.parse_args()
    print(machine() + "\n")
    print(report(args.rounds, args.only))


if __name__ == "__main__":
    main()
