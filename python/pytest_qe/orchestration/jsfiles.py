"""A project's JavaScript tests by category: by its package.json files and configurations."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from .. import testfiles
from .finding import Suite, category_of, paths_of, patterns_of

__all__ = ["add"]

_UNIT = ("jest", "vitest", "mocha", "node")
_ENDINGS = ("js", "cjs", "mjs", "ts", "cts", "mts")
_TEST_DIR = re.compile(r"""testDir\s*:\s*['"]([^'"\n]+)['"]""")
_NO_TESTS = re.compile(r"no test specified")
_MOST_PACKAGES = 20  # below the project's folder that get a category each


def add(folder: Path, files: Sequence[str], found: dict[str, list[Suite]]) -> None:
    """Adds what is found to ``found``.

    Args:
        folder: the project's.
        files: all of its files, by their paths in it.
        found: suites of categories.
    """
    there = set(files)
    manifests = [file for file in files if PurePosixPath(file).name == "package.json"]
    root: str | None = None
    own = False  # whether the project's package has a script for its tests
    languages = bool(found)
    scripts: dict[str, str] = {}
    left = {file for file in files if file.rsplit(".", 1)[-1].rstrip("x") in _ENDINGS}
    for manifest in manifests:
        frameworks, script = testfiles.packages(folder / manifest)
        at = str(PurePosixPath(manifest).parent)
        if at == ".":
            root = _unit_framework(frameworks, script)
            own = bool(script) and not _NO_TESTS.search(script)
            left -= _cypress(there, left, "cypress" in frameworks, found)
            left -= _playwright(folder, there, left, "playwright" in frameworks, root, found)
        elif frameworks or "--test" in script:
            scripts[at] = script
    for at in scripts:  # what is in a package of its own is run by that
        left = {file for file in left if PurePosixPath(at) not in PurePosixPath(file).parents}
    if root is not None:
        _rooted(files, left, root, languages, found)
    elif own and not found:
        found["unit"].append(Suite("", command=("npm", "test"), suffix="npm"))
    named = [at for at, script in scripts.items() if script and not _NO_TESTS.search(script)]
    for at in named[:_MOST_PACKAGES]:
        category = category_of(f"{at}/_") or ("frontend" if languages else "unit")
        name = re.sub(r"[^A-Za-z0-9]+", "_", at).strip("_")
        command = ("npm", "--prefix", at, "test")
        found[category].append(Suite("", command=command, suffix=name))


def _unit_framework(frameworks: list[str], script: str) -> str | None:
    """What runs the tests that are no end-to-end ones."""
    words = re.split(r"[\s/]+", script)
    named = [name for name in _UNIT if name in frameworks and name in words]
    if not named and "node" in words and "--test" in words:
        return "node"
    return next((name for name in [*named, *_UNIT] if name in frameworks), None)


def _rooted(
    files: Iterable[str], left: set[str], framework: str, languages: bool,
    found: dict[str, list[Suite]],
) -> None:  # fmt: skip
    every = [file for file in files if testfiles.matches(file, patterns_of(framework))]
    by: dict[str, set[str]] = defaultdict(set)
    for file in left & set(every):
        by[category_of(file) or ("frontend" if languages else "unit")].add(file)
    for category, mine in sorted(by.items()):
        paths = paths_of(category, mine, every, patterns_of(framework))
        found[category].append(Suite(framework, paths, suffix=framework))


def _config(there: set[str], name: str) -> str | None:
    names = (f"{name}.config.{ending}" for ending in _ENDINGS)
    return next((one for one in names if one in there), None)


def _cypress(
    there: set[str], files: set[str], named: bool, found: dict[str, list[Suite]]
) -> set[str]:
    every = {file for file in files if testfiles.matches(file, patterns_of("cypress"))}
    if (named or _config(there, "cypress")) and every:
        # Others are tests of components, which run in another way.
        e2e = {file for file in every if {"cypress", "e2e"} & set(PurePosixPath(file).parts)}
        paths = paths_of("cypress", e2e or every, every, patterns_of("cypress"))
        found["cypress"].append(Suite("cypress", paths, suffix="cypress"))
    return every


def _playwright(
    folder: Path, there: set[str], files: set[str], named: bool, unit: str | None,
    found: dict[str, list[Suite]],
) -> set[str]:  # fmt: skip
    config = _config(there, "playwright")
    if not named and config is None:
        return set()
    every = {file for file in files if testfiles.matches(file, patterns_of("playwright"))}
    at = _test_dir(folder / config) if config is not None else "."
    mine = {f for f in every if at == "." or PurePosixPath(at) in PurePosixPath(f).parents}
    if at == "." and unit is not None:  # whose files are called alike
        mine = {file for file in mine if category_of(file) in ("full_e2e", "e2e_critical")}
    by: dict[str, set[str]] = defaultdict(set)
    for file in mine:
        category = category_of(file)
        by[category if category in ("smoke", "e2e_critical", "performance") else "full_e2e"].add(
            file
        )
    for category, some in sorted(by.items()):
        paths = paths_of(category, some, every, patterns_of("playwright"))
        found[category].append(Suite("playwright", paths, suffix="playwright"))
    return mine


def _test_dir(config: Path) -> str:
    """Where a configuration, which is code, says that its tests are."""
    try:
        match = _TEST_DIR.search(config.read_text("utf-8", "replace"))
    except OSError:
        return "."
    path = PurePosixPath(match[1]) if match else PurePosixPath(".")
    return "." if path.is_absolute() or ".." in path.parts else str(path)
