"""This process as a node of a run that several share through a queue server.

The core claims, runs and gives back; here the plan is described to the queue, what became
of tests is told, and what the server says of the whole run is passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from . import _core, queues
from .details import told as told_of
from .errors import QeError
from .events import DataKind
from .options import Options
from .planning import key
from .starting import maxfail

if TYPE_CHECKING:
    from .controller import Controller
    from .delivery import Attempt
    from .events import Plain

#: How pytest ends where the server is gone for good, or will not have us.
EXIT_STATUS = 7


class QueueRun:
    """The node's part.

    Args:
        controller: the run's, which has collected.
        plan: sealed; its units are described to the other nodes.
        expected_ns: of each item, 0 where unknown.

    Raises:
        pytest.UsageError: the run has another plan, with the first ids that differ, or it is
            over, or an option does not fit.
        pytest.exit.Exception: with EXIT_STATUS, where no server answers or will have us.
    """

    def __init__(self, controller: Controller, plan: _core.Plan, expected_ns: list[int]) -> None:
        self._controller = controller
        self._stopped = False
        self.trouble: str | None = None
        self.end: Any = None
        options = controller.options
        items = controller.session.items
        order = plan.places()
        self._place = [0] * len(order)  # by unit
        for place, (unit, _, _) in enumerate(order):
            self._place[unit] = place
        numbers = [controller.units[unit][0] for unit, _, _ in order]
        try:
            target = queues.target(
                options.queue, run=options.run, project=options.queue_project,
                root=controller.config.rootpath, password_file=options.queue_password_file,
                ca_file=options.queue_ca_file,
            )  # fmt: skip
            self.name = target.run
            self._queue = queues.open_queue(
                target,
                [key(items[number].nodeid) for number in numbers],
                [scope for _, scope, _ in order],
                [flags for _, _, flags in order],
                [expected_ns[number] for number in numbers],
                workers=controller.workers,
                maxfail=maxfail(controller.config),
                lease=options.queue_lease,
            )
        except ValueError as error:
            raise pytest.UsageError(f"--qe-queue: {error}") from None
        self._join(options)

    def _join(self, options: Options) -> None:
        try:
            self._queue.join()
        except (QeError, OSError):
            text = f"--qe-queue: {self._queue.text}"
            if self._queue.foreign:
                raise pytest.UsageError(text) from None
            raise pytest.exit.Exception(text, EXIT_STATUS) from None

    @property
    def source(self) -> object:
        """For the core's session."""
        return self._queue.source

    def start(self) -> None:
        """After the workers' supervisor has been forked."""
        self._queue.start()

    # ------------------------------------------------------------------ tell

    def tell_plain(self, e: Plain) -> None:
        """A first attempt that passed with nothing to tell."""
        payload = queues.pack(
            outcome=_core.PASSED, worker=e.slot, start=e.start, duration=e.duration, cpu=e.cpu,
            peak=e.peak_bytes,
        )  # fmt: skip
        self._queue.tell(self._place[e.unit], e.attempt, _core.PASSED, False, False, payload)

    def tell(
        self, attempt: Attempt, was: int, again: bool, outcome: int, measured: tuple[Any, ...]
    ) -> None:
        """An attempt's end: what it was itself, and what that makes of the test."""
        duration, cpu, peak, status = measured
        found = [v for kind, v in attempt.events if kind == DataKind.REPORT]
        failures = [r for r in found if r.failed and not hasattr(r, "wasxfail")]
        payload = queues.pack(
            outcome=was, worker=attempt.slot, start=attempt.start, duration=duration, cpu=cpu,
            peak=peak, status=status,
            failures=[(str(r.when), told_of(r)) for r in failures],
            output=list(dict.fromkeys((str(n), str(t)) for r in found for n, t in r.sections))
            if failures else [],
        )  # fmt: skip
        failed = not again and outcome not in (_core.PASSED, _core.SKIPPED, _core.FLAKY)
        self._queue.tell(
            self._place[attempt.unit], attempt.number, outcome, again, failed, payload
        )

    # ------------------------------------------------------------- the whole run

    def hear(self, event: tuple[Any, ...]) -> None:
        """What the source says of the run."""
        if event[1] == _core.SOURCE_STOPPED:
            self._stopped = True
        elif event[1] == _core.SOURCE_TROUBLE:
            self.trouble = self._queue.text

    def finish(self) -> None:
        """This node runs nothing more."""
        try:
            self.end = self._queue.finish()
        except (QeError, OSError):
            self.trouble = self.trouble or self._queue.text

    def raise_trouble(self) -> None:
        """Ends pytest with EXIT_STATUS where the server is gone: what ran here is reported."""
        if self.trouble is not None:
            raise pytest.exit.Exception(f"--qe-queue: {self.trouble}", EXIT_STATUS)

    def stopped_elsewhere(self) -> bool:
        """Whether the run was stopped, and not by a failure here alone."""
        return self._stopped or bool(self.end and self.end.stopped)
