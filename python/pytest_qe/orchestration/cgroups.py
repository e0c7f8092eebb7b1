"""A control group for all of a category, where the system lets us have one.

Where it does not, memory is limited for each process by itself, and processors are a
matter of what runs at once.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any

from .. import _core
from ..errors import QeError

_WHY = {
    errno.EOPNOTSUPP: "control groups (version 2) have no controllers for it here",
    errno.EACCES: "this user may make no control groups",
    errno.EPERM: "this user may make no control groups",
    errno.EROFS: "control groups may only be read here",
}


def cgroup_for(about: Mapping[str, Any]) -> _core.Cgroup | None:
    """A group with a category's limits; None where it has none, or may have no group.

    Args:
        about: what the plan has of it: ``memory`` in bytes, ``cpu`` in processors.
    """
    memory, cpu = int(about["memory"]), round(about["cpu"] * 1000)
    if memory == 0 and cpu == 0:
        return None
    try:
        return _core.Cgroup(memory, max(cpu, 10) if cpu else 0)
    except (OSError, QeError):
        return None


def limited_by(group: _core.Cgroup | None) -> list[str]:
    """What a group limits: "memory", "cpu"."""
    if group is None:
        return []
    return [name for name in ("memory", "cpu") if getattr(group, name)]


def described() -> str:
    """In a line, how memory and processors of categories are limited here."""
    try:
        group = _core.Cgroup(1 << 40, 1000)
    except OSError as error:
        why = _WHY.get(error.errno or 0, os.strerror(error.errno or 0))
        return f"memory of each process by itself: {why}"
    found = limited_by(group)
    group.close()
    return f"{' and '.join(found)} by control groups"
