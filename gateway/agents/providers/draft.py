"""An answer as it grows out of the pieces of a stream, within bounds.

What is wrong with a stream is one of three things: it is broken, the provider is busy, or
it declines.  The difference decides whether somebody is asked again, and who.
"""

import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

import attrs
import orjson

from gateway.agents.providers import Answer, Chunk, ToolCall

SHOWN: Final = 300
"""Characters of a server's own message that are passed on: enough for a sentence or two."""

TEXT_BYTES: Final = 1024 * 1024
"""Longest text of one answer, thoughts included: four times the longest reply of a run."""

CALLS: Final = 64
"""Most tool calls in one answer; models ask for a handful."""

ARGUMENT_BYTES: Final = 256 * 1024
"""Most that all tool calls of an answer may say: whole documents are written through tools."""

NAME_LENGTH: Final = 256
"""Longest name or id of a tool call: twice the longest name that an API accepts."""

USAGE_BYTES: Final = 4096
"""Longest account of what was used, which is stored with each run: real ones have 500."""

BUSY: Final = frozenset(
    {"overloaded_error", "rate_limit_error", "rate_limit_exceeded", "api_error", "server_error"}
)
"""Errors in a stream that pass.  Source: the error lists of Anthropic's and OpenAI's API."""


class BrokenStreamError(ValueError):
    """What came is no part of an answer; its text is for people, the end of a sentence."""


class BusyError(BrokenStreamError):
    """The provider could not go on; another attempt may succeed."""


class DeclinedError(BrokenStreamError):
    """The model does not want to answer this; whoever else is asked, that was its answer."""


@attrs.define(eq=False)
class _Call:
    place: int
    id: str = ""
    name: str = ""
    fragments: list[str] = attrs.field(factory=list)

    @property
    def arguments(self) -> str:
        return "".join(self.fragments)


@attrs.define(eq=False)
class Draft:
    """One answer.  All methods raise `BrokenStreamError` when a bound is passed.

    *usage* and *truncated* are as in `Answer`.
    """

    usage: Mapping[str, object] | None = attrs.field(default=None, init=False)
    truncated: bool = attrs.field(default=False, init=False)
    _texts: list[str] = attrs.field(factory=list, init=False)
    _calls: list[_Call] = attrs.field(factory=list, init=False)
    _said: int = attrs.field(default=0, init=False)
    _argued: int = attrs.field(default=0, init=False)

    def say(self, text: object) -> Iterator[Chunk]:
        """Add *text* to the answer; yield the piece, unless it is nothing."""
        if isinstance(text, str) and text:
            self._count(text)
            self._texts.append(text)
            yield Chunk("delta", text)

    def think(self, text: object) -> Iterator[Chunk]:
        """Yield a piece of thought, unless it is nothing; it is no part of the answer."""
        if isinstance(text, str) and text:
            self._count(text)
            yield Chunk("thinking", text)

    def call(self, place: object, call_id: object = None, name: object = None) -> None:
        """Have a tool call at *place*, with what is known of it.

        Without a *place*, as some servers have it, a name begins the next one.
        """
        call = self._at(place, call_id, new=bool(name))
        call.id = call.id or _word(call_id)
        call.name = call.name or _word(name)

    def argue(self, place: object, fragment: object) -> None:
        """Add to the arguments of the call at *place*, the last one if that is `None`."""
        if isinstance(fragment, str) and fragment:
            self._argued += len(fragment.encode("utf-8", "surrogatepass"))
            if self._argued > ARGUMENT_BYTES:
                raise BrokenStreamError(f"wants tools with more than {ARGUMENT_BYTES} bytes")
            self._at(place).fragments.append(fragment)

    def count(self, usage: object, *, read: tuple[str, ...], written: str) -> None:
        """Note what the provider has counted, in its words and in ours.

        All of *read* together are the tokens that it was given, *written* those it gave.
        """
        if not isinstance(usage, dict) or len(orjson.dumps(usage)) > USAGE_BYTES:
            return
        known = dict(self.usage or {}) | usage
        for ours, theirs in (("inputTokens", read), ("outputTokens", (written,))):
            numbers = [each for each in map(known.get, theirs) if _is_count(each)]
            if numbers:
                known[ours] = sum(numbers)
        self.usage = known

    def answer(self) -> Answer:
        """Return the whole; raises `BrokenStreamError` for a tool call that is not whole."""
        ordered = sorted(self._calls, key=lambda call: call.place)
        calls = tuple(map(self._whole, ordered))
        if len({call.id for call in calls}) < len(calls):
            raise BrokenStreamError("wants two tools under one id")
        return Answer("".join(self._texts), self.usage, calls, self.truncated)

    def _count(self, text: str) -> None:
        self._said += len(text.encode("utf-8", "surrogatepass"))
        if self._said > TEXT_BYTES:
            raise BrokenStreamError(f"answered with more than {TEXT_BYTES} bytes")

    def _at(self, place: object, call_id: object = None, *, new: bool = False) -> _Call:
        """Return the call at *place*; the last one there, if it is not another one by its id."""
        if not isinstance(place, int):
            place = len(self._calls) - (bool(self._calls) and not new)
        there = [call for call in self._calls if call.place == place]
        # Some servers give all their calls the same place.
        if there and not (call_id and there[-1].id and there[-1].id != call_id):
            return there[-1]
        if len(self._calls) == CALLS:
            raise BrokenStreamError(f"wants more than {CALLS} tools at once")
        self._calls.append(_Call(place))
        return self._calls[-1]

    def _whole(self, call: _Call) -> ToolCall:
        if not call.name:
            raise BrokenStreamError("wants a tool without saying which")
        # No arguments at all come as nothing at all.
        arguments = call.arguments.strip() or "{}"
        if self.truncated and parsed_arguments(arguments) is None:
            raise BrokenStreamError(
                f"reached its limit of tokens in the middle of what it wants from {call.name!r}"
            )
        # Not its number: ids have to differ in a whole conversation.
        return ToolCall(call.id or f"call_{secrets.token_hex(8)}", call.name, arguments)


def parsed_arguments(text: str) -> dict[str, Any] | None:
    """Return the object that the arguments of a tool call are, `None` if they are none."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def parse(event: str) -> Mapping[str, Any]:
    """Return the object in *event*; raises `BrokenStreamError`, also if it is an error."""
    try:
        message = orjson.loads(event)
    except orjson.JSONDecodeError:
        raise BrokenStreamError("sent a line in its stream that is not JSON") from None
    if not isinstance(message, dict):
        raise BrokenStreamError("sent a line in its stream that is no object")
    if error := message.get("error"):
        raise _reported(error)
    return message


def error_text(error: Any) -> str:
    """Return the words of an ``error`` in any of the usual shapes, on one short line."""
    while isinstance(error, dict):
        error = error.get("message") or error.get("error") or error.get("code") or "no reason given"
    text = "".join(c if c.isprintable() else " " for c in str(error)[: 2 * SHOWN])
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def error_in(body: bytes) -> str:
    """Return the words of an error response, empty if it has none that can be read."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(message, dict):
        return ""
    found = message.get("error") or message.get("detail") or message.get("message")
    return error_text(found) if found else ""


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects in what should be a list of objects."""
    return (
        (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())
    )


def _reported(error: Any) -> BrokenStreamError:
    """Return what to raise for an ``error`` in a stream; some pass."""
    words = {error.get("type"), error.get("code")} if _is_flat(error) else set()
    passes = words & BUSY or any(_is_count(each) and (each == 429 or each >= 500) for each in words)
    return (BusyError if passes else BrokenStreamError)(f"reports an error: {error_text(error)}")


def _is_flat(error: Any) -> bool:
    return isinstance(error, dict) and not any(
        isinstance(error.get(key), dict | list) for key in ("type", "code")
    )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _word(value: object) -> str:
    word = value if isinstance(value, str) else ""
    if len(word) > NAME_LENGTH:
        raise BrokenStreamError(f"wants a tool with a name of more than {NAME_LENGTH} characters")
    return word
