"""Runs whose passes are decided on while they go on: giving these to the session, and
telling which execution of which pass a result is of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import _core
from .errors import WrongState
from .flaky import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from .planning import Wish
    from .recording import Recording

#: Executions that there is room for at the most, and so passes.
MOST_ROOM = 1 << 20


def around_of(names: Sequence[str], clock: float, **more: int) -> dict[str, Any]:
    """What is changed around a pass, for ``Passes.give``: by names, with the seconds that
    the clock is to show, and the numbers of its files and its partner."""
    around: dict[str, Any] = dict.fromkeys(names, True)
    if "clock" in around:
        around["clock"] = clock
    return {**around, **more}


class Given(NamedTuple):
    """A pass that the session has."""

    number: int
    first: int  # its first unit
    items: list[int]  # in the order to run
    around: dict[str, Any]
    server: int


class Passes:
    """The passes of a run whose plan is nothing yet.

    Args:
        wishes: of each item.
        room: executions that there is room for in all.
    """

    def __init__(self, wishes: list[Wish], room: int) -> None:
        self._limits = [wish.timeout_ns for wish in wishes]
        self._room = room
        self.given: dict[int, Given] = {}
        self._left: dict[int, int] = {}  # executions to come, by pass
        self._heard = {0}  # servers of which something was
        self._anew: dict[int, int] = {}  # where its present process began, by pass

    def plan(self) -> _core.Plan:
        """A plan with room for all of them."""
        made = _core.Plan()
        made.add_spare(self._room, min(filter(None, self._limits), default=0))
        made.seal()
        return made

    @property
    def under_way(self) -> int:
        """How many have executions to come."""
        return len(self._left)

    @property
    def servers_awaited(self) -> int:
        """How many servers nothing was heard of: what is under way may wait for them."""
        return len({self.given[number].server for number in self._left} - self._heard)

    def give(
        self,
        session: _core.Session,
        units: list[tuple[int, int]],
        items: list[int],
        seed: int,
        *,
        number: int | None = None,
        around: dict[str, Any] | None = None,
        server: int = 0,
        serial: bool = False,
    ) -> Given | None:
        """Gives the session a pass: None where there is no room, or nothing new may start.

        Args:
            units: (item, pass) of each unit; those of the pass are added.
            around: what is changed around it (qe_around.h).
            server: whose hash seed it has; 0 is the run's own.
            serial: nothing else runs meanwhile.
        """
        if len(items) > session.spare():
            return None
        number = len(self.given) if number is None else number
        around = around or {}
        limits = [self._limits[i] for i in items]
        flags = _core.SERIAL if serial else 0
        try:
            first = session.add_pass(number, items, limits, seed, around, flags, server)
        except WrongState:  # the run is being stopped
            return None
        units.extend((item, number) for item in items)
        given = self.given[number] = Given(number, first, items, around, server)
        self._left[number] = len(items)
        return given

    def is_under_way(self, number: int) -> bool:
        """Whether a pass has executions to come."""
        return number in self._left

    def place(self, number: int, unit: int) -> int:
        """Which of the pass's executions a unit is, from 0."""
        return unit - self.given[number].first

    def begins(self, number: int) -> int:
        """Which execution is the first of the process that a pass has by now.

        What ran before a crash or a kill has left nothing there.
        """
        return self._anew.get(number, 0)

    def done(self, number: int, unit: int, outcome: int) -> bool:
        """One execution of a pass is over: whether all are."""
        if outcome in (_core.CRASHED, _core.TIMEOUT):  # the next one is in a new process
            self._anew[number] = self.place(number, unit) + 1
        self._heard.add(self.given[number].server)
        self._left[number] -= 1
        if self._left[number] > 0:
            return False
        del self._left[number]
        return True


class Decided(Tally):
    """A hunt, a replay or a bisection; it is the run's tally, too.

    Args:
        room: executions that there is room for in all.
        hash_seeds: PYTHONHASHSEED of the servers, numbered from 1 on.
    """

    def __init__(
        self, items: int, wishes: list[Wish], room: int, hash_seeds: Sequence[int] = ()
    ) -> None:
        super().__init__(items)
        self.given = Passes(wishes, room)
        self.hash_seeds = list(hash_seeds)
        #: What ran, for the JSON result and the history.
        self.passes: list[dict[str, Any]] = []

    @property
    def waits(self) -> bool:
        """Whether passes may come from elsewhere at any time."""
        return False

    def complete(self, recording: Recording, lanes: int) -> dict[str, str]:
        """Puts what ran on other nodes into what is recorded, which is saved already.

        Args:
            lanes: of this node; those of others are numbered behind them.

        Returns:
            What lanes of others are called, by the names that the JSON result has for them.
        """
        return {}

    @property
    def found(self) -> bool:
        """Whether it found what it was to find; otherwise the run fails."""
        return True

    def plan(self) -> _core.Plan:
        """A plan that is nothing yet, with room for all that may be decided on."""
        return self.given.plan()

    def feed(self, session: _core.Session, units: list[tuple[int, int]]) -> None:
        """Gives the session its next passes; called again and again."""
        raise NotImplementedError

    def describe(self, ids: list[str]) -> dict[str, Any]:
        """For the JSON result."""
        raise NotImplementedError

    def write(
        self, reporter: pytest.TerminalReporter, items: list[pytest.Item], config: pytest.Config
    ) -> None:
        """A section of the terminal's summary."""
        raise NotImplementedError

    def is_void(self, item: int, pass_: int) -> bool:
        """Whether what a test did in a pass is no result: it had other conditions."""
        return False

    def remembers(self, unit: int, pass_: int) -> bool:
        return False

    def results_of(self, item: int) -> list[tuple[int, int]]:
        return []
