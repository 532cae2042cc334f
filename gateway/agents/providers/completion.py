"""What an OpenAI-compatible server says in a stream, and what it means.  Pure.

Source: https://platform.openai.com/docs/api-reference/chat/streaming; ``reasoning_content``
is DeepSeek's, vLLM's and llama.cpp's name for thoughts, ``reasoning`` OpenRouter's and
Ollama's.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import orjson

from gateway.agents.providers import Answer, Chunk

DONE: Final = "[DONE]"
THOUGHTS: Final = ("reasoning_content", "reasoning")

SHOWN: Final = 300
"""Characters of a server's own message that are passed on: enough for a sentence or two."""


class BrokenStreamError(ValueError):
    """The server said something that is no part of a completion; its text is for people."""


@attrs.define(eq=False)
class Completion:
    """One answer as it grows."""

    done: bool = attrs.field(default=False, init=False)
    """Whether the server has said that this is all."""
    usage: Mapping[str, Any] | None = attrs.field(default=None, init=False)
    _texts: list[str] = attrs.field(factory=list, init=False)

    def answer(self) -> Answer:
        """Return everything so far."""
        return Answer("".join(self._texts), self.usage)

    def take(self, event: str) -> Iterator[Chunk]:
        """Yield what is new in *event*; raises `BrokenStreamError`."""
        if event == DONE:
            self.done = True
            return
        message = _parse(event)
        if isinstance(usage := message.get("usage"), dict):
            self.usage = usage
        for choice in _dicts(message.get("choices")):
            yield from self._take_choice(choice)

    def _take_choice(self, choice: Mapping[str, Any]) -> Iterator[Chunk]:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            for text in filter(None, map(delta.get, THOUGHTS)):
                yield Chunk("thinking", str(text))
                break
            if isinstance(content := delta.get("content"), str) and content:
                self._texts.append(content)
                yield Chunk("delta", content)


def _parse(event: str) -> Mapping[str, Any]:
    try:
        message = orjson.loads(event)
    except orjson.JSONDecodeError:
        raise BrokenStreamError("the provider's stream has a line that is not JSON") from None
    if not isinstance(message, dict):
        raise BrokenStreamError("the provider's stream has a line that is no object")
    if error := message.get("error"):
        raise BrokenStreamError(f"the provider reports an error: {error_text(error)}")
    return message


def error_text(error: Any) -> str:
    """Return the words of an ``error`` in any of the usual shapes, on one short line."""
    if isinstance(error, dict):
        error = error.get("message") or error.get("error") or error.get("code") or "no reason given"
        return error_text(error)
    text = "".join(c if c.isprintable() else " " for c in str(error))
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


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (
        (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())
    )
