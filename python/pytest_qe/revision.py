"""What code is tested: git's HEAD, read from its files, without running git."""

from __future__ import annotations

import re
from pathlib import Path

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MAX_BYTES = 10_000_000  # of packed-refs, in a repository with many tags


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES).decode("utf-8", "replace")


def _folders(root: Path) -> tuple[Path, Path] | None:
    """The folder of this work tree's HEAD, and that of the branches."""
    for folder in (root, *root.parents):
        git = folder / ".git"
        if git.is_file():  # a work tree beside the repository, or a submodule
            text = _read(git).strip()
            if not text.startswith("gitdir: "):
                return None
            git = folder / text.removeprefix("gitdir: ")
        if (git / "HEAD").is_file():
            common = git / "commondir"
            return git, git / _read(common).strip() if common.is_file() else git
    return None


def _sha_of(common: Path, ref: str) -> str | None:
    loose = common / ref
    if loose.is_file():
        found = _SHA.fullmatch(_read(loose).strip())
        return found[0] if found else None
    packed = common / "packed-refs"
    if packed.is_file():
        for line in _read(packed).splitlines():
            sha, _, name = line.partition(" ")
            if name == ref and _SHA.fullmatch(sha):
                return sha
    return None


def head(root: Path) -> tuple[str | None, str | None]:
    """The commit and the branch that are checked out where ``root`` lies; None where
    there is none, or where that takes more than reading files."""
    try:
        folders = _folders(root)
        if folders is None:
            return None, None
        git, common = folders
        text = _read(git / "HEAD").strip()
        if not text.startswith("ref: "):
            return (text, None) if _SHA.fullmatch(text) else (None, None)
        ref = text.removeprefix("ref: ")
        # A repository of reftables keeps its branches elsewhere, and says so here.
        if ref == "refs/heads/.invalid":
            return None, None
        if not ref.startswith("refs/heads/") or ".." in ref or not ref.isprintable():
            return None, None
        return _sha_of(common, ref), ref.removeprefix("refs/heads/")
    except OSError:
        return None, None


_SECTION = re.compile(r'\[\s*(\w+)\s*(?:"(.*)")?\s*\]')


def remote(root: Path) -> str | None:
    """The address of the remote ``origin`` of the repository in which ``root`` lies; None where
    there is none."""
    try:
        folders = _folders(root)
        text = _read(folders[1] / "config") if folders is not None else ""
    except OSError:
        return None
    inside = False
    for line in text.splitlines():
        line = line.strip()
        section = _SECTION.match(line)
        if section is not None:
            inside = section[1].lower() == "remote" and section[2] == "origin"
        name, equals, value = line.partition("=")
        if inside and equals and name.strip().lower() == "url":
            return value.strip().strip('"')
    return None
