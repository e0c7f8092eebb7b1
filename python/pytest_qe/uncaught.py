"""Exceptions that nobody could catch, of finalisers and of threads.

pytest notes them, and warns of them at the next phase of a test or at its end. What
is left when a worker ends goes to the controller, whose end warns of it.
"""

from __future__ import annotations

import gc
import sys
import threading
import traceback
import warnings
from typing import Any

import pytest
from _pytest.config import apply_warning_filters

from . import heap

#: Where pytest keeps them: the module, the key in the configuration's stash, and
#: the class of an entry. pytest before 8.4 keeps none beyond a phase.
_KEPT = {
    "finaliser": ("_pytest.unraisableexception", "unraisable_exceptions", "UnraisableMeta"),
    "thread": ("_pytest.threadexception", "thread_exceptions", "ThreadExceptionMeta"),
}

#: A finaliser may make new garbage, and so on.
_MOST_COLLECTIONS = 5


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
    """In a worker that ends as pytest does: after ``gather`` there is nothing to find."""
    key = getattr(sys.modules.get(_KEPT["finaliser"][0]), "gc_collect_iterations_key", None)
    if key is not None:
        config.stash[key] = 0


def let_go() -> None:
    """In a forked worker that ends: what happens from now on is the interpreter's to
    tell, as it is when pytest has ended."""
    sys.unraisablehook = sys.__unraisablehook__
    threading.excepthook = threading.__excepthook__


def _is_error(config: pytest.Config) -> bool:
    """Whether such an exception fails the run, which goes by the warning filters."""
    given = config.known_args_namespace.pythonwarnings or []
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        try:
            apply_warning_filters(config.getini("filterwarnings"), given)
            text = "is this an error?"
            warnings.warn(pytest.PytestUnraisableExceptionWarning(text), stacklevel=1)
        except Exception:
            return True
    return False


def _collect(config: pytest.Config) -> None:
    """Collects garbage where pytest does, which is what warnings name as their place.

    What was there before the fork becomes garbage only by what tests take away; finding
    that means to walk (in a fork: copy) all memory. It is looked for where it counts.
    """
    config.stash[heap.KEY].end(whole=_is_error(config))
    module = sys.modules.get(_KEPT["finaliser"][0])
    collect = getattr(module, "gc_collect_harder", None)
    queue = _queue(config, "finaliser")
    for _ in range(_MOST_COLLECTIONS):
        before = len(queue or ())
        if collect is None:
            gc.collect()
        else:
            collect(1)
        if len(queue or ()) == before:
            break


def gather(config: pytest.Config) -> list[tuple[str, str, str, str | None]]:
    """Takes out what is there, after a last collection of garbage."""
    found: list[tuple[str, str, str, str | None]] = []
    _collect(config)
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
