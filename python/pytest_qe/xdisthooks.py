"""Hooks that conftests implement for pytest-xdist, declared where it is absent.

Signatures are xdist's documented ones; their ``node`` is ``nodes.Node``.
"""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookspec(firstresult=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """How many workers ``auto`` means."""


@pytest.hookspec()
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Called before any worker starts."""


@pytest.hookspec()
def pytest_xdist_newgateway(gateway: Any) -> None:
    """Called for each worker."""


@pytest.hookspec()
def pytest_configure_node(node: Any) -> None:
    """Called for each worker before it starts; may fill ``node.workerinput``."""


@pytest.hookspec()
def pytest_testnodeready(node: Any) -> None:
    """Called when a worker is ready."""


@pytest.hookspec()
def pytest_testnodedown(node: Any, error: object) -> None:
    """Called when a worker has ended; ``node.workeroutput`` is filled."""


@pytest.hookspec()
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Never called here: collection happens once."""


@pytest.hookspec(firstresult=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Never called here: the core schedules."""


@pytest.hookspec()
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: Any) -> None:
    """Called with the id and report of a test whose worker crashed."""
