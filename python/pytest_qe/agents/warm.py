"""Warm servers: an interpreter that has imported pytest, and forks for each run."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..frameworks import Command

_SCRIPT = Path(__file__).parent.parent / "warmserver.py"
_READY_S = 30.0
_DOWN = "warm: a server did not come up; fresh interpreters run instead"


def interpreter_of(script: str) -> str | None:
    """The Python that runs a script, by its first line; None: it has none."""
    try:
        with open(script, "rb") as file:
            first = file.readline(4096)
    except OSError:
        return None
    match = re.match(rb"#!\s*(/\S*python[0-9.]*)\s*$", first)
    if match is not None:
        return os.fsdecode(match[1])
    # What pip writes where the path is long or has spaces: #!/bin/sh, then '''exec' ...
    if first.startswith(b"#!/bin/sh"):
        with open(script, "rb") as file:
            match = re.search(rb"'''exec' \"?(/[^\"\n]*python[0-9.]*)\"? ", file.read(4096))
        if match is not None:
            return os.fsdecode(match[1])
    match = re.match(rb"#!\s*/usr/bin/env\s+(python[0-9.]*)\s*$", first)
    return shutil.which(os.fsdecode(match[1])) if match is not None else None


class WarmServer:
    """Runs `warmserver.py` for a script; closed, it ends all that it has started.

    It ends with this process, too, however that ends: it listens for the end of a pipe.
    """

    def __init__(
        self,
        script: str,
        options: Sequence[str] = (),
        *,
        env: Mapping[str, str | None] | None = None,
        cwd: str | None = None,
    ) -> None:
        python = interpreter_of(script)
        if python is None:
            raise ValueError(f"{script}: begins with no line that names a Python interpreter")
        changed = {**os.environ, **(env or {})}
        environ = {name: value for name, value in changed.items() if value is not None}
        self._process = subprocess.Popen(
            [python, str(_SCRIPT), script, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            cwd=cwd,
        )
        self._name: str | None = None
        self._lock = threading.Lock()  # sessions of several files ask at one time

    def name(self) -> str:
        """Where it listens, as soon as it does; "" where it does not come up."""
        with self._lock:
            if self._name is None:
                self._name = self._await_name()
            return self._name

    def _await_name(self) -> str:
        assert self._process.stdout is not None
        until = time.monotonic() + _READY_S
        line = b""
        while not line.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                break
            more = os.read(self._process.stdout.fileno(), 64)
            if more == b"":
                break
            line += more
        self._process.stdout.close()
        return line.strip().decode() if line.endswith(b"\n") else ""

    def end(self) -> None:
        """Has it end, and what runs for it."""
        pipe = self._process.stdin
        assert pipe is not None
        # A word, as forks of this process (such as sessions) may have the pipe, too.
        with contextlib.suppress(OSError, ValueError):
            pipe.write(b"\n")
            pipe.flush()
        with contextlib.suppress(OSError):
            pipe.close()

    def close(self) -> None:
        """The same, and waits for that."""
        self.end()
        if self._process.stdout is not None:
            self._process.stdout.close()
        try:
            self._process.wait(12)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class WarmServers:
    """Servers for the commands of an agent: one set for each script, folder and environment.

    There are several of a set where runs are to differ in the order of sets and dicts of
    strings, as fresh interpreters do: each server has drawn its own hash seed.
    """

    def __init__(self, each: int = 1) -> None:
        self._each = each
        self._sets: dict[tuple[object, ...], list[WarmServer]] = {}
        self.notes: list[str] = []

    def prepare(self, command: Command) -> None:
        """Starts what a command needs, without waiting for it."""
        key = self._key(command)
        if key in self._sets:
            return
        if command.framework != "pytest":
            self._sets[key] = []
            self.notes.append(
                f"warm: pytest files share a server, those of {command.framework} do not"
            )
            return
        try:
            self._sets[key] = [
                WarmServer(command.argv[0], _options(command), env=command.env, cwd=command.cwd)
                for _ in range(self._each)
            ]
        except (ValueError, OSError) as error:
            self._sets[key] = []
            self.notes.append(f"warm: {error}; fresh interpreters run instead")

    def name_for(self, command: Command, number: int) -> str:
        """The address of the server for a run of a command; "": there is none."""
        self.prepare(command)
        servers = self._sets[self._key(command)]
        name = servers[number % len(servers)].name() if servers else ""
        if servers and not name and _DOWN not in self.notes:
            self.notes.append(_DOWN)
        return name

    @staticmethod
    def _key(command: Command) -> tuple[object, ...]:
        return command.argv[0], command.cwd, tuple(sorted(command.env.items(), key=str))

    def close(self) -> None:
        servers = [server for one in self._sets.values() for server in one]
        for server in servers:
            server.end()
        for server in servers:
            server.close()
        self._sets.clear()


def _options(command: Command) -> list[str]:
    """What of a command's words may say which plugins are not to be loaded."""
    words = command.argv[1:]
    return [part for pair in itertools.pairwise(words) if pair[0] == "-p" for part in pair]
