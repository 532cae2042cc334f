"""A WebSocket peer that can misbehave, and a server in memory for it to talk to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio
from trio.testing import memory_stream_pair
from websockets.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, Close, Frame
from websockets.streams import StreamReader

from gateway.serving.admission import Admission
from gateway.serving.echo import echo
from gateway.serving.limits import Limits
from gateway.serving.listener import serve

LOCAL = Admission(hosts=["localhost"])
UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def frame(opcode, payload=b"", *, fin=True, mask=True, rsv1=False):
    """Return one frame as bytes; nothing is checked."""
    made = Frame(opcode, payload, fin, rsv1)
    made.check = lambda: None
    return made.serialize(mask=mask)


def text(payload, **options):
    return frame(TEXT, payload.encode(), **options)


def close(code, reason=""):
    return frame(CLOSE, Close(code, reason).serialize())


@attrs.define(eq=False)
class Peer:
    """The far end of one connection."""

    stream: Any
    _reader: StreamReader = attrs.field(factory=StreamReader, init=False)

    async def send(self, *chunks: bytes) -> None:
        await self.stream.send_all(b"".join(chunks))

    async def request(self, request: bytes) -> bytes:
        """Send *request* and return the head of the answer."""
        await self.send(request)
        return await self.head()

    async def upgrade(self, path: bytes = b"/", headers: bytes = b"", behind: bytes = b"") -> int:
        """Ask for a WebSocket and return the status of the answer."""
        head = await self.request(UPGRADE % path + headers + b"\r\n" + behind)
        return int(head.split()[1])

    async def head(self) -> bytes:
        """Return bytes up to the first empty line, or what there is before the end."""
        while b"\r\n\r\n" not in self._reader.buffer:
            if not await self._more():
                break
        head, found, rest = bytes(self._reader.buffer).partition(b"\r\n\r\n")
        self._reader.buffer[:] = rest
        return head + found

    async def rest(self) -> bytes:
        """Return everything until the end."""
        while await self._more():
            pass
        return bytes(self._reader.buffer)

    async def frame(self) -> Frame | None:
        """Return the next frame, or None at the end."""
        parsing = Frame.parse(self._reader.read_exact, mask=False)
        while True:
            try:
                next(parsing)
            except StopIteration as done:
                return done.value
            if not await self._more():
                return None

    async def message(self) -> str | bytes | int | None:
        """Return the next message, the code of a close frame, or None at the end.

        Pings are skipped.
        """
        while received := await self.frame():
            if received.opcode is TEXT:
                return bytes(received.data).decode()
            if received.opcode is BINARY:
                return bytes(received.data)
            if received.opcode is CLOSE:
                return Close.parse(bytes(received.data)).code
        return None

    async def _more(self) -> bool:
        try:
            received = await self.stream.receive_some(65_536)
        except trio.BrokenResourceError:
            return False
        self._reader.buffer += received
        return bool(received)


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Listens on nothing; `connect` makes both ends."""

    def __init__(self, make_pair: Callable[[], tuple[Any, Any]] = memory_stream_pair) -> None:
        self._make_pair = make_pair
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](1000)

    async def accept(self) -> trio.abc.Stream:
        return await self._receive.receive()

    def connect(self) -> Peer:
        ours, theirs = self._make_pair()
        self._send.send_nowait(theirs)
        return Peer(ours)

    async def websocket(self) -> Peer:
        peer = self.connect()
        assert await peer.upgrade() == 101
        return peer

    async def aclose(self) -> None:
        await self._receive.aclose()


@asynccontextmanager
async def served(
    handler: Callable[[Any], Awaitable[None]] = echo,
    *,
    limits: Limits | None = None,
    make_pair: Callable[[], tuple[Any, Any]] = memory_stream_pair,
    admission: Admission = LOCAL,
    **options: Any,
) -> AsyncIterator[MemoryListener]:
    """Serve *handler* in memory; yields where to connect."""
    listener = MemoryListener(make_pair)
    if "connections" not in options:
        options["limits"] = limits or Limits()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, handler, [listener], admission=admission, **options))
        yield listener
        nursery.cancel_scope.cancel()


__all__ = ["BINARY", "CLOSE", "CONT", "LOCAL", "PING", "PONG", "TEXT", "UPGRADE", "Close",
           "MemoryListener", "Peer", "close", "frame", "served", "text"]  # fmt: skip
