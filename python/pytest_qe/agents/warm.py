"""Warm servers: an interpreter that has imported pytest, and forks for each run."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..frameworks import Command, changed_environ

_SCRIPT = Path(__file__).parent.parent / "warmserver.py"
_READY_S = 30.0
_LOOK_S = 0.05  # how often a wait looks whether it is still wanted
_AT_ONCE = max(1, len(os.sched_getaffinity(0)) // 2)  # servers that come up at one time
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
        self._environ = changed_environ(env or {})
        self._argv = [python, str(_SCRIPT), script, *options]
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._is_up: bool | None = None
        self._unwanted = False
        self._lock = threading.Lock()
        # Bound here, so that its address is known before it listens.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind("")
        self.name: str = self._socket.getsockname()[1:].decode()

    def start(self) -> None:
        """Starts its process, once, without waiting for it; not after its end."""
        with self._lock:
            if self._process is not None or self._unwanted:
                return
            fd = self._socket.fileno()
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**self._environ, "QE_WARM_SOCKET": str(fd)},
                cwd=self._cwd,
                pass_fds=(fd,),
            )
            self._socket.close()

    def wait(self) -> bool:
        """Waits until it listens; False: it does not come up, or nobody wants it any more."""
        process = self._process
        if process is None:
            return False
        with self._lock:  # several sessions ask at one time
            if self._is_up is None:
                self._is_up = self._await_line(process)
            return self._is_up

    def _await_line(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.stdout is not None
        until = time.monotonic() + _READY_S
        line = b""
        while not line.endswith(b"\n") and time.monotonic() < until:
            if not select.select([process.stdout], [], [], 0 if self._unwanted else _LOOK_S)[0]:
                if self._unwanted:
                    break
                continue
            more = os.read(process.stdout.fileno(), 64)
            if more == b"":
                break
            line += more
        process.stdout.close()
        return line.endswith(b"\n")

    def no_more(self) -> None:
        """Nobody begins to use it: it is not started, and not waited for."""
        self._unwanted = True

    def end(self) -> None:
        """Has it end, and what runs for it."""
        self._unwanted = True
        if self._process is None:
            return
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
        with self._lock:  # it may be about to be started, or waited for
            self.end()
            self._socket.close()
            process = self._process
            if process is None:
                return
            if self._is_up is None:
                self._is_up = self._await_line(process)
        if not self._is_up:
            # It imports plugins, for as long as they take, and nothing runs for it yet.
            self._kill(process)
        try:
            process.wait(12)
        except subprocess.TimeoutExpired:
            self._kill(process)
            process.wait()

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        """With what plugins have started in its process group, which it makes first of all."""
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


class WarmServers:
    """Servers for the commands of an agent: one set for each script, folder and environment.

    There are several of a set where runs are to differ in the order of sets and dicts of
    strings, as fresh interpreters do: each server has drawn its own hash seed.
    """

    def __init__(self, each: int = 1) -> None:
        self._each = each
        self._sets: dict[tuple[object, ...], list[WarmServer]] = {}
        self._starters: list[threading.Thread] = []
        self._is_over = False
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
            servers = [
                WarmServer(command.argv[0], _options(command), env=command.env, cwd=command.cwd)
                for _ in range(self._each)
            ]
            for server in servers[:_AT_ONCE]:
                server.start()
        except (ValueError, OSError) as error:
            self._sets[key] = []
            self.notes.append(f"warm: {error}; fresh interpreters run instead")
            return
        self._sets[key] = servers
        if len(servers) > _AT_ONCE:
            starter = threading.Thread(target=self._start_rest, args=(servers,), daemon=True)
            self._starters.append(starter)
            starter.start()

    def _start_rest(self, servers: Sequence[WarmServer]) -> None:
        """The others, each when one has come up: more at once would come up no sooner, and
        the first runs of all need the first servers alone. A run whose server is not there
        yet has a fresh interpreter."""
        for up, server in zip(servers, servers[_AT_ONCE:], strict=False):
            up.wait()
            with contextlib.suppress(OSError):
                server.start()

    def name_for(self, command: Command, number: int) -> str:
        """The address of the server for a run of a command; "": there is none."""
        self.prepare(command)
        servers = self._sets[self._key(command)]
        if not servers:
            return ""
        if not all(server.wait() for server in servers[:_AT_ONCE]):
            if _DOWN not in self.notes and not self._is_over:
                self.notes.append(_DOWN)
            return ""
        return servers[number % len(servers)].name

    @staticmethod
    def _key(command: Command) -> tuple[object, ...]:
        return command.argv[0], command.cwd, tuple(sorted(command.env.items(), key=str))

    def no_more(self) -> None:
        """Nothing new is to run: servers that have not come up are not waited for."""
        self._is_over = True
        for servers in list(self._sets.values()):
            for server in servers:
                server.no_more()

    def close(self) -> None:
        servers = [server for one in self._sets.values() for server in one]
        for server in servers:
            server.end()
        for server in servers:
            server.close()
        for starter in self._starters:
            starter.join()
        self._sets.clear()


def _options(command: Command) -> list[str]:
    """What of a command's words may say which plugins are not to be loaded."""
    words = command.argv[1:]
    return [part for pair in itertools.pairwise(words) if pair[0] == "-p" for part in pair]
