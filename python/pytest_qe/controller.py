"""The controller: the user's pytest process while workers run the tests.

It plans, starts the core's session, and hands the core's events on to the
delivery, which calls pytest's ordinary hooks, so that every reporter works
unchanged.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from . import _core, compat, heap, planning, reports, starting, startmethod, uncaught
from . import options as opts
from .covering import Journals
from .debugger import Lender
from .delivery import PASSED, Attempt, Delivery
from .events import Data, DataKind, Exit, Finish, Lost, Passed, Plain, Start
from .flaky import FlakyTally, Tally
from .keeping import Keeping
from .live import Live
from .nodes import Scheduler
from .recording import Recording
from .serving import Servers
from .sharding import Sharding
from .signals import Signals
from .surroundings import Surroundings
from .terminal import Terminal

if TYPE_CHECKING:
    from .passes import Decided
    from .quarantining import Quarantining
    from .queuerun import QueueRun
    from .replay import Recipe

_TICK_MS = 100
_LIVE_TICK_MS = 20  # where workers print


class Controller:
    """The plugin of an active run, registered at configure time."""

    def __init__(self, config: pytest.Config, options: opts.Options, notices: list[str]) -> None:
        self.config = config
        self.options = options
        self.notices = notices
        given = options.seed
        self.seed = int.from_bytes(os.urandom(4), "little") if given is None else given
        self.run_uid = os.urandom(16).hex()
        self.terminal = Terminal(config, options)
        self.sharding = Sharding(config, options)
        self.keeping = Keeping(options, self.terminal)
        self.servers = Servers(self.terminal)
        self.servers_gone = self.servers.gone
        self.descriptors = config.stash.get(startmethod.BEFORE, {})
        self.workers = 0
        self.collected = planning.Collected()
        config.pluginmanager.register(self.collected, "qe-collected")
        self.session: pytest.Session
        self.core: _core.Session
        self.delivery: Delivery
        self.recording: Recording | None = None
        self.quarantining: Quarantining | None = config.pluginmanager.get_plugin("qe-quarantine")
        self.tally: Tally | None = None
        self.hunt: Decided | None = None
        self.recipe: Recipe | None = None  # of a replay
        self.queue: QueueRun | None = None  # that this is a node of
        self.surroundings = Surroundings(self.terminal)
        self.units: list[tuple[int, int]] = []
        self.attempts: dict[int, Attempt] = {}  # by unit
        self.interrupts = 0  # how often Ctrl-C
        self.interrupted_at: reports.Place | None = None
        self.ended_by: signal.Signals | None = None
        self.give_up: str | None = None
        self.exit_asked: tuple[str, int | None] | None = None
        self.internal: str | None = None
        self.test_seconds = 0.0
        self.crashed: list[str] = []
        self.coverage_files: list[str] = []
        self.journals: Journals | None = None
        self.lender: Lender | None = None
        self.stopped = 0.0  # seconds in which Ctrl-Z held all
        self.live = Live(self.terminal)

    # ------------------------------------------------------------- pytest's

    def pytest_report_header(self) -> list[str]:
        lines = [f"qe {_core.VERSION}: seed={self.seed}"]
        return lines + [f"qe: {notice}" for notice in self.notices]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        self.sharding.select(items)
        if self.options.replay is not None or self.options.bisect_order is not None:
            from . import deciding

            deciding.select(self, items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.session = session
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            if self.options.reports:  # they say why nothing was run
                self._report(0.0)
            raise session.Interrupted(
                f"{session.testsfailed} error{'s' if session.testsfailed != 1 else ''} "
                "during collection"
            )
        own = compat.foreign_loop(self.config)
        if own is not None:
            raise pytest.UsageError(
                f"{own} implements pytest_runtestloop itself; qe cannot run such a suite"
            )
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
            reports.interrupt_at(self.interrupted_at)
        if self.ended_by is not None:
            # The shell's convention for a process that a signal ended.
            raise pytest.exit.Exception(f"ended by {self.ended_by.name}", 128 + self.ended_by)
        if self.queue is not None:
            self.queue.raise_end(session)
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

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.queue is not None:
            self.queue.set_status(session)

    def pytest_unconfigure(self) -> None:
        for text in self.recording.wait() if self.recording is not None else ():
            print("qe: warning: " + text, file=sys.stderr)

    # ----------------------------------------------------------------- a run

    def _run(self, session: pytest.Session) -> None:
        items = session.items
        options = self.options
        wishes = planning.wishes_of(items, options)
        self.terminal.check_retries(wishes)
        adapters = compat.adapt(self.config, items)
        for adapter in adapters:
            adapter.plan(wishes, options)
        self.recording = Recording(self.config, options, self._ids())
        self.quarantined = held.hold(items, self.recording) if (held := self.quarantining) else []
        expected = self.recording.expected_ns()
        shares = options.queue is not None
        hunts = options.flaky is not None and (shares or options.flaky_mode == "adaptive")
        counts = self.recording.counts() if hunts and not shares else {}
        self.recording.close_before_fork()
        self.workers = starting.count_workers(self, wishes)
        order = self.collected.order(self.config, items)
        if hunts:
            from . import deciding

            self.tally = self.hunt = deciding.make(self, items, wishes, expected, counts)
            plan = self.hunt.plan()
        else:
            if options.flaky is not None:
                self.tally = FlakyTally(len(items), options.flaky)
            plan, self.units = planning.build(
                items, wishes, options, expected, self.seed, self.workers, order, shares,
            )  # fmt: skip
        if shares:
            from . import queuerun

            self.queue = queuerun.come(self, plan, wishes, expected)
            if self.queue.ended is not None:
                self.workers = 0
                self._finish(0.0)
                return
        start, why = startmethod.choose(options.start, self.descriptors)
        self.terminal.begin(self, start, why)
        self.delivery = Delivery(
            self.config, session, options, self.units, self.recording, self.tally,
            self.terminal, self.run_uid, self.workers,
        )  # fmt: skip
        self.keeping.delivery = self.delivery
        for slot in range(self.workers):
            compat.node_hook(self.config, "pytest_configure_node")(node=self.delivery.node(slot))
        began = time.perf_counter()
        shared = self.keeping.choose(session, start, self.workers)
        try:
            self.core = starting.start(self, session, plan, wishes, start, order, shared)
        except starting.CannotStart as error:
            self.give_up = f"no worker can be started: {error}"
        else:
            self.recording.publish(self.core)
            if self.queue is not None:
                self.queue.start()
            try:
                try:
                    self._loop()
                finally:
                    self.core.close()
            except BaseException:  # Ctrl-C as well, outside of the loop
                if self.queue is not None:
                    self.queue.hurry()
                raise
            finally:
                if self.queue is not None:
                    self.queue.finish()
        finally:
            if self.lender is not None:
                self.lender.close()
            self.live.close()
            self.surroundings.close()
        if self.journals is not None:
            for name in self.journals.merge(self.coverage_files):
                self.terminal.warn(f"{name}: cannot be read, its worker was killed as it wrote it")
        for adapter in adapters:
            for text in adapter.finish():
                self.terminal.warn(text)
        self._finish(time.perf_counter() - began)

    # -------------------------------------------------------------- the loop

    def _loop(self) -> None:
        pending: deque[tuple[Any, ...]] = deque()
        lender = self.lender
        assert lender is not None  # made before the first worker
        handlers = {
            _core.EV_START: self._on_start,
            _core.EV_PASSED: self._on_passed,
            _core.EV_DATA: self._on_data,
            _core.EV_FINISH: self._on_finish,
            _core.EV_PLAIN: self._on_plain,
            _core.EV_LOST: self._on_lost,
            _core.EV_EXIT: self._on_exit,
            _core.EV_GIVE_UP: self._on_give_up,
            _core.EV_REFUSED: self.terminal.refused,
            _core.EV_SERVER: self.servers.left,
        }
        if self.queue is not None:
            handlers[_core.EV_SOURCE] = self.queue.hear
        seen_interrupts = 0
        deadline = 0.0
        killed = False
        with Signals(self):
            self.config.stash[heap.KEY].settle()  # while workers run the first tests
            while True:
                if self.hunt is not None:
                    self.hunt.feed(self.core, self.units)
                soon = self.live.ends or (self.hunt is not None and self.hunt.waits)
                pending.extend(self.core.events(_LIVE_TICK_MS if soon else _TICK_MS))
                self.live.pump()
                if pending:
                    self.terminal.hide()
                    self.terminal.hold()
                try:
                    while pending:
                        event = pending.popleft()
                        if lender.keeps(event, pending):
                            continue
                        if event[0] == _core.EV_DONE:
                            self.live.finish()
                            self.delivery.deliver_held()
                            return
                        handler = handlers.get(event[0])
                        if handler is not None:
                            handler(event)
                finally:
                    self.terminal.let_go()
                if self.interrupts > seen_interrupts:
                    seen_interrupts = self.interrupts
                    if seen_interrupts == 1:
                        deadline = time.monotonic() - self.stopped + self.options.grace
                        self.core.stop(True)
                    else:
                        self.core.kill()
                elif deadline and time.monotonic() - self.stopped > deadline:
                    deadline = 0.0
                    self.core.kill()
                if self.ended_by is not None and not killed:
                    killed = True
                    self.core.kill()
                if self.session.shouldfail or self.session.shouldstop:
                    self.core.stop(False)
                if not lender.lent:
                    self.terminal.progress(self)

    def _on_start(self, event: tuple[Any, ...]) -> None:
        e = Start(*event)
        held = self.delivery.held.pop(e.slot, None)
        if held is not None:
            self.delivery.deliver(*held)
        self.attempts[e.unit] = Attempt(e.unit, e.attempt, e.slot, e.start)

    def _on_passed(self, event: tuple[Any, ...]) -> None:
        e = Passed(*event)
        attempt = self.attempts.get(e.unit)
        if attempt is not None:
            attempt.events.append((PASSED, (e.phase, e.start, e.duration)))

    def _on_data(self, event: tuple[Any, ...]) -> None:
        e = Data(*event)
        data = e.data or b""
        attempt = self.attempts.get(e.unit)
        if e.data_kind == DataKind.REPORT:
            report = reports.decode(self.config, data)
            if attempt is not None:
                nodeid = self.delivery.item(e.unit).nodeid
                if report.nodeid != nodeid:  # see spawn._match
                    report.nodeid = nodeid
                attempt.events.append((DataKind.REPORT, report))
                if attempt.failed is None and report.failed and not hasattr(report, "wasxfail"):
                    attempt.failed = report
        elif e.data_kind == DataKind.WARNING:
            if attempt is not None:
                attempt.events.append((DataKind.WARNING, data))
            else:
                self.delivery.replay_warning(data)
        elif e.data_kind == DataKind.XML:
            if attempt is not None:
                attempt.events.append((DataKind.XML, reports.loads(data)))
        elif e.data_kind == DataKind.SESSION_REPORT:
            report = reports.decode(self.config, data)
            held = self.delivery.held.get(e.slot)
            if e.slot == self.keeping.slot:
                self.keeping.add(report)
            elif held is not None:
                held[0].session_report = report
            elif report.failed:  # of a passed one all is known: its test was retried
                self.delivery.log(self.delivery.item_by_id(report.nodeid), report, e.slot)
        elif e.data_kind == DataKind.STOP:
            setattr(self.session, *reports.loads(data))
        elif e.data_kind == DataKind.INTERRUPT:
            self.interrupts = self.interrupts or 1
            self.interrupted_at = self.interrupted_at or reports.loads(data)
        elif e.data_kind == DataKind.EXIT:
            self.exit_asked = reports.loads(data)
        elif e.data_kind == DataKind.INTERNAL:
            self.internal = reports.loads(data)
        elif e.data_kind == DataKind.ONCE:
            self.delivery.suite_property(*reports.loads(data))
        elif e.data_kind == DataKind.WORKER_OUTPUT:
            node: Any = self.delivery.node(e.slot)
            node.workeroutput = reports.loads(data)
        elif e.data_kind == DataKind.COVERAGE:
            self.coverage_files.append(reports.loads(data))
        elif e.data_kind == DataKind.LASTING:
            if attempt is not None:
                attempt.lasting = True
        elif e.data_kind == DataKind.REFUSED:
            self.surroundings.note(*reports.loads(data))
        elif e.data_kind == DataKind.UNCAUGHT:
            uncaught.add(self.config, reports.loads(data))
        elif e.data_kind == DataKind.KEEPER:
            self.keeping.told(*reports.loads(data))
        elif e.data_kind == DataKind.SERVER:
            self.servers.told(e.slot - 2 * self.workers, reports.loads(data))
        elif e.data_kind == DataKind.RENAMED:
            self.servers.renamed.update(reports.loads(data))
        elif e.data_kind == DataKind.COLLECTED:
            self.give_up = self.give_up or reports.loads(data)
            self.core.stop(False)

    def _on_finish(self, event: tuple[Any, ...]) -> None:
        e = Finish(*event)
        attempt = self.attempts.pop(e.unit, None)
        if attempt is None:
            return
        self.delivery.know_location(e.unit, e.location)
        self._record(attempt, e.outcome, e.duration, e.cpu, e.peak_bytes, 0)
        again = False
        if e.settled:
            outcome = e.outcome
        else:
            again, outcome = self._settle(attempt, e.outcome)
        self._tell(attempt, e.outcome, again, outcome, (e.duration, e.cpu, e.peak_bytes, 0))
        if again:
            self.delivery.deliver_rerun(attempt)
            return
        self._conclude(attempt, outcome, e.last)

    def _tell(
        self, attempt: Attempt, was: int, again: bool, outcome: int, measured: tuple[Any, ...]
    ) -> None:
        if self.queue is not None:
            self.queue.tell(attempt, was, again, outcome, measured)

    def _conclude(self, attempt: Attempt, outcome: int, last: int) -> None:
        """Delivers, or keeps until the worker's end what may get more then."""
        if last:
            self.delivery.held[attempt.slot] = (attempt, outcome)
        else:
            self.delivery.deliver(attempt, outcome)

    def _on_plain(self, event: tuple[Any, ...]) -> None:
        e = Plain(*event)
        self.delivery.know_location(e.unit, e.location)
        if self.queue is not None:
            self.queue.tell_plain(e)
        if not e.last and self.tally is None:
            self.test_seconds += e.duration
            number, pass_ = self.units[e.unit]
            self.sharding.add(self.session.items[number].nodeid, e.duration)
            self.delivery.deliver_plain(e, number, pass_)
            return
        attempt = Attempt(e.unit, e.attempt, e.slot, e.start)
        for phase, start, duration in e.phases():
            attempt.events.append((PASSED, (phase, start, duration)))
        self._record(attempt, _core.PASSED, e.duration, e.cpu, e.peak_bytes, 0)
        self._conclude(attempt, _core.PASSED, e.last)

    def _record(
        self, attempt: Attempt, outcome: int, duration: float, cpu: float, peak: int, status: int
    ) -> None:
        self.test_seconds += duration
        attempt.seconds = duration
        number, pass_ = self.units[attempt.unit]
        if attempt.number == 1 and pass_ == 0:
            self.sharding.add(self.session.items[number].nodeid, duration)
        self.delivery.record(attempt, outcome, duration, cpu, peak, status)

    def _settle(self, attempt: Attempt, outcome: int) -> tuple[bool, int]:
        only = self.options.retry_only
        retryable = not attempt.lasting
        if retryable and only is not None and attempt.failed is not None:
            retryable = only.search(attempt.failed.longreprtext) is not None
        return self.core.settle(attempt.unit, attempt.number, outcome, retryable)

    def _on_lost(self, event: tuple[Any, ...]) -> None:
        e = Lost(*event)
        self.live.complete(e.slot)
        attempt = self.attempts.pop(e.unit, None)
        if attempt is None:
            attempt = Attempt(e.unit, e.attempt, e.slot, e.start)
        if e.outcome == _core.NONE:
            return  # void: it runs again, as if it had never begun
        if self._ending():
            self.delivery.deliver_unfinished(attempt)
            return  # ended by us: it has no result, as serially
        item = self.delivery.item(e.unit)
        report = self.delivery.death_report(item, e)
        attempt.lost = e
        attempt.failed = report
        attempt.events.append((DataKind.REPORT, report))
        self._record(attempt, e.outcome, e.duration, 0.0, e.peak_bytes, e.status)
        again, outcome = self._settle(attempt, e.outcome)
        self._tell(attempt, e.outcome, again, outcome, (e.duration, 0.0, e.peak_bytes, e.status))
        if again:
            self.delivery.deliver_rerun(attempt)
            return
        if e.outcome == _core.CRASHED:
            self.crashed.append(item.nodeid)
            compat.node_hook(self.config, "pytest_handlecrashitem")(
                crashitem=item.nodeid, report=report, sched=Scheduler(self.config)
            )
        self.delivery.deliver(attempt, outcome)

    def _ending(self) -> bool:
        """Whether what dies now was ended by us or by the user."""
        return bool(self.interrupts or self.ended_by or self.exit_asked or self.internal)

    def _on_exit(self, event: tuple[Any, ...]) -> None:
        e = Exit(*event)
        if e.slot > 2 * self.workers:
            return  # a server
        held = self.delivery.held.pop(e.slot, None)
        died = e.outcome in (_core.CRASHED, _core.TIMEOUT)
        bad = died and not self._ending()
        if e.slot == self.keeping.slot:
            self.keeping.left(e, bad)
            return
        if bad and e.phase == _core.SESSION and held is not None:
            item = self.delivery.item(held[0].unit)
            limit = self.options.timeout if e.outcome == _core.TIMEOUT else None
            text = reports.death_text(e.slot, "session teardown", limit, e.status, e.stack)
            held[0].session_report = self.delivery.failed_report(item, "teardown", text, [])
        elif bad and e.phase == _core.NONE and not e.stack:
            self.terminal.warn(
                f"worker gw{e.slot} died between tests: {reports.describe_status(e.status)}"
            )
        if held is not None:
            self.keeping.deliver(held)
        node = self.delivery.node(e.slot)
        if died:  # what it has is of the slot's worker before
            vars(node).pop("workeroutput", None)
        error = reports.describe_status(e.status) if died else None
        if error is None:  # plugins ask for it, also where the worker had nothing to do
            node.__dict__.setdefault("workeroutput", {})
        compat.node_hook(self.config, "pytest_testnodedown")(node=node, error=error)

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

    # -------------------------------------------------------------- the end

    def _finish(self, wall: float) -> None:
        self.terminal.end(self, wall)
        self.recording = self.recording or Recording(self.config, self.options, [])
        planning.note_passes(self.recording.record, self.options, self.seed, self.hunt)
        self.recording.save(wall, self.workers)
        if self.hunt is not None:
            self.session.testsfailed += not self.hunt.found
        self.sharding.write_durations()
        self._report(wall)

    def _ids(self) -> list[str]:
        return [item.nodeid for item in self.session.items]

    def _stopped(self) -> str | None:
        """Why nothing more was started."""
        why = self.give_up or self.session.shouldfail or self.session.shouldstop
        return str(why) if why else None

    def _report(self, wall: float) -> None:
        """Writes the reports that are asked for, and says what could not be written."""
        self.recording = self.recording or Recording(self.config, self.options, self._ids())
        run: dict[str, Any] = {
            "seed": self.seed,
            "workers": self.workers,
            "wall": wall,
            "test_time": self.test_seconds,
            "collection": self.collected.seconds,
            "interrupted": bool(self.interrupts),
            "stopped": self._stopped(),
            "passes": self.options.flaky,
            "shard": self.sharding.description(),
            "quarantine": self.quarantining and self.quarantining.description(),
        }
        if self.options.reports:
            from . import details

            run["collection_errors"] = details.uncollected(self.collected.failed) or None
            if self.hunt is not None:
                run["passes"] = len(self.hunt.passes)
                run["lanes"] = self.hunt.complete(self.recording, 3 * self.workers + 1) or None
                told = self.hunt.describe(self._ids())
                run["hunt"] = details.complete_hunt(told, self.config) if told else None
        self.recording.write_reports(run)
        for text in self.recording.warnings + self.sharding.warnings:
            self.terminal.warn(text)
