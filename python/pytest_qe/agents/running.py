"""Test files as commands, run once or many times: the events of a run, in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from .. import counts, frameworks
from ..publishing import Publishing
from ..scratch import scratch
from .adaptive import LOOK_S, Adaptive
from .params import AlcallParams
from .session import (
    GRACE_S,
    MOST_AT_ONCE,
    OUTPUT_BYTES,
    Began,
    CommandSession,
    Ended,
    Limits,
    Policy,
    Unit,
    describe_end,
)
from .warm import WarmServers

if TYPE_CHECKING:
    from .session import Join
    from .sharing import CommandNode, Shared

Event = dict[str, Any]


_NS = 1_000_000_000


class Stoppable(Protocol):
    """What a stop or a pause of an agent has to reach."""

    def stop(self, *, at_once: bool = False) -> None: ...

    def pause(self, on: bool) -> None: ...


@dataclass(frozen=True)
class Settings:
    """How the commands of an agent are made and what they may use; see ``TestExecutorAgent``."""

    args: Sequence[str] = ()
    cwd: str | os.PathLike[str] | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)
    template: Sequence[str] | None = None
    warm: bool = False
    limits: Limits = field(default_factory=Limits)
    grace: float = GRACE_S
    output_bytes: int = OUTPUT_BYTES
    price_per_cpu_hour: float | None = None
    cases: bool = False
    outputs: bool = False
    shared: Shared | None = None  # the run that this is a node of

    def folder(self) -> str:
        """The project's."""
        return os.path.abspath(os.getcwd() if self.cwd is None else os.fspath(self.cwd))

    def __post_init__(self) -> None:
        if not isinstance(self.warm, bool):
            raise TypeError(f"warm: takes True or False, not {self.warm!r}")
        if self.shared is not None:
            from .sharing import Shared

            if not isinstance(self.shared, Shared):
                raise TypeError(f"shared: takes Shared, not {self.shared!r}")
        if not isinstance(self.limits, Limits):
            raise TypeError(f"limits: takes Limits, not {self.limits!r}")
        if self.cwd is not None and not isinstance(self.cwd, str | os.PathLike):
            raise TypeError(f"cwd: takes the path of a folder, not {self.cwd!r}")
        if not isinstance(self.env, Mapping):
            raise TypeError(f"env: takes a dict, not {self.env!r}")
        for name, value in self.env.items():
            if not isinstance(name, str) or not isinstance(value, str | None):
                raise TypeError(f"env: takes str, or None to take away, not {name!r}: {value!r}")
            if not name or "=" in name or "\0" in name + (value or ""):
                raise ValueError(f"env: takes no {name!r}: {value!r}")
        for name in ("grace", "price_per_cpu_hour"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 <= value < 1e9):
                raise ValueError(f"{name}: takes a number of 0 or more, not {value!r}")
        if not isinstance(self.output_bytes, int) or not 2 <= self.output_bytes <= 64 << 20:
            raise ValueError(
                f"output_bytes: takes 2 to {64 << 20} bytes of each stream, not "
                f"{self.output_bytes!r}"
            )


class Run:
    """Runs of test files under one policy, as events.

    An event is a dict with ``kind``, ``file`` and ``run`` (from 0, of that file):

    - ``start``: the file's first attempt begins
    - ``attempt``: one has ended: ``attempt`` (from 1), ``started`` (seconds since the
      epoch), ``worker`` (from 0), ``outcome``, ``returncode``,
      ``seconds``, ``cpu_seconds``, ``peak_memory_bytes``
    - ``timeout``: that attempt was ended at its limit of ``limit`` seconds
    - ``retry``: another follows, ``delay`` seconds later at the earliest
    - ``result``: no attempt follows: all that is known, see ``_result``
    - ``cost``: what all attempts took: ``cpu_seconds``, ``wall_seconds``,
      ``peak_memory_bytes``, and ``price`` where one is known
    - ``adapt``: from now on ``running`` at once, ``throttle`` seconds apart, and ``why``
    """

    def __init__(
        self,
        files: Sequence[str],
        framework: str,
        policy: Policy,
        settings: Settings,
        *,
        runs: int = 1,
        adaptive: Adaptive | None = None,
        servers: WarmServers | None = None,
        publishing: Publishing | None = None,
    ) -> None:
        self._publishing = publishing
        self.files = [os.fspath(file) for file in files]
        self.framework = frameworks.lookup(framework).name
        self._settings = settings
        self._policy = policy
        self._expected_ns: Sequence[int] = ()
        self._adaptive = adaptive
        self._servers = servers
        self._runs = runs
        self._stack = contextlib.ExitStack()
        self._folder = self._stack.enter_context(scratch())
        self._session: CommandSession | None = None
        self._attempts: dict[int, list[Event]] = {}
        self.results: dict[int, Event] = {}  # by the number of the command
        self.began: dict[int, float] = {}  # when its first attempt did
        self.elsewhere: dict[int, Event] = {}  # results of other nodes that count, at the end
        self._starts: dict[int, tuple[float, int]] = {}  # ... and its last, by which worker
        self.retries = self.timeouts = 0
        self.interrupted = False
        self.shared: dict[str, Any] | None = None  # at the end: what is known of the whole run
        self.warnings: list[str] = []
        try:
            self._commands: list[frameworks.Command] = []
            for file in self.files:
                for run in range(runs):
                    self._commands.append(self.command(file, run))
                    if servers is not None:  # they come up while the others are looked at
                        servers.prepare(self._commands[-1])
        except BaseException:
            self._stack.close()
            if servers is not None:
                servers.close()
            raise

    def expect(self, expected_ns: Sequence[int]) -> None:
        """How long each file will take, 0 where nobody knows: the longest begin first."""
        # The order in which files begin shows in nothing but the time that all take.
        self._policy = replace(self._policy, in_order=not any(expected_ns))
        self._expected_ns = expected_ns

    def command(self, file: str, run: int) -> frameworks.Command:
        """What is executed for a file; all is looked at before anything starts."""
        s = self._settings
        return frameworks.command_for(
            self.framework, file, args=s.args, cwd=s.cwd, env=s.env, template=s.template,
            reports=self._folder, run=run,
        )  # fmt: skip

    def stop(self, *, at_once: bool = False) -> None:
        """Nothing new starts; what runs is interrupted, and has its grace, or is killed."""
        self.interrupted = True
        if self._servers is not None:
            self._servers.no_more()
        if self._session is not None and at_once:
            self._session.kill()
        elif self._session is not None:
            self._session.stop(interrupt=True)

    def pause(self, on: bool) -> None:
        """Holds what runs, or lets it go on."""
        if self._session is not None:
            self._session.pause(on)

    def no_more(self) -> None:
        """Nothing new starts."""
        if self._session is not None:
            self._session.stop()

    def close(self) -> None:
        self._stack.close()

    async def events(self) -> AsyncIterator[Event]:
        """Runs all; cancelled, it interrupts what runs, waits for it, and is cancelled."""
        # Servers are waited for.
        units = await asyncio.to_thread(
            lambda: [self._unit(number) for number in range(len(self._commands))]
        )
        looking: asyncio.Task[None] | None = None
        told: asyncio.Queue[Event] = asyncio.Queue()
        cancelled: asyncio.CancelledError | None = None
        try:
            async with CommandSession(
                units, self._policy, self._read, self._publishing, self._join()
            ) as session:
                self._session = session
                if self.interrupted:
                    session.stop(interrupt=True)
                if self._adaptive is not None:
                    looking = asyncio.ensure_future(self._adapt(session, self._adaptive, told))
                while True:
                    try:
                        event = await session.next()
                    except asyncio.CancelledError as error:
                        if cancelled is not None:
                            raise  # twice: at once
                        cancelled = error
                        self.stop()
                        continue
                    if event is None:
                        break
                    for one in self._told(event):
                        if cancelled is None:
                            yield one
                    while cancelled is None and not told.empty():
                        yield told.get_nowait()
        finally:
            if self._session is not None and self._session.node is not None:
                self.shared = self._session.node.described()
                self._hear_others(self._session.node)
            self._session = None
            if looking is not None:
                looking.cancel()
        if cancelled is not None:
            raise cancelled

    # ------------------------------------------------------------------ inside

    def _join(self) -> Join | None:
        shared = self._settings.shared
        if shared is None:
            return None
        from .sharing import CommandNode

        folder = self._settings.folder()
        names = [
            os.path.relpath(os.path.join(folder, self._file(n)), folder)
            for n in range(len(self._commands))
        ]
        expected = list(self._expected_ns) or [0] * len(self.files)
        each = [expected[n // self._runs] for n in range(len(names))]
        return lambda plan, workers, waits: CommandNode(
            shared, plan, names, each, workers, waits, self._runs
        )

    def _hear_others(self, node: CommandNode) -> None:
        """What counts of other nodes, where this is the last one of a hunt."""
        for number, one in node.elsewhere():
            self.began[number] = one.pop("started")
            self.elsewhere[number] = {**self.not_run(number), **one}

    def _unit(self, number: int) -> Unit:
        command = self._commands[number]
        warm = ""
        if self._servers is not None:
            warm = self._servers.name_for(command, number)
        expected = self._expected_ns[number // self._runs] if self._expected_ns else 0
        return Unit(
            argv=command.argv,
            env=command.env,
            cwd=command.cwd,
            warm=warm,
            expected_ns=expected,
        )

    async def _adapt(
        self, session: CommandSession, adaptive: Adaptive, told: asyncio.Queue[Event]
    ) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            change = adaptive.look(full=session.running >= adaptive.running)
            if change is not None:
                session.limit(adaptive.running, adaptive.throttle)
                told.put_nowait({"kind": "adapt", **change})

    def _read(self, end: Ended) -> counts.TestCounts | None:
        """What an attempt has written is read, and removed before another one begins."""
        command = self._commands[end.unit]
        try:
            return counts.read(command, end.returncode, _text(end.stdout), _text(end.stderr))
        finally:
            counts.discard(command)

    def _told(self, event: Began | Ended) -> Iterator[Event]:
        number = event.unit
        about: Event = {"file": self._file(number), "run": number % self._runs}
        if isinstance(event, Began):
            self._starts[number] = (event.start, event.worker)
            if event.attempt == 1:
                self.began[number] = event.start
                yield {"kind": "start", **about}
            return
        attempts = self._attempts.setdefault(number, [])
        started, worker = self._starts.get(number, (0.0, 0))
        attempt: Event = {
            "attempt": event.attempt,
            "started": started,
            "worker": worker,
            "outcome": event.outcome,
            "returncode": event.returncode,
            "seconds": event.duration,
            "cpu_seconds": event.cpu,
            "peak_memory_bytes": event.peak_bytes,
        }
        attempts.append(attempt)
        yield {"kind": "attempt", "framework": self.framework, **about, **attempt}
        if event.outcome == "timeout":
            self.timeouts += 1
            yield {
                "kind": "timeout", **about, "attempt": event.attempt,
                "limit": self._policy.timeout,
            }  # fmt: skip
        if event.final is None:
            self.retries += 1
            if self._settings.outputs:
                attempts[-1] = {**attempt, **self._printed(number, event)}
            delay = self._policy.backoff * 2 ** (event.attempt - 1)
            yield {"kind": "retry", **about, "attempt": event.attempt + 1, "delay": delay}
            return
        result = self._result(number, event)
        self.results[number] = result
        yield {"kind": "result", **about, **result}
        yield {"kind": "cost", **about, **self._cost(attempts)}

    def _file(self, number: int) -> str:
        return self.files[number // self._runs]

    def _result(self, number: int, end: Ended) -> Event:
        """All that is known of a file in the end.

        ``outcome`` is passed, flaky (passed on a retry), failed, crashed, timeout or error
        (it could not be started); interrupted or not_run where the run was stopped. The
        numbers are those of the last attempt.
        """
        command, found = self._commands[number], end.more
        passed = end.final in ("passed", "flaky")
        if passed and found is None and command.report is not None:
            self.warnings.append(
                f"{self._file(number)}: exit status 0 and no report of {self.framework}: it may "
                "have left before its tests had ended"
            )
        return {
            "file": self._file(number),
            # What it would have come to nobody knows.
            "outcome": "interrupted" if self.interrupted and not passed else end.final,
            "passed": passed,
            "attempts": end.attempt,
            "returncode": end.returncode,
            "duration": end.duration,
            "timed_out": end.outcome == "timeout",
            "rusage": {"cpu_seconds": end.cpu, "peak_memory_bytes": end.peak_bytes},
            "tests": None if found is None else found.as_dict(),
            "expected": self._expected(number),
            **self._printed(number, end),
            **self._cases([] if found is None else found.cases),
            "history": self._attempts[number],
            "ended": describe_end(end.returncode),
        }

    def _expected(self, number: int) -> float | None:
        """Seconds by the history, before this run."""
        known = self._expected_ns[number // self._runs] if self._expected_ns else 0
        return known / _NS if known else None

    def _printed(self, number: int, end: Ended) -> Event:
        """What an attempt left to read."""
        return {
            "stdout": counts.printed(self._commands[number], _text(end.stdout)),
            "stderr": _text(end.stderr),
            "failures": [] if end.more is None else end.more.failures,
        }

    def _cases(self, cases: list[dict[str, Any]]) -> dict[str, Any]:
        return {"cases": cases} if self._settings.cases else {}

    def _cost(self, attempts: Sequence[Event]) -> Event:
        cpu = sum(one["cpu_seconds"] for one in attempts)
        price = self._settings.price_per_cpu_hour
        return {
            "cpu_seconds": cpu,
            "wall_seconds": sum(one["seconds"] for one in attempts),
            "peak_memory_bytes": max(one["peak_memory_bytes"] for one in attempts),
            "price": None if price is None else cpu / 3600 * price,
        }

    def not_run(self, number: int) -> Event:
        """The result of a file that has none, as the run was stopped before."""
        return {
            "file": self._file(number),
            "outcome": "not_run",
            "passed": False,
            "attempts": len(self._attempts.get(number, ())),
            "returncode": None,
            "duration": 0.0,
            "timed_out": False,
            "stdout": "",
            "stderr": "",
            "rusage": {"cpu_seconds": 0.0, "peak_memory_bytes": 0},
            "tests": None,
            "expected": self._expected(number),
            "failures": [],
            **self._cases([]),
            "history": self._attempts.get(number, []),
            "ended": "not run: the run was stopped",
        }

    def all_results(self) -> list[Event]:
        """One of each command, in their order; of those alone that this node ran, where others
        have a part."""
        return [one for ones in self.results_by_file() for one in ones]

    def results_by_file(self) -> list[list[Event]]:
        """Of each file what ``all_results`` has of it."""
        found: list[list[Event]] = [[] for _ in self.files]
        for number in range(len(self._commands)):
            if number in self.results or self._settings.shared is None:
                one = self.results.get(number) or self.not_run(number)
                found[number // self._runs].append(one)
        return found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def policy_of(
    params: AlcallParams, settings: Settings, count: int
) -> tuple[Policy, Adaptive | None]:
    """How the core runs ``count`` commands by these parameters."""
    adaptive = params.limits.fresh() if isinstance(params.limits, Adaptive) else None
    if params.limits is not None and adaptive is None:
        raise ValueError("params.limits: commands take those of AlcallParams.adaptive() alone")
    if params.max_backoff is not None:
        raise ValueError("params.max_backoff: is for functions, commands take none")
    at_once = params.max_concurrent if adaptive is None else adaptive.most
    if at_once > MOST_AT_ONCE:
        raise ValueError(f"max_concurrent: takes at most {MOST_AT_ONCE} for commands")
    return Policy(
        max_concurrent=at_once,
        first=0 if adaptive is None else adaptive.running,
        attempts=params.retry_attempts,
        timeout=params.retry_timeout or 0,
        backoff=params.retry_backoff,
        jitter=params.jitter,
        throttle=params.throttle_period if adaptive is None else adaptive.throttle,
        grace=settings.grace,
        output_bytes=settings.output_bytes,
        limits=settings.limits,
    ), adaptive
