"""What people read of a failure: kept in the record, from where every report has it."""

from __future__ import annotations

import os
import shlex
from io import StringIO
from typing import TYPE_CHECKING, Any

from . import _core, attempts, retyping, stats
from .events import DataKind
from .keys import key
from .texts import Texts, shorter

if TYPE_CHECKING:
    import pytest

    from .delivery import Attempt

#: So many failing attempts of one test are kept whole.
_MOST_ATTEMPTS = 20


def told(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What it says of its failure, with the first line's indentation, unlike
    ``longreprtext``: a diff or a source is read in columns."""
    from _pytest._io import TerminalWriter

    stream = StringIO()
    writer = TerminalWriter(stream)
    writer.hasmarkup = False
    report.toterminal(writer)
    return stream.getvalue().strip("\n")


def marks_of(item: pytest.Item) -> tuple[str, ...]:
    """The names of a test's marks, each once."""
    return tuple(dict.fromkeys(mark.name for mark in item.iter_markers()))


class Details:
    """Puts the tests' marks, and the texts of what fails, into the record of a run.

    Args:
        record: the run's, which has its tests.
        items: the tests, in the order of the record.
    """

    def __init__(self, record: _core.Record, items: list[pytest.Item]) -> None:
        self._record = record
        self._texts = Texts(record)
        self._attempts: dict[int, int] = {}  # by test
        known: dict[tuple[str, ...], bytes] = {}
        for number, item in enumerate(items):
            names = marks_of(item)
            if names:
                if names not in known:
                    known[names] = key("\n".join(name.replace("\n", " ") for name in names))
                record.set_marks(number, known[names])

    def add(self, number: int, pass_: int, attempt: Attempt) -> None:
        """The texts of an attempt that is in the record, where it failed."""
        found = [v for kind, v in attempt.events if kind == DataKind.REPORT]
        failures = [report for report in found if attempts.is_failure(report)]
        if not failures or self._attempts.get(number, 0) >= _MOST_ATTEMPTS:
            return
        self._attempts[number] = self._attempts.get(number, 0) + 1
        place = (number, pass_, attempt.number)
        for report in failures:
            self._texts.add(place, _core.TEXT_FAILURE, report.when, told(report))
        # Each report has the output of the phases before it, too.
        for name, text in dict.fromkeys((str(n), str(t)) for r in found for n, t in r.sections):
            self._texts.add(place, _core.TEXT_OUTPUT, name, text)

    def add_late(self, number: int, pass_: int, attempt: Attempt) -> None:
        """What the session's teardown said, which came after the attempt's end."""
        late = attempt.session_report
        if late is not None and late.failed:
            place = (number, pass_, attempt.number)
            self._texts.add(place, _core.TEXT_FAILURE, "session teardown", told(late))


def uncollected(failed: list[pytest.CollectReport]) -> list[dict[str, str]]:
    """What could not be collected, and why, for the record of a run."""
    return [{"id": one.nodeid, "text": shorter(told(one))} for one in failed]


def complete_hunt(hunt: dict[str, Any], config: pytest.Config) -> dict[str, Any]:
    """A hunt's description with what a reader would have to compute: the interval of each
    rate, the whole command that shows a failure again, and the one that runs a test alone."""
    for nodeid, one in hunt.get("tests", {}).items():
        file, parts, name = nodeid.partition("::")
        path = os.path.relpath(config.rootpath / file, config.invocation_params.dir)
        alone = [*retyping.options_typed(config), f"{path}{parts}{name}"]
        one["command"] = shlex.join(["pytest", *alone])
        interval = stats.confidence_sequence(one["failures"], one["passes"])
        one["interval"] = [interval.low, interval.high]
        again = one.get("why", {}).get("replay")
        if again is not None:
            typed = retyping.options_typed(config)
            again["command"] = shlex.join(["pytest", *typed, again["option"]])
    return hunt
