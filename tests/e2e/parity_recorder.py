"""A pytest plugin that writes down what reporters are told, one JSON line a thing.

Loaded with ``-p parity_recorder``; the file is named by ``PARITY_RECORD``. Only the
process that the user started records: a worker has ``config.workerinput``. A report
that reaches this plugin in any other process is recorded as stray. How many seconds
the run loop took is written into the file that ``PARITY_LOOP`` names.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

#: What every report has, or what a run with workers adds to it.
KNOWN = (
    *("_id", "nodeid", "location", "keywords", "outcome", "longrepr", "when", "user_properties"),
    *("sections", "duration", "start", "stop", "wasxfail", "context"),
    *("node", "worker_id", "testrun_uid"),
)


class Recorder:
    def __init__(self, config: pytest.Config, path: str) -> None:
        self.config = config
        self.pid = os.getpid()
        # Whole lines, appended unbuffered: nothing is there to be written twice by a fork.
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)

    def write(self, kind: str, **values: Any) -> None:
        if os.getpid() != self.pid:
            if hasattr(self.config, "workerinput"):
                return
            values = {"what": kind, **values}
            kind = "stray"
        line = json.dumps({"kind": kind, **values}, default=repr)
        os.write(self.fd, line.encode("utf-8", "backslashreplace") + b"\n")

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self.write("start", id=nodeid, location=list(location))

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self.write("finish", id=nodeid, location=list(location))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        context = getattr(report, "context", None)
        self.write(
            "report",
            id=report.nodeid,
            when=report.when,
            outcome=report.outcome,
            type=type(report).__name__,
            longrepr_type=type(report.longrepr).__name__,
            longrepr=report.longreprtext,
            sections=[list(section) for section in report.sections],
            keywords=sorted(report.keywords),
            location=list(report.location),
            user_properties=[list(entry) for entry in report.user_properties],
            wasxfail=getattr(report, "wasxfail", None),
            context=None if context is None else repr(context),
            crash=str(getattr(report.longrepr, "reprcrash", None)),
            more={k: repr(v) for k, v in vars(report).items() if k not in KNOWN},
            times=[type(time).__name__ for time in (report.start, report.stop, report.duration)],
        )

    def pytest_warning_recorded(
        self,
        warning_message: Any,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        self.write(
            "warning",
            id=nodeid,
            when=when,
            category=warning_message.category.__name__,
            message=str(warning_message.message),
            file=warning_message.filename,
            line=warning_message.lineno,
            location=None if location is None else list(location),
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self.write("session", exit=int(exitstatus), failed=session.testsfailed)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        stats = {name: len(entries) for name, entries in terminalreporter.stats.items() if entries}
        self.write("summary", stats=stats)


class LoopTimer:
    def __init__(self, path: str) -> None:
        self.path = Path(path)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        pid, began = os.getpid(), time.monotonic()
        try:
            return (yield)
        finally:
            if os.getpid() == pid:
                self.path.write_text(f"{time.monotonic() - began:.3f}", encoding="ascii")


def pytest_configure(config: pytest.Config) -> None:
    record, loop = (os.environ.get(name) for name in ("PARITY_RECORD", "PARITY_LOOP"))
    if hasattr(config, "workerinput"):
        return
    if record:
        config.pluginmanager.register(Recorder(config, record), "parity-recorder")
    if loop:
        config.pluginmanager.register(LoopTimer(loop), "parity-loop")
