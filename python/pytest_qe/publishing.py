"""What a run tells other processes while it goes on (`qe ui` shows it): in files beside the
history, which the core writes; see ``csrc/include/qe_live.h``."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import _core, places
from .errors import QeError
from .keys import key


@dataclass(frozen=True)
class Publishing:
    """What is told of a run.

    Args:
        folder: where the history is.
        kind: who runs: ``pytest``, ``qe exec``, ``qe hunt`` or ``qe layer``.
        project: the folder of what is tested.
        names: of items, in their order; one that has none has that of its unit.
        command: what was called; default: what this process was.
        name: of the run itself, such as a layer's category.
    """

    folder: str | os.PathLike[str]
    kind: str
    project: str | os.PathLike[str]
    names: Sequence[bytes] = field(default=(), repr=False)
    command: Sequence[str] = ()
    name: str = ""

    def start(self, session: _core.Session) -> None:
        """Has a session tell, from now on. What cannot be told is no reason to run nothing."""
        about = {
            "kind": self.kind,
            "command": [_shown(word) for word in self.command or _called()],
            "folder": os.fspath(self.project),
        }
        if self.name:
            about["name"] = self.name
        with contextlib.suppress(QeError, MemoryError):
            session.publish(os.fsencode(self.folder), json.dumps(about), list(self.names))


def _shown(word: str) -> str:
    """A word as anybody may read it: the address of a queue may have a password in it."""
    if "redis" not in word:
        return word
    from .queues import hidden

    return hidden(word)


def _called() -> list[str]:
    """What this process was called with, as it would be typed."""
    program = os.path.basename(sys.argv[0])
    return ["qe" if program == "__main__.py" else program, *sys.argv[1:]]


def of_category(folder: str, about: Mapping[str, Any], commands: int) -> Publishing:
    """What is told of a layer's category, of so many commands; ``folder`` is the project's."""
    name = f"{about['layer']}/{about['name']}"
    of = [f" {n} of {commands}" for n in range(1, commands + 1)] if commands > 1 else [""]
    names = [key(name + part) for part in of]
    return Publishing(os.path.join(folder, places.FOLDER), "qe layer", folder, names, name=name)
