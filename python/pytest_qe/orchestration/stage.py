"""A run of layers: the core says what starts when; here it is executed and told."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import _core, counts
from ..agents.session import CommandSession, Ended, Limits, Policy, Unit
from ..frameworks import Command, FrameworkError
from ..publishing import of_category
from ..scratch import scratch
from .cgroups import cgroup_for, limited_by
from .commands import commands_of
from .locks import Locks
from .services import ServiceError, Services
from .suggesting import how_ended, suggestion

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
            try:
                async for event in self._loop():
                    yield event
                await self._close()
                for event in self._waiting_events():
                    yield event
            finally:
                await self._close()

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
            self._end(number, attempt, "error", None, 0.0, said=said)
        except Exception as error:
            # It must never look as if it still ran.
            self._end(number, attempt, "error", None, 0.0, said=f"{type(error).__name__}: {error}")
        finally:
            self._locks.give(str(number))

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
                if not await self._ready(number, service):
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

    async def _ready(self, number: int, service: str) -> bool:
        """Waits for a service; False: the category is to end before.

        Raises: ``ServiceError``.
        """
        ready = asyncio.ensure_future(self._services.ready(service))
        stop = asyncio.ensure_future(self._stops.setdefault(number, asyncio.Event()).wait())
        try:
            await asyncio.wait({ready, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                return False
            ready.result()
            return True
        finally:
            stop.cancel()
            ready.cancel()
            await asyncio.gather(stop, ready, return_exceptions=True)

    async def _execute(self, number: int, attempt: int) -> None:
        group = cgroup_for(self.categories[number])
        try:
            ends, seconds = await self._session(number, attempt, group)
        finally:
            closed = (0, 0) if group is None else await asyncio.to_thread(group.close)
        self._judge(number, attempt, ends, seconds, closed, await self._gone(number, ends))

    async def _gone(self, number: int, ends: list[Ended | None]) -> str | None:
        """What there is to say of services where a category did not pass."""
        if all(end is not None and end.outcome == "passed" for end in ends):
            return None
        if self.cancelled or number in self._why:
            return None  # how it ended was not its own doing
        return await self._services.gone(self._needed(self.categories[number]["layer"]))

    async def _session(
        self, number: int, attempt: int, group: _core.Cgroup | None
    ) -> tuple[list[Ended | None], float]:
        about = self.categories[number]
        commands = self._commands[number]
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

        async with CommandSession(units, policy, read, publishing) as session:
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
        return [ends.get(n) for n in range(len(units))], time.monotonic() - began

    def _over(self, number: int, session: CommandSession) -> None:
        if len(self._commands[number]) > 1:
            self._why.setdefault(number, "timeout")
            session.stop(interrupt=True)

    def _judge(
        self,
        number: int,
        attempt: int,
        ends: list[Ended | None],
        seconds: float,
        closed: tuple[int, int],
        gone: str | None,
    ) -> None:
        why = self._why.pop(number, "")
        bad = [end for end in ends if end is not None and end.outcome != "passed"]
        shown = bad[0] if bad else next((end for end in reversed(ends) if end is not None), None)
        outcome = "passed"
        if bad:
            outcome = bad[0].outcome
        elif any(end is None for end in ends):
            outcome = "interrupted"
        if why and outcome != "passed":
            outcome = "timeout" if why in ("timeout", "limit") else "interrupted"
        self._end(
            number, attempt, outcome, shown, seconds,
            found=[end.more for end in ends if end is not None], closed=closed, gone=gone,
            late=why == "limit",
        )  # fmt: skip

    def _end(
        self,
        number: int,
        attempt: int,
        outcome: str,
        shown: Ended | None,
        seconds: float,
        *,
        found: Sequence[counts.TestCounts | None] = (),
        closed: tuple[int, int] = (0, 0),
        gone: str | None = None,
        late: bool = False,
        said: str = "",
    ) -> None:
        known = [one for one in found if one is not None]
        tests = None
        if known:
            tests = {key: sum(one.as_dict()[key] for one in known) for key in known[0].as_dict()}
        failures = [failure for one in known for failure in one.failures]
        passed = outcome == "passed"
        good = tests["passed"] if tests else 0
        bad = tests["failed"] + tests["errors"] if tests else 0
        again = self._stage.ended(number, passed, good, bad)
        event = self._about(
            number, kind="end", attempt=attempt, outcome=outcome, passed=passed,
            returncode=shown.returncode if shown is not None else None,
            ended=said or how_ended(outcome, shown),
            seconds=seconds, tests=tests, failures=failures, again=again,
            stdout=_text(shown.stdout) if shown is not None else "",
            stderr=_text(shown.stderr) if shown is not None else said,
            cpu_seconds=shown.cpu if shown is not None else 0.0,
            peak_memory_bytes=max(closed[1], shown.peak_bytes if shown is not None else 0),
            oom_kills=closed[0],
        )  # fmt: skip
        about = self.categories[number]
        limit = self.layers[self._numbers[about["layer"]]]["limit_s"] if late else None
        event["suggestion"] = (
            None if passed else gone or suggestion(event, about, layer_limit_s=limit)
        )
        self._queue.put_nowait(event)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
