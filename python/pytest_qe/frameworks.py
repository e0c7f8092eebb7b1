"""How a test file is run by its framework's own command.

``frameworks.json`` is the table; JavaScript reads the same one. Everything is looked at
before anything starts: an unknown framework, a missing tool or a missing file is one line.
"""

from __future__ import annotations

import difflib
import itertools
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from . import targets
from .targets import FrameworkError, MissingFile

__all__ = [
    "Command", "Framework", "FrameworkError", "MissingFile", "MissingTool",
    "UnknownFramework", "command_for", "find_tool", "lookup", "names",
]  # fmt: skip

_HERE = Path(__file__).resolve().parent
_HOLE = re.compile(r"\{(\w+)\}")
_numbers = itertools.count(1)


class UnknownFramework(FrameworkError):
    """There is no framework of that name."""


class MissingTool(FrameworkError):
    """The framework's program is not to be found."""


@dataclass(frozen=True)
class Framework:
    """An entry of the table; ``frameworks.json`` says what each word means."""

    name: str
    aliases: tuple[str, ...]
    tools: tuple[str, ...]
    places: tuple[str, ...]
    start: tuple[str, ...]
    options: tuple[Mapping[str, Any], ...]
    target: Mapping[str, Sequence[str]]
    locate: str | None
    cwd: str | None
    env: Mapping[str, str | None]
    results: str
    install: str
    files: tuple[str, ...]
    together: bool = False

    @property
    def python(self) -> bool:
        """Whether its tool belongs to an interpreter."""
        return "python" in self.places


@dataclass(frozen=True)
class Command:
    """A command that runs one test file.

    Attributes:
        framework: its name in the table.
        file: as it was given.
        argv: the tool's path and its words.
        cwd: the folder that it runs in.
        env: changes of the environment; None takes a variable away.
        report: where it writes its results; None if it writes none.
        kind: how ``counts.read`` reads them; "none": it cannot.
    """

    framework: str
    file: str
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str | None] = field(default_factory=dict)
    report: str | None = None
    kind: str = "none"


@cache
def _table() -> tuple[dict[str, Framework], dict[str, tuple[str, ...]]]:
    data = json.loads((_HERE / "frameworks.json").read_text("utf-8"))
    places = {name: tuple(folders) for name, folders in data["places"].items()}
    found = {}
    for name, entry in data["frameworks"].items():
        lists = {
            key: tuple(entry.get(key, ()))
            for key in ("aliases", "tools", "places", "start", "options", "files")
        }
        found[name] = Framework(
            name=name, target=entry["target"], locate=entry.get("locate"), cwd=entry.get("cwd"),
            env=entry.get("env", {}), results=entry["results"], install=entry["install"],
            together=entry.get("together", False), **lists,
        )  # fmt: skip
    return found, places


def names() -> list[str]:
    """The names of all frameworks."""
    return list(_table()[0])


def lookup(name: str) -> Framework:
    """The framework of a name or an alias.

    Raises:
        UnknownFramework: with the nearest name, if one is near.

    Example:
        >>> lookup("node:test").name
        'node'
    """
    found = _table()[0]
    known = {alias: one for one in found.values() for alias in (one.name, *one.aliases)}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(str(name).lower(), known, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UnknownFramework(f"unknown framework {name!r}: {hint}there are {', '.join(found)}")


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _searched(framework: Framework, folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """The folders that may hold a tool, the project's own first."""
    places = _table()[1]
    active = environ.get("VIRTUAL_ENV", "")
    for above in (folder, *folder.parents):
        if framework.python and active and Path(active).parent == above:
            yield os.path.join(active, "bin")
        for name in framework.places:
            yield from (os.path.join(above, place) for place in places[name])
    if framework.python and framework.tools and sys.executable:
        yield os.path.dirname(sys.executable)
    for place in environ.get("PATH", os.defpath).split(os.pathsep):
        if place:
            yield os.path.join(folder, place)


def find_tool(
    framework: Framework, folder: str | Path, environ: Mapping[str, str], tool: str | None = None
) -> str | None:
    """The path of a framework's program: the project's own first, then one in PATH.

    Args:
        framework: an entry of the table.
        folder: the project's; those above it are searched, too.
        environ: has PATH, and VIRTUAL_ENV, which counts if it lies in one of these folders.
        tool: the program's name, where the table has none (``command``).

    Returns:
        None if there is none.

    Example:
        >>> find_tool(lookup("go"), ".", {"PATH": "/nonexistent"}) is None
        True
    """
    folder = Path(os.path.abspath(folder))
    tools = framework.tools or ((tool,) if tool else ())
    for place in _searched(framework, folder, environ):
        for name in tools:
            path = os.path.join(place, name)
            if _is_program(path):
                return path
    return None


def _is_named(word: str, args: Sequence[str]) -> bool:
    return any(arg == word or arg.startswith(f"{word}=") for arg in args)


def changed_environ(changes: Mapping[str, str | None]) -> dict[str, str]:
    """The environment of this process with changes; None takes a variable away."""
    return {k: v for k, v in {**os.environ, **changes}.items() if v is not None}


def number() -> int:
    """One that no other report of this process has."""
    return next(_numbers)


def _words(what: str, given: object) -> list[str]:
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise FrameworkError(f"{what}: takes a list of words, not {given!r}")
    for word in given:
        if not isinstance(word, str) or "\0" in word:
            raise FrameworkError(f"{what}: takes words, not {word!r}")
    return list(given)


def _template(given: object) -> list[str]:
    """The words of a template."""
    words = _words("template", given)
    if not words or not words[0]:
        raise FrameworkError("template: has no program")
    if not any(re.search(r"\{(file|dir|name|stem)\}", word) for word in words):
        raise FrameworkError("template: names no file: put {file} where it belongs")
    return words


def _tool(framework: Framework, word: str | None, folder: str, environ: Mapping[str, str]) -> str:
    if word is not None and os.sep in word:
        path: str | None = os.path.join(folder, word)
        if not _is_program(path or ""):
            path = None
    else:
        path = find_tool(framework, folder, environ, word)
    if path is None:
        what = word or framework.name
        raise MissingTool(
            f"{what} is not found, neither in {folder} and above nor in PATH: {framework.install}"
        )
    return path


def command_for(
    framework: str,
    file: str | os.PathLike[str],
    *,
    args: Sequence[str] = (),
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str | None] | None = None,
    template: Sequence[str] | None = None,
    reports: str | os.PathLike[str] | None = None,
    run: int = 0,
    beside: Sequence[str | os.PathLike[str]] | None = None,
) -> Command:
    """The command that runs a test file. All is looked at; nothing is started or written.

    Args:
        framework: a name or an alias of the table.
        file: the test file, or a folder where the framework takes one; relative to ``cwd``.
        args: words for the tool, between ours and the file; what follows ``--`` comes last.
        cwd: the project's folder; None: the current one.
        env: changes of the environment; None takes a variable away.
        template: for ``command`` alone: its words, with ``{file}``, ``{dir}``, ``{name}``,
            ``{stem}``, and ``{report}`` if it writes JUnit XML there.
        reports: a folder for the file with the results, whose name is a new one each time;
            None: no results are read, and nothing is added for them.
        run: which run of the file this is, from 0: those that run at one time differ.
        beside: files and folders that the same command is to run, too; where it is given,
            ``file`` may be a folder. Only for a framework that takes them ``together``, such
            as pytest.

    Raises:
        UnknownFramework, MissingTool, MissingFile, FrameworkError: one line that says what
            is wrong, and what would be right.

    Example:
        >>> command_for("command", __file__, template=["cat", "{file}"]).argv[0][-4:]
        '/cat'
    """
    entry = lookup(framework)
    folder = os.path.abspath(os.getcwd() if cwd is None else os.fspath(cwd))
    given = os.fspath(file)
    own = _words("args", args)
    changes = dict(env or {})
    environ = changed_environ(changes)
    words: list[str] | None = None
    if entry.name == "command":
        words = _template(template)
    elif template is not None:
        raise FrameworkError(f"template: goes with the framework command, not with {entry.name}")
    if not os.path.isdir(folder):
        raise MissingFile(f"there is no folder {folder}")
    if not given or "\0" in given:
        raise MissingFile(f"takes the path of a file, not {given!r}")
    if beside and not entry.together:
        raise FrameworkError(f"{entry.name} takes one file for a command, not {1 + len(beside)}")
    forms = entry.target
    if beside is not None and entry.together:
        forms = {"folder": entry.target["file"], **entry.target}
    found = targets.locate(entry.name, entry.locate, forms, given, folder)
    others = [
        targets.locate(entry.name, entry.locate, forms, os.fspath(other), folder).path
        for other in beside or ()
    ]
    tool = _tool(entry, words[0] if words else None, folder, environ)

    report = None
    if reports is not None:
        report = os.path.join(os.path.abspath(os.fspath(reports)), f"{number()}.report")
    holes = {**found.holes, "report": report or os.devnull, "reporters": str(_HERE / "reporters")}
    holes["slug"] = targets.slug(found.path, folder) + (f"-{run}" if run else "")

    def fill(word: str) -> str:
        return _HOLE.sub(lambda hole: holes.get(hole[1], hole[0]), word)

    before, after = own, []
    if "--" in own:
        before, after = own[: own.index("--")], own[own.index("--") :]
    options: list[str] = []
    changed = dict(entry.env)
    kind = "none" if report is None else entry.results
    if words is not None:
        options = words[1:]
        if report is not None and any("{report}" in word for word in words):
            kind = "junit"
    for group in entry.options:
        left_out = any(_is_named(word, before) for word in group.get("unless", ()))
        if group.get("for") is not None and report is None:
            left_out = True
        if left_out:
            kind = "none" if group.get("for") == "results" else kind
        elif group.get("only", found.shape) == found.shape:
            options += group["args"]
            changed |= {name: fill(value) for name, value in group.get("env", {}).items()}
    middle = [*entry.start, *options]
    return Command(
        framework=entry.name,
        file=given,
        argv=(tool, *map(fill, middle), *before, *map(fill, forms[found.shape]), *others, *after),
        cwd=fill(entry.cwd) if entry.cwd else folder,
        env={**changed, **changes},
        report=report if kind in _IN_FILES else None,
        kind=kind,
    )


_IN_FILES = frozenset({"pytest", "playwright", "junit", "ctest", "jest", "list"})
