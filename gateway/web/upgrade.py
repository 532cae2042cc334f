"""Opening and closing a WebSocket over a stream, for whoever is the client of one.

What trio-websocket 0.12 leaves out: it waits for ever for a handshake whose far end hangs up
or does not speak HTTP, and for a goodbye that nobody can see any more.
"""

import math
from typing import Any, Final, cast

import attrs
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

CLOSE_SECONDS: Final = 2.0
"""Longest wait for the far end to say goodbye as well."""

PARTING_SECONDS: Final = 0.1
"""Longest time to put a goodbye into the socket when cancelled; it hardly ever waits."""


@attrs.define(eq=False)
class Watched(trio.abc.Stream):
    """A stream that sets *ended* when it has ended, whoever notices that."""

    _inner: trio.abc.Stream
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, and note if nobody is there."""
        try:
            await self._inner.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below does."""
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive, and note the end."""
        try:
            received = await self._inner.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        if not received:
            self.ended.set()
        return received

    async def aclose(self) -> None:
        """Close it, which is an end as well."""
        self.ended.set()
        await self._inner.aclose()


@attrs.frozen
class Request:
    """What is asked for: *authority* is the Host header, *path* may have a query."""

    authority: str
    path: str = attrs.field(repr=False)
    frame_bytes: int
    """Largest message; a larger one ends the connection with 1009."""


async def upgrade(
    nursery: trio.Nursery, stream: Watched, request: Request, seconds: float
) -> WebSocketConnection | None:
    """Return a connection whose reader runs in *nursery*; `None` if the stream has ended.

    Raises `trio.TooSlowError` if there is no answer within *seconds*.  A far end that refuses
    makes the reader raise `trio_websocket.ConnectionRejected` in *nursery*.
    """
    socket = None
    with trio.fail_after(seconds):
        async with trio.open_nursery() as waiting:
            waiting.start_soon(cancel_when, stream.ended, waiting.cancel_scope)
            socket = await wrap_client_stream(
                nursery,
                cast("Any", stream),  # annotated narrower than what it needs
                request.authority,
                request.path,
                max_message_size=request.frame_bytes,
            )
            waiting.cancel_scope.cancel(reason="it is open")
    return socket


async def part(socket: WebSocketConnection, code: int = 1000) -> None:
    """Say goodbye and wait for the same, together at most `CLOSE_SECONDS`; never fails.

    When cancelled it does not wait: cancelled together with us, the reader cannot see the
    answer.
    """
    cancelled = trio.current_effective_deadline() == -math.inf
    with trio.move_on_after(PARTING_SECONDS if cancelled else CLOSE_SECONDS, shield=True):
        await socket.aclose(code)


async def cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    """Cancel *scope* as soon as *event* is set."""
    await event.wait()
    scope.cancel(reason="what was waited for has happened")
