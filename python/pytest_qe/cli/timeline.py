"""What ran where and when in a remembered run, drawn with letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.text import Text

from .safe import shown
from .screen import STYLES, many, seconds

_LEAST_CELLS = 20
_MOST_CELLS = 200
_LONGEST = 5
#: What is drawn of an outcome, the least important first: of several in one cell the last.
_LETTERS = {
    "skipped": "·", "none": "·", "passed": "█", "flaky": "~", "failed": "F", "error": "E",
    "timeout": "T", "crashed": "C",
}  # fmt: skip
_RANK = {outcome: rank for rank, outcome in enumerate(_LETTERS)}
_BAD = frozenset(("failed", "error", "timeout", "crashed"))


@dataclass(frozen=True)
class Attempt:
    """As ``_core.History.attempts`` tells it; times in seconds, ``start`` since the epoch."""

    id: str
    pass_: int
    attempt: int
    worker: int
    outcome: str
    start: float
    duration: float
    cpu: float
    peak_bytes: int
    status: int
    message: str | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> Attempt:
        name, message = row[0], row[-1]
        text = None if message is None else message.decode("utf-8", "replace")
        values = (name.decode("utf-8", "replace"), *row[1:-1], text)
        return cls(**dict(zip(cls.__dataclass_fields__, values, strict=True)))


def timeline(attempts: Sequence[Attempt], width: int) -> Iterator[Text]:
    """Lines: a track for each worker, and what took longest.

    Args:
        attempts: of one run, at least one.
        width: columns that there are.
    """
    begin = min(one.start for one in attempts)
    end = max(one.start + one.duration for one in attempts)
    span = max(end - begin, 1e-9)
    tracks: dict[int, list[Attempt]] = {}
    for one in attempts:
        tracks.setdefault(one.worker, []).append(one)
    head = max(len(f"gw{worker}") for worker in tracks)
    cells = max(_LEAST_CELLS, min(_MOST_CELLS, width - head - len("  100 %  ")))
    right = seconds(span)
    yield Text(f"{'':{head}}  0{right:>{cells - 1}}", "dim")
    for worker in sorted(tracks):
        line = Text(f"{f'gw{worker}':{head}}  ")
        for outcome, same in groupby(_cells(tracks[worker], begin, span, cells)):
            letter = " " if outcome is None else _LETTERS[outcome]
            line.append(letter * len(list(same)), STYLES.get(outcome or "", "dim"))
        busy = sum(one.duration for one in tracks[worker]) / span
        line.append(f"  {min(100.0, 100 * busy):3.0f} %", "dim")
        yield line
    yield from _legend(attempts)
    yield from _longest(attempts, begin)


def _cells(track: Sequence[Attempt], begin: float, span: float, cells: int) -> list[str | None]:
    found: list[str | None] = [None] * cells
    for one in track:
        outcome = one.outcome if one.outcome in _RANK else "none"
        first = min(cells - 1, int((one.start - begin) / span * cells))
        last = min(cells - 1, int((one.start + one.duration - begin) / span * cells))
        for cell in range(first, max(first + 1, last)):
            before = found[cell]
            if before is None or _RANK[outcome] > _RANK[before]:
                found[cell] = outcome
    return found


def _legend(attempts: Sequence[Attempt]) -> Iterator[Text]:
    there = {one.outcome if one.outcome in _RANK else "none" for one in attempts}
    line = Text("")
    for outcome, letter in _LETTERS.items():
        if outcome in there and outcome != "none":
            line.append(letter, STYLES.get(outcome, "dim"))
            line.append(f" {outcome}  ")
    if line:
        yield line


def _longest(attempts: Sequence[Attempt], begin: float) -> Iterator[Text]:
    yield Text("")
    yield Text("what took longest:", "bold")
    for one in sorted(attempts, key=lambda one: -one.duration)[:_LONGEST]:
        yield _row(one, begin)
    bad = [one for one in attempts if one.outcome in _BAD]
    if bad:
        yield Text("")
        yield Text(f"{many(len(bad), 'attempt')} that failed:", "bold")
        yield from (_row(one, begin) for one in bad[:_LONGEST])
        if len(bad) > _LONGEST:
            yield Text(f"  and {len(bad) - _LONGEST} more", "dim")


def _row(one: Attempt, begin: float) -> Text:
    again = f"  attempt {one.attempt}" if one.attempt > 1 else ""
    when = f"{seconds(one.duration):>10}  at {seconds(one.start - begin):<9}"
    line = Text(f"  {when} gw{one.worker}  ")
    line.append(one.outcome, STYLES.get(one.outcome, "dim"))
    line.append(f"  {shown(one.id)}{again}")
    return line
