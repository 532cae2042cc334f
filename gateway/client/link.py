"""One WebSocket connection to a gateway, and where that is."""

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

import attrs
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection

from gateway.errors import leaves
from gateway.web.upgrade import Request, Watched, part, upgrade

from .ending import Ending, LinkError

OPEN_SECONDS: Final = 10.0
"""Longest wait for TCP, TLS and the upgrade; the same as the gateway's handshake."""

FRAME_BYTES: Final = 16 * 1024 * 1024
"""Largest frame accepted from a gateway: a whole history, not a memory bomb."""

_PORTS: Final = {"ws": 80, "http": 80, "wss": 443, "https": 443}

_NO_ADDRESS: Final = "is no address like ws://127.0.0.1:18789"

OpenStream = Callable[[], Awaitable[trio.abc.Stream]]
"""Opens the byte stream below the WebSocket."""


@attrs.frozen
class Address:
    """Where a gateway is, taken apart."""

    host: str
    port: int
    path: str
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address that *url* names; raises `ValueError` if it is none.

        ``http`` and ``https`` are taken for ``ws`` and ``wss``.  Credentials and query
        strings are refused: they end up in logs.
        """
        parts = _parts(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"{url!r} {_NO_ADDRESS}")
        if parts.username is not None or parts.query:
            raise ValueError("an address must not contain credentials or a query; pass the token")
        tls = parts.scheme in ("wss", "https")
        port = parts.port or _PORTS[parts.scheme]
        return cls(parts.hostname, port, parts.path or "/", tls)

    @property
    def authority(self) -> str:
        """The value of the Host header; IPv6 addresses are in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["wss" if self.tls else "ws"] else f"{host}:{self.port}"

    async def open(self, context: ssl.SSLContext | None) -> trio.abc.Stream:
        """Return a stream to there; raises `OSError` if nothing answers."""
        if not self.tls:
            return await trio.open_tcp_stream(self.host, self.port)
        return await trio.open_ssl_over_tcp_stream(
            self.host, self.port, ssl_context=context, https_compatible=True
        )


def _parts(url: str) -> SplitResult:
    """Return *url* taken apart, with a port that can be read."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # read only now; so is whether it is a port at all
    except ValueError as error:
        raise ValueError(f"{url!r} {_NO_ADDRESS}: {str(error).lower()}") from None
    return parts


@attrs.frozen(eq=False)
class Link:
    """An open connection that carries text; every method raises `LinkError` at its end."""

    _socket: WebSocketConnection

    async def send(self, text: str) -> None:
        """Send one frame.  A cancelled send leaves half of it: close the link then."""
        try:
            await self._socket.send_message(text)
        except ConnectionClosed as error:
            raise _lost(error) from None

    async def receive(self) -> str:
        """Return the next frame; bytes are a breach of the protocol."""
        try:
            message = await self._socket.get_message()
        except ConnectionClosed as error:
            raise _lost(error) from None
        if isinstance(message, bytes):
            raise LinkError(Ending("it sent bytes where the protocol has text", reached=True))
        return message

    async def ping(self) -> None:
        """Return when the far end has answered a ping."""
        try:
            await self._socket.ping()
        except ConnectionClosed as error:
            raise _lost(error) from None


def _lost(error: ConnectionClosed) -> LinkError:
    reason = error.reason
    if reason is None or reason.code == 1006:  # 1006: it ended without a word
        return LinkError(Ending("it hung up", reached=True))
    said = reason.reason or reason.name.lower().replace("_", " ")
    return LinkError(Ending(f"{said} ({reason.code})", code=reason.code, reached=True))


@asynccontextmanager
async def open_link(address: Address, open_stream: OpenStream) -> AsyncIterator[Link]:
    """Open a connection; raises `LinkError`, possibly in a group, if that fails.

    When the body ends the far end gets a close frame and `CLOSE_SECONDS` to answer.
    """
    try:
        async with trio.open_nursery() as nursery:
            stream = Watched(await _reach(address, open_stream))
            try:
                socket = await _upgrade(nursery, stream, address)
                try:
                    yield Link(socket)
                finally:
                    await part(socket)
            finally:
                await trio.aclose_forcefully(stream)
                nursery.cancel_scope.cancel()
    except* ConnectionRejected as rejected:
        # Raised by trio-websocket's reader, beside whatever waited for the upgrade.
        raise _refused(leaves(rejected)[0]) from None


async def _reach(address: Address, open_stream: OpenStream) -> trio.abc.Stream:
    try:
        with trio.fail_after(OPEN_SECONDS):
            return await open_stream()
    except trio.TooSlowError:
        reason = f"nothing answered at {address.authority} within {OPEN_SECONDS:g} s"
    except (OSError, trio.BrokenResourceError) as error:
        reason = f"nothing listens at {address.authority} ({_why(error)})"
    raise LinkError(Ending(reason))


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, trio.BrokenResourceError) and error.__cause__ is not None:
        return _why(error.__cause__)
    # Trio sums up what each address of a name said; the first cause is enough for people.
    if isinstance(error, OSError) and error.errno is None and error.__cause__ is not None:
        causes = getattr(error.__cause__, "exceptions", (error.__cause__,))
        return _why(causes[0])
    if isinstance(error, ConnectionError | TimeoutError) and error.errno is not None:
        return os.strerror(error.errno).lower()  # Trio's text has the address in it again
    strerror = getattr(error, "strerror", None)
    return str(strerror or str(error) or type(error).__name__).lower()


async def _upgrade(nursery: trio.Nursery, stream: Watched, address: Address) -> WebSocketConnection:
    request = Request(address.authority, address.path, FRAME_BYTES)
    try:
        socket = await upgrade(nursery, stream, request, OPEN_SECONDS)
    except trio.TooSlowError:
        what = "did not answer"
    else:
        if socket is not None:
            return socket
        what = "does not speak WebSocket"
    raise LinkError(Ending(f"what listens at {address.authority} {what}"))


def _refused(error: ConnectionRejected) -> LinkError:
    said = (error.body or b"")[:200].decode(errors="replace").strip()
    if "<" in said or "\n" in said:
        said = ""  # a page: a gateway says one sentence
    reason = f"HTTP {error.status_code}" + (f": {said}" if said else "")
    headers = {name.lower(): value for name, value in error.headers}
    after = headers.get(b"retry-after", b"").decode()
    return LinkError(
        Ending(
            reason,
            status=error.status_code,
            retry_after=float(after) if after.isdecimal() else None,
        )
    )
