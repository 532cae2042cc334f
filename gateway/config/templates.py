"""Templates: text with places for values out of a JSON document.  Pure.

``{path.to.value}`` is replaced, ``{}`` stands for the whole document, ``{{`` and ``}}`` for
braces.  A path has names of keys and numbers of elements between dots, nothing else: no
attributes, no calls, no formats.  What is put in is not looked at again.
"""

import json
import re
from typing import Any, Final

VALUE_CHARS: Final = 16_384
"""Most characters of one value: some pages of text."""

TEXT_BYTES: Final = 120 * 1024
"""Most bytes of a filled template; an agent takes a question of 128 KiB."""

DEPTH: Final = 16
"""Most parts of a path."""

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def check_template(text: str) -> None:
    """Accept a template; raises `ValueError` with what is wrong."""
    for match in _TOKEN.finditer(text):
        if match[0] in ("{", "}"):
            raise ValueError("has a brace without its other half; write {{ or }} for one itself")
        if match[1] is not None:
            _check_path(match[1])


def _check_path(path: str) -> None:
    parts = path.split(".")
    if path and (not path.isprintable() or "" in parts or len(parts) > DEPTH):
        raise ValueError(f"places are like {{path.to.value}}, with at most {DEPTH} names")


def needs_json(text: str) -> bool:
    """Return whether the template wants values, not only the whole document."""
    return any(match[1] for match in _TOKEN.finditer(text))


def fill(text: str, document: Any, whole: str) -> str:
    """Return the template with the values of *document* in it; what is missing is empty.

    *whole* is the document as it came.  At most `TEXT_BYTES`; what is cut off ends in "…".
    """

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        return whole if not match[1] else _shorten(_text(_find(document, match[1])))

    return _cut(_TOKEN.sub(value, text))


def _find(document: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdecimal() and len(part) < 6:
            index = int(part)
            document = document[index] if index < len(document) else None
        else:
            return None
    return document


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shorten(text: str) -> str:
    return text if len(text) <= VALUE_CHARS else text[: VALUE_CHARS - 1] + "…"


def _cut(text: str) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= TEXT_BYTES:
        return encoded.decode()
    return encoded[:TEXT_BYTES].decode(errors="ignore") + "…"
