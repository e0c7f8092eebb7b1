"""From collected items to a sealed plan: scopes, limits, passes, expectations."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from . import _core
from .keys import key as key
from .options import Options

if TYPE_CHECKING:
    from .passes import Decided

#: Scheduling by file, class and module needs no fixture closure, only ids.
NS = 1_000_000_000


class Wish:
    """What one test's markers and the options ask for; tests may share one."""

    __slots__ = ("timeout", "retries", "serial", "group")

    def __init__(
        self, timeout: float | None, retries: int, serial: bool, group: str | None
    ) -> None:
        self.timeout = timeout
        self.retries = retries
        self.serial = serial
        self.group = group

    @property
    def timeout_ns(self) -> int:
        """As the core takes it: 0 for none."""
        return 0 if self.timeout is None else int(self.timeout * NS)

    def alone(self) -> Wish:
        """The same, and to run with no neighbour."""
        return Wish(self.timeout, self.retries, True, self.group)


_TAKES = {
    "timeout": "a number of seconds above 0, or None",
    "retries": "a whole number from 0 to 100",
    "serial": "True or False",
    "group": "a name",
}


def _check_marker(item: pytest.Item, name: str, value: Any) -> None:
    good = {
        "timeout": value is None
        or (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e7),
        "retries": isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100,
        "serial": isinstance(value, bool),
        "group": isinstance(value, str) and value != "",
    }.get(name)
    if good is None:
        raise pytest.UsageError(
            f"{item.nodeid}: @pytest.mark.qe has no {name!r}; it takes " + ", ".join(_TAKES)
        )
    if not good:
        raise pytest.UsageError(
            f"{item.nodeid}: @pytest.mark.qe({name}={value!r}): takes {_TAKES[name]}"
        )


def wish_of(item: pytest.Item, options: Options) -> Wish:
    """Options, overridden by markers, the nearest first."""
    wish = Wish(options.timeout, options.retries, False, None)
    seen: set[str] = set()
    for mark in item.iter_markers("qe"):
        if mark.args:
            raise pytest.UsageError(
                f"{item.nodeid}: @pytest.mark.qe takes keywords only: " + ", ".join(_TAKES)
            )
        for name, value in mark.kwargs.items():
            _check_marker(item, name, value)
            if name not in seen:
                seen.add(name)
                setattr(wish, name, value)
    if wish.group is None:
        group = item.get_closest_marker("xdist_group")
        if group is not None:
            first = group.args[0] if group.args else "default"
            wish.group = str(group.kwargs.get("name", first))
    if options.flaky is not None:
        wish.retries = 0
    return wish


_MARKERS = ("qe", "xdist_group")


def wishes_of(items: list[pytest.Item], options: Options) -> list[Wish]:
    """``wish_of`` for all: most have no such marker, nor has what they are in."""
    plain = Wish(options.timeout, 0 if options.flaky is not None else options.retries, False, None)
    marked: dict[int, bool] = {}
    wishes = []
    for item in items:
        parent = item.parent
        is_marked = marked.get(id(parent))
        if is_marked is None:
            is_marked = marked[id(parent)] = parent is None or any(
                mark.name in _MARKERS for mark in parent.iter_markers()
            )
        if is_marked or any(mark.name in _MARKERS for mark in item.own_markers):
            wishes.append(wish_of(item, options))
        else:
            wishes.append(plain)
    return wishes


def _module(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]


def scope_of(nodeid: str, dist: str) -> str:
    """Which tests stay together, in xdist's words."""
    if dist == "loadscope":
        # Everything before the last "::" outside of brackets: class or module.
        return nodeid.split("[", 1)[0].rpartition("::")[0] or _module(nodeid)
    return _module(nodeid)


class Order:
    """What the order of the items means."""

    def __init__(self, counts: bool = False, failed: Iterable[int] = ()) -> None:
        #: Somebody made it: tests start in it, instead of longest first.
        self.counts = counts
        #: Items that failed before, where those come first (``--ff``).
        self.failed = set(failed)


class Collected:
    """A plugin that notes the order in which tests were collected, how long it took, and
    what could not be collected."""

    def __init__(self) -> None:
        self._items: list[pytest.Item] = []
        #: How long it took.
        self.seconds = 0.0
        #: What could not be collected.
        self.failed: list[pytest.CollectReport] = []

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.append(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            self.seconds = time.perf_counter() - began

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        self._items = list(items)
        return (yield)

    def order(self, config: pytest.Config, items: list[pytest.Item]) -> Order:
        """What became of that order: it counts where files are not in the order of
        collection, where their tests are mixed, and with ``--ff`` after failures."""
        order = Order()
        if config.getoption("failedfirst", False):
            plugin: Any = config.pluginmanager.get_plugin("lfplugin")
            last = {str(nodeid) for nodeid in getattr(plugin, "lastfailed", ())}
            order.failed = {n for n, item in enumerate(items) if item.nodeid in last}
        files = [file for file, _ in groupby(_module(item.nodeid) for item in items)]
        left = set(files)
        order.counts = bool(order.failed) or files != [
            file
            for file in dict.fromkeys(_module(item.nodeid) for item in self._items)
            if file in left
        ]
        return order


def build(
    items: list[pytest.Item],
    wishes: list[Wish],
    options: Options,
    expected_ns: list[int],
    seed: int,
    workers: int,
    order: Order,
    shared: bool = False,
) -> tuple[_core.Plan, list[tuple[int, int]]]:
    """The sealed plan, and (item, pass) of every unit.

    What is shared with other nodes has the same scopes on each, whatever is known or
    remembered there.
    """
    plan = _core.Plan()
    units: list[tuple[int, int]] = []

    def add(number: int, scope: str, pass_: int, flags: int) -> None:
        wish = wishes[number]
        plan.add(
            key(items[number].nodeid), key(scope), number, pass_, flags,
            wish.retries, wish.timeout_ns, expected_ns[number],
        )  # fmt: skip
        units.append((number, pass_))

    if options.flaky is not None:
        for pass_ in range(options.flaky):
            for number in pass_order(items, pass_, seed):
                add(number, f"pass {pass_}", pass_, _core.FRESH | _core.TOGETHER)
    elif workers == 1 and not shared:
        # Nobody to share with: in the order of collection.
        for number in range(len(items)):
            add(number, "all", 0, 0)
    else:
        whole = options.dist in ("loadscope", "loadfile")
        before, run = "", 0
        for number, item in enumerate(items):
            wish = wishes[number]
            flags = _core.SERIAL if wish.serial else 0
            if wish.group is not None:
                add(number, "group " + wish.group, 0, flags | _core.TOGETHER)
            elif options.dist == "loadgroup":
                # As xdist: without a group every test is on its own.
                add(number, f"test {number}", 0, flags)
            elif number in order.failed and not whole and not shared:
                # Each at once, before any other test.
                add(number, f"test {number}", 0, flags)
            else:
                scope = "scope " + scope_of(item.nodeid, options.dist)
                if order.counts and not whole:
                    run += scope != before
                    before = scope
                    scope = f"run {run} of {scope}"
                add(number, scope, 0, flags | (_core.TOGETHER if whole else 0))
    plan.seal()
    return plan, units


def note_passes(record: _core.Record, options: Options, seed: int, hunt: Decided | None) -> None:
    """Tells the record under which condition each pass ran; an adaptive hunt has made
    its own."""
    if hunt is not None:
        for made in hunt.passes:
            record.add_pass(made["number"], made["condition"], made["seed"])
        return
    if options.flaky is None:
        record.add_pass(0, "ordinary", seed)
        return
    for pass_ in range(options.flaky):
        record.add_pass(pass_, "shuffled" if pass_ else "default", seed)


def pass_order(items: list[pytest.Item], pass_: int, seed: int) -> list[int]:
    """The order of a pass: the first in file order, the others shuffled.

    Modules are shuffled, then the tests within each, so that fixtures of a
    module are set up once, as in any legal order.
    """
    if pass_ == 0:
        return list(range(len(items)))
    rng = random.Random(f"{seed}:{pass_}")
    modules: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        modules.setdefault(_module(item.nodeid), []).append(number)
    groups = list(modules.values())
    rng.shuffle(groups)
    order: list[int] = []
    for group in groups:
        # Higher-scoped parametrisation and classes set their fixtures up anew
        # when tests interleave, as pytest does for any order: legal.
        rng.shuffle(group)
        order.extend(group)
    return order
