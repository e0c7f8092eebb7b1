"""Exceptions that nobody could catch, of finalisers and of threads.

pytest notes them, and warns of them at the next phase of a test or at its end. What
is left when a worker ends goes to the controller, whose end warns of it.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

import pytest

from . import heap

#: Where pytest keeps them: the module, the key in the configuration's stash, and
#: the class of an entry. pytest before 8.4 keeps none beyond a phase.
_KEPT = {
    "finaliser": ("_pytest.unraisableexception", "unraisable_exceptions", "UnraisableMeta"),
    "thread": ("_pytest.threadexception", "thread_exceptions", "ThreadExceptionMeta"),
}


class UncaughtInWorker(Exception):
    """Stands for an exception of a worker's: its text is the traceback."""


def _text_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _queue(config: pytest.Config, kind: str) -> Any:
    module, key, _ = _KEPT[kind]
    stash_key = getattr(sys.modules.get(module), key, None)
    return None if stash_key is None else config.stash.get(stash_key, None)


def forget(config: pytest.Config) -> None:
    """In a new worker: what the controller has noted, it will tell itself."""
    for kind in _KEPT:
        queue = _queue(config, kind)
        if queue:
            queue.clear()


def spare_last_look(config: pytest.Config) -> None:
    """In a worker that ends as pytest does: after ``gather`` there is nothing to find,
    and what the worker's own collection left is the controller's to tell."""
    key = getattr(sys.modules.get(_KEPT["finaliser"][0]), "gc_collect_iterations_key", None)
    if key is not None:
        config.stash[key] = 0


def gather(config: pytest.Config) -> list[tuple[str, str, str, str | None]]:
    """Takes out what is there, after a last collection of garbage."""
    found: list[tuple[str, str, str, str | None]] = []
    if _queue(config, "finaliser") is not None:
        config.stash[heap.KEY].collect()
    for kind in _KEPT:
        queue = _queue(config, kind)
        while queue:
            entry = queue.popleft()
            if isinstance(entry, BaseException):  # of pytest's own hook
                message = _text_of(entry)
                found.append((kind, message, message, None))
            else:
                value = entry.exc_value
                trace = None if value is None else _text_of(value)
                found.append((kind, entry.msg, entry.cause_msg, trace))
    return found


def add(config: pytest.Config, found: list[tuple[str, str, str, str | None]]) -> None:
    """Adds to this process's what a worker has gathered."""
    for kind, message, short, trace in found:
        queue = _queue(config, kind)
        if queue is not None:
            module, _, name = _KEPT[kind]
            entry = getattr(sys.modules[module], name)
            error = None if trace is None else UncaughtInWorker(trace)
            queue.append(entry(message, short, error))
