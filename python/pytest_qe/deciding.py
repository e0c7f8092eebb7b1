"""Runs whose passes are decided on while they go on: a hunt, a replay, a bisection."""

from __future__ import annotations

import math
import time
from random import Random
from typing import TYPE_CHECKING

import pytest

from . import bisecting, replay, starting

if TYPE_CHECKING:
    from . import planning
    from .controller import Controller
    from .passes import Decided


#: How many servers a hunt has, up to so many tests: each collects them all.
_SERVERS_SHARE = 0.05  # of a budget of seconds
_SERVERS = ((2_000, 6), (20_000, 4), (math.inf, 2))


def recipe_of(config: pytest.Config, text: str) -> replay.Recipe:
    """The recipe of ``--qe-replay``, whose arguments hold where none were given.

    Raises ``pytest.UsageError``.
    """
    try:
        recipe = replay.parse(text, config.rootpath)
    except replay.BadToken as error:
        shown = text if len(text) <= 40 else text[:40] + "..."
        raise pytest.UsageError(
            f"--qe-replay={shown}: takes a token that a hunt has printed ({error})"
        ) from None
    if config.args_source != pytest.Config.ArgsSource.ARGS and recipe.args:
        missing = [arg for arg in recipe.args if not (config.rootpath / arg).exists()]
        if missing:
            raise pytest.UsageError(f"--qe-replay: {missing[0]} is not in {config.rootpath}")
        config.args = [str(config.rootpath / arg) for arg in recipe.args]
    return recipe


def select(controller: Controller, items: list[pytest.Item]) -> None:
    """Keeps what a replay needs, and refuses what it or a bisection does not find."""
    options, config = controller.options, controller.config
    if controller.recipe is not None:
        replay.select(config, items, controller.recipe.ids, "--qe-replay")
    elif options.bisect_order is not None and items:
        replay.require(items, [options.bisect_order], "--qe-bisect-order")


def _hash_seeds(controller: Controller, tests: int) -> list[int]:
    """Of as many servers as they are worth, and as there is room for."""
    if controller.options.once:
        return []  # what is set up once is in no other process
    count = next(n for most, n in _SERVERS if tests <= most)
    budget = controller.options.flaky_budget
    if budget is not None:  # a server does what this process has done: imports, collects
        each = max(time.process_time(), 0.01)
        count = min(count, int(_SERVERS_SHARE * budget * controller.workers / each))
    # Each has what a worker has open in this process.
    if controller.options.queue is None:  # nodes have one plan, whatever there is room for
        count = min(count, starting.room_for(controller.workers + count) - controller.workers)
    draw = Random(f"{controller.seed}:hash")
    return [draw.randrange(1, 2**32) for _ in range(max(0, count))]


def make(
    controller: Controller,
    items: list[pytest.Item],
    wishes: list[planning.Wish],
    expected: list[int],
    counts: dict[bytes, tuple[int, int]],
) -> Decided:
    """The hunt, replay or bisection of a run."""
    options = controller.options
    if controller.recipe is not None:
        return replay.Replay(controller.recipe, items, wishes)
    if options.bisect_order is not None:
        return bisecting.Bisect(
            options.bisect_order, items, wishes, options, controller.seed, controller.workers,
            controller.surroundings.refused, controller.servers_gone,
        )  # fmt: skip
    if options.queue is not None and options.flaky_mode == "fixed":
        from .sharedhunt import SharedPasses

        return SharedPasses(items, wishes, options, controller.seed, controller.workers)
    from .hunting import Hunt

    kind = Hunt
    if options.queue is not None:
        from .sharedhunt import SharedHunt

        kind = SharedHunt
    return kind(
        items, wishes, expected, options, controller.seed, controller.workers,
        config=controller.config,
        counts=counts,
        hash_seeds=_hash_seeds(controller, len(items)),
        running=controller.attempts.values,
        refused=controller.surroundings.refused,
        gone=controller.servers_gone,
        renamed=controller.servers.renamed,
    )  # fmt: skip
