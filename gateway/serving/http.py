"""The HTTP side of the port: pages, health for machines, metrics, requests without a socket.

Host, Origin, URL credentials and body sizes are checked before any of this; see
`gateway.serving.guard`.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from html import escape
from typing import Final

import attrs
import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, compile_path
from starlette.types import ASGIApp, Receive

from gateway import __version__
from gateway.config.model import Limits
from gateway.rpc.allowance import Allowance
from gateway.rpc.auth import Authenticator, Principal
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.lockout import Lockout
from gateway.serving.doorkeeper import (
    PRINCIPAL,
    READING,
    Doorkeeper,
    Refuse,
    SecurityHeaders,
    refusal,
)

Endpoint = Callable[[Request], Awaitable[Response]]

JSON: Final = "application/json"
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"

START: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>gateway</title>
<h1>gateway {version}</h1>
<p>It is running, and you are <b>{name}</b>.</p>
<p>Programs connect by WebSocket to this address, or post a request to <code>/rpc</code>;
<code>rpc.discover</code> says which there are.</p>
</html>
"""


@cache
def _pattern(path: str) -> re.Pattern[str]:
    """Return what the router matches by."""
    return compile_path(path)[0]


@attrs.frozen
class Page:
    """One route.  *scope* is what it needs; *public* ones need no credentials at all.

    The endpoint of one that *verifies* asks every request for a proof of its own, instead
    of for a credential of this gateway.  There is no default for *scope*: whoever adds a
    page has to think about it.
    """

    path: str
    endpoint: Endpoint
    scope: str
    public: bool = False
    verifies: bool = False
    methods: tuple[str, ...] = ("GET",)
    refuse: Refuse = refusal
    """The shape in which it is said that somebody may not, for clients who expect one."""

    def matches(self, path: str) -> bool:
        """Return whether the router would come here for *path*."""
        return bool(_pattern(self.path).match(path))

    def opens(self, method: str, path: str) -> bool:
        """Return whether a request is for this page and needs no credential."""
        if self.verifies:
            return method in self.methods and self.matches(path)
        return self.public and method in READING and path == self.path

    @property
    def route(self) -> Route:
        """The page as Starlette routes it."""
        return Route(self.path, self._guarded, methods=list(self.methods))

    async def _guarded(self, request: Request) -> Response:
        principal: Principal | None = request.scope.get(PRINCIPAL)
        if principal is None:
            if self.public or self.verifies:
                return await self.endpoint(request)
            # The doorkeeper lets nobody get here; this holds also if it ever does.
            return self.refuse(401, "unauthorized", "credentials are needed")
        if principal.role != "control":
            return self.refuse(403, "forbidden", f"a {principal.role} speaks WebSocket only")
        if self.scope not in (*principal.scopes, "any"):
            return self.refuse(403, "forbidden", f"the scope {self.scope!r} is needed")
        return await self.endpoint(request)


@attrs.define(eq=False)
class Rpc:
    """``POST /rpc``: one frame in, its answer out; the same router as for WebSockets.

    Requests of one principal share one allowance, however many connections it uses.
    """

    dispatcher: Dispatcher
    authenticator: Authenticator
    limits: Callable[[], Limits]
    _allowances: dict[Principal, Allowance] = attrs.field(factory=dict, init=False)

    async def __call__(self, request: Request) -> Response:
        """Answer: 200 with whatever the request comes to, 204 to a notification."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            return refusal(415, "invalid-request", f"the body must be {JSON}")
        try:
            body = await request.body()
        except ClientDisconnect:
            # Nobody is there to read it; the guard turns it into 413 if it was too long.
            return refusal(400, "invalid-request", "the body is not complete")
        answer = await self._answer(request, body)
        if answer is None:
            return Response(status_code=204)
        return Response(answer, media_type=JSON)

    async def _answer(self, request: Request, body: bytes) -> bytes | None:
        """Return the answer; the request is cancelled when nobody waits for it any more."""
        principal: Principal = request.scope[PRINCIPAL]
        answer = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_when_gone, request.receive, nursery.cancel_scope)
            answer = await self.dispatcher.answer(body, principal, self.allowance(principal))
            nursery.cancel_scope.cancel(reason="the request is answered")
        return answer

    def allowance(self, principal: Principal) -> Allowance:
        """Return what *principal* may ask for over HTTP."""
        found, limits = self._allowances.get(principal), self.limits()
        if found is None or not found.fits(limits):
            known = self.authenticator.principals
            self._allowances = {who: each for who, each in self._allowances.items() if who in known}
            found = self._allowances[principal] = Allowance.of(limits)
        return found


async def cancel_when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    """Cancel *scope* as soon as the peer has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass  # what is left of the body: an empty piece
    scope.cancel(reason="the peer is gone")


def standard_pages(
    rpc: Rpc,
    *,
    status: Callable[[], str],
    ready: Callable[[], bool],
    metrics: Callable[[], bytes],
) -> list[Page]:
    """Return the pages of every gateway.

    *status* is the one word of its health, *ready* says whether requests are taken, and
    *metrics* returns them as text.
    """

    async def healthz(_: Request) -> Response:
        # 200 also when degraded: it lives, and killing it would not mend a channel.
        return JSONResponse({"status": status()})

    async def readyz(_: Request) -> Response:
        taken = ready()
        return JSONResponse({"ready": taken}, 200 if taken else 503)

    async def exposition(_: Request) -> Response:
        return Response(metrics(), headers={"content-type": PROMETHEUS})

    async def start(request: Request) -> Response:
        name = request.scope[PRINCIPAL].name
        return HTMLResponse(START.format(version=__version__, name=escape(name)))

    return [
        Page("/healthz", healthz, "any", public=True),
        Page("/readyz", readyz, "any", public=True),
        Page("/metrics", exposition, "read"),
        Page("/rpc", rpc, "any", methods=("POST",)),
        Page("/", start, "any"),
    ]


def make_app(pages: Iterable[Page], authenticator: Authenticator, lockout: Lockout) -> ASGIApp:
    """Return the ASGI app that serves *pages*, and 404 to whoever is known."""
    pages = list(pages)
    app = Starlette(routes=[page.route for page in pages])
    # A redirect to the path with or without a slash would be an answer before the 404.
    app.router.redirect_slashes = False

    def opens(method: str, path: str) -> bool:
        return any(page.opens(method, path) for page in pages)

    def shape(path: str) -> Refuse:
        return next((page.refuse for page in pages if page.matches(path)), refusal)

    return SecurityHeaders(Doorkeeper(app, opens, shape, authenticator, lockout))
