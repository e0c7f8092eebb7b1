"""An adaptive hunt (``--qe-flaky-mode=adaptive``): passes that differ, and runs spent where
they show most. What runs next is for the core to say (qe_hunt.h); this carries its
passes to the session, and the results back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from . import _core, planning
from .causes import Case, Context, Inquiries, describe
from .failures import Clusters, any_place_of, way_of_attempt
from .flaky import result_of
from .passes import MOST_ROOM, Decided

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pytest

    from .delivery import Attempt
    from .failures import Way
    from .options import Options

_SPARE_EACH = 200  # executions of a test at the most, where seconds are the budget
_CAUSES_ROOM, _CAUSES_EACH = 50_000, 50  # executions for inquiries, in all and by test
_AHEAD = 3  # passes whose servers may start meanwhile: more would come too early to be wise
_CAUSES_S = 30.0  # seconds for them, if a hunt took less

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


class _Seen:
    """What a hunt has seen of a test that an inquiry may ask for."""

    __slots__ = ("failed", "neighbours", "passed", "ways")

    def __init__(self) -> None:
        # (with a partner, how many ran in its process, which of the pass's was the first,
        # pass, when it began): the least is the cheapest.
        self.failed: tuple[bool, int, int, int, float] | None = None
        self.passed: tuple[bool, int, int, int, float] | None = None
        self.ways: set[Way] = set()
        self.neighbours: dict[int, None] = {}


class Hunt(Decided):
    """The hunt of a run: its passes, and what is known of each test.

    Args:
        config: pytest's, for commands that prove.
        counts: how often tests have failed and passed in runs before, by their keys.
        hash_seeds: of the servers, numbered from 1 on.
        running: the attempts that are under way.
        refused: names of changes around a pass that could not be made, by pass.
        gone: servers that could not serve.
        renamed: tests that are others in the process of another hash seed.
        apart: passes run on several nodes, which share no files.
    """

    def __init__(
        self,
        items: list[pytest.Item],
        wishes: list[planning.Wish],
        expected_ns: list[int],
        options: Options,
        seed: int,
        workers: int,
        *,
        config: pytest.Config | None = None,
        counts: dict[bytes, tuple[int, int]] | None = None,
        hash_seeds: Sequence[int] = (),
        running: Callable[[], Iterable[Attempt]] = tuple,
        refused: dict[int, list[str]] | None = None,
        gone: set[int] | None = None,
        renamed: set[int] | None = None,
        apart: bool = False,
    ) -> None:
        if options.flaky_budget is not None:
            room = min(_SPARE_EACH * len(items), MOST_ROOM)
        else:
            room = (options.flaky or 1) * len(items) * (2 if apart else 1)  # lost, and had again
        if options.flaky_causes != 0:
            room += min(_CAUSES_ROOM + _CAUSES_EACH * len(items), MOST_ROOM)
        super().__init__(len(items), wishes, room, hash_seeds)
        modules: dict[str, int] = {}
        self.alpha = options.flaky_alpha
        law = _core.rates_fit(list((counts or {}).values())) or (0.0, 0.0)
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
            servers=len(self.hash_seeds),
            pairs=workers > 1 and not apart,
            apart=apart,
            rates_a=law[0],
            rates_b=law[1],
        )
        for number, item in enumerate(items):
            failed, passed = (counts or {}).get(planning.key(item.nodeid), (0, 0))
            if failed or passed:
                self._core.known(number, failed, passed)
        self._options = options
        self._config = config
        self._seed = seed
        self._workers = workers
        self._results: list[list[tuple[int, int]]] = [[] for _ in items]
        self._seen: dict[int, _Seen] = {}
        self.executions = 0  # that are over, without those of inquiries
        self._running = running
        self._units: list[tuple[int, int]] = []
        self._latest: dict[int, tuple[int, float]] = {}  # by slot: what ran, and until when
        self._refused = {} if refused is None else refused
        self._gone = set() if gone is None else gone
        self.renamed = set() if renamed is None else renamed
        self._over = False
        self._began = time.monotonic()
        self._seconds = 0.0  # that tests have taken
        self._beside = Beside()
        #: How long a first pass took that was all that the budget allowed.
        self.short: float | None = None
        self.inquiries: Inquiries | None = None
        self.clusters = Clusters()

    def feed(self, session: _core.Session, units: list[tuple[int, int]]) -> None:
        """Gives the session its next passes, one more than can run at once."""
        if self._over:
            return
        self._units = units
        if self.inquiries is None and self._hunt(session, units):
            return
        if self.inquiries is None:
            self.inquiries = self._inquire()
        if not self.inquiries.feed(session, units):
            self._over = True
            session.no_more()

    def _hunt(self, session: _core.Session, units: list[tuple[int, int]]) -> bool:
        """The next passes of the hunt itself: False once it is over."""
        while self.given.under_way <= self._workers + min(_AHEAD, self.given.servers_awaited):
            found = self._core.next()
            if found is None:
                return True
            if found is False:
                return self.given.under_way > 0
            number, _, seed, _, server, files, partner, items = found
            around: dict[str, Any] = {"files": files}
            if partner is not None:
                around["partner"] = partner
            given = self.given.give(
                session, units, items, seed, number=number, around=around, server=server
            )
            if given is None:  # seconds are left, but no room; or the run is being stopped
                return self.given.under_way > 0
            self._note_pass(found)
        return True

    def _note_pass(self, found: _core.HuntPass) -> None:
        """For the JSON result."""
        number, condition, seed, repeats, server, files, partner, items = found
        made: dict[str, Any] = {
            "number": number,
            "condition": condition,
            "seed": seed,
            "tests": len(items),
            "files": files,
            "order": items,
        }
        for name, value in (("repeats", repeats), ("partner", partner)):
            if value is not None:
                made[name] = value
        if server > 0:
            made["hash_seed"] = self.hash_seeds[server - 1]
        self.passes.append(made)

    # ------------------------------------------------------------- inquiries

    def _inquire(self) -> Inquiries:
        """What is asked of the tests that both failed and passed, the surest first."""
        options = self._options
        hunted = time.monotonic() - self._began
        if options.flaky_budget is not None and all(
            made["condition"] in ("defined", "beside") for made in self.passes
        ):
            self.short = hunted
        seconds = options.flaky_causes
        if seconds is None:
            seconds = options.flaky_budget or max(_CAUSES_S, hunted)
        cases = []
        for item in sorted(self._seen):
            known = self.verdict(item)
            if known["verdict"] in ("confirmed", "suspect"):
                cases.append((-known["ln_evidence"], item, self._case(item, known)))
        cases.sort(key=lambda case: case[:2])
        return Inquiries(
            [case for *_, case in cases] if seconds > 0 else [],
            list(range(len(self._results))),
            self.given,
            workers=self._workers,
            servers=len(self.hash_seeds) if not self._gone else 0,
            seconds=seconds,
            alpha=self.alpha,
            seed=self._seed,
            refused=self._refused,
            gone=self._gone,
            renamed=self.renamed,
            evidence=self._core.more,
        )

    def _case(self, item: int, known: dict[str, Any]) -> Case:
        seen = self._seen[item]
        return Case(
            item,
            self._context(seen.failed),
            self._context(seen.passed),
            [other for other in seen.neighbours if other != item],
            0 if seen.failed is None else self.given.given[seen.failed[3]].around["files"],
            seen.ways,
            known["failures"] / (known["failures"] + known["passes"]),
        )

    def _context(self, seen: tuple[bool, int, int, int, float] | None) -> Context | None:
        if seen is None:
            return None
        _, length, first, number, started = seen
        given = self.given.given[number]
        items = given.items[first : first + length]
        return Context(items, self.passes[number]["seed"], given.server, started)

    def _see(self, item: int, pass_: int, attempt: Attempt, outcome: int, result: int) -> None:
        """Keeps what an inquiry will want to know."""
        seen = self._seen.get(item)
        if seen is None:
            seen = self._seen[item] = _Seen()
        partner = "partner" in self.given.given[pass_].around
        first = self.given.begins(pass_)
        length = self.given.place(pass_, attempt.unit) + 1 - first
        context = (partner, length, first, pass_, attempt.began)
        if result == 1:
            seen.passed = context if seen.passed is None else min(seen.passed, context)
            return
        way = way_of_attempt(attempt, outcome)
        seen.failed = context if seen.failed is None else min(seen.failed, context)
        seen.ways.add(way)
        self.clusters.add(item, way, attempt)
        for other in self._running():
            seen.neighbours[self._units[other.unit][0]] = None
        for slot, (other_item, ended) in self._latest.items():
            if slot != attempt.slot and ended > attempt.start:
                seen.neighbours[other_item] = None

    # --------------------------------------------------------------- results

    def leftovers(self) -> list[tuple[Attempt, int]]:
        if self.inquiries is not None:
            self.inquiries.end()
        return super().leftovers()

    def add(
        self, item: int, pass_: int, attempt: Attempt, outcome: int
    ) -> tuple[Attempt, int] | None:
        if self.inquiries is not None and self.inquiries.owns(pass_):
            self.inquiries.add(item, pass_, attempt, outcome, result_of(attempt, outcome))
            return None
        self.executions += 1
        result = self.keep(item, pass_, attempt, outcome)
        if self.is_void(item, pass_):
            result = 2
        self._core.result(pass_, item, result, attempt.seconds)
        self._seconds += attempt.seconds
        if result in (0, 1):
            self._results[item].append((pass_, result))
            self._see(item, pass_, attempt, outcome, result)
        self._latest[attempt.slot] = (item, attempt.start + attempt.seconds)
        if self.given.done(pass_, attempt.unit, outcome):
            spent = (time.monotonic() - self._began) * self._workers
            self._core.over(pass_, self._beside.more(spent, self._seconds))
        return None  # a later pass may see something else

    def is_void(self, item: int, pass_: int) -> bool:
        server = self.given.given[pass_].server
        # It had not the hash seed that it was to have, or was another test, by what it is given.
        return server in self._gone or (server > 0 and item in self.renamed)

    def remembers(self, unit: int, pass_: int) -> bool:
        return self.inquiries is None or not self.inquiries.owns(pass_)

    def write(
        self, reporter: pytest.TerminalReporter, items: list[pytest.Item], config: pytest.Config
    ) -> None:
        from . import huntreport

        huntreport.write(reporter, self, items)

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

    def finding(self, item: int) -> _core.Finding | None:
        """Why it is flaky, if that was asked."""
        return None if self.inquiries is None else self.inquiries.findings.get(item)

    def replay_of(self, item: int, ids: list[str]) -> str | None:
        """The option that makes a test fail again, if one was found."""
        finding = self.finding(item)
        if finding is None or finding["proof"] is None or self._config is None:
            return None
        from . import replay

        return replay.option_for(
            finding["proof"], ids, self.hash_seeds, self._config, self.failure_of(item)
        )

    def failure_of(self, item: int) -> str:
        """Where it failed."""
        return any_place_of(self._seen[item].ways)

    def describe(self, ids: list[str]) -> dict[str, Any]:
        """For the JSON result. Tests of which nothing was seen are not listed."""
        found = {}
        for item, name in enumerate(ids):
            one = self.verdict(item)
            if one["verdict"] in ("confirmed", "suspect", "stable-fail"):
                finding = self.finding(item)
                if finding is not None:
                    one["why"] = describe(finding, ids)
                    option = self.replay_of(item, ids)
                    if option is not None:
                        one["why"]["replay"] = {
                            "option": option,
                            "failed": finding["proof_failed"],
                            "runs": finding["proof_runs"],
                        }
                found[name] = one
        told = {
            "mode": "adaptive",
            "executions": self._core.spent(),
            "alpha": self.alpha,
            "passes": self.passes,
            "tests": found,
            "renamed": [ids[item] for item in sorted(self.renamed)],
        }
        if self.inquiries is not None:
            told["causes"] = {
                "executions": self.inquiries.executions,
                "seconds": round(self.inquiries.seconds, 3),
                "not_ended": self.inquiries.cut,
                "refused": sorted(self.inquiries.forbidden),
            }
        return told
