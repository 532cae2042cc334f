"""Who may make an HTTP request: nobody, unless a credential is shown.

Two kinds of routes say otherwise of themselves: public ones, and those that verify every
request in a way of their own.  It decides before routing, so that what does not exist and
what is forbidden look alike to strangers, and on the very value that is routed by.
Source: CVE-2026-32031.
"""

import base64
import binascii
import math
from collections.abc import Callable
from typing import Final

import attrs
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.rpc.auth import Authenticator, Principal
from gateway.rpc.handshake import bearer, locked_out
from gateway.rpc.lockout import Lockout

log = structlog.get_logger(__name__)

PRINCIPAL: Final = "gateway.principal"
"""Key of the ASGI scope under which the `Principal` is."""

READING: Final = frozenset({"GET", "HEAD"})
"""Methods that change nothing.  Only these may be public, and only these take HTTP Basic:
a browser sends that by itself, also when another site made it ask."""

SECURITY: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""Headers of every response.  A page that needs more says so by its own policy."""


def refusal(status: int, kind: str, message: str) -> JSONResponse:
    """Return the response that says why there is none."""
    return JSONResponse({"error": {"kind": kind, "message": message}}, status)


Refuse = Callable[[int, str, str], JSONResponse]
"""Makes the response of a status, a kind and a message."""


@attrs.frozen(eq=False)
class Doorkeeper:
    """ASGI middleware that lets requests through to *app*.

    *opens* says of a method and a path whether their route needs no credential, *shape* in
    which shape a path's clients are refused.
    """

    app: ASGIApp
    opens: Callable[[str, str], bool]
    shape: Callable[[str], Refuse]
    authenticator: Authenticator
    lockout: Lockout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        answer: ASGIApp = self.app
        if not self.opens(scope["method"], scope["path"]):
            answer = self._check(Request(scope)) or self.app
        await answer(scope, receive, send)

    def _check(self, request: Request) -> JSONResponse | None:
        """Return why *request* is refused; `None` notes its principal in the scope."""
        peer = request.client.host if request.client else ""
        refuse = self.shape(request.scope["path"])
        if wait := self.lockout.remaining(peer):
            return _locked(refuse, wait)
        shown = request.headers.getlist("authorization")
        if not shown:
            message = "credentials are needed: Authorization: Bearer TOKEN"
            return _unauthorized(request, refuse(401, "unauthorized", message))
        # Counted before it is looked at; taken back when it is right.
        self.lockout.count(peer)
        principal = self._identify(shown[0], request.method) if len(shown) == 1 else None
        if principal is None:
            # As for a WebSocket; the lock-out keeps it from filling the disk.
            log.info("not let in", peer=peer, reason="wrong credentials", path=request.url.path)
            return _unauthorized(request, refuse(401, "unauthorized", _complaint(shown)))
        self.lockout.forgive(peer)
        request.scope[PRINCIPAL] = principal
        return None

    def _identify(self, header: str, method: str) -> Principal | None:
        if token := bearer(header):
            return self.authenticator.verify_token(token)
        if method in READING and (word := basic_password(header)):
            return self.authenticator.verify(word)
        return None


def _complaint(shown: list[str]) -> str:
    """Return what to say to *shown* headers in which there is no credential."""
    if len(shown) == 1 and bearer(shown[0]):
        return "wrong credentials"
    # Not whether the password in it would be right: whoever asks this way is told nothing.
    return "wrong credentials; other than for pages they are sent as Authorization: Bearer TOKEN"


def basic_password(header: str) -> str:
    """Return the password in an ``Authorization: Basic`` header, empty if there is none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _locked(refuse: Refuse, seconds: float) -> JSONResponse:
    response = refuse(429, "rate-limited", locked_out(seconds).message)
    response.headers["retry-after"] = str(math.ceil(seconds))
    return response


def _unauthorized(request: Request, response: JSONResponse) -> JSONResponse:
    response.headers.append("www-authenticate", 'Bearer realm="gateway"')
    if request.method in READING:
        # So that a browser asks for the token, as the password of any user.
        response.headers.append("www-authenticate", 'Basic realm="gateway", charset="UTF-8"')
    return response


@attrs.frozen(eq=False)
class SecurityHeaders:
    """ASGI middleware: adds `SECURITY` to every response that does not say otherwise."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_secured(event: Message) -> None:
            if event["type"] == "http.response.start":
                said = {name.lower() for name, _ in event["headers"]}
                more = [header for header in SECURITY if header[0] not in said]
                event = {**event, "headers": [*event["headers"], *more]}
            await send(event)

        await self.app(scope, receive, send_secured)
