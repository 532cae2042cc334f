"""Frames: what a request looks like, and how answers and events are written.

Answers that are documented because JSON leaves them open: of duplicate keys the last one
wins; integers beyond 64 bits become floats, as in JavaScript, and ones beyond the range
of a double are a parse error, like NaN, Infinity, lone surrogates and a depth over 1024.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from gateway.protocol.codes import CODES
from gateway.protocol.convert import WIRE
from gateway.protocol.issues import did_you_mean, shorten

Id = str | int

ID_LENGTH: Final = 128
"""Longest id; it is repeated in the answer and in the log.  Source: protocol, "Requests"."""

LARGE: Final = 64 * 1024
"""Bytes from which on values are counted; ordinary frames are far below."""

MOST_VALUES: Final = 20_000
"""Most values in one frame, twice of what any list may have.  Bytes alone do not bound the
work: a megabyte of empty lists keeps the event loop busy for 200 ms, most of which goes
into Python's search for cycles."""

_DEEP: Final = re.compile(r"[\[{]{1025}")
"""What the parser refuses as nested too deeply, seen without counting what is in it."""

_STRINGS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)

POSITIONAL: Final = "params: must be an object; positional params are not supported, use names"

_MEMBERS: Final = frozenset({"id", "method", "params", "jsonrpc"})


_NOTHING: Final[dict[str, Any]] = {}
"""The params of a request that has none; never changed."""


class ParseError(ValueError):
    """Not JSON, or too much of it; *kind* is what that is called on the wire."""

    def __init__(self, message: str, kind: str = "parse-error") -> None:
        super().__init__(message)
        self.kind = kind


class ShapeError(ValueError):
    """JSON, but no request; *value* is what came.

    *id* and *jsonrpc* are what the answer repeats, as far as they are there.
    """

    def __init__(self, value: Any) -> None:
        self.message = _complaint(value)
        super().__init__(self.message)
        members = value if type(value) is dict else {}
        self.id: Id | None = members["id"] if _is_id(members.get("id")) else None
        self.jsonrpc = members.get("jsonrpc") == "2.0"
        self.positional = self.message == POSITIONAL
        """Whether all that is wrong is that params are a list."""


@attrs.frozen(eq=False)
class Request:
    """One request; a notification has no *id* and gets no answer.

    *jsonrpc*: whether it says so, and the answer must too.
    """

    id: Id | None
    method: str
    params: Mapping[str, Any]
    jsonrpc: bool


def parse(raw: str | bytes) -> Any:
    """Return the JSON value that *raw* is; raises `ParseError`."""
    if len(raw) >= LARGE:
        _check_values(raw if isinstance(raw, str) else raw.decode("latin-1"))
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        # The message names what was expected and where, and repeats nothing of the input.
        raise ParseError(f"not JSON: {error.msg}") from None


def _check_values(text: str) -> None:
    """Refuse JSON of more than `MOST_VALUES` values; what stands in strings does not count."""
    if _DEEP.search(text):
        raise ParseError("nested too deeply")
    if _structure_of(text) > MOST_VALUES and _structure_of(_STRINGS.sub("", text)) > MOST_VALUES:
        raise ParseError(f"more than {MOST_VALUES} values in one frame", kind="too-large")


def _structure_of(text: str) -> int:
    return text.count(",") + text.count("[") + text.count("{")


def read(value: Any) -> Request:
    """Return the request that a parsed frame is; raises `ShapeError`."""
    if type(value) is not dict:
        raise ShapeError(value)
    id_, method, version = value.get("id"), value.get("method"), value.get("jsonrpc")
    params = value.get("params", _NOTHING)
    if (
        type(method) is not str
        or type(params) is not dict
        or not (_is_id(id_) or "id" not in value)
        or not (version == "2.0" or "jsonrpc" not in value)
        or not value.keys() <= _MEMBERS
    ):
        raise ShapeError(value)
    return Request(id_, method, params, version is not None)


def _is_id(value: Any) -> bool:
    return type(value) is int or (type(value) is str and 0 < len(value) <= ID_LENGTH)


def _complaint(value: Any) -> str:
    """Return what is wrong with a request of which something is."""
    if type(value) is not dict:
        return "a frame is an object with a method"
    first = next((name for name in value if name not in _MEMBERS), None)
    if first is not None:
        return f"unknown member {shorten(first)!r}{did_you_mean(first, _MEMBERS)}"
    if "id" in value and not _is_id(value["id"]):
        return f"id: must be an integer or a string of 1 to {ID_LENGTH} characters"
    if type(value.get("method")) is not str:
        return "method: must be a string"
    if value.get("jsonrpc", "2.0") != "2.0":
        return 'jsonrpc: must be "2.0" or left out'
    return POSITIONAL if type(value["params"]) is list else "params: must be an object"


def encode(value: object) -> bytes:
    """Return *value* as JSON; raises `TypeError` for what has no JSON form."""
    return orjson.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    """Return something nearer to JSON than *value*."""
    if attrs.has(type(value)):
        return WIRE.unstructure(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def answer(request: Request, result: object) -> bytes:
    """Return the frame that answers *request* with *result*."""
    if request.jsonrpc:
        return encode({"jsonrpc": "2.0", "id": request.id, "result": result})
    return encode({"id": request.id, "result": result})


def failure(
    id: Id | None,  # noqa: A002  its name on the wire
    kind: str,
    message: str,
    extra: Mapping[str, object] | None = None,
    *,
    jsonrpc: bool = False,
) -> bytes:
    """Return the frame that says why there is no result.

    *kind* is a key of `CODES`; *extra* goes beside it into ``data``.
    """
    error = {"code": CODES[kind], "message": message, "data": {"kind": kind, **(extra or {})}}
    frame: dict[str, object] = {"jsonrpc": "2.0"} if jsonrpc else {}
    return encode({**frame, "id": id, "error": error})


def event_start(name: str, content: Mapping[str, object]) -> bytes:
    """Return an event's frame up to where each connection's ``seq`` follows."""
    return encode({"event": name, "data": content})[:-1]


def event_end(seq: int) -> bytes:
    """Return the rest of an event's frame."""
    return b',"seq":%d}' % seq
