"""One result of a whole run across machines, from what its nodes have told the server.

It proves as it reads: each unit that was collected has exactly one outcome, and an attempt that
told it; what does not is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _core
from .keys import key
from .payloads import Payload, PayloadError, unpack
from .texts import Texts

if TYPE_CHECKING:
    from . import _queue

_AT_ONCE = 10_000  # units
_LONGEST_FAILURE = 1 << 16  # characters of it in JUnit
_ALL_FAILURES = 1 << 26
_MOST_WARNINGS = 100

FAILING = (_core.FAILED, _core.ERROR, _core.TIMEOUT, _core.CRASHED)
OUTCOMES = (
    _core.PASSED, _core.FAILED, _core.SKIPPED, _core.ERROR, _core.TIMEOUT, _core.CRASHED,
    _core.FLAKY, _core.NONE,
)  # fmt: skip


class Attempt(NamedTuple):
    """What JUnit needs of an attempt."""

    number: int  # from 1, as they were told
    outcome: int
    seconds: float
    text: str  # how it failed


@dataclass
class Test:
    """A test of the run: a unit, or the units of one name, as a hunt has them."""

    name: str
    outcomes: list[int] = field(default_factory=list)  # of its units; NONE: it has none
    attempts: list[Attempt] = field(default_factory=list)
    message: str | None = None
    quarantined: bool = False
    tests: dict[str, int] | None = None  # in it, where it is a file

    @property
    def outcome(self) -> int:
        """Of all its units."""
        failing = next((one for one in self.outcomes if one in FAILING), None)
        if _core.NONE in self.outcomes and failing is None:
            return _core.NONE
        if failing is not None:
            return _core.FLAKY if _core.PASSED in self.outcomes else failing
        return max(self.outcomes, key=_PLACE.__getitem__)

    @property
    def failed(self) -> bool:
        """Whether it fails the run."""
        return not self.quarantined and any(one in FAILING for one in self.outcomes)


_PLACE = {outcome: place for place, outcome in enumerate((
    _core.NONE, _core.SKIPPED, _core.PASSED, _core.FLAKY, *FAILING,
))}  # fmt: skip


class Whole:
    """A run as it is on the server now.

    Args:
        reader: of its project.
        name: the run's.
        keeps: whether ``counted`` is wanted.

    Raises: ``NoSuchRun``, ``QueueError``.

    Example: ``Whole(server("redis://host").reader("shop"), "42").missing``
    """

    def __init__(self, reader: _queue.Reader, name: str, *, keeps: bool = False) -> None:
        self.name = name
        #: Of each unit the node and the attempt that told its outcome first.
        self.counted: dict[int, tuple[str, Payload]] = {}
        self._keeps = keeps
        self.status = reader.status(name)
        self.record = _core.Record()
        self.tests: list[Test] = []
        #: What the proof found wrong, beside units without an outcome.
        self.troubles: list[str] = []
        self.warnings: list[str] = []
        self.nodes: Counter[str] = Counter()  # attempts of each
        self._lanes: dict[tuple[str, int], int] = {}
        self._late: list[dict[str, Any]] = []
        self._texts = Texts(self.record)
        self._left = _ALL_FAILURES
        self._first, self._last, self._spent = 0.0, 0.0, 0.0
        self._read_units(reader)
        self._read_attempts(reader)
        self._settle(reader)

    # ------------------------------------------------------------- reading

    def _read_units(self, reader: _queue.Reader) -> None:
        self._places: list[int] = []  # of each unit, its test
        self._outcomes: list[int] = []
        known: dict[bytes, int] = {}
        total = self.status["units"]
        while len(self._places) < total:
            at = len(self._places)
            found = reader.units(self.name, at, min(_AT_ONCE, total - at))
            if not found:
                break
            for name, outcome in found:
                item = known.setdefault(name, len(self.tests))
                if item == len(self.tests):
                    self.record.add_test(name)
                    self.tests.append(Test(name.decode("utf-8", "replace")))
                self.tests[item].outcomes.append(outcome)
                self._places.append(item)
                self._outcomes.append(outcome)
        self.flaky = len(self.tests) < len(self._places)
        if len(self._places) < total and self.status["state"] != "laying":
            self.troubles.append(
                f"the plan has {total} units, and the names of {len(self._places)} of them"
            )

    def _read_attempts(self, reader: _queue.Reader) -> None:
        self._proven = bytearray(len(self._places))
        self._passes: set[int] = set()
        after = ""
        while True:
            found, after = reader.tries(self.name, len(self._places), after)
            if not found:
                return
            for unit, _, outcome, node, late, data in found:
                self._add(unit, outcome, node, late, data)

    def _add(self, unit: int, told: int, node: str, late: bool, data: bytes) -> None:
        item = self._places[unit]
        test = self.tests[item]
        counts = told != _core.NONE and told == self._outcomes[unit]
        self.nodes[node] += 1
        try:
            one = unpack(data) if data else None
        except PayloadError as error:
            one = None
            self._warn(f"what {node} told of an attempt of {test.name} cannot be read: {error}")
        outcome = one["outcome"] if one is not None else told
        # Of attempts with one number, as after a lost lease, each has its own here.
        number = len(test.attempts) + 1
        test.attempts.append(
            Attempt(number, outcome, one["duration"] if one else 0.0, self._failure(one))
        )
        self._record(item, number, outcome, node, one)
        if late:
            self._late.append({"id": test.name, "attempt": number, "node": node})
        if one is not None and counts and not self._proven[unit]:
            self._take(item, one)
            if self._keeps:
                self.counted[unit] = (node, one)
        self._proven[unit] |= counts

    def _record(self, item: int, number: int, outcome: int, node: str, one: Payload | None) -> None:
        slot = one["worker"] if one is not None else 0
        lane = self._lanes.setdefault((node, slot), len(self._lanes))
        if one is None:
            self.record.add_attempt(item, 0, number, lane, outcome, 0.0, 0.0, 0.0, 0, 0, None)
            return
        start, duration = one["start"], one["duration"]
        message = one["message"]
        self._passes.add(one["pass_"])
        self.record.add_attempt(
            item, one["pass_"], number, lane, outcome, start, duration, one["cpu"],
            one["peak_memory"], one["status"], None if message is None else key(message).decode(
                "utf-8", "replace"
            ),
        )  # fmt: skip
        for text in one["texts"]:
            self._texts.add((item, one["pass_"], number), *text)
        self._spent += duration
        if start > 0:
            self._first = min(self._first or start, start)
            self._last = max(self._last, start + duration)

    def _take(self, item: int, one: Payload) -> None:
        """What an attempt says of its test, where it is the one that counts."""
        test = self.tests[item]
        test.message = one["message"] or test.message
        test.tests = one["tests"]
        test.quarantined = test.quarantined or one["quarantined"]
        if one["marks"]:
            self.record.set_marks(item, key("\n".join(m.replace("\n", " ") for m in one["marks"])))
        if one["expected"] > 0:
            self.record.set_expected(item, one["expected"])

    def _failure(self, one: Payload | None) -> str:
        if one is None or one["outcome"] in (_core.PASSED, _core.SKIPPED):
            return ""
        failures = [text.text for text in one["texts"] if text.kind == _core.TEXT_FAILURE]
        text = "\n".join(failures) or one["message"] or ""
        text = text[: min(_LONGEST_FAILURE, max(self._left, 1 << 10))]
        self._left -= len(text)
        return text

    def _settle(self, reader: _queue.Reader) -> None:
        for item, test in enumerate(self.tests):
            message = None if test.message is None else key(test.message).decode("utf-8", "replace")
            self.record.set_outcome(item, test.outcome, message)
            if test.quarantined:
                self.record.set_quarantined(item)
        _, odd = reader.outcomes(self.name, self.status["units"])
        if odd:
            self.troubles.append(f"there are {odd} outcomes of units that the plan does not have")
        for unit, outcome in enumerate(self._outcomes):
            if outcome != _core.NONE and not self._proven[unit]:
                name = self.tests[self._places[unit]].name
                self.troubles.append(f"no attempt told the outcome of {name}")

    def _warn(self, text: str) -> None:
        if len(self.warnings) < _MOST_WARNINGS:
            self.warnings.append(text)

    # ------------------------------------------------------------ what came of it

    @property
    def missing(self) -> list[str]:
        """Names of the units that have no outcome."""
        return [
            self.tests[self._places[unit]].name
            for unit, outcome in enumerate(self._outcomes)
            if outcome == _core.NONE
        ]

    @property
    def complete(self) -> bool:
        """Whether every unit has exactly one outcome, and nothing has more."""
        return (
            _core.NONE not in self._outcomes
            and not self.troubles
            and len(self._outcomes) == self.status["units"]
            and self.status["state"] != "laying"
        )

    def failed(self) -> Iterator[Test]:
        """Those that fail the run."""
        return (test for test in self.tests if test.failed)

    def counts(self) -> dict[str, int]:
        """How many tests came to each outcome."""
        found = Counter(test.outcome for test in self.tests)
        return {_core.outcome_name(outcome): found[outcome] for outcome in OUTCOMES}

    # ----------------------------------------------------------------- reports

    def run(self) -> dict[str, Any]:
        """The part of the JSON result about the run."""
        missing = self.missing
        found: dict[str, Any] = {
            "started": self._first or None,
            "wall": max(0.0, self._last - self._first),
            "test_time": self._spent,
            "workers": len(self._lanes),
            "lanes": {f"gw{lane}": f"{node}/gw{n}" for (node, n), lane in self._lanes.items()},
            "warnings": self.warnings,
            "stopped": _STOPPED if self.status["state"] == "stopped" else None,
            "queue": {
                "run": self.name,
                "state": self.status["state"],
                "units": self.status["units"],
                "complete": self.complete,
                "missing": missing,
                "troubles": self.troubles,
                "nodes": dict(self.nodes),
                "late": self._late,
            },
        }
        return {name: value for name, value in found.items() if value is not None}

    def junit(self) -> dict[str, Any]:
        """A result as ``cli.junitfile`` writes it: a suite for each file."""
        files: dict[str, list[Test]] = {}
        for test in self.tests:
            files.setdefault(test.name.partition("::")[0], []).append(test)
        return {
            "framework": "",
            "execution_time": max(0.0, self._last - self._first),
            "results": [_suite(file, tests) for file, tests in files.items()],
        }


_STOPPED = "the run was stopped: by --maxfail, or an abort"


def _suite(file: str, tests: list[Test]) -> dict[str, Any]:
    whole = tests[0] if len(tests) == 1 and tests[0].name == file else None
    outcomes = Counter(test.outcome for test in tests)
    errors = outcomes[_core.ERROR] + outcomes[_core.TIMEOUT] + outcomes[_core.CRASHED]
    passed = not outcomes[_core.FAILED] and not errors and not outcomes[_core.NONE]
    return {
        "file": file,
        "outcome": _word(tests[0].outcome) if whole else "passed" if passed else "failed",
        "passed": passed,
        "duration": sum(one.seconds for test in tests for one in test.attempts),
        "attempts": max(len(test.attempts) for test in tests),
        "tests": None if whole else {
            "total": len(tests), "failed": outcomes[_core.FAILED], "errors": errors,
            "skipped": outcomes[_core.SKIPPED] + outcomes[_core.NONE],
        },
        "cases": [] if whole else [_case(file, test) for test in tests],
        "history": _history(whole) if whole else [],
        "failures": [], "stdout": "", "stderr": "",
        "ended": (whole.message or _word(whole.outcome)) if whole else "",
    }  # fmt: skip


def _word(outcome: int) -> str:
    return "not_run" if outcome == _core.NONE else _core.outcome_name(outcome)


def _case(file: str, test: Test) -> dict[str, Any]:
    last = test.attempts[-1] if test.attempts else None
    word = _word(test.outcome)
    text = next((one.text for one in reversed(test.attempts) if one.text), "")
    return {
        "name": test.name.removeprefix(f"{file}::"),
        "seconds": last.seconds if last else 0.0,
        "outcome": {"not_run": "skipped", "flaky": "passed"}.get(word, word),
        "message": "it has no outcome" if word == "not_run" else told(test, text),
        "passed": test.outcome not in FAILING,
        "history": _history(test),
    }


def told(test: Test, text: str) -> str:
    """What failed, in a line, and below it how."""
    message = test.message or ""
    return text if not message or text.startswith(message) else f"{message}\n{text}".rstrip()


def _history(test: Test) -> list[dict[str, Any]]:
    return [
        {"attempt": one.number, "outcome": _core.outcome_name(one.outcome)} for one in test.attempts
    ]
