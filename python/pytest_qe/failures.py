"""Which failures are the same: by the exception's type and the frames that it went
through, never by its message, which may hold addresses, times or random numbers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _core, attempts, reports

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from .delivery import Attempt

#: The type of the exception, then frames, the innermost last.
Way = tuple[str, ...]

_MOST_FRAMES = 50
#: Where a worker leaves it on a report.
_ATTRIBUTE = "qe_failure"


def _way_of(excinfo: pytest.ExceptionInfo[BaseException], root: Path) -> list[str]:
    """How something failed, in the worker: of frames outside of the project only the
    innermost counts, without its line."""
    kind = excinfo.type
    frames: list[str] = []
    outside = ""
    for entry in excinfo.traceback.filter(excinfo):
        path = str(entry.path)
        relative = os.path.relpath(path, root) if path.startswith(str(root) + os.sep) else ""
        if relative and "site-packages" not in relative:
            frames.append(f"{relative}:{entry.lineno + 1} in {entry.name}")
            outside = ""
        else:
            outside = f"{os.path.basename(path)} in {entry.name}"
    frames = frames[-_MOST_FRAMES:] + ([outside] if outside else [])
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    return [name, *frames]


def note(report: pytest.TestReport, call: pytest.CallInfo[None], root: Path) -> None:
    """Leaves on a report how its phase failed, in the worker."""
    if call.excinfo is not None:
        way = _way_of(call.excinfo, root)
    elif isinstance(report.longrepr, str):  # an unexpected pass, say
        way = [attempts.one_line(report.longrepr)]
    else:
        return
    setattr(report, _ATTRIBUTE, way)


def way_of_attempt(attempt: Attempt, outcome: int) -> Way:
    """How an attempt failed, in the controller."""
    if outcome == _core.TIMEOUT:
        return ("timeout",)
    if attempt.lost is not None:
        return (reports.describe_status(attempt.lost.status),)
    found = getattr(attempt.failed, _ATTRIBUTE, None)
    return tuple(found) if found else ("unknown",)


def _place(way: Way) -> str:
    """The innermost frame of the project, if there is one."""
    return next((frame for frame in reversed(way[1:]) if ":" in frame), way[-1])


def place_of(way: Way) -> str:
    """Where it failed, for people."""
    return f"{way[0]} at {_place(way)}" if len(way) > 1 else way[0]


def any_place_of(ways: set[Way]) -> str:
    """Where it failed in one of these ways, the same one each time."""
    return place_of(min(ways, default=("unknown",)))


class Clusters:
    """Failures of all tests, by the way they failed."""

    def __init__(self) -> None:
        self._found: dict[Way, dict[str, Any]] = {}

    def add(self, item: int, way: Way, attempt: Attempt | None, message: str = "") -> None:
        """A failure: of an attempt, or of one of which a message is known."""
        # What several tests have in common is where it failed, not how they came there.
        key = (way[0], _place(way)) if len(way) > 1 else way
        one = self._found.setdefault(key, {"failures": 0, "tests": set(), "message": ""})
        one["failures"] += 1
        one["tests"].add(item)
        if not one["message"] and attempt is not None and attempt.failed is not None:
            message = attempts.line_of(attempt.failed)
        one["message"] = one["message"] or message

    def most_first(self) -> list[tuple[Way, dict[str, Any]]]:
        return sorted(self._found.items(), key=lambda pair: -pair[1]["failures"])
