"""What is too large to travel whole: cut, with a word on what was left out.

The core takes 256 MiB for one event. A report beyond that (a property of a
gigabyte, an endless text) is made smaller until it fits, whatever it holds.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from itertools import islice
from typing import Any

#: How many characters of a text, or entries of a list, are kept: the first
#: that makes it fit.
LONGEST = 1 << 20
_KEPT = (LONGEST, 1 << 14, 1 << 8, 4)
#: Of these at least so many are kept: a report must keep all of its fields, their
#: names, and words such as its outcome.
_KEPT_KEYS, _KEPT_TEXT = 64, 1 << 8

#: How much of a dead test's output the core gives, from its end (core_run.c).
DEAD_OUTPUT = 1 << 20


def dead_output(data: bytes) -> str:
    """What a dead test had printed, with a word if there may have been more."""
    text = data.decode("utf-8", "replace")
    if len(data) < DEAD_OUTPUT:
        return text
    return f"[qe: the last {DEAD_OUTPUT} bytes of it]\n{text}"


def cut(value: Any, kept: int) -> Any:
    """``value`` with every text and list in it cut to ``kept``."""
    if isinstance(value, (str, bytes)):
        kept = max(kept, _KEPT_TEXT)
        left_out = len(value) - kept
        if left_out <= 0:
            return value
        note = f"\n[qe: {left_out} of {len(value)} characters left out]\n"
        half = kept // 2
        if isinstance(value, str):
            return value[:half] + note + value[half + left_out :]
        return value[:half] + note.encode() + value[half + left_out :]
    if isinstance(value, dict):
        entries = islice(value.items(), max(kept, _KEPT_KEYS))
        return {cut(k, kept): cut(v, kept) for k, v in entries}
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(cut(v, kept) for v in islice(value, kept))
    return value


def smaller(data: bytes) -> Iterator[bytes]:
    """Ever smaller forms of a value in marshal format. That of a report says
    in a section of its own that it was cut."""
    value = marshal.loads(data)
    for kept in _KEPT:
        less = cut(value, kept)
        if isinstance(less, dict) and isinstance(less.get("sections"), list):
            text = f"this report had {len(data)} bytes: texts and lists in it are cut to {kept}\n"
            less["sections"].append(("qe", text))
        yield marshal.dumps(less)
