"""From whatever was logged to an entry that may be written: plain, redacted, bounded."""

import math
import re
import reprlib
import sys
from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.logs.redaction import STARS, Redactor

Entry = dict[str, Any]
"""``time``, ``level``, ``logger``, ``event``, maybe ``exception``, and what was added."""

DEPTH: Final = 4
"""Levels of lists and dicts that are kept; deeper ones become text."""

ITEMS: Final = 64
"""Members kept of one list or dict, and of the entry itself."""

LARGEST: Final = 2**53 - 1
"""Largest integer that every JSON reader keeps.  Source: RFC 7493, 2.2."""

_SECRET_KEYS: Final = frozenset(
    {
        *("api_key", "apikey", "authorization", "cookie", "passwd", "password"),
        *("proxy-authorization", "secret", "set-cookie", "token"),
    }
)

# What a terminal obeys, what ends a line somewhere, and what cannot be seen.
_CONTROL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_CONTROL_IN_LINES: Final = re.compile(_CONTROL.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def clean(entry: Mapping[str, Any], redactor: Redactor, most: int) -> tuple[Entry, bytes]:
    """Return *entry* as it may be written, and its line of JSON of at most *most* bytes.

    The exception keeps its lines; everything else is one line, controls escaped.
    """
    cleaner = _Cleaner(redactor, most)
    cleaned = {
        cleaner.text(str(key)): cleaner.lines(value)
        if key == "exception"
        else cleaner.value(str(key), value)
        for key, value in list(entry.items())[:ITEMS]
    }
    return _fitting(cleaned, most)


class _Cleaner:
    def __init__(self, redactor: Redactor, most: int) -> None:
        self._redactor = redactor
        self._most = most

    def value(self, key: str, value: Any, depth: int = 0) -> Any:
        """Return *value* made of plain JSON types."""
        if key.lower() in _SECRET_KEYS and value is not None:
            return STARS
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return self._number(value)
        if depth < DEPTH and isinstance(value, Mapping):
            members = list(value.items())[:ITEMS]
            return {self.text(str(k)): self.value(str(k), v, depth + 1) for k, v in members}
        if depth < DEPTH and isinstance(value, list | tuple | set | frozenset):
            return [self.value("", each, depth + 1) for each in list(value)[:ITEMS]]
        return self.text(_shown(value))

    def text(self, text: str) -> str:
        """Return *text* redacted, on one line and without controls."""
        return _CONTROL.sub(_escape, self._redacted(text))

    def lines(self, text: Any) -> str:
        """Return a traceback redacted and without controls; cut, it keeps its end."""
        shown = _shown(text)
        limit = self._limit
        kept = self._redactor.redact(shown[-limit:])
        if len(shown) > limit:
            kept = _cut_before(kept[self._redactor.longest :], len(shown))
        return _CONTROL_IN_LINES.sub(_escape, kept)

    def _number(self, value: float) -> Any:
        if isinstance(value, int) and abs(value) > LARGEST:
            return self.text(hex(value))  # decimal would be refused beyond 4300 digits
        shown = repr(value)
        safe = self._redactor.redact(shown)
        return value if safe == shown and math.isfinite(value) else safe

    def _redacted(self, text: str) -> str:
        limit = self._limit
        kept = self._redactor.redact(text[:limit])
        return (
            _cut(kept[: -self._redactor.longest or None], len(text)) if limit < len(text) else kept
        )

    @property
    def _limit(self) -> int:
        """Characters that are looked at: a megabyte costs no more than what is kept.

        What this cut may leave of a secret is within one length of its edge, which is
        taken away as well.
        """
        return self._most + self._redactor.longest


# Unlike repr(), it does not fail when the value's own __repr__ does.
_REPR: Final = reprlib.Repr()
_REPR.maxother = _REPR.maxstring = _REPR.maxlong = sys.maxsize


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode(errors="backslashreplace")
    return _REPR.repr(value)


def _escape(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def _cut(kept: str, length: int) -> str:
    return f"{kept}... [{length} characters]"


def _cut_before(kept: str, length: int) -> str:
    # What was raised stands at the end of a traceback.
    return f"[{length} characters] ...{kept}"


def _fitting(entry: Entry, most: int) -> tuple[Entry, bytes]:
    """Return *entry* with its longest values cut until its line has *most* bytes."""
    while len(line := orjson.dumps(entry)) > most:
        sizes = {key: len(orjson.dumps(value)) for key, value in entry.items()}
        longest = max(sizes, key=sizes.__getitem__)
        if sizes[longest] <= 64:
            # Many small ones, or absurd names: the latest are the least important.
            entry.pop(next(reversed(entry)))
        else:
            entry[longest] = _halved(entry[longest], longest)
    return entry, line


def _halved(value: Any, key: str) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    half = max(1, len(text) // 2 - 32)
    if key == "exception":
        return _cut_before(text[-half:], len(text))
    return _cut(text[:half], len(text))
