"""Layers that run on in a process of their own, after the command has returned.

What is known of one is in the project's store under ``aqe/layers/background/ID``: written when it
starts, and by its process when it ends. That a process is the one that was started is known by
its number, the time of its start and the boot: after a kill or a restart of the machine the
state is ``lost``. For a store that cannot be written at the end (a full disk) there is room beside
the log, taken at the start, for what the state is.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import processes
from ..errors import QeError
from ..memory import MemoryStore

PREFIX = "aqe/layers/background/"
_CANCELS = "aqe/layers/cancelled/"
_VARIABLE = "QE_BACKGROUND"
_ROOM = 512  # bytes: for the state of a run, without its result
_GO = b"go"
_KEPT_S = 30 * 24 * 3600.0
_BEGIN_S = 0.05  # between two looks at a log that grows


class UnknownRun(ValueError):
    """There is no background run of that id."""


@dataclass(frozen=True)
class BackgroundRun:
    """What is known of a run: ``state`` is ``running``, ``passed``, ``failed``, ``cancelled`` or
    ``lost``; ``result`` is there when it has ended, None where it could not run, or the disk was
    full."""

    id: str
    state: str
    layers: list[str]
    started: float
    seconds: float
    pid: int
    log: str
    result: dict[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Background:
    """The background runs of a project; not for use within an event loop.

    Args:
        folder: the project's, where its configuration is.
        memory: its store; default: ``.qe/history.db`` in that folder.
    """

    def __init__(self, folder: str | os.PathLike[str], memory: MemoryStore | None = None) -> None:
        self._folder = Path(os.path.abspath(folder))
        self._memory = memory or MemoryStore(self._folder / ".qe" / "history.db")
        self._files = self._folder / ".qe" / "layers"

    def start(
        self,
        layers: Sequence[str],
        words: Sequence[str],
        variables: Mapping[str, str] | None = None,
    ) -> BackgroundRun:
        """Starts ``qe layer`` with these words, on its own: the terminal's end is not its.

        Args:
            layers: the ids of those that it runs.
            words: its arguments.
            variables: changes of its environment.

        Raises: ``OSError``, ``QeError`` where nobody could know of it: nothing runs then.
        """
        run = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        self._files.mkdir(parents=True, exist_ok=True)
        self._clear()
        log = self._files / f"{run}.log"
        record: dict[str, Any] = {
            "id": run, "layers": list(layers), "started": time.time(), "log": str(log),
            "boot": processes.boot(), "state": "running",
        }  # fmt: skip
        process: subprocess.Popen[bytes] | None = None
        try:
            with open(self._room(run), "xb") as file:
                file.write(b" " * _ROOM)
            with open(log, "xb") as file:
                process = subprocess.Popen(
                    [sys.executable, "-m", "pytest_qe", "layer", "run", *words, "-v"],
                    stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT,
                    cwd=self._folder, start_new_session=True,
                    env={**os.environ, **(variables or {}), _VARIABLE: run},
                )  # fmt: skip
            assert process.stdin is not None
            record |= {"pid": process.pid, "ticks": processes.started(process.pid)}
            self._keep(run, record)
            process.stdin.write(_GO)  # for which it has waited
            process.stdin.close()
        except BaseException:
            if process is not None:
                process.kill()
                process.wait()
            for path in (log, self._room(run)):
                path.unlink(missing_ok=True)
            raise
        # It is not ours to wait for.
        process.returncode = 0
        return self._of(record)

    def ended(self, run: str, result: Mapping[str, Any] | None, *, cancelled: bool) -> None:
        """Told by the process itself, at its end; without a result it could not run."""
        good = result is not None and result["success"]
        state = "cancelled" if cancelled else "passed" if good else "failed"
        told = {"state": state, "ended": time.time()}
        try:
            self._keep(run, {**self._record(run), **told, "result": result})
        except (QeError, OSError):
            with open(self._room(run), "r+b") as file:
                file.write(json.dumps(told).encode().ljust(_ROOM))
            raise
        with contextlib.suppress(OSError):
            os.unlink(self._room(run))

    def runs(self) -> list[BackgroundRun]:
        """All that are remembered, the newest last."""
        found = [self._of(record) for record in self._all().values()]
        return sorted(found, key=lambda run: run.started)

    def get(self, run: str) -> BackgroundRun:
        """One run; the end of an id will do.

        Raises: ``UnknownRun``.
        """
        return self._of(self._record(run))

    def wait(self, run: str, timeout: float | None = None) -> BackgroundRun:
        """Waits for its end, or so many seconds."""
        record = self._record(run)
        fd = self._handle(record)
        if fd is not None:
            try:
                poller = select.poll()
                poller.register(fd, select.POLLIN)
                poller.poll(None if timeout is None else timeout * 1000)
            finally:
                os.close(fd)
        return self.get(run)

    def cancel(self, run: str) -> BackgroundRun:
        """Asks it to end, as Ctrl-C would; what runs has its grace."""
        record = self._record(run)
        fd = self._handle(record)
        if fd is not None:
            # It may not be so far yet that it could tell by itself.
            asyncio.run(self._memory.store(_CANCELS + record["id"], True, ttl=_KEPT_S))
            try:
                signal.pidfd_send_signal(fd, signal.SIGTERM)
            except ProcessLookupError:
                pass
            finally:
                os.close(fd)
        return self.get(run)

    def log(self, run: str, *, follow: bool = False) -> Iterator[bytes]:
        """What it has printed, and with ``follow`` prints until its end."""
        record = self._record(run)
        with open(record["log"], "rb") as file:
            while True:
                over = not follow or self._of(record).state != "running"
                while part := file.read(1 << 16):
                    yield part
                if over:
                    return
                time.sleep(_BEGIN_S)

    # ---------------------------------------------------------------- inside

    def _clear(self) -> None:
        """Removes files of runs that nothing is remembered of any more."""
        for path in self._files.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - _KEPT_S and not self._read(
                    PREFIX + path.stem
                ):
                    path.unlink()

    def _room(self, run: str) -> Path:
        return self._files / f"{run}.end"

    def _told(self, run: str) -> dict[str, Any] | None:
        """What a process wrote that could not write to the store."""
        try:
            found = json.loads(self._room(run).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _keep(self, run: str, record: Mapping[str, Any]) -> None:
        asyncio.run(self._memory.store(PREFIX + run, dict(record), ttl=_KEPT_S))

    def _read(self, key: str) -> Any:
        return asyncio.run(self._memory.retrieve(key))

    def _all(self) -> dict[str, Any]:
        return asyncio.run(self._memory.search(f"{PREFIX}*"))

    def _record(self, run: str) -> dict[str, Any]:
        found = self._read(PREFIX + run)
        if found is None:
            like = [key for key in self._all() if key.endswith(run) and run]
            if len(like) != 1:
                known = ", ".join(one.id for one in self.runs()[-5:]) or "none"
                raise UnknownRun(f"there is no background run {run!r}; the last: {known}")
            found = self._read(like[0])
        assert isinstance(found, dict)
        return found

    def _is_alive(self, record: Mapping[str, Any]) -> bool:
        return processes.is_alive(record["pid"], record["ticks"], record["boot"])

    def _handle(self, record: Mapping[str, Any]) -> int | None:
        """A descriptor of its process, so that the number cannot come to mean another one."""
        try:
            fd = os.pidfd_open(record["pid"])
        except OSError:
            return None
        if record["state"] == "running" and self._is_alive(record):
            return fd
        os.close(fd)
        return None

    def _of(self, record: Mapping[str, Any]) -> BackgroundRun:
        state = record["state"]
        if state == "running" and not self._is_alive(record):
            # It may have told its end since this was read.
            now = self._read(PREFIX + record["id"])
            if isinstance(now, dict) and now["state"] != "running":
                record, state = now, now["state"]
            elif (told := self._told(record["id"])) is not None:
                record, state = {**record, **told}, told["state"]
            else:
                state = "cancelled" if self._read(_CANCELS + record["id"]) else "lost"
        seconds = record.get("ended", time.time()) - record["started"]
        return BackgroundRun(
            record["id"], state, record["layers"], record["started"], seconds, record["pid"],
            record["log"], record.get("result"),
        )  # fmt: skip


class _Forgiving(io.TextIOBase):
    """A log: what there is no room for is not in it, and nothing else comes of that."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        data = text.encode("utf-8", "backslashreplace")
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._fd, data) :]
        return len(text)


@contextlib.contextmanager
def telling(config: str | None) -> Iterator[Callable[[Mapping[str, Any] | None, bool], None]]:
    """In the process of a background run: its end is told to the store, whatever it is.

    In any other process nothing is told.

    Args:
        config: the file of the configuration.

    Yields: what is to be called with a result, and whether the run was cancelled.
    """
    run = os.environ.pop(_VARIABLE, None)
    if run is None or config is None:
        yield lambda result, cancelled: None
        return
    if sys.stdin.buffer.read() != _GO:
        raise OSError("what started it has ended before it had told of it")
    background = Background(os.path.dirname(config))
    sys.stdout = sys.stderr = _Forgiving(1)
    told = False

    def tell(result: Mapping[str, Any] | None, cancelled: bool) -> None:
        nonlocal told
        told = True
        background.ended(run, result, cancelled=cancelled)

    try:
        yield tell
    finally:
        if not told:
            tell(None, False)
