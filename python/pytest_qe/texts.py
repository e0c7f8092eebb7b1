"""Texts of a record: what attempts left for people to read, cut where it is too much."""

from __future__ import annotations

from . import _core, bounds
from .keys import key

#: How many characters of a text are kept, and how many of all texts of a run; of those
#: beyond that the beginning and the end remain.
_LONGEST = 1 << 18
_ALL = 1 << 26
_SHORT = 1 << 10


def shorter(text: str) -> str:
    """A text of which as much remains as is kept of one."""
    cut: str = bounds.cut(text, _LONGEST)
    return cut


class Texts:
    """Adds texts to a record, with one measure for all of them.

    Args:
        record: it has the attempts that texts are added to.
    """

    def __init__(self, record: _core.Record) -> None:
        self._record = record
        self._left = _ALL

    def add(self, place: tuple[int, int, int], kind: int, name: str, text: str) -> None:
        """One text of an attempt.

        Args:
            place: the test's number, the pass, and the attempt's number.
            kind: ``_core.TEXT_FAILURE`` or ``_core.TEXT_OUTPUT``.
            name: where it comes from.
        """
        text = bounds.cut(text, _LONGEST if self._left > 0 else _SHORT)
        self._left -= len(text)
        self._record.add_text(*place, kind, key(name), key(text))
