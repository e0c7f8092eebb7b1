"""The controller's part of what is changed around passes: folders, and what was refused."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .terminal import Terminal

#: What each change is called where the system refuses it.
_WORDS = {
    "one_cpu": "one processor",
    "idle": "the lowest priority",
    "busy": "load beside",
    "no_network": "a run without network",
    "files": "private folders",
    "clock": "another time",
    "entropy": "entropy from a seed",
    "slow_threads": "delays in threads (a tracer is active)",
    "slow_main": "delays in the main thread (a tracer is active)",
    "c_locale": "the C locale",
    "zone": "another time zone",
    "tmp_by_name": "a private folder for temporary files other than by TMPDIR",
    "home_by_name": "a private home other than by HOME",
}


class Surroundings:
    """What the controller knows of changes around passes.

    Args:
        terminal: where a refusal is told, once a run.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        #: What was refused, by pass.
        self.refused: dict[int, list[str]] = {}
        #: Where folders of passes lie; None: they can have none.
        self.folder: str | None = None

    def lie_in(self, basetemp: Path) -> None:
        """The folders of passes lie in pytest's for temporary files."""
        self.folder = str(basetemp / "qe-files")

    def note(self, pass_: int, names: list[str]) -> None:
        """A worker of this pass was refused these."""
        told = {name for names in self.refused.values() for name in names}
        self.refused[pass_] = names
        for name in names:
            if name not in told:
                self._terminal.warn(f"the system refuses {_WORDS.get(name, name)}")

    def close(self) -> None:
        """Removes what passes have left in their folders."""
        if self.folder is not None and os.path.isdir(self.folder):
            _remove(self.folder)


def _remove(folder: str) -> None:
    """With what tests have made unreadable, or an overlay has."""
    with suppress(OSError):  # somebody else's stays
        os.chmod(folder, stat.S_IRWXU)
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                _remove(entry.path)
            else:
                os.unlink(entry.path)
        os.rmdir(folder)
