"""Commands of a run that several nodes share through a queue server."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import _core
from ..keys import key
from ..queuenode import FAILING, Node, Waits

if TYPE_CHECKING:
    from ..queues import Target
    from .session import Ended

_TAIL = 64 << 10  # characters of each stream of a failure


@dataclass(frozen=True)
class Shared:
    """The run that a node is to share.

    Attributes:
        target: which run, and where (see ``queues.target``).
        lease: seconds after which a node that is not heard of loses its files; 0: 10.
    """

    target: Target
    lease: float = 0.0


class CommandNode:
    """This process's part in a run of commands.

    Args:
        shared: which run.
        plan: sealed; a unit for each name.
        names: what the commands are for, the same on every node.
        expected_ns: of each, 0 where unknown.
        workers: how many run at once.
        waits: as of ``Node``.
        runs: of each command, one behind the other; more than one are a hunt.

    Raises: as ``Node``.
    """

    def __init__(
        self,
        shared: Shared,
        plan: _core.Plan,
        names: Sequence[str],
        expected_ns: Sequence[int],
        workers: int,
        waits: Waits,
        runs: int = 1,
    ) -> None:
        self._expected_ns, self._runs = expected_ns, runs
        self.told = 0  # commands that have ended here
        self.node = Node(
            shared.target,
            plan,
            [key(name) for name in names],
            expected_ns,
            workers=workers,
            lease=shared.lease,
            waits=waits,
            what="files" if runs == 1 else "runs of files",
            keeps=runs > 1,
        )

    def tell(self, end: Ended, slot: int, outcome: int, status: int, final: int) -> None:
        """An attempt's end: what it was itself, and the command's outcome, NONE where it runs
        again."""
        from .session import describe_end

        bad = outcome in FAILING
        failures = [("run", describe_end(end.returncode))]
        if self._runs > 1 and end.more is not None:  # what a hunt tells of them
            failures += [(one["name"], one["message"]) for one in end.more.failures]
        printed = (("stdout", end.stdout), ("stderr", end.stderr))
        texts = [(name, data.decode("utf-8", "replace")[-_TAIL:]) for name, data in printed]
        payload: dict[str, Any] = {
            "outcome": outcome, "worker": slot, "start": time.time() - end.duration,
            "duration": end.duration, "cpu": end.cpu, "peak": end.peak_bytes, "status": status,
            "expected": self._expected_ns[end.unit] / 1e9,
            "message": describe_end(end.returncode) if bad else None,
            "failures": failures if bad else [], "pass_": end.unit % self._runs,
            "output": [(name, text) for name, text in texts if text] if bad else [],
            "tests": None if end.more is None else end.more.as_dict(),
        }  # fmt: skip
        again = final == _core.NONE
        self.told += not again
        self.node.tell(
            end.unit, end.attempt, final, again=again, failed=final in FAILING,
            payload=payload,
        )  # fmt: skip

    def elsewhere(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Of each command whose result is another node's, as the last one knows it, its number
        and what a result has, besides ``started``."""
        for number, (name, one) in self.node.counted().items():
            if name == self.node.name or not self.node.knows_all:
                continue
            outcome = _core.outcome_name(one["outcome"])
            texts = {text.name: text.text for text in one["texts"]}
            failed = [text for text in one["texts"] if text.kind == _core.TEXT_FAILURE]
            yield (
                number,
                {
                    "outcome": outcome,
                    "passed": outcome == "passed",
                    "attempts": 1,
                    "duration": one["duration"],
                    "timed_out": outcome == "timeout",
                    "rusage": {"cpu_seconds": one["cpu"], "peak_memory_bytes": one["peak_memory"]},
                    "stdout": texts.get("stdout", ""),
                    "stderr": texts.get("stderr", ""),
                    "failures": [{"name": of.name, "message": of.text} for of in failed[1:]],
                    "ended": one["message"] or outcome,
                    "started": one["start"],
                },
            )

    def described(self) -> dict[str, Any]:
        """For the result of the commands that ran here."""
        node = self.node
        return {
            "lines": node.lines(),
            "failures": node.failures(),
            "stopped": node.stopped,
            "flaky": node.flaky(),
            "last": node.knows_all,
            "proven": node.proven,
            "trouble": node.trouble or node.unread,
        }
