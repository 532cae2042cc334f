"""OpenAI's chat completions, which OpenAI, Ollama, vLLM, OpenRouter ... speak.  Pure.

Source: https://platform.openai.com/docs/api-reference/chat/streaming; ``reasoning_content``
is DeepSeek's, vLLM's and llama.cpp's name for thoughts, ``reasoning`` OpenRouter's and
Ollama's.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import orjson

from gateway.agents.providers import Answer, Chunk, Image, Said, Tool, ToolCall, Turn
from gateway.agents.providers.draft import DeclinedError, Draft, dicts, parse, parsed_arguments
from gateway.agents.providers.history import paired
from gateway.config.agents import Provider as Settings

DONE: Final = "[DONE]"
THOUGHTS: Final = ("reasoning_content", "reasoning")


@attrs.frozen
class OpenAI:
    """The dialect; there is no address that all who speak it share."""

    base_url: str | None = attrs.field(default=None, init=False)
    asking: str = attrs.field(default="/chat/completions", init=False)
    listing: str = attrs.field(default="/models", init=False)

    def headers(self, key: str | None) -> Mapping[str, str]:
        """Return the *key* as a bearer token; many local servers want none."""
        return {} if key is None else {"Authorization": f"Bearer {key}"}

    def request(self, turn: Turn, settings: Settings) -> dict[str, Any]:
        """Return the body of a request for *turn*; *settings* have nothing to add."""
        del settings
        system = [Said("system", turn.system_prompt)] if turn.system_prompt else []
        body = {
            "model": turn.model,
            "messages": [_message(said) for said in (*system, *paired(turn.messages))],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        # An empty list is an error.
        return body | ({"tools": [_tool(each) for each in turn.tools]} if turn.tools else {})

    def reply(self) -> "Completion":
        """Return what understands the response."""
        return Completion()


@attrs.define(eq=False)
class Completion:
    """One answer as it grows."""

    done: bool = attrs.field(default=False, init=False)
    """Whether the server has said that this is all."""
    _draft: Draft = attrs.field(factory=Draft, init=False)

    def answer(self) -> Answer:
        """Return the whole; raises `BrokenStreamError`."""
        return self._draft.answer()

    def take(self, event: str) -> Iterator[Chunk]:
        """Yield what is new in *event*; raises `BrokenStreamError`."""
        if event == DONE:
            self.done = True
            return
        message = parse(event)
        self._draft.count(
            message.get("usage"), read=("prompt_tokens",), written="completion_tokens"
        )
        for choice in dicts(message.get("choices")):
            yield from self._take_choice(choice)

    def _take_choice(self, choice: Mapping[str, Any]) -> Iterator[Chunk]:
        if isinstance(delta := choice.get("delta"), dict):
            for text in filter(None, map(delta.get, THOUGHTS)):
                yield from self._draft.think(text)
                break
            yield from self._draft.say(delta.get("content"))
            for call in dicts(delta.get("tool_calls")):
                self._take_call(call)
        match choice.get("finish_reason"):
            case "length":
                self._draft.truncated = True
            case "content_filter":
                raise DeclinedError("declined to answer (content_filter)")

    def _take_call(self, call: Mapping[str, Any]) -> None:
        place, wanted = call.get("index"), call.get("function")
        wanted = wanted if isinstance(wanted, dict) else {}
        self._draft.call(place, call.get("id"), wanted.get("name"))
        self._draft.argue(place, wanted.get("arguments"))


def _message(said: Said) -> dict[str, Any]:
    if said.role == "tool":
        return {"role": "tool", "tool_call_id": said.call_id, "content": said.content}
    if said.calls:
        # Without text it is null: some servers take an empty one for the answer.
        content, calls = said.content or None, [_call(each) for each in said.calls]
        return {"role": said.role, "content": content, "tool_calls": calls}
    if said.images:
        text = [{"type": "text", "text": said.content}] if said.content.strip() else []
        return {"role": said.role, "content": [*text, *map(_image, said.images)]}
    return {"role": said.role, "content": said.content}


def _image(image: Image) -> dict[str, Any]:
    encoded = base64.b64encode(image.content).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{image.mime};base64,{encoded}"}}


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = call.arguments
    if parsed_arguments(arguments) is None:
        # Servers that put it into a template parse it, and refuse the whole conversation.
        arguments = orjson.dumps({"invalid_json": arguments}).decode()
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _tool(tool: Tool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": function}
