"""A server that speaks OpenAI's chat completions over real sockets, and lies on demand."""

import json

from far_server import Fake, serve

from gateway.agents.providers.openai import OpenAI

DIALECT = OpenAI()
CHAT = "/v1/chat/completions"
ROOT = "/v1"


def event(message):
    """Return one event of a stream."""
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def chunk(finish=None, **delta):
    """Return one event of a stream."""
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "small",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def call(index=None, call_id=None, name=None, arguments=None):
    """Return one fragment of a tool call."""
    function = {"name": name, "arguments": arguments}
    fragment = {
        "index": index,
        "id": call_id,
        "type": call_id and "function",
        "function": {key: value for key, value in function.items() if value is not None},
    }
    return {key: value for key, value in fragment.items() if value is not None}


def text(content):
    """Return a piece of text."""
    return event(chunk(content=content))


DONE = b"data: [DONE]\n\n"
STOP = event(chunk("stop")) + DONE
CUT = event(chunk("length")) + DONE
DECLINED = event(chunk("content_filter")) + DONE


def says(*texts, thinking=(), usage=None, calls=()):
    """A well-behaved answer in pieces; *calls* are fragments."""

    async def behave(exchange):
        await exchange.head()
        await exchange.write(event(chunk(role="assistant", content="")))
        for thought in thinking:
            await exchange.write(event(chunk(reasoning_content=thought)))
        for content in texts:
            await exchange.write(text(content))
        for fragment in calls:
            await exchange.write(event(chunk(tool_calls=[fragment])))
        await exchange.write(event(chunk("tool_calls" if calls else "stop")))
        if usage:
            await exchange.write(event(chunk() | {"choices": [], "usage": usage}))
        await exchange.write(DONE)
        await exchange.end()

    return behave


async def breaks_off(exchange):
    """Closes the connection in the middle of an answer."""
    await exchange.head()
    await exchange.write(text("half an ans"))


async def usual(exchange):
    if exchange.path == "/v1/models":
        models = [
            {"id": name, "object": "model", "created": 1, "owned_by": "us"}
            for name in ("small", "large")
        ]
        await exchange.reply(200, {"object": "list", "data": models})
    elif exchange.json.get("stream"):
        await says("Hello", ", ", "world", usage={"total_tokens": 7})(exchange)
    else:
        message = {"role": "assistant", "content": "Hello, world"}
        await exchange.reply(200, {"id": "c-1", "choices": [{"index": 0, "message": message}]})


def serving(*plans):
    """A fake on a port of its own while the block runs."""
    return serve(Fake(usual, ROOT, plans=list(plans)))
