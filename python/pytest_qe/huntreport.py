"""What an adaptive hunt has found, as a section of the terminal's summary."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from . import stats
from .hunting import VERDICTS, Hunt

if TYPE_CHECKING:
    import pytest

_MAX_ROWS = 50
_SEEN = 0.95  # how likely what is called visible would have been seen


def _rate(found: dict[str, Any]) -> str:
    """The failure rate, with an interval that holds whenever one stops."""
    failures, passes = found["failures"], found["passes"]
    interval = stats.confidence_sequence(failures, passes)
    return (
        f"{failures / (failures + passes):4.0%} "
        f"({100 * interval.low:.0f}-{100 * interval.high:.0f} %)"
    )


def _passes(hunt: Hunt, item: int) -> str:
    """The orders in which it failed."""
    names = Counter(hunt.passes[p]["condition"] for p, r in hunt.results_of(item) if r == 0)
    return ", ".join(f"{name} {n}x" if n > 1 else name for name, n in names.items())


def write(reporter: pytest.TerminalReporter, hunt: Hunt, items: list[pytest.Item]) -> None:
    """Writes a row for each test that failed, and what the others allow to say."""
    order = list(VERDICTS)
    found = [hunt.verdict(item) for item in range(len(items))]
    counts = Counter(one["verdict"] for one in found)
    rows = [
        (order.index(one["verdict"]), number, one)
        for number, one in enumerate(found)
        if one["verdict"] in order[:3]
    ]
    rows.sort(key=lambda row: row[:2])
    reporter.write_sep("=", "flaky hunt")
    if rows:
        reporter.write_line("verdict          runs  failed   rate             test: failed in")
    for _, number, one in rows[:_MAX_ROWS]:
        runs = one["failures"] + one["passes"]
        reporter.write_line(
            f"{VERDICTS[one['verdict']]:15}  {runs:4}  {one['failures']:6}   {_rate(one):15}  "
            f"{items[number].nodeid}: {_passes(hunt, number)}"
        )
    if len(rows) > _MAX_ROWS:
        reporter.write_line(f"... and {len(rows) - _MAX_ROWS} more (--qe-json has all)")
    clear = [one["passes"] for one in found if one["verdict"] == "clear"]
    if clear:
        runs = sorted(clear)[(len(clear) - 1) // 2]
        times = max(1, int(1 / stats.rate_seen(runs, 1 - _SEEN)))
        reporter.write_line(
            f"nothing seen in {len(clear)} tests: by {runs} runs (the median) one that fails "
            f"1 time in {times} would have been seen with {_SEEN:.0%}"
        )
    spent = sum(made["tests"] for made in hunt.passes)
    reporter.write_line(
        ", ".join(f"{counts[name]} {VERDICTS[name]}" for name in order if counts[name])
        + f"; {spent} runs in {len(hunt.passes)} passes"
    )
