"""How long categories took, remembered for the next run."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import QeError
from ..memory import Memory, settled

KEPT_S = 90 * 24 * 3600.0
_EXPECTED = "aqe/layers/durations"
_WEIGHT = 0.5  # of the last duration, in what is expected of the next


class Durations:
    """How long categories took, in an agent's memory."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def read(self) -> dict[str, float]:
        try:
            found = await settled(self._memory.retrieve(_EXPECTED))
        except (QeError, OSError):
            return {}  # then none are known
        if not isinstance(found, Mapping):
            return {}
        return {
            str(name): float(seconds)
            for name, seconds in found.items()
            if isinstance(seconds, int | float)
        }

    async def add(self, seen: Mapping[str, float]) -> None:
        known = await self.read()
        for name, seconds in seen.items():
            before = known.get(name, seconds)
            known[name] = before + _WEIGHT * (seconds - before)
        try:
            await settled(self._memory.store(_EXPECTED, known, ttl=KEPT_S))
        except (QeError, OSError):
            pass  # what is not remembered is no reason to lose a result
