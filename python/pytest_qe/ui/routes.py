"""What there is to ask for."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from .acting import ACTIONS
from .feed import Feed, as_json
from .guard import Guard
from .project import Project
from .reading import Reader, Trouble

PAGES = Path(__file__).parent.parent / "web" / "live"
#: What the page consists of, by the path under which it is asked for.
FILES = {
    "/": ("index.html", "text/html"),
    "/live.js": ("live.js", "text/javascript"),
    "/live.css": ("live.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_MOST_BYTES = 64 * 1024  # of what an action is told


def _answer(value: Any, status: int = 200) -> Response:
    return Response(as_json(value), status, media_type="application/json")


def _trouble(request: Request, error: Exception) -> Response:
    assert isinstance(error, Trouble)
    return _answer({"error": str(error)}, error.status)


def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer({"error": error.detail}, error.status_code)


def _number(request: Request, name: str, otherwise: int | None = None) -> int:
    given = request.query_params.get(name)
    if given is None and otherwise is not None:
        return otherwise
    if given is None or not given.isascii() or not given.isdecimal() or len(given) > 15:
        raise Trouble(400, f"{name}: takes a number")
    return int(given)


def _bytes(request: Request, name: str) -> bytes:
    """A parameter as it was sent: ids of tests need not be UTF-8."""
    for part in request.scope["query_string"].split(b"&"):
        key, _, value = part.partition(b"=")
        if key == name.encode() and value:
            data = urllib.parse.unquote_to_bytes(value)
            if b"\0" not in data:
                return data
    raise Trouble(400, f"{name}: takes a text")


def application(project: Project, host: str, port: int, token: str) -> tuple[Guard, Feed]:
    """What uvicorn runs, and what must be closed for it to end."""
    reader = Reader(project.history)
    feed = Feed(project, reader)
    acting = threading.Lock()  # a file is changed by one at a time

    def told(call: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            value = await asyncio.to_thread(call, request)
            return Response(await asyncio.to_thread(as_json, value), media_type="application/json")

        return endpoint

    def page(name: str, kind: str) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return FileResponse(PAGES / name, media_type=kind)

        return endpoint

    def held(request: Request) -> Any:
        if project.quarantine is None:
            return {"file": None, "entries": []}
        return {"file": str(project.quarantine), "entries": reader.held(project.quarantine)}

    def about(request: Request) -> Any:
        from .. import _core

        quarantine = None if project.quarantine is None else str(project.quarantine)
        return {
            "version": _core.VERSION, "folder": str(project.folder),
            "history": str(project.history), "quarantine": quarantine,
        }  # fmt: skip

    async def events(request: Request) -> Response:
        if feed.is_full:
            return _answer({"error": "too many pages are open"}, 503)
        if request.method == "HEAD":  # its answer has an end
            return Response(media_type="text/event-stream")
        return StreamingResponse(feed.listen(), media_type="text/event-stream")

    async def action(request: Request) -> Response:
        do = ACTIONS.get(request.path_params["name"])
        if do is None:
            raise Trouble(404, "there is no such action")
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                raise Trouble(413, f"takes at most {_MOST_BYTES} bytes")
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            raise Trouble(400, "takes an object of JSON")

        def act() -> Any:
            with acting:
                return do(project, asked)

        value = await asyncio.to_thread(act)
        feed.wake()
        return _answer(value)

    data: dict[str, Callable[[Request], Any]] = {
        "about": about,
        "runs": lambda request: reader.runs(_number(request, "most", 100)),
        "run": lambda request: reader.run(_number(request, "id")),
        "test": lambda request: reader.test(_bytes(request, "id")),
        "flakiest": lambda request: reader.top("flakiest", _number(request, "most", 50)),
        "failing": lambda request: reader.top("failing", _number(request, "most", 50)),
        "slowest": lambda request: reader.top("slowest", _number(request, "most", 50)),
        "quarantine": held,
        "layers": lambda request: project.layers(),
        "log": lambda request: project.log(request.query_params.get("id", "")),
    }
    routes = [
        *(Route(path, page(*what), methods=["GET"]) for path, what in FILES.items()),
        *(Route(f"/api/{name}", told(call), methods=["GET"]) for name, call in data.items()),
        Route("/events", events, methods=["GET"]),
        Route("/api/do/{name}", action, methods=["POST"]),
    ]
    app = Starlette(
        routes=routes, exception_handlers={Trouble: _trouble, HTTPException: _not_found}
    )
    return Guard(app, host, port, token), feed


__all__ = ["FILES", "PAGES", "application"]
