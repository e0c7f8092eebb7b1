"""Servers: processes that are executed with an environment of their own, collect once, and
fork the workers of all passes that ask for it.

A hash seed is fixed when the interpreter starts. A server begins as a spawned worker
(``spawn.py``), and its workers live as forked ones.
"""

from __future__ import annotations

import fcntl
import gc
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import _core, compat, heap, live, reports, startmethod, workerplugins
from .covering import Journals
from .debugger import Desk
from .events import Server
from .leaving import Leaving

if TYPE_CHECKING:
    from .passes import Decided
    from .plans import Plans
    from .terminal import Terminal


class CannotServe(Exception):
    """Why this process must not fork workers."""


class Servers:
    """The controller's side.

    Args:
        terminal: where warnings go.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        #: What each changes in the environment; the numbers of servers begin with 1.
        self.env: list[list[str]] = []
        #: Those whose passes have workers of the run's own: what ends now has not run
        #: in their environment.
        self.gone: set[int] = set()
        #: Tests whose ids are others in another process: what they are given differs.
        self.renamed: set[int] = set()
        self._why: dict[int, str] = {}

    def environments(self, run: Decided | None) -> list[list[str]]:
        """Before the run: one for each hash seed that it takes."""
        seeds = [] if run is None else run.hash_seeds
        self.env = [[f"PYTHONHASHSEED={seed}"] for seed in seeds]
        return self.env

    def told(self, server: int, why: str) -> None:
        """A server's word that it cannot serve."""
        self._why.setdefault(server, why)

    def left(self, event: tuple[Any, ...]) -> None:
        """It cannot serve, for whatever reason."""
        e = Server(*event)
        self.gone.add(e.server)
        why = self._why.get(e.server)
        if why is None:
            why = os.strerror(e.error) if e.error else reports.describe_status(e.status)
            last = e.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            why += f": {last}" if last else ""
        names = " ".join(self.env[e.server - 1])
        self._terminal.warn(f"no process for {names} ({why}): passes under it do not count")


# ---------------------------------------------------------------- the server's side


_STREAMS = {1: "stdout", 2: "stderr"}
_PUT_AWAY: dict[int, int] = {}


def begin(data: dict[str, Any], plans: Plans, job: dict[str, Any]) -> None:
    """In a process that has just begun: what it has inherited is for workers, and nobody
    else's. What it prints until it has collected, the controller has printed."""
    ends = {fd for each in plans.ends for fd in (each[1], each[3])}
    for fd in (*ends, *Desk(*plans.desk).of_workers(), *data["journals"]):
        os.set_inheritable(fd, False)
    for fd, name in _STREAMS.items():
        _PUT_AWAY[fd] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
        os.dup2(job[name], fd)


def _end_quiet(config: pytest.Config) -> None:
    """What workers print past pytest's capturing goes where it always goes."""
    manager = config.pluginmanager.getplugin("capturemanager")
    captures = manager is not None and manager._global_capturing is not None
    if captures:
        manager.stop_global_capturing()
    live.flush()
    for fd, kept in _PUT_AWAY.items():
        os.dup2(kept, fd)
        os.close(kept)
    _PUT_AWAY.clear()
    if captures:
        manager.start_global_capturing()
        manager.suspend_global_capture(in_=False)


def share_root(config: pytest.Config, root: str | None) -> None:
    """The controller's root for temporary folders, which is not to be emptied."""
    factory: Any = getattr(config, "_tmp_path_factory", None)
    if factory is not None and root is not None:
        factory._given_basetemp = factory._basetemp = Path(root)


def serve(session: pytest.Session, core: _core.Worker, data: dict[str, Any]) -> None:
    """Forks workers until all have left, and returns then.

    Args:
        session: collected, and with the controller's selection.
        core: this process's handle.
        data: from the controller, see ``spawn.py``.

    Raises ``CannotServe`` where a fork would break what collecting has left.
    """
    from .forked import run_forked
    from .plans import Plans
    from .starting import fill_free_lists, fill_holes

    config: Any = session.config
    start, why = startmethod.choose(data["start"], config.stash.get(startmethod.BEFORE, {}))
    if start != "fork":
        raise CannotServe(why)
    config.workeroutput = {}
    for adapter in compat.adapt(config, session.items, spawned=True):
        adapter.in_worker = True
    workerplugins.prepare(config)
    if heap.KEY not in config.stash:
        config.stash[heap.KEY] = heap.Heap()
    _end_quiet(config)
    plans = Plans(*data["plans"])
    journals = Journals.inherited(data["journals"])
    leaving = Leaving()
    gc.collect()  # or each worker would find what is there
    filling = fill_holes()
    fill_free_lists()
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    while (slot := core.wait_keeper()) is not None:
        worker = core.fork(slot)
        if worker is not None:
            signal.signal(signal.SIGINT, on_interrupt)
            config.workerinput = data["inputs"][slot]
            run_forked(config, session, worker, plans, leaving, journals)
    del filling  # a worker's, which never comes here, stays
