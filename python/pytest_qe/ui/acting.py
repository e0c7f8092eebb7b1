"""What a browser may ask for, once it has shown the token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import quarantine, remembered
from .project import Project
from .reading import Trouble

Asked = Mapping[str, Any]
_DAYS = 14


def _word(asked: Asked, name: str, most: int = 4000) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise Trouble(400, f"{name}: takes a text of up to {most} characters")
    return value


def check(project: Project, asked: Asked) -> Asked:
    """Nothing: whether the token is right."""
    return {}


def dismiss(project: Project, asked: Asked) -> Asked:
    """Forgets a run that was killed: ``id``."""
    run = _word(asked, "id", 40)
    try:
        if not project.live.dismiss(run):
            raise Trouble(404, f"there is no live run {run!r}")
    except ValueError as error:
        raise Trouble(409, f"{run}: {error}") from None
    except OSError as error:
        raise Trouble(503, f"{run}: {error.strerror}") from None
    return {}


def cancel(project: Project, asked: Asked) -> Asked:
    """Ends a background run of layers: ``id``."""
    return project.cancel(_word(asked, "id", 200))


def hold(project: Project, asked: Asked) -> Asked:
    """Puts a test into quarantine: ``test``, ``owner``, ``reason``, ``days``, ``evidence``."""
    file = _file(project)
    days = asked.get("days", _DAYS)
    if isinstance(days, bool) or not isinstance(days, int):
        raise Trouble(400, "days: takes a whole number")
    evidence = asked.get("evidence")
    given = remembered.Asked(
        file,
        reason=_word(asked, "reason"),
        owner=_word(asked, "owner"),
        days=days,
        evidence=_word(asked, "evidence") if evidence else None,
    )
    try:
        entry = remembered.new_entry(given, _word(asked, "test"))
        quarantine.change(file, [entry], set())
    except (remembered.RememberedError, quarantine.QuarantineError) as error:
        raise Trouble(400, str(error)) from None
    return entry.fields()


def release(project: Project, asked: Asked) -> Asked:
    """Takes an entry out of quarantine: ``test``, its id."""
    file, test = _file(project), _word(asked, "test")
    try:
        if test not in {entry.id for entry in quarantine.load(file)}:
            raise Trouble(404, f"{file} has no entry {test!r}")
        quarantine.change(file, [], {test})
    except quarantine.QuarantineError as error:
        raise Trouble(503, str(error)) from None
    return {}


def _file(project: Project) -> Any:
    if project.quarantine is None:
        raise Trouble(409, "qe ui was started without --quarantine=FILE")
    return project.quarantine


ACTIONS: dict[str, Callable[[Project, Asked], Asked]] = {
    "check": check,
    "dismiss": dismiss,
    "cancel": cancel,
    "hold": hold,
    "release": release,
}
