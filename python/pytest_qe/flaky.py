"""Counting passes and failures over many passes; the judging is the core's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core

if TYPE_CHECKING:
    from .delivery import Attempt

_FAILED = (_core.FAILED, _core.ERROR, _core.TIMEOUT, _core.CRASHED)
_NOT_RUN = 2  # neither a pass nor a failure

#: Fewer passes than this see little: a test that fails one time in ten gets
#: through ten passes with 35 %.
FEW_PASSES = 10


def failed_as_expected(attempt: Attempt) -> bool:
    """Whether it is an xfail that failed: for the count a pass."""
    return any(hasattr(value, "wasxfail") for _, value in attempt.events)


def result_of(attempt: Attempt, outcome: int) -> int:
    """1 if it passed, 0 if it failed, 2 if it did neither."""
    if outcome in _FAILED:
        return 0
    return 1 if outcome == _core.PASSED or failed_as_expected(attempt) else _NOT_RUN


class Tally:
    """For every test its results, and the attempt to show for it.

    Shown is the first failing attempt, or the first of all where none failed.
    """

    def __init__(self, items: int) -> None:
        self._shown: list[tuple[Attempt, int, int] | None] = [None] * items

    def add(
        self, item: int, pass_: int, attempt: Attempt, outcome: int
    ) -> tuple[Attempt, int] | None:
        """Counts one result; after the last one, what to show."""
        raise NotImplementedError

    def results_of(self, item: int) -> list[tuple[int, int]]:
        """(pass, 1 passed or 0 failed) of what counts, in the order of the passes."""
        raise NotImplementedError

    def remembers(self, unit: int, pass_: int) -> bool:
        """Whether what a pass did is one of the tests' results: otherwise it was an
        experiment."""
        return True

    def keep(self, item: int, pass_: int, attempt: Attempt, outcome: int) -> int:
        """Keeps the attempt, if it is the one to show: 1 if it passed, 0 if it failed,
        2 if it did neither."""
        failed = outcome in _FAILED
        shown = self._shown[item]
        better = (
            shown is None
            or (failed and shown[1] not in _FAILED)
            or (failed == (shown[1] in _FAILED) and pass_ < shown[2])
        )
        if better:
            self._shown[item] = (attempt, outcome, pass_)
        return result_of(attempt, outcome)

    def show(self, item: int) -> tuple[Attempt, int]:
        shown = self._shown[item]
        assert shown is not None
        self._shown[item] = None
        attempt, outcome, _ = shown
        judged = self.judge(item)
        if judged is not None and judged["is_flaky"]:
            outcome = _core.FLAKY
            if attempt.failed is not None:
                failures = judged["failures"]
                total = failures + judged["passes"]
                passes = [str(pass_ + 1) for pass_, r in self.results_of(item) if r == 0]
                some = ", ".join(passes[:10]) + (", ..." if len(passes) > 10 else "")
                attempt.failed.sections.append(
                    ("qe", f"flaky: failed in {failures} of {total} passes (pass {some})")
                )
        return attempt, outcome

    def leftovers(self) -> list[tuple[Attempt, int]]:
        """What to show of tests that were not shown yet."""
        return [self.show(i) for i, shown in enumerate(self._shown) if shown is not None]

    def judge(self, item: int) -> dict[str, Any] | None:
        """The compatible verdict (see ``qe_flakiness`` in qe.h)."""
        counted = bytes(result for _, result in self.results_of(item))
        return _core.flakiness_of(counted) if counted else None


class FlakyTally(Tally):
    """Of as many passes over all tests as were asked for."""

    def __init__(self, items: int, passes: int) -> None:
        super().__init__(items)
        self.passes = passes
        self.results = [bytearray([_NOT_RUN]) * passes for _ in range(items)]
        self._left = [passes] * items

    def add(
        self, item: int, pass_: int, attempt: Attempt, outcome: int
    ) -> tuple[Attempt, int] | None:
        self.results[item][pass_] = self.keep(item, pass_, attempt, outcome)
        self._left[item] -= 1
        return self.show(item) if self._left[item] == 0 else None

    def results_of(self, item: int) -> list[tuple[int, int]]:
        return [(p, r) for p, r in enumerate(self.results[item]) if r != _NOT_RUN]
