"""Lines of IRC: taken apart, put together, divided.  Pure.

Source: RFC 2812 2.3 and https://ircv3.net/specs/extensions/message-tags.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from gateway.channels.irc.names import Source

LINE_BYTES: Final = 512
"""Longest line with its CRLF, without tags; what is beyond, servers cut off or kill for."""

RECEIVED_BYTES: Final = 16 * 1024
"""Longest line that is read: 8191 bytes of tags and 512 are allowed, some servers send more."""

PARAMS: Final = 32
"""Most params that are looked at; 15 are allowed."""

_VALUES: Final = {":": ";", "s": " ", "r": "\r", "n": "\n", "\\": "\\"}
_ESCAPE: Final = re.compile(r"\\(.?)", re.DOTALL)


@attrs.frozen
class Line:
    """One line.  *command* is in upper case; *params* may be fewer than it should have."""

    command: str
    params: tuple[str, ...] = ()
    source: Source | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict)

    def param(self, index: int) -> str:
        """Return a param, also from the end; empty if there is none."""
        try:
            return self.params[index]
        except IndexError:
            return ""

    @property
    def numeric(self) -> bool:
        """Whether it is a server's reply to something."""
        return len(self.command) == 3 and self.command.isdigit()


def parse(received: bytes) -> Line | None:
    """Return the line in *received*, which has no line end; `None` if it is none."""
    rest = _decode(received).lstrip(" ")
    tags: dict[str, str] = {}
    source = None
    if rest.startswith("@"):
        written, _, rest = rest[1:].partition(" ")
        tags = dict(_tags(written))
        rest = rest.lstrip(" ")
    if rest.startswith(":"):
        written, _, rest = rest[1:].partition(" ")
        source = Source.parse(written)
    before, colon, trailing = rest.partition(" :")
    # Not by any white space: a nick may have a no-break space in it.
    command, *params = [each for each in before.split(" ") if each][: PARAMS + 1] or [""]
    if not command.isascii() or not command.isalnum():
        return None
    return Line(command.upper(), (*params, *([trailing] if colon else ())), source, tags)


def _decode(received: bytes) -> str:
    try:
        return received.decode("utf-8")
    except UnicodeDecodeError:
        # What clients send that know nothing of UTF-8; loses nothing.
        return received.decode("latin-1")


def _tags(written: str) -> Iterator[tuple[str, str]]:
    for each in written.split(";"):
        name, _, value = each.partition("=")
        if name:
            yield name, _ESCAPE.sub(lambda found: _VALUES.get(found[1], found[1]), value)


def build(command: str, *params: str) -> bytes:
    """Return a line to send, with its end; raises `ValueError` for what would be two.

    All *params* but the last are single words.
    """
    *words, last = params or ("",)
    if any(not each or " " in each or each.startswith(":") for each in words):
        raise ValueError(f"a param of {command} is no word")
    text = " ".join([command, *words, *([f":{last}"] if params else [])])
    if re.search(r"[\r\n\0]", text):
        raise ValueError(f"a param of {command} has more than one line")
    return f"{text}\r\n".encode("utf-8", "replace")


def room(source: str, target: str) -> int:
    """Return the bytes for the text of one message from *source*, as others receive it."""
    return LINE_BYTES - len(f":{source} PRIVMSG {target} :\r\n".encode())


def divide(text: str, length: int) -> Iterator[str]:
    """Yield *text* in pieces of at most *length* bytes, at spaces if that does, losing none.

    A space at which it is divided is dropped.  *length* counts as at least 4: one character.
    """
    length = max(length, 4)
    while len(text.encode()) > length:
        piece = text.encode()[:length].decode("utf-8", "ignore")
        space = piece.rfind(" ")
        if space > len(piece) // 2:
            piece = piece[:space]
        yield piece
        text = text[len(piece) :].removeprefix(" ")
    if text:
        yield text


@attrs.define(eq=False)
class Splitter:
    """Turns bytes into lines without their ends; one that is too long is dropped.

    *dropped* counts those.
    """

    limit: int = RECEIVED_BYTES
    dropped: int = attrs.field(default=0, init=False)
    _rest: bytearray = attrs.field(factory=bytearray, init=False)
    _skipping: bool = attrs.field(default=False, init=False)

    def feed(self, received: bytes) -> list[bytes]:
        """Return the lines that *received* completes, without empty ones."""
        *complete, last = received.split(b"\n")
        found = [line for each in complete if (line := self._end(each))]
        self._add(last)
        return found

    def _end(self, received: bytes) -> bytes:
        """Return the line that ends with *received*; empty if it is to be dropped."""
        self._add(received)
        line = b"" if self._skipping else bytes(self._rest).strip(b"\r")
        self._rest.clear()
        self._skipping = False
        return line

    def _add(self, received: bytes) -> None:
        if self._skipping:
            return
        self._rest += received
        if len(self._rest) > self.limit:
            self._rest.clear()
            self._skipping = True
            self.dropped += 1
