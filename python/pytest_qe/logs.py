"""pytest's logging plugin in workers: live logs, and one log file for all.

Live logs go to the worker's standard output (see ``live.py``). In the log file
each record of each worker is one write at the end of the file, so that records
are neither lost nor mixed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from .live import Screen, prefix_of

if TYPE_CHECKING:
    import pytest

    from .worker import Worker

#: What ends a record here. The handler also writes line ends by itself, to come
#: off the reporter's line, which in a worker is not there.
_RECORD_END = "\0\n"


def _plugin(config: pytest.Config) -> Any:
    return config.pluginmanager.get_plugin("logging-plugin")


def has_live_log(config: pytest.Config) -> bool:
    """Whether the logging plugin writes to the terminal."""
    plugin = _plugin(config)
    return plugin is not None and isinstance(plugin.log_cli_handler, logging.StreamHandler)


def wants_live_log(config: pytest.Config) -> bool:
    """The same where there is no reporter, by what was asked for."""
    if has_live_log(config):
        return True
    return _plugin(config) is not None and (
        config.getoption("--log-cli-level") is not None or bool(config.getini("log_cli"))
    )


# ------------------------------------------------------------------ live log


class _LiveLog:
    """What the handler takes for the terminal reporter, in a worker."""

    def __init__(self, worker: Worker, screen: Screen) -> None:
        from _pytest._io import TerminalWriter

        self._worker = worker
        self._shown: object = None
        self._tw = TerminalWriter(sys.stdout)
        name = prefix_of(worker.job["slot"]) if screen.named else ""
        self._tw.fullwidth = max(20, screen.width - len(name))
        self._tw.hasmarkup = screen.markup

    def write(self, text: str) -> None:
        if text.endswith(_RECORD_END):
            self._tw.write(text[: -len(_RECORD_END)] + "\n", flush=True)
        elif text == "\n":  # before the first record of a test, at least
            item = self._worker.item or self._worker.last_item
            if item is not None and item is not self._shown:
                self._shown = item
                self._tw.line(item.nodeid)
        else:
            self._tw.write(text, flush=True)

    def section(self, title: str, sep: str = "=", **markup: bool) -> None:
        self._tw.sep(sep, title, **markup)

    def flush(self) -> None:
        self._tw.flush()


def own_live_log(worker: Worker, screen: Screen) -> None:
    """In a worker, with its standard output in place: lines of its own."""
    from _pytest.logging import _LiveLoggingStreamHandler

    plugin = _plugin(worker.config)
    stream: Any = _LiveLog(worker, screen)
    handler: Any = plugin.log_cli_handler
    if not isinstance(handler, logging.StreamHandler):
        # A spawned worker has no reporter, and so had no live log.
        capture = worker.config.pluginmanager.get_plugin("capturemanager")
        old, handler = handler, _LiveLoggingStreamHandler(stream, capture)
        handler.setFormatter(old.formatter)
        handler.setLevel(old.level)
        plugin.log_cli_handler = handler
        root = logging.getLogger()
        root.removeHandler(old)
        root.addHandler(handler)
    handler.stream = stream
    handler.terminator = _RECORD_END


# ------------------------------------------------------------------ log file


class _WholeRecords:
    """A stream that writes each record at once, at the end of the file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._fd, data) :]

    def flush(self) -> None: ...

    def close(self) -> None: ...


def share_log_file(config: pytest.Config) -> str | None:
    """In the controller, before workers start: everyone appends, whatever mode
    the file was opened with. Returns its path, None where there is none."""
    plugin = _plugin(config)
    stream: Any = None if plugin is None else plugin.log_file_handler.stream
    name = getattr(stream, "name", os.devnull)
    if name == os.devnull:
        return None
    fd = stream.fileno()
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
    return os.path.abspath(name)


def own_log_file(config: pytest.Config, path: str | None) -> None:
    """In a worker: the controller's log file; by its path in a spawned one."""
    plugin = _plugin(config)
    if plugin is None or path is None:
        return
    handler = plugin.log_file_handler
    if os.path.abspath(handler.stream.name) == path:
        fd = handler.stream.fileno()
    else:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    handler.setStream(_WholeRecords(fd))
