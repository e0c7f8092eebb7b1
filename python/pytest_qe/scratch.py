"""A run's temporary folder. Its name says whose it is: what a process that was killed has
left is removed when the next one starts. JavaScript has the same (``js/scratch.js``)."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _namespace() -> str:
    """Which numbers of processes mean the same: containers may share a temporary folder."""
    try:
        found = re.search(r"\d+", os.readlink("/proc/self/ns/pid"))
    except OSError:
        found = None
    return found[0] if found else "0"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # another user's, or no number of a process
    return True


def _sweep(folder: str, form: re.Pattern[str]) -> None:
    """Removes what dead processes have left."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        whose = form.fullmatch(name)
        if whose and not _is_alive(int(whose[1])):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


@contextmanager
def scratch(program: str = "qe-files") -> Iterator[Path]:
    """A folder for this process alone, for ``reports`` of ``frameworks.command_for``.

    Args:
        program: its name begins with it.

    Raises:
        OSError: no folder can be made in the temporary folder.

    Example:
        >>> with scratch() as folder:
        ...     _ = (folder / "a").write_text("b")
        >>> folder.exists()
        False
    """
    above = tempfile.gettempdir()
    mine = f"{program}-{_namespace()}"
    _sweep(above, re.compile(rf"{re.escape(mine)}-(\d+)-[^-]+"))
    folder = tempfile.mkdtemp(prefix=f"{mine}-{os.getpid()}-", dir=above)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
