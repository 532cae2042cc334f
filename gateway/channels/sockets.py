"""Outgoing WebSockets of channels.

Every end of a connection is a `gateway.channels.base.LostError`, with the code and reason
of the close frame if there was one.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Self
from urllib.parse import urlsplit

import attrs
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection

from gateway.channels.base import ChannelError, LostError, StalledError
from gateway.web.client import tls_context
from gateway.web.upgrade import Request, Watched, part, upgrade

OPEN_SECONDS: Final = 15.0
"""Longest wait for name, TCP, TLS and the upgrade together."""

SEND_SECONDS: Final = 10.0
"""Longest time for one frame to get into the socket; then nobody reads at the far end."""

FRAME_BYTES: Final = 1024 * 1024
"""Largest message unless the platform's module says otherwise."""

ABNORMAL: Final = 1006
"""The code of an end without a close frame.  Source: RFC 6455, 7.1.5."""

TOO_BIG: Final = 1009
"""The code of an end because of a message above the limit.  Source: RFC 6455, 7.4.1."""


class ClosedError(LostError):
    """The connection has ended; *code* and *reason* are those of the close frame.

    Without one *code* is `ABNORMAL`.  *reason* is of the far end's making and bounded.
    """

    def __init__(self, code: int = ABNORMAL, reason: str = "") -> None:
        said = f": {reason}" if reason else ""
        how = "without a word" if code == ABNORMAL else f"with code {code}"
        super().__init__(f"the connection was closed {how}{said}", maybe_done=True)
        self.code = code
        self.reason = reason


@attrs.frozen
class Target:
    """Where a socket goes, taken apart; *path* includes the query, which may be a secret."""

    host: str
    port: int
    path: str = attrs.field(repr=False)
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return what *url* names; raises `LostError` if it is no WebSocket's."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.scheme not in ("ws", "wss") or not url.isascii():
            # Not the URL itself: what platforms give out has a ticket in it.
            raise LostError("the platform gave an address that is none of a WebSocket")
        tls = parts.scheme == "wss"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(host, port or (443 if tls else 80), path, tls)

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


Connect = Callable[[Target], Awaitable[trio.abc.Stream]]
"""Opens the byte stream below a WebSocket; raises `OSError` or `trio.BrokenResourceError`."""


async def connect_tcp(target: Target) -> trio.abc.Stream:
    """Return a stream to *target*, with the far end's certificate checked if it has TLS."""
    if not target.tls:
        return await trio.open_tcp_stream(target.host, target.port)
    stream = await trio.open_ssl_over_tcp_stream(
        target.host, target.port, ssl_context=await tls_context(), https_compatible=True
    )
    # Now and not with the first byte, because trio-websocket would hide what fails.
    await stream.do_handshake()
    return stream


@attrs.frozen(eq=False)
class Socket:
    """An open connection that carries text.

    Somebody has to read all the time: while a message waits for its reader, no ping of the
    far end is answered and no pong is seen.
    """

    _socket: WebSocketConnection
    _stream: Watched

    async def receive(self) -> str:
        """Return the next message; raises `ClosedError` behind the last."""
        try:
            message = await self._socket.get_message()
        except ConnectionClosed as error:
            raise _closed(error) from None
        if isinstance(message, bytes):
            raise LostError("the platform sent bytes where its protocol has text")
        return message

    async def send(self, text: str) -> None:
        """Send a message within `SEND_SECONDS`.

        Raises `ClosedError`, and `StalledError` if nobody reads it.  A cancelled send
        leaves half a frame: close the socket then.
        """
        if self._stream.ended.is_set():
            raise ClosedError
        with trio.move_on_after(SEND_SECONDS):
            try:
                await self._socket.send_message(text)
            except ConnectionClosed as error:
                raise _closed(error) from None
            return
        raise StalledError(f"the platform has read nothing for {SEND_SECONDS:g} s")

    async def ping(self, seconds: float) -> None:
        """Return when the far end has answered a ping; raises `StalledError` after *seconds*."""
        if self._stream.ended.is_set():
            raise ClosedError
        with trio.move_on_after(seconds):
            try:
                await self._socket.ping()
            except ConnectionClosed as error:
                raise _closed(error) from None
            return
        raise StalledError(f"the platform has not answered a ping for {seconds:g} s")

    async def close(self, code: int) -> None:
        """Say goodbye, as `gateway.web.upgrade.part` does.

        What was received and not read is thrown away.
        """
        if not self._stream.ended.is_set():
            await part(self._socket, code)


def _closed(error: ConnectionClosed) -> ClosedError:
    reason = error.reason
    if reason is None:
        return ClosedError()
    said = "".join(c for c in str(reason.reason or "")[:200] if c.isprintable())
    return ClosedError(reason.code, said)


@asynccontextmanager
async def open_socket(
    url: str,
    *,
    connect: Connect = connect_tcp,
    frame_bytes: int = FRAME_BYTES,
    close_code: int = 1000,
) -> AsyncIterator[Socket]:
    """Have a connection to *url* (``wss://...``); raises `LostError` if it cannot be had.

    Larger messages than *frame_bytes* end it with `TOO_BIG`.  Afterwards, also when
    cancelled, it is closed with *close_code*.  A `ChannelError` of the body comes out as
    it is, without a group around it.
    """
    target = Target.parse(url)
    stream = Watched(await _reach(target, connect))
    failure: ChannelError | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                socket = Socket(await _upgrade(nursery, stream, target, frame_bytes), stream)
                try:
                    yield socket
                finally:
                    await socket.close(close_code)
            except ChannelError as error:
                failure = error
            nursery.cancel_scope.cancel(reason="the socket is done with")
    except* ConnectionRejected as group:
        # Raised by trio-websocket's reader, beside whatever waited for the upgrade.
        status = next(each for each in group.exceptions if isinstance(each, ConnectionRejected))
        failure = LostError(f"the platform refused a connection with HTTP {status.status_code}")
    finally:
        await trio.aclose_forcefully(stream)
    if failure is not None:
        raise failure


async def _reach(target: Target, connect: Connect) -> trio.abc.Stream:
    try:
        with trio.fail_after(OPEN_SECONDS):
            return await connect(target)
    except trio.TooSlowError:
        raise StalledError(f"{target.host} does not answer") from None
    except ssl.CertificateError:
        raise LostError(f"the certificate of {target.host} is not valid") from None
    except (OSError, trio.BrokenResourceError) as error:
        kind = type(error.__cause__ or error).__name__
        raise LostError(f"{target.host} cannot be reached ({kind})") from None


async def _upgrade(
    nursery: trio.Nursery, stream: Watched, target: Target, frame_bytes: int
) -> WebSocketConnection:
    request = Request(target.authority, target.path, frame_bytes)
    try:
        socket = await upgrade(nursery, stream, request, OPEN_SECONDS)
    except trio.TooSlowError:
        raise StalledError(f"{target.host} does not answer") from None
    if socket is None:
        raise LostError(f"{target.host} speaks no WebSocket, or has hung up")
    return socket
