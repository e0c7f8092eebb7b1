"""A run of commands for asyncio: conversion between the core and asyncio.

The core's loop waits on a thread of its own (with the interpreter lock released), so
neither a busy event loop delays a kill, nor a waiting core the event loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .. import _core, events
from ..errors import QeError
from ..publishing import Publishing

if TYPE_CHECKING:
    from ..queuenode import Waits
    from .sharing import CommandNode

GRACE_S = 2.0  # from SIGTERM, or SIGINT where the run is interrupted, to SIGKILL
OUTPUT_BYTES = 64 * 1024  # kept of each stream of an attempt, half of it from its end
MOST_AT_ONCE = 1024  # what the core allows
_TICK_MS = 20  # the longest that an order waits
_NS = 1_000_000_000


@dataclass(frozen=True)
class Limits:
    """What each process of a command may use; 0: no limit but the system's.

    ``memory_bytes`` is private writable memory (RLIMIT_DATA), ``cpu_seconds`` processor
    time (SIGXCPU, then SIGKILL), ``open_files`` descriptors, at least 3.
    """

    memory_bytes: int = 0
    cpu_seconds: int = 0
    open_files: int = 0

    def __post_init__(self) -> None:
        for name, least in (("memory_bytes", 1), ("cpu_seconds", 1), ("open_files", 3)):
            value = getattr(self, name)
            if value != 0 and (not isinstance(value, int) or value < least):
                raise ValueError(
                    f"limits.{name}: takes a whole number from {least}, or 0, not {value!r}"
                )


@dataclass(frozen=True)
class Unit:
    """One command: ``env`` are changes of this process's environment (None: without it)."""

    argv: Sequence[str]
    env: Mapping[str, str | None] = field(default_factory=dict)
    cwd: str | None = None
    warm: str = ""  # a server that starts it, see warm.py
    expected_ns: int = 0  # how long it will take; 0: not known


@dataclass(frozen=True)
class Policy:
    """How the core runs commands; times in seconds."""

    max_concurrent: int
    attempts: int = 1
    timeout: float = 0  # of an attempt; 0: none
    backoff: float = 0  # before the second attempt; then doubles
    jitter: bool = False  # waits take a random part of that
    throttle: float = 0  # between two starts
    grace: float = GRACE_S
    output_bytes: int = OUTPUT_BYTES
    limits: Limits = field(default_factory=Limits)
    cgroup: str = ""  # the cgroup.procs of a control group that they run in
    in_order: bool = True  # begun as given; otherwise the longest first, as far as is known
    first: int = 0  # so many at the start, more by limit(); 0: all


@dataclass(frozen=True)
class Began:
    """An attempt began: ``unit`` is the command's number, ``attempt`` counts from 1."""

    unit: int
    attempt: int
    start: float  # seconds since the epoch
    worker: int  # from 0; of those, so many run at once


@dataclass(frozen=True)
class Ended:
    """An attempt ended. ``final`` is the command's outcome, None where it runs again."""

    unit: int
    attempt: int
    outcome: str
    final: str | None
    returncode: int | None  # -N: by the signal N; None: there was no process
    duration: float
    cpu: float
    peak_bytes: int
    stdout: bytes
    stderr: bytes
    more: Any = None  # what the session's ``on_end`` made of it


#: Called with an end, on the session's thread, before another attempt may begin.
OnEnd = Callable[[Ended], Any]
#: Makes a node of a sealed plan and the number of workers.
Join = Callable[[_core.Plan, int, "Waits"], "CommandNode"]


class CommandSession:
    """Runs commands and tells what becomes of them, in the order in which it happens.

        async with CommandSession(units, Policy(max_concurrent=4)) as session:
            while (event := await session.next()) is not None: ...

    ``on_end`` is called on the session's thread when an attempt has ended, before another
    one may begin: what it left behind can be read then. ``join`` makes of the plan and the
    number of workers a node of a run that is shared: of the units those run that it claims.
    Leaving the ``async with`` ends all
    processes, at once if they had not ended.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        policy: Policy,
        on_end: OnEnd | None = None,
        publishing: Publishing | None = None,
        join: Join | None = None,
    ) -> None:
        self._policy = policy
        self._cut = False  # what runs was interrupted, or killed
        self._join = join
        self.node: CommandNode | None = None
        self._waits: Waits | None = None  # for a server; of a node alone
        if join is not None:
            from ..queuenode import Waits

            self._waits = Waits()
        self._publishing = publishing
        self._on_end = on_end
        self._count = len(units)
        self._plan = _plan_of(units, policy)
        self._orders: deque[Callable[[_core.Session], None]] = deque()
        self._queue: asyncio.Queue[Began | Ended | BaseException | None] = asyncio.Queue()
        self._quit = threading.Event()
        self._over = False
        self.running = 0  # commands, as far as it has been told

    async def __aenter__(self) -> CommandSession:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="qe-session", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._quit.set()
        self._wait_no_longer()
        cancelled = None
        while self._thread.is_alive():
            try:
                # Ends within milliseconds: all that is left is killed.
                await asyncio.sleep(0.002)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def stop(self, *, interrupt: bool = False) -> None:
        """Nothing new starts; with ``interrupt`` what runs gets SIGINT, and its grace, and a server
        that does not answer is waited for no longer."""
        self._cut = self._cut or interrupt
        if interrupt:
            self._wait_no_longer()
        self._orders.append(lambda session: session.stop(interrupt))

    def kill(self) -> None:
        """Nothing new starts, and what runs is killed."""
        self._cut = True
        self._wait_no_longer()
        self._orders.append(lambda session: session.kill())

    def _wait_no_longer(self) -> None:
        if self._waits is not None:
            self._waits.cancel()

    def pause(self, on: bool) -> None:
        """Holds what runs, or lets it go on: no time has passed for its limits then."""
        self._orders.append(lambda session: session.pause(on))

    def limit(self, running: int, throttle: float) -> None:
        """From now on at most ``running`` at once, ``throttle`` seconds between starts."""

        def order(session: _core.Session) -> None:
            session.grow(running)
            session.limit(running, int(throttle * _NS))

        self._orders.append(order)

    async def next(self) -> Began | Ended | None:
        """What happened next; None: all has ended."""
        item = None if self._over else await self._queue.get()
        if isinstance(item, Began):
            self.running += 1
        elif isinstance(item, Ended):
            self.running -= 1
        if item is None or isinstance(item, BaseException):
            self._over = True
            if item is not None:
                raise item
        return item

    # ------------------------------------------------------- the session's thread

    def _post(self, item: Began | Ended | BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._quit.set()

    def _work(self) -> None:
        try:
            self._run()
            self._post(None)
        except BaseException as error:
            self._post(error)

    def _run(self) -> None:
        if self._count == 0:
            return
        policy = self._policy
        workers = min(policy.max_concurrent, self._count)
        node = None
        if self._join is not None and self._waits is not None:
            try:
                self.node = self._join(self._plan, workers, self._waits)
            except QeError:
                if self._waits.cancelled:
                    return  # nothing has begun
                raise
            node = self.node.node
            if node.ended is not None:
                return
        session, _ = _core.start(
            self._plan,
            workers,
            commands=True,
            first_workers=min(policy.first, self._count),
            in_order=policy.in_order,
            backoff_ns=int(policy.backoff * _NS),
            exact_backoff=not policy.jitter,
            grace_ns=int(policy.grace * _NS),
            throttle_ns=int(policy.throttle * _NS),
            output_bytes=policy.output_bytes,
            source=None if node is None else node.source,
        )
        assert session is not None
        if node is not None:
            node.start()
        if self._publishing is not None:
            self._publishing.start(session)
        try:
            while not self._quit.is_set():
                while self._orders:
                    self._orders.popleft()(session)
                for event in session.events(_TICK_MS):
                    if event[0] == _core.EV_DONE:
                        return
                    self._take(session, event)
        finally:
            session.close()
            if node is not None:
                node.finish()

    def _take(self, session: _core.Session, event: tuple[Any, ...]) -> None:
        kind = event[0]
        if kind == _core.EV_START:
            began = events.Start(*event)
            self._post(Began(began.unit, began.attempt, began.start, began.slot))
        elif kind == _core.EV_FINISH:
            self._finish(session, events.Finish(*event))
        elif kind == _core.EV_LOST:
            lost = events.Lost(*event)
            if lost.outcome != _core.NONE:  # else void: it runs again
                self._settle(session, lost, returncode=None)
        elif kind == _core.EV_SOURCE:
            assert self.node is not None
            self.node.node.hear(event[1])
        elif kind == _core.EV_GIVE_UP:
            why = os.strerror(event[2]) if event[2] != 0 else event[3]
            raise QeError(event[1], f"the run cannot go on: {why}")

    def _finish(self, session: _core.Session, end: events.Finish) -> None:
        data = end.location or b""
        code = os.waitstatus_to_exitcode(end.status)
        executed = end.outcome != _core.ERROR
        self._settle(
            session,
            end,
            returncode=code if executed else None,
            stdout=data[: end.stdout_bytes],
            stderr=data[end.stdout_bytes :],
        )

    def _settle(
        self,
        session: _core.Session,
        end: events.Finish | events.Lost,
        *,
        returncode: int | None,
        stdout: bytes = b"",
        stderr: bytes = b"",
    ) -> None:
        name = _core.outcome_name(end.outcome)
        ended = Ended(
            unit=end.unit,
            attempt=end.attempt,
            outcome=name,
            final=name,
            returncode=returncode,
            duration=end.duration,
            cpu=end.cpu if isinstance(end, events.Finish) else 0.0,
            peak_bytes=end.peak_bytes,
            stdout=stdout,
            stderr=stderr,
        )
        more = self._on_end(ended) if self._on_end is not None else None
        final = end.outcome
        if not (isinstance(end, events.Finish) and end.settled):
            # What cannot be executed will not be the next time.
            retryable = end.outcome != _core.ERROR
            _, final = session.settle(end.unit, end.attempt, end.outcome, retryable)
        # What was cut short here says nothing of the command: another node runs it.
        if self.node is not None and (end.outcome == _core.PASSED or not self._cut):
            self.node.tell(replace(ended, more=more), end.slot, end.outcome, end.status, final)
        last = None if final == _core.NONE else _core.outcome_name(final)
        self._post(replace(ended, final=last, more=more))


def _plan_of(units: Sequence[Unit], policy: Policy) -> _core.Plan:
    plan = _core.Plan()
    limits = policy.limits
    for number, unit in enumerate(units):
        changes = [name if value is None else f"{name}={value}" for name, value in unit.env.items()]
        plan.add_command(
            b"%d" % number,
            list(unit.argv),
            item=number,
            retries=policy.attempts - 1,
            timeout_ns=int(policy.timeout * _NS),
            expected_ns=unit.expected_ns,
            env=changes,
            memory_bytes=limits.memory_bytes,
            cpu_s=limits.cpu_seconds,
            files=limits.open_files,
            cwd=None if unit.cwd is None else os.fsencode(unit.cwd),
            warm=unit.warm.encode() or None,
            cgroup=os.fsencode(policy.cgroup) or None,
        )
    plan.seal()
    return plan


def describe_end(returncode: int | None) -> str:
    """What ended a process, in words."""
    if returncode is None:
        return "no process could be started"
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"
