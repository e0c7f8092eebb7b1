"""Whom the server serves: this machine's browser, for pages that this server sent.

A page of any other site can make a browser send requests here. Its requests name another origin,
or come from another site; and where its name was made to lead to this address, they name a host
that is not ours. All of those are refused before anything is looked at.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = "x-qe-token"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_SITES = ("same-origin", "none")
_POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
    "img-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
))  # fmt: skip
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def new_token() -> str:
    """What an action must show: 192 random bits."""
    return secrets.token_urlsafe(24)


def is_loopback(host: str) -> bool:
    """Whether a name or an address is of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def in_url(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


class Guard:
    """Refuses what is not for us, and says with every answer what a browser may do with it.

    Args:
        app: what is guarded.
        host: where the server listens, as it was asked for.
        port: its port.
        token: what each POST must show.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, token: str) -> None:
        self._app, self._port, self._token = app, port, token
        self._names = {*_LOOPBACK, in_url(host).lower()}
        try:
            # One that listens everywhere is reached by any of its addresses: those can be
            # no other site's, as a name can.
            self._any_address = ipaddress.ip_address(host).is_unspecified
        except ValueError:
            self._any_address = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # nothing else is served

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        refused = self._refused(scope["method"], headers)
        if refused is None:
            await self._app(scope, receive, sent)
        else:
            status, why = refused
            answer = JSONResponse({"error": why}, status, {"connection": "close"})
            await answer(scope, receive, sent)

    def _refused(self, method: str, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return 421, "this server does not answer under that name"
        if any(origin not in self._origins(hosts[0]) for origin in headers.getlist("origin")):
            return 403, "requests of other sites are refused"
        if any(site not in _SITES for site in headers.getlist("sec-fetch-site")):
            return 403, "requests of other sites are refused"
        if method not in ("GET", "HEAD", "POST"):
            return 405, "takes GET or POST"
        if method == "POST" and not self._shows_token(headers.getlist(TOKEN)):
            return 403, "an action needs the token that qe ui has printed"
        return None

    def _is_ours(self, host: str) -> bool:
        name, colon, port = host.rpartition(":")
        if not colon or port.endswith("]"):
            name, port = host, "80"
        if port != str(self._port):
            return False
        if name.lower() in self._names:
            return True
        return self._any_address and _is_address(name)

    def _origins(self, host: str) -> Iterable[str]:
        return (f"http://{host}",)

    def _shows_token(self, shown: list[str]) -> bool:
        if len(shown) != 1:
            return False
        return hmac.compare_digest(shown[0].encode("latin-1", "replace"), self._token.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") else name)
    except ValueError:
        return False
    return True
