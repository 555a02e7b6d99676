"""Keeps other web pages away from the project's servers, which answer only their own pages and local programs.

A browser lets any page send requests to a server on this machine. Such a request identifies the page in ``Origin`` or
``Sec-Fetch-Site`` or, if the page's own host name resolves to this machine (DNS rebinding), in ``Host``. Programs other
than browsers send neither ``Origin`` nor ``Sec-Fetch-Site``.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("uvicorn.error")  # in the servers' own logs

NAMES = ("127.0.0.1", "localhost")
OWN_SITE = ("same-origin", "none")
HTTP_PORT = 80
POLICY_VIOLATION = 1008
NO_FOREIGN_FRAMES = (b"content-security-policy", b"frame-ancestors 'self'")


class SameOriginOnly:
    """Passes on requests from the server's own pages and from programs; rejects all others with status 403.

    Args:
        app: the application to protect, for HTTP and websockets.
        is_page: whether a path is a page that a link on another site may open (but never embed).
    """

    def __init__(self, app: "ASGIApp", is_page: Callable[[str], bool]) -> None:
        self._app = app
        self._is_page = is_page

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Reject a request, or pass it on."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if (reason := self._reason_to_reject(scope)) is not None:
            return await reject(scope, send, reason)

        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), NO_FOREIGN_FRAMES]}
            await send(message)

        return await self._app(scope, receive, send_with_policy)

    def _reason_to_reject(self, scope: "Scope") -> str | None:
        hosts, origins, sites = (_values(scope, name) for name in (b"host", b"origin", b"sec-fetch-site"))
        port = scope["server"][1]
        own = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == HTTP_PORT else set())
        if len(hosts) != 1 or hosts[0].lower() not in own:
            return f"Host {', '.join(hosts) or '(none)'} is not this server; use http://{NAMES[0]}:{port}"
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return f"a page of {', '.join(origins)} may not use this server"
        if any(site not in OWN_SITE for site in sites) and not self._opens_page(scope):
            return "a page of another site may not use this server"
        return None

    def _opens_page(self, scope: "Scope") -> bool:
        """Whether a link was followed: the browser then opens the response as a page, which no other page can read."""
        modes, targets = _values(scope, b"sec-fetch-mode"), _values(scope, b"sec-fetch-dest")
        is_link = scope.get("method") == "GET" and modes == ["navigate"] and targets == ["document"]
        return is_link and self._is_page(unquote(scope["path"]))


class TrackingServerProtocol(H11Protocol):
    """Uvicorn's HTTP protocol, which wraps MLflow's application in :class:`SameOriginOnly`; all its pages are at ``/``.

    MLflow's own checks allow every page of ``localhost``, and let any page read.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = SameOriginOnly(self.app, is_page=lambda path: path == "/")


async def reject(scope: "Scope", send: "Send", reason: str) -> None:
    """Answer a request with status 403 and the reason, without a header that would let another page read it."""
    logger.warning("Rejected %s %s: %s", scope.get("method", "a websocket at"), scope["path"], reason)
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "rejected"})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), NO_FOREIGN_FRAMES]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": f"Rejected: {reason}\n".encode()})


def _values(scope: "Scope", name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
