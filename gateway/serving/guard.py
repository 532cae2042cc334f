"""What stands before the ASGI app: Host, Origin, and the size of the body."""

from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.serving.admission import Admission, Refusal
from gateway.serving.head import Head
from gateway.serving.limits import Limits, bound

TOO_LARGE = Refusal(413, "the request body is larger than gateway.limits.body_bytes")


class Guard:
    """ASGI middleware: refuses requests before *app* sees them.

    It belongs around the whole app, so that no route can be reached without it.
    """

    def __init__(
        self,
        app: ASGIApp,
        admission: Admission,
        limits: Limits,
    ) -> None:
        self._app = app
        self._admission = admission
        self._body_bytes = bound(limits.body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.  Other kinds of connection raise `ValueError`."""
        if scope["type"] != "http":
            raise ValueError(f"only HTTP reaches this app, not {scope['type']}")
        head = head_of(scope)
        refusal = self._admission.refusal(head) or self._size_refusal(head)
        if refusal is not None:
            await _respond(send, refusal)
            return
        if head.authority is not None:
            # Absolute form: the app routes by path.
            scope = {**scope, "path": head.path, "raw_path": head.path.encode()}
        await _Body(receive, send, self._body_bytes).run(self._app, scope)

    def _size_refusal(self, head: Head) -> Refusal | None:
        """Refuse by the length that is announced, before a byte of it is read."""
        lengths = head.all("content-length")
        if lengths and lengths[0].isdecimal() and int(lengths[0]) > self._body_bytes:
            return TOO_LARGE
        return None


class _Body:
    """Counts one request's body; when it is too large the app is told of a disconnect."""

    def __init__(self, receive: Receive, send: Send, limit: float) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._started = False
        self._exceeded = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
        except Exception:
            if not self._exceeded:
                raise
            # The app's complaint about the disconnect.
        if self._exceeded and not self._started:
            await _respond(self._send, TOO_LARGE)

    async def receive(self) -> Message:
        if self._exceeded:
            return {"type": "http.disconnect"}
        event = await self._receive()
        self._limit -= len(event.get("body", b""))
        if self._limit < 0:
            self._exceeded = True
            return {"type": "http.disconnect"}
        return event

    async def send(self, event: Message) -> None:
        if self._exceeded and not self._started:
            return
        self._started = True
        await self._send(event)


def head_of(scope: Mapping[str, Any]) -> Head:
    """Return the head of the request that *scope* describes."""
    query = scope.get("query_string", b"").decode("latin-1")
    target = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
    ]
    return Head(scope["method"], f"{target}?{query}" if query else target, headers)


async def _respond(send: Send, refusal: Refusal) -> None:
    body = f"{refusal.message}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
