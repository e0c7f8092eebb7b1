"""The heap: what pytest and the collection made is large, and alive until the end.

``gc.freeze`` takes it out of the collector's sight. The controller freezes what pytest
is before it collects tests, and what was collected once workers run: pytest collects
garbage twice at its end, and the interpreter four times at its own. A worker freezes
what it was forked with, as walking it copies its memory. It gets it back when there is
a collection of all generations, asked for or not, and when somebody asks the collector
what there is: no test sees less than serially.
"""

from __future__ import annotations

import atexit
import functools
import gc
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ._core import Objects

#: What tells a program whether the heap is frozen.
_TELLING = ("get_objects", "get_referrers", "get_freeze_count", "freeze", "unfreeze")


def _may_freeze() -> bool:
    """Not where others have frozen something, nor where somebody holds the
    collector's functions otherwise than by its module."""
    if gc.get_freeze_count():
        return False
    # Held by the module and by the call.
    return all(sys.getrefcount(getattr(gc, name)) <= 2 for name in _TELLING)


def _is_pytest() -> bool:
    """Whether this process is a command of pytest's, not a program that calls it."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return bool(spec.name == "pytest.__main__")
    return str(getattr(main, "__file__", "")).endswith(("/pytest", "/py.test"))


def _original(function: Any) -> Any:
    return getattr(function, "__wrapped__", function)


class Heap:
    """Of one process, or inherited from that which forked it."""

    def __init__(self) -> None:
        self._watched: dict[str, Callable[..., Any]] = {}  # the functions we stand before
        self._settled = False
        self._ending = False
        #: In a worker; elsewhere than on Linux there is no core, and none is needed.
        self._objects: type[Objects] | None = None
        #: After a thaw: what is not the worker's own.
        self._inherited: Objects | None = None

    def freeze(self) -> bool:
        """Freezes what there is, until somebody asks. False where it must not be."""
        if not self._watched:
            if not _may_freeze():
                return False
            self._watched = {name: getattr(gc, name) for name in _TELLING}
            for name, original in self._watched.items():
                setattr(gc, name, self._thawing(original))
        self._watched["freeze"]()
        return True

    def freeze_worker(self) -> None:
        """In a new worker."""
        if self.freeze():
            from ._core import Objects  # now: tests may put others in the way of imports

            self._objects = Objects
            gc.callbacks.append(self._on_collection)

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        """The collection that is about to begin takes in what is thawed now."""
        if phase == "start" and info["generation"] == 2 and not self._ending:
            self.thaw()

    def end(self, whole: bool) -> None:
        """In a worker that ends: what is collected now is the whole heap, or what the
        worker has made."""
        self._ending = True
        if whole:
            self.thaw()

    def _thawing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.thaw()
            return original(*args, **kwargs)

        return call

    def step_aside(self) -> None:
        """Leaves the collector's functions to themselves."""
        for name, original in self._watched.items():
            if _original(getattr(gc, name)) is original:
                setattr(gc, name, original)
        self._watched = {}

    def thaw(self) -> None:
        """Gives back what was frozen here."""
        if self._watched:
            self.step_aside()
            objects = self._objects
            made = None if objects is None else objects(gc.get_objects())
            gc.unfreeze()
            if objects is not None and made is not None:
                self._inherited = objects(made.without(gc.get_objects()))

    def made(self) -> list[Any]:
        """In a worker: the objects that are not from before it."""
        if self._inherited is None:
            return _young_objects()
        return self._inherited.without(gc.get_objects())

    def settle(self) -> None:
        """In the controller, once workers have something to do: freezes what there is
        until pytest has ended."""
        if self._watched or _may_freeze():
            self.step_aside()
            gc.freeze()
            self._settled = True

    def leave(self) -> None:
        """In the controller, when pytest has ended."""
        self.thaw()
        if self._settled:
            self._settled = False
            gc.unfreeze()
            if _is_pytest():  # it exits now, and the interpreter collects again
                atexit.register(gc.freeze)


def _young_objects() -> list[Any]:
    """All objects that are not frozen."""
    found: list[Any] = _original(gc.get_objects)()
    return found


KEY = pytest.StashKey[Heap]()
