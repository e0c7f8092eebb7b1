"""What an attempt of a category came to, as the event that tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import counts
from ..agents.session import Ended
from .suggesting import how_ended, suggestion


@dataclass(frozen=True)
class Ending:
    """How an attempt has ended.

    Attributes:
        outcome: passed, failed, crashed, timeout, error or interrupted.
        seconds: that it took.
        shown: the end of the command that is to be read about; None: of none.
        tests: how many by what became of them; None: not known.
        failures: of tests that failed, ``name`` and ``message``.
        closed: processes that the control group's limit of memory ended, and its peak in bytes.
        gone: what there is to say of services that are gone.
        late: the time of its layer was over.
        said: how it ended, where no command's end says so.
        shared: of a run that several nodes share, see ``nodes.Verdict.described``.
    """

    outcome: str
    seconds: float
    shown: Ended | None = None
    tests: Mapping[str, int] | None = None
    failures: Sequence[Mapping[str, str]] = ()
    closed: tuple[int, int] = (0, 0)
    gone: str | None = None
    late: bool = False
    said: str = ""
    shared: Mapping[str, Any] | None = None

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"

    def good_and_bad(self) -> tuple[int, int]:
        """Tests that passed, and that failed; 0 where nobody knows."""
        if not self.tests:
            return 0, 0
        return self.tests["passed"], self.tests["failed"] + self.tests["errors"]

    def fields(self) -> dict[str, Any]:
        """Of the ``end`` event."""
        shown = self.shown
        found: dict[str, Any] = {
            "outcome": self.outcome, "passed": self.passed,
            "returncode": shown.returncode if shown is not None else None,
            "ended": self.said or how_ended(self.outcome, shown),
            "seconds": self.seconds, "tests": self.tests, "failures": list(self.failures),
            "stdout": _text(shown.stdout) if shown is not None else "",
            "stderr": _text(shown.stderr) if shown is not None else self.said,
            "cpu_seconds": shown.cpu if shown is not None else 0.0,
            "peak_memory_bytes": max(
                self.closed[1], shown.peak_bytes if shown is not None else 0
            ),
            "oom_kills": self.closed[0],
        }  # fmt: skip
        return found if self.shared is None else {**found, "shared": dict(self.shared)}

    def suggestion(
        self, event: Mapping[str, Any], about: Mapping[str, Any], limit_s: float
    ) -> str | None:
        """What might help: of the event, what the plan has of the category, and the time that
        its layer has."""
        if self.passed:
            return None
        late = limit_s if self.late else None
        return self.gone or suggestion(event, about, layer_limit_s=late)


def ending(ends: Sequence[Ended | None], why: str, seconds: float) -> Ending:
    """What the ends of a category's commands come to; None: one has not run.

    Args:
        why: they were ended: "timeout", "limit" (of the layer), or anything else.
        seconds: that all of them took.
    """
    bad = [end for end in ends if end is not None and end.outcome != "passed"]
    shown = bad[0] if bad else next((end for end in reversed(ends) if end is not None), None)
    outcome = "passed"
    if bad:
        outcome = bad[0].outcome
    elif any(end is None for end in ends):
        outcome = "interrupted"
    if why and outcome != "passed":
        outcome = "timeout" if why in ("timeout", "limit") else "interrupted"
    found: list[counts.TestCounts] = [
        end.more for end in ends if end is not None and end.more is not None
    ]
    tests = None
    if found:
        tests = {key: sum(one.as_dict()[key] for one in found) for key in found[0].as_dict()}
    failures = [failure for one in found for failure in one.failures]
    return Ending(outcome, seconds, shown, tests, failures, late=why == "limit")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
