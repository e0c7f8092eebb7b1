"""What has changed, sent to everyone who looks: server-sent events.

Each topic is sent whole, whenever it is another than it was, and all of them first, so a browser
that was away for a while has missed nothing. Nobody looks for changes while nobody listens.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from .machine import Machine
from .project import Project
from .reading import Reader, Trouble

MOST_CLIENTS = 32
_EVERY_S = 0.3
_MACHINE_S = 1.0
_ALIVE_S = 15.0  # after which a listener hears that we are still here
_HISTORY_S = 5.0  # between looks at a history that cannot be read


def as_json(value: Any) -> str:
    """A value as JSON, in ASCII: names may hold anything."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


class Feed:
    """The topics ``live``, ``history``, ``background`` and ``machine``, and who listens.

    To be used within one event loop.
    """

    def __init__(self, project: Project, reader: Reader) -> None:
        self._project, self._reader = project, reader
        self._machine = Machine()
        self._topics: dict[str, tuple[int, str]] = {}
        self._versions = 0
        self._listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._looked: dict[str, tuple[Any, float]] = {}

    def close(self) -> None:
        """Ends every stream."""
        self._closed = True
        for listener in self._listeners:
            listener.set()
        if self._task is not None:
            self._task.cancel()

    def wake(self) -> None:
        """Looks at everything again, at once: something was done."""
        self._looked.clear()

    @property
    def is_full(self) -> bool:
        """Whether there are as many listeners as there may be."""
        return len(self._listeners) >= MOST_CLIENTS

    async def listen(self) -> AsyncIterator[str]:
        """The events for one more listener, as they go over the wire."""
        changed = asyncio.Event()
        self._listeners.add(changed)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        seen: dict[str, int] = {}
        try:
            yield "retry: 1000\n\n"
            while not self._closed:
                changed.clear()
                for topic, (version, text) in list(self._topics.items()):
                    if seen.get(topic) != version:
                        seen[topic] = version
                        yield f"event: {topic}\ndata: {text}\n\n"
                try:
                    await asyncio.wait_for(changed.wait(), _ALIVE_S)
                except asyncio.TimeoutError:
                    yield ": here\n\n"
        finally:
            self._listeners.discard(changed)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None
                self._topics.clear()
                self._looked.clear()

    def _tell(self, topic: str, value: Any) -> None:
        text = as_json(value)
        known = self._topics.get(topic)
        if known is not None and known[1] == text:
            return
        self._versions += 1
        self._topics[topic] = (self._versions, text)
        for listener in self._listeners:
            listener.set()

    async def _watch(self) -> None:
        while True:
            try:
                await self._look()
            except Exception:  # whatever it was, those who listen go on
                logging.getLogger(__name__).exception("qe ui: cannot look at %s", self._project)
            await asyncio.sleep(_EVERY_S)

    async def _look(self) -> None:
        pids: set[int] = set()
        runs = await asyncio.to_thread(self._project.live.look)
        self._tell("live", runs)
        for run in runs:
            if run["state"] == "running":
                pids.update(one["pid"] for one in run["running"] if one["pid"])
        await self._tell_if_new("history", _stamp(self._project.history), self._reader.state)
        stamp = await asyncio.to_thread(self._project.background_stamp)
        await self._tell_if_new("background", stamp, self._background)
        tick = int(time.monotonic() / _MACHINE_S)
        await self._tell_if_new("machine", tick, lambda: self._machine.look(pids))

    def _background(self) -> Any:
        try:
            return {"runs": self._project.background_runs(), "says": ""}
        except Trouble as trouble:
            return {"runs": [], "says": str(trouble)}

    async def _tell_if_new(self, topic: str, stamp: Any, look: Callable[[], Any]) -> None:
        """Looks where something has changed, and now and then where nothing seems to have."""
        known, when = self._looked.get(topic, (self, 0.0))
        now = time.monotonic()
        if known == stamp and now - when < _HISTORY_S:
            return
        self._looked[topic] = (stamp, now)
        self._tell(topic, await asyncio.to_thread(look))
