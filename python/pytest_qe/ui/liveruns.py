"""The files in which runs say what they are doing; see ``csrc/include/qe_live.h``.

Anything may stand in such a file: what is no number, text or list where one belongs is left out,
and long texts are cut.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import processes

FOLDER = "live"
_NAME = re.compile(r"[1-9]\d{0,9}-\d{1,10}\.json", re.ASCII)
_MOST_BYTES = 1 << 20
_MOST_FILES = 100
_MOST_RUNNING = 64
_MOST_TEXT = 2000
_MOST_WORDS = 200
_KEPT_S = 24 * 3600.0
#: A run writes twice a second; one that has not for so long is held, or its machine is busy.
_SILENT_S = 5.0
_OUTCOMES = ("passed", "failed", "skipped", "error", "timeout", "crashed", "flaky", "none")

Run = dict[str, Any]


def _number(value: Any, otherwise: float | None = 0.0) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return otherwise
    try:
        found = float(value)
    except OverflowError:
        return otherwise
    return found if math.isfinite(found) and found >= 0 else otherwise


def _count(value: Any) -> int:
    return int(min(_number(value) or 0.0, 2.0**53))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return value if len(value) <= _MOST_TEXT else value[: _MOST_TEXT - 1] + "…"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any, most: int) -> list[Any]:
    return value[:most] if isinstance(value, list) else []


def _running(value: Any) -> dict[str, Any]:
    one = _dict(value)
    return {
        "id": _text(one.get("id")),
        "phase": _text(one.get("phase")),
        "seconds": _number(one.get("seconds")),
        "expected_s": _number(one.get("expected_s"), None),
        **{name: _count(one.get(name)) for name in ("worker", "pid", "pass", "attempt")},
    }


def understood(value: Any) -> Run:
    """What a file says, with every value of its kind.

    Raises: ``ValueError`` where it is no such file at all.
    """
    if not isinstance(value, dict) or value.get("version") != 1:
        raise ValueError("is of another version of qe")
    about, outcomes = _dict(value.get("about")), _dict(value.get("outcomes"))
    return {
        "kind": _text(about.get("kind")),
        "name": _text(about.get("name")),
        "folder": _text(about.get("folder")),
        "command": [_text(word) for word in _list(about.get("command"), _MOST_WORDS)],
        "boot": _text(value.get("boot")),
        "outcomes": {name: n for name in _OUTCOMES if (n := _count(outcomes.get(name)))},
        "running": [_running(one) for one in _list(value.get("running"), _MOST_RUNNING)],
        "left_s": _number(value.get("left_s"), None),
        "started": _number(value.get("started_at")),
        "told": _number(value.get("told_at")),
        **{name: _count(value.get(name)) for name in
           ("pid", "pid_start", "workers", "done", "all")},
    }  # fmt: skip


@dataclass
class _File:
    stamp: tuple[int, int, int]
    run: Run | None
    trouble: str


class LiveRuns:
    """The runs of a project that tell of themselves; for one thread at a time.

    Args:
        folder: where the files are; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, _File] = {}

    def look(self) -> list[Run]:
        """All runs, the newest first. Each has its ``id``, what ``understood`` says, and
        ``state``: ``running``, ``silent``, ``dead``, or ``unreadable`` with ``trouble`` instead."""
        found: dict[str, _File] = {}
        now = time.time()
        for name, status in self._there(now):
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            known = self._files.get(name)
            if known is None or known.stamp != stamp:
                known = self._read(name, stamp, known)
            if known is not None:
                found[name] = known
        self._files = found
        runs = [self._told(name, file, now) for name, file in found.items()]
        return sorted(runs, key=lambda run: (-(run.get("started") or 0), run["id"]))

    def dismiss(self, run: str) -> bool:
        """Removes the file of a run that is dead, or that cannot be read; whether there was one.

        Raises: ``ValueError`` where it still runs, ``OSError``.
        """
        known = next((one for one in self.look() if one["id"] == run), None)
        if known is None:
            return False
        if known["state"] not in ("dead", "unreadable"):
            raise ValueError("it still runs")
        (self.folder / f"{run}.json").unlink(missing_ok=True)
        return True

    def _there(self, now: float) -> list[tuple[str, os.stat_result]]:
        found = []
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if _NAME.fullmatch(entry.name) is None:
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # it has ended meanwhile
                    if stat.S_ISREG(status.st_mode) and now - status.st_mtime < _KEPT_S:
                        found.append((entry.name, status))
        except OSError:
            return []
        found.sort(key=lambda one: -one[1].st_mtime_ns)
        return found[:_MOST_FILES]

    def _read(self, name: str, stamp: tuple[int, int, int], before: _File | None) -> _File | None:
        last = None if before is None else before.run
        try:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(os.open(self.folder / name, flags), "rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            return _File(stamp, last, error.strerror or str(error))
        if len(data) > _MOST_BYTES:
            return _File(stamp, last, f"is larger than {_MOST_BYTES} bytes")
        try:
            return _File(stamp, understood(json.loads(data.decode("utf-8", "replace"))), "")
        except (ValueError, RecursionError) as error:
            why = "is no JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            return _File(stamp, last, why)

    def _told(self, name: str, file: _File, now: float) -> Run:
        run = file.run
        if run is None:
            told: Run = {"id": name[: -len(".json")], "state": "unreadable"}
            return {**told, "trouble": f"{self.folder / name}: {file.trouble}"}
        state = "dead"
        if processes.is_alive(run["pid"], run["pid_start"], run["boot"]):
            state = "silent" if now - run["told"] > _SILENT_S else "running"
        return {**run, "id": name[: -len(".json")], "state": state}
