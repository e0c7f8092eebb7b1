"""This process as a node of a run that several share through a queue server.

The core claims, runs and gives back; here the plan is described to the queue, what became
of tests is told, and what the server says of the whole run is passed on.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from . import _core, attempts, queues
from .details import told as told_of
from .errors import OtherPlan, QeError, RunEnded
from .events import DataKind
from .planning import NS, key
from .starting import maxfail

if TYPE_CHECKING:
    from .controller import Controller
    from .delivery import Attempt
    from .events import Plain
    from .queuereport import Whole

#: How pytest ends where the server is gone for good, or will not have us.
EXIT_STATUS = 7
_FAILING = (_core.FAILED, _core.ERROR, _core.TIMEOUT, _core.CRASHED)
_MOST_NAMES = 30  # of failures elsewhere that are shown


class QueueRun:
    """The node's part.

    Args:
        controller: the run's, which has collected.
        plan: sealed; its units are described to the other nodes.
        expected_ns: of each item, 0 where unknown.

    Raises:
        pytest.UsageError: the run has another plan, with the first ids that differ, or an
            option does not fit.
        pytest.exit.Exception: with EXIT_STATUS, where no server answers or will have us.
    """

    def __init__(self, controller: Controller, plan: _core.Plan, expected_ns: list[int]) -> None:
        self._controller = controller
        self._quarantined = set(controller.quarantined)
        self._expected_ns = expected_ns
        self._stopped = False
        self._told = 0
        self._whole: Whole | None = None
        self._unread: str | None = None  # why the whole run could not be read
        self.ended: str | None = None  # before we came: why there is nothing to do
        self.trouble: str | None = None
        self._end: Any = None
        options = controller.options
        items = controller.session.items
        order = plan.places()
        self._place = [0] * len(order)  # by unit
        for place, (unit, _, _) in enumerate(order):
            self._place[unit] = place
        numbers = [controller.units[unit][0] for unit, _, _ in order]
        try:
            self._target = queues.target(
                options.queue, run=options.run, project=options.queue_project,
                root=controller.config.rootpath, password_file=options.queue_password_file,
                ca_file=options.queue_ca_file,
            )  # fmt: skip
            self._queue = queues.open_queue(
                self._target,
                [key(items[number].nodeid) for number in numbers],
                [scope for _, scope, _ in order],
                [flags for _, _, flags in order],
                [expected_ns[number] for number in numbers],
                workers=controller.workers,
                maxfail=maxfail(controller.config),
                lease=options.queue_lease,
            )
            os.environ.pop("QE_QUEUE_PASSWORD", None)  # no test's business
        except ValueError as error:
            text = re.sub(r"--(?=run\b|queue\b)", "--qe-", str(error))
            text = text.replace("--project", "--qe-queue-project")
            raise pytest.UsageError(f"--qe-queue: {text}") from None
        try:
            self._queue.join()
        except OtherPlan:
            raise pytest.UsageError(f"--qe-queue: {self._queue.text}{self._in_order()}") from None
        except RunEnded:
            self.ended = self._queue.text
            if "stopped" not in self.ended:
                # A job that is retried under the same name runs nothing: it must not pass for that.
                self._read()
        except QeError as error:
            text = self._queue.text or str(error)
            raise pytest.exit.Exception(f"--qe-queue: {text}", EXIT_STATUS) from None

    def _in_order(self) -> str:
        """What there is to say of a plan that differs in its order alone."""
        items = self._controller.session.items
        try:
            found = self._target.server.reader(self._target.project).units(
                self._target.run, 0, len(items) + 1
            )
        except (QeError, ValueError):
            return ""
        if sorted(name for name, _ in found) != sorted(key(item.nodeid) for item in items):
            return ""
        return (
            ". They are the same in another order: what shuffles them takes one seed on all nodes "
            "(pytest-randomly: --randomly-seed=N)"
        )

    @property
    def source(self) -> object:
        """For the core's session."""
        return self._queue.source

    def start(self) -> None:
        """After the workers' supervisor has been forked."""
        self._queue.start()

    # ------------------------------------------------------------------ tell

    def _about(self, unit: int) -> dict[str, Any]:
        """What is known of a test whatever comes of it."""
        number = self._controller.units[unit][0]
        item = self._controller.session.items[number]
        return {
            "marks": tuple(dict.fromkeys(mark.name for mark in item.iter_markers())),
            "expected": self._expected_ns[number] / NS,
            "quarantined": number in self._quarantined,
        }

    def tell_plain(self, e: Plain) -> None:
        """A first attempt that passed with nothing to tell."""
        payload = queues.pack(
            outcome=_core.PASSED, worker=e.slot, start=e.start, duration=e.duration, cpu=e.cpu,
            peak=e.peak_bytes, **self._about(e.unit),
        )  # fmt: skip
        self._told += 1
        self._queue.tell(self._place[e.unit], e.attempt, _core.PASSED, False, False, payload)

    def tell(
        self, attempt: Attempt, was: int, again: bool, outcome: int, measured: tuple[Any, ...]
    ) -> None:
        """An attempt's end.

        Args:
            was: what the attempt itself came to.
            again: another one follows, on whatever node.
            outcome: what that makes of the test.
            measured: seconds, processor seconds, bytes of memory at its peak, and the status
                of a process that died.
        """
        duration, cpu, peak, status = measured
        about = self._about(attempt.unit)
        found = [v for kind, v in attempt.events if kind == DataKind.REPORT]
        failures = [report for report in found if attempts.is_failure(report)]
        sections = dict.fromkeys((str(n), str(t)) for r in found for n, t in r.sections)
        payload = queues.pack(
            outcome=was, worker=attempt.slot, start=attempt.start, duration=duration, cpu=cpu,
            peak=peak, status=status, **about,
            message=attempts.line_of(failures[0]) if failures else None,
            failures=[(str(report.when), told_of(report)) for report in failures],
            output=list(sections) if failures else [],
        )  # fmt: skip
        failed = not again and outcome in _FAILING and not about["quarantined"]
        self._told += not again
        self._queue.tell(self._place[attempt.unit], attempt.number, outcome, again, failed, payload)

    # ------------------------------------------------------------- the whole run

    def hear(self, event: tuple[Any, ...]) -> None:
        """What the source says of the run."""
        if event[1] == _core.SOURCE_STOPPED:
            self._stopped = True
        elif event[1] == _core.SOURCE_TROUBLE:
            self.trouble = self._queue.text

    def finish(self) -> None:
        """This node runs nothing more; the last one reads what the others have told."""
        try:
            self._end = self._queue.finish()
        except QeError:
            self.trouble = self.trouble or self._queue.text
        if self._end is not None and self._end.last:
            self._read()

    def _read(self) -> None:
        from .queuereport import Whole

        try:
            reader = self._target.server.reader(self._target.project)
            self._whole = Whole(reader, self._target.run)
        except (QeError, ValueError) as error:
            self._unread = str(error)

    def raise_end(self, session: pytest.Session) -> None:
        """Ends pytest as the whole run asks for: as interrupted where it was stopped elsewhere;
        as failed where tests have failed on others, and this is the last node or came too late."""
        stopped = self._stopped or (self.ended is not None and "stopped" in self.ended)
        if stopped and not session.testsfailed and not session.shouldfail:
            session.shouldstop = session.shouldstop or "the run was stopped on another node"
        if self._whole is not None:
            session.testsfailed += self._failed_elsewhere(session)
            session.testsfailed += not self._whole.complete

    def set_status(self, session: pytest.Session) -> None:
        """Where the server is gone, what ran here has been reported as ever; where the last node
        cannot read what the others have told, it must not end as if all had passed."""
        if self.trouble is not None:
            session.exitstatus = EXIT_STATUS
        elif self._unread is not None and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = EXIT_STATUS  # nobody knows that nothing failed

    def _failed_elsewhere(self, session: pytest.Session) -> int:
        assert self._whole is not None
        return max(0, len(self._failures()) - session.testsfailed)

    def _failures(self) -> list[str]:
        return [] if self._whole is None else [test.name for test in self._whole.failed()]

    def lines(self) -> list[str]:
        """For the summary."""
        name, total = self._target.run, len(self._place)
        if self.ended is not None:
            lines = [f"run {name}: {self.ended}; nothing was left for this node"]
            return lines + self._lines_of_whole("")
        if self._end is None:
            return [f"run {name}: {self._told} of {total} tests ran here"]
        end = self._end
        lines = [f"run {name}: {end.counted} of {total} tests ran here"]
        if end.late:
            lines.append(
                f"{end.late} attempt{'s' if end.late != 1 else ''} of this node came too late to "
                "count: their lease had ended, and other nodes ran them"
            )
        if end.untold:
            lines.append(f"{end.untold} results of this node could not be told to the server")
        if self.trouble is not None:
            lines.append(f"error: {self.trouble}")
        elif end.left and not end.over:
            lines.append(f"{end.left} tests have no outcome yet")
        return lines + self._lines_of_whole("this was the last node of {nodes}: ")

    def _lines_of_whole(self, head: str) -> list[str]:
        whole = self._whole
        if whole is None:
            if self._unread is None:
                return []
            return [f"the whole run could not be read: {self._unread}"]
        failures = self._failures()
        lines = [f"FAILED on some node: {name}" for name in failures[:_MOST_NAMES]]
        if len(failures) > _MOST_NAMES:
            lines.append(f"... and {len(failures) - _MOST_NAMES} more")
        lines += [f"proof: {text}" for text in whole.troubles]
        told = ", ".join(f"{n} {outcome}" for outcome, n in whole.counts().items() if n)
        return [
            *lines,
            f"{head.format(nodes=len(whole.nodes))}in the whole run {told}",
        ]
