"""One port: accept, read one head, then WebSocket or HTTP."""

import errno
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from ipaddress import IPv6Address
from typing import Any

import structlog
import trio
from starlette.types import ASGIApp
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeaderValue
from websockets.frames import CloseCode
from websockets.http11 import Request

from gateway.serving.admission import Admission, Refusal
from gateway.serving.asgi import HttpServer
from gateway.serving.budget import Slot
from gateway.serving.connections import Connections, open_connections
from gateway.serving.head import Head, HeadError, Opening, read_opening
from gateway.serving.limits import Limits, bound
from gateway.serving.parting import part, say, turn_away
from gateway.serving.protocol import Protocol
from gateway.serving.websocket import WebSocket
from gateway.serving.wire import wire_on

log = structlog.get_logger(__name__)

Handler = Callable[[WebSocket], Awaitable[None]]

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Accepting fails with these until somebody gives something back."""
EXHAUSTED_PAUSE = 0.1
"""Seconds until the next attempt; without it the loop would spin, as the client is still
there.  Source: trio, serve_listeners."""
COMPLAINT_PERIOD = 60.0
"""Seconds between two log entries about it, so that a flood does not fill the disk."""
HANDSHAKE = ("connection", "upgrade", "sec-websocket-")
"""Headers that websockets has to see; Origin is not its business here."""

VERSION = "13"
"""The one there is; who asks for another must be told.  Source: RFC 6455, 4.2.2."""

NO_HTTP = Refusal(404, "only WebSocket is served here")


async def serve(
    handler: Handler,
    listeners: Iterable[trio.abc.Listener[Any]],
    *,
    admission: Admission,
    http: ASGIApp | None = None,
    limits: Limits | None = None,
    connections: Connections | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Accept connections until cancelled; each runs *handler* or the ASGI app *http*.

    An exception of one connection is logged and ends that connection.  With *connections*
    (which must be running) they outlive this call and have its limits; without, *limits*
    hold and they are cut when it is cancelled.  *listeners* are not closed.
    """
    if connections is None:
        async with open_connections(limits or Limits()) as own:
            await _accept_all(Door(handler, http, admission, own), listeners, task_status)
    else:
        await _accept_all(Door(handler, http, admission, connections), listeners, task_status)


async def _accept_all(
    door: "Door", listeners: Iterable[trio.abc.Listener[Any]], task_status: trio.TaskStatus[None]
) -> None:
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(_accept, listener, door)
        task_status.started()


async def _accept(listener: trio.abc.Listener[Any], door: "Door") -> None:
    complain_at = trio.current_time()
    while True:
        try:
            stream = await listener.accept()
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            if trio.current_time() >= complain_at:
                complain_at = trio.current_time() + COMPLAINT_PERIOD
                log.warning("connections cannot be accepted", reason=error.strerror)
            await trio.sleep(EXHAUSTED_PAUSE)
        else:
            door.connections.nursery.start_soon(door.admit, stream, name="connection")


def address_of(stream: trio.abc.Stream) -> str:
    """Return the peer's address, an IPv4-mapped one as IPv4; "" if it has none."""
    socket = getattr(getattr(stream, "transport_stream", stream), "socket", None)
    try:
        name = socket.getpeername() if socket is not None else ""
    except OSError:  # gone already
        return ""
    address = name[0] if isinstance(name, tuple) else ""
    if ":" in address:
        mapped = IPv6Address(address).ipv4_mapped
        return str(mapped) if mapped else str(address)
    return str(address)


class Door:
    """Takes a connection from its first byte to its handler."""

    def __init__(
        self, handler: Handler, http: ASGIApp | None, admission: Admission, connections: Connections
    ) -> None:
        self.connections = connections
        self._handler = handler
        self._http = http and HttpServer(http, admission, connections.limits)
        self._admission = admission

    async def admit(self, stream: trio.abc.Stream) -> None:
        """Serve one connection to its end.  Raises nothing but cancellation."""
        connections = self.connections
        full = connections.full
        connections.count += 1
        try:
            slot = None if full else connections.strangers.take(address_of(stream))
            if slot is None:
                await turn_away(stream)
            else:
                await self._serve(stream, slot)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer has gone, which is its right
        except* Exception:
            log.exception("a connection failed")
        finally:
            connections.count -= 1
            if isinstance(stream, trio.SocketStream):
                stream.socket.close()  # half the price, in a flood
            else:
                await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.abc.Stream, slot: Slot) -> None:
        try:
            websocket = await self._open(stream, slot)
            if websocket is not None:
                await self._attend(websocket)
        finally:
            slot.release()

    async def _attend(self, websocket: WebSocket) -> None:
        """Run the handler on an open WebSocket, then close it."""
        websockets = self.connections.websockets
        websockets.add(websocket)
        code, reason = CloseCode.GOING_AWAY, ""  # if it is cancelled
        try:
            await self._handler(websocket)
            code = CloseCode.NORMAL_CLOSURE
        except* Exception:
            log.exception("a WebSocket handler failed", peer=websocket.peer)
            code, reason = CloseCode.INTERNAL_ERROR, "internal error"
        finally:
            # Also when cancelled: the first await then raises, and the socket is closed.
            await websocket.close(code, reason)
            websockets.discard(websocket)

    async def _open(self, stream: trio.abc.Stream, slot: Slot) -> WebSocket | None:
        """Read the head; return the WebSocket, or None if everything is done."""
        opening = await self._read_opening(stream, slot)
        if opening is None:
            return None
        if opening.head.wants_websocket:
            return await self._upgrade(stream, slot, opening)
        await self._serve_http(stream, slot, opening)
        return None

    async def _read_opening(self, stream: trio.abc.Stream, slot: Slot) -> Opening | None:
        refused = (408, "the request head took too long")
        with trio.CancelScope() as scope:
            slot.evict = lambda reason: scope.cancel(reason=reason)
            try:
                opening = await read_opening(stream, self.connections.limits.head_bytes)
                # Evicted in the tick in which the head arrived, it is read nevertheless.
                if opening is None or not scope.cancel_called:
                    return opening
            except HeadError as error:
                refused = (error.status, error.message)
        if scope.cancel_called and trio.current_time() < slot.deadline:
            return None  # there are too many to answer them all
        await part(stream, *refused)
        return None

    async def _upgrade(
        self, stream: trio.abc.Stream, slot: Slot, opening: Opening
    ) -> WebSocket | None:
        """Answer an upgrade request with 101 and return the WebSocket, or refuse it."""
        head = opening.head
        refusal = self._admission.upgrade_refusal(head) or _body_refusal(head)
        if refusal is not None:
            await part(stream, refusal.status, refusal.message)
            return None
        protocol = Protocol(self.connections.limits)
        try:
            answer = protocol.accept(_handshake(head))
        except InvalidHeaderValue as error:
            await part(stream, 400, str(error))
            return None
        if answer.status_code != 101:
            if head.all("sec-websocket-version") != [VERSION]:
                answer.headers["Sec-WebSocket-Version"] = VERSION
            await say(stream, answer.serialize())
            return None
        wire = wire_on(stream, self.connections.flusher, bound(self.connections.limits.queue_bytes))
        websocket = WebSocket(
            wire, protocol, self.connections.limits, slot, path=head.path, headers=_headers(head)
        )
        slot.evict = partial(websocket.abort, CloseCode.POLICY_VIOLATION)
        websocket.begin(answer.serialize(), opening.rest)
        return websocket

    async def _serve_http(self, stream: trio.abc.Stream, slot: Slot, opening: Opening) -> None:
        with_body = opening.head.method != "HEAD"
        if self._http is None:
            refusal = self._admission.refusal(opening.head) or NO_HTTP
            await part(stream, refusal.status, refusal.message, with_body=with_body)
            return
        place = self.connections.http.take(slot.address)
        if place is None:
            await part(stream, 503, "too many connections", with_body=with_body)
            return
        slot.release()
        try:
            await self._http.serve(stream, place, opening.received)
        finally:
            place.release()


def _handshake(head: Head) -> Request:
    """Return *head* for websockets; raises `InvalidHeaderValue`, as it is the stricter."""
    headers = Headers([field for field in head.headers if field[0].startswith(HANDSHAKE)])
    return Request(head.target, headers, head.method, f"HTTP/{head.version}")


def _body_refusal(head: Head) -> Refusal | None:
    """Refuse a body, which would be taken for frames."""
    if head.all("transfer-encoding") or set(head.all("content-length")) - {"0"}:
        return Refusal(400, "an upgrade request has no body")
    return None


def _headers(head: Head) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in head.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
