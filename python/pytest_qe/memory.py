"""What agents remember: values under keys, with a time to live, for every process of a project.

``MemoryStore`` keeps them in the project's history, through the core; Node's ``MemoryStore``
reads and writes the same. Anything else with the methods of ``Memory`` does instead.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401 - now: a fork amid its import is a deadlock
import inspect
import json
import math
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

from . import _core, places
from .errors import QeError

_T = TypeVar("_T")
_ALL_RUNS = 0xFFFFFFFF


@runtime_checkable
class Memory(Protocol):
    """What ``memory=`` of an agent takes. Each method may be a coroutine function or a plain
    one: ``settled`` awaits what is to be awaited."""

    def store(self, key: str, value: Any, ttl: float | None = None) -> Any:
        """Keeps a value that JSON can say; for ``ttl`` seconds, or None: for ever."""

    def retrieve(self, key: str) -> Any:
        """The value; None where there is none, or it has expired."""

    def delete(self, key: str) -> Any:
        """Takes a key away."""

    def search(self, pattern: str) -> Any:
        """All keys that match a pattern such as ``aqe/*``, with their values."""


async def settled(value: Any) -> Any:
    """What a method of a ``Memory`` has returned, awaited where that is to be done.

    Example: ``found = await settled(memory.retrieve("key"))``
    """
    return await value if inspect.isawaitable(value) else value


def _key(name: str, text: str) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"{name}: takes a str, not {type(text).__name__}")
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError(f"{name}: takes text, not the lone surrogates of {text!r}") from None
    if b"\0" in data:
        raise ValueError(f"{name}: takes text without a NUL character, not {text!r}")
    return data


def _dumped(key: str, value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise TypeError(f"value of {key!r}: takes what JSON can say: {why}") from None


def _loaded(key: str, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError(f"value of {key!r}: what is stored there is no JSON") from None


def _seconds(ttl: float | None) -> float:
    """As the core takes it: 0 for ever."""
    if ttl is None:
        return 0.0
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"ttl: takes seconds, or None for ever, not {type(ttl).__name__}")
    if math.isnan(ttl) or ttl <= 0:
        raise ValueError(f"ttl: takes more than 0 seconds, or None for ever, not {ttl}")
    return 0.0 if math.isinf(ttl) else float(ttl)


class MemoryStore:
    """Values under keys in a history database.

    Safe to use from several tasks, threads and processes. Opens at the first use; a fork
    finds it closed, so that parent and child each open it for themselves.

    Args:
        path: the database; default: ``.qe/history.db`` of the project, here or in a folder
            above, otherwise made here.
        read_only: nothing is made or written; a database that is not there is ``NotFound``.

    Raises (each method, at its use): ``HistoryError`` where the file is damaged, cannot be
    written, or is held by another process for more than 2 s; ``OSError`` on a full disk.

    Example::

        memory = MemoryStore()
        await memory.store("aqe/last", {"passed": 3}, ttl=24 * 3600)
        assert (await memory.retrieve("aqe/last"))["passed"] == 3
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, read_only: bool = False
    ) -> None:
        self._given, self._read_only = path is not None, read_only
        # At once: a later change of the current folder makes no other store of this.
        self.path = places.history_of_project() if path is None else Path(path).absolute()
        self._lock = threading.RLock()
        self._history: _core.History | None = None
        self._closed = False
        with _stores_lock:
            _stores.add(self)

    async def store(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Keeps a value under a key, in place of what was there.

        Args:
            value: anything that JSON can say; tuples come back as lists.
            ttl: seconds until it is gone; None: never.

        Raises: ``TypeError`` where JSON cannot say it; ``ValueError`` for a wrong ttl or key.
        """
        name, data, seconds = _key("key", key), _dumped(key, value), _seconds(ttl)
        await asyncio.to_thread(self._use, lambda history: history.put(name, data, seconds))

    async def retrieve(self, key: str) -> Any:
        """The value of a key; None where there is none, or it has expired.

        Raises: ``ValueError`` where another program stored what is no JSON.
        """
        name = _key("key", key)
        data = await asyncio.to_thread(self._use, lambda history: history.get(name))
        return None if data is None else _loaded(key, data)

    async def delete(self, key: str) -> bool:
        """Takes a key away; whether it was there."""
        name = _key("key", key)
        return await asyncio.to_thread(self._use, lambda history: history.delete(name))

    async def search(self, pattern: str) -> dict[str, Any]:
        """All that is alive under keys that match, in their order.

        Args:
            pattern: ``*`` stands for any letters, ``/`` among them, ``?`` for one, ``[a-z]``
                for one of a set (SQLite's GLOB).
        """
        name = _key("pattern", pattern)
        found = await asyncio.to_thread(self._use, lambda history: _search(history, name))
        return {key: _loaded(key, data) for key, data in found.items()}

    async def gc(self) -> None:
        """Takes all that has expired off the disk; each ``store`` takes a part."""
        await asyncio.to_thread(self._use, lambda history: history.gc(_ALL_RUNS))

    def close(self) -> None:
        """Closes the file. What is called after it raises ``ValueError``, but for this."""
        with self._lock:
            self._closed = True
            self._let_go()

    def __enter__(self) -> MemoryStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _use(self, call: Callable[[_core.History], _T]) -> _T:
        with self._lock:
            try:
                return call(self._opened())
            except QeError as error:
                raise type(error)(error.code, f"{self.path}: {error}") from None
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path)) from None

    def _opened(self) -> _core.History:
        if self._closed:
            raise ValueError("the store is closed")
        if self._history is None:
            if self._read_only:
                pass
            elif self._given:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            else:
                places.make_folder(self.path.parent)
            self._history = _core.History(os.fsencode(self.path), self._read_only)
        return self._history

    def _let_go(self) -> None:
        if self._history is not None:
            self._history.close()
            self._history = None


def _search(history: _core.History, pattern: bytes) -> dict[str, bytes]:
    found = {}
    for key, _ in history.keys(pattern):
        data = history.get(key)
        if data is not None:  # it may have gone between the two
            found[key.decode("utf-8", "surrogateescape")] = data
    return found


# SQLite must not be carried across a fork: a child would take the parent's locks for its own.
# So a fork waits for what is being done, and finds all stores closed.

_stores: weakref.WeakSet[MemoryStore] = weakref.WeakSet()
_stores_lock = threading.RLock()
_held: list[MemoryStore] = []


def _before_fork() -> None:
    _stores_lock.acquire()
    for store in list(_stores):
        store._lock.acquire()
        store._let_go()
        _held.append(store)


def _after_fork() -> None:
    for store in _held:
        store._lock.release()
    _held.clear()
    _stores_lock.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
