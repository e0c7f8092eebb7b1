"""What the text of failures suggests as a cause: leads, no proofs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).resolve().parent.parent / "likely_causes.json"
_MOST_TEXT = 200_000  # characters of one failure
_SHOWN = 160


@cache
def _causes() -> list[tuple[str, re.Pattern[str], str]]:
    table = json.loads(_TABLE.read_text("utf-8"))
    return [
        (one["cause"], re.compile(one["pattern"], re.IGNORECASE), one["says"])
        for one in table["causes"]
    ]


def likely_causes(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Causes that the texts of failures suggest, the most frequent first.

    Args:
        texts: one a failure: its message, or what was printed.

    Returns:
        ``cause`` (as in a hunt's results), ``says`` (in words), ``evidence`` (the line),
        ``failures`` (in how many texts), and ``source``, which is "message".

    Example:
        >>> likely_causes(["OSError: [Errno 98] Address already in use"])[0]["cause"]
        'neighbours'
    """
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        seen: set[str] = set()
        for cause, pattern, says in _causes():
            match = pattern.search(text[-_MOST_TEXT:])
            if match is None or cause in seen:
                continue
            seen.add(cause)
            one = found.setdefault(
                cause,
                {
                    "cause": cause,
                    "says": says,
                    "evidence": _line(match.string, match.start()),
                    "failures": 0,
                    "source": "message",
                },
            )
            one["failures"] += 1
    return sorted(found.values(), key=lambda one: -one["failures"])


def _line(text: str, at: int) -> str:
    begin = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[begin : len(text) if end < 0 else end].strip()
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
