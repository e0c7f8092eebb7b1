"""The end of objects that are still alive when a worker ends.

The interpreter takes modules apart at its end, so that a file that a module holds is
written out, and a temporary one removed. A forked worker cannot: most of its objects
are the controller's, too, and would be finalised twice. Here those are let go that the
worker has made.
"""

from __future__ import annotations

import gc
from collections import deque
from types import CellType, FrameType
from typing import Any

#: How many objects deep what is to be finalised may be held.
_MOST_LEVELS = 50


def let_go(level: list[Any], made: list[Any]) -> None:
    """Finalises what the worker has made, as taking its modules apart would.

    Args:
        level: the objects that have something to do at their end.
        made: all that the worker has made. Both lists are emptied.
    """
    young = {id(thing) for thing in made}
    made.clear()
    gc.unfreeze()
    reached = {id(thing) for thing in level}
    kept = [level[:]]  # alive until all holds are cut
    level.clear()
    level = kept[0]
    for _ in range(_MOST_LEVELS):
        holders = gc.get_referrers(*level)
        above = []
        for holder in holders:
            if holder is kept or holder is level or type(holder) is FrameType:
                continue
            if id(holder) not in young:
                _cut(holder, reached)
            elif id(holder) not in reached:
                reached.add(id(holder))
                above.append(holder)
        holder = None
        del holders
        if not above:
            break
        level = above
        kept.append(level)
    del level, above
    kept.clear()
    gc.collect()


def _cut(holder: Any, reached: set[int]) -> None:
    """Takes those objects out of a container that stays."""
    try:
        if isinstance(holder, dict):
            for key in [key for key, value in holder.items() if id(value) in reached]:
                holder[key] = None
        elif isinstance(holder, (list, deque)):
            for i, value in enumerate(list(holder)):
                if id(value) in reached:
                    holder[i] = None
        elif isinstance(holder, set):
            for value in [value for value in holder if id(value) in reached]:
                holder.discard(value)
        elif isinstance(holder, CellType):
            holder.cell_contents = None
        elif not isinstance(holder, type):
            names = vars(holder)
            for name in [name for name, value in names.items() if id(value) in reached]:
                names[name] = None
    except Exception:
        pass  # held by what cannot be changed: then it stays, too
