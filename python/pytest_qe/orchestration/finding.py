"""A project's tests by category: what ``qe layers init`` fills its layers with.

Folders and markers decide: ``tests/integration/`` and ``pytest.mark.integration`` are the
category integration, whatever tests are in it. What says nothing of itself is a unit test.
"""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .. import frameworks, testfiles
from . import pytestfiles

__all__ = ["Suite", "category_of", "find", "paths_of"]


@dataclass(frozen=True)
class Suite:
    """Tests that one category runs.

    Attributes:
        framework: of ``frameworks.json``; empty: ``command`` runs them.
        paths: files, folders and patterns from the project's folder on; all are there.
        markers: an expression of pytest's markers, or empty.
        args: words for the framework's program.
        command: words, where there is no framework.
        suffix: what the category's name gets where several suites are of one category.
    """

    framework: str
    paths: tuple[str, ...] = ()
    markers: str = ""
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    suffix: str = ""


#: Folders of what was built or belongs to others; testfiles.below knows more.
_WITHOUT = frozenset({
    "build", "_build", "dist", "site-packages", "bower_components", "third_party", "testdata",
})  # fmt: skip
#: Words of folders that say how tests run; those that stand for a category of their own.
_KINDS: Mapping[str, frozenset[str]] = {
    "smoke": frozenset({"smoke", "sanity"}),
    "unit": frozenset({"unit", "units"}),
    "performance": frozenset({"performance", "perf", "benchmark", "benchmarks", "bench", "load"}),
    "full_e2e": frozenset({"e2e", "end_to_end", "endtoend", "acceptance", "playwright"}),
    "integration": frozenset({"integration", "integrations", "functional"}),
}
#: Words that say what is tested: they count within a folder of tests.
_TOPICS: Mapping[str, frozenset[str]] = {
    "database": frozenset({"database", "databases", "db", "sql", "migrations"}),
    "websocket": frozenset({"websocket", "websockets", "ws"}),
    "api": frozenset({"api", "apis", "rest", "graphql", "endpoints"}),
    "agent_workflows": frozenset({"agent", "agents", "workflow", "workflows"}),
    "frontend": frozenset({"frontend", "front_end", "ui"}),
}
_TESTS = frozenset({"test", "tests", "__tests__", "spec", "specs", "testing"})
_CRITICAL = "critical"
_MOST_PATHS = 4  # of tests that markers choose
_E2E = frozenset({"full_e2e", "e2e_critical"})
#: Which one a test is of whose markers are of several.
_ORDER = (
    "smoke", "performance", "e2e_critical", "full_e2e", "database", "websocket", "api",
    "agent_workflows", "frontend", "integration", "unit",
)  # fmt: skip
#: Markers, and the categories that they stand for.
_MARKERS = {word: kind for kinds in (_KINDS, _TOPICS) for kind, of in kinds.items() for word in of}


def find(folder: Path) -> dict[str, list[Suite]]:
    """The suites of each category that has any.

    Args:
        folder: the project's. Nothing of it is executed.

    Raises:
        testfiles.TooMany: it holds more than 100,000 files.
    """
    files = sorted(
        name
        for name in testfiles.below(str(folder), _WITHOUT)
        # What no UTF-8 file could name, or no line.
        if name.isprintable()
    )
    found: dict[str, list[Suite]] = defaultdict(list)
    _python(folder, files, found)
    _go(folder, files, found)
    _cargo(folder, files, found)
    from . import jsfiles  # which uses what is here

    jsfiles.add(folder, files, found)
    return dict(found)


# ------------------------------------------------------------------ categories


def _words(name: str) -> set[str]:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    return {plain.strip("_"), *plain.split("_")}


def _is_one(words: set[str], kinds: Mapping[str, frozenset[str]]) -> str | None:
    return next((kind for kind, of in kinds.items() if words & of), None)


def category_of(path: str) -> str | None:
    """The category that the folders of a test file, or its name, tell; None: they do not.

    Example:
        >>> category_of("tests/unit/api/test_it.py"), category_of("tests/api/test_it.py")
        ('unit', 'api')
        >>> category_of("src/api/users.test.ts") is None
        True
    """
    pure = PurePosixPath(path)
    folders = [_words(name) for name in pure.parts[:-1]]
    stem = _words(pure.name.split(".")[0]) - {"test", "tests", "spec"}
    kind = next((one for words in folders if (one := _is_one(words, _KINDS))), None)
    tests = next((n for n, words in enumerate(folders) if words & _TESTS), len(folders))
    topics = (_is_one(words, _TOPICS) for words in folders[tests:])
    topic = next((one for one in topics if one), None)
    if kind is None and topic is None:
        kind = _is_one(stem, _KINDS)
    if kind == "integration":
        return topic or _is_one(stem, _TOPICS) or kind
    if kind == "full_e2e" and any(_CRITICAL in words for words in (*folders, stem)):
        return "e2e_critical"
    return kind or topic


def paths_of(
    category: str, mine: Iterable[str], every: Iterable[str], patterns: Sequence[str] = ()
) -> tuple[str, ...]:
    """The folders, patterns and files that stand for some test files and for no others.

    Args:
        category: theirs. Unit tests stand for the whole folder ``tests`` where nothing else is
            in it, others for no more than the folder that makes them what they are.
        mine: files.
        every: all files that a folder or a pattern would stand for.
        patterns: of names, such as ``test_*.py``.

    Example:
        >>> paths_of("unit", ["tests/unit/a.py", "tests/unit/b.py"], ["tests/unit/a.py",
        ...          "tests/unit/b.py", "tests/c.py"])
        ('tests/unit',)
    """
    wanted = set(mine)
    below: dict[str, set[str]] = defaultdict(set)  # of each folder all test files
    for file in {*wanted, *every}:
        for parent in PurePosixPath(file).parents:
            below[str(parent)].add(file)

    def cover(folder: str) -> list[str]:
        files = below[folder]
        if not files & wanted:
            return []
        direct = {file for file in files if str(PurePosixPath(file).parent) == folder}
        inside = sorted(name for name in below if _parent(name) == folder)
        if files <= wanted:
            named = category == "unit" and PurePosixPath(folder).name in _TESTS
            return cover(inside[0]) if not direct and len(inside) == 1 and not named else [folder]
        found = _together(folder, direct, patterns) if direct <= wanted else []
        return [*(found or sorted(direct & wanted)), *(p for one in inside for p in cover(one))]

    return tuple(cover("."))


def _parent(name: str) -> str | None:
    return None if name == "." else str(PurePosixPath(name).parent)


def _together(folder: str, files: set[str], patterns: Sequence[str]) -> list[str]:
    """A pattern for two or more files of a folder, if there is one."""
    if len(files) > 1 and not glob.has_magic(folder):
        for pattern in patterns:
            if "/" not in pattern and all(testfiles.matches(file, [pattern]) for file in files):
                return [str(PurePosixPath(folder, pattern))]
    return []


def patterns_of(framework: str) -> tuple[str, ...]:
    """The names of a framework's test files."""
    return frameworks.lookup(framework).files


# --------------------------------------------------------------------- Python


def _python(folder: Path, files: Sequence[str], found: dict[str, list[Suite]]) -> None:
    settings = pytestfiles.settings(folder)
    roots = [
        PurePosixPath(path).parts for one in settings.testpaths for path in _globbed(one, files)
    ]
    every = [
        file for file in files
        if file.endswith(".py") and testfiles.matches(file, settings.python_files)
    ]  # fmt: skip
    collected = [
        file for file in every
        if not roots or any(PurePosixPath(file).parts[: len(root)] == root for root in roots)
    ]  # fmt: skip
    whole: dict[str, set[str]] = defaultdict(set)
    marked: dict[str, set[str]] = defaultdict(set)  # files with some tests of a category
    words: dict[str, set[str]] = defaultdict(set)  # the markers that say so
    harmless: dict[str, set[str]] = defaultdict(set)  # files of which left_out leaves nothing
    left_out: dict[str, set[str]] = defaultdict(set)  # markers of other categories, by category
    empty: set[str] = set()
    for file in collected:
        own = category_of(file) or "unit"
        parts = [_by_marks(marks, own) for marks in pytestfiles.marks_of_tests(folder / file)]
        categories = {category for category, _, _ in parts}
        if not categories:  # it holds nothing that could run twice
            empty.add(file)
            continue
        (whole if own in categories else harmless)[own].add(file)
        for category, said, others in parts:
            if category == own:
                continue
            marked[category].add(file)
            words[category] |= said
            for other in {own, *others}:
                left_out[other] |= said
    every = [file for file in every if file not in empty]
    for category in sorted({*whole, *marked}):
        without = " and ".join(f"not {word}" for word in sorted(left_out[category]))
        if whole[category]:
            paths = paths_of(
                category, whole[category] | harmless[category], every, settings.python_files
            )
            found[category].append(Suite("pytest", paths, without))
        if marked[category]:
            paths = paths_of(category, marked[category], every)
            if len(paths) > _MOST_PATHS and not whole[category]:
                paths = (_common(marked[category]),)  # the markers choose
            either = " or ".join(sorted(words[category]))
            expression = f"({either}) and {without}" if without else either
            found[category].append(Suite("pytest", paths, expression, suffix="marked"))


def _common(files: Iterable[str]) -> str:
    """The folder that holds all of these."""
    parents = [PurePosixPath(file).parent.parts for file in files]
    least, most = min(parents), max(parents)
    count = next((n for n, part in enumerate(least) if most[n : n + 1] != (part,)), len(least))
    return str(PurePosixPath(*least[:count]))


def _globbed(path: str, files: Sequence[str]) -> list[str]:
    """The folders that a word of testpaths stands for."""
    if not glob.has_magic(path):
        return [str(PurePosixPath(path))]
    parents = {str(parent) for file in files for parent in PurePosixPath(file).parents}
    return sorted(name for name in parents if testfiles.matches(name, [path]))


def _by_marks(marks: frozenset[str], own: str) -> tuple[str, set[str], set[str]]:
    """The category of a test, the markers that say so, and what else markers say.

    Args:
        own: what its file says, which holds where no marker says anything else.
    """
    meant: dict[str, set[str]] = defaultdict(set)
    for mark in marks:
        if mark == _CRITICAL and (own in _E2E or marks & _KINDS["full_e2e"]):
            meant["e2e_critical"].add(mark)
        elif mark in _MARKERS:
            meant[_MARKERS[mark]].add(mark)
    meant.pop(own, None)
    if not meant or (own == "e2e_critical" and set(meant) <= _E2E):
        return own, set(), set()
    category = min(meant, key=_ORDER.index)
    return category, meant[category], set(meant) - {category}


# ------------------------------------------------------------------ Go and Rust


def _go(folder: Path, files: Sequence[str], found: dict[str, list[Suite]]) -> None:
    modules = [file for file in files if PurePosixPath(file).name == "go.mod"]
    if not modules:
        return
    by: dict[str, set[str]] = defaultdict(set)
    for file in files:
        if file.endswith("_test.go"):  # a package is tested as a whole
            parent = PurePosixPath(file).parent
            by[category_of(str(parent / "_test.go")) or "unit"].add(str(parent))
    # "go test . ./..." fails where the folder itself is no package.
    package = any(file.endswith(".go") and "/" not in file for file in files)
    if set(by) == {"unit"} and modules == ["go.mod"] and package:
        found["unit"].append(Suite("go", (".",), args=("./...",), suffix="go"))
        return
    for category, folders in by.items():
        found[category].append(Suite("go", tuple(sorted(folders)), suffix="go"))


def _cargo(folder: Path, files: Sequence[str], found: dict[str, list[Suite]]) -> None:
    by: dict[str, list[str]] = defaultdict(list)
    for manifest in (f for f in files if PurePosixPath(f).name == "Cargo.toml"):
        crate = PurePosixPath(manifest).parent
        sources = [
            f for f in files if f.endswith(".rs") and crate / "src" in PurePosixPath(f).parents
        ]
        if str(crate / "src/lib.rs") in sources and any(_tested(folder / f) for f in sources):
            by["unit"].append(str(crate))
        for file in files:
            if PurePosixPath(file).parent == crate / "tests" and file.endswith(".rs"):
                by[category_of(file) or "integration"].append(file)
    for category, paths in by.items():
        args = ("--lib",) if category == "unit" else ()
        found[category].append(Suite("cargo", tuple(paths), args=args, suffix="cargo"))


def _tested(path: Path) -> bool:
    try:
        return re.search(rb"#\[(?:\w+::)?test\b", path.read_bytes()) is not None
    except OSError:
        return False
