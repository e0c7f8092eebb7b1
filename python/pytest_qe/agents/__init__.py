"""Agents that run and judge test files, and what they are made of.

Nothing is imported before it is used: the pytest plugin gets no slower by this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazily import lazily

if TYPE_CHECKING:
    from ..frameworks import FrameworkError
    from ..memory import Memory, MemoryStore
    from .executor import TestExecutorAgent
    from .hunter import FlakyTestHunterAgent
    from .metrics import Metrics
    from .params import AlcallParams, Retry, alcall
    from .session import Limits
    from .sharing import Shared
    from .tasks import QETask

_WHERE = {
    "AlcallParams": ".params",
    "FlakyTestHunterAgent": ".hunter",
    "FrameworkError": "..frameworks",
    "Limits": ".session",
    "Memory": "..memory",
    "MemoryStore": "..memory",
    "Metrics": ".metrics",
    "QETask": ".tasks",
    "Retry": ".params",
    "Shared": ".sharing",
    "TestExecutorAgent": ".executor",
    "alcall": ".params",
}

__all__ = [
    "AlcallParams",
    "FlakyTestHunterAgent",
    "FrameworkError",
    "Limits",
    "Memory",
    "MemoryStore",
    "Metrics",
    "QETask",
    "Retry",
    "Shared",
    "TestExecutorAgent",
    "alcall",
]

__getattr__, __dir__ = lazily(__name__, _WHERE)
