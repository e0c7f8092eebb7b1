"""All benchmarks; writes bench/RESULTS.md and bench/growth.svg.

    python bench/all.py [--rounds N] [--most TESTS] [--only TEXT]

Judge by the ratios: they come from interleaved rounds of one run on one
machine. Takes some forty minutes; with --only, the sections alone whose title has
that text are measured, and the others stay as they were.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import files
import flaky
import growth
import javascript
import layers
import peers
import reruns
import workers
from timing import machine

HERE = Path(__file__).parent


def _versions() -> str:
    names = ("pytest", "pytest-qe", "pytest-xdist", "pytest-flakefinder", "pytest-rerunfailures")
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=freeze"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    found = dict(line.split("==", 1) for line in listed if "==" in line)
    return ", ".join(f"{name} {found[name]}" for name in names if name in found)


def _parity(python: str) -> str:
    """The real suites, by the tool that also compares their results."""
    done = subprocess.run(
        [python, str(HERE.parent / "tests" / "e2e" / "parity.py"), "bench"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"parity.py bench failed:\n{done.stdout}{done.stderr}")
    return "```\n" + done.stdout.strip() + "\n```"


def _table(program: Path) -> str:
    """What a program in C prints: its own table."""
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{program} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--most", type=int, default=100_000, help="tests in the growth curve")
    parser.add_argument("--suites-python", required=True, help="interpreter of the real suites")
    parser.add_argument("--js-packages", required=True, type=Path, help="where node_modules is")
    parser.add_argument("--spawn", required=True, type=Path, help="what bench/spawn.c makes")
    parser.add_argument("--stats", required=True, type=Path, help="what bench/stats.c makes")
    parser.add_argument("--sprt", required=True, type=Path, help="what bench/sprt.c makes")
    parser.add_argument("--only", default="", metavar="TEXT", help="of a section's title")
    args = parser.parse_args()
    packages = args.js_packages.resolve()
    sections: dict[str, Callable[[], str]] = {
        "Beside peers": lambda: peers.report(args.rounds),
        "Finding flaky tests": flaky.report,
        "A failed test, run again": lambda: reruns.report(args.rounds),
        "Real suites": lambda: _parity(args.suites_python),
        "Private dirty memory of a worker (5,000 trivial tests)": lambda: workers.report(3),
        "JavaScript": lambda: (
            f"{javascript.versions(packages)}.\n\n" + javascript.report(packages, args.rounds)
        ),
        "Commands of the core, beside `xargs -P` (`/bin/true`)": lambda: _table(args.spawn),
        "Whole files by pytest's own command": lambda: files.report(args.rounds),
        "Layers of commands, beside `make -j2`": lambda: layers.report(args.rounds),
        "Statistics of a million attempts, on one processor": lambda: _table(args.stats),
        "Runs until a verdict, beside a fixed number": lambda: _table(args.sprt),
        "Growth": lambda: (
            "![seconds by tests and by workers](growth.svg)\n\n"
            + growth.report(HERE / "growth.svg", args.most)
        ),
    }
    path = HERE / "RESULTS.md"
    known = _sections(path.read_text()) if args.only and path.exists() else {}
    here = f"{datetime.date.today()}: {machine()}; {_versions()}; {args.rounds} rounds."
    parts = [
        "# Results\n\nWritten by `make bench`. Ratios are medians of the rounds' own ratios.",
    ]
    for title, report in sections.items():
        if args.only.lower() in title.lower():
            parts.append(f"## {title}\n\n{here}\n\n{report()}")
        elif title in known:
            parts.append(f"## {title}\n\n{known[title]}")
    text = "\n\n".join(parts) + "\n"
    path.write_text(text)
    print(text)


def _sections(text: str) -> dict[str, str]:
    """What was measured before, by title."""
    found = {}
    for part in text.split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        found[title] = body.strip()
    return found


if __name__ == "__main__":
    main()
