"""From what workers sent to pytest's ordinary hooks, once for every test.

The reports of a test are kept until its attempt has ended, then delivered in
one go, in serial pytest's order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from . import _core, attempts, bounds, compat, covering, planning, reports
from .events import DataKind, Lost, Plain
from .flaky import Tally, failed_as_expected
from .nodes import Node, QuietNode
from .options import Options
from .recording import Recording
from .terminal import Terminal

if TYPE_CHECKING:
    from .details import Details

#: The place of a DataKind for a phase that passed without output.
PASSED = 0


class Attempt:
    """What is known of an attempt that has not been delivered."""

    __slots__ = (
        "events", "failed", "lasting", "lost", "number", "seconds", "session_report", "slot",
        "start", "unit",
    )  # fmt: skip

    def __init__(self, unit: int, number: int, slot: int, start: float) -> None:
        self.unit = unit
        self.number = number
        self.slot = slot
        self.start = start
        self.seconds = 0.0
        self.events: list[tuple[int, Any]] = []  # (DataKind, report or bytes)
        self.failed: pytest.TestReport | None = None
        self.lost: Lost | None = None
        self.lasting = False  # no retry would show this failure
        self.session_report: pytest.TestReport | None = None

    @property
    def began(self) -> float:
        """When its body did; without one, when the attempt did."""
        for kind, value in self.events:
            if kind == PASSED and value[0] == _core.CALL:
                return float(value[1])
            if kind == DataKind.REPORT and value.when == "call":
                return float(value.start)
        return self.start


_NOT_FAILED = (_core.PASSED, _core.SKIPPED, _core.FLAKY)

#: So many failing passes of one test go into the JUnit report.
_MOST_PASSES = 20


def _message_of(attempt: Attempt) -> str | None:
    return None if attempt.failed is None else attempts.line_of(attempt.failed)


def _failures_of(attempt: Attempt) -> list[pytest.TestReport]:
    found = [v for kind, v in attempt.events if kind == DataKind.REPORT and attempts.is_failure(v)]
    late = attempt.session_report
    return found if late is None or not late.failed else [*found, late]


class _Unheard(list[Any]):
    """Reports that nobody listens to, made when somebody looks after all."""

    def __init__(self, reports: Iterable[pytest.TestReport]) -> None:
        super().__init__(reports)
        self.later: list[Callable[[], pytest.TestReport]] = []

    def _make(self) -> None:
        later, self.later = self.later, []
        self.extend(make() for make in later)

    def __iter__(self) -> Iterator[Any]:
        self._make()
        return super().__iter__()

    def __len__(self) -> int:
        return super().__len__() + len(self.later)

    def __getitem__(self, index: Any) -> Any:
        self._make()
        return super().__getitem__(index)


class Delivery:
    """Delivers attempts to reporters, and keeps the record of the run.

    Args:
        config: pytest's.
        session: pytest's, collected.
        options: the run's.
        units: (item, pass) of every unit.
        recording: where attempts and outcomes are remembered.
        tally: the count of a flaky hunt, None for an ordinary run.
        terminal: what we show beside pytest's own reporter.
        run_uid: an id of this run.
        workers: how many workers there are.
    """

    def __init__(
        self,
        config: pytest.Config,
        session: pytest.Session,
        options: Options,
        units: list[tuple[int, int]],
        recording: Recording,
        tally: Tally | None,
        terminal: Terminal,
        run_uid: str,
        workers: int,
    ) -> None:
        self.config = config
        self.session = session
        self.options = options
        self.units = units
        self.recording = recording
        self.tally = tally
        self.terminal = terminal
        self.run_uid = run_uid
        self.workers = workers
        self.held: dict[int, tuple[Attempt, int]] = {}  # by slot: (attempt, outcome)
        self.nodes: dict[int, Node] = {}
        self.quiet_nodes: dict[int, Node] = {}
        self.keywords: dict[int, dict[str, Any]] = {}
        self._shared_keywords: dict[int, dict[str, Any]] = {}
        self._ihooks: dict[Any, Any] = {}
        #: What failed in attempts before the one that counts, or in other passes.
        self._before: dict[int, list[pytest.TestReport]] = {}
        #: Tests that passed on a retry: how many attempts, and what failed first.
        self.recovered: list[tuple[str, int, str]] = []
        #: Where passed setups and teardowns go if nobody listens to them.
        self._unheard: _Unheard | None = None
        reporter = terminal.reporter
        if (
            reporter is not None
            and compat.all_deaf(config, "pytest_runtest_logreport")
            and compat.all_deaf(config, "pytest_report_teststatus")
        ):
            self._unheard = _Unheard(reporter.stats.get("", ()))
            reporter.stats[""] = self._unheard
        self._details: Details | None = None
        if options.reports:
            from .details import Details

            self._details = Details(recording.record, session.items)
        self.shows_workers = options.parallel is not None or options.flaky is not None

    def node(self, slot: int) -> Node:
        node = self.nodes.get(slot)
        if node is None:
            node = self.nodes[slot] = Node(self.config, slot)
            self.quiet_nodes[slot] = QuietNode(node)
            if slot >= self.workers:
                # Who stands by, or forks others, is given what plugins gave a worker.
                node.workerinput.update(self.node(slot % self.workers).workerinput)
            node.workerinput.update(
                workerid=f"gw{slot}",
                workercount=self.workers,
                testrunuid=self.run_uid,
                mainargv=sys.argv,
                **covering.worker_input(),
            )
        return node

    def item(self, unit: int) -> pytest.Item:
        return self.session.items[self.units[unit][0]]

    def item_by_id(self, nodeid: str) -> pytest.Item:
        for item in self.session.items:
            if item.nodeid == nodeid:
                return item
        return self.session.items[0]

    def know_location(self, unit: int, data: bytes | None) -> None:
        """The worker found it: it is a cached property, and here is its cache."""
        if data is not None:
            self.item(unit).__dict__.setdefault("location", reports.loads(data))

    def _plain_report(
        self, item: pytest.Item, number: int, slot: int, phase: int, start: float, duration: float
    ) -> pytest.TestReport:
        keywords = self.keywords.get(number)
        if keywords is None:
            keywords = self.keywords[number] = self._keywords_of(item)
        report = pytest.TestReport(
            reports.id_of(item), item.location, keywords, "passed", None,
            reports.PHASES[phase],  # type: ignore[arg-type]
            (), duration, start, start + duration, item.user_properties,
        )  # fmt: skip
        self._mark(report, slot)
        return report

    def _keywords_of(self, item: pytest.Item) -> dict[str, Any]:
        """``dict.fromkeys(item.keywords, 1)``, in the same order; what the item
        has from what it is in is looked up once."""
        own = getattr(item.keywords, "_markers", None)
        parent = item.parent
        if own is None or parent is None:
            return dict.fromkeys(item.keywords, 1)
        shared = self._shared_keywords.get(id(parent))
        if shared is None:
            shared = self._shared_keywords[id(parent)] = dict.fromkeys(parent.keywords, 1)
        return dict.fromkeys(own, 1) | shared

    def ihook(self, item: pytest.Item) -> Any:
        """The hooks that hold where the item is; pytest looks it up each time."""
        path = item.path
        found = self._ihooks.get(path)
        if found is None:
            found = self._ihooks[path] = item.ihook
        return found

    def failed_report(
        self, item: pytest.Item, when: str, text: str, sections: list[tuple[str, str]]
    ) -> pytest.TestReport:
        return pytest.TestReport(
            reports.id_of(item), item.location, dict.fromkeys(item.keywords, 1), "failed",
            reports.told(item, text),
            when,  # type: ignore[arg-type]
            sections,
        )  # fmt: skip

    def death_report(self, item: pytest.Item, e: Lost) -> pytest.TestReport:
        when = reports.PHASES.get(e.phase, "setup")
        limit = None
        if e.outcome == _core.TIMEOUT:
            wish = planning.wish_of(item, self.options)
            limit = wish.timeout
        text = reports.death_text(e.slot, when, limit, e.status, e.stack)
        sections = []
        for name, data in (("stdout", e.stdout), ("stderr", e.stderr)):
            if data:
                sections.append((f"Captured {name} {when}", bounds.dead_output(data)))
        report = self.failed_report(item, when, text, sections)
        report.start, report.duration = e.start, e.duration
        report.stop = e.start + e.duration
        return report

    def record(
        self, attempt: Attempt, outcome: int, duration: float, cpu: float, peak: int, status: int
    ) -> None:
        """Remembers an attempt."""
        number, pass_ = self.units[attempt.unit]
        if self.tally is not None and not self.tally.remembers(attempt.unit, pass_):
            return
        if self.tally is not None and failed_as_expected(attempt):
            outcome = _core.PASSED  # what a hunt counts
        self.recording.record.add_attempt(
            number, pass_, attempt.number, attempt.slot, outcome, attempt.start, duration,
            cpu, peak, status, _message_of(attempt),
        )  # fmt: skip
        if self._details is not None:
            self._details.add(number, pass_, attempt)

    def deliver_plain(self, e: Plain, number: int, pass_: int) -> None:
        """What ``deliver`` does for an attempt that passed and has no more to
        tell, which is most of them."""
        self.recording.record.add_passed(
            number, pass_, e.attempt, e.slot, e.start, e.duration, e.cpu, e.peak_bytes
        )
        item = self.session.items[number]
        ihook = self.ihook(item)
        self.terminal.start(item)
        for phase in e.phases():
            if self._unheard is not None and phase[0] != _core.CALL:
                make = partial(self._plain_report, item, number, e.slot, *phase)
                self._unheard.later.append(make)
            else:
                report = self._plain_report(item, number, e.slot, *phase)
                ihook.pytest_runtest_logreport(report=report)
        ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def deliver(self, attempt: Attempt, outcome: int) -> None:
        """A test's final outcome, to all reporters."""
        number, pass_ = self.units[attempt.unit]
        if self.tally is not None:
            if self.tally.remembers(attempt.unit, pass_):
                self._note_pass(number, attempt)
            chosen = self.tally.add(number, pass_, attempt, outcome)
            if chosen is None:
                return
            attempt, outcome = chosen
        late = attempt.session_report
        if late is not None and late.failed and outcome in _NOT_FAILED:
            outcome = _core.ERROR
            attempt.failed = attempt.failed or late
        place = self.units[attempt.unit]
        if self._details is not None and (
            self.tally is None or self.tally.remembers(attempt.unit, place[1])
        ):
            self._details.add_late(*place, attempt)
        self.recording.record.set_outcome(number, outcome, _message_of(attempt))
        item = self.session.items[number]
        before = self._before.pop(number, [])
        if self.tally is None and outcome == _core.FLAKY and before:
            self.recovered.append((item.nodeid, attempt.number, attempts.line_of(before[0])))
        self.terminal.start(item)
        events = self._with_session_report(attempt)
        for kind, value in events:
            if kind == PASSED:
                if self._unheard is not None and value[0] != _core.CALL:
                    make = partial(self._plain_report, item, number, attempt.slot, *value)
                    self._unheard.later.append(make)
                    continue
                report = self._plain_report(item, number, attempt.slot, *value)
            elif kind == DataKind.REPORT:
                report = value
            else:
                if kind != DataKind.WARNING:
                    self._xml_call(item, attempt.slot, *value)
                continue
            if before and report.when == "teardown":  # which closes the case
                self._tell_attempts(attempt, before, report)
                before = []
            self.log(item, report, attempt.slot)
        if before and attempt.failed is not None:
            self._tell_attempts(attempt, before, attempt.failed)
        self.ihook(item).pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        for kind, value in events:  # serially, too, they follow the test
            if kind == DataKind.WARNING:
                self.replay_warning(value)

    def _note_pass(self, number: int, attempt: Attempt) -> None:
        """Keeps what failed in a pass of a hunt, for the JUnit report."""
        if attempt.failed is None or attempts.report_of(self.config) is None:
            return
        kept = self._before.setdefault(number, [])
        if len(kept) < _MOST_PASSES:
            kept.extend(_failures_of(attempt))

    def _tell_attempts(
        self, attempt: Attempt, before: list[pytest.TestReport], last: pytest.TestReport
    ) -> None:
        """Puts what failed in other attempts into the JUnit report."""
        xml = attempts.report_of(self.config)
        own = _failures_of(attempt)
        others = [report for report in before if all(report is not o for o in own)]
        if xml is not None and others:
            self._mark(last, attempt.slot)
            attempts.add_attempts(xml, last, others, attempt.failed is not None)

    def _with_session_report(self, attempt: Attempt) -> list[tuple[int, Any]]:
        """The events, with what the session's teardown said in the last."""
        late = attempt.session_report
        if late is None:
            return attempt.events
        events = list(attempt.events)
        for i in range(len(events) - 1, -1, -1):
            kind, value = events[i]
            if kind == PASSED and value[0] == _core.TEARDOWN:
                del events[i]
                break
            if kind == DataKind.REPORT and value.when == "teardown":
                if value.failed and late.failed:
                    break  # both are errors: keep the first and add the late one
                known = {name for name, _ in late.sections}
                late.sections += [s for s in value.sections if s[0] not in known]
                if late.passed:  # conftests may have changed the other
                    value.sections = late.sections
                    return events
                for name, attribute in vars(value).items():  # what plugins attached
                    vars(late).setdefault(name, attribute)
                del events[i]
                break
        return [*events, (DataKind.REPORT, late)]

    def deliver_unfinished(self, attempt: Attempt) -> None:
        """A test in the middle of which the run was ended: what it has reported."""
        if self.tally is not None:
            return
        item = self.item(attempt.unit)
        self.terminal.start(item)
        for kind, value in attempt.events:
            if kind == PASSED:
                number = self.units[attempt.unit][0]
                value = self._plain_report(item, number, attempt.slot, *value)
            if kind in (PASSED, DataKind.REPORT):
                self.log(item, value, attempt.slot)
            elif kind == DataKind.WARNING:
                self.replay_warning(value)

    def deliver_rerun(self, attempt: Attempt) -> None:
        """A failed attempt that another one follows: its failures, as reruns."""
        item = self.item(attempt.unit)
        before = self._before.setdefault(self.units[attempt.unit][0], [])
        before.extend(_failures_of(attempt))
        self.terminal.start(item)
        for kind, value in attempt.events:
            if kind == DataKind.REPORT and value.failed and not hasattr(value, "wasxfail"):
                value.outcome = "rerun"
                value.rerun = attempt.number - 1
                self.log(item, value, attempt.slot)
            elif kind == DataKind.WARNING:
                self.replay_warning(value)
        self.ihook(item).pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def deliver_held(self) -> None:
        """At the end: what still waited for its worker's end."""
        for slot in list(self.held):
            self.deliver(*self.held.pop(slot))
        if self.tally is not None:
            # An interrupted hunt reports what it saw.
            tally, self.tally = self.tally, None
            for attempt, outcome in tally.leftovers():
                self.deliver(attempt, outcome)
            self.tally = tally

    def _mark(self, report: pytest.TestReport, slot: int) -> None:
        extra = report.__dict__  # what xdist adds, for reporters that look
        if self.shows_workers:
            node = self.node(slot)
            extra["node"] = node if report.longrepr is not None else self.quiet_nodes[slot]
        extra["worker_id"] = f"gw{slot}"
        extra["testrun_uid"] = self.run_uid

    def log(self, item: pytest.Item, report: pytest.TestReport, slot: int) -> None:
        """One report, to all who listen."""
        self._mark(report, slot)
        if str(report.outcome) == "rerun":
            self._log_rerun(item, report)
            return
        reports.count_failed_subtest(self.config, report)
        self.ihook(item).pytest_runtest_logreport(report=report)

    def _log_rerun(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """To all but the JUnit file, which would open a nameless case for it."""
        xml = attempts.report_of(self.config)
        if xml is None:
            self.ihook(item).pytest_runtest_logreport(report=report)
            return
        without = {*getattr(item.ihook, "remove_mods", ()), xml}
        self.config.pluginmanager.subset_hook_caller("pytest_runtest_logreport", without)(
            report=report
        )

    def replay_warning(self, data: bytes) -> None:
        self.config.hook.pytest_warning_recorded.call_historic(kwargs=reports.decode_warning(data))

    def _xml_call(
        self, item: pytest.Item, slot: int, method: str, name: str, value: object
    ) -> None:
        xml = attempts.report_of(self.config)
        if xml is not None:
            # The plugin knows a test by its id and, under workers, its node.
            report = pytest.TestReport(
                reports.id_of(item), item.location, {}, "passed", None, "call"
            )
            if self.shows_workers:
                report.__dict__["node"] = self.node(slot)
            getattr(xml.node_reporter(report), method)(name, value)

    def suite_property(self, name: str, value: object) -> None:
        xml = attempts.report_of(self.config)
        if xml is not None:
            xml.add_global_property(name, value)
