"""A run of layers: the core says what starts when; here it is executed and told."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _core, counts
from ..agents.session import CommandSession, Ended, Join, Limits, Policy, Unit
from ..frameworks import Command, FrameworkError
from ..publishing import of_category
from ..queuenode import NodeRefused, NoServer
from ..scratch import scratch
from .cgroups import cgroup_for, limited_by
from .commands import commands_of
from .ending import Ending, ending
from .locks import Locks
from .services import ServiceError, Services

if TYPE_CHECKING:
    from .nodes import LayerNode

Event = dict[str, Any]

GRACE_S = 5.0
_AGAIN_NS = 200_000_000  # between two looks at a name that another run has
_OUTPUT_BYTES = 64 * 1024
_NS = 1_000_000_000


class PlanError(ValueError):
    """Something cannot run at all: ``errors``, of each ``path`` and ``message``."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{one['path']}: {one['message']}" for one in self.errors))


class StageRun:
    """Categories of some layers, as events.

    An event is a dict with ``kind``, most with ``layer`` and ``category``:

    - ``plan``: what there is to run, see ``qe_stage_plan``
    - ``service``: ``state`` of a ``service`` is ``starting``, ``started``, ``up``, ``down`` or
      ``stopped``; with ``message`` and ``layers`` (that need it) ``failed`` or ``left`` (it
      could not be stopped)
    - ``wait``: a category waits for ``names`` that another run has
    - ``start``: an attempt of a category begins: ``attempt`` (from 1), ``command``, ``expected``
      (seconds by the last times, or None), ``cgroup`` (what a control group limits: "memory",
      "cpu")
    - ``end``: it has ended: ``outcome``, ``returncode``, ``seconds``, ``tests`` (counts, None
      where they are not known), ``failures``, ``stdout``, ``stderr``, ``oom_kills`` (processes
      that the control group's limit of memory ended), ``again``
      Of a run that nodes share the event is of all of them, and ``shared`` says of how many
      units, and how many ran here.
    - ``others``: all of a category has begun, here or on other nodes; ``left`` of ``units`` have
      not ended
    - ``skip``: a category will not run: ``why`` (dependency, layer, fail_fast, limit,
      cancelled, service) and ``of``
    - ``stop``: it runs, and is ended: ``why`` (limit, cancelled)
    - ``layer``: all of a layer has ended: ``success``, ``pass_rate`` (percent, or None)

    Args:
        config: with the overrides in it.
        core: the same, as the core has read it.
        options: see ``qe_stage_new`` in csrc/include/qe_layers.h.
        folder: the project's.
        environment: the name of the environment, None: none.
        variables: changes of the environment of all that is executed.
        node: this process's part in a run that several share; None: it runs all of it.

    Raises: ``PlanError``, before anything starts.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        core: _core.Layers,
        options: Mapping[str, Any],
        folder: str | os.PathLike[str],
        *,
        environment: str | None = None,
        variables: Mapping[str, str] | None = None,
        locks: Path | None = None,
        node: LayerNode | None = None,
    ) -> None:
        self.config = config
        self.folder = os.path.abspath(folder)
        self._environment = environment
        self._variables = dict(variables or {})
        self._stage = _core.Stage(core, json.dumps(dict(options)))
        errors = json.loads(self._stage.errors())
        if errors:
            raise PlanError(errors)
        self.plan: dict[str, Any] = json.loads(self._stage.plan())
        self.layers = {layer["layer"]: layer for layer in self.plan["layers"]}
        self._numbers = {layer["id"]: layer["layer"] for layer in self.plan["layers"]}
        self.categories = {
            one["category"]: {**one, "layer": layer["id"]}
            for layer in self.plan["layers"]
            for one in layer["categories"]
        }
        self._locks = Locks(locks or Path(self.folder, ".qe", "locks"))
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._sessions: dict[int, CommandSession] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._next: asyncio.Future[Event] | None = None
        self._why: dict[int, str] = {}
        self._stops: dict[int, asyncio.Event] = {}
        self._asyncio_loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[int] = set()  # for a name, as has been told
        self._left = {number: len(layer["categories"]) for number, layer in self.layers.items()}
        self._services = Services(config.get("services", {}), self.folder, self._service)
        self._told: set[tuple[str, str]] = set()  # of services, as has been told
        self._commands: dict[int, list[Command]] = {}
        self.cancelled = False
        self.node = node

    def _config_of(self, number: int) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """What the configuration has of a category's layer, and of itself."""
        about = self.categories[number]
        layer = self.config["layers"][about["layer"]]
        (one,) = (c for c in layer["categories"] if c["name"] == about["name"])
        return layer, one

    def _environ(self, number: int) -> dict[str, str]:
        layer, _ = self._config_of(number)
        about = self.categories[number]
        found = {"QE_LAYER": about["layer"], "QE_CATEGORY": about["name"]}
        mode = layer.get("llm_requirements", {}).get("mode")
        if mode is not None:
            found["QE_LLM_MODE"] = mode
        if self._environment is not None:
            found["QE_ENVIRONMENT"] = self._environment
        return {**found, **self._variables}

    def cancel(self) -> None:
        """Nothing starts any more; what runs is interrupted, and has its grace. May be called
        from another thread."""
        self.cancelled = True
        self._stage.cancel()
        if self._asyncio_loop is not None:
            self._asyncio_loop.call_soon_threadsafe(self._queue.put_nowait, {"kind": "wake"})

    def kill(self) -> None:
        """The same, without the grace."""
        self.cancel()
        for session in self._sessions.values():
            session.kill()
        self._services.kill()

    def pause(self, on: bool) -> None:
        """Holds what runs, or lets it go on."""
        for session in self._sessions.values():
            session.pause(on)

    # ------------------------------------------------------------------ the loop

    async def events(self) -> AsyncGenerator[Event, None]:
        """Runs all; cancelled, it ends what runs and stops services first."""
        self._asyncio_loop = asyncio.get_running_loop()
        with scratch() as reports:
            self._prepare(reports)
            yield {"kind": "plan", "plan": self.plan}
            watching = await self._join()
            try:
                async for event in self._loop():
                    yield event
                await self._close()
                for event in self._waiting_events():
                    yield event
            finally:
                await self._close()
                if self.node is not None:
                    watching.cancel()
                    await asyncio.to_thread(self.node.close)

    async def _join(self) -> asyncio.Future[None]:
        """Comes to the run that is shared, if one is."""
        if self.node is None:
            return asyncio.get_running_loop().create_future()
        names = [
            f"{layer}/{one['name']}"
            for layer, about in self.config["layers"].items()
            for one in about["categories"]
            if layer in self._numbers
        ]
        await asyncio.to_thread(self.node.join, names)
        if self.node.stopped:
            self.cancel()
        return asyncio.ensure_future(self.node.watch(self.cancel))

    def check(self) -> None:
        """Raises: ``PlanError`` for tools and paths that there are not."""
        with scratch() as reports:
            self._prepare(reports)

    def _prepare(self, reports: Path) -> None:
        """All commands are built, so that what is missing is told before anything starts."""
        errors = []
        for number in self.categories:
            _, category = self._config_of(number)
            about = self.categories[number]
            try:
                self._commands[number] = commands_of(
                    category,
                    folder=self.folder,
                    reports=reports,
                    environment=self._environ(number),
                )
            except (FrameworkError, ValueError) as error:
                path = f"layers.{about['layer']}.categories[{self._index_of(number)}]"
                errors.append({"path": path, "message": str(error)})
        needed = {name for layer in self.layers.values() for name in self._needed(layer["id"])}
        errors += self._services.missing(needed)
        if errors:
            raise PlanError(errors)

    def _index_of(self, number: int) -> int:
        layer = self.config["layers"][self.categories[number]["layer"]]
        names = [one["name"] for one in layer["categories"]]
        return names.index(self.categories[number]["name"])

    async def _loop(self) -> AsyncIterator[Event]:
        while True:
            kind, category, layer, attempt, why, of, wake = self._stage.next(time.monotonic_ns())
            if kind == "start":
                self._tasks[category] = asyncio.ensure_future(self._run(category, attempt))
            elif kind == "stop":
                self._why[category] = why
                self._stops.setdefault(category, asyncio.Event()).set()
                if category in self._sessions:
                    self._sessions[category].stop(interrupt=True)
                yield self._about(category, kind="stop", why=why)
            elif kind == "skip":
                self._tell_skip(category, why)
                yield self._about(category, kind="skip", why=why, of=self._name_of(why, of))
                for event in self._one_less(layer):
                    yield event
            elif kind == "done":
                break
            else:
                for event in await self._happened(wake):
                    yield event
        for event in self._waiting_events():
            yield event

    def _waiting_events(self) -> list[Event]:
        found = []
        while not self._queue.empty():
            found += self._heard(self._queue.get_nowait())
        return found

    async def _happened(self, wake: int | None) -> list[Event]:
        """Waits for the next thing, and takes what else there is."""
        limit = None if wake is None else max(0.0, (wake - time.monotonic_ns()) / _NS)
        if self._next is None:
            self._next = asyncio.ensure_future(self._queue.get())
        done, _ = await asyncio.wait({self._next}, timeout=limit)
        if not done:
            return []
        event = self._next.result()
        self._next = None
        return self._heard(event)

    def _heard(self, event: Event) -> list[Event]:
        if event["kind"] == "wake":
            return []
        if event["kind"] == "end" and not event["again"]:
            return [event, *self._one_less(self._numbers[event["layer"]])]
        return [event]

    def _one_less(self, layer: int) -> list[Event]:
        self._left[layer] -= 1
        if self._left[layer] > 0:
            return []
        success, rate = self._stage.succeeded(layer)
        name = self.layers[layer]["id"]
        known = rate if rate >= 0 else None
        return [{"kind": "layer", "layer": name, "success": success, "pass_rate": known}]

    def _name_of(self, why: str, of: int) -> str | None:
        if why in ("dependency", "fail_fast"):
            return f"{self.categories[of]['layer']}/{self.categories[of]['name']}"
        return str(self.layers[of]["id"]) if why == "layer" else None

    def _about(self, category: int, **more: Any) -> Event:
        about = self.categories[category]
        return {"layer": about["layer"], "category": about["name"], **more}

    def _service(self, name: str, what: str) -> None:
        self._queue.put_nowait({"kind": "service", "service": name, "state": what})

    def _trouble(self, name: str, what: str, message: str) -> None:
        if (name, what) in self._told:
            return
        self._told.add((name, what))
        layers = [one["id"] for one in self.layers.values() if name in self._needed(one["id"])]
        self._queue.put_nowait({
            "kind": "service", "service": name, "state": what, "message": message,
            "layers": layers,
        })  # fmt: skip

    def _needed(self, layer: str) -> Sequence[str]:
        found: Sequence[str] = self.config["layers"][layer].get("required_services", ())
        return found

    def _tell_skip(self, number: int, why: str) -> None:
        """What every node skips; a service that is missing is this one's."""
        if self.node is not None and why not in ("cancelled", "service"):
            self.node.tell(self._name(number), "skipped", 0.0, 0.0, why)

    def _name(self, number: int) -> str:
        about = self.categories[number]
        return f"{about['layer']}/{about['name']}"

    async def _close(self) -> None:
        if self._next is not None:
            self._next.cancel()
        for session in self._sessions.values():
            session.stop(interrupt=True)
        for number, task in self._tasks.items():
            if number not in self._sessions:
                task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for name, line in (await self._services.close()).items():
            self._trouble(name, "left", line)
        self._locks.close()

    # -------------------------------------------------------------- one category

    async def _run(self, number: int, attempt: int) -> None:
        try:
            await self._attempt(number, attempt)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            said = f"{where}{error.strerror or error}"
            self._end(number, attempt, Ending("error", 0.0, said=said))
        except (NodeRefused, NoServer) as error:
            self._leave(error)
            self._end(number, attempt, Ending("interrupted", 0.0, said=str(error)))
        except Exception as error:
            # It must never look as if it still ran.
            said = f"{type(error).__name__}: {error}"
            self._end(number, attempt, Ending("error", 0.0, said=said))
        finally:
            self._locks.give(str(number))

    def _leave(self, error: Exception) -> None:
        """The run goes on without this node."""
        assert self.node is not None
        if isinstance(error, NodeRefused):
            self.node.refused = self.node.refused or str(error)
        else:
            self.node.trouble = self.node.trouble or str(error)
        self.cancel()

    async def _attempt(self, number: int, attempt: int) -> None:
        about = self.categories[number]
        names = about["exclusive"]
        if not self._locks.take(str(number), names):
            if number not in self._waiting:
                self._queue.put_nowait(self._about(number, kind="wait", names=names))
                self._waiting.add(number)
            self._stage.refused(number, time.monotonic_ns() + _AGAIN_NS)
            self._queue.put_nowait({"kind": "wake"})
            return
        self._waiting.discard(number)
        for service in self._needed(about["layer"]):
            try:
                stop = self._stops.setdefault(number, asyncio.Event())
                if not await self._services.ready_before(stop, service):
                    self._stage.refused(number, time.monotonic_ns())
                    self._queue.put_nowait({"kind": "wake"})
                    return
            except ServiceError as error:
                self._stage.refused(number, time.monotonic_ns())
                self._stage.drop(self._numbers[about["layer"]])
                self._trouble(service, "failed", str(error))
                # Also where that has been told: the loop is to look at the rest of the layer.
                self._queue.put_nowait({"kind": "wake"})
                return
        await self._execute(number, attempt)

    async def _execute(self, number: int, attempt: int) -> None:
        group = cgroup_for(self.categories[number])
        try:
            if self.node is None:
                found = await self._session(number, attempt, group, self._commands[number])
            else:
                found = await self._shared(number, attempt, group)
        finally:
            closed = (0, 0) if group is None else await asyncio.to_thread(group.close)
        gone = None if found.passed else await self._gone(number)
        self._why.pop(number, None)
        self._end(number, attempt, replace(found, closed=closed, gone=gone))

    async def _shared(self, number: int, attempt: int, group: _core.Cgroup | None) -> Ending:
        from .shared import SharedCategory

        assert self.node is not None
        return await SharedCategory(
            self.node, self._name(number), attempt, self._config_of(number)[1],
            self._commands[number], self.folder,
            lambda commands, join: self._session(number, attempt, group, commands, join),
            lambda: self._why.get(number, "cancelled" if self.cancelled else ""),
            lambda left, units: self._queue.put_nowait(
                self._about(number, kind="others", left=left, units=units)
            ),
        ).result()  # fmt: skip

    async def _gone(self, number: int) -> str | None:
        """What there is to say of services where a category did not pass."""
        if self.cancelled or number in self._why:
            return None  # how it ended was not its own doing
        return await self._services.gone(self._needed(self.categories[number]["layer"]))

    async def _session(
        self,
        number: int,
        attempt: int,
        group: _core.Cgroup | None,
        commands: Sequence[Command],
        join: Join | None = None,
    ) -> Ending:
        about = self.categories[number]
        units = [Unit(c.argv, c.env, cwd=c.cwd) for c in commands]
        policy = Policy(
            max(1, min(about["instances"], len(units))),
            timeout=about["timeout_s"],
            grace=GRACE_S,
            output_bytes=_OUTPUT_BYTES,
            limits=Limits(memory_bytes=int(about["memory"])),
            cgroup=group.procs if group is not None else "",
        )
        self._queue.put_nowait(
            self._about(
                number, kind="start", attempt=attempt, command=list(commands[0].argv),
                limit=about["timeout_s"],
                expected=about["expected_s"] if about["known"] else None, cgroup=limited_by(group),
            )
        )  # fmt: skip
        publishing = of_category(self.folder, about, len(units))
        ends: dict[int, Ended] = {}
        began = time.monotonic()

        def read(end: Ended) -> counts.TestCounts | None:
            command = commands[end.unit]
            out, err = (text.decode("utf-8", "replace") for text in (end.stdout, end.stderr))
            try:
                return counts.read(command, end.returncode, out, err)
            finally:
                counts.discard(command)

        async with CommandSession(units, policy, read, publishing, join) as session:
            self._sessions[number] = session
            # Its limit is of all of them together.
            timer = asyncio.get_running_loop().call_later(
                about["timeout_s"], self._over, number, session
            )
            try:
                if self._why.get(number) or self.cancelled:
                    session.stop(interrupt=True)
                while (event := await session.next()) is not None:
                    if isinstance(event, Ended):
                        ends[event.unit] = event
            finally:
                timer.cancel()
                del self._sessions[number]
        # Of those that others have run this node knows nothing.
        mine = range(len(units)) if session.node is None else sorted(ends)
        seconds = time.monotonic() - began
        return ending([ends.get(n) for n in mine], self._why.get(number, ""), seconds)

    def _over(self, number: int, session: CommandSession) -> None:
        if len(self._commands[number]) > 1 or self.node is not None:
            self._why.setdefault(number, "timeout")
            session.stop(interrupt=True)

    def _end(self, number: int, attempt: int, end: Ending) -> None:
        again = self._stage.ended(number, end.passed, *end.good_and_bad())
        event = self._about(number, kind="end", attempt=attempt, again=again, **end.fields())
        about = self.categories[number]
        limit = self.layers[self._numbers[about["layer"]]]["limit_s"]
        event["suggestion"] = end.suggestion(event, about, limit)
        if self.node is not None and not again:
            self.node.tell(
                self._name(number), end.outcome, time.time() - end.seconds, end.seconds,
                event["ended"],
            )  # fmt: skip
        self._queue.put_nowait(event)
