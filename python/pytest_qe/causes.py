"""Why tests are flaky: carries the probes of the core's inquiries (qe_cause.h) to the
session, and the results back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _core
from .passes import MOST_ROOM, around_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .delivery import Attempt
    from .failures import Way
    from .passes import Given, Passes

#: Causes as they are told.
TOLD = {
    "order": "order: polluted by",
    "brittle": "order: needs",
    "self": "pollutes itself: fails when it runs again in one process",
    "files": "files that an earlier run left",
    "hash": "hash order (PYTHONHASHSEED)",
    "random": "random numbers",
    "time": "time of day, date or zone",
    "timing": "timing of threads or processes",
    "neighbours": "what runs at the same time",
    "network": "network",
    "resources": "limits of resources",
    "locale": "locale",
    "unknown": "unknown",
}


class Context(NamedTuple):
    """An execution of a test in a pass."""

    items: list[int]  # up to the test
    seed: int
    server: int
    started: float


class Case(NamedTuple):
    """A test to inquire into, and what was seen of it."""

    item: int
    failed: Context | None
    passed: Context | None
    neighbours: list[int]
    files: int  # of the pass that it failed in
    ways: set[Way]  # its failures, as they were seen
    rate: float


class _Run:
    """A probe that is under way: in one pass, or in two."""

    def __init__(self, inquiry: _Inquiry, probe: _core.Probe, around: dict[str, Any]) -> None:
        self.inquiry = inquiry
        self.probe = probe
        self.around = around
        self.passes = 0  # that have not ended
        self.waits = probe["beside"] == "then"  # for the first of two
        self.result: int | None = None
        self.broken = False
        self.started = 0.0

    def hear(self, result: int, started: float) -> None:
        """Of two at once it fails if either does."""
        if self.result is None or result == 0:
            self.result, self.started = result, started


class _Inquiry:
    def __init__(self, case: Case, core: _core.Inquiry) -> None:
        self.case = case
        self.core = core
        self.under_way = 0


class Inquiries:
    """All inquiries of a run, some at a time.

    Args:
        cases: the tests, the most important first.
        all_items: every test, in order.
        servers: how many hash seeds there are beside the run's own.
        seconds: after which no more is begun.
        refused: names of changes that could not be made, by pass.
        renamed: tests that are others in the process of a server.
        evidence: told the result of each execution that nothing was changed around.
        order_only: looks for polluters and setters alone.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        all_items: list[int],
        passes: Passes,
        *,
        workers: int,
        servers: int = 0,
        seconds: float,
        alpha: float,
        seed: int,
        refused: dict[int, list[str]],
        gone: set[int],
        renamed: Collection[int] = (),
        evidence: Callable[[int, int], None] = lambda item, result: None,
        order_only: bool = False,
    ) -> None:
        self._passes = passes
        self._workers = workers
        self._refused = refused
        self._gone = gone
        self._renamed = renamed
        self._evidence = evidence
        self._runs: dict[int, _Run] = {}  # by pass
        self._second: list[_Run] = []  # whose first pass has ended
        self._files = MOST_ROOM  # beyond those of a hunt's passes
        self._began = time.monotonic()
        self._until = self._began + seconds
        self._full = False
        self.seconds = 0.0
        self.executions = 0
        self.cut = 0  # inquiries that time or room ended
        self.unended: set[int] = set()  # tests of those that had begun
        self.forbidden: set[str] = set()
        self._options: dict[str, Any] = {
            "all": all_items,
            "servers": servers,
            "alpha": alpha,
            "seed": seed,
            "order_only": order_only,
        }
        self._cases = cases
        self._turns = _core.Turns(len(cases), workers)
        self._begun: dict[int, _Inquiry] = {}  # by case, until it has ended
        self.findings: dict[int, _core.Finding] = {}

    # ------------------------------------------------------------- what runs

    def feed(self, session: _core.Session, units: list[tuple[int, int]]) -> bool:
        """Gives the session what is wanted next: False once all is over."""
        while len(self._runs) + len(self._second) <= self._workers or self._second:
            if self._second:
                if not self._give_items(session, units, self._second.pop()):
                    self._full = True
            elif not self._next(session, units):
                break
        if self._runs or self._begun:
            return True
        self.seconds = time.monotonic() - self._began
        self.cut += len(self._cases) - self._turns.begun()
        return False

    def _next(self, session: _core.Session, units: list[tuple[int, int]]) -> bool:
        """One more probe, of any inquiry."""
        late = self._full or time.monotonic() > self._until
        if late:
            self._turns.stop()
        while which := self._asked():
            number, inquiry = which
            probe = False if late else inquiry.core.next()
            if probe:
                self._turns.asks(number)
                if not self._give(session, units, inquiry, probe):
                    self._full = True
                return True
            if probe is None or inquiry.under_way > 0:
                self._turns.waits(number)
                continue
            self._turns.over(number)
            self._end(number, late)
        return False

    def _asked(self) -> tuple[int, _Inquiry] | None:
        """The inquiry whose turn it is, by the number of its case."""
        number = self._turns.next()
        if number is None or number is False:
            return None
        if number not in self._begun:
            self._begun[number] = self._begin(self._cases[number])
        return number, self._begun[number]

    def _begin(self, case: Case) -> _Inquiry:
        options = dict(self._options)
        if case.item in self._renamed:
            options["servers"] = 0  # there it is another test
        core = _core.Inquiry(
            test=case.item, failed=case.failed, passed=case.passed,
            neighbours=case.neighbours, rate=case.rate, forbidden=sorted(self.forbidden),
            **options,
        )  # fmt: skip
        return _Inquiry(case, core)

    def _end(self, number: int, early: bool) -> None:
        inquiry = self._begun.pop(number)
        if early:
            self.cut += 1
            self.unended.add(inquiry.case.item)
        self.findings[inquiry.case.item] = inquiry.core.finding()

    def _give(
        self,
        session: _core.Session,
        units: list[tuple[int, int]],
        inquiry: _Inquiry,
        probe: _core.Probe,
    ) -> bool:
        if probe["left_files"]:
            files = inquiry.case.files
        else:
            self._files = files = self._files + 1
        around = around_of(probe["around"], probe["clock"], files=files)
        run = _Run(inquiry, probe, around)
        inquiry.under_way += 1
        if run.waits:
            given = self._pass(session, units, run, probe["others"])
        else:
            if probe["beside"] == "meanwhile":
                self._files += 1
                around["partner"] = self._files
            given = self._give_items(session, units, run)
            if given and probe["beside"] == "meanwhile":
                given = self._pass(session, units, run, probe["others"])
        if not given:
            inquiry.under_way -= 1
            inquiry.core.result(probe["number"], 2, 0.0)
        return given

    def _give_items(self, session: _core.Session, units: list[tuple[int, int]], run: _Run) -> bool:
        given = self._pass(session, units, run, run.probe["items"])
        if not given and run.waits is False and run.probe["beside"] == "then":
            self._over(run)
        return given

    def _pass(
        self, session: _core.Session, units: list[tuple[int, int]], run: _Run, items: list[int]
    ) -> bool:
        given = self._passes.give(
            session, units, items, run.probe["seed"],
            around=run.around, server=run.probe["server"],
            serial=run.probe["beside"] == "exclusive",
        )  # fmt: skip
        if given is None:
            return False
        run.passes += 1
        self._runs[given.number] = run
        return True

    # ------------------------------------------------------- what came of it

    def owns(self, pass_: int) -> bool:
        return pass_ in self._runs

    def add(self, item: int, pass_: int, attempt: Attempt, outcome: int, result: int) -> None:
        """Takes in one execution of a pass of ours: 1 passed, 0 failed, 2 neither."""
        run = self._runs[pass_]
        case = run.inquiry.case
        self.executions += 1
        given = self._passes.given[pass_]
        last = self._passes.place(pass_, attempt.unit) == len(given.items) - 1
        first_of_two = run.waits
        if last and item == case.item and not first_of_two:
            if result == 0:
                from .failures import way_of_attempt

                result = 0 if way_of_attempt(attempt, outcome) in case.ways else 2
            run.hear(result, attempt.began)
        elif outcome in (_core.CRASHED, _core.TIMEOUT):
            run.broken = True  # what it had left in its process is gone
        if self._passes.done(pass_, attempt.unit, outcome):
            self._pass_over(run, given)

    def _pass_over(self, run: _Run, given: Given) -> None:
        del self._runs[given.number]
        run.passes -= 1
        refused = set(self._refused.get(given.number, ())) & set(run.probe["around"])
        self.forbidden |= refused
        if refused or given.server in self._gone:
            run.broken = True
        if run.waits:
            run.waits = False
            self._second.append(run)
        elif run.passes == 0:
            self._over(run)

    def _over(self, run: _Run) -> None:
        result = 2 if run.broken or run.result is None else run.result
        run.inquiry.under_way -= 1
        run.inquiry.core.result(run.probe["number"], result, run.started)
        if result in (0, 1) and not run.probe["around"]:
            self._evidence(run.inquiry.case.item, result)

    def end(self) -> None:
        """What is known of those that were not ended, after Ctrl-C."""
        for number in list(self._begun):
            self._end(number, True)
        self.seconds = time.monotonic() - self._began


def describe(finding: _core.Finding, ids: list[str]) -> dict[str, Any]:
    """A finding for the JSON result."""
    told: dict[str, Any] = {
        "cause": finding["cause"],
        "p": finding["p"],
        "culprits": [ids[item] for item in finding["culprits"]],
        "probes": finding["probes"],
    }
    for side in ("with", "without"):
        name = finding[f"{side}_name"]  # type: ignore[literal-required]
        if name is not None:
            failed, passed = finding[f"{side}_counts"]  # type: ignore[literal-required]
            told[side] = {"name": name, "failed": failed, "passed": passed}
    return told
