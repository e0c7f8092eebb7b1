"""How busy the machine is, and how much memory tests take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psutil

_MOST_PROCESSES = 256


class Machine:
    """For one thread at a time."""

    def __init__(self) -> None:
        psutil.cpu_percent()  # the first says nothing

    def look(self, pids: Iterable[int]) -> dict[str, Any]:
        """The load, the memory, and that of processes.

        Args:
            pids: those that run a test.

        Returns: ``cpus``, ``busy`` (percent of all), ``load`` (of 1, 5 and 15 minutes),
            ``memory`` and ``used`` (bytes), and ``processes``: bytes by process id.
        """
        memory = psutil.virtual_memory()
        processes = {}
        for pid in sorted(pids)[:_MOST_PROCESSES]:
            try:
                processes[str(pid)] = psutil.Process(pid).memory_info().rss
            except (psutil.Error, OSError, ValueError, OverflowError):
                continue  # it has ended
        return {
            "cpus": psutil.cpu_count() or 1,
            "busy": psutil.cpu_percent(),
            "load": list(psutil.getloadavg()),
            "memory": memory.total,
            "used": memory.total - memory.available,
            "processes": processes,
        }
