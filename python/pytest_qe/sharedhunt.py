"""A hunt whose passes several nodes share (``--qe-flaky=N --qe-queue=URL``).

Of an adaptive hunt the passes that screen are known before any has run: each node plans them
alike, and runs those that it claims. The last node hears what became of all, and goes on as a hunt
on one machine: it confirms suspects, and looks for causes. Of a fixed one that is all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core, planning
from .flaky import FlakyTally
from .hunting import Hunt, _Seen
from .keys import key
from .passes import MOST_ROOM, Decided, Given
from .spreading import Planned, Result, Spread
from .texts import Texts

if TYPE_CHECKING:
    import pytest

    from .delivery import Attempt
    from .options import Options
    from .planning import Wish
    from .recording import Recording


class Shared(Decided):
    """What both kinds have in common; ``spread`` is made by them."""

    spread: Spread
    _gathered = False

    def feed(self, session: _core.Session, units: list[tuple[int, int]]) -> None:
        if self._gathered or self.spread.feed(session, units):
            return
        self.spread.finish()
        self._gather()
        session.no_more()

    @property
    def waits(self) -> bool:
        return not self._gathered and self.spread.waits

    def _gather(self) -> None:
        """Takes in the results that count."""
        if not self._gathered:
            self._gathered = True
            for one in self.spread.results():
                self.take_in(one)

    def take_in(self, one: Result) -> None:
        """Counts a result, in the order of passes."""
        raise NotImplementedError

    def leftovers(self) -> list[tuple[Attempt, int]]:
        self._gather()  # where the run was stopped
        return super().leftovers()

    def remembers(self, unit: int, pass_: int) -> bool:
        return self.spread.counts(unit)

    def complete(self, recording: Recording, lanes: int) -> dict[str, str]:
        if not self.spread.knows_all:
            return {}
        recording.wait()  # for the history, which has what ran here
        record = recording.record
        known: dict[tuple[str, int], int] = {}
        texts = Texts(record)
        for node, one in self.spread.elsewhere():
            payload = one.payload
            assert payload is not None
            lane = known.setdefault((node, payload["worker"]), lanes + len(known))
            number = 2 if self.spread.ran_here(one) else 1
            message = payload["message"]
            record.add_attempt(
                one.item, one.pass_, number, lane, payload["outcome"], payload["start"],
                payload["duration"], payload["cpu"], payload["peak_memory"], payload["status"],
                None if message is None else key(message).decode("utf-8", "replace"),
            )  # fmt: skip
            for text in payload["texts"]:
                texts.add((one.item, one.pass_, number), *text)
        return {f"gw{lane}": f"{node}/gw{slot}" for (node, slot), lane in known.items()}

    def _write_part(self, reporter: pytest.TerminalReporter) -> None:
        """In a line what ran here: the last node tells the whole."""
        here = sorted(self.spread.here)
        some = ", ".join(map(str, here[:20])) + (", ..." if len(here) > 20 else "")
        reporter.write_line(
            f"qe: hunt: of {len(self.spread.planned)} passes this node ran {len(here)}"
            + (f" ({some})" if here else "")
            + "; the last node, and qe queue report, tell of all"
        )


class SharedHunt(Shared, Hunt):
    """An adaptive one; its arguments are those of ``Hunt``."""

    def __init__(
        self,
        items: list[pytest.Item],
        wishes: list[Wish],
        expected_ns: list[int],
        options: Options,
        seed: int,
        workers: int,
        **more: Any,
    ) -> None:
        super().__init__(items, wishes, expected_ns, options, seed, workers, apart=True, **more)
        planned = []
        while found := self._core.next():
            _, condition, own, _, server, files, _, order = found
            planned.append(Planned(condition, own, order, {"files": files}, server))
            self._note_pass(found)
        self.spread = Spread(planned, self.given, workers)

    def feed(self, session: _core.Session, units: list[tuple[int, int]]) -> None:
        if not self._gathered:
            self._units = units
            if self.spread.feed(session, units):
                return
            last = self.spread.finish()
            self._gather()
            if not last:
                self._over = True
                session.no_more()
                return
        Hunt.feed(self, session, units)

    def add(
        self, item: int, pass_: int, attempt: Attempt, outcome: int
    ) -> tuple[Attempt, int] | None:
        if self._gathered:
            return Hunt.add(self, item, pass_, attempt, outcome)
        self.given.done(pass_, attempt.unit, outcome)
        if not self.spread.counts(attempt.unit):
            return None
        result = self.keep(item, pass_, attempt, outcome)
        result = 2 if self.is_void(item, pass_) else result
        self.spread.add(attempt.unit, result, attempt.seconds)
        if result in (0, 1):
            self._see(item, pass_, attempt, outcome, result)
        self._latest[attempt.slot] = (item, attempt.start + attempt.seconds)
        return None

    def take_in(self, one: Result) -> None:
        self.executions += 1
        self._core.result(one.pass_, one.item, one.result, one.seconds)
        if one.result in (0, 1):
            self._results[one.item].append((one.pass_, one.result))
            if one.payload is not None:
                self._see_elsewhere(one)

    def _gather(self) -> None:
        if not self._gathered:
            super()._gather()
            for number, made in enumerate(self.spread.planned):
                self._core.over(number, 0.0)
                if number not in self.given.given:
                    ran = Given(number, -1, made.items, made.around, made.server)
                    self.given.given[number] = ran

    def _see_elsewhere(self, one: Result) -> None:
        """What an inquiry may want to know of it: the passes' orders are the same there."""
        assert one.payload is not None
        seen = self._seen.setdefault(one.item, _Seen())
        if (
            one.pass_ not in self.spread.here
        ):  # of one that was divided nobody knows what ran before
            context = (False, one.place + 1, 0, one.pass_, one.payload["start"])
            side = "passed" if one.result == 1 else "failed"
            known = getattr(seen, side)
            setattr(seen, side, context if known is None else min(known, context))
        if one.result == 1:
            return
        way = tuple(one.payload["way"]) or ("unknown",)
        seen.ways.add(way)
        self.clusters.add(one.item, way, None, one.payload["message"] or "")

    def remembers(self, unit: int, pass_: int) -> bool:
        if pass_ < len(self.spread.planned):
            return self.spread.counts(unit)
        return Hunt.remembers(self, unit, pass_)

    def write(
        self, reporter: pytest.TerminalReporter, items: list[pytest.Item], config: pytest.Config
    ) -> None:
        if self.spread.knows_all:
            Hunt.write(self, reporter, items, config)
        else:
            self._write_part(reporter)


class SharedPasses(Shared):
    """A fixed one: as many passes over all tests as were asked for."""

    def __init__(
        self,
        items: list[pytest.Item],
        wishes: list[Wish],
        options: Options,
        seed: int,
        workers: int,
    ) -> None:
        count = options.flaky or 1
        super().__init__(len(items), wishes, min(2 * count * len(items), MOST_ROOM))
        self.tally = FlakyTally(len(items), count)
        planned = []
        for number in range(count):
            order = planning.pass_order(items, number, seed)
            own = _core.attempt_seed(seed, number, 0)
            condition = "shuffled" if number else "default"
            planned.append(Planned(condition, own, order, {}, 0))
            self.passes.append({"number": number, "condition": condition, "seed": seed})
        self.spread = Spread(planned, self.given, workers)

    def add(
        self, item: int, pass_: int, attempt: Attempt, outcome: int
    ) -> tuple[Attempt, int] | None:
        self.given.done(pass_, attempt.unit, outcome)
        if self.spread.counts(attempt.unit):
            result = self.keep(item, pass_, attempt, outcome)
            self.spread.add(attempt.unit, result, attempt.seconds)
        return None

    def take_in(self, one: Result) -> None:
        self.tally.results[one.item][one.pass_] = one.result

    def results_of(self, item: int) -> list[tuple[int, int]]:
        return self.tally.results_of(item)

    def describe(self, ids: list[str]) -> dict[str, Any]:
        return {}

    def write(
        self, reporter: pytest.TerminalReporter, items: list[pytest.Item], config: pytest.Config
    ) -> None:
        if not self.spread.knows_all:
            self._write_part(reporter)
            return
        from .terminal import write_flaky_table

        write_flaky_table(reporter, self.tally, items, config)
