"""An attempt of a category that several nodes run together."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import _core
from ..agents.session import Join
from ..agents.sharing import CommandNode
from ..frameworks import Command
from ..queuenode import EXIT_STATUS, NodeRefused, NoServer, Waits
from .ending import Ending
from .nodes import LayerNode, joined, names_of, shares_tests

if TYPE_CHECKING:
    from ..agents.sharing import Shared

_USAGE = 4  # pytest's
_SAID = re.compile(r"(?:--qe-queue|error): (.+)")


@dataclass(frozen=True)
class SharedCategory:
    """This node's part in it.

    Attributes:
        node: the run's.
        name: ``layer/category``.
        attempt: from 1.
        config: what the configuration has of it.
        commands: of all of it.
        folder: the project's.
        run: runs commands here; those that a node claims, where it is given how to join.
        why: for what it was ended; "": it was not.
        waits: told how many units are left for other nodes, and of how many.
    """

    node: LayerNode
    name: str
    attempt: int
    config: Mapping[str, Any]
    commands: Sequence[Command]
    folder: str
    run: Callable[[Sequence[Command], Join | None], Awaitable[Ending]]
    why: Callable[[], str]
    waits: Callable[[int, int], None]

    async def result(self) -> Ending:
        """Runs what this node claims, and waits for what others have claimed.

        Raises: ``NodeRefused``: it has other files or tests; ``NoServer``.
        """
        shared = self.node.shared_of(self.name, self.attempt)
        name = shared.target.run
        of_tests = len(self.commands) == 1 and shares_tests(self.commands[0])
        nodes: list[CommandNode] = []  # ours, once it has joined
        waiting = asyncio.ensure_future(self.node.look_on(name, nodes, self.waits))
        try:
            with self.node.part_in(name):
                own, here = await (self._tests(shared) if of_tests else self._files(shared, nodes))
        finally:
            waiting.cancel()
        why = self.why()
        if why in ("timeout", "limit"):
            await asyncio.to_thread(self.node.stop, name)
        elif why:
            return own if own.shown is not None else replace(own, outcome="interrupted")
        verdict = await self.node.verdict(name, of_tests=of_tests, leave=lambda: self._cancelled())
        if verdict is None and self.why():
            return replace(own, outcome="interrupted", shown=None)
        return joined(own, verdict, here, own_counts=of_tests)

    def _cancelled(self) -> bool:
        return self.why() not in ("", "timeout", "limit")

    async def _tests(self, shared: Shared) -> tuple[Ending, int]:
        """pytest takes part in the run itself."""
        status = await asyncio.to_thread(self.node.status, shared.target.run)
        if status is not None and status["state"] in ("over", "stopped") and status["units"]:
            return Ending("passed", 0.0), 0  # it was before we came
        own = await self.run([self.node.as_node(self.commands[0], shared)], None)
        end = own.shown
        if end is not None and end.returncode in (_USAGE, EXIT_STATUS):
            text = (end.stderr + end.stdout).decode("utf-8", "replace")
            said = _SAID.search(text)
            if end.returncode == EXIT_STATUS:
                raise NoServer(said[1] if said else "the server could not be used")
            if said and "--qe-queue: the run has" in text:
                raise NodeRefused(f"{self.name}: {said[1]}")
        here = own.tests["total"] if own.tests else 0
        self.node.here += here
        return own, here

    async def _files(self, shared: Shared, nodes: list[CommandNode]) -> tuple[Ending, int]:
        names = names_of(self.config, self.commands, self.folder)

        def join(plan: _core.Plan, workers: int, waits: Waits) -> CommandNode:
            nodes.append(CommandNode(shared, plan, names, [0] * len(names), workers, waits))
            return nodes[0]

        try:
            own = await self.run(self.commands, join)
        except NodeRefused as error:
            raise NodeRefused(f"{self.name}: {error}") from None
        if nodes and nodes[0].node.trouble is not None:
            raise NoServer(nodes[0].node.trouble)
        here = nodes[0].told if nodes else 0
        self.node.here += here
        return own, here
