"""The controller: the user's pytest process while workers run the tests.

It plans, starts the core's session, and turns the core's events into pytest's
ordinary hooks, so that every reporter works unchanged. The reports of a test
are kept until its attempt has ended and then delivered in one go, in serial
pytest's order.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import uuid
from collections import deque
from collections.abc import Generator
from typing import Any

import pytest

from . import _core, compat, options as opts, planning, reports, startmethod, worker
from .events import Data, DataKind, Exit, Finish, Lost, Passed, Start
from .flaky import FlakyTally
from .recording import Recording, one_line
from .sharding import Sharding
from .terminal import Terminal

_CAPTURED_BYTES = 1 << 20  # of a killed test's output, from its end
_TICK_MS = 100


class Attempt:
    """What is known of an attempt that has not been delivered."""

    __slots__ = ("events", "failed", "lost", "session_report", "slot", "start", "unit", "number")

    def __init__(self, unit: int, number: int, slot: int, start: float) -> None:
        self.unit = unit
        self.number = number
        self.slot = slot
        self.start = start
        self.events: list[tuple[int, Any]] = []  # (DataKind, report or bytes)
        self.failed: pytest.TestReport | None = None
        self.lost: Lost | None = None
        self.session_report: pytest.TestReport | None = None


class Controller:
    """The plugin of an active run, registered at configure time."""

    def __init__(self, config: pytest.Config, options: opts.Options, notice: str | None) -> None:
        self.config = config
        self.options = options
        self.notice = notice
        self.seed = options.seed
        if self.seed is None:
            self.seed = int.from_bytes(os.urandom(4), "little")
        self.run_uid = uuid.uuid4().hex
        self.terminal = Terminal(config, options)
        self.sharding = Sharding(config, options)
        self.descriptors = startmethod.open_descriptors()
        self.workers = 0
        self.nodes: dict[int, compat.Node] = {}
        self.session: pytest.Session
        self.core: _core.Session
        self.recording: Recording | None = None
        self.tally: FlakyTally | None = None
        self.units: list[tuple[int, int]] = []
        self.attempts: dict[int, Attempt] = {}  # by unit
        self.held: dict[int, tuple[Attempt, int]] = {}  # by slot: (attempt, outcome)
        self.keywords: dict[int, dict[str, Any]] = {}
        self.interrupts = 0
        self.give_up: str | None = None
        self.exit_asked: tuple[str, int | None] | None = None
        self.internal: str | None = None
        self.test_seconds = 0.0
        self.crashed: list[str] = []

    # ------------------------------------------------------------- pytest's

    def pytest_report_header(self) -> list[str]:
        lines = [f"qe {_core.VERSION}: seed={self.seed}"]
        if self.notice:
            lines.append("qe: " + self.notice)
        return lines

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        self.sharding.select(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            raise session.Interrupted(
                f"{session.testsfailed} error{'s' if session.testsfailed != 1 else ''} "
                "during collection"
            )
        self.session = session
        if session.items:
            self._run(session)
        else:
            self._finish(0.0)
        self._raise_stops(session)
        return True

    def _raise_stops(self, session: pytest.Session) -> None:
        if self.internal:
            raise RuntimeError("internal error in a worker:\n" + self.internal)
        if self.interrupts:
            raise KeyboardInterrupt
        if self.exit_asked:
            raise pytest.exit.Exception(*self.exit_asked)
        if self.give_up:
            session.shouldfail = self.give_up
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> Any:
        if getattr(report, "outcome", None) == "rerun":
            return "rerun", "R", ("RERUN", {"yellow": True})
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self) -> Generator[None, None, None]:
        yield
        self.terminal.summary(self)

    # ----------------------------------------------------------------- a run

    def _run(self, session: pytest.Session) -> None:
        items = session.items
        options = self.options
        wishes = [planning.wish_of(item, options) for item in items]
        self.recording = Recording(self.config, options, [i.nodeid for i in items])
        expected = self.recording.expected_ns()
        self.recording.close_before_fork()
        if options.flaky is not None:
            self.tally = FlakyTally(len(items), options.flaky)
        plan, self.units = planning.build(items, wishes, options, expected, self.seed or 0)
        asked = opts.worker_count(self.config, options)
        self.workers = max(1, min(asked, options.flaky or len(items)))
        start, why = startmethod.choose(options.start, self.descriptors)
        self.terminal.begin(self, start, why)
        self._prepare_nodes()
        began = time.perf_counter()
        self._start(session, plan, wishes, start)
        try:
            self._loop()
        finally:
            self.core.close()
        self._finish(time.perf_counter() - began)

    def _prepare_nodes(self) -> None:
        hook = self.config.hook
        for slot in range(self.workers):
            node = self._node(slot)
            hook.pytest_configure_node(node=node)

    def _node(self, slot: int) -> compat.Node:
        node = self.nodes.get(slot)
        if node is None:
            node = self.nodes[slot] = compat.Node(self.config, slot)
            node.workerinput.update(
                workerid=f"gw{slot}",
                workercount=self.workers,
                testrunuid=self.run_uid,
                mainargv=sys.argv,
            )
        return node

    def _start(
        self, session: pytest.Session, plan: Any, wishes: list[planning.Wish], start: str
    ) -> None:
        options = self.options
        retries = [w.retries for w in wishes]
        if options.flaky is not None:
            # Every failure is wanted: none may stop the run.
            retries = [1 << 30] * len(wishes)
        tmp_path_factory = getattr(self.config, "_tmp_path_factory", None)
        if tmp_path_factory is not None:
            tmp_path_factory.getbasetemp()  # one root for all workers
        argv = None
        if start == "spawn":
            from . import spawn

            argv = spawn.command(self, session.items, retries)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        gc.collect()
        gc.freeze()
        timeout = options.timeout
        core, forked = _core.start(
            plan,
            self.workers,
            argv=argv,
            isolate=options.isolate and options.flaky is None,
            func_only=options.timeout_func_only,
            steal_scopes=options.dist in ("loadscope", "loadfile"),
            peak_memory=options.json is not None,
            maxfail=0 if options.flaky else (self.config.getvalue("maxfail") or 0),
            max_restarts=(
                0xFFFFFFFF if options.max_worker_restart is None else options.max_worker_restart
            ),
            session_timeout_ns=0 if timeout is None else int(timeout * planning.NS),
            backoff_ns=int(options.retry_backoff * planning.NS),
            seed=self.seed,
        )
        if forked is not None:
            slot = forked.job()["slot"]
            node = self._node(slot)
            self.config.workerinput = node.workerinput  # type: ignore[attr-defined]
            worker.run_forked(self.config, session, forked, retries)
        gc.unfreeze()
        self.core = core

    # -------------------------------------------------------------- the loop

    def _loop(self) -> None:
        pending: deque[tuple[Any, ...]] = deque()
        handlers = {
            _core.EV_START: self._on_start,
            _core.EV_PASSED: self._on_passed,
            _core.EV_DATA: self._on_data,
            _core.EV_FINISH: self._on_finish,
            _core.EV_LOST: self._on_lost,
            _core.EV_EXIT: self._on_exit,
            _core.EV_GIVE_UP: self._on_give_up,
        }
        seen_interrupts = 0
        deadline = 0.0
        with _Interrupts(self):
            while True:
                pending.extend(self.core.events(_TICK_MS))
                self.terminal.hide()
                while pending:
                    event = pending.popleft()
                    if event[0] == _core.EV_DONE:
                        self._deliver_held()
                        return
                    handler = handlers.get(event[0])
                    if handler is not None:
                        handler(event)
                if self.interrupts > seen_interrupts:
                    seen_interrupts = self.interrupts
                    if seen_interrupts == 1:
                        deadline = time.monotonic() + self.options.grace
                        self.core.stop(True)
                    else:
                        self.core.kill()
                elif deadline and time.monotonic() > deadline:
                    deadline = 0.0
                    self.core.kill()
                if self.session.shouldfail or self.session.shouldstop:
                    self.core.stop(False)
                self.terminal.progress(self)

    def _on_start(self, event: tuple[Any, ...]) -> None:
        e = Start(*event)
        held = self.held.pop(e.slot, None)
        if held is not None:
            self._deliver(*held)
        self.attempts[e.unit] = Attempt(e.unit, e.attempt, e.slot, e.start)

    def _on_passed(self, event: tuple[Any, ...]) -> None:
        attempt = self.attempts.get(event[2])
        if attempt is not None:
            attempt.events.append((0, event))

    def _on_data(self, event: tuple[Any, ...]) -> None:
        e = Data(*event)
        data = e.data or b""
        attempt = self.attempts.get(e.unit)
        if e.data_kind == DataKind.REPORT:
            report = reports.decode(self.config, data)
            if attempt is not None:
                nodeid = self._item(e.unit).nodeid
                if report.nodeid != nodeid:  # see spawn._match
                    report.nodeid = nodeid
                attempt.events.append((DataKind.REPORT, report))
                if attempt.failed is None and report.failed and not hasattr(report, "wasxfail"):
                    attempt.failed = report
        elif e.data_kind == DataKind.WARNING:
            if attempt is not None:
                attempt.events.append((DataKind.WARNING, data))
            else:
                self._replay_warning(data)
        elif e.data_kind == DataKind.SESSION_REPORT:
            report = reports.decode(self.config, data)
            held = self.held.get(e.slot)
            if held is not None:
                held[0].session_report = report
            else:
                self._log(self._item_by_id(report.nodeid), report, e.slot)
        elif e.data_kind == DataKind.STOP:
            kind, message = reports.loads(data)
            setattr(self.session, kind, message)
        elif e.data_kind == DataKind.EXIT:
            self.exit_asked = reports.loads(data)
        elif e.data_kind == DataKind.INTERNAL:
            self.internal = reports.loads(data)
        elif e.data_kind == DataKind.ONCE:
            self._suite_property(*reports.loads(data))
        elif e.data_kind == DataKind.WORKER_OUTPUT:
            self._node(e.slot).workeroutput.update(reports.loads(data))
        elif e.data_kind == DataKind.COLLECTED:
            self.give_up = self.give_up or reports.loads(data)
            self.core.stop(False)

    def _on_finish(self, event: tuple[Any, ...]) -> None:
        e = Finish(*event)
        attempt = self.attempts.pop(e.unit, None)
        if attempt is None:
            return
        self.test_seconds += e.duration
        self._record(attempt, e.outcome, e.duration, e.cpu, e.peak_bytes, 0)
        if e.settled:
            outcome = e.outcome
        else:
            again, outcome = self._settle(attempt, e.outcome)
            if again:
                self._deliver_rerun(attempt)
                return
        if e.last:
            self.held[e.slot] = (attempt, outcome)
        else:
            self._deliver(attempt, outcome)

    def _settle(self, attempt: Attempt, outcome: int) -> tuple[bool, int]:
        only = self.options.retry_only
        retryable = True
        if only is not None and attempt.failed is not None:
            retryable = only.search(attempt.failed.longreprtext) is not None
        return self.core.settle(attempt.unit, attempt.number, outcome, retryable)

    def _on_lost(self, event: tuple[Any, ...]) -> None:
        e = Lost(*event)
        attempt = self.attempts.pop(e.unit, None)
        if attempt is None:
            attempt = Attempt(e.unit, e.attempt, e.slot, e.start)
        if e.outcome == _core.NONE:
            return  # void: it runs again, as if it had never begun
        if self.interrupts or self.exit_asked:
            return  # ended by us: it has no result, as serially
        item = self._item(e.unit)
        report = self._death_report(item, e)
        attempt.lost = e
        attempt.failed = report
        attempt.events.append((DataKind.REPORT, report))
        self.test_seconds += e.duration
        self._record(attempt, e.outcome, e.duration, 0.0, e.peak_bytes, e.status)
        again, outcome = self._settle(attempt, e.outcome)
        if again:
            self._deliver_rerun(attempt)
            return
        if e.outcome == _core.CRASHED:
            self.crashed.append(item.nodeid)
            self.config.hook.pytest_handlecrashitem(
                crashitem=item.nodeid, report=report, sched=None
            )
        self._deliver(attempt, outcome)

    def _on_exit(self, event: tuple[Any, ...]) -> None:
        e = Exit(*event)
        held = self.held.pop(e.slot, None)
        bad = e.outcome in (_core.CRASHED, _core.TIMEOUT) and not self.interrupts
        if bad and e.phase == _core.SESSION and held is not None:
            item = self._item(held[0].unit)
            limit = self.options.timeout if e.outcome == _core.TIMEOUT else None
            text = reports.death_text(e.slot, "session teardown", limit, e.status, e.stack)
            held[0].session_report = self._failed_report(item, "teardown", text, [])
        elif bad and e.phase == _core.NONE and not e.stack:
            self.terminal.warn(
                f"worker gw{e.slot} died between tests: {reports.describe_status(e.status)}"
            )
        if held is not None:
            self._deliver(*held)
        node = self._node(e.slot)
        error = reports.describe_status(e.status) if bad else None
        self.config.hook.pytest_testnodedown(node=node, error=error)

    def _on_give_up(self, event: tuple[Any, ...]) -> None:
        _, code, error, text = event
        if self.crashed and code == -10:
            self.give_up = (
                f"more than {self.options.max_worker_restart} workers crashed "
                "(--qe-max-worker-restart), running: " + ", ".join(self.crashed)
            )
        elif error:
            self.give_up = f"no worker can be started: {os.strerror(error)}"
        else:
            self.give_up = f"workers die before they run a test ({text})"

    # ------------------------------------------------------------ to reporters

    def _item(self, unit: int) -> pytest.Item:
        return self.session.items[self.units[unit][0]]

    def _item_by_id(self, nodeid: str) -> pytest.Item:
        for item in self.session.items:
            if item.nodeid == nodeid:
                return item
        return self.session.items[0]

    def _plain_report(self, item: pytest.Item, number: int, e: Passed) -> pytest.TestReport:
        keywords = self.keywords.get(number)
        if keywords is None:
            keywords = self.keywords[number] = dict.fromkeys(item.keywords, 1)
        return pytest.TestReport(
            item.nodeid, item.location, keywords, "passed", None,
            reports.PHASES[e.phase],  # type: ignore[arg-type]
            (), e.duration, e.start, e.start + e.duration, item.user_properties,
        )  # fmt: skip

    def _failed_report(
        self, item: pytest.Item, when: str, text: str, sections: list[tuple[str, str]]
    ) -> pytest.TestReport:
        return pytest.TestReport(
            item.nodeid, item.location, dict.fromkeys(item.keywords, 1), "failed", text,
            when,  # type: ignore[arg-type]
            sections,
        )  # fmt: skip

    def _death_report(self, item: pytest.Item, e: Lost) -> pytest.TestReport:
        when = reports.PHASES.get(e.phase, "setup")
        limit = None
        if e.outcome == _core.TIMEOUT:
            wish = planning.wish_of(item, self.options)
            limit = wish.timeout
        text = reports.death_text(e.slot, when, limit, e.status, e.stack)
        sections = []
        for stream, name in enumerate(("stdout", "stderr")):
            data = self.core.captured(e.slot, stream, _CAPTURED_BYTES)
            if data:
                sections.append((f"Captured {name} {when}", data.decode("utf-8", "replace")))
        report = self._failed_report(item, when, text, sections)
        report.start, report.duration = e.start, e.duration
        report.stop = e.start + e.duration
        return report

    def _record(
        self, attempt: Attempt, outcome: int, duration: float, cpu: float, peak: int, status: int
    ) -> None:
        if self.recording is None:
            return
        number, pass_ = self.units[attempt.unit]
        message = None
        if attempt.failed is not None:
            message = planning.key(one_line(attempt.failed.longreprtext.strip()[-2000:]))
            crash = getattr(attempt.failed.longrepr, "reprcrash", None)
            if crash is not None:
                message = planning.key(one_line(crash.message))
        self.recording.record.add_attempt(
            number, pass_, attempt.number, attempt.slot, outcome, attempt.start, duration,
            cpu, peak, status, None if message is None else message.decode("utf-8", "replace"),
        )  # fmt: skip

    def _deliver(self, attempt: Attempt, outcome: int) -> None:
        """A test's final outcome, to all reporters."""
        number, pass_ = self.units[attempt.unit]
        if self.tally is not None:
            chosen = self.tally.add(number, pass_, attempt, outcome)
            if chosen is None:
                return
            attempt, outcome = chosen
        if self.recording is not None:
            self.recording.record.set_outcome(number, outcome, None)
        item = self.session.items[number]
        self.terminal.start(item)
        events = self._with_session_report(attempt)
        for kind, value in events:
            if kind == 0:
                report = self._plain_report(item, number, Passed(*value))
            elif kind == DataKind.REPORT:
                report = value
            else:
                self._replay_warning(value)
                continue
            self._log(item, report, attempt.slot)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _with_session_report(self, attempt: Attempt) -> list[tuple[int, Any]]:
        """The events, with what the session's teardown said in the last."""
        late = attempt.session_report
        if late is None:
            return attempt.events
        events = list(attempt.events)
        for i in range(len(events) - 1, -1, -1):
            kind, value = events[i]
            if kind == 0 and value[4] == _core.TEARDOWN:
                del events[i]
                break
            if kind == DataKind.REPORT and value.when == "teardown":
                if value.failed:
                    break  # both are errors: keep the first and add the late one
                late.sections[:0] = [s for s in value.sections if s not in late.sections]
                del events[i]
                break
        return [*events, (DataKind.REPORT, late)]

    def _deliver_rerun(self, attempt: Attempt) -> None:
        item = self._item(attempt.unit)
        self.terminal.start(item)
        for kind, value in attempt.events:
            if kind == DataKind.REPORT and value.failed and not hasattr(value, "wasxfail"):
                value.outcome = "rerun"
                value.rerun = attempt.number - 1
                self._log(item, value, attempt.slot)
            elif kind == DataKind.WARNING:
                self._replay_warning(value)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _deliver_held(self) -> None:
        for slot in list(self.held):
            self._deliver(*self.held.pop(slot))
        if self.tally is not None:
            # An interrupted hunt reports what it saw.
            tally, self.tally = self.tally, None
            for attempt, outcome in tally.leftovers():
                self._deliver(attempt, outcome)
            self.tally = tally

    def _log(self, item: pytest.Item, report: pytest.TestReport, slot: int) -> None:
        if self.options.parallel is not None or self.options.flaky is not None:
            report.node = self._node(slot)
        report.worker_id = f"gw{slot}"
        report.testrun_uid = self.run_uid
        reports.count_failed_subtest(self.config, report)
        item.ihook.pytest_runtest_logreport(report=report)

    def _replay_warning(self, data: bytes) -> None:
        self.config.hook.pytest_warning_recorded.call_historic(
            kwargs=reports.decode_warning(data)
        )

    def _suite_property(self, name: str, value: object) -> None:
        from _pytest.junitxml import xml_key

        xml = self.config.stash.get(xml_key, None)
        if xml is not None:
            xml.add_global_property(name, value)

    # -------------------------------------------------------------- the end

    def _finish(self, wall: float) -> None:
        self.terminal.end(self, wall)
        if self.recording is None:
            self.recording = Recording(self.config, self.options, [])
        self.recording.save(wall, self.workers)
        run = {
            "seed": self.seed,
            "workers": self.workers,
            "wall": wall,
            "test_time": self.test_seconds,
            "interrupted": bool(self.interrupts),
            "passes": self.options.flaky,
            "shard": self.sharding.description(),
        }
        self.recording.write_json({k: v for k, v in run.items() if v is not None})
        self.sharding.write_durations(self.recording)
        for text in self.recording.warnings + self.sharding.warnings:
            self.terminal.warn(text)


class _Interrupts:
    """Counts Ctrl-C instead of raising in the middle of a hook."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.previous: Any = None

    def __enter__(self) -> None:
        try:
            self.previous = signal.signal(signal.SIGINT, self._on_signal)
        except ValueError:
            self.previous = None  # not the main thread: pytest has no Ctrl-C there

    def _on_signal(self, number: int, frame: object) -> None:
        self.controller.interrupts += 1

    def __exit__(self, *exc: object) -> None:
        if self.previous is not None:
            signal.signal(signal.SIGINT, self.previous)
