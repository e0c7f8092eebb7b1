"""What a category executes: its framework's command, or its own."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from .. import frameworks
from ..agents.warm import interpreter_of
from ..choosing import chosen, matching
from ..frameworks import Command, FrameworkError, MissingTool

_PROBE_S = 30.0


def words_of(given: str | Sequence[str]) -> list[str]:
    """Words of a command, given as a list or as a line, which no shell ever sees."""
    return shlex.split(given) if isinstance(given, str) else list(given)


def program(word: str, folder: str, environ: Mapping[str, str]) -> str:
    """The path of a program: one with a slash below the folder, otherwise one in PATH.

    Raises: ``MissingTool``.
    """
    if os.sep in word:
        path: str | None = os.path.join(folder, word)
        if not (os.path.isfile(path or "") and os.access(path or "", os.X_OK)):
            path = None
    else:
        path = shutil.which(word, path=environ.get("PATH", os.defpath))
    if path is None:
        where = f"in {folder}" if os.sep in word else "in PATH"
        raise MissingTool(f"the program {word} is not found {where}")
    return path


@functools.lru_cache(maxsize=64)
def has_plugin(tool: str) -> bool:
    """Whether the pytest of that path knows ``--qe-parallel``."""
    python = interpreter_of(tool)
    if python is None:
        return False
    try:
        done = subprocess.run(
            [python, "-c", "import pytest_qe.plugin"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def commands_of(
    category: Mapping[str, Any],
    *,
    folder: str,
    reports: str | os.PathLike[str],
    environment: Mapping[str, str],
) -> list[Command]:
    """The commands of a category: one, or one for each file where the framework takes one.

    Args:
        category: as the configuration has it.
        folder: the project's.
        reports: a folder for files with results.
        environment: changes of the environment, those of the category over them.

    Raises:
        FrameworkError: one line that says what is wrong: a tool or a path that there is not.
    """
    changes: dict[str, str | None] = {**environment, **category.get("environment", {})}
    if "command" in category:
        return [_own(category, folder, reports, changes)]
    name = category.get("framework")
    if name is None:
        raise FrameworkError("has neither a command nor a framework")
    entry = frameworks.lookup(name)
    paths = [os.fspath(path) for path in category.get("paths", ["."])]
    if not paths:
        raise FrameworkError(f"names no paths for {entry.name}")
    args = words_of(category.get("args", ()))
    markers = category.get("markers")
    if markers is not None and entry.name != "pytest":
        raise FrameworkError(f"markers: are pytest's, and this is {entry.name}: use args")
    if entry.together:
        paths = [one for path in paths for one in matching(path, folder)]
        return [_together(entry, paths, args, markers, category, folder, reports, changes)]
    return [
        frameworks.command_for(
            entry.name, file, args=args, cwd=folder, env=changes, reports=reports, run=0
        )
        for file in chosen(paths, entry.name, folder, None)[0]
    ]


def _own(
    category: Mapping[str, Any],
    folder: str,
    reports: str | os.PathLike[str],
    changes: Mapping[str, str | None],
) -> Command:
    words = words_of(category["command"])
    if not words:
        raise FrameworkError("command: has no program")
    environ = frameworks.changed_environ(changes)
    report = None
    if any("{report}" in word for word in words):
        report = os.path.join(os.path.abspath(reports), f"{frameworks.number()}.report")
        words = [word.replace("{report}", report) for word in words]
    return Command(
        framework="command",
        file=str(category.get("name", words[0])),
        argv=(program(words[0], folder, environ), *words[1:]),
        cwd=folder,
        env=dict(changes),
        report=report,
        kind="junit" if report is not None else "tap",
    )


def _together(
    entry: frameworks.Framework,
    paths: Sequence[str],
    args: Sequence[str],
    markers: str | None,
    category: Mapping[str, Any],
    folder: str,
    reports: str | os.PathLike[str],
    changes: Mapping[str, str | None],
) -> Command:
    words = [*args]
    if markers is not None:
        words = ["-m", markers, *words]
    own = ("-n", "--pdb", "no:qe", "-pno:qe")
    if not any(word.startswith("--qe-") or word in own for word in words):
        tool = frameworks.find_tool(entry, folder, frameworks.changed_environ(changes))
        if tool is not None and has_plugin(tool):
            cpu = category.get("resources", {}).get("cpu")
            workers = f"--qe-parallel={max(1, int(cpu))}" if cpu is not None else "--qe-parallel"
            words = ["-p", "qe", workers, *words]  # also where autoload is off
    return frameworks.command_for(
        entry.name, paths[0], args=words, cwd=folder, env=changes, reports=reports,
        beside=paths[1:],
    )  # fmt: skip
