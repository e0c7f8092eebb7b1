"""How a category ended, and what might help where it has failed."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import Any

from ..agents.session import Ended, describe_end

_NO_MEMORY = re.compile(
    r"MemoryError|Cannot allocate memory|out of memory|memory exhausted|Process OOM|bad_alloc"
    r"|memory allocation of \d+ bytes failed|insufficient memory",
    re.IGNORECASE,
)
_NO_ROOM = re.compile(r"No space left on device|ENOSPC", re.IGNORECASE)
_REFUSED = re.compile(
    r"Connection refused|ECONNREFUSED|could(?:n't| not) connect to server", re.IGNORECASE
)


def how_ended(outcome: str, shown: Ended | None) -> str:
    """What ended an attempt, in words; None: it has none that could be shown."""
    if shown is None:
        return "it had not begun"
    if shown.returncode is None and outcome != "error":
        return "it was killed, with what ran it"
    return describe_end(shown.returncode)


def suggestion(
    end: Mapping[str, Any],
    about: Mapping[str, Any],
    *,
    layer_limit_s: float | None = None,
) -> str | None:
    """One line, or None.

    Args:
        end: the ``end`` event of a category.
        about: what the plan has of it.
        layer_limit_s: of its layer, where it was that which ended it.
    """
    if end["outcome"] == "interrupted":
        return None  # how it ended was not its own doing
    text = f"{end['stdout'][-8192:]}\n{end['stderr'][-8192:]}"
    memory = about["memory"]
    if end["outcome"] == "timeout" and layer_limit_s is not None:
        return (
            f"the {layer_limit_s:g} s of its layer were over: give it more by max_duration_minutes"
        )
    if end["outcome"] == "timeout":
        limit = about["timeout_s"]
        usual = f"; it is expected to take {about['expected_s']:.1f} s" if about["known"] else ""
        return f"it did not end within {limit:g} s{usual}: give it more by timeout_seconds"
    short = end["oom_kills"] or _NO_MEMORY.search(text) or end["returncode"] == -signal.SIGKILL
    if memory and short:
        return f"it may have {memory / 1048576:.0f} MiB of memory: give it more by resources.memory"
    if end["returncode"] == -signal.SIGKILL:
        return "it was killed: the machine may have had no memory left"
    if _NO_ROOM.search(text):
        return "a disk is full: make room, also in the folder for temporary files"
    if _REFUSED.search(text):
        return "something that it talks to is not there: name it in required_services"
    if end["ended"] == describe_end(None):
        return "it could not be started: look at its command"
    return None
