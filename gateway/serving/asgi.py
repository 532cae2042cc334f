"""HTTP/1.1 for an ASGI app: hypercorn's protocol, with every wait bounded.

hypercorn 0.18 parses and talks ASGI; its `TCPServer` is not used, because it sends under
a shield without deadline, so that a client which stops reading cannot be got rid of, and
lets exceptions of one connection end the server.  HTTP/2 is off: no client of a gateway
on one's own machine needs it, and it brings its own family of attacks.
"""

from contextlib import suppress
from math import inf
from typing import Any, cast

import h11
import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.logging import Logger
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState
from starlette.types import ASGIApp

from gateway.errors import leaves
from gateway.serving.admission import Admission
from gateway.serving.budget import ASKING, BUSY, SILENT, Slot
from gateway.serving.guard import Guard
from gateway.serving.head import Head, response
from gateway.serving.limits import Limits, bound
from gateway.serving.parting import PARTING_SECONDS, linger

log = structlog.get_logger(__name__)

READ_BYTES = 16_384
"""One read; hypercorn queues ten of them for an app that does not read its request."""
WRITE_BYTES = 65_536
"""One write; the unit to which ``send_seconds`` applies."""
GOODBYE_BYTES = 1_048_576
"""Input read and dropped at the end, lest the last response be lost to a reset."""


class _Log(Logger):
    """Where hypercorn reports: nothing of requests, errors of the app to structlog."""

    async def access(self, *_: object) -> None:
        """Report a request: not done, hypercorn's line holds the query string."""

    async def exception(self, message: str, *_: Any, **__: Any) -> None:
        """Report an exception that came out of the app."""
        log.exception(message)  # noqa: LOG004 - called from within its `except`


class _RefusedError(Exception):
    """A request that this adapter does not let through to hypercorn."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = response(status, message)


class _Http1(H11Protocol):
    """hypercorn's protocol without its ways out of HTTP/1.1."""

    async def _check_protocol(self, event: h11.Request) -> None:
        if event.http_version not in (b"1.0", b"1.1"):
            raise _RefusedError(505, "only HTTP/1.1 is spoken here")
        head = Head(
            "", "", [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
        )
        if head.all("content-length") and head.all("transfer-encoding"):
            # Proxies disagree about which of them holds: request smuggling.
            raise _RefusedError(400, "a body has a length or a transfer coding, not both")
        if head.wants_websocket:
            raise _RefusedError(400, "an upgrade must be the first request of its connection")


class HttpServer:
    """Serves *app* on connections, for requests that *admission* lets in."""

    def __init__(self, app: ASGIApp, admission: Admission, limits: Limits) -> None:
        self._app = ASGIWrapper(cast("Any", Guard(app, admission, limits)))
        self._limits = limits
        self._config = Config()
        self._config.logger_class = _Log
        self._config.accesslog = self._config.errorlog = None
        self._config.include_server_header = False
        self._config.h11_max_incomplete_size = limits.head_bytes

    async def serve(self, stream: trio.abc.Stream, slot: Slot, received: bytes) -> None:
        """Serve the requests on *stream*, the first of which begins with *received*.

        Returns when the connection is to be closed.  It counts as *slot*.
        """
        connection = _Connection(stream, slot, self._limits)
        await connection.run(received, self._app, self._config)


class _Connection:
    """One HTTP connection.  The deadline says what the peer has to do by when."""

    def __init__(self, stream: trio.abc.Stream, slot: Slot, limits: Limits) -> None:
        self._stream = stream
        self._slot = slot
        self._limits = limits
        self._scope = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._sending = trio.Lock()
        self._deadline = inf
        self._idle = False  # between two requests, and nothing of the next has come
        self._open = True
        slot.evict = lambda reason: self._scope.cancel(reason=reason)

    async def run(self, received: bytes, app: ASGIWrapper, config: Config) -> None:
        with self._scope:
            try:
                async with TaskGroup() as task_group:
                    self._protocol = self._new_protocol(app, config, task_group)
                    await self._read_all(received)
            except* _RefusedError as group:
                await self._send(RawData(leaves(group)[0].answer))
            await self._part()

    def _new_protocol(self, app: ASGIWrapper, config: Config, task_group: TaskGroup) -> _Http1:
        return _Http1(
            app,
            config,
            WorkerContext(None),
            task_group,
            ConnectionState(LifespanState({})),
            ssl=isinstance(self._stream, trio.SSLStream),
            client=(self._slot.address, 0) if self._slot.address else None,
            server=None,
            send=self._send,
        )

    # --- receiving

    async def _read_all(self, received: bytes) -> None:
        while received:
            await self._protocol.handle(RawData(received))
            received = await self._read() if self._open else b""
        self._open = False
        await self._protocol.handle(Closed())

    async def _read(self) -> bytes:
        """Return what the peer sends in time, else nothing."""
        self._expect()
        with trio.CancelScope(deadline=self._deadline) as self._reading:
            try:
                received = bytes(await self._stream.receive_some(READ_BYTES))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return b""
            if self._idle and received:
                self._idle = False
                self._deadline = trio.current_time() + bound(self._limits.handshake_seconds)
            return received
        return b""

    def _expect(self) -> None:
        """Set rank by what the connection is in the middle of; note when a body is due."""
        state = self._protocol.connection.their_state
        if state is h11.SEND_BODY:
            self._slot.rank = ASKING
        elif state is h11.IDLE:
            self._slot.rank = SILENT
        else:
            # The app's turn: it takes the time that it takes.
            self._slot.rank = BUSY
            self._deadline = inf

    # --- sending

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            async with self._sending:
                await self._send_bytes(event.data)
        elif isinstance(event, Closed):
            self._open = False
            self._reading.cancel()
        elif isinstance(event, Updated):
            self._update(idle=event.idle)

    async def _send_bytes(self, payload: bytes) -> None:
        rank, self._slot.rank = self._slot.rank, SILENT  # while it is the peer's turn
        try:
            for start in range(0, len(payload), WRITE_BYTES):
                with trio.fail_after(bound(self._limits.send_seconds)):
                    await self._stream.send_all(payload[start : start + WRITE_BYTES])
        except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
            # Half a response may be out; also, the app need not go on.
            self._scope.cancel(reason="the peer does not read")
        finally:
            self._slot.rank = rank

    def _update(self, *, idle: bool) -> None:
        """Note that a response is finished, or that a request has begun."""
        self._idle = idle
        seconds = self._limits.keep_alive_seconds if idle else self._limits.body_seconds
        self._deadline = self._reading.deadline = trio.current_time() + bound(seconds)
        if idle:
            self._slot.rank = SILENT

    async def _part(self) -> None:
        """Say that nothing follows and give the peer a moment to read the rest."""
        gone = suppress(trio.BrokenResourceError, trio.ClosedResourceError)
        with trio.move_on_after(PARTING_SECONDS), gone:
            await linger(self._stream, GOODBYE_BYTES)
