"""Names that one run at a time may have, among all runs of a project on this machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path


class Locks:
    """Locks of files in a folder: the kernel lets go of them with the process that has them.

    Args:
        folder: where their files are; it is made when the first name is taken.

    Example::

        locks = Locks(Path(".qe/locks"))
        if locks.take("unit", ["database"]):
            ...
            locks.give("unit")
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: dict[str, list[int]] = {}

    def take(self, owner: str, names: Sequence[str]) -> bool:
        """All of the names, or none of them, without waiting.

        Raises: ``OSError`` where their files cannot be made.
        """
        fds: list[int] = []
        try:
            for name in sorted(set(names)):
                fd = self._open(name)
                fds.append(fd)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _close(fds)
            return False
        except BaseException:
            _close(fds)
            raise
        self._taken[owner] = fds
        return True

    def give(self, owner: str) -> None:
        """What an owner has; nothing where it has nothing."""
        _close(self._taken.pop(owner, []))

    def close(self) -> None:
        for owner in list(self._taken):
            self.give(owner)

    def _open(self, name: str) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Two names that look alike are told apart by what follows.
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:40]
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        path = self._folder / f"{plain}-{digest}.lock"
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        # Processes that were forked meanwhile have the file open, too.
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)
