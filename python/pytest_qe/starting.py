"""How many workers a run gets, and how they come to be."""

from __future__ import annotations

import gc
import os
import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from . import _core, live, logs, planning, seeding, workerplugins
from . import options as opts
from .covering import Journals
from .debugger import Lender
from .forked import run_forked
from .leaving import Leaving
from .plans import Plans

if TYPE_CHECKING:
    from . import once
    from .controller import Controller

#: Descriptors that the controller needs for each worker (the files of two slots,
#: and with coverage a journal for each), and besides, tests' own included.
_WORKER_DESCRIPTORS = 8
_OWN_DESCRIPTORS = 32


class CannotStart(Exception):
    """No supervisor, and so no worker: the text says why."""


def fill_free_lists() -> None:
    """What the interpreter keeps for the next objects of its commonest types; a
    collection gives it back, and each worker would take memory of its own anew."""
    made: list[object] = [{} for _ in range(50)]
    made += [[] for _ in range(50)]
    made += [float(i) for i in range(100)]
    made += [tuple(range(n, n + n)) for n in range(1, 20) for _ in range(50)]
    made += [str.lower.__get__(str(i)) for i in range(100)]
    made.clear()


def show_a_traceback() -> None:
    """What a process's first traceback takes longer for than all others, most of it to
    find where each module lies: each retry is a process of its own."""
    try:
        raise AssertionError
    except AssertionError:
        pytest.ExceptionInfo.from_current().getrepr()


def fill_holes() -> list[bytes]:
    """What fills the holes between objects, of each size that the interpreter's allocator
    has from 48 bytes on: what a worker makes then lies together, in memory that is its
    own anyway. To be kept in workers, and let go in the controller."""
    header = sys.getsizeof(b"")
    try:
        return [bytes(size - header) for size in range(48, 513, 16) for _ in range(50)]
    except MemoryError:
        return []  # workers can do without


def room_for(count: int) -> int:
    """How many of so many workers the limit of open files leaves room for."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return count
    used = len(os.listdir("/proc/self/fd"))
    return max(1, min(count, (limit - used - _OWN_DESCRIPTORS) // _WORKER_DESCRIPTORS))


def count_workers(controller: Controller, wishes: list[planning.Wish]) -> int:
    """How many workers this run gets."""
    options, config = controller.options, controller.config
    if controller.recipe is not None:  # as many as what is repeated takes
        return 2 if controller.recipe.beside == "meanwhile" else 1
    passes = options.flaky if options.flaky_mode == "fixed" else None
    count = min(opts.worker_count(config, options), passes or len(wishes))
    if getattr(config.option, "stepwise", False) and count > 1:
        controller.terminal.warn("--stepwise goes in order: one worker")
        return 1
    if options.flaky is not None and count > 1 and any(w.serial or w.group for w in wishes):
        # Passes run beside each other, and with them what must not.
        controller.terminal.warn("tests that are serial or grouped: one pass at a time")
        return 1
    room = room_for(count)
    if room < count:
        controller.terminal.warn(f"the limit of open files has room for {room} of {count} workers")
    return max(1, room)


def maxfail(config: pytest.Config) -> int:
    """After how many failures nothing more may start; 0: never."""
    option = config.option
    limit: int = option.maxfail or 0
    if getattr(option, "stepwise", False):
        stepwise = 2 if getattr(option, "stepwise_skip", False) else 1
        limit = min(limit or stepwise, stepwise)
    return limit


def start(
    controller: Controller,
    session: pytest.Session,
    plan: Any,
    wishes: list[planning.Wish],
    method: str,
    order: planning.Order,
    shared: list[once.Shared],
) -> _core.Session:
    """Starts the supervisor and with it the workers; returns in the controller.

    Raises ``CannotStart`` where the system refuses what it takes.
    """
    options, config = controller.options, controller.config
    servers = controller.servers.environments(controller.hunt)
    # Each worker has one to stand by; and there are keepers.
    slots = 2 * controller.workers + 1 + len(servers)
    try:
        if live.is_wanted(config):
            names = controller.delivery.shows_workers
            controller.live.open(slots, named=names)
        lender = controller.lender = Lender(controller)
        journals = controller.journals = Journals(slots)
        tmp_path_factory = getattr(config, "_tmp_path_factory", None)
        if tmp_path_factory is not None:
            basetemp = tmp_path_factory.getbasetemp()  # one root for all workers
            if controller.hunt is not None:
                controller.surroundings.lie_in(basetemp)
    except OSError as error:
        raise CannotStart(error.strerror or str(error)) from error
    plans = Plans(
        [w.retries for w in wishes],
        frozenset(controller.quarantined),
        [w.timeout is not None and not options.timeout_func_only for w in wishes],
        options.timeout is not None,
        controller.terminal.screen(),
        logs.share_log_file(config),
        controller.live.ends,
        lender.desk,
        controller.surroundings.folder,
        [] if options.flaky_mode == "fixed" else seeding.free(config),
    )
    executed: AbstractContextManager[list[bytes] | None] = nullcontext()
    if method == "spawn" or servers:
        from . import spawn

        executed = spawn.prepared(controller, session.items, plans, method)
    if method == "fork":
        workerplugins.prepare(config)
        if options.flaky is not None or any(w.retries for w in wishes):
            show_a_traceback()
    leaving = Leaving()
    gc.collect()  # or each worker would find what is there
    filling: list[bytes] = []
    if method == "fork":  # for what forked workers make
        filling = fill_holes()
        fill_free_lists()
    timeout = options.timeout
    pid = os.getpid()
    try:
        with executed as argv:
            core, forked = _core.start(
                plan,
                controller.workers,
                argv=argv,
                isolate=options.isolate and options.flaky is None,
                func_only=options.timeout_func_only,
                steal_scopes=options.dist in ("loadscope", "loadfile"),
                in_order=order.counts,
                keeper=bool(shared),
                spawned=method == "spawn",
                servers=servers or None,
                peak_memory=options.reports,
                maxfail=maxfail(config),
                max_restarts=(
                    0xFFFFFFFF if options.max_worker_restart is None else options.max_worker_restart
                ),
                session_timeout_ns=0 if timeout is None else int(timeout * planning.NS),
                backoff_ns=int(options.retry_backoff * planning.NS),
                seed=controller.seed,
                source=None if controller.queue is None else controller.queue.source,
            )
    except (OSError, MemoryError) as error:
        if os.getpid() != pid:
            os._exit(1)  # a worker that could not be made must not be a controller
        raise CannotStart(getattr(error, "strerror", None) or "no memory") from error
    if forked is not None and shared and forked.job()["keeper"]:
        from . import once

        forked, leaving = once.run_keeper(config, session, forked, plans, leaving, shared)
    if forked is not None:
        node = controller.delivery.node(forked.job()["slot"])
        config.workerinput = node.workerinput  # type: ignore[attr-defined]
        run_forked(config, session, forked, plans, leaving, journals)
    del filling  # a worker's, which never comes here, stays
    assert core is not None  # one of the two is there
    return core
