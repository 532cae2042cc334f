"""One open WebSocket, as its handler sees it."""

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache

import trio
from websockets.frames import BINARY, TEXT, CloseCode, Frame
from websockets.protocol import OPEN

from gateway.protocol.codes import Close
from gateway.serving.budget import ASKING, Slot
from gateway.serving.limits import Limits, bound
from gateway.serving.messages import Assembler, Message, close_reason
from gateway.serving.protocol import Protocol
from gateway.serving.wire import SHARED_BYTES, Wire

LINGER_BYTES = 16 * 1_048_576
"""Read and dropped after a close frame: closing a socket with unread input resets the
connection, and then the peer may never see why."""
DEFLATE_BYTES = 1024
"""Messages below are not worth compressing."""
NO_HEADERS: Mapping[str, str] = {}


@lru_cache(maxsize=4096)
def _header(opcode: int, length: int) -> bytes:
    """Return the head of an unfragmented, unmasked frame.  Source: RFC 6455 5.2."""
    first = 0x80 | opcode
    if length < 126:
        return struct.pack("!BB", first, length)
    if length < 65_536:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)


class WebSocket:
    """Messages in, messages out.  One task receives; any may send.

    Sending never waits and never raises.  Whoever sends much looks at `full`, and goes on
    when `on_drain` is called or `drained` returns.
    """

    __slots__ = (
        "_assembler",
        "_closing_since",
        "_eof",
        "_farewell",
        "_heard",
        "_inbox",
        "_limits",
        "_mute",
        "_ping_sent",
        "_protocol",
        "_quiet_since",
        "_reading",
        "_slot",
        "_wire",
        "headers",
        "path",
        "peer",
    )

    def __init__(
        self,
        wire: Wire,
        protocol: Protocol,
        limits: Limits,
        slot: Slot,
        *,
        path: str = "/",
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self.peer = slot.address
        """Address of the peer, an IPv4-mapped one as IPv4; empty if it has none."""
        self.path = path
        """Path of the upgrade request, without the query."""
        self.headers = headers
        """Headers of the upgrade request by lower-case name, repeated ones joined with a
        comma.  Empty after `authenticated`: they hold the credential, and memory."""
        self._wire = wire
        self._protocol = protocol
        self._assembler = Assembler(protocol, limits, trio.current_time)
        self._limits = limits
        self._slot: Slot | None = slot
        self._inbox: list[Message] = []
        self._farewell: list[bytes] | None = None  # the close frame, until its turn comes
        self._mute = False  # the close frame is out: nothing may follow it
        self._eof = False  # nothing more comes in
        self._reading = False
        self._closing_since: float | None = None
        self._heard = False  # something, since the last sweep
        self._quiet_since = trio.current_time()
        self._ping_sent = False

    def begin(self, answer: bytes, received: bytes) -> None:
        """Send *answer* to the upgrade; process what came behind the request."""
        self._wire.write(answer)
        self._wire.flush()
        if received:
            self._process(received)

    # --- receiving ----------------------------------------------------------------------

    async def receive(self) -> Message | None:
        """Return the next message, or None when the connection is closed.

        If it is cancelled nothing is lost.
        """
        if not await self._fill():
            return None
        return self._inbox.pop(0)

    async def receive_batch(self) -> list[Message]:
        """Return the messages that arrived together; none when the connection is closed.

        Waits while the queue towards the peer is full: who does not read the answers is
        not asked for more questions.  If it is cancelled nothing is lost.
        """
        await self._fill()
        batch, self._inbox = self._inbox, []
        return batch

    async def _fill(self) -> bool:
        """Wait for messages in the inbox; return whether there are any."""
        while not self._inbox:
            self._say_farewell()
            await self._wire.drained()
            if self.closed or self._eof:
                return False
            await self._read()
        return True

    async def _read(self) -> int:
        """Wait for bytes and process them; return how many."""
        self._reading = True
        try:
            received = await self._wire.read()
        finally:
            self._reading = False
        self._heard = True
        if received:
            self._process(received)
        else:
            self._eof = True
            self._protocol.receive_eof()
            self._wire.close()
        return len(received)

    def _process(self, received: bytes) -> None:
        protocol = self._protocol
        was_open = protocol.state is OPEN
        messages = self._assembler.feed(received)
        if messages and was_open:
            self._inbox += messages
            if self._slot is not None:
                self._slot.rank = ASKING
        writes = protocol.data_to_send()
        if writes:
            self._answer(writes)

    def _answer(self, writes: list[bytes]) -> None:
        """Send what the protocol wants sent: pongs at once, a close frame in its turn."""
        if self._protocol.state is OPEN:
            if not self._wire.full:  # a pong may be left out, the next one will do
                self._wire.write(*writes)
            return
        self._begin_closing()
        # The answers to what came before the close frame, or before the violation, go out
        # first: so this waits until the handler asks for more.
        self._farewell = writes
        if not self._inbox:
            self._say_farewell()

    # --- sending ------------------------------------------------------------------------

    def send(self, message: Message) -> bool:
        """Send *message*: str as text, bytes as binary.

        Returns whether it was taken; it is not when the queue is `full` or the connection
        is `closed`.
        """
        if isinstance(message, str):
            return self._send(TEXT, message.encode())
        return self._send(BINARY, message)

    def send_text(self, payload: bytes) -> bool:
        """Send *payload*, which is UTF-8, as text.  Returns like `send`."""
        return self._send(TEXT, payload)

    def send_shared(self, prefix: bytes, suffix: bytes) -> bool:
        """Send ``prefix + suffix`` as text.  Returns like `send`.

        For one event to many connections: a long *prefix* is not copied for each.
        """
        if self.closed or self._wire.full:
            return False
        header = _header(TEXT, len(prefix) + len(suffix))
        if len(prefix) < SHARED_BYTES:
            self._wire.write(b"".join((header, prefix, suffix)))
        else:
            self._wire.write(header, prefix, suffix)
        return True

    async def send_patiently(self, payload: bytes) -> bool:
        """Send text, waiting while the queue is full; return False if closed instead."""
        while not self._send(TEXT, payload):
            if self.closed:
                return False
            await self._wire.drained()
        return True

    def _send(self, opcode: int, payload: bytes) -> bool:
        if self.closed or self._wire.full:
            return False
        if self._protocol.extensions and len(payload) >= DEFLATE_BYTES:
            frame = Frame(TEXT if opcode == TEXT else BINARY, payload)
            self._wire.write(frame.serialize(mask=False, extensions=self._protocol.extensions))
        elif len(payload) < SHARED_BYTES:
            self._wire.write(_header(opcode, len(payload)) + payload)
        else:
            self._wire.write(_header(opcode, len(payload)), payload)
        return True

    @property
    def queued_bytes(self) -> int:
        """What waits to be sent."""
        return self._wire.queued

    @property
    def full(self) -> bool:
        """Whether the queue has reached its limit and is not yet half empty again."""
        return self._wire.full

    @property
    def on_drain(self) -> Callable[[], None] | None:
        """Called when the queue stops being `full`.  It must be quick and not raise."""
        return self._wire.on_drain

    @on_drain.setter
    def on_drain(self, callback: Callable[[], None] | None) -> None:
        self._wire.on_drain = callback

    async def drained(self) -> None:
        """Wait until the queue is not full, or the connection is gone."""
        await self._wire.drained()

    # --- life ---------------------------------------------------------------------------

    def authenticated(self) -> None:
        """Lift the bounds on strangers: deadline, frame size, number of connections.

        A frame that has begun to arrive is still held to the old size.
        """
        if self._slot is not None:
            self._slot.release()
            self._slot = None
        self._protocol.max_message_size = self._limits.frame_bytes or None
        self.headers = NO_HEADERS

    @property
    def closed(self) -> bool:
        """Whether sending is over; true as soon as a close frame is queued."""
        return self._mute or self._wire.closed

    @property
    def close_code(self) -> int | None:
        """The code of the peer's close frame, else of ours; None if there is neither."""
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return close.code if close else None

    def close_soon(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Queue a close frame; the socket is closed when the peer answers, or soon after.

        *reason* is shortened to 123 bytes.  Without effect if it is closed already.
        """
        if self._protocol.state is OPEN and not self.closed:
            self._protocol.send_close(code, close_reason(reason))
            self._farewell = self._protocol.data_to_send()
            self._begin_closing()
        self._say_farewell()

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close and wait until the connection is gone, at most ``close_seconds``.

        If it is cancelled the connection is gone too.
        """
        self.close_soon(code, reason)
        if self._wire.closed:
            return
        try:
            with trio.move_on_after(self._limits.close_seconds):
                await self._wire.emptied()
                await self._linger()
        finally:
            self._wire.close()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await self._wire.wait_closed()

    def abort(self, code: int, reason: str) -> None:
        """Close at once; the close frame is sent if the peer takes it without waiting."""
        self.close_soon(code, reason)
        self._wire.close_after_flush()

    def sweep(self, now: float) -> None:
        """Do what is due at *now*: ping, or close what is dead, slow or closing for long."""
        limits = self._limits
        full_since = self._wire.full_since
        if self._closing_since is not None:
            if now - self._closing_since >= limits.close_seconds:
                self._wire.close()
        elif full_since is not None and now - full_since >= bound(limits.slow_seconds):
            self.close_soon(Close.SLOW, "slow consumer")
        elif self._heard:
            self._heard = self._ping_sent = False
            self._quiet_since = now
        else:
            self._check_alive(now - self._quiet_since)

    def _check_alive(self, quiet: float) -> None:
        """Ping a peer that was *quiet* for too long, or give it up."""
        if quiet < bound(self._limits.ping_seconds):
            return
        if not self._ping_sent:
            self._ping_sent = True
            self._protocol.send_ping(b"")
            self._wire.write(*self._protocol.data_to_send())
        elif quiet >= self._limits.ping_seconds + bound(self._limits.pong_seconds):
            self.abort(CloseCode.INTERNAL_ERROR, "no answer to a ping")

    def _begin_closing(self) -> None:
        if self._closing_since is None:
            self._closing_since = trio.current_time()

    def _say_farewell(self) -> None:
        if self._farewell is not None:
            # Without the empty one, which stands for the end of the stream.
            self._wire.write(*filter(None, self._farewell))
            self._farewell = None
            self._mute = True

    async def _linger(self) -> None:
        """Read until the peer has closed, in the way of the protocol or of TCP."""
        if self._reading:  # by the handler's task, which gets to know the end
            await self._wire.wait_closed()
        allowance = LINGER_BYTES
        said_eof = False
        while not self._eof and allowance > 0:
            if self._protocol.eof_sent and not said_eof:
                said_eof = True
                await self._wire.emptied()
                await self._wire.send_eof()
                if self._protocol.close_rcvd is not None:
                    return  # both close frames have passed: nothing unread can be there
            allowance -= await self._read()
