"""Delays at lines of the project, in the main thread or in all others, and entropy that
comes from a seed: changes around a pass (see ``perturbing``).
"""

from __future__ import annotations

import os
import random
import sys
import threading
from threading import get_ident
from time import sleep  # its own name: a test may have put something else into time
from types import FrameType
from typing import Any

# Of an attempt all delays are equally long: threads that do the same keep their distance,
# while the time in which they can meet grows by a delay with each line.
_AT_LINES = 0.020, 0.040  # seconds, from and to
_AT_START = 0.060, 0.120
_MOST = 1.0  # in an attempt


class Delays:
    """Delays threads while a test runs.

    Args:
        root: lines of files below it are delayed.
        main: whether the main thread is, or all others.
    """

    def __init__(self, root: str, main: bool) -> None:
        self._root = root.rstrip(os.sep) + os.sep
        self._main = main
        self._ident = get_ident()
        self._random = random.Random()
        self._left = 0.0
        self._at_line = self._at_start = 0.0
        self._below: dict[str, bool] = {}
        self._started: set[int] = set()

    def can_begin(self) -> bool:
        """Whether nobody else traces: there is one tracer a thread."""
        return (sys.gettrace() if self._main else threading.gettrace()) is None

    def start(self, seed: int) -> None:
        """An attempt begins."""
        self._random.seed(seed)
        self._at_line = self._random.uniform(*_AT_LINES)
        self._at_start = self._random.uniform(*_AT_START)
        self._left = _MOST
        self._started.clear()
        if self._main:
            sys.settrace(self._call)
        else:
            threading.settrace(self._call)

    def stop(self) -> None:
        """What follows is not the test's."""
        self._left = 0.0
        if self._main:
            sys.settrace(None)
        else:
            threading.settrace(None)

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self._left <= 0:
            return None
        ident = get_ident()
        if not self._main and ident not in self._started and ident != self._ident:
            self._started.add(ident)
            self._delay(self._at_start)
        name = frame.f_code.co_filename
        below = self._below.get(name)
        if below is None:
            below = self._below[name] = name.startswith(self._root)
        return self._line if below else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self._delay(self._at_line)
        return self._line if self._left > 0 else None

    def _delay(self, seconds: float) -> None:
        seconds = min(self._left, seconds)
        if seconds > 0:
            self._left -= seconds
            sleep(seconds)


class Entropy:
    """Draws by the attempt's seed where the system's entropy would be drawn."""

    def __init__(self) -> None:
        self._random = random.Random(0)
        bytes_of = self._random.randbytes
        seed_of = random.Random.seed

        def urandom(size: int) -> bytes:
            return bytes_of(size)

        def getrandom(size: int, flags: int = 0) -> bytes:
            return bytes_of(size)

        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            """A generator without a seed takes one of the system's."""
            if a is None and type(generator).seed is seed:
                a = int.from_bytes(bytes_of(32), "little")
            seed_of(generator, a, version)

        ours: dict[Any, Any] = {os.urandom: urandom}
        if hasattr(os, "getrandom"):
            ours[os.getrandom] = getrandom
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", None)
            for name in ("urandom", "_urandom", "getrandom"):
                try:
                    found = ours.get(names[name]) if names and name in names else None
                except TypeError:
                    continue  # something of that name that is not even hashable
                if found is not None:
                    names[name] = found  # type: ignore[index]
        random.Random.seed = seed  # type: ignore[method-assign, assignment]

    def start(self, seed: int) -> None:
        """An attempt begins."""
        self._random.seed(seed)
