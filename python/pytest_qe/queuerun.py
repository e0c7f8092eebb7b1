"""pytest as a node of a run that several share: its options, tests and ends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from . import _core, attempts, queues
from .details import marks_of
from .details import told as told_of
from .events import DataKind
from .failures import way_of_attempt
from .flaky import failed_as_expected
from .planning import NS, Wish, key
from .queuenode import EXIT_STATUS, FAILING, Node, NodeRefused, NoServer
from .starting import maxfail

if TYPE_CHECKING:
    from .controller import Controller
    from .delivery import Attempt
    from .events import Plain
    from .spreading import Spread


def come(
    controller: Controller, plan: _core.Plan, wishes: list[Wish], expected_ns: list[int]
) -> QueueRun:
    """Comes to the run: of a hunt with its passes, otherwise with the tests of a plan.

    Raises: as ``QueueRun``.
    """
    spread = getattr(controller.hunt, "spread", None)
    if spread is not None:
        plan = spread.plan(controller.session.items, wishes, expected_ns)
    return QueueRun(controller, plan, expected_ns, spread)


class QueueRun:
    """The node's part.

    Args:
        controller: the run's, which has collected.
        plan: sealed; its units are described to the other nodes.
        expected_ns: of each item, 0 where unknown.
        spread: of a hunt, its passes, which the host claims for itself.

    Raises:
        pytest.UsageError: the run has another plan, with the first ids that differ, or an
            option does not fit.
        pytest.exit.Exception: with EXIT_STATUS, where no server answers or will have us.
    """

    def __init__(
        self,
        controller: Controller,
        plan: _core.Plan,
        expected_ns: list[int],
        spread: Spread | None = None,
    ) -> None:
        self._controller = controller
        self._spread = spread
        self._quarantined = set(controller.quarantined)
        self._expected_ns = expected_ns
        options = controller.options
        items = controller.session.items
        numbers = [number for number, _ in controller.units]
        if spread is not None:
            numbers = [spread.item_of(place) for place in range(spread.executions)]
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
                what="tests" if spread is None else "runs of tests",
                keeps=spread is not None,
            )
        except NodeRefused as error:
            raise pytest.UsageError(f"--qe-queue: {error}{self._by_cache()}") from None
        except ValueError as error:
            text = re.sub(r"--(?=run\b|queue\b)", "--qe-", str(error))
            text = text.replace("--project", "--qe-queue-project")
            raise pytest.UsageError(f"--qe-queue: {text}") from None
        except NoServer as error:
            raise pytest.exit.Exception(f"--qe-queue: {error}", EXIT_STATUS) from None
        #: For the session; a hunt has spare units alone, and claims by itself.
        self.source = None if spread is not None else self._node.source
        if spread is not None:
            spread.join(self, self._node.source)
        self.name = self._node.name
        self.counted = self._node.counted
        self.ended = self._node.ended
        self.start = self._node.start
        self.lines = self._node.lines

    @property
    def knows_all(self) -> bool:
        """Whether this is the last node, which has read what all have told."""
        return self._node.knows_all

    def _by_cache(self) -> str:
        """What there is to say of another plan where each machine's cache has a say in it."""
        config = self._controller.config
        for name, option in (("lf", "--lf"), ("failedfirst", "--ff"), ("newfirst", "--nf")):
            if config.getoption(name, False):
                return f". {option} goes by pytest's cache: all nodes need the same one, or none"
        return ""

    # ------------------------------------------------------------------ tell

    def _claim(self, unit: int, attempt: int) -> tuple[int, int] | None:
        """Which unit of the run's plan one of the session is, and which attempt at it; None: it is
        of this node alone."""
        return (unit, attempt) if self._spread is None else self._spread.claim_of(unit)

    def _about(self, unit: int) -> dict[str, Any]:
        """What is known of a test whatever comes of it."""
        number, pass_ = self._controller.units[unit]
        item, hunt = self._controller.session.items[number], self._controller.hunt
        return {
            "marks": marks_of(item),
            "expected": self._expected_ns[number] / NS,
            "quarantined": number in self._quarantined,
            "pass_": pass_,
            "void": hunt is not None and hunt.is_void(number, pass_),
        }

    def tell_plain(self, e: Plain) -> None:
        """A first attempt that passed with nothing to tell."""
        payload = {
            "outcome": _core.PASSED, "worker": e.slot, "start": e.start, "duration": e.duration,
            "cpu": e.cpu, "peak": e.peak_bytes, **self._about(e.unit),
        }  # fmt: skip
        claim = self._claim(e.unit, e.attempt)
        if claim is not None:
            self._node.tell(*claim, _core.PASSED, payload=payload)

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
        claim = self._claim(attempt.unit, attempt.number)
        if claim is None:
            return
        if self._spread is not None and failed_as_expected(attempt):
            was = _core.PASSED  # what a hunt counts
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
        if self._spread is not None and was in FAILING:
            payload["way"] = way_of_attempt(attempt, was)
        failed = not again and outcome in FAILING and not about["quarantined"]
        self._node.tell(*claim, outcome, again=again, failed=failed, payload=payload)

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
