"""What a project's pytest is configured to collect, and which markers its tests have."""

from __future__ import annotations

import ast
import configparser
import re
import shlex
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Settings", "marks_of_tests", "settings"]

_MOST_SOURCE = 2_000_000  # bytes of a file that is read for its markers


@dataclass(frozen=True)
class Settings:
    """Of pytest's configuration what says where tests are.

    Attributes:
        testpaths: folders and files; empty: everything.
        python_files: patterns of names.
    """

    testpaths: tuple[str, ...] = ()
    python_files: tuple[str, ...] = ("test_*.py", "*_test.py")


def settings(folder: Path) -> Settings:
    """From the first file that has a section for pytest, in pytest's order; what cannot be
    read says nothing."""
    for name, section in (
        ("pytest.toml", "pytest"), (".pytest.toml", "pytest"),
        ("pytest.ini", "pytest"), (".pytest.ini", "pytest"), ("pyproject.toml", "pytest"),
        ("tox.ini", "pytest"), ("setup.cfg", "tool:pytest"),
    ):  # fmt: skip
        path = folder / name
        if not path.is_file():
            continue
        found = _toml(path) if name.endswith(".toml") else _ini(path, section)
        if found is not None:
            default = Settings()
            return Settings(
                _words(found.get("testpaths")) or default.testpaths,
                _words(found.get("python_files")) or default.python_files,
            )
        if name.endswith("pytest.ini"):
            break  # it counts also where it says nothing
    return Settings()


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError:
            return ()
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _toml(path: Path) -> dict[str, Any] | None:
    try:
        data: Any = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if path.name == "pyproject.toml":
        data = _table(_table(data, "tool"), "pytest")
        data = {**data, **_table(data, "ini_options")}
    else:
        data = _table(data, "pytest")
    return data or None


def _table(data: Any, key: str) -> dict[str, Any]:
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _ini(path: Path, section: str) -> dict[str, Any] | None:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(path.read_text("utf-8"))
        return dict(parser.items(section)) if parser.has_section(section) else None
    except (OSError, ValueError, configparser.Error):
        return None


def marks_of_tests(path: Path) -> list[frozenset[str]]:
    """The markers of each test in a file, as far as they can be seen: its own, those of its
    class and of its module. Empty: it holds no tests.

    Args:
        path: a Python file. One that cannot be read or parsed counts as one test without
            markers: that it is broken, its run will tell.
    """
    try:
        with path.open("rb") as file:
            source = file.read(_MOST_SOURCE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return [frozenset()]
    return list(_tests(tree.body, frozenset()))


def _tests(body: list[ast.stmt], around: frozenset[str]) -> Iterator[frozenset[str]]:
    for node in body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(one, ast.Name) and one.id == "pytestmark" for one in targets):
            around |= _marks([node])
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test"):
                yield around | _marks(node.decorator_list)
        elif isinstance(node, ast.ClassDef):
            yield from _tests(node.body, around | _marks(node.decorator_list))
        elif isinstance(node, ast.If | ast.Try):
            yield from _tests(node.body, around)


def _marks(nodes: list[Any]) -> frozenset[str]:
    """The words behind ``pytest.mark.`` or ``mark.`` anywhere in these."""
    found = set()
    for node in nodes:
        for one in ast.walk(node):
            if isinstance(one, ast.Attribute) and re.fullmatch(
                r"(?:\w+\.)?mark", _dotted(one.value)
            ):
                found.add(one.attr)
    return frozenset(found)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"
