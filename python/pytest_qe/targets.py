"""What is known by looking at a test file: what of it a framework's command is given."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Functions that `go test` runs, one a line: gofmt has no other layout.
_GO_TEST = re.compile(r"^func\s+((?:Test|Example|Fuzz)\w*)\s*\(", re.MULTILINE)
_MOST_SOURCE = 16_000_000  # bytes of a file that is read for them


class FrameworkError(ValueError):
    """A file cannot be run; the text is one line."""


class MissingFile(FrameworkError):
    """A file is not there, or is none that the framework takes."""


@dataclass(frozen=True)
class Target:
    """What a command is to run."""

    path: str
    shape: str  # "file" or "folder"
    holes: Mapping[str, str]  # what stands for {file} and the like


def slug(path: str, folder: str) -> str:
    """A path as one name: below ``folder``, as far as it can be.

    Example:
        >>> slug("/p/e2e/a b.spec.ts", "/p")
        'e2e-a-b-spec-ts'
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", os.path.relpath(path, folder)).strip("-")


def _escaped(path: str) -> str:
    """As a regular expression of JavaScript's."""
    return re.sub(r"[\\^$.*+?()[\]{}|/]", r"\\\g<0>", path)


def _above(path: Path, name: str) -> Path | None:
    """The nearest folder, this one or one above, that holds a file of that name."""
    return next((f for f in (path, *path.parents) if (f / name).is_file()), None)


def _go(path: Path) -> dict[str, str]:
    if path.is_dir():
        return {"root": str(path)}
    if not path.name.endswith("_test.go"):
        raise MissingFile(f"go takes NAME_test.go or the folder of a package, not {path}")
    try:
        with path.open("rb") as file:
            source = file.read(_MOST_SOURCE).decode("utf-8", "replace")
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}") from None
    tests = dict.fromkeys(_GO_TEST.findall(source))
    return {"root": str(path.parent), "tests": "|".join(tests)}


def _cargo(path: Path) -> dict[str, str]:
    root = _above(path if path.is_dir() else path.parent, "Cargo.toml")
    if root is None:
        raise MissingFile(f"cargo takes a file of a package: no Cargo.toml lies above {path}")
    if path == root:
        return {"root": str(root)}
    parts = path.relative_to(root).parts
    if parts[0] == "tests" and path.suffix == ".rs":
        if len(parts) == 2:
            return {"root": str(root), "target": path.stem}
        if len(parts) == 3 and parts[2] == "main.rs":
            return {"root": str(root), "target": parts[1]}
    raise MissingFile(
        f"cargo takes tests/NAME.rs or the folder of a package, which runs all of it: "
        f"{root}, not {path}"
    )


def _ctest(path: Path) -> dict[str, str]:
    if not (path / "CTestTestfile.cmake").is_file():
        raise MissingFile(f"ctest takes a build folder, with CTestTestfile.cmake, not {path}")
    return {"root": str(path)}


def _below(path: Path, folder: str) -> dict[str, str]:
    if not path.is_relative_to(folder):
        raise MissingFile(f"unittest takes files below its folder, {folder}, not {path}")
    return {}


def locate(
    name: str,
    how: str | None,
    forms: Mapping[str, Sequence[str]],
    given: str,
    folder: str,
) -> Target:
    """What a framework is to run of what was given.

    Raises:
        MissingFile: it is not there, or nothing that the framework takes.
    """
    path = Path(os.path.normpath(os.path.join(folder, given)))
    if how == "ctest" and path.name == "CTestTestfile.cmake" and path.is_file():
        path = path.parent
    if how == "cargo" and path.name == "Cargo.toml" and path.is_file():
        path = path.parent
    shape = "folder" if path.is_dir() else "file"
    if shape == "file" and not path.is_file():
        either = "file or folder" if "folder" in forms else "file"
        raise MissingFile(f"there is no {either} {path}")
    if shape not in forms and how != "ctest":
        raise MissingFile(f"{name} takes a file, and {path} is a folder")
    more: dict[str, str] = {}
    if how == "go":
        more = _go(path)
    elif how == "cargo":
        more = _cargo(path)
    elif how == "ctest":
        more = _ctest(path)
    elif how == "below":
        more = _below(path, folder)
    holes = {
        "file": str(path), "dir": str(path.parent), "name": path.name, "stem": path.stem,
        "pattern": _escaped(str(path)), **more,
    }  # fmt: skip
    return Target(str(path), shape, holes)
