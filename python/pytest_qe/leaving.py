"""How a worker ends: what it made is finished, what it inherited is not.

A forked worker leaves by ``os._exit``: exit handlers, finalisers and buffers of what
was made before the fork belong to the controller, and must not run twice.
"""

from __future__ import annotations

import atexit
import gc
import io
import logging
import sys
import weakref


def flush_files() -> None:
    """Flushes every open file of this process, so that a fork copies no
    buffer that would be written twice."""
    for thing in gc.get_objects():
        if isinstance(thing, (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):
            try:
                if not thing.closed and thing.writable():
                    thing.flush()
            except Exception:
                pass  # a pipe without a reader, a full disk: its owner will see


def forget_before_fork() -> None:
    """In a new worker: exit handlers and finalisers of the controller's."""
    atexit._clear()
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    # Registered once in a process's life, which was before the fork.
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is not None:
        pools._threads_queues.clear()


def run_since_fork() -> None:
    """In a worker that ends: the exit handlers that were registered in it."""
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass  # each has printed its own traceback, as at any exit
    logging.shutdown()
    flush_files()
