"""``--qe-bisect-order ID``: who makes a test fail, or pass, of those that run before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from . import _core
from .causes import Case, Context, Inquiries
from .failures import any_place_of, way_of_attempt
from .flaky import result_of
from .passes import MOST_ROOM, Decided

if TYPE_CHECKING:
    from .delivery import Attempt
    from .failures import Way
    from .options import Options
    from .planning import Wish

_SHUFFLES = 6
_SECONDS = 3600.0


class Bisect(Decided):
    """Who makes a test fail, or pass, of those that run before it."""

    def __init__(
        self, nodeid: str, items: list[pytest.Item], wishes: list[Wish], options: Options,
        seed: int, workers: int, refused: dict[int, list[str]], gone: set[int],
    ) -> None:  # fmt: skip
        room = min((200 + _SHUFFLES) * len(items) + 10_000, MOST_ROOM)
        super().__init__(len(items), wishes, room)
        self.test = next(n for n, item in enumerate(items) if item.nodeid == nodeid)
        self._seed = seed
        self._options = options
        self._workers = workers
        self._refused = refused
        self._gone = gone
        self._failed: Context | None = None
        self._passed: Context | None = None
        self._ways: set[Way] = set()
        self._orders = self._all_orders(len(items))
        self._over = False
        self.tried = 0
        self.failed = 0
        self.inquiries: Inquiries | None = None

    def _all_orders(self, n: int) -> list[list[int]]:
        """As defined, alone, reversed, shuffled; each up to the test."""
        from random import Random

        orders = [list(range(n)), [self.test], list(range(n - 1, -1, -1))]
        for i in range(_SHUFFLES):
            orders.append(list(range(n)))
            Random(f"{self._seed}:{i}").shuffle(orders[-1])
        return [order[: order.index(self.test) + 1] for order in orders]

    def feed(self, session: _core.Session, units: list[tuple[int, int]]) -> None:
        if self._over:
            return
        while self._orders and self.given.under_way <= self._workers:
            if self._failed is not None and self._passed is not None and self.tried >= 2:
                self._orders.clear()
                break
            order = self._orders.pop(0)
            number = len(self.passes)
            around = {"files": number + 1}
            given = self.given.give(session, units, order, self._seed, around=around)
            if given is None:
                self._over = True
                break
            self.passes.append(
                {"number": number, "condition": "bisect", "seed": self._seed, "order": order}
            )
        if not self._over and (self._orders or (self.inquiries is None and self.given.under_way)):
            return
        if not self._over and self.inquiries is None:
            self.inquiries = self._inquire()
        if self._over or self.inquiries is None or not self.inquiries.feed(session, units):
            self._over = True
            session.no_more()

    def _inquire(self) -> Inquiries | None:
        if self._failed is None or self._passed is None:
            return None
        case = Case(self.test, self._failed, self._passed, [], 0, self._ways, 0.5)
        return Inquiries(
            [case], list(range(len(self._shown))), self.given, workers=self._workers,
            seconds=self._options.flaky_causes or _SECONDS, alpha=self._options.flaky_alpha,
            seed=self._seed, refused=self._refused, gone=self._gone, order_only=True,
        )  # fmt: skip

    def add(
        self, item: int, pass_: int, attempt: Attempt, outcome: int
    ) -> tuple[Attempt, int] | None:
        result = result_of(attempt, outcome)
        if self.inquiries is not None and self.inquiries.owns(pass_):
            self.inquiries.add(item, pass_, attempt, outcome, result)
            return None
        if item == self.test and result in (0, 1):
            self.tried += 1
            self.failed += result == 0
            before = self.given.given[pass_].items[self.given.begins(pass_) :]
            context = Context(before, self._seed, 0, attempt.began)
            if result == 0:
                self._failed = _shorter(self._failed, context)
                self._ways.add(way_of_attempt(attempt, outcome))
            else:
                self._passed = _shorter(self._passed, context)
        self.given.done(pass_, attempt.unit, outcome)
        return None

    @property
    def finding(self) -> _core.Finding | None:
        return None if self.inquiries is None else self.inquiries.findings.get(self.test)

    @property
    def failure(self) -> str:
        """Where it failed."""
        return any_place_of(self._ways)

    @property
    def found(self) -> bool:
        return self.finding is not None and self.finding["cause"] != "unknown"

    def write(
        self, reporter: pytest.TerminalReporter, items: list[pytest.Item], config: pytest.Config
    ) -> None:
        from . import huntreport

        huntreport.write_bisection(reporter, self, items, config)

    def describe(self, ids: list[str]) -> dict[str, Any]:
        from .causes import describe

        finding = self.finding
        told: dict[str, Any] = {"mode": "bisect", "test": ids[self.test], "passes": self.passes}
        if finding is not None:
            told["why"] = describe(finding, ids)
        return told


def _shorter(one: Context | None, other: Context) -> Context:
    return other if one is None or len(other.items) < len(one.items) else one
