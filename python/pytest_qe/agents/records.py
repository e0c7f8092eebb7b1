"""Results of commands as the record of a run, which the history and every report are made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import _core
from ..texts import Texts
from .session import describe_end

#: What the core calls outcomes; what was interrupted, or never ran, has none.
OUTCOMES = {
    _core.outcome_name(number): number
    for number in (
        _core.PASSED, _core.FAILED, _core.ERROR, _core.TIMEOUT, _core.CRASHED, _core.FLAKY,
    )
}  # fmt: skip


def record_of(
    entries: Sequence[tuple[bytes, Sequence[dict[str, Any]]]], *, texts: bool = False
) -> _core.Record:
    """The record of commands that were run.

    Args:
        entries: of each command its name and its results, one a run, as ``Run.results`` has
            them: the first is pass 0. One without any has no outcome.
        texts: what attempts printed, and what failed in them, is in it.
    """
    record = _core.Record()
    kept = Texts(record) if texts else None
    for item, (name, results) in enumerate(entries):
        record.add_test(name)
        for number, one in enumerate(results):
            _add(record, item, number, one, kept)
        expected = next((one["expected"] for one in results if one.get("expected")), None)
        if expected is not None:
            record.set_expected(item, expected)
        if results:
            worst = min(results, key=lambda one: bool(one["passed"]))
            record.set_outcome(item, OUTCOMES.get(worst["outcome"], _core.NONE), message_of(worst))
    return record


def _add(
    record: _core.Record, item: int, number: int, result: dict[str, Any], kept: Texts | None
) -> None:
    last = result["history"][-1] if result["history"] else None
    for attempt in result["history"]:
        left = result if attempt is last else attempt
        outcome = OUTCOMES.get(attempt["outcome"], _core.NONE)
        if attempt is last and result["outcome"] not in OUTCOMES:
            outcome = _core.NONE  # interrupted: what it would have come to nobody knows
        record.add_attempt(
            item,
            number,
            attempt["attempt"],
            attempt.get("worker", 0),
            outcome,
            attempt["started"],
            attempt["seconds"],
            attempt["cpu_seconds"],
            attempt["peak_memory_bytes"],
            _status(attempt),
            None if attempt["outcome"] == "passed" else _told(left, attempt),
        )
        if kept is None:
            continue
        place = (item, number, attempt["attempt"])
        for failure in left.get("failures", ()):
            kept.add(place, _core.TEXT_FAILURE, failure["name"], failure["message"])
        for stream in ("stdout", "stderr"):
            if left.get(stream):
                kept.add(place, _core.TEXT_OUTPUT, stream, left[stream])


def _status(attempt: dict[str, Any]) -> int:
    """How its process died, as ``os.wait`` tells it; 0: it did not."""
    code = attempt["returncode"]
    if code is None or attempt["outcome"] == "passed":
        return 0
    if code < 0:
        return -int(code)
    return int(code) << 8 if attempt["outcome"] == "crashed" else 0


def _told(left: dict[str, Any], attempt: dict[str, Any]) -> str:
    ended = left.get("ended") or describe_end(attempt["returncode"])
    return message_of({**left, "outcome": attempt["outcome"], "ended": ended}) or ended


def message_of(result: dict[str, Any]) -> str | None:
    """One line that says what failed; None: nothing."""
    if result["outcome"] == "passed":
        return None
    if result.get("failures"):
        first = result["failures"][0]
        line = first["message"].strip().partition("\n")[0]
        return _plain(f"{first['name']}: {line}")
    return _plain(str(result["ended"]))


def _plain(text: str) -> str:
    return text.replace("\0", "\\x00").encode("utf-8", "replace").decode()
