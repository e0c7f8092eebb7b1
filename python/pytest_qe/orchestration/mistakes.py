"""Mistakes in a configuration: a line each, with where it is and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..cli.safe import shown

__all__ = ["ConfigError", "Mistake", "nearest", "short", "unknown_name"]

_WIDTH = 60  # of a value that a mistake repeats
_LONGEST = 400  # of a part of a line
_LISTED = 12  # of names that are listed where none is near


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake; as text it is one line.

    Attributes:
        file: the file, as it was named.
        line: of the key or the item, from 1; 0: of no line.
        path: such as ``layers.unit.categories[0].retries``; empty: of the whole file.
        message: what is wrong.
        hint: what would be right, such as ``did you mean 'retries'?``, or empty.

    Example:
        >>> print(Mistake("t.yaml", 3, "layers", "takes layers", "did you mean this?"))
        t.yaml:3: layers: takes layers; did you mean this?
    """

    file: str
    line: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        at = f"{self.file}:{self.line}" if self.line else self.file
        parts = [at, self.path, self.message] if self.path else [at, self.message]
        line = ": ".join(map(_cut, parts)) + (f"; {_cut(self.hint)}" if self.hint else "")
        return shown(line)


class ConfigError(ValueError):
    """What is wrong with a configuration, all of it, as one line for each mistake.

    Attributes:
        mistakes: in the order in which the file has them; never none.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes: tuple[Mistake, ...] = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))

    def lines(self) -> list[str]:
        """Each mistake, as it is told."""
        return [str(mistake) for mistake in self.mistakes]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant, or None.

    Example:
        >>> nearest("timeout", ["retries", "timeout_seconds"])
        'timeout_seconds'
    """
    names = list(known)
    by_case = {one.lower().replace("-", "_"): one for one in names}
    word = name[:200].lower().replace("-", "_")
    near = difflib.get_close_matches(word, by_case, 1)
    if near:
        return by_case[near[0]]
    parts = [one for one in by_case if len(word) > 2 and (word in one or one in word)]
    return by_case[parts[0]] if len(parts) == 1 else None


def hint_for(name: str, known: Sequence[str]) -> str:
    """What stands behind ``there is no such ...``: the nearest name, or all there are."""
    near = nearest(name, known)
    if near is not None:
        return f"did you mean {near!r}?"
    if not known:
        return "there is none"
    listed = ", ".join(known[:_LISTED])
    return f"there are {listed}{', ...' if len(known) > _LISTED else ''}"


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """The line for a name that is not there.

    Args:
        what: the kind of thing, such as ``layer``.
        name: the name that was given.
        known: those that there are.

    Example:
        >>> unknown_name("layer", "untit", ["unit", "e2e"])
        "there is no layer 'untit'; did you mean 'unit'?"
    """
    return f"there is no {what} {short(name)}; {hint_for(name, list(known))}"


def short(value: object) -> str:
    """A value as YAML has it, in brief.

    Example:
        >>> short(None), short(True), short("ten"), short([1, 2])
        ('nothing', 'true', "'ten'", 'a list')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "keys with values" if value else "no keys"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, int) and abs(value) >= 10**_WIDTH:
        return "so large a number"  # Python may refuse to write it
    if isinstance(value, str):
        cut = value if len(value) <= _WIDTH else value[: _WIDTH - 3] + "..."
        return repr(cut)
    return str(value)
