"""``--qe-quarantine``: held tests run, are reported apart, and fail no run."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import attempts, quarantine
from .quarantine import Entry

if TYPE_CHECKING:
    from .recording import Recording

_NAME = "qe-quarantine"
_PROPERTY = "qe_quarantined"
_WORD = ("QUARANTINED", {"yellow": True})
_MAX_ROWS = 30


def _file(config: pytest.Config, name: str) -> Path:
    """Where pytest was started, or else in the rootdir, where the ini file is."""
    path = config.invocation_params.dir / name
    return path if path.exists() else config.rootpath / name


def register(config: pytest.Config, name: str) -> None:
    """Reads the file and takes part in the run, also where that is serial."""
    path = _file(config, name)
    try:
        entries = quarantine.load(path)
    except quarantine.QuarantineError as error:
        raise pytest.UsageError(f"--qe-quarantine: {error}") from None
    hold(config, path, entries)


def hold(config: pytest.Config, path: Path, entries: list[Entry]) -> None:
    """Takes part in the run with these entries of a file."""
    config.pluginmanager.register(Quarantining(config, path, entries), _NAME)


class _Test:
    """A test that an entry names."""

    __slots__ = ("entry", "expired", "outcome", "failed")

    def __init__(self, entry: Entry, expired: bool) -> None:
        self.entry = entry
        self.expired = expired
        self.outcome = "not run"
        self.failed: list[pytest.TestReport] = []


class Quarantining:
    """The plugin of a run with a quarantine.

    A failure of a held test reaches the reporters as an expected one (xfail):
    that is what all of them know not to count, and not to stop at.
    """

    def __init__(self, config: pytest.Config, path: Path, entries: list[Entry]) -> None:
        self.config = config
        self.path = path
        self.entries = entries
        self.quarantine = quarantine.Quarantine(entries)
        self.today = datetime.date.today()
        self._tests: dict[str, _Test] = {}
        self._unmatched: list[Entry] = []
        self._recording: Recording | None = None

    # ------------------------------------------------------------- before

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before anything is deselected."""
        matched = set()
        files = set()
        for item in items:
            files.add(item.nodeid.partition("::")[0])
            entry = self.quarantine.find(item.nodeid)
            if entry is not None:
                matched.add(entry)
                self._tests[item.nodeid] = _Test(entry, entry.expired(self.today))
        # Arguments that name tests, and --lf, leave others of their file out.
        parts = any("::" in str(arg) for arg in self.config.args)
        parts = parts or bool(self.config.getoption("lf", False))
        root = self.config.rootpath
        self._unmatched = [
            e
            for e in self.entries
            if e not in matched
            and ((e.file in files and not parts) or not (root / e.file).exists())
        ]

    def hold(self, items: list[pytest.Item], recording: Recording) -> list[int]:
        """Marks held tests in the record; returns which items they are."""
        self._recording = recording
        held = [n for n, item in enumerate(items) if self._held(item.nodeid) is not None]
        for number in held:
            recording.record.set_quarantined(number)
        return held

    def _held(self, nodeid: str) -> _Test | None:
        test = self._tests.get(nodeid)
        return None if test is None or test.expired else test

    # -------------------------------------------------------------- reports

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        test = self._tests.get(report.nodeid)
        if test is not None:
            self._note(test, report)
        return (yield)

    def _note(self, test: _Test, report: pytest.TestReport) -> None:
        if test.outcome == "not run":
            test.outcome = "run"
            self._tell_junit(test, report)
        failed = report.failed and not hasattr(report, "wasxfail")
        if failed:
            self._fail(test, report)
        elif (report.when == "call" or report.skipped) and test.outcome == "run":
            test.outcome = "skipped" if report.skipped else "passed"

    def _fail(self, test: _Test, report: pytest.TestReport) -> None:
        entry = test.entry
        test.outcome = "failed"
        test.failed.append(report)
        if test.expired:
            report.sections.append(("qe", _expiry(entry)))
            return
        report.outcome = "skipped"
        report.wasxfail = f"quarantined: {entry.reason} - {attempts.line_of(report)}"

    def _tell_junit(self, test: _Test, report: pytest.TestReport) -> None:
        xml = attempts.report_of(self.config)
        if xml is not None and not test.expired:
            xml.node_reporter(report).add_property(_PROPERTY, test.entry.reason)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> Any:
        test = self._held(getattr(report, "nodeid", ""))
        if test is None or report not in test.failed:
            return None
        # One test, however many of its phases and subtests failed.
        return "quarantined" if report is test.failed[0] else "", "q", _WORD

    # ------------------------------------------------------------------ end

    def description(self) -> dict[str, Any]:
        """What the JSON result says of it."""
        return {
            "file": str(self.path),
            "entries": [
                {
                    **entry.fields(),
                    "expired": entry.expired(self.today),
                    **self._count(entry),
                }
                for entry in self.entries
            ],
        }

    def _count(self, entry: Entry) -> dict[str, int]:
        outcomes = [t.outcome for t in self._tests.values() if t.entry is entry]
        return {"tests": len(outcomes), "failed": outcomes.count("failed")}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        held = {n: t for n, t in self._tests.items() if not t.expired and t.outcome != "not run"}
        expired = [e for e in self.entries if e.expired(self.today) and self._count(e)["tests"]]
        free = self._releasable()
        if held or expired or free:
            self._show(terminalreporter, held, expired, free)
        for entry in self._unmatched:
            terminalreporter.write_line(
                f"qe: warning: quarantine: no test matches {entry.id}", yellow=True
            )

    def _show(
        self,
        reporter: Any,
        held: dict[str, _Test],
        expired: list[Entry],
        free: list[tuple[Entry, int]],
    ) -> None:
        outcomes = Counter(test.outcome for test in held.values())
        counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
        reporter.write_sep("=", f"quarantined tests: {counts or 'none'}")
        failed = [(n, t) for n, t in held.items() if t.failed]
        verbose = self.config.get_verbosity() > 0
        shown = failed if verbose else failed[:_MAX_ROWS]
        for nodeid, test in shown:
            entry = test.entry
            reporter.write_line(
                f"{nodeid}: {entry.reason} ({entry.owner}, until {entry.expires})", yellow=True
            )
            for report in test.failed if verbose else ():
                report.toterminal(reporter._tw)
        if len(failed) > len(shown):
            reporter.write_line(f"... and {len(failed) - len(shown)} more (-v shows all)")
        for entry in expired:
            reporter.write_line(_expiry(entry), red=True)
        for entry, clean in free:
            reporter.write_line(
                f"{entry.id} may be released: {clean} clean runs in a row "
                f"({quarantine.CLEAN_RUNS} say that it fails less than 1 time in 20)"
            )

    def _releasable(self) -> list[tuple[Entry, int]]:
        """Entries all of whose tests have been clean for long enough."""
        if self._recording is None or not self._tests:
            return []
        names = list(self._tests)
        found = self._recording.clean(names)
        if found is None:
            return []
        least: dict[Entry, int] = {}
        for name, clean in zip(names, found, strict=True):
            entry = self._tests[name].entry
            least[entry] = min(clean, least.get(entry, clean))
        return [(e, clean) for e, clean in least.items() if clean >= quarantine.CLEAN_RUNS]


def _expiry(entry: Entry) -> str:
    return (
        f"quarantine of {entry.id} expired on {entry.expires}: "
        f"its failures count again ({entry.owner}: {entry.reason})"
    )
