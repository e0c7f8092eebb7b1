"""What agents remember of files in the project's history: outcomes and durations.

A file counts as a test there, by its path: ``qe history`` tells its rate, and the next run
takes the longest files first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import _core, places, revision
from ..errors import QeError
from ..keys import key
from ..memory import MemoryStore
from ..publishing import Publishing

_KEEP_RUNS = 200
_OUTCOMES = {
    _core.outcome_name(number): number
    for number in (
        _core.PASSED, _core.FAILED, _core.ERROR, _core.TIMEOUT, _core.CRASHED, _core.FLAKY,
    )
}  # fmt: skip


class Remembering:
    """The history beside an agent's store; nothing where the store is another one.

    Trouble is a line in ``warnings``: what is not remembered is no reason to run nothing.
    """

    def __init__(self, memory: object, folder: str, files: Sequence[str]) -> None:
        self._path = memory.path if isinstance(memory, MemoryStore) else None
        self._folder = folder
        self._files = list(files)
        self.warnings: list[str] = []

    def publishing(self, kind: str, runs: int = 1) -> Publishing | None:
        """What other processes are told while the files run, each so many times."""
        if self._path is None:
            return None
        names = [self._name(file) for file in self._files for _ in range(runs)]
        return Publishing(self._path.parent, kind, self._folder, names)

    def expected_ns(self) -> list[int]:
        """How long each file will take, in nanoseconds; 0 where that is not known."""
        unknown = [0] * len(self._files)
        if self._path is None or not self._path.is_file():
            return unknown
        try:
            history = _core.History(os.fsencode(self._path))
            try:
                return history.durations([self._name(file) for file in self._files])
            finally:
                history.close()
        except (QeError, OSError) as error:
            self.warnings.append(f"the history cannot be read: {error}")
            return unknown

    def save(self, runs: Sequence[list[dict[str, Any]]], began: float, wall: float) -> None:
        """Saves what became of the files.

        Args:
            runs: of each file its results, one a run, as ``Run.results`` has them; what was
                interrupted or not run is left out.
            began: seconds since the epoch.
            wall: seconds.
        """
        if self._path is None:
            return
        try:
            record = self._record(runs)
            if record is None:
                return
            if self._path.parent.name == places.FOLDER:
                places.make_folder(self._path.parent)
            history = _core.History(os.fsencode(self._path))
            try:
                history.save(record, began, wall, 1)
                history.gc(_KEEP_RUNS)
            finally:
                history.close()
        except (QeError, OSError) as error:
            self.warnings.append(f"the history was not saved: {error}")

    def _record(self, runs: Sequence[list[dict[str, Any]]]) -> _core.Record | None:
        record = _core.Record()
        record.set_code(*revision.head(Path(self._folder)))
        count = 0
        for file, results in zip(self._files, runs, strict=True):
            known = [one for one in results if one["outcome"] in _OUTCOMES]
            if not known:
                continue
            record.add_test(self._name(file))
            for number, one in enumerate(known):
                self._add(record, count, number, one)
            worst = min(known, key=lambda one: bool(one["passed"]))
            record.set_outcome(count, _OUTCOMES[worst["outcome"]], _message(worst))
            count += 1
        return record if count > 0 else None

    @staticmethod
    def _add(record: _core.Record, item: int, number: int, result: dict[str, Any]) -> None:
        for attempt in result["history"]:
            record.add_attempt(
                item,
                number,
                attempt["attempt"],
                0,
                _OUTCOMES[attempt["outcome"]],
                attempt["started"],
                attempt["seconds"],
                attempt["cpu_seconds"],
                attempt["peak_memory_bytes"],
                0,
                None if attempt["outcome"] == "passed" else _message(result),
            )

    def _name(self, file: str) -> bytes:
        return key(os.path.relpath(os.path.join(self._folder, file), self._folder))


def _message(result: dict[str, Any]) -> str | None:
    """One line that says what failed."""
    if result["outcome"] == "passed":
        return None
    if result["failures"]:
        first = result["failures"][0]
        line = first["message"].strip().partition("\n")[0]
        return f"{first['name']}: {line}"
    return str(result["ended"])
