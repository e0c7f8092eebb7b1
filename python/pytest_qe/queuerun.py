"""pytest as a node of a run that several share: its options, tests and ends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from . import _core, attempts, queues
from .details import marks_of
from .details import told as told_of
from .events import DataKind
from .planning import NS, key
from .queuenode import EXIT_STATUS, FAILING, Node, NodeRefused, NoServer
from .starting import maxfail

if TYPE_CHECKING:
    from .controller import Controller
    from .delivery import Attempt
    from .events import Plain


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
        options = controller.options
        items = controller.session.items
        numbers = [number for number, _ in controller.units]
        try:
            target = queues.target(
                options.queue, run=options.run, project=options.queue_project,
                root=controller.config.rootpath, password_file=options.queue_password_file,
                ca_file=options.queue_ca_file,
            )  # fmt: skip
            self._node = Node(
                target,
                plan,
                [key(items[number].nodeid) for number in numbers],
                [expected_ns[number] for number in numbers],
                workers=controller.workers,
                maxfail=maxfail(controller.config),
                lease=options.queue_lease,
            )
        except NodeRefused as error:
            raise pytest.UsageError(f"--qe-queue: {error}") from None
        except ValueError as error:
            text = re.sub(r"--(?=run\b|queue\b)", "--qe-", str(error))
            text = text.replace("--project", "--qe-queue-project")
            raise pytest.UsageError(f"--qe-queue: {text}") from None
        except NoServer as error:
            raise pytest.exit.Exception(f"--qe-queue: {error}", EXIT_STATUS) from None
        self.source = self._node.source
        self.ended = self._node.ended
        self.start = self._node.start
        self.lines = self._node.lines

    # ------------------------------------------------------------------ tell

    def _about(self, unit: int) -> dict[str, Any]:
        """What is known of a test whatever comes of it."""
        number = self._controller.units[unit][0]
        item = self._controller.session.items[number]
        return {
            "marks": marks_of(item),
            "expected": self._expected_ns[number] / NS,
            "quarantined": number in self._quarantined,
        }

    def tell_plain(self, e: Plain) -> None:
        """A first attempt that passed with nothing to tell."""
        payload = {
            "outcome": _core.PASSED, "worker": e.slot, "start": e.start, "duration": e.duration,
            "cpu": e.cpu, "peak": e.peak_bytes, **self._about(e.unit),
        }  # fmt: skip
        self._node.tell(e.unit, e.attempt, _core.PASSED, payload=payload)

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
        payload = {
            "outcome": was, "worker": attempt.slot, "start": attempt.start, "duration": duration,
            "cpu": cpu, "peak": peak, "status": status, **about,
            "message": attempts.line_of(failures[0]) if failures else None,
            "failures": [(str(report.when), told_of(report)) for report in failures],
            "output": list(sections) if failures else [],
        }  # fmt: skip
        failed = not again and outcome in FAILING and not about["quarantined"]
        self._node.tell(
            attempt.unit, attempt.number, outcome, again=again, failed=failed, payload=payload
        )

    def hurry(self) -> None:
        """A server that does not answer is waited for no longer."""
        self._node.waits.cancel()

    def finish(self) -> None:
        """This node runs nothing more."""
        controller = self._controller
        if controller.interrupts or controller.ended_by is not None:
            self.hurry()
        controller.interrupts += self._node.finish()

    # ------------------------------------------------------------- the whole run

    def hear(self, event: tuple[Any, ...]) -> None:
        """What the source says of the run."""
        self._node.hear(event[1])

    def raise_end(self, session: pytest.Session) -> None:
        """Ends pytest as the whole run asks for: as interrupted where it was stopped elsewhere;
        as failed where tests have failed on others, and this is the last node or came too late."""
        if self._node.stopped and not session.testsfailed and not session.shouldfail:
            session.shouldstop = session.shouldstop or "the run was stopped on another node"
        session.testsfailed = max(session.testsfailed, len(self._node.failures()))
        session.testsfailed += not self._node.proven

    def set_status(self, session: pytest.Session) -> None:
        """Where the server is gone, what ran here has been reported as ever; where the last node
        cannot read what the others have told, it must not end as if all had passed."""
        if self._node.trouble is not None:
            session.exitstatus = EXIT_STATUS
        elif self._node.unread is not None and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = EXIT_STATUS  # nobody knows that nothing failed
