"""websockets' sans-IO protocol, stricter where RFC 6455 allows to be.  No I/O.

The library checks the UTF-8 of nothing and takes a close frame between two fragments for
an error.  Source: RFC 6455 5.4, 8.1; Autobahn 6.4.3, 6.4.4, 7.1.5.
"""

import codecs
import logging
from collections.abc import Generator

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import CLOSE, CONT, TEXT, Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask
from websockets.streams import StreamReader

from gateway.serving.limits import Limits

MASK_BYTES = 4
FIELD_BYTES = 8
"""The longest field of a frame's head; what is longer is payload."""
OPCODE = 0x0F

_DEFLATE = ServerPerMessageDeflateFactory(
    # No window is kept between messages, so that an idle connection costs nothing.
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    compress_settings={"level": 1, "memLevel": 5},
)
_log = logging.getLogger(__name__)
_log.setLevel(logging.ERROR)  # it reports every connection at INFO, every frame at DEBUG


class _Reader(StreamReader):
    """A stream reader that can show the payload of a frame while it arrives."""

    def __init__(self) -> None:
        super().__init__()
        self._fields: list[bytearray] = []
        self._shown = 0
        self.decoder: codecs.IncrementalDecoder | None = None
        """Whoever looks at the payload keeps the state here; None for a new frame."""

    # These two repeat the library's four lines instead of calling them: a generator more
    # for every field of every frame costs a fifth of the parser's speed.

    def at_eof(self) -> Generator[None, None, bool]:
        """Wait for a byte or the end.  The parser asks this between two frames only."""
        self._fields.clear()
        self._shown = 0
        self.decoder = None
        while not self.buffer:
            if self.eof:
                return True
            yield
        return False

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        """Wait for *n* bytes; raises `EOFError` if fewer come."""
        buffer = self.buffer
        while len(buffer) < n:
            if self.eof:
                raise EOFError(f"stream ends after {len(buffer)} bytes, expected {n} bytes")
            yield
        field = buffer[:n]
        del buffer[:n]
        if n <= FIELD_BYTES:
            self._fields.append(field)
        return field

    @property
    def first_byte(self) -> int | None:
        """The first byte of the frame whose payload is arriving, if one is."""
        fields = self._fields
        return fields[0][0] if len(fields) > 1 and len(fields[-1]) == MASK_BYTES else None

    def fresh(self) -> bytes:
        """Return payload that has not been returned before."""
        mask = self._fields[-1]
        turn = self._shown % MASK_BYTES
        payload = apply_mask(self.buffer[self._shown :], mask[turn:] + mask[:turn])
        self._shown = len(self.buffer)
        return payload


class Protocol(ServerProtocol):
    """The server's side of one connection."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            # Open from the start: the request has been parsed by h11 already.
            state=OPEN,
            extensions=[_DEFLATE] if limits.compression else None,
            max_size=limits.preauth_frame_bytes or None,
            logger=_log,
        )
        self._early = self.reader = _Reader()
        self.parser = self.parse()  # again, since the first one waits on the first reader
        next(self.parser)

    def recv_frame(self, frame: Frame) -> None:
        """Process an incoming frame."""
        if frame.opcode is CLOSE:
            self.current_size = None  # closing in the middle of a message is allowed
        super().recv_frame(frame)

    def check_text(self, message: codecs.IncrementalDecoder | None) -> None:
        """Look at a text frame that has begun to arrive.

        *message* decodes the fragmented text that it may continue.  Raises
        `UnicodeDecodeError` if it cannot become UTF-8 any more.  Compressed connections
        are not looked at.
        """
        first = self._early.first_byte
        if first is None or self.extensions or self.state is not OPEN:
            return
        decoder = self._early.decoder
        if decoder is None:
            decoder = self._decoder_for(first & OPCODE, message)
        if decoder is not None:
            self._early.decoder = decoder
            decoder.decode(self._early.fresh())

    def _decoder_for(
        self, opcode: int, message: codecs.IncrementalDecoder | None
    ) -> codecs.IncrementalDecoder | None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        if opcode == TEXT:
            return decoder
        if opcode == CONT and message is not None:
            decoder.setstate(message.getstate())
            return decoder
        return None
