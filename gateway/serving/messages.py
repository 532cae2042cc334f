"""From bytes to messages: what websockets' sans-IO protocol leaves open.  No I/O.

It joins fragments, checks UTF-8 as it arrives, and bounds what costs the peer nothing:
empty fragments and control frames.
"""

import codecs
from collections.abc import Callable
from typing import Any

from websockets.frames import BINARY, CONT, TEXT, CloseCode, Frame

from gateway.serving.limits import FLOOD_SECONDS, Limits, bound
from gateway.serving.protocol import Protocol

Message = str | bytes

SLICE_BYTES = 4096
"""Bytes parsed before the flood limit is looked at: at most 700 of the smallest frames."""
REASON_BYTES = 123
"""A control frame has 125 bytes, two of which are the close code.  Source: RFC 6455 5.5."""


def close_reason(text: str) -> str:
    """Return *text*, shortened to what fits into a close frame."""
    return text.encode()[:REASON_BYTES].decode(errors="ignore")


class ViolationError(Exception):
    """The peer broke a rule that the protocol object does not check."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Flood:
    """A bucket that leaks *rate* a second and overflows when that is exceeded for long."""

    __slots__ = ("_clock", "_level", "_rate", "_since")

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._level = 0.0
        self._since = clock()

    def add(self) -> bool:
        """Count one; return whether that is too much."""
        now = self._clock()
        self._level = max(0.0, self._level - (now - self._since) * self._rate) + 1
        self._since = now
        return self._level > self._rate * FLOOD_SECONDS


class Assembler:
    """Turns what one peer sends into messages.

    *clock* returns seconds.  When the peer breaks a rule the protocol is failed, with a
    close frame among its `data_to_send`, and nothing more is parsed.
    """

    __slots__ = ("_clock", "_decoder", "_flood", "_fragments", "_limits", "_parts", "protocol")

    def __init__(self, protocol: Protocol, limits: Limits, clock: Callable[[], float]) -> None:
        self.protocol = protocol
        self._limits = limits
        self._clock = clock
        self._flood: Flood | None = None  # most connections never need it
        self._parts: list[Any] = []  # of a fragmented message: all str or all bytes
        self._decoder: codecs.IncrementalDecoder | None = None  # if it is text
        self._fragments = 0

    def feed(self, received: bytes) -> list[Message]:
        """Parse *received* and return the messages that are complete now."""
        messages: list[Message] = []
        for start in range(0, len(received), SLICE_BYTES):
            # Also after a failure: the protocol then only looks for the end.
            self._feed(received[start : start + SLICE_BYTES], messages)
        return messages

    def _feed(self, received: bytes, messages: list[Message]) -> None:
        protocol = self.protocol
        protocol.receive_data(received)
        try:
            for frame in protocol.events_received():
                assert isinstance(frame, Frame)  # requests are h11's
                message = self._take(frame)
                if message is not None:
                    messages.append(message)
            protocol.check_text(self._decoder)
        except UnicodeDecodeError:
            protocol.fail(CloseCode.INVALID_DATA, "text must be UTF-8")
        except ViolationError as violation:
            protocol.fail(violation.code, violation.reason)

    def _take(self, frame: Frame) -> Message | None:
        opcode = frame.opcode
        if not frame.data or opcode > BINARY:
            self._count_cheap()
        if opcode is TEXT and frame.fin:
            return str(frame.data, "utf-8")
        if opcode is BINARY and frame.fin:
            return bytes(frame.data)
        if opcode <= BINARY:
            return self._take_fragment(frame)
        return None

    def _count_cheap(self) -> None:
        if not self._limits.control_frames_per_second:
            return
        if self._flood is None:
            self._flood = Flood(self._limits.control_frames_per_second, self._clock)
        if self._flood.add():
            raise ViolationError(CloseCode.POLICY_VIOLATION, "too many control or empty frames")

    def _take_fragment(self, frame: Frame) -> Message | None:
        if frame.opcode is not CONT:
            self._begin(is_text=frame.opcode is TEXT)
        self._fragments += 1
        if self._fragments > bound(self._limits.fragments):
            raise ViolationError(CloseCode.POLICY_VIOLATION, "too many fragments")
        part = self._decoder.decode(frame.data, frame.fin) if self._decoder else bytes(frame.data)
        self._parts.append(part)
        if not frame.fin:
            return None
        return self._end()

    def _begin(self, *, is_text: bool) -> None:
        self._parts = []
        self._fragments = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")() if is_text else None

    def _end(self) -> Message:
        parts, self._parts = self._parts, []
        is_text, self._decoder = self._decoder is not None, None
        return "".join(parts) if is_text else b"".join(parts)
