"""Services that layers need: looked at, started once, shared, and stopped at the end."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import shlex
import subprocess
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import frameworks
from ..agents.session import CommandSession, Ended, Policy, Unit, describe_end
from ..frameworks import FrameworkError
from .commands import program, words_of

_LOOK_S = 0.1  # between two looks at a service that is to come up
_PROBE_S = 5.0  # for one look
_STOP_S = 30.0  # for a command that stops one
_GRACE_S = 5.0  # from SIGTERM to SIGKILL, of one that runs in the foreground
_TAIL = 2000  # characters of what it printed

# Stays until it is told to end, also where a start leaves a daemon behind: that lives as long
# as what started it. The words come behind, and are no text of the shell's.
_STAY = (
    's=; trap \'s=1\' INT TERM; "$@"; r=$?; [ -z "$s" ] || exit 0; [ $r -eq 0 ] || exit $r; '
    'while [ -z "$s" ]; do sleep 1; done'
)

# Waits for a word; where who would say it is killed, it stops the service instead.
# One that hangs must not stay for ever; its limit is the first word.
_GUARD = (
    "read -r word && exit; limit=$1; shift; "
    'command -v timeout >/dev/null && exec timeout -s KILL "$limit" "$@"; exec "$@"'
)

#: Told of each change: a service's name, and "up", "starting", "started", "stopped" or "down".
Told = Callable[[str, str], Awaitable[None] | None]


class ServiceError(Exception):
    """A service is not there: one line that says why, and what would help."""


@dataclass(frozen=True)
class Service:
    """One of the configuration's ``services``."""

    name: str
    check: Mapping[str, Any]
    start: list[str] | None
    stop: list[str] | None
    ready_s: float
    environment: Mapping[str, str]

    @classmethod
    def of(cls, name: str, config: Mapping[str, Any]) -> Service:
        start, stop = config.get("start"), config.get("stop")
        return cls(
            name,
            config["check"],
            words_of(start) if start is not None else None,
            words_of(stop) if stop is not None else None,
            float(config.get("ready_seconds", 30)),
            config.get("environment", {}),
        )

    def how(self) -> str:
        """What is looked at, in words."""
        (kind, what), *_ = self.check.items()
        return f"{kind} {what if isinstance(what, str) else shlex.join(what)}"


async def is_up(service: Service, folder: str, limit: float = _PROBE_S) -> bool:
    """One look, of some seconds at most: a connection, an answer below 400, or a command that
    succeeds."""
    check, limit = service.check, max(_LOOK_S, min(limit, _PROBE_S))
    try:
        async with asyncio.timeout(limit) if hasattr(asyncio, "timeout") else _no_limit():
            if "tcp" in check:
                return await _connects(str(check["tcp"]))
            if "http" in check:
                return await asyncio.to_thread(_answers, str(check["http"]))
            return await _succeeds(service, words_of(check["command"]), folder, limit)
    # A name that no host can have is no UnicodeError of ours.
    except (OSError, TimeoutError, asyncio.TimeoutError, UnicodeError):
        return False


@contextlib.asynccontextmanager
async def _no_limit() -> Any:  # before Python 3.11; each look has a limit of its own
    yield


async def _connects(where: str) -> bool:
    host, _, port = where.rpartition(":")
    connection = asyncio.open_connection(host.strip("[]") or "127.0.0.1", int(port))
    _, writer = await asyncio.wait_for(connection, _PROBE_S)
    writer.close()
    return True


def _answers(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "127.0.0.1", parts.port, timeout=_PROBE_S)
    try:
        path = parts.path or "/"
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path)
        return connection.getresponse().status < 400
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


async def _succeeds(service: Service, words: list[str], folder: str, limit: float) -> bool:
    end = await _run(_unit(service, words, folder), limit)
    return end is not None and end.outcome == "passed"


def _unit(service: Service, words: list[str], folder: str) -> Unit:
    environ = {**os.environ, **service.environment}
    argv = (program(words[0], folder, environ), *words[1:])
    return Unit(argv, dict(service.environment), cwd=folder)


async def _run(
    unit: Unit, limit: float, running: set[CommandSession] | None = None
) -> Ended | None:
    """Runs a command to its end; ``running`` has its session meanwhile."""
    async with CommandSession([unit], Policy(1, timeout=limit, grace=1.0)) as session:
        if running is not None:
            running.add(session)
        try:
            while (event := await session.next()) is not None:
                if isinstance(event, Ended):
                    return event
        finally:
            if running is not None:
                running.discard(session)
    return None


class Services:
    """The services of a run.

    One that is up already is left alone, also at the end. One that was started is ended by its
    ``stop``, then, or without one, by SIGINT and, ``5`` seconds later, SIGKILL. It goes with
    this process, however that ends: what a ``start`` hands to somebody else, such as a container,
    by its ``stop``.
    """

    def __init__(self, config: Mapping[str, Any], folder: str, told: Told | None = None) -> None:
        self._services = {name: Service.of(name, one) for name, one in config.items()}
        self._folder = folder
        self._told = told
        self._ready: dict[str, asyncio.Task[None]] = {}
        self._running: dict[str, _Running] = {}
        self._guards: dict[str, _Guard] = {}
        self._to_stop: list[Service] = []
        self._stopping: set[CommandSession] = set()

    async def ready_before(self, stop: asyncio.Event, name: str) -> bool:
        """Waits for a service, as ``ready``; False: ``stop`` was set before it was there.

        Raises: ``ServiceError``.
        """
        ready = asyncio.ensure_future(self.ready(name))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                return False
            ready.result()
            return True
        finally:
            stopped.cancel()
            ready.cancel()
            await asyncio.gather(stopped, ready, return_exceptions=True)

    async def ready(self, name: str) -> None:
        """Waits until a service is there, starting it where it is not.

        Raises: ``ServiceError``.
        """
        task = self._ready.get(name)
        if task is None:
            task = asyncio.ensure_future(self._bring_up(self._services[name]))
            self._ready[name] = task
        await asyncio.shield(task)

    def missing(self, names: Iterable[str]) -> list[dict[str, str]]:
        """Of some services the programs that there are not: ``path`` and ``message`` of each."""
        found = []
        for service in (self._services[name] for name in sorted(names)):
            environ = {**os.environ, **service.environment}
            look = words_of(service.check["command"]) if "command" in service.check else None
            commands = {"check.command": look, "start": service.start, "stop": service.stop}
            for key, words in commands.items():
                try:
                    if words is not None:
                        program(words[0], self._folder, environ)
                except FrameworkError as error:
                    path = f"services.{service.name}.{key}"
                    found.append({"path": path, "message": str(error)})
        return found

    async def states(self) -> dict[str, bool]:
        """Of each whether it is there now; nothing is started."""
        names = list(self._services)
        found = await asyncio.gather(*(is_up(self._services[name], self._folder) for name in names))
        return dict(zip(names, found, strict=True))

    async def gone(self, names: Iterable[str]) -> str | None:
        """Of services that were there, one that is not any more, in a line."""
        for name in names:
            service = self._services[name]
            if await is_up(service, self._folder):
                continue
            running = self._running.get(name)
            if running is not None and running.end is not None:
                how = f": it ended with {describe_end(running.end.returncode)}{_said(running.end)}"
            else:
                start = shlex.join(service.start) if service.start is not None else ""
                how = f": start it by {start}" if start else ""
            return f"service {name} is not there any more ({service.how()}){how}"
        return None

    def kill(self) -> None:
        """What is being stopped just now has no time left for it."""
        for session in self._stopping:
            session.kill()

    async def close(self) -> dict[str, str]:
        """Stops what was started, the last first; of those where that failed a line."""
        trouble = {}
        for task in self._ready.values():
            task.cancel()
        await asyncio.gather(*self._ready.values(), return_exceptions=True)
        for service in reversed(self._to_stop):
            line = await self._stop(service)
            if line is not None:
                trouble[service.name] = line
            else:
                await self._say(service.name, "stopped")
        self._to_stop.clear()
        return trouble

    # ---------------------------------------------------------------- inside

    async def _say(self, name: str, what: str) -> None:
        if self._told is not None:
            done = self._told(name, what)
            if done is not None:
                await done

    async def _bring_up(self, service: Service) -> None:
        if await is_up(service, self._folder):
            await self._say(service.name, "up")
            return
        if service.start is None:
            await self._say(service.name, "down")
            raise ServiceError(
                f"service {service.name} is not there ({service.how()}), and has no start: start "
                "it by hand, or say how"
            )
        await self._say(service.name, "starting")
        if service.stop is not None:
            self._guards[service.name] = _Guard(_unit(service, service.stop, self._folder))
        unit = _unit(service, service.start, self._folder)
        running = _Running(replace(unit, argv=("/bin/sh", "-c", _STAY, "sh", *unit.argv)))
        self._running[service.name] = running
        self._to_stop.append(service)
        until = time.monotonic() + service.ready_s
        while not await is_up(service, self._folder, until - time.monotonic()):
            end = running.end
            if end is not None:
                raise ServiceError(
                    f"service {service.name} did not start: {shlex.join(service.start)} ended "
                    f"with {describe_end(end.returncode)}{_said(end)}"
                )
            if time.monotonic() >= until:
                raise ServiceError(
                    f"service {service.name} was not ready within {service.ready_s:g} s "
                    f"({service.how()}){_said(end)}: give it more by ready_seconds"
                )
            await asyncio.sleep(_LOOK_S)
        await self._say(service.name, "started")

    async def _stop(self, service: Service) -> str | None:
        running = self._running.pop(service.name)
        line = None
        if service.stop is not None:
            end = None
            with contextlib.suppress(Exception):
                unit = _unit(service, service.stop, self._folder)
                end = await _run(unit, _STOP_S, self._stopping)
            if end is None or end.outcome != "passed":
                how = "was killed"
                if end is not None and end.returncode is not None:
                    how = f"ended with {describe_end(end.returncode)}"
                line = (
                    f"service {service.name} may still be there: {shlex.join(service.stop)} "
                    f"{how}{_said(end)}"
                )
            self._guards.pop(service.name).release()
        await running.close(self._stopping)
        return line


def _said(end: Ended | None) -> str:
    if end is None:
        return ""
    text = (end.stderr or end.stdout).decode("utf-8", "replace").strip()
    return f": {text[-_TAIL:].splitlines()[-1]}" if text else ""


class _Running:
    """A command that runs until it is told to end."""

    def __init__(self, unit: Unit) -> None:
        self.end: Ended | None = None
        self._session = CommandSession([unit], Policy(1, grace=_GRACE_S))
        self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        async with self._session as session:
            while (event := await session.next()) is not None:
                if isinstance(event, Ended):
                    self.end = event

    async def close(self, stopping: set[CommandSession]) -> None:
        stopping.add(self._session)
        self._session.stop(interrupt=True)
        await asyncio.gather(self._task, return_exceptions=True)
        stopping.discard(self._session)


class _Guard:
    """Executes a command when this process is gone, unless it is released before.

    It is in a session of its own: what ends a terminal or a group of processes does not end it.
    """

    def __init__(self, unit: Unit) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", f"{_STOP_S:g}", *unit.argv],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd=unit.cwd, env=frameworks.changed_environ(unit.env), start_new_session=True,
        )  # fmt: skip

    def release(self) -> None:
        self._process.communicate(b"\n")
