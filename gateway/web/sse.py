"""Server-sent events, taken apart as they come.  Pure.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import attrs

BOM = b"\xef\xbb\xbf"


class TooLongError(ValueError):
    """A line or an event is longer than it may be."""


LONGEST_WAIT = 3600.0
"""Most seconds of a ``retry:``; more is a mistake."""


@attrs.frozen
class Event:
    """One event.  *id* is where to go on after it: the last that was given; may be empty."""

    data: str
    name: str = "message"
    id: str = ""


@attrs.define(eq=False)
class Parser:
    """Turns bytes into events.

    *limit*, in bytes, is for one line and for one event.  *lines* counts the lines that
    were complete, comments too: the sign that the server is alive.  *retry* is what the
    server wants to be waited before connecting again, in seconds.
    """

    limit: int
    lines: int = attrs.field(default=0, init=False)
    retry: float | None = attrs.field(default=None, init=False)
    _id: str = attrs.field(default="", init=False)
    _name: str = attrs.field(default="", init=False)
    _rest: bytearray = attrs.field(factory=bytearray, init=False)
    _fields: list[bytes] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)
    _after_cr: bool = attrs.field(default=False, init=False)

    def feed(self, received: bytes) -> list[Event]:
        """Return the events that *received* completes; raises `TooLongError`.

        An event that the server did not end with an empty line is dropped, as specified.
        """
        if self._after_cr and received:
            # CR and LF of one line end may come apart.
            received = received.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = received.endswith(b"\r") or (self._after_cr and not received)
        self._rest += received
        if len(self._rest) > self.limit + len(received):
            raise TooLongError(f"a line of more than {self.limit} bytes")
        if b"\n" not in received and b"\r" not in received:
            # Looking through the rest again and again would be quadratic.
            return []
        # Only LF, CR and CRLF end a line; splitlines of bytes knows exactly these.
        *complete, last = (bytes(self._rest) + b"\0").splitlines()
        self._rest[:] = last[:-1]
        return [event for line in complete if (event := self._take(line)) is not None]

    def _take(self, line: bytes) -> Event | None:
        """Take one line; return the event that it ends, if it does."""
        if self.lines == 0:
            line = line.removeprefix(BOM)
        self.lines += 1
        if not line:
            return self._finish()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._fields.append(value)
                self._size += len(value)
                if self._size > self.limit:
                    raise TooLongError(f"an event of more than {self.limit} bytes")
            case b"event":
                self._name = value.decode("utf-8", "replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
            case b"retry" if value.isdigit():
                # int() of very many digits takes long; more than nine are too many anyway.
                self.retry = min(int(value[:9]) / 1000, LONGEST_WAIT)
        return None

    def _finish(self) -> Event | None:
        name, self._name = self._name, ""
        if not self._fields:
            return None
        data = b"\n".join(self._fields).decode("utf-8", "replace")
        self._fields.clear()
        self._size = 0
        return Event(data, name or "message", self._id)
