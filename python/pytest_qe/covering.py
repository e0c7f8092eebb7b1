"""Coverage in workers, those that were killed included.

A worker saves what it has measured when it leaves. One that is killed cannot, so
after each test it notes the lines that are new, in a file of its slot that the
controller reads if it must: a few microseconds a test, since most tests bring
nothing new for most files. What the test that died had run itself is lost.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from . import reports
from .events import DataKind


class Journals:
    """One file in memory for each slot; made before the fork.

    Args:
        slots: how many.
    """

    def __init__(self, slots: int) -> None:
        self._files: list[int] = []
        collector = _collector(_current())
        if collector is None:
            return
        try:
            for _ in range(slots):
                fd = os.memfd_create("qe-coverage")
                self._files.append(fd)
                fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        except OSError:
            self.close()

    @property
    def files(self) -> list[int]:
        return self._files

    @classmethod
    def inherited(cls, files: list[int]) -> Journals:
        """In a process that was executed: those of its controller."""
        self = cls(0)
        self._files = files
        return self

    def set_inheritable(self, on: bool) -> None:
        """Lets servers have them, for their workers."""
        for fd in self._files:
            os.set_inheritable(fd, on)

    def of_worker(self, slot: int) -> Journal | None:
        """In a worker: its own; those of others are closed."""
        files, self._files = self._files, []
        for number, fd in enumerate(files):
            if number != slot:
                os.close(fd)
        coverage = _current()
        if not files or _collector(coverage) is None:
            return None
        return Journal(files[slot], coverage)

    def merge(self, names: list[str]) -> list[str]:
        """In the controller, at the end: all that workers measured becomes its own.
        Takes the names of their files; returns those that cannot be read."""
        self._restore()
        return _merge(names)

    def _restore(self) -> None:
        """What the dead had noted."""
        collector = _collector(_current())
        for fd in self._files if collector is not None else ():
            for name, lines, tracer in _entries(os.pread(fd, os.fstat(fd).st_size, 0)):
                collector.data.setdefault(name, set()).update(lines)
                if tracer is not None:
                    collector.file_tracers.setdefault(name, tracer)
        self.close()

    def close(self) -> None:
        """Closes what is left open."""
        files, self._files = self._files, []
        for fd in files:
            os.close(fd)


class Journal:
    """A worker's: which lines are known of each file."""

    def __init__(self, fd: int, coverage: Any) -> None:
        self._fd = fd
        self._began = os.fstat(fd).st_size
        self._collector = _collector(coverage)
        self._flushed = False
        # What the controller has measured it has itself.
        self._sizes = {name: len(lines) for name, lines in self._collector.data.items()}
        self._known: dict[str, set[Any]] = {}

    def note(self) -> None:
        """Writes down what is new. To be called between two tests."""
        new: list[tuple[str, Any, str | None]] = []
        sizes = self._sizes
        for name, lines in list(self._collector.data.items()):
            size = len(lines)
            before = sizes.get(name)
            if before == size:
                continue
            if before is not None and size < before:
                self._flushed = True
            sizes[name] = size
            known = self._known.setdefault(name, set())
            more = lines.copy() - known
            if more:
                known |= more
                new.append((name, more, self._collector.file_tracers.get(name)))
        # With contexts coverage itself saves and forgets at each change: then its
        # file has it all, and by context.
        if new and not self._flushed:
            data = marshal.dumps(new)
            try:
                os.write(self._fd, len(data).to_bytes(8, "little") + data)
            except OSError:
                pass  # no memory for it: then a killed worker's is lost

    def drop(self) -> None:
        """In a worker that has saved what it measured."""
        os.ftruncate(self._fd, self._began)


def begin(send: Callable[[int, bytes], None]) -> None:
    """In a forked worker: measures into a file of its own, and sends its name. Should
    the worker be killed, the controller has what is in there so far."""
    name = _measure_apart()
    if name is not None:
        send(DataKind.COVERAGE, reports.dumps(name))


def _collector(coverage: Any) -> Any:
    """Where a running measurement keeps its lines; None where it has none."""
    collector = getattr(coverage, "_collector", None)
    parts = (getattr(collector, "data", None), getattr(collector, "file_tracers", None))
    return collector if all(isinstance(part, dict) for part in parts) else None


def _entries(data: bytes) -> list[tuple[str, Any, str | None]]:
    """What a journal holds; a write that was cut short ends it."""
    found: list[tuple[str, Any, str | None]] = []
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        part = data[at + 8 : at + 8 + size]
        if len(part) < size:
            break
        found.extend(marshal.loads(part))
        at += 8 + size
    return found


def _current() -> Any:
    """The coverage measurement of this process, None where there is none."""
    module = sys.modules.get("coverage")
    if module is None:
        return None
    return module.Coverage.current()


def _measure_apart() -> str | None:
    """In a forked worker that begins: measures into a file of its own, whose name
    is returned."""
    cov = _current()
    collector = getattr(cov, "_collector", None)
    if collector is None:
        return None
    # There is no public way to give a running measurement another file.
    cov._data = sys.modules["coverage"].CoverageData(
        basename=cov.config.data_file, suffix=True, debug=cov._debug
    )
    collector.use_data(cov._data, cov.config.context)
    name: str = cov._data.data_filename()
    return name


def save() -> str | None:
    """In a forked worker that ends: saves; returns the file's name, which may be
    another than at the beginning."""
    cov = _current()
    if cov is None:
        return None
    cov.stop()
    cov.save()
    name: str = cov.get_data().data_filename()
    return name


def _merge(names: list[str]) -> list[str]:
    """In the controller: takes the workers' measurements into its own; returns
    which could not be read, as their worker was killed while it wrote.

    pytest-cov combines all files with a suffix by itself.
    """
    broken: list[str] = []
    cov = _current()
    if cov is None or not names:
        return broken
    data = cov.get_data()
    if getattr(data, "_suffix", None):
        return broken
    for name in names:
        if os.path.exists(name):
            part = type(data)(basename=name)
            try:
                part.read()
                data.update(part)
            except sys.modules["coverage"].CoverageException:
                broken.append(name)
            os.unlink(name)
    return broken


def worker_input() -> dict[str, Any]:
    """What pytest-cov's worker side asks for, in a spawned worker."""
    return {
        "cov_master_host": socket.gethostname(),
        "cov_master_topdir": os.getcwd(),
        "cov_master_rsync_roots": [],
    }
