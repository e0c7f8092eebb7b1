"""What agents remember of files in the project's history: outcomes and durations.

A file counts as a test there, by its path: ``qe history`` tells its rate, and the next run
takes the longest files first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _core, places, revision
from ..errors import QeError
from ..keys import key
from ..memory import MemoryStore
from ..publishing import Publishing
from .records import OUTCOMES, record_of

if TYPE_CHECKING:
    from ..sharedhistory import SharedHistory


class Remembering:
    """The history beside an agent's store; nothing where the store is another one.

    Trouble is a line in ``warnings``: what is not remembered is no reason to run nothing.
    """

    def __init__(self, memory: object, folder: str, files: Sequence[str]) -> None:
        self._path = memory.path if isinstance(memory, MemoryStore) else None
        self._folder = folder
        self._files = list(files)
        self.warnings: list[str] = []
        self._shared = self._find_shared()
        self._live = None if self._path is None else self._path.parent
        if self._shared is not None:
            self._path = self._shared.path

    def _find_shared(self) -> SharedHistory | None:
        """What QE_HISTORY says takes the place of the project's own history."""
        own = (places.FOLDER, places.HISTORY)
        if "QE_HISTORY" not in os.environ or self._path is None or self._path.parts[-2:] != own:
            return None
        from ..sharedhistory import SharedHistoryError, of_environment

        try:
            return of_environment(self._path.parent.parent)
        except SharedHistoryError as error:
            self.warnings.append(f"QE_HISTORY: {error}")
            return None

    def _contact(self, call: Callable[[], None]) -> None:
        """Talks to the server of a shared history."""
        assert self._shared is not None
        try:
            call()
        except ValueError as error:
            self.warnings.append(f"QE_HISTORY: {error}")
        self.warnings += self._shared.warnings
        self._shared.warnings = []

    def publishing(self, kind: str, runs: int = 1) -> Publishing | None:
        """What other processes are told while the files run, each so many times."""
        if self._live is None:
            return None
        names = [self._name(file) for file in self._files for _ in range(runs)]
        return Publishing(self._live, kind, self._folder, names)

    def expected_ns(self) -> list[int]:
        """How long each file will take, in nanoseconds; 0 where that is not known."""
        unknown = [0] * len(self._files)
        if self._shared is not None:
            self._contact(self._shared.pull)
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
                history.gc(places.MOST_RUNS)
            finally:
                history.close()
        except (QeError, OSError) as error:
            self.warnings.append(f"the history was not saved: {error}")
            return
        if self._shared is not None:
            self._contact(self._shared.push)

    def _record(self, runs: Sequence[list[dict[str, Any]]]) -> _core.Record | None:
        known = [
            (self._name(file), [one for one in results if one["outcome"] in OUTCOMES])
            for file, results in zip(self._files, runs, strict=True)
        ]
        known = [(name, results) for name, results in known if results]
        if not known:
            return None
        record = record_of(known)
        record.set_code(*revision.head(Path(self._folder)))
        return record

    def _name(self, file: str) -> bytes:
        return key(os.path.relpath(os.path.join(self._folder, file), self._folder))
