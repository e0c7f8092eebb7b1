"""Passes of a hunt that several nodes share: which there are is known before the run, and the same
on each node; a node claims whole passes, and gives its session one as a worker is free.

An order means something only where one worker runs it whole, so that a pass is claimed whole. One
whose node is lost runs elsewhere from its first test on, and counts from where nothing was told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import _core, planning, queues

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from .passes import Passes
    from .payloads import Payload
    from .planning import Wish
    from .queuerun import QueueRun


class Planned(NamedTuple):
    """A pass as every node knows it."""

    condition: str
    seed: int
    items: list[int]  # in the order to run
    around: dict[str, Any]
    server: int


class Result(NamedTuple):
    """One execution that counts, on whichever node."""

    pass_: int
    place: int  # in its pass
    item: int
    result: int  # 1 passed, 0 failed, 2 neither
    seconds: float
    payload: Payload | None  # of another node's; None: it ran here


_FAILED = (_core.FAILED, _core.ERROR, _core.TIMEOUT, _core.CRASHED)


class Spread:
    """A node's part in the passes of a run.

    Args:
        planned: all of them, numbered in this order.
        given: where a pass is given to the session.
        workers: of this node.
    """

    def __init__(self, planned: Sequence[Planned], given: Passes, workers: int) -> None:
        self.planned = planned
        self._given, self._workers = given, workers
        self._first: list[int] = []  # of each pass: its first place
        self._of: list[int] = []  # of each place: its pass
        for number, made in enumerate(planned):
            self._first.append(len(self._of))
            self._of += [number] * len(made.items)
        self._claimed: dict[int, set[int]] = {}  # by pass: places that have not begun here
        self._attempt: dict[int, int] = {}  # by pass: of the claim
        self._places: dict[int, int] = {}  # by unit of the session
        self._results: dict[int, Result] = {}  # of this node, by place
        self._room: tuple[int, int, int] | None = None
        self._ends = self._full = False
        self._queue: QueueRun | None = None
        self._source: object = None
        #: Passes of which something ran here.
        self.here: set[int] = set()

    def plan(self, items: list[pytest.Item], wishes: list[Wish], expected: list[int]) -> _core.Plan:
        """What nodes share: a unit for each execution, a scope for each pass."""
        plan = _core.Plan()
        flags = _core.FRESH | _core.TOGETHER
        for number, made in enumerate(self.planned):
            scope = planning.key(f"pass {number}")
            for item in made.items:
                plan.add(
                    planning.key(items[item].nodeid), scope, item, number, flags, 0,
                    wishes[item].timeout_ns, expected[item],
                )  # fmt: skip
        plan.seal()
        return plan

    def item_of(self, place: int) -> int:
        """Which test a unit of the plan is."""
        pass_ = self._of[place]
        return self.planned[pass_].items[place - self._first[pass_]]

    @property
    def executions(self) -> int:
        return len(self._of)

    def join(self, queue: QueueRun, source: object) -> None:
        """The node has come to the run."""
        self._queue, self._source = queue, source

    # ------------------------------------------------------------ claims

    def feed(self, session: _core.Session, units: list[tuple[int, int]]) -> bool:
        """Gives the session what was claimed: False once no pass of the run is left for it."""
        self._hear(session)
        for number in list(self._claimed):
            if self._given.under_way >= self._workers:
                break
            if not self._given.is_under_way(number) and not self._give(session, units, number):
                break
        self._tell_room()
        return not self._ends or bool(self._claimed) or self._given.under_way > 0

    @property
    def waits(self) -> bool:
        """Whether a claim may come for a worker that has nothing to do."""
        return not self._ends and self._given.under_way < self._workers

    def _hear(self, session: _core.Session) -> None:
        extension = queues.extension()
        while (news := extension.take(self._source)) is not None:
            kind, first, count, attempt = news
            if kind == _core.SOURCE_CLAIM:
                for place in range(first, first + count):
                    self._claimed.setdefault(self._of[place], set()).add(place)
                    self._attempt[self._of[place]] = attempt
            elif kind == _core.SOURCE_LOST:
                self._drop(range(first, first + count))
            elif kind == _core.SOURCE_WANTED:
                self._give_back(count)
            else:
                assert self._queue is not None
                self._queue.hear((_core.EV_SOURCE, kind))
                self._ends = True
                if kind != _core.SOURCE_TROUBLE:  # then what was claimed still runs here
                    self._claimed.clear()
                if kind == _core.SOURCE_STOPPED:
                    session.stop(False)

    def _drop(self, places: Sequence[int]) -> None:
        for place in places:
            of = self._claimed.get(self._of[place])
            if of is not None:
                of.discard(place)
                if not of:
                    del self._claimed[self._of[place]]

    def _give_back(self, most: int) -> None:
        """Whole passes, those that were claimed last."""
        for number in reversed(list(self._claimed)):
            if most <= 0:
                break
            most -= self._return(number)
        queues.extension().back(self._source, 0, 0)

    def _return(self, number: int) -> int:
        places = sorted(self._claimed.pop(number))
        first = 0
        for at, place in enumerate(places):  # what is given back together stays together
            if at + 1 == len(places) or places[at + 1] != place + 1:
                queues.extension().back(self._source, places[first], at + 1 - first)
                first = at + 1
        return len(places)

    def _give(self, session: _core.Session, units: list[tuple[int, int]], number: int) -> bool:
        made = self.planned[number]
        places = sorted(self._claimed[number] - self._results.keys())
        if not places:  # told meanwhile
            del self._claimed[number]
            return True
        first = self._first[number]
        items = made.items[: places[-1] + 1 - first]  # those before a place are its conditions
        if len(items) > session.spare():
            self._full = True
            self._return(number)
            queues.extension().back(self._source, 0, 0)
            return False
        given = self._given.give(
            session, units, items, made.seed,
            number=number, around=made.around, server=made.server,
        )  # fmt: skip
        if given is None:
            return False
        del self._claimed[number]
        self.here.add(number)
        self._places.update((given.first + place - first, place) for place in places)
        return True

    def _tell_room(self) -> None:
        units = sum(map(len, self._claimed.values()))
        idle = 0 if self._full else max(0, self._workers - self._given.under_way)
        room = (units, 0, idle)
        if room != self._room:
            self._room = room
            queues.extension().room(self._source, *room)

    # ----------------------------------------------------------- results

    def claim_of(self, unit: int) -> tuple[int, int] | None:
        """The place of a unit of the session, and the attempt that it was claimed as; None: it is
        this node's own."""
        place = self._places.get(unit)
        return None if place is None else (place, self._attempt[self._of[place]])

    def counts(self, unit: int) -> bool:
        """Whether a unit of the session was claimed: of others it is the condition, or they are
        this node's own."""
        return unit in self._places

    def add(self, unit: int, result: int, seconds: float) -> None:
        """An execution here is over that counts."""
        place = self._places[unit]
        self._results.setdefault(place, self._made(place, result, seconds, None))

    def _made(self, place: int, result: int, seconds: float, payload: Payload | None) -> Result:
        pass_ = self._of[place]
        at = place - self._first[pass_]
        return Result(pass_, at, self.planned[pass_].items[at], result, seconds, payload)

    @property
    def knows_all(self) -> bool:
        """Whether this is the last node, and knows what became of every pass."""
        return self._queue is not None and self._queue.knows_all

    def ran_here(self, one: Result) -> bool:
        """Whether it was tried here as well, and came too late."""
        return self._first[one.pass_] + one.place in self._results

    def elsewhere(self) -> Iterator[tuple[str, Result]]:
        """Results of other nodes, with the nodes' names; only the last one knows."""
        assert self._queue is not None
        counted = self._queue.counted()
        for one in self.results():
            if one.payload is not None:
                yield counted[self._first[one.pass_] + one.place][0], one

    def finish(self) -> bool:
        """After the last pass: whether this node is the last, and knows all results."""
        assert self._queue is not None
        self._queue.finish()
        return self.knows_all

    def results(self) -> Iterator[Result]:
        """In the order of passes: of all nodes on the last one, otherwise those of this node."""
        assert self._queue is not None
        if not self.knows_all:
            yield from (self._results[place] for place in sorted(self._results))
            return
        for place, (node, payload) in sorted(self._queue.counted().items()):
            if node == self._queue.name and place in self._results:
                yield self._results[place]
            else:
                result = 0 if payload["outcome"] in _FAILED else 2
                result = 1 if payload["outcome"] == _core.PASSED else result
                result = 2 if payload["void"] else result
                yield self._made(place, result, payload["duration"], payload)
