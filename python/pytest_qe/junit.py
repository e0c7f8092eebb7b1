"""What tests in a worker write into the JUnit report reaches the controller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import reports
from .events import DataKind

if TYPE_CHECKING:
    from .worker import Worker


def forward(worker: Worker) -> None:
    """Puts a report in the place of the worker's that sends what it is told."""
    from _pytest.junitxml import LogXML, xml_key

    option = worker.config.option
    path = getattr(option, "xmlpath", None)
    if path:
        family = worker.config.getini("junit_family")
        xml: Any = LogXML(path, option.junitprefix, family=family)
        xml.add_global_property = lambda name, value: worker._send(
            DataKind.ONCE, reports.dumps((name, value))
        )
        xml.node_reporter = lambda report: _Node(worker)
        worker.config.stash[xml_key] = xml


class _Node:
    """Stands for a test in the report where fixtures ask for it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def add_attribute(self, name: str, value: object) -> None:
        self._worker._send(DataKind.XML, reports.dumps(("add_attribute", name, value)))

    def add_property(self, name: str, value: object) -> None:
        self._worker._send(DataKind.XML, reports.dumps(("add_property", name, value)))
