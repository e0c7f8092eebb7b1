"""Listens, and serves until a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from .feed import Feed
from .guard import in_url, new_token
from .project import Project
from .routes import application

_BACKLOG = 64
_MOST_CONNECTIONS = 200
_GRACE_S = 2  # for answers that are on their way
_END_S = 6  # for all of it: a file may be read that never comes, as from a network that is gone


class CannotListen(Exception):
    """The text is one line that says why, and what would do."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or an address.
        port: 0 for any that is free.

    Raises: ``CannotListen``.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no name"
        raise CannotListen(
            f"--host={host}: {why}: takes a name or an address of this machine"
        ) from None
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            why = "is taken: another qe ui? --port=0 takes any that is free"
            raise CannotListen(f"--port={port}: {why}") from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise CannotListen(f"--host={host}: is no address of this machine") from None
        why = error.strerror or str(error)
        raise CannotListen(f"cannot listen at {in_url(host)}:{port}: {why}") from None
    return made


class _Server(uvicorn.Server):
    """Ends at a signal, and lets no open stream hold that up."""

    def __init__(self, config: uvicorn.Config, feed: Feed, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._feed, self._ready = feed, ready
        self.signal: int | None = None
        self._end_by: threading.Timer | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override,unused-ignore]
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # nohup has it ignored
            numbers.append(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._end, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def _end(self, number: int) -> None:
        if self.signal is not None:
            self.force_exit = True
            return
        self.signal = number
        self.should_exit = True
        self._end_by = threading.Timer(_END_S, os._exit, (128 + number,))
        self._end_by.daemon = True
        self._end_by.start()
        self._feed.close()

    def ended(self) -> None:
        """Told when nothing is left to be waited for."""
        if self._end_by is not None:
            self._end_by.cancel()


def serve(project: Project, host: str, port: int, ready: Callable[[str, str], None]) -> int | None:
    """Serves until it is told to end.

    Args:
        project: what is looked at.
        host: where to listen.
        port: 0 for any that is free.
        ready: called with the URL and the token, once requests are answered.

    Returns: the signal that ended it.

    Raises: ``CannotListen``.

    Example: ``serve(Project(Path(".qe/history.db")), "127.0.0.1", 0, print)``
    """
    listens = listening(host, port)
    try:
        port = listens.getsockname()[1]
        token = new_token()
        app, feed = application(project, host, port, token)
        more: dict[str, Any] = {"server_header": False, "proxy_headers": False}
        config = uvicorn.Config(
            app, http="h11", ws="none", loop="asyncio", lifespan="off", log_config=None,
            access_log=False, limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_S, **more,
        )  # fmt: skip
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        url = f"http://{in_url(host)}:{port}/"
        server = _Server(config, feed, lambda: ready(url, token))
        asyncio.run(server.serve([listens]))
        server.ended()
        return server.signal
    finally:
        listens.close()
