"""An adaptive hunt (``--qe-flaky-mode=adaptive``): passes that differ, and runs spent where
they show most. What runs next is for the core to say (qe_hunt.h); this carries its
passes to the session, and the results back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from . import _core, planning
from .errors import WrongState
from .flaky import Tally

if TYPE_CHECKING:
    import pytest

    from .delivery import Attempt
    from .options import Options

_SPARE_EACH = 200  # executions of a test at the most, where seconds are the budget
_MOST_SPARE = 1 << 20

#: What verdicts are called where they are counted, the worst first.
VERDICTS = {
    "confirmed": "confirmed flaky",
    "suspect": "suspect",
    "stable-fail": "failing",
    "clear": "nothing seen",
    "untried": "not run",
}


class Beside:
    """The seconds that workers spend beside tests: each is told once."""

    def __init__(self) -> None:
        self._told = 0.0

    def more(self, spent: float, tests: float) -> float:
        """What came since the last call: of all seconds `tests` went to those that ended.

        A test under way looks like seconds beside tests, until it has ended: then
        nothing more is told until there is as much.
        """
        found = max(0.0, spent - tests - self._told)
        self._told += found
        return found


class Hunt(Tally):
    """The hunt of a run: its passes, and what is known of each test."""

    def __init__(
        self,
        items: list[pytest.Item],
        wishes: list[planning.Wish],
        expected_ns: list[int],
        options: Options,
        seed: int,
        workers: int,
    ) -> None:
        super().__init__(len(items))
        modules: dict[str, int] = {}
        self.alpha = options.flaky_alpha
        self.passes: list[dict[str, Any]] = []
        self._core = _core.Hunt(
            groups=[
                modules.setdefault(planning.scope_of(i.nodeid, "loadfile"), len(modules))
                for i in items
            ],
            seconds_each=[ns / planning.NS for ns in expected_ns],
            executions=float(options.flaky or 1),
            seconds=(options.flaky_budget or 0.0) * workers,  # all of them spend it
            alpha=self.alpha,
            seed=seed,
        )
        if options.flaky_budget is not None:
            self._room = min(_SPARE_EACH * len(items), _MOST_SPARE)
        else:
            self._room = (options.flaky or 1) * len(items)
        self._workers = workers
        self._limits = [wish.timeout_ns for wish in wishes]
        self._results: list[list[tuple[int, int]]] = [[] for _ in items]
        self._left: dict[int, int] = {}  # executions to come, by pass
        self._over = False
        self._began = time.monotonic()
        self._seconds = 0.0  # that tests have taken
        self._beside = Beside()

    def plan(self) -> _core.Plan:
        """A plan that is nothing yet, with room for all that the budget can pay for."""
        made = _core.Plan()
        least = min(filter(None, self._limits), default=0)
        for _ in range(self._room):
            made.add(b"", b"spare", 0, 0, _core.SPARE, 0, least, 0)
        made.seal()
        return made

    def feed(self, session: _core.Session, units: list[tuple[int, int]]) -> None:
        """Gives the session its next passes, one more than can run at once."""
        while not self._over and len(self._left) <= self._workers:
            found = self._core.next()
            if found is None:
                return
            if found is False:
                self._over = True
                session.no_more()
                return
            number, condition, seed, repeats, items = found
            if len(items) > session.spare():
                self._over = True  # seconds are left, but no room
                session.no_more()
                return
            try:
                session.add_pass(number, items, [self._limits[i] for i in items], seed)
            except WrongState:  # the run is being stopped
                self._over = True
                return
            units.extend((item, number) for item in items)
            self._left[number] = len(items)
            made = {"number": number, "condition": condition, "seed": seed, "tests": len(items)}
            if repeats is not None:
                made["repeats"] = repeats
            self.passes.append(made)

    def add(
        self, item: int, pass_: int, attempt: Attempt, outcome: int
    ) -> tuple[Attempt, int] | None:
        result = self.keep(item, pass_, attempt, outcome)
        self._core.result(pass_, item, result, attempt.seconds)
        self._seconds += attempt.seconds
        if result in (0, 1):
            self._results[item].append((pass_, result))
        self._left[pass_] -= 1
        if self._left[pass_] == 0:
            del self._left[pass_]
            spent = (time.monotonic() - self._began) * self._workers
            self._core.over(pass_, self._beside.more(spent, self._seconds))
        return None  # a later pass may see something else

    def results_of(self, item: int) -> list[tuple[int, int]]:
        return sorted(self._results[item])

    def verdict(self, item: int) -> dict[str, Any]:
        """What is known of a test."""
        name, failures, passes, fresh_failures, fresh_passes, evidence = self._core.test(item)
        return {
            "verdict": name,
            "failures": failures,
            "passes": passes,
            "fresh_failures": fresh_failures,
            "fresh_passes": fresh_passes,
            "ln_evidence": evidence,
        }

    def describe(self, ids: list[str]) -> dict[str, Any]:
        """For the JSON result. Tests of which nothing was seen are not listed."""
        found = {name: self.verdict(item) for item, name in enumerate(ids)}
        return {
            "mode": "adaptive",
            "executions": self._core.spent(),
            "alpha": self.alpha,
            "passes": self.passes,
            "tests": {
                name: one
                for name, one in found.items()
                if one["verdict"] in ("confirmed", "suspect", "stable-fail")
            },
        }
