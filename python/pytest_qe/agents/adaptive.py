"""How many commands at once, by how loaded the machine is: the core's policy, with a memory."""

from __future__ import annotations

import time
from typing import Any

from .. import _core

LOOK_S = 0.25  # between two looks at the machine


class Adaptive:
    """What ``AlcallParams.adaptive()`` asks before each start.

    The core looks at the kernel's pressure stall information, at memory (the machine's, and
    the limits of control groups), and at the load where there is no more to know. While
    nothing is short, more runs at once; what is short takes some away again.

    Attributes:
        running: how many at once, now.
        throttle: seconds between two starts, now.
        changes: each with ``after`` (seconds), ``running``, ``throttle``, ``why`` ("room",
            "cpu", "memory") and what was seen: ``cpu`` and ``memory`` (share of the time in
            which somebody waited for it), ``free_memory`` (share), ``load`` (tasks a
            processor); None where the system does not say.
    """

    def __init__(self, running: int, most: int, throttle: float) -> None:
        self._from = (running, most, throttle)
        self._adapt = _core.Adapt(running, most, throttle)
        self._began = self._looked = time.monotonic()
        self._adapt.next(False)  # stalls are counted from here on
        self.most = most
        self.running = running
        self.throttle = throttle
        self.changes: list[dict[str, Any]] = []

    def fresh(self) -> Adaptive:
        """Another one, as this was at first."""
        return Adaptive(*self._from)

    def __call__(self) -> tuple[int, float]:
        """For ``AlcallParams.limits``: (at once, seconds between two starts)."""
        if time.monotonic() >= self._looked + LOOK_S:
            self.look(full=True)
        return self.running, self.throttle

    def look(self, *, full: bool) -> dict[str, Any] | None:
        """Looks at the machine; what has changed by it, or None.

        Args:
            full: as many run as may: only then are more of use.
        """
        self._looked = time.monotonic()
        running, throttle, why, cpu, memory, free, load = self._adapt.next(full)
        if (running, throttle) == (self.running, self.throttle):
            return None
        self.running, self.throttle = running, throttle
        change = {
            "after": round(self._looked - self._began, 3),
            "running": running,
            "throttle": throttle,
            "why": why,
            "cpu": _known(cpu),
            "memory": _known(memory),
            "free_memory": _known(free),
            "load": _known(load),
        }
        self.changes.append(change)
        return change


def _known(value: float) -> float | None:
    return round(value, 3) if value >= 0 else None
