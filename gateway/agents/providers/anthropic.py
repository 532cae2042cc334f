"""Anthropic's Messages API.  Pure.

Source: https://docs.anthropic.com/en/api/messages and .../messages-streaming.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from gateway.agents.providers import Answer, Chunk, Image, Said, Tool, ToolCall, Turn
from gateway.agents.providers.draft import (
    BrokenStreamError,
    DeclinedError,
    Draft,
    parse,
    parsed_arguments,
)
from gateway.agents.providers.history import paired
from gateway.config.agents import Provider as Settings

VERSION: Final = "2023-06-01"
"""Of the API; there is no later one."""

READ: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
"""What the API counts apart; all of it was input."""

OPENING: Final = "(The conversation began earlier.)"
"""Stands first where the history that is left begins with the assistant: users begin."""


@attrs.frozen
class Anthropic:
    """The dialect."""

    base_url: str | None = attrs.field(default="https://api.anthropic.com", init=False)
    asking: str = attrs.field(default="/v1/messages", init=False)
    # By default a page has 20; this is the most that one may have.
    listing: str = attrs.field(default="/v1/models?limit=1000", init=False)

    def headers(self, key: str | None) -> Mapping[str, str]:
        """Return the *key* and the version of the API."""
        return {"anthropic-version": VERSION} | ({} if key is None else {"x-api-key": key})

    def request(self, turn: Turn, settings: Settings) -> dict[str, Any]:
        """Return the body of a request for *turn*.

        Who speaks alternates between user and assistant, and nobody says nothing.
        """
        system = [turn.system_prompt, *(s.content for s in turn.messages if s.role == "system")]
        body: dict[str, Any] = {
            "model": turn.model,
            "max_tokens": settings.max_tokens,
            "stream": True,
            "messages": _messages(turn.messages),
        }
        if prompt := "\n\n".join(text for text in system if text.strip()):
            body["system"] = prompt
        if turn.tools:
            body["tools"] = [_tool(each) for each in turn.tools]
        return body

    def reply(self) -> "Message":
        """Return what understands the response."""
        return Message()


@attrs.define(eq=False)
class Message:
    """One answer as it grows."""

    done: bool = attrs.field(default=False, init=False)
    """Whether the server has said that this is all."""
    _draft: Draft = attrs.field(factory=Draft, init=False)
    _tools: set[int] = attrs.field(factory=set, init=False)
    """The blocks that are tool calls."""

    def answer(self) -> Answer:
        """Return the whole; raises `BrokenStreamError`."""
        return self._draft.answer()

    def take(self, event: str) -> Iterator[Chunk]:
        """Yield what is new in *event*; raises `BrokenStreamError`.

        Kinds that are not known are passed over: there may be new ones any day.
        """
        message = parse(event)
        match message.get("type"):
            case "message_start":
                self._count(_dict(message.get("message")))
            case "content_block_start":
                yield from self._begin(message.get("index"), _dict(message.get("content_block")))
            case "content_block_delta":
                yield from self._go_on(message.get("index"), _dict(message.get("delta")))
            case "message_delta":
                self._count(message)
                self._stop(_dict(message.get("delta")))
            case "message_stop":
                self.done = True
            case "error":
                raise BrokenStreamError("reports an error: no reason given")

    def _count(self, message: Mapping[str, Any]) -> None:
        self._draft.count(message.get("usage"), read=READ, written="output_tokens")

    def _begin(self, place: object, block: Mapping[str, Any]) -> Iterator[Chunk]:
        match block.get("type"):
            case "text":
                yield from self._draft.say(block.get("text"))
            case "thinking":
                yield from self._draft.think(block.get("thinking"))
            case "tool_use":
                if not isinstance(place, int) or place in self._tools:
                    raise BrokenStreamError("wants two tools in one place")
                self._tools.add(place)
                self._draft.call(place, block.get("id"), block.get("name"))

    def _go_on(self, place: object, delta: Mapping[str, Any]) -> Iterator[Chunk]:
        match delta.get("type"):
            case "text_delta":
                yield from self._draft.say(delta.get("text"))
            case "thinking_delta":
                yield from self._draft.think(delta.get("thinking"))
            case "input_json_delta":
                # Tools that the provider runs itself have some as well; nobody asks for these.
                if isinstance(place, int) and place in self._tools:
                    self._draft.argue(place, delta.get("partial_json"))

    def _stop(self, delta: Mapping[str, Any]) -> None:
        match delta.get("stop_reason"):
            case "refusal":
                raise DeclinedError("declined to answer (refusal)")
            case "max_tokens" | "model_context_window_exceeded":
                self._draft.truncated = True


def _messages(messages: Iterable[Said]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for said in paired(messages):
        role = "assistant" if said.role == "assistant" else "user"
        if said.role == "system" or not (blocks := list(_blocks(said))):
            continue
        if not made and role == "assistant":
            made.append({"role": "user", "content": [_text(OPENING)]})
        if made and made[-1]["role"] == role:
            made[-1]["content"] += blocks
        else:
            made.append({"role": role, "content": blocks})
    return made


def _blocks(said: Said) -> Iterator[dict[str, Any]]:
    if said.role == "tool":
        result = {"type": "tool_result", "tool_use_id": said.call_id}
        yield result | ({"content": said.content} if said.content.strip() else {})
        return
    # Before the text, which is about them.  Source: Anthropic's guide on vision.
    yield from map(_image, said.images)
    # An empty text is an error, and a blank one as well.
    if said.content.strip():
        yield _text(said.content)
    yield from map(_call, said.calls)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(image: Image) -> dict[str, Any]:
    encoded = base64.b64encode(image.content).decode("ascii")
    source = {"type": "base64", "media_type": image.mime, "data": encoded}
    return {"type": "image", "source": source}


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = parsed_arguments(call.arguments)
    if arguments is None:
        arguments = {"invalid_json": call.arguments}
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _tool(tool: Tool) -> dict[str, Any]:
    schema = {"type": "object", **tool.parameters}
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
