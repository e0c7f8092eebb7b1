"""What any host does as a node of a run that several share through a queue server.

The core claims, runs and gives back; here a node comes to the run, tells what became of its
units, and hears of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import _core, queues
from .errors import OtherPlan, QeError, RunEnded

if TYPE_CHECKING:
    from .payloads import Payload
    from .queuereport import Whole

#: How a host ends where the server is gone for good, or will not have us.
EXIT_STATUS = 7
FAILING = (_core.FAILED, _core.ERROR, _core.TIMEOUT, _core.CRASHED)
_MOST_NAMES = 30  # of failures elsewhere that are shown


class NodeRefused(ValueError):
    """The run has another plan; the message is one line."""


class NoServer(QeError):
    """No server answers, or it will not have us; the message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(-11, message)


class Waits:
    """Those of a node for its server, and what ends them: ``cancel`` may be called from any thread,
    also before the node is made."""

    def __init__(self) -> None:
        self.cancelled = False
        self._queue: Any = None

    def begin(self, queue: Any) -> None:
        """A node has been made."""
        self._queue = queue
        if self.cancelled:
            queue.cancel()

    def cancel(self) -> None:
        """Nobody wants to wait any longer. A server that answers is still told what there is."""
        self.cancelled = True
        if self._queue is not None:
            self._queue.cancel()


class Node:
    """A node's part in a run.

    Args:
        target: which run, and where.
        plan: sealed; its units are described to the other nodes.
        ids, expected_ns: of each unit.
        workers: of this node.
        maxfail: failures of the whole run that stop it; 0: no limit.
        lease: seconds; 0: the default.
        what: what units are called, in the plural.
        waits: what ends those for the server; Ctrl-C does on the main thread.
        keeps: whether the last node is to know each unit's attempt.

    Raises: ``ValueError`` for a value that makes no sense, ``NodeRefused``, ``NoServer``.
    """

    def __init__(
        self,
        target: queues.Target,
        plan: _core.Plan,
        ids: Sequence[bytes],
        expected_ns: Sequence[int],
        *,
        workers: int,
        maxfail: int = 0,
        lease: float = 0.0,
        what: str = "tests",
        waits: Waits | None = None,
        keeps: bool = False,
    ) -> None:
        self._target, self._what, self._ids, self._keeps = target, what, ids, keeps
        self.name = queues.node()
        self.stopped = False  # the run was, on whatever node
        self._told = 0
        self._finished = False
        self._whole: Whole | None = None
        self.unread: str | None = None  # why the whole run could not be read
        self._end: Any = None
        self.ended: str | None = None  # before we came: why there is nothing to do
        self.trouble: str | None = None  # the server is gone for good
        order = plan.places()
        self._unit = [unit for unit, _, _ in order]  # by place
        self._place = {unit: place for place, (unit, _, _) in enumerate(order)}
        self._queue = queues.open_queue(
            target,
            [ids[unit] for unit, _, _ in order],
            [scope for _, scope, _ in order],
            [flags for _, _, flags in order],
            [expected_ns[unit] for unit, _, _ in order],
            workers=workers, maxfail=maxfail, lease=lease, name=self.name,
        )  # fmt: skip
        queues.take_password()
        self.waits = Waits() if waits is None else waits
        self.waits.begin(self._queue)
        try:
            self._queue.join()
        except OtherPlan:
            raise NodeRefused(self._queue.text + self._in_order()) from None
        except RunEnded:
            self.ended = self._queue.text
            self.stopped = self._queue.end is not None and self._queue.end.stopped
            if not self.stopped:
                # A job that is retried under the same name runs nothing: it must not pass for that.
                self._read()
        except QeError as error:
            raise NoServer(self._queue.text or str(error)) from None

    def _in_order(self) -> str:
        """What there is to say of a plan that differs in its order alone."""
        try:
            reader = self._target.server.reader(self._target.project)
            found = reader.units(self._target.run, 0, len(self._ids) + 1)
        except (QeError, ValueError):
            return ""
        if sorted(name for name, _ in found) != sorted(self._ids):
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
        """After the session's start."""
        self._queue.start()

    def tell(
        self,
        unit: int,
        attempt: int,
        outcome: int,
        *,
        again: bool = False,
        failed: bool = False,
        payload: Mapping[str, Any],
    ) -> None:
        """An attempt's end.

        Args:
            outcome: what the unit came to.
            again: another attempt follows, on whatever node.
            failed: it counts for maxfail.
            payload: what ``queues.pack`` takes.
        """
        self._told += not again
        self._queue.tell(self._place[unit], attempt, outcome, again, failed, queues.pack(**payload))

    def hear(self, status: int) -> None:
        """What the session's SOURCE event says of the run."""
        if status == _core.SOURCE_STOPPED:
            self.stopped = True
        elif status == _core.SOURCE_TROUBLE:
            self.trouble = self._queue.text

    def finish(self) -> bool:
        """This node runs nothing more; the last one reads what the others have told. Once.

        Returns: whether Ctrl-C ended the wait for the server.
        """
        if self._finished:
            return False
        self._finished, interrupted = True, False
        try:
            self._queue.finish()
        except QeError:
            self.trouble = self.trouble or self._queue.text
        except KeyboardInterrupt:
            interrupted = True
        self._end = self._queue.end
        if self._end is not None and self._end.last:
            self._read()
        return interrupted

    def _read(self) -> None:
        from .queuereport import Whole

        try:
            reader = self._target.server.reader(self._target.project)
            self._whole = Whole(reader, self._target.run, keeps=self._keeps)
        except (QeError, ValueError) as error:
            self.unread = str(error)

    # ------------------------------------------------------------- the whole run

    @property
    def knows_all(self) -> bool:
        """Whether this is the last node, which has read what all have told."""
        return self._whole is not None and self.ended is None

    def counted(self) -> dict[int, tuple[str, Payload]]:
        """Of each unit the node and the attempt that told its outcome; only the last one knows."""
        found = {} if self._whole is None else self._whole.counted
        return {self._unit[place]: one for place, one in found.items()}

    def failures(self) -> list[str]:
        """What has failed on any node; only the last one knows, and who came too late."""
        return [] if self._whole is None else [test.name for test in self._whole.failed()]

    def flaky(self) -> list[str]:
        """What failed in some runs and passed in others, on any node."""
        tests = () if self._whole is None else self._whole.tests
        return [test.name for test in tests if test.outcome == _core.FLAKY]

    @property
    def proven(self) -> bool:
        """Whether each unit has exactly one outcome, as far as this node knows."""
        return self._whole is None or self._whole.complete

    def lines(self) -> list[str]:
        """For the summary."""
        name, total, what = self._target.run, len(self._ids), self._what
        if self.ended is not None:
            lines = [f"run {name}: {self.ended}; nothing was left for this node"]
            return lines + self._lines_of_whole("")
        end = self._end
        here = self._told if end is None else end.counted
        lines = [f"run {name}: {here} of {total} {what} ran here"]
        if end is not None and end.late:
            lines.append(
                f"{end.late} attempt{'s' if end.late != 1 else ''} of this node came too late to "
                "count: their lease had ended, and other nodes ran them"
            )
        if end is not None and end.untold:
            results = "1 result" if end.untold == 1 else f"{end.untold} results"
            lines.append(f"{results} of this node could not be told to the server")
        if self.trouble is not None:
            lines.append(f"error: {self.trouble}")
        elif end is not None and end.left and not end.over:
            lines.append(f"{end.left} {what} have no outcome yet")
        return lines + self._lines_of_whole("this was the last node of {nodes}: ")

    def _lines_of_whole(self, head: str) -> list[str]:
        whole = self._whole
        if whole is None:
            if self.unread is None:
                return []
            return [f"the whole run could not be read: {self.unread}"]
        failures = self.failures()
        lines = [f"FAILED on some node: {name}" for name in failures[:_MOST_NAMES]]
        if len(failures) > _MOST_NAMES:
            lines.append(f"... and {len(failures) - _MOST_NAMES} more")
        lines += [f"proof: {text}" for text in whole.troubles]
        told = ", ".join(f"{n} {outcome}" for outcome, n in whole.counts().items() if n)
        return [
            *lines,
            f"{head.format(nodes=len(whole.nodes))}in the whole run {told}",
        ]
