"""The end of objects that are still alive when a worker ends.

The interpreter takes modules apart at its end, so that a file that a module holds is
written out, and a temporary one removed. A forked worker cannot: most of its objects
are the controller's, too, and would be finalised twice. Here those are let go that the
worker has made.
"""

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Callable
from types import CellType, FrameType
from typing import Any

from ._core import Objects


def let_go(level: list[Any], made: list[Any]) -> None:
    """Finalises what the worker has made, as taking its modules apart would.

    Args:
        level: the objects that have something to do at their end.
        made: all that the worker has made. Both lists are emptied.
    """
    gc.unfreeze()
    reached = Objects(level)
    # What a frame holds is let go when it has run.
    reached.grow([thing for thing in made if type(thing) is not FrameType])
    # The lists here hold them, too.
    old = Objects([*made, made, level]).without(gc.get_objects())
    for holder in reached.holders(old):
        if type(holder) is not FrameType:
            _cut(holder, reached)
    holder = None
    del old
    alive = [_watch(thing) for thing in level]
    level.clear()
    made.clear()
    if any(thing() is not None for thing in alive):  # held by each other
        gc.collect()


def _watch(thing: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(thing)
    except TypeError:
        return lambda: True  # cannot be said


def _cut(holder: Any, reached: Objects) -> None:
    """Takes those objects out of a container that stays."""
    try:
        if isinstance(holder, dict):
            for key in [key for key, value in holder.items() if value in reached]:
                holder[key] = None
        elif isinstance(holder, (list, deque)):
            for i, value in enumerate(list(holder)):
                if value in reached:
                    holder[i] = None
        elif isinstance(holder, set):
            for value in [value for value in holder if value in reached]:
                holder.discard(value)
        elif isinstance(holder, CellType):
            holder.cell_contents = None
        elif not isinstance(holder, type):
            names = vars(holder)
            for name in [name for name, value in names.items() if value in reached]:
                names[name] = None
    except Exception:
        pass  # held by what cannot be changed: then it stays, too
