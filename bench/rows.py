"""Suites side by side: each is run by several commands, the first of which is the measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from timing import interleaved, run, suite


@dataclass(frozen=True)
class Row:
    """One suite, and the commands that run it; ratios are to the first."""

    name: str
    what: str
    make: Callable[[Path], None]
    commands: dict[str, list[str]]


HEADINGS = ["suite", "command", "wall s", "ratio", "cpu s", "ratio"]


def lines(
    rows: Iterable[Row],
    rounds: int,
    only: str | None,
    once: Callable[..., tuple[float, float]] = run,
) -> list[list[str]]:
    """What a table says of each row, or of the one that is called `only`."""
    found = []
    for row in rows:
        if only not in (None, row.name):
            continue
        with suite(row.make) as folder:
            times = interleaved(row.commands, folder, rounds, once)
        first = next(iter(times.values()))
        for name, t in times.items():
            wall, cpu = t.ratios(first)
            label = f"{row.name}: {row.what}" if t is first else ""
            numbers = [f"{t.wall:.2f}", f"{wall:.2f}", f"{t.cpu:.2f}", f"{cpu:.2f}"]
            found.append([label, name, *numbers])
    return found
