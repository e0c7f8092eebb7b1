"""When a run will end, by how long its files took the last time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ..errors import QeError
from ..memory import Memory, settled

Event = dict[str, Any]


class Expected:
    """Seconds that are left, by the last execution that the store knows.

    Args:
        memory: where that is.
        files: those that will run.
        at_once: how many of them.
    """

    def __init__(self, memory: Memory, files: list[str], at_once: int) -> None:
        known = asyncio.run(_durations(memory))
        self._at_once = at_once
        self._waiting = {file: known[file] for file in files if file in known}
        self._running: dict[str, tuple[float, float]] = {}  # since when, how long
        # With less than most of them known it would be a guess.
        self._enough = len(self._waiting) >= 0.8 * len(files)
        mean = sum(self._waiting.values()) / len(self._waiting) if self._waiting else 0.0
        for file in files:
            self._waiting.setdefault(file, mean)

    def take(self, event: Event) -> None:
        """Keeps up with what happens."""
        file = event.get("file", "")
        if event["kind"] == "start" and file in self._waiting:
            self._running[file] = (time.monotonic(), self._waiting.pop(file))
        elif event["kind"] == "result":
            self._running.pop(file, None)

    def left(self) -> float | None:
        """Seconds; None: nobody knows."""
        if not self._enough:
            return None
        now = time.monotonic()
        rest = [max(0.0, since + whole - now) for since, whole in list(self._running.values())]
        rest += self._waiting.values()
        return max([sum(rest) / self._at_once, *rest], default=0.0)


async def _durations(memory: Memory) -> dict[str, float]:
    from ..agents.executor import KEY

    try:
        last = await settled(memory.retrieve(KEY))
        return {
            str(one["file"]): float(one["duration"])
            for one in last["results"]
            if one["outcome"] != "not_run"
        }
    except (QeError, OSError, ValueError, TypeError, KeyError):
        return {}  # what is stored there is not ours, or nothing
