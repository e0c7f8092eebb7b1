"""Workers and scheduler as pytest-xdist's hooks and reporters see them."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest


class _Spec:
    """The shape of an execnet XSpec that plugins look at."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.popen = True
        self.chdir = None
        self.python = sys.executable

    def __str__(self) -> str:
        return "popen"


class _Gateway:
    def __init__(self, id: str) -> None:
        self.id = id
        self.spec = _Spec(id)


class Node:
    """A worker as xdist's hooks and the terminal see it."""

    def __init__(self, config: pytest.Config, slot: int) -> None:
        self.config = config
        self.slot = slot
        self.workerinput: dict[str, Any] = {}
        self.gateway = _Gateway(f"gw{slot}")
        self.workerinfo = {
            "id": self.gateway.id,
            "version": sys.version,
            "version_info": tuple(sys.version_info),
            "sysplatform": sys.platform,
            "platform": sys.platform,
            "executable": sys.executable,
            "cwd": os.getcwd(),
        }

    __test__ = False

    def __hash__(self) -> int:
        return self.slot

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and other.slot == self.slot


class QuietNode(Node):
    """The same worker, in reports without a longrepr, whose text would otherwise
    be the line that names it: JSON and HTML reports keep that text."""

    def __init__(self, node: Node) -> None:
        self.__dict__ = node.__dict__

    @property
    def _workerinfocache(self) -> str:
        return ""


class Scheduler:
    """What xdist's hooks for a crashed test see of a scheduler."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def mark_test_pending(self, item: str) -> None:
        """Whether a crashed test runs again is for ``--qe-retries`` to say."""
        raise NotImplementedError
