"""``QETask``: what an agent is asked to do, and how far it has got."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

STATUSES = ("pending", "in_progress", "completed", "failed")


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass
class QETask:
    """A task for an agent's ``execute``.

    Args:
        task_type: which of the agent's methods, such as ``parallel_execution``.
        context: the arguments of that method, by name.
        task_id: default: a new random one.
        status: ``pending``, ``in_progress``, ``completed`` or ``failed``.
        created_at: when, with a time zone; default: now.
        result: what the method returned, once completed.
        error: what went wrong, once failed.

    Raises: ``ValueError`` or ``TypeError``, of one line, for what makes no sense.

    Example: ``QETask("parallel_execution", {"test_files": ["test_a.py"]})``
    """

    task_type: str
    context: dict[str, Any] = field(default_factory=dict)
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "pending"
    created_at: datetime = field(default_factory=_now)
    result: Any = None
    error: str | None = None

    def __post_init__(self) -> None:
        for name in ("task_type", "task_id"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise TypeError(f"{name}: takes a str that is not empty, not {value!r}")
        if not isinstance(self.context, dict):
            raise TypeError(f"context: takes a dict, not {type(self.context).__name__}")
        if self.status not in STATUSES:
            raise ValueError(f"status: takes one of {', '.join(STATUSES)}, not {self.status!r}")
        if not isinstance(self.created_at, datetime) or self.created_at.tzinfo is None:
            raise TypeError(
                f"created_at: takes a datetime with a time zone, not {self.created_at!r}"
            )
        if self.error is not None and not isinstance(self.error, str):
            raise TypeError(f"error: takes a str or None, not {type(self.error).__name__}")

    def to_dict(self) -> dict[str, Any]:
        """As a dict that JSON can say, where context and result can be said so."""
        return {
            "task_id": self.task_id,
            "task_type": self.task_type,
            "context": self.context,
            "status": self.status,
            "created_at": self.created_at.isoformat(),
            "result": self.result,
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> QETask:
        """The task of a dict, as ``to_dict`` gives it; only ``task_type`` must be there, and
        ``created_at`` may also be seconds since the epoch.

        Raises: ``ValueError`` or ``TypeError``, of one line, for what makes no sense.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"a task: takes a dict, not {type(data).__name__}")
        known = list(cls.__dataclass_fields__)
        for name in data:
            if name not in known:
                raise ValueError(f"{name}: a task has no such field; it has {', '.join(known)}")
        if "task_type" not in data:
            raise ValueError("task_type: is missing; takes the name of what is to be done")
        given = dict(data)
        if "created_at" in given:
            given["created_at"] = _time(given["created_at"])
        return cls(**given)


def _time(value: Any) -> datetime:
    wrong = f"created_at: takes an ISO 8601 time or seconds since the epoch, not {value!r}"
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str):
            # Python 3.10 does not know the letter.
            text = value[:-1] + "+00:00" if value.endswith("Z") else value
            found = datetime.fromisoformat(text)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value, timezone.utc)
        else:
            raise ValueError(wrong)
    except (ValueError, OverflowError, OSError):
        raise ValueError(wrong) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)
