"""A server that speaks Anthropic's Messages API over real sockets, and lies on demand."""

import json

from far_server import Fake, serve

from gateway.agents.providers.anthropic import Anthropic

DIALECT = Anthropic()
CHAT = "/v1/messages"
ROOT = ""
USAGE = {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 2}


def event(message):
    """Return one event of a stream, named as its type."""
    return f"event: {message['type']}\ndata: {json.dumps(message)}\n\n".encode()


def start():
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "small",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": USAGE,
    }
    return event({"type": "message_start", "message": message})


def begin(index, **block):
    return event({"type": "content_block_start", "index": index, "content_block": block})


def go_on(index, **delta):
    return event({"type": "content_block_delta", "index": index, "delta": delta})


def end(index):
    return event({"type": "content_block_stop", "index": index})


def stop(reason="end_turn", **usage):
    usage = {"output_tokens": 9} | usage
    delta = {"stop_reason": reason, "stop_sequence": None}
    return event({"type": "message_delta", "delta": delta, "usage": usage}) + event(
        {"type": "message_stop"}
    )


def call(index, call_id, name, *fragments):
    """Return a tool call with its arguments in *fragments*."""
    parts = (go_on(index, type="input_json_delta", partial_json=each) for each in fragments)
    block = begin(index, type="tool_use", id=call_id, name=name, input={})
    return block + b"".join(parts) + end(index)


def text(content, index=0):
    """Return a piece of text."""
    return go_on(index, type="text_delta", text=content)


def thought(content):
    """Return a piece of thought."""
    return go_on(0, type="thinking_delta", thinking=content)


PING = event({"type": "ping"})
STOP = stop()
CUT = stop("max_tokens")
DECLINED = stop("refusal")


def says(*texts, thinking=(), calls=()):
    """A well-behaved answer in pieces; *calls* are ids, names and fragments of arguments."""
    parts = [start(), PING]
    index = 0
    if thinking:
        parts.append(begin(0, type="thinking", thinking="", signature=""))
        parts += [*map(thought, thinking), go_on(0, type="signature_delta", signature="a"), end(0)]
        index = 1
    if texts:
        parts.append(begin(index, type="text", text=""))
        parts += [*(text(each, index) for each in texts), end(index)]
        index += 1
    parts += [call(number, *each) for number, each in enumerate(calls, index)]
    parts.append(stop("tool_use") if calls else STOP)

    async def behave(exchange):
        await exchange.head()
        for part in parts:
            await exchange.write(part)
        await exchange.end()

    return behave


async def breaks_off(exchange):
    """Closes the connection in the middle of an answer."""
    await exchange.head()
    await exchange.write(start() + begin(0, type="text", text="") + text("half an ans"))


async def usual(exchange):
    if exchange.path.startswith("/v1/models"):
        models = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2025-01-01T00:00:00Z",
            }
            for name in ("small", "large")
        ]
        page = {"data": models, "has_more": False, "first_id": "small", "last_id": "large"}
        await exchange.reply(200, page)
    else:
        await says("Hello", ", ", "world")(exchange)


def serving(*plans):
    """A fake on a port of its own while the block runs."""
    return serve(Fake(usual, ROOT, plans=list(plans)))
