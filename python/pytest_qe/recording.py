"""The record of a run: history, JSON and durations files are written from it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import _core, places, revision
from .errors import QeError
from .options import Options
from .planning import NS, key
from .publishing import Publishing

if TYPE_CHECKING:
    from .sharedhistory import SharedHistory

#: Of a run whose history is on a server.
SHARED: pytest.StashKey[SharedHistory] = pytest.StashKey()


class Recording:
    """Tests, attempts and outcomes as they become known."""

    def __init__(self, config: pytest.Config, options: Options, nodeids: list[str]) -> None:
        self.config = config
        self.options = options
        self._shared = config.stash.get(SHARED, None)
        self.record = _core.Record()
        self.warnings: list[str] = []
        self.started = time.time()
        self.ids = [key(nodeid) for nodeid in nodeids]
        for name in self.ids:
            self.record.add_test(name)
        self.revision, self.branch = revision.head(config.rootpath)
        self.record.set_code(self.revision, self.branch)
        if self._shared is not None:
            self.warnings += self._shared.warnings
            self._shared.warnings = []
        self._history = self._open_history()

    # ------------------------------------------------------------- history

    def path(self) -> Path:
        """Where the history is."""
        if self._shared is not None:
            return self._shared.path
        given = self.options.history
        if given:
            return self.config.invocation_params.dir / given
        return self.config.rootpath / places.FOLDER / places.HISTORY

    def _open_history(self) -> _core.History | None:
        if self.options.no_history:
            return None
        path = self.path()
        try:
            if self.options.history and self._shared is None:
                path.parent.mkdir(parents=True, exist_ok=True)
            elif self._shared is None:
                places.make_folder(path.parent)
            return _core.History(os.fsencode(path))
        except (QeError, OSError) as error:
            self._warn(f"history {path} is not used: {error}")
            return None

    def _warn(self, text: str) -> None:
        self.warnings.append(text)

    def expected_ns(self) -> list[int]:
        """Expected durations of all tests; 0 where unknown."""
        if self._history is not None:
            try:
                found = self._history.durations(self.ids)
            except (QeError, OSError) as error:
                self._warn(f"history cannot be read: {error}")
            else:
                if self.options.reports:
                    for item, ns in enumerate(found):
                        self.record.set_expected(item, ns / NS)
                return found
        return [0] * len(self.ids)

    def counts(self) -> dict[bytes, tuple[int, int]]:
        """How often each test has failed and passed in runs before, by its key."""
        if self._history is not None:
            try:
                return {name: (failed, passed) for name, failed, passed in self._history.counts()}
            except (QeError, OSError) as error:
                self._warn(f"history cannot be read: {error}")
        return {}

    def publish(self, session: _core.Session) -> None:
        """Has the run tell other processes what it does, beside the history."""
        if self.options.no_history:
            return
        config = self.config
        words = ["pytest", *map(str, config.invocation_params.args)]
        Publishing(self.path().parent, "pytest", config.rootpath, self.ids, words).start(session)

    def close_before_fork(self) -> None:
        """No database may be open across the fork."""
        if self._history is not None:
            self._history.close()
            self._history = None
            self._reopen = True

    _reopen = False
    _saver: threading.Thread | None = None
    _late: str | None = None

    def save(self, wall: float, workers: int) -> None:
        """Saves the run into the history, beside what pytest does at its end,
        until ``wait``. Nothing is added to the record any more."""
        if not self._reopen:
            return
        try:
            history = _core.History(os.fsencode(self.path()))
        except (QeError, OSError) as error:
            self._warn(f"history was not saved: {error}")
            return
        self._saver = threading.Thread(
            target=self._save, args=(history, wall, workers), name="qe-history", daemon=True
        )
        self._saver.start()

    def _save(self, history: _core.History, wall: float, workers: int) -> None:
        try:
            history.save(self.record, self.started, wall, workers)
            history.gc(places.runs_kept(len(self.ids)))
            history.close()
        except (QeError, OSError) as error:
            self._late = f"history was not saved: {error}"
            return
        if self._shared is not None:
            self._shared.push()

    def wait(self) -> list[str]:
        """Waits until the history is saved; returns what went wrong."""
        if self._saver is not None:
            self._saver.join()
            self._saver = None
        late = [] if self._late is None else [self._late]
        return [*late, *(self._shared.warnings if self._shared is not None else [])]

    def clean(self, nodeids: list[str]) -> list[int] | None:
        """How many executions each test has passed since it last failed, this run
        included; None where nothing is remembered."""
        self.wait()
        if not self._reopen or self._late is not None:
            return None
        try:
            history = _core.History(os.fsencode(self.path()))
            found = history.clean([key(nodeid) for nodeid in nodeids])
            history.close()
        except (QeError, OSError):
            return None
        return found

    # ---------------------------------------------------------------- files

    def write_reports(self, run: dict[str, Any]) -> None:
        """Writes the files that options have asked for; trouble is a warning."""
        if not self.options.reports:
            return
        import json
        import platform

        run = {
            "started": self.started,
            "python": platform.python_version(),
            "pytest": pytest.__version__,
            "revision": self.revision,
            "branch": self.branch,
            **run,
        }
        run = {name: value for name, value in run.items() if value is not None}
        text, flaky = json.dumps(run), self.options.flaky is not None

        def write_json(path: bytes) -> None:
            self.record.write_json(path, text, flaky)

        for option, given, write in (
            ("--qe-json", self.options.json, write_json),
            ("--qe-trace", self.options.trace, self._write_trace),
            ("--qe-html", self.options.html, partial(self._write_html, write_json)),
            ("--qe-metrics", self.options.metrics, partial(self._write_metrics, write_json)),
        ):
            if given is None:
                continue
            path = self.config.invocation_params.dir / given
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write(os.fsencode(path))
            except (QeError, OSError) as error:
                self._warn(f"{option}: {path} was not written: {error}")

    @staticmethod
    def _write_html(write_json: Callable[[bytes], None], path: bytes) -> None:
        from . import htmlreport

        htmlreport.write(Path(os.fsdecode(path)), write_json)

    @staticmethod
    def _write_metrics(write_json: Callable[[bytes], None], path: bytes) -> None:
        from . import openmetrics

        openmetrics.write(Path(os.fsdecode(path)), write_json)

    def _write_trace(self, path: bytes) -> None:
        self.record.write_trace(path, self.started)
