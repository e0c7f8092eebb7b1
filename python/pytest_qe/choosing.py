"""Which files are meant, and by which framework they are run."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Sequence
from pathlib import Path

from . import frameworks, testfiles
from .frameworks import FrameworkError

_SCRIPTS = (".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".jsx", ".tsx")


def chosen(
    given: Sequence[str], framework: str | None, cwd: str | None, template: Sequence[str] | None
) -> tuple[list[str], str, str]:
    """The files, relative to ``cwd`` as they were given, the framework, and why that one.

    A name that has ``*``, ``?`` or ``[`` and is no file is a pattern (``**``: folders); a
    folder stands for the framework's usual test files in it and below.

    Raises:
        FrameworkError: nothing matches; the framework is not to be told, or there are several.
        TooMany: a folder holds too many files.
    """
    folder = os.path.abspath(cwd or ".")
    if not os.path.isdir(folder):
        raise FrameworkError(f"there is no folder {folder}")
    if framework is None and template is not None:
        framework = "command"
    if framework is not None:
        framework = frameworks.lookup(framework).name
    found: dict[str, str] = {}  # by where it is: nothing runs twice
    for name in given:
        if not name:  # such as a shell's variable that is not set
            raise FrameworkError("FILES: takes the path of a file, not ''")
        _check_no_id(name, folder)
        for path in matching(name, folder):
            for file in _in(path, folder, framework):
                found.setdefault(os.path.normpath(os.path.join(folder, file)), file)
    files = list(found.values())
    if framework is not None:
        return files, framework, "as given"
    return files, *_detected(files, folder)


def _check_no_id(name: str, folder: str) -> None:
    file, colons, _ = name.partition("::")
    if colons and os.path.isfile(os.path.join(folder, file)) and not os.path.lexists(
        os.path.join(folder, name)
    ):  # fmt: skip
        raise FrameworkError(
            f"FILES: takes files, not one test: {file}, and -- -k EXPRESSION for some of it"
        )


def matching(name: str, folder: str) -> list[str]:
    """A path that is there, or that is no pattern; otherwise what matches it in a folder.

    Raises:
        FrameworkError: nothing does.
    """
    if os.path.lexists(os.path.join(folder, name)) or not glob.has_magic(name):
        return [name]
    found = sorted(glob.glob(name, root_dir=folder, recursive=True))
    if not found:
        raise FrameworkError(f"no file matches {name!r} in {folder}")
    return found


def _in(name: str, folder: str, framework: str | None) -> list[str]:
    """A file as it is; of a folder the test files."""
    path = os.path.join(folder, name)
    if not os.path.isdir(path):
        return [name]
    if framework is None and os.path.isfile(os.path.join(path, "CTestTestfile.cmake")):
        return [name]
    if framework is not None and "folder" in frameworks.lookup(framework).target:
        return [name]
    patterns = frameworks.lookup(framework).files if framework is not None else _any_patterns()
    files = [
        os.path.normpath(os.path.join(name, file))
        for file in sorted(testfiles.below(path))
        if testfiles.matches(file, patterns)
    ]
    if not files:
        what = f"of {framework}: {', '.join(patterns)}" if framework is not None else "known"
        raise FrameworkError(f"no test file {what} is in {path}")
    return files


def _any_patterns() -> list[str]:
    return sorted({p for name in frameworks.names() for p in frameworks.lookup(name).files})


# --------------------------------------------------------------- frameworks


def _detected(files: Sequence[str], folder: str) -> tuple[str, str]:
    by: dict[str, list[str]] = {}
    why = ""
    for file in files:
        name, why = _framework_of(file, folder)
        by.setdefault(name, []).append(file)
    if len(by) > 1:
        parts = [f"{len(of)} of {name} ({of[0]} …)" for name, of in sorted(by.items())]
        raise FrameworkError(
            f"these are files of several frameworks: {', '.join(parts)}; run each alone"
        )
    return next(iter(by)), why


def _framework_of(file: str, folder: str) -> tuple[str, str]:
    path = Path(folder, file)
    name = path.name
    if path.is_dir() and (path / "CTestTestfile.cmake").is_file():
        return "ctest", "by CTestTestfile.cmake"
    for framework, pattern in (
        ("pytest", "*.py"), ("go", "*_test.go"), ("cargo", "*.rs"), ("cypress", "*.cy.*"),
    ):  # fmt: skip
        if fnmatch.fnmatchcase(name, pattern):
            return framework, f"by {pattern}"
    if name.endswith(_SCRIPTS):
        return _by_package(path)
    known = ", ".join(frameworks.names())
    raise FrameworkError(f"cannot tell the framework of {file}: --framework takes one of {known}")


def _by_package(path: Path) -> tuple[str, str]:
    """By the nearest package.json that has one of them."""
    for folder in path.parents:
        if (folder / "package.json").is_file():
            found, script = testfiles.packages(folder / "package.json")
            named = [name for name in found if name in script.replace("/", " ").split()]
            if "node" in script and "--test" in script and not named:
                return "node", f"by the script test of {folder / 'package.json'}"
            found = named or found
            if len(found) > 1:
                raise FrameworkError(
                    f"{folder / 'package.json'} has {' and '.join(found)}: --framework says which"
                )
            if found:
                return found[0], f"by {folder / 'package.json'}"
        if (folder / ".git").exists():
            break
    return "node", "as no package.json has another"
