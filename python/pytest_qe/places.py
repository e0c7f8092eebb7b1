"""Where a project's ``.qe`` folder and its history are: one answer for all that asks."""

from __future__ import annotations

import tempfile
from pathlib import Path

FOLDER = ".qe"
HISTORY = "history.db"
MOST_RUNS = 200  # that a history keeps
_LEAST_RUNS = 10
_KEEP_ATTEMPTS = 1_000_000  # about 70 MB of history at the most
_IGNORE = "# Everything here is made by qe; nothing of it belongs in git.\n*\n"


def find_history(here: Path | None = None) -> Path | None:
    """The nearest history: in ``here`` (default: the current folder) or in a folder above;
    None where there is none."""
    start = Path.cwd() if here is None else here
    for folder in (start, *start.parents):
        path = folder / FOLDER / HISTORY
        if path.is_file():
            return path
    return None


def history_of_project(here: Path | None = None) -> Path:
    """Where the project's history is, or is to be made: as ``find_history``, otherwise in the
    nearest ``.qe`` folder, otherwise in one here. Nothing is made."""
    found = find_history(here)
    if found is not None:
        return found
    start = Path.cwd() if here is None else here
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir():
            return folder / FOLDER / HISTORY
    return start / FOLDER / HISTORY


def runs_kept(tests: int) -> int:
    """How many runs a history keeps, where each has so many tests."""
    return min(MOST_RUNS, max(_LEAST_RUNS, _KEEP_ATTEMPTS // max(1, tests)))


def make_folder(folder: Path) -> None:
    """Makes a ``.qe`` folder that git leaves alone; one that is there stays as it is."""
    folder.mkdir(exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text(_IGNORE)


def unwritable(path: Path) -> str | None:
    """Why a file cannot be written there, in a few words; None: it can. Makes its folder."""
    if path.is_dir():
        return "is a folder: takes the path of a file"
    if path.exists() and not path.is_file():
        return None  # a device or a pipe is written as it stands
    folder = path.resolve().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return f"cannot be written: {error.strerror or error}"
    return None
