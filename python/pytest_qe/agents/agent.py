"""What the agents have in common: memory, hooks, metrics, streams and tasks."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

from ..errors import QeError
from ..memory import Memory, MemoryStore, settled
from .metrics import Metrics
from .running import Event, Run, Settings, Stoppable
from .tasks import QETask
from .warm import WarmServers

_log = logging.getLogger("pytest_qe.agents")

Hook = Callable[[Event], Any]
_HOOKS = ("start", "attempt", "retry", "timeout", "result", "cost")
_TAIL = 4096  # characters of each stream that are remembered
_LONG = ("stdout", "stderr", "failures")  # of attempts before the last


class Agent:
    """Memory, hooks and metrics around a run of test files.

    ``on_start``, ``on_attempt``, ``on_retry``, ``on_timeout``, ``on_result`` and ``on_cost``
    are called with the event (a dict, see ``Run``), awaited where they can be. What one
    raises ends the run, as it would end any other call.
    """

    #: Names of tasks, and the methods that they are routed to.
    _routes: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        agent_id: str,
        model: Any = None,
        memory: Memory | None = None,
        *,
        settings: Settings | None = None,
        on_start: Hook | None = None,
        on_attempt: Hook | None = None,
        on_retry: Hook | None = None,
        on_timeout: Hook | None = None,
        on_result: Hook | None = None,
        on_cost: Hook | None = None,
        **more: Any,
    ) -> None:
        if not isinstance(agent_id, str) or not agent_id:
            raise ValueError(f"agent_id: takes a str that is not empty, not {agent_id!r}")
        if memory is not None and not isinstance(memory, Memory):
            raise TypeError(
                "memory: takes an object with store, retrieve, delete and search, not "
                f"{type(memory).__name__}"
            )
        if settings is not None and more:
            raise TypeError(f"settings: has the place of {', '.join(sorted(more))}")
        hooks = (on_start, on_attempt, on_retry, on_timeout, on_result, on_cost)
        for name, hook in zip(_HOOKS, hooks, strict=True):
            if hook is not None and not callable(hook):
                raise TypeError(f"on_{name}: takes a function, not {hook!r}")
        self.agent_id = agent_id
        self.model = model
        self.memory: Memory = MemoryStore() if memory is None else memory
        self.metrics = Metrics()
        self.settings = Settings(**more) if settings is None else settings
        self.last_result: dict[str, Any] | None = None
        self._hooks = dict(zip(_HOOKS, hooks, strict=True))
        self._runs: set[Stoppable] = set()

    def stop(self, *, at_once: bool = False) -> None:
        """Has what runs end: it is interrupted, given its grace (with ``at_once``: none), and
        what is known by then is returned, with ``interrupted`` set. May be called from another
        thread."""
        for run in list(self._runs):
            run.stop(at_once=at_once)

    def pause(self, on: bool) -> None:
        """Holds all that runs (SIGSTOP), or lets it go on: its time limits stand still
        meanwhile. It takes effect within some hundredths of a second."""
        for run in list(self._runs):
            run.pause(on)

    async def execute(self, task: QETask | Mapping[str, Any]) -> dict[str, Any]:
        """Does a task: its ``context`` are the arguments of the method that its type names.

        Returns:
            ``task_id``, ``task_type``, ``agent_id``, ``status`` ("completed" or "failed"),
            ``result`` (what the method returned, or None) and ``error`` (one line, or None).
        """
        if not isinstance(task, QETask):
            task = QETask.from_dict(task)
        task.status = "in_progress"
        try:
            method = self._method_of(task)
            task.result = await method(**task.context)
            task.status = "completed"
        except asyncio.CancelledError:
            task.status, task.error = "failed", "cancelled"
            raise
        except (ValueError, TypeError, OSError, QeError) as error:
            task.status, task.error = "failed", str(error)
        return {
            "task_id": task.task_id,
            "task_type": task.task_type,
            "agent_id": self.agent_id,
            "status": task.status,
            "result": task.result,
            "error": task.error,
        }

    def _method_of(self, task: QETask) -> Callable[..., Awaitable[Any]]:
        name = self._routes.get(task.task_type)
        if name is None:
            known = ", ".join(sorted(self._routes))
            raise ValueError(f"task_type: takes one of {known}, not {task.task_type!r}")
        method: Callable[..., Awaitable[Any]] = getattr(self, name)
        takes = inspect.signature(method).parameters
        for key in task.context:
            if key not in takes:
                raise ValueError(f"context: {name} takes {', '.join(takes)}, not {key!r}")
        return method

    # ------------------------------------------------------------------ inside

    def _servers(self, each: int = 1) -> WarmServers | None:
        return WarmServers(each) if self.settings.warm else None

    async def _watched(self, run: Run) -> AsyncIterator[Event]:
        """The events of a run, after the hooks and the metrics have had them."""
        self._runs.add(run)
        try:
            async for event in run.events():
                await self._tell(event)
                yield event
        finally:
            self._runs.discard(run)

    async def _tell(self, event: Event) -> None:
        if event["kind"] in _HOOKS:
            self.metrics.feed(event)
            hook = self._hooks[event["kind"]]
            if hook is not None:
                await settled(hook(event))

    async def _remember(self, key: str, result: dict[str, Any], ttl: float) -> None:
        """Keeps a result; that it cannot be kept is no reason to lose it."""
        self.last_result = result
        try:
            await settled(self.memory.store(key, _shortened(result), ttl=ttl))
        except Exception as error:  # of any store
            note = f"the result is not remembered: {error}"
            result["warnings"].append(note)
            _log.warning("%s", note)


def check_files(files: Any) -> list[str]:
    """Paths of files, as a list.

    Raises: ``TypeError`` for something else.
    """
    if isinstance(files, str | bytes) or not isinstance(files, Sequence):
        raise TypeError(f"test_files: takes a list of paths, not {files!r}")
    for file in files:
        if not isinstance(file, str | os.PathLike):
            raise TypeError(f"test_files: takes paths, not {file!r}")
    return [os.fspath(file) for file in files]


def share(part: int, all_: int) -> float:
    """In percent, to two decimals."""
    return round(100 * part / all_, 2) if all_ else 0.0


def _shortened(result: dict[str, Any]) -> dict[str, Any]:
    """A result with only the ends of what was printed, and without a case for each test and
    what reports alone need."""
    if "results" not in result:
        return {name: of for name, of in result.items() if name != "runs"}
    files = [
        {**one, "stdout": one["stdout"][-_TAIL:], "stderr": one["stderr"][-_TAIL:]}
        for one in result["results"]
    ]
    for one in files:
        one.pop("cases", None)
        one["history"] = [
            {name: of for name, of in attempt.items() if name not in _LONG}
            for attempt in one["history"]
        ]
    return {**result, "results": files}
