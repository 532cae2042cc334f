"""Takes secrets out of text: by value, and by structure where the value is not known."""

import base64
import re
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Final
from urllib.parse import quote, quote_plus

import attrs
import orjson

STARS: Final = "***"

SHORTEST: Final = 6
"""Shorter values are not searched for: they are part of too many words."""

MOST: Final = 1000
"""Most values remembered.  Those that were replaced by a reload may still turn up."""

_USER: Final = re.compile(r"(?<=://)[^\s/?#@\"'<>]+(?=@)")
_PAIR: Final = re.compile(r"([?&;]([\w.-]{1,64}+)=)[^&;\s\"'#<>\\]+")
_BEARER: Final = re.compile(r"\b(bearer|basic)\s++[\w.~+/=-]{6,}+", re.IGNORECASE)
_TELLING: Final = re.compile(
    r"token|passw|pwd|secret|key|auth|credential|cookie|signature|\A(?:sig|code|session)\Z",
    re.IGNORECASE,
)


def tells(name: str) -> bool:
    """Whether a query parameter of this *name* usually has a secret."""
    return _TELLING.search(name) is not None


@attrs.define
class Redactor:
    """Knows the secrets of this process, in all the forms in which they may be written."""

    _values: dict[str, tuple[str, ...]] = attrs.field(factory=dict, init=False)
    _forms: tuple[str, ...] = attrs.field(default=(), init=False)
    _lock: Lock = attrs.field(factory=Lock, init=False)

    def add(self, values: Iterable[str]) -> None:
        """Redact *values* from now on; those added longest ago make room beyond `MOST`."""
        with self._lock:
            for value in values:
                if len(value) >= SHORTEST:
                    self._values[value] = self._values.pop(value, ()) or _forms(value)
            for oldest in list(self._values)[:-MOST]:
                del self._values[oldest]
            forms = {each for variants in self._values.values() for each in variants}
            # Longest first: a form may be part of another one.
            self._forms = tuple(sorted(forms, key=len, reverse=True))

    @property
    def longest(self) -> int:
        """Characters of the longest form; text cut anywhere hides at most that many."""
        return len(self._forms[0]) if self._forms else 0

    def redact(self, text: str) -> str:
        """Return *text* with ``***`` in the place of every secret."""
        # Looking for each form is a fast search in C; one pattern for all is slower.
        for form in self._forms:
            if form in text:
                text = text.replace(form, STARS)
        return _by_structure(text)


redactor: Final = Redactor()
"""The one of this process: secrets are added where they are loaded or made."""


def _by_structure(text: str) -> str:
    if "://" in text:
        text = _USER.sub(STARS, text)
    if "=" in text:
        text = _PAIR.sub(lambda found: found[1] + STARS if tells(found[2]) else found[0], text)
    return _BEARER.sub(rf"\1 {STARS}", text)


def _forms(value: str) -> tuple[str, ...]:
    """Return how *value* looks in JSON, URLs, `repr`, base64, hex, and backwards."""
    raw = value.encode(errors="surrogatepass")
    quoted = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    return tuple(
        {
            value,
            value[::-1],
            raw.hex(),
            repr(value)[1:-1],
            ascii(value)[1:-1],
            orjson.dumps(raw.decode(errors="replace")).decode()[1:-1],
            *quoted,
            *(re.sub("%..", lambda found: found[0].lower(), each) for each in quoted),
            *_base64(raw),
        }
    )


def _base64(raw: bytes) -> Iterator[str]:
    """Yield what stands for *raw* in base64, wherever in a longer text it begins."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        # Characters at both ends also carry bits of the neighbours.
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        part = encoded[first:last].decode()
        yield part
        yield part.translate(_URL_SAFE)


_URL_SAFE: Final = str.maketrans("+/", "-_")
