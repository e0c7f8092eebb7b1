"""How a worker ends: what it made is finished, what it inherited is not.

A forked worker leaves by ``os._exit``: exit handlers, finalisers and buffers of
what was made before the fork belong to the controller, and must not run twice.
"""

from __future__ import annotations

import atexit
import gc
import io
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

from . import _core
from .heap import Heap

#: Seconds for threads that tests left running. Serially the interpreter waits for
#: ever, but by then the results have been shown.
_PATIENCE = 10.0

#: Objects in memory alone.
_NOTHING_TO_DO = (io.StringIO, io.BytesIO)

#: What all files are. The class that io shows asks the registry of abstract classes,
#: which in a fork copies memory.
_FILE: Any = io.IOBase.__base__

_POOLS = (("thread", "_threads_queues"), ("process", "_threads_wakeups"))


def _end_threads() -> None:
    """What the interpreter does at its end before it calls exit handlers: pools are
    told to end (multiprocessing's handler waits for theirs), threads waited for."""

    def tell() -> None:
        for call in reversed(threading._threading_atexits):  # type: ignore[attr-defined]
            call()

    own = threading.current_thread()
    left = [t for t in threading.enumerate() if t is not own and not t.daemon]
    if not left and not any(_pools()):
        return
    # A thread of its own, as what it calls may never return.
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    deadline = time.monotonic() + _PATIENCE
    for thread in (teller, *left):
        thread.join(max(0.0, deadline - time.monotonic()))
    names = [t.name for t in left if t.is_alive()]
    if names or teller.is_alive():
        text = ", ".join(names) or "threads of a pool"
        os.write(2, f"qe: warning: {text}: still running, {_PATIENCE:g} s after the "
                    "last test; not waited for\n".encode("utf-8", "replace"))  # fmt: skip


def _pools() -> list[Any]:
    """What concurrent.futures keeps of its pools, by thread."""
    modules = [(sys.modules.get(f"concurrent.futures.{name}"), kept) for name, kept in _POOLS]
    return [getattr(module, kept) for module, kept in modules if module is not None]


def _open_for_writing() -> set[int]:
    """Descriptors on named files that this process may write to, but for the
    files that are its standard streams: those are flushed by name."""
    found: set[int] = set()
    try:
        names = os.listdir("/proc/self/fd")
        streams = {os.readlink(f"/proc/self/fd/{n}") for n in ("1", "2") if n in names}
    except OSError:
        return found
    for name in names:
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
            if target in streams or not target.startswith("/") or target.endswith(" (deleted)"):
                continue
            if target.startswith(("/dev/", "/memfd:")):
                continue
            with open(f"/proc/self/fdinfo/{name}", encoding="ascii") as file:
                flags = int(file.read().split("flags:", 1)[1].split()[0], 8)
        except (OSError, ValueError, IndexError):
            continue
        if flags & (os.O_WRONLY | os.O_RDWR):
            found.add(int(name))
    return found


def _flush(files: Iterable[Any]) -> None:
    for file in files:
        try:
            if not file.closed and file.writable():
                file.flush()
        except Exception:
            pass  # a pipe without a reader, a full disk: its owner will see


def _streams() -> tuple[Any, ...]:
    """The standard streams, also where something has taken their place."""
    return sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__


def _ids_of_streams() -> set[int]:
    found: set[int] = set()
    for stream in (sys.stdin, *_streams()):
        buffer = getattr(stream, "buffer", None)
        found.update(map(id, (stream, buffer, getattr(buffer, "raw", None))))
    return found


def _ends(thing: Any) -> bool:
    """Whether something happens when this, of a type with a finaliser, is let go."""
    kind = type(thing)
    if kind is GeneratorType:
        return thing.gi_frame is not None and not thing.gi_running
    if kind in _NOTHING_TO_DO:
        return False
    return not (isinstance(thing, _FILE) and thing.closed)


def _with_an_end(things: list[Any]) -> list[Any]:
    """Those that have something to do when they are finalised."""
    return [thing for thing in _core.with_finaliser(things) if _ends(thing)]


def _file_objects() -> list[Any]:
    kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
    return [thing for thing in gc.get_objects() if isinstance(thing, kinds)]


class Leaving:
    """Made before the fork, used after it.

    Looking through all objects writes to each (its reference count), which in a
    fork copies all memory: so that is done only where a file is open.

    Args:
        before: that of the process which this one was forked from.
    """

    def __init__(self, before: Leaving | None = None) -> None:
        _flush(_streams())
        self._descriptors = _open_for_writing()
        # Flushed, so that a fork copies no buffer that would be written twice.
        self._files = _file_objects() if self._descriptors else []
        if before is not None:
            self._files += before._files
        self._heap: Heap | None = None
        self._own: set[int] = set()  # ids of what the worker itself needs
        _flush(self._files)

    def forget_before_fork(self) -> None:
        """In a new worker: exit handlers and finalisers of the controller's."""
        atexit._clear()
        for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
            finalizer.atexit = False
        # Registered once in a process's life, which was before the fork.
        weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
        for kept in _pools():
            kept.clear()

    def begin(self, heap: Heap) -> None:
        """In a new worker that has made what it needs for itself."""
        self._heap = heap
        self._own = {id(thing) for thing in _with_an_end(heap.made())}

    def _finalise(self, heap: Heap) -> None:
        """Ends what the worker has made and what is still alive."""
        made = heap.made()
        known = self._own | _ids_of_streams()
        left = [thing for thing in _with_an_end(made) if id(thing) not in known]
        if not left:
            return
        from . import finalising

        heap.step_aside()
        try:
            finalising.let_go(left, made)
        except Exception:
            pass  # a finaliser's or a container's own trouble is no test's

    def finish(self) -> None:
        """In a worker that ends: threads, exit handlers registered in it, buffers."""
        try:
            _end_threads()
            atexit._run_exitfuncs()
        except BaseException:
            pass  # each has printed its own traceback, as at any exit
        logging.shutdown()
        _flush(_streams())
        if self._heap is not None:
            self._finalise(self._heap)
        _flush(self._files)
        if _open_for_writing() - self._descriptors:
            _flush(_file_objects())
