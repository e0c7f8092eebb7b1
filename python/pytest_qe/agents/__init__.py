"""Agents that run and judge test files, and what they are made of.

Nothing is imported before it is used: the pytest plugin gets no slower by this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .metrics import Metrics
    from .params import AlcallParams, Retry, alcall
    from .tasks import QETask

_WHERE = {
    "AlcallParams": "params",
    "Metrics": "metrics",
    "QETask": "tasks",
    "Retry": "params",
    "alcall": "params",
}

__all__ = ["AlcallParams", "Metrics", "QETask", "Retry", "alcall"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
