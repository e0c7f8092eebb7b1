"""A worker: claims tests from the arena, runs them, sends what they report.

The same loop serves forked workers (which have what the controller collected)
and spawned ones (which collected by themselves).
"""

from __future__ import annotations

import os
import signal
import traceback
from binascii import crc32
from os import getpid  # its own name: a test may have put something else into os
from typing import TYPE_CHECKING, Any

import pytest
from pluggy import PluginManager

from . import (
    _core,
    belongings,
    bounds,
    compat,
    covering,
    failures,
    heap,
    junit,
    live,
    logs,
    reports,
    shortcuts,
    uncaught,
    workerplugins,
)
from .covering import Journal
from .debugger import Borrower, Desk
from .errors import WrongState
from .events import DataKind
from .live import Screen
from .markers import Markers
from .planning import key

if TYPE_CHECKING:
    import warnings
    from collections.abc import Callable
    from types import CodeType

    from . import perturbing
    from .plans import Plans

Claim = tuple[int, int, int, int]  # unit, item, pass, attempt

# Names that a new reader of the phases finds in qe.h.
_SETUP, _CALL, _TEARDOWN, _SESSION = (
    _core.SETUP, _core.CALL, _core.TEARDOWN, _core.SESSION,
)  # fmt: skip


class _Hooks:
    """The worker's hooks, for pluggy, which looks at every attribute of a plugin: in a
    fork that copies memory, and a worker has many."""

    def __init__(self, worker: Worker) -> None:
        self.pytest_runtest_teardown = worker.pytest_runtest_teardown
        self.pytest_runtest_makereport = worker.pytest_runtest_makereport
        self.pytest_runtest_logreport = worker.pytest_runtest_logreport
        self.pytest_warning_recorded = worker.pytest_warning_recorded


class _Noting:
    """A finaliser of something that several tests share."""

    def __init__(self, worker: Worker, finaliser: Callable[[], object]) -> None:
        self._worker = worker
        self._finaliser = finaliser

    def __call__(self) -> object:
        __tracebackhide__ = True
        try:
            return self._finaliser()
        except BaseException:
            self._worker.note_lasting()
            raise


class Worker:
    """The worker's plugin and its loop.

    Args:
        config: pytest's, of this process.
        session: pytest's, collected.
        core: the handle on the arena and the slot in it.
        plans: what was planned for each item.
    """

    def __init__(
        self,
        config: pytest.Config,
        session: pytest.Session,
        core: _core.Worker,
        plans: Plans,
    ) -> None:
        self.config = config
        self.session = session
        self.core = core
        self.retries = plans.retries
        self.limited = plans.limited
        self.limits_session = plans.limits_session
        self.plans = plans
        self.own: live.Own | None = None
        self.debugger: Borrower
        self.items = session.items
        self.job = core.job()
        self.pid = getpid()
        self.item: pytest.Item | None = None
        self.claim: Claim | None = None
        self.next: Claim | None = None
        self.decided = False  # whether `next` is the truth
        self.over = False
        self.forked = False
        self.interrupted = False
        self.adopted = False
        self.outcome = _core.NONE
        self.last_item: pytest.Item | None = None
        self._locations = shortcuts.Locations()
        self._markers = Markers()
        self._not_shown: CodeType | None = None  # of our wrapper in tracebacks
        self._limit: str | None = None  # said where --maxfail is reached
        #: By pytest-randomly, before each test, as serially.
        self._seeded_by_others = config.pluginmanager.has_plugin("randomly")
        self._lasting = False  # a failure that a retry would not show
        self.journal: Journal | None = None
        self._call: pytest.CallInfo[None] | None = None  # of the report to come, in a hunt
        #: What is changed around its pass.
        self.changes: perturbing.Changes | None = None

    # ------------------------------------------------------------- set-up

    def adopt(self, forked: bool) -> None:
        """Makes a worker of this process: environment, plugins, capture."""
        self.config.stash[heap.KEY].freeze_worker()
        name = f"gw{self.job['slot']}"
        self.forked = forked
        given = self.config.workerinput  # type: ignore[attr-defined]
        os.environ["PYTEST_XDIST_WORKER"] = name
        os.environ["PYTEST_XDIST_WORKER_COUNT"] = str(given["workercount"])
        os.environ["PYTEST_XDIST_TESTRUNUID"] = given["testrunuid"]
        self.config.workeroutput = {}  # type: ignore[attr-defined]
        workerplugins.quiet(self.config)
        if forked:
            covering.begin(self._send)
            belongings.own_tmp_path(self.config, name)
        else:
            compat.adapt(self.config, self.items, spawned=True)
        for adapter in self.config.stash[compat.ADAPTED]:
            adapter.in_worker = True
            adapter.enter_worker(self.core)
        ends = [] if self.own is not None else self.plans.ends
        self.own = belongings.own_capture(self.config, self.job, ends) or self.own
        screen = Screen(*self.plans.screen) if self.plans.screen else None
        workerplugins.add_terminal(self.config, screen)
        logs.own_log_file(self.config, self.plans.log_file)
        if screen is not None and logs.wants_live_log(self.config):
            logs.own_live_log(self, screen)
        self.debugger = Borrower(self, Desk(*self.plans.desk))
        # Its hooks alone: pytest would look for fixtures in it, too.
        PluginManager.register(self.config.pluginmanager, _Hooks(self), "qe-worker")
        self.adopted = True
        belongings.own_faulthandler(self.core, self.job)
        junit.forward(self)
        shortcuts.remember_hook_proxies(self.session)
        setup_state = self.session._setupstate
        exact = setup_state.teardown_exact

        def teardown_exact(nextitem: Any) -> None:
            self._watch_what_is_shared()
            exact(self._true_next(nextitem))

        self._not_shown = teardown_exact.__code__
        setup_state.teardown_exact = teardown_exact  # type: ignore[method-assign]
        belongings.reseed(int(self.job["seed"]))
        uncaught.forget(self.config)
        if self.job["around"]:
            from . import perturbing

            self.changes = perturbing.Changes(self)
            self.changes.begin(self)

    # -------------------------------------------------------------- the loop

    def run(self) -> None:
        """Runs tests until the run is over; returns in this process alone."""
        try:
            claim = self.core.claim(True)
            while claim:
                self._run_one(claim)
                if self.over:
                    break
                claim = self.next if self.next is not None else self.core.claim(True)
        except KeyboardInterrupt:
            self.interrupted = True
            # The controller sends it to all; once is enough.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._end_session()

    def _run_one(self, claim: Claim) -> None:
        item = self.items[claim[1]]
        if not self.core.start(claim):
            self.over = True
            return
        self.core.phase(_SETUP)
        seed = self._reseed(item) if self.job["decided"] else 0
        self.claim, self.item = claim, item
        self.next, self.decided = None, False
        self._lasting = False
        self.outcome = _core.NONE
        self._markers.begin(item)
        location = self._location(item)
        hint = self.core.peek()
        nextitem = self.items[hint[1]] if hint else None
        if nextitem is item:
            compat.make_repeatable(item)
        if self.changes is not None:
            self.changes.start(seed)
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        except (KeyboardInterrupt, pytest.exit.Exception) as error:
            self.last_item = item
            self._leave_if_forked()
            self.debugger.give_back()
            self._send_end(error)
            self._stop_all()
            if isinstance(error, KeyboardInterrupt):
                raise
            return
        except WrongState:
            self._leave_if_forked()
            raise
        except Exception:
            self._leave_if_forked()
            self._send(DataKind.INTERNAL, reports.dumps(traceback.format_exc()))
            self._stop_all()
            return
        self._leave_if_forked()
        if self.changes is not None:
            self.changes.stop()
        self.last_item = item
        self._look_for_stop()
        if not self.decided:
            self._decide()
        self.item = None
        self.debugger.give_back()
        if self.own is not None:
            self.own.end_lines()
        if self.journal is not None:
            self.journal.note()
        # What is still up is torn down after this: then more may come for it.
        more = self.next is None and bool(self.session._setupstate.stack)
        self.core.finish(self.outcome or _core.PASSED, more, location)

    def _reseed(self, item: pytest.Item) -> int:
        """In a pass that was decided on while the run goes on an attempt draws the same,
        whatever ran before it: so it can be repeated."""
        seed = self.core.seed(crc32(key(item.nodeid)))
        if seed is not None:
            for option in self.plans.seeds:
                setattr(self.config.option, option, seed % 2**32)
            if not self._seeded_by_others:
                belongings.reseed(seed)
        return seed or 0

    def _send_end(self, error: BaseException) -> None:
        """What ends the run; a test may have raised it, and nobody else knows."""
        if isinstance(error, pytest.exit.Exception):
            code = getattr(error, "returncode", None)
            self._send(DataKind.EXIT, reports.dumps((str(error.msg), code)))
        else:
            self._send(DataKind.INTERRUPT, reports.dumps(reports.place_of(error)))

    def _location(self, item: pytest.Item) -> bytes | None:
        """Spares the controller what costs a tenth of a trivial test."""
        try:
            return reports.dumps(self._locations.get(item))
        except Exception:
            return None  # a custom item's mistake: the protocol will meet it, too

    def _leave_if_forked(self) -> None:
        """Ends a child that a test forked and that came back here."""
        if getpid() != self.pid:
            nodeid = self.item.nodeid if self.item else "?"
            os.write(2, f"qe: a process forked by {nodeid} returned from the test; "
                        "it ends here\n".encode("utf-8", "replace"))  # fmt: skip
            os._exit(0)

    def _look_for_stop(self) -> None:
        """A plugin that set ``shouldstop`` or ``shouldfail`` here means all."""
        for kind in ("shouldfail", "shouldstop"):
            message = getattr(self.session, kind)
            if message and message != self._limit:  # which the controller counts itself
                self._send(DataKind.STOP, reports.dumps((kind, str(message))))
                self._stop_all()

    def _stop_all(self) -> None:
        self.over = True
        self.core.stop()

    # ------------------------------------------------------ what comes next

    def _decide(self) -> None:
        """Claims the next test: from here on it is known what to tear down."""
        self.decided = True
        claim = self.core.claim(False)
        if claim is False:
            self.over = True
        elif claim is None:
            self.next = None
            self.over = self.core.is_last()
        else:
            self.next = claim

    def _true_next(self, nextitem: Any) -> Any:
        """What ``teardown_exact`` must keep alive, instead of the hint."""
        if self.item is None or getpid() != self.pid:
            return nextitem
        if not self.decided:
            self._decide()
        if self.next is not None:
            following = self.items[self.next[1]]
            # Twice in a row: what is its own does not stay for the second time.
            return self.item.parent if following is self.item else following
        # Nothing in sight: keep session fixtures only, as more may come. Also
        # where the session's teardown has a limit that this test's has not.
        late = self.limits_session and not self.limited[self.claim_item()]
        return None if self.over and not late else self.session

    def _watch_what_is_shared(self) -> None:
        """Before a teardown: what several tests share notes its failures. In a retry,
        which has a process of its own, they would not be seen again."""
        if self.claim is not None and self.retries[self.claim[1]]:
            for node, (finalisers, _) in self.session._setupstate.stack.items():
                if node is not self.item:
                    finalisers[:] = [self._noting(finaliser) for finaliser in finalisers]

    def _noting(self, finaliser: Callable[[], object]) -> Callable[[], object]:
        if isinstance(finaliser, _Noting):
            return finaliser
        return _Noting(self, finaliser)

    def note_lasting(self) -> None:
        """What fails now fails for good."""
        if not self._lasting:
            self._lasting = True
            self._send(DataKind.LASTING, b"")

    def claim_item(self) -> int:
        """The number of the running item."""
        assert self.claim is not None
        return self.claim[1]

    # ----------------------------------------------------------------- hooks

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        if self.item is not None and getpid() == self.pid:
            self.core.phase(_TEARDOWN)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """Serially there is nothing between the teardown and pytest's own."""
        if self.changes is not None and getpid() == self.pid:
            self.core.lift()  # what is made of a failure is pytest's work
        if call.excinfo is not None and call.when == "teardown":
            compat.drop_frame(call.excinfo.tb, self._not_shown)
        self._call = call if self.job["decided"] else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if getpid() != self.pid:
            return
        call, self._call = self._call, None
        if self.changes is not None:
            self.changes.true_times(report)
        if report.outcome == "passed":
            if report.when == "setup":
                self.core.phase(_CALL)
                if self.changes is not None:
                    self.changes.set_clock()
            phase = reports.PHASE_NUMBERS.get(report.when)
            if (
                phase is not None
                and reports.is_plain(report)
                and self.item is not None
                and not self._markers.changed
            ):
                self.core.passed(phase, report.start, report.duration)
                return
        else:
            self._note_outcome(report)
            if call is not None and report.failed:
                # Only by now the call has what unittest has caught.
                failures.note(report, call, self.config.rootpath)
        self._send(DataKind.REPORT, reports.encode(self.config, report))

    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        # Registering repeats those of the collection, which the controller has.
        if self.adopted and getpid() == self.pid:
            data = reports.encode_warning(warning_message, when, nodeid, location)
            self._send(DataKind.WARNING, data)

    def _note_outcome(self, report: pytest.TestReport) -> None:
        xfail = hasattr(report, "wasxfail")
        if report.outcome == "failed" and not xfail:
            if self.outcome != _core.FAILED:
                self.outcome = _core.FAILED if report.when == "call" else _core.ERROR
            if self._counts():
                failures = self.core.count_failure()
                if failures:  # the rest of this test asks, too: subtests
                    self.session.shouldfail = self._limit = f"stopping after {failures} failures"
        elif report.outcome == "skipped" and not self.outcome:
            self.outcome = _core.SKIPPED

    def _counts(self) -> bool:
        """Whether a failure now is one for ``--maxfail``."""
        if self.claim is None or self.claim[1] in self.plans.quarantined:
            return False
        return self.claim[3] > self.retries[self.claim[1]]

    def _send(self, kind: int, data: bytes) -> None:
        try:
            self.core.send(kind, data)
        except ValueError:  # beyond the bound of one event
            self._send_cut(kind, data)

    def _send_cut(self, kind: int, data: bytes) -> None:
        for less in bounds.smaller(data):
            try:
                self.core.send(kind, less)
                return
            except ValueError:
                continue
        note = f"a report of {len(data)} bytes cannot be made small enough"
        self.core.send(DataKind.INTERNAL, reports.dumps(note))

    # --------------------------------------------------------------- the end

    def _end_session(self) -> None:
        """Tears down what is still up; its errors belong to the last test."""
        item = self.last_item
        if item is None or not self.session._setupstate.stack:
            return
        self.core.phase(_SESSION)
        try:
            with compat.item_warnings(item):
                call = pytest.CallInfo.from_call(
                    compat.late_teardown(item),
                    "teardown",
                    (pytest.exit.Exception, KeyboardInterrupt),
                )
            compat.join_sections(item)
            if call.excinfo is None:  # what conftests have to say, they have said
                report = pytest.TestReport.from_item_and_call(item, call)
            else:
                report = self._session_report(item, call)
            if self.changes is not None:
                self.changes.true_times(report)
        except (pytest.exit.Exception, KeyboardInterrupt) as error:
            if not self.interrupted:
                self._send_end(error)
            self._stop_all()
            return
        if (report.failed or report.sections) and not self.interrupted:
            self._send(DataKind.SESSION_REPORT, reports.encode(self.config, report))

    def _session_report(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        return compat.report_after(item, call)

    def send_uncaught(self) -> None:
        """Sends exceptions that pytest would warn of at its end."""
        found = uncaught.gather(self.config)
        if found:
            self._send(DataKind.UNCAUGHT, reports.dumps(found))

    def say_bye(self) -> None:
        """Sends what is left to send; nothing of this worker follows."""
        if self.forked:
            workerplugins.finish(self.session)
        saved = covering.save() if self.forked else None
        if saved is not None:
            self._send(DataKind.COVERAGE, reports.dumps(saved))
        if self.journal is not None:
            self.journal.drop()
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            self._send(DataKind.WORKER_OUTPUT, reports.dumps(output))
        live.flush()
        self.core.bye()
