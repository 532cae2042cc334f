"""The head of a connection's first request: read once, bounded, parsed by h11."""

from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus

import attrs
import h11
import trio

READ_BYTES = 4096
"""Heads are rarely longer."""


@attrs.frozen
class Head:
    """The head of one request.  Header names are in lower case."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    version: str = "1.1"

    def all(self, name: str) -> list[str]:
        """Return the values of header *name*, in order, perhaps none."""
        return [value for key, value in self.headers if key == name]

    def tokens(self, name: str) -> list[str]:
        """Return the elements of the comma-separated header *name*, in lower case."""
        values = ",".join(self.all(name)).lower().split(",")
        return [value.strip() for value in values if value.strip()]

    @property
    def path(self) -> str:
        """The path of the target as it was sent, without the query."""
        target = self.target.partition("?")[0]
        if self.authority is None:
            return target
        return "/" + target.partition("://")[2].partition("/")[2]

    @property
    def query(self) -> str:
        """The query of the target as it was sent; may be empty."""
        return self.target.partition("?")[2]

    @property
    def authority(self) -> str | None:
        """Host and port in the target, if it is in absolute form."""
        scheme, found, rest = self.target.partition("://")
        if not found or scheme.lower() not in ("http", "https"):
            return None
        return rest.partition("?")[0].partition("/")[0]

    @property
    def wants_websocket(self) -> bool:
        """Whether it asks for a WebSocket, however badly."""
        return "websocket" in self.tokens("upgrade")


@attrs.frozen
class Opening:
    """What a connection began with."""

    head: Head
    received: bytes
    """All of it, head included."""
    rest: bytes
    """What came behind the head."""


class HeadError(Exception):
    """The head is refused with *status*."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def read_opening(stream: trio.abc.ReceiveStream, limit: int) -> Opening | None:
    """Read a request head of at most *limit* bytes; None if the stream ends before.

    Raises `HeadError`, and what *stream* raises.  If it is cancelled, what was read is
    lost.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=limit)
    received = bytearray()
    while True:
        piece = await stream.receive_some(READ_BYTES)
        if not piece:
            return None
        received += piece
        request = _parse(parser, bytes(piece))
        if request is not None:
            break
    rest = parser.trailing_data[0]
    if len(received) - len(rest) > limit:
        raise HeadError(431, f"the head is larger than {limit} bytes")
    return Opening(_head(request), bytes(received), rest)


def _parse(parser: h11.Connection, piece: bytes) -> h11.Request | None:
    parser.receive_data(piece)
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError as error:
        raise HeadError(error.error_status_hint, str(error)) from error
    return event if isinstance(event, h11.Request) else None


def _head(request: h11.Request) -> Head:
    return Head(
        method=request.method.decode("ascii"),
        target=request.target.decode("ascii"),
        headers=tuple(
            (name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers
        ),
        version=request.http_version.decode("ascii"),
    )


def response(status: int, message: str, *, with_body: bool = True) -> bytes:
    """Return a whole response that says *message* and ends the connection."""
    body = f"{message}\n".encode()
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body if with_body else b"")
