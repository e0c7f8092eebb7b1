"""Text from elsewhere on a terminal: names and output show as what they are."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


def shown(text: str) -> str:
    """One line of text, with escapes for what a terminal would obey or not show.

    Example:
        >>> shown("a\\x1b[2Jb")
        'a\\\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a name that is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def lines_of(text: str) -> list[str]:
    """The lines of what a program printed; its colours are left out."""
    plain = _COLOUR.sub("", text).replace("\r\n", "\n")
    return [shown(line.expandtabs()) for line in plain.rstrip("\n").split("\n")]


def first_lines(text: str, most: int, width: int = 400) -> list[str]:
    """The first lines that are not empty, each cut at ``width``."""
    found = [line for line in lines_of(text) if line.strip()]
    return [_cut(line, width) for line in found[:most]]


def last_lines(text: str, most: int, width: int = 400) -> list[str]:
    """The last lines that are not empty, each cut at ``width``."""
    found = [line for line in lines_of(text) if line.strip()]
    return [_cut(line, width) for line in found[-most:]]


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[:width]}…"


def quoted(word: str) -> str:
    """A word for a shell, as one that can be seen and copied.

    Example:
        >>> quoted("it's"), quoted("a\\nb")
        ('\\'it\\'"\\'"\\'s\\'', "$'a\\\\nb'")
    """
    if word.isprintable():
        return shlex.quote(word)
    inner = "".join(
        {"\\": "\\\\", "'": "\\'"}.get(c, c) if c.isprintable() else _for_shell(c) for c in word
    )
    return f"$'{inner}'"


def _for_shell(char: str) -> str:
    if char in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[char]
    # Three digits, so that no letter behind them is taken for one.
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(char))


def command_line(
    argv: Sequence[str], cwd: str | None = None, env: Mapping[str, str | None] | None = None
) -> str:
    """A line for a shell that runs this, from any folder.

    Args:
        cwd: the folder; None, or the current one: without a word for it.
        env: changes of the environment; None takes a variable away.
    """
    words = []
    changes = dict(env or {})
    if changes:
        words.append("env")
        for name, value in changes.items():
            words += ["-u", name] if value is None else []
        words += [f"{name}={value}" for name, value in changes.items() if value is not None]
    line = " ".join(map(quoted, [*words, *argv]))
    if cwd is not None and os.path.realpath(cwd) != os.getcwd():
        return f"(cd {quoted(cwd)} && {line})"
    return line
