"""What is looked at: a project's files."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import places
from ..errors import QeError
from ..memory import MemoryStore
from ..orchestration import checking
from ..orchestration import config as configs
from ..orchestration.background import Background, UnknownRun
from ..orchestration.mistakes import ConfigError
from .liveruns import FOLDER, LiveRuns
from .reading import Trouble

_LOG_BYTES = 64 * 1024
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")


@dataclass
class Project:
    """A project, as ``qe ui`` looks at it.

    Args:
        history: its database; it need not be there yet.
        quarantine: its file of held tests, if it has one.
    """

    history: Path
    quarantine: Path | None = None
    live: LiveRuns = field(init=False)

    def __post_init__(self) -> None:
        self.live = LiveRuns(self.history.parent / FOLDER)

    @property
    def folder(self) -> Path:
        """Where its tests are, as far as its history tells."""
        above = self.history.parent
        if above.parent.name == places.FOLDER:  # of a history that is on a server
            above = above.parent
        return above.parent if above.name == places.FOLDER else above

    # ----------------------------------------------------------------------- layers

    def layers(self) -> dict[str, Any]:
        """The configuration: ``file``, ``layers`` and ``services``, or ``mistakes``."""
        try:
            file = str(configs.find(self.folder))
        except ConfigError as error:
            return {"file": None, "says": error.lines()[0], "layers": [], "mistakes": []}
        found: dict[str, Any] = {"file": file, "says": "", "layers": [], "mistakes": []}
        try:
            config = configs.read(file)
            checking.checked(config)
        except ConfigError as error:
            return {**found, "mistakes": error.lines()}
        found["layers"] = [{"id": id, **keys} for id, keys in config.data["layers"].items()]
        return found

    # ------------------------------------------------------------------- background

    def _background_folder(self) -> Path:
        with contextlib.suppress(ConfigError):
            return configs.find(self.folder).parent
        return self.folder

    def _background(self, *, read_only: bool = True) -> Background | None:
        """None where there can be no run: looking must not make a store."""
        folder = self._background_folder()
        store = folder / places.FOLDER / places.HISTORY
        if not store.is_file() or store.stat().st_size == 0:
            return None
        return Background(folder, MemoryStore(store, read_only=read_only))

    def _background_of(self, run: str, *, read_only: bool = True) -> Background:
        """Where a run may be known by its whole id: no other text is looked for."""
        background = None if _ID.fullmatch(run) is None else self._background(read_only=read_only)
        if background is None:
            raise UnknownRun(f"there is no background run {run!r}")
        return background

    def background_stamp(self) -> Any:
        """Another value once something may have changed."""
        try:
            status = os.stat(self._background_folder() / places.FOLDER / places.HISTORY)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def background_runs(self) -> list[dict[str, Any]]:
        """The background runs of layers, the newest first, without their results.

        Raises: ``Trouble``.
        """
        try:
            background = self._background()
            runs = [] if background is None else background.runs()
        except (QeError, OSError, ValueError, KeyError, TypeError) as error:
            raise Trouble(503, f"background runs cannot be read: {error}") from None
        told = []
        for run in reversed(runs):
            # How long it has run would be another time at each look.
            ended = None if run.state in ("running", "lost") else run.started + run.seconds
            told.append({
                "id": run.id, "state": run.state, "layers": run.layers, "started": run.started,
                "ended": ended, "pid": run.pid,
            })  # fmt: skip
        return told

    def cancel(self, run: str) -> dict[str, Any]:
        """Asks a background run to end.

        Raises: ``Trouble`` where there is none of that id, or it does not run.
        """
        try:
            background = self._background_of(run, read_only=False)
            found = background.get(run)
            if found.state != "running":
                raise Trouble(409, f"{run} does not run: it is {found.state}")
            return {"state": background.cancel(run).state}
        except UnknownRun as error:
            raise Trouble(404, str(error)) from None
        except (QeError, OSError) as error:
            raise Trouble(503, f"{run} cannot be cancelled: {error}") from None

    def log(self, run: str) -> dict[str, Any]:
        """The end of what a background run has printed.

        Raises: ``Trouble``.
        """
        try:
            self._background_of(run).get(run)
            # Not what the store says: anybody may have made that.
            log = self._background_folder() / places.FOLDER / "layers" / f"{run}.log"
            with open(log, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _LOG_BYTES))
                text = file.read(_LOG_BYTES).decode("utf-8", "replace")
        except UnknownRun as error:
            raise Trouble(404, str(error)) from None
        except (QeError, OSError) as error:
            raise Trouble(503, f"the log of {run} cannot be read: {error}") from None
        return {"text": text, "cut": size > _LOG_BYTES}
