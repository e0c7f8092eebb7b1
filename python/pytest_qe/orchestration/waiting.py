"""What the categories of a run waited for, told from its events."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

Event = dict[str, Any]

_NOTHING_S = 0.05  # shorter than that nobody has waited


class Waiting:
    """Takes the events of a run; see ``StageRun``.

    Args:
        layers: as the configuration has them.
        clock: seconds since the epoch.
    """

    def __init__(
        self, layers: Mapping[str, Mapping[str, Any]], clock: Callable[[], float] = time.time
    ) -> None:
        self._layers = layers
        self._clock = clock
        self._began = clock()
        self._needs: dict[str, list[str]] = {}  # of a category, others and layers
        self._ends: dict[str, float] = {}
        self._starts: dict[str, float] = {}
        self._attempts: dict[tuple[str, int], float] = {}
        self._services: dict[str, list[float]] = {}  # from its start until it was there
        self._names: dict[str, tuple[float, list[str]]] = {}

    def take(self, event: Event) -> None:
        now, kind = self._clock(), event["kind"]
        if kind == "plan":
            self._began = now
            for layer in event["plan"]["layers"]:
                for one in layer["categories"]:
                    name = f"{layer['id']}/{one['name']}"
                    self._needs[name] = [*layer["after"], *one["depends_on"]]
        elif kind == "service":
            if event["state"] == "starting":
                self._services[event["service"]] = [now]
            elif event["state"] in ("up", "started") and event["service"] in self._services:
                self._services[event["service"]].append(now)
        elif kind == "layer":
            self._ends[event["layer"]] = now
        elif "category" in event:
            self._category(f"{event['layer']}/{event['category']}", event, now)

    def _category(self, name: str, event: Event, now: float) -> None:
        if event["kind"] == "start":
            self._starts.setdefault(name, now)
            self._attempts[name, event["attempt"]] = now
        elif event["kind"] == "wait":
            self._names[name] = (now, list(event["names"]))
        elif event["kind"] == "skip" or (event["kind"] == "end" and not event["again"]):
            self._ends[name] = now

    def started(self, layer: str, category: str, attempt: int) -> float:
        """When an attempt began, in seconds since the epoch; 0 where it never did."""
        return self._attempts.get((f"{layer}/{category}", attempt), 0.0)

    def of(self, layer: str, category: str) -> list[dict[str, Any]]:
        """What a category waited for before its first attempt, in order.

        Returns: of each ``what`` (category, layer: what it needs; service; exclusive: names
            that another run had; room: its turn, or room), ``names``, ``start`` (since the
            epoch) and ``seconds``.
        """
        name = f"{layer}/{category}"
        end = self._starts.get(name) or self._ends.get(name)
        if end is None:
            return []
        at = self._began
        found: list[dict[str, Any]] = []

        def waited(what: str, names: list[str], until: float) -> None:
            nonlocal at
            until = min(until, end)
            if until - at > _NOTHING_S:
                entry = {"what": what, "names": names, "start": at, "seconds": until - at}
                found.append(entry)
            at = max(at, until)

        needs = [one for one in self._needs.get(name, ()) if one in self._ends]
        if needs:
            last = max(needs, key=lambda one: self._ends[one])
            waited("category" if "/" in last else "layer", [last], self._ends[last])
        wanted = self._layers[layer].get("required_services", ())
        for service in (one for one in wanted if len(self._services.get(one, ())) > 1):
            waited("room", [], self._services[service][0])
            waited("service", [service], self._services[service][-1])
        if name in self._names:
            since, names = self._names[name]
            waited("room", [], since)
            waited("exclusive", names, end)
        waited("room", [], end)
        return found
