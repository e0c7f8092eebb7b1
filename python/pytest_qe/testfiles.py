"""Which files of a folder are tests, and whose."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["TooMany", "below", "matches", "packages"]

_NOT_OURS = frozenset({"node_modules", "__pycache__", "target", "vendor"})
_MOST = 100_000  # files; more are a mistake
#: Packages that a project's package.json may name, and the frameworks that they are.
_PACKAGES = {
    "jest": "jest",
    "vitest": "vitest",
    "mocha": "mocha",
    "@playwright/test": "playwright",
    "cypress": "cypress",
}


class TooMany(ValueError):
    """A folder holds more files than tests could be among; the text is one line."""


def below(path: str, without: Collection[str] = ()) -> Iterator[str]:
    """All files of a folder and below, by their paths in it, but for those of tools,
    environments and hidden folders.

    Args:
        without: names of more folders that are left out.

    Raises:
        TooMany: there are more than 100,000.
    """
    count = 0
    for here, folders, names in os.walk(path):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _NOT_OURS
            and name not in without
            and not os.path.exists(os.path.join(here, name, "pyvenv.cfg"))
        ]
        for name in names:
            count += 1
            if count > _MOST:
                raise TooMany(f"{path} holds more than {_MOST} files: name a smaller folder")
            file = os.path.join(here, name)
            if os.path.isfile(file):  # no link to what is not there, no socket
                yield os.path.relpath(file, path)


def matches(file: str, patterns: Sequence[str]) -> bool:
    """Whether the end of a path matches; a pattern with a ``/`` names the folder, too.

    Example:
        >>> matches("src/test/one.js", ["test/*.js"]), matches("src/one.js", ["test/*.js"])
        (True, False)
    """
    return any(fnmatch.fnmatchcase(f"/{file}", f"*/{pattern}") for pattern in patterns)


def packages(path: Path) -> tuple[list[str], str]:
    """The frameworks that a package.json has, and its script ``test``; none of a file that
    cannot be read."""
    try:
        data: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return [], ""
    parts = [data.get(key) for key in ("dependencies", "devDependencies", "scripts")] if isinstance(
        data, dict
    ) else []  # fmt: skip
    named, more, scripts = ([p if isinstance(p, dict) else {} for p in parts] + [{}, {}, {}])[:3]
    found = [name for package, name in _PACKAGES.items() if package in named or package in more]
    script = scripts.get("test")
    return found, script if isinstance(script, str) else ""
