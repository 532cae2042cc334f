"""Values as TOML.  Pure."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from gateway.config.issues import BARE_KEY
from gateway.config.locate import DEPTH

_LARGEST: Final = 2**63 - 1
"""Largest integer that every reader of TOML takes.  Source: TOML 1.0, "Integer"."""


def render(value: Any, depth: int = DEPTH) -> str:
    """Return *value* as TOML on one line, tables as inline tables.

    Raises `ValueError` that says what cannot be written down, without repeating it.
    """
    if depth == 0:
        raise ValueError(f"has more than {DEPTH} levels")
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int() | float():
            return _number(value)
        case list() | tuple():
            return "[" + ", ".join(render(each, depth - 1) for each in value) + "]"
        case Mapping():
            pairs = (f"{render_name(key)} = {render(value[key], depth - 1)}" for key in value)
            return "{ " + ", ".join(pairs) + " }" if value else "{}"
        case None:
            raise ValueError("TOML has no null; to remove a setting, unset it")
        case _:
            raise ValueError("must be text, a number, true, false, a list or a table")


def render_names(path: Iterable[str]) -> str:
    """Return *path* as a dotted key."""
    return ".".join(map(render_name, path))


def render_name(name: object) -> str:
    """Return one part of a key, quoted if need be; raises `ValueError` if it is none."""
    if not isinstance(name, str):
        raise ValueError("a key must be text")  # noqa: TRY004  one kind of complaint for callers
    return name if BARE_KEY.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    try:
        # What JSON writes is TOML too, but for one character that TOML wants escaped.
        return orjson.dumps(value).decode().replace("\x7f", "\\u007f")
    except orjson.JSONEncodeError:
        raise ValueError("has a character that no text has") from None


def _number(value: float) -> str:
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError("must be an integer of at most 64 bits")
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return repr(value)
