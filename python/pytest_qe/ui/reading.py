"""What the history knows, as values for JSON. All of it is asked of the core."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .. import _core, quarantine, remembered, stats
from ..errors import NotFound, QeError

_T = TypeVar("_T")
Row = dict[str, Any]

ALPHA = 0.05
MOST_RUNS = 200
MOST_EXECUTIONS = 1000
MOST_TESTS = 200
_LEAST_OF_A_CHANGE = 6  # results


class Trouble(Exception):
    """What was asked for cannot be told; the text is one line that says why.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def text_of(data: bytes | None) -> str | None:
    """Any bytes as text that JSON can carry, and ``bytes_of`` takes back."""
    return None if data is None else data.decode("utf-8", "surrogateescape")


def _rate(failures: int, passes: int) -> Row:
    row: Row = {"runs": failures + passes, "failures": failures}
    if failures + passes:
        low, high = stats.jeffreys(failures, passes, ALPHA, clamped=True)
        row |= {"rate": failures / (failures + passes), "low": low, "high": high}
    return row


class Reader:
    """The history, opened when it is there, and again when another file has taken its place.

    Safe to use from several threads. Nothing is ever made or written.

    Args:
        path: the database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._history: _core.History | None = None
        self._file: tuple[int, int] | None = None

    def use(self, call: Callable[[_core.History], _T]) -> _T:
        """Calls with the open history.

        Raises: ``Trouble``: 404 where there is none, or not what is asked for; 503 where it
            cannot be read.
        """
        with self._lock:
            try:
                return call(self._opened())
            except NotFound:
                raise Trouble(404, "the history does not know it (any more)") from None
            except (QeError, OSError) as error:
                self._close()
                why = error.strerror if isinstance(error, OSError) else str(error)
                raise Trouble(503, f"{self.path}: {why}") from None

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._history is not None:
            self._history.close()
        self._history = self._file = None

    def _opened(self) -> _core.History:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._close()
            raise Trouble(404, f"{self.path}: there is no history yet") from None
        if status.st_size == 0:  # a run is making it
            self._close()
            raise Trouble(404, f"{self.path}: there is nothing in it yet")
        if self._history is None or self._file != (status.st_dev, status.st_ino):
            self._close()
            if not self.path.is_file():
                raise Trouble(503, f"{self.path}: is no file")
            self._history = _core.History(os.fsencode(self.path), True)
            self._file = (status.st_dev, status.st_ino)
        return self._history

    # ------------------------------------------------------------------ what there is

    def state(self) -> Row:
        """Whether there is a history, and its newest run."""
        try:
            runs = self.runs(1)
        except Trouble as trouble:
            state = "absent" if trouble.status == 404 else "unusable"
            return {"state": state, "path": str(self.path), "says": str(trouble)}
        return {"state": "ok", "path": str(self.path), "latest": runs[0] if runs else None}

    def runs(self, most: int) -> list[Row]:
        """The newest runs, newest first."""
        found = self.use(lambda history: history.runs(min(most, MOST_RUNS)))
        return [_run(row) for row in found]

    def run(self, number: int) -> Row:
        """A run: its tests with what became of them, and rows of attempts that name tests by
        their place in that list."""

        def both(history: _core.History) -> tuple[Any, Any, Any]:
            return history.run(number), history.outcomes(number), history.attempts(number)

        run, outcomes, attempts = self.use(both)
        place: dict[bytes, int] = {}
        tests: list[list[Any]] = []
        for name, outcome, message in outcomes:
            place[name] = len(tests)
            tests.append([text_of(name), outcome, text_of(message)])
        rows = []
        for row in attempts:
            at = place.get(row[0])
            if at is None:
                at = place[row[0]] = len(tests)
                tests.append([text_of(row[0]), "none", None])
            rows.append([at, *row[1:-1], text_of(row[-1])])
        return {**_run(run), "tests": tests, "attempts": rows}

    # ----------------------------------------------------------------------- one test

    def test(self, name: bytes) -> Row:
        """All that is known of one test."""

        def asked(history: _core.History) -> tuple[Any, ...]:
            return (
                history.rates(name, _core.BY_DAY),
                history.rates(name, _core.BY_REVISION),
                history.executions(name, MOST_EXECUTIONS),
                history.clean([name])[0],
            )

        days, commits, executions, clean = self.use(asked)
        if not executions:
            raise Trouble(404, "the history knows no run of this test")
        failures, passes = sum(row[1] for row in days), sum(row[2] for row in days)
        rows = [_execution(row) for row in executions]
        return {
            "id": text_of(name), "all": _rate(failures, passes), "clean": clean,
            "days": [_label(row) for row in days],
            "commits": [_label(row) for row in commits],
            "executions": rows, "most": MOST_EXECUTIONS, "change": _change(rows),
        }  # fmt: skip

    def top(self, by: str, most: int) -> Row:
        """The tests that stand out; ``by``: as ``remembered.top`` takes it."""
        known, found, rows = self.use(
            lambda history: remembered.top(history, by, min(most, MOST_TESTS))
        )
        for row in rows:
            row["id"] = text_of(row["id"])
        return {"known": known, "found": found, "tests": rows}

    # --------------------------------------------------------------------- quarantine

    def held(self, file: Path) -> list[Row]:
        """The entries of a quarantine file, with the executions that their tests have passed.

        Raises: ``Trouble``.
        """

        def entries(history: _core.History | None) -> list[Row]:
            return [
                {**entry.fields(), "clean": clean, "state": state}
                for entry, clean, state in remembered.entries(file, history)
            ]

        try:
            try:
                return self.use(entries)
            except Trouble:
                return entries(None)
        except quarantine.QuarantineError as error:
            raise Trouble(503, str(error)) from None


def _finite(value: float) -> float | None:
    """What another program may have written is no number of ours."""
    return value if math.isfinite(value) else None


def _run(row: Sequence[Any]) -> Row:
    names = ("id", "started", "wall", "workers", "revision", "branch", "outcomes")
    found = dict(zip(names, row, strict=True))
    found["revision"], found["branch"] = text_of(row[4]), text_of(row[5])
    return found


def _label(row: Sequence[Any]) -> Row:
    label, failures, passes, recovered, first, last, mean, longest = row
    known = passes + recovered > 0
    return {
        "label": text_of(label), **_rate(failures, passes), "recovered": recovered,
        "first": _finite(first), "last": _finite(last),
        "mean_s": _finite(mean) if known else None,
        "longest_s": _finite(longest) if known else None,
    }  # fmt: skip


def _execution(row: Sequence[Any]) -> Row:
    names = (
        "run", "run_started", "revision", "branch", "pass", "attempt", "outcome", "start",
        "duration", "peak_memory", "message",
    )  # fmt: skip
    found = dict(zip(names, row, strict=True))
    for name in ("revision", "branch", "message"):
        found[name] = text_of(found[name])
    return found


def _change(executions: Sequence[Row]) -> Row | None:
    """Where the failure rate has changed most, if it surely has: of first attempts."""
    first = [
        one for one in reversed(executions)
        if one["attempt"] <= 1 and one["outcome"] in ("passed", "failed", "error", "timeout",
                                                      "crashed")
    ]  # fmt: skip
    if len(first) < _LEAST_OF_A_CHANGE:
        return None
    try:
        change = stats.change_point([one["outcome"] == "passed" for one in first])
    except QeError:
        return None  # all of them failed, or passed
    if change.p > ALPHA or not 0 < change.at < len(first):
        return None
    before, after = first[change.at - 1], first[change.at]
    return {
        "p": change.p, "before": change.before, "after": change.after,
        "run": after["run"], "when": after["run_started"],
        "from": before["revision"], "to": after["revision"],
    }  # fmt: skip
