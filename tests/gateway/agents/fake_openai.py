"""A server that speaks OpenAI's API over real sockets, and lies on demand."""

import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import h11
import trio

SSE = [("content-type", "text/event-stream")]
JSON = [("content-type", "application/json")]


def chunk(**delta):
    """Return one event of a stream."""
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta}],
    }


def event(message):
    return b"data: " + json.dumps(message).encode() + b"\n\n"


@attrs.define
class Exchange:
    """One request, and the way to answer it."""

    stream: trio.SocketStream
    http: h11.Connection
    method: str
    path: str
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    async def send(self, part):
        await self.stream.send_all(self.http.send(part))

    async def head(self, status=200, headers=SSE):
        await self.send(
            h11.Response(status_code=status, headers=[*headers, ("transfer-encoding", "chunked")])
        )

    async def write(self, content):
        await self.send(h11.Data(data=content))

    async def end(self):
        await self.send(h11.EndOfMessage())

    async def reply(self, status, message, headers=()):
        """Answer with JSON, or with *message* as it is if it is bytes."""
        await self.head(status, [*JSON, *headers])
        await self.write(message if isinstance(message, bytes) else json.dumps(message).encode())
        await self.end()

    async def gone(self):
        """Return when the client has closed the connection."""
        while await self.stream.receive_some():
            pass


Behaviour = Callable[[Exchange], Awaitable[None]]


def says(*texts, thinking=(), usage=None):
    """A well-behaved answer in pieces."""

    async def behave(exchange):
        await exchange.head()
        await exchange.write(event(chunk(role="assistant", content="")))
        for text in thinking:
            await exchange.write(event(chunk(reasoning_content=text)))
        for text in texts:
            await exchange.write(event(chunk(content=text)))
        stop = {**chunk(), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        await exchange.write(event(stop))
        if usage:
            await exchange.write(event({"choices": [], "usage": usage}))
        await exchange.write(b"data: [DONE]\n\n")
        await exchange.end()

    return behave


def raw(*parts):
    """A stream of exactly these bytes, ended properly."""

    async def behave(exchange):
        await exchange.head()
        for part in parts:
            await exchange.write(part)
        await exchange.end()

    return behave


def refuses(status, message, headers=()):
    async def behave(exchange):
        await exchange.reply(status, message, headers)

    return behave


async def hangs(exchange):
    """Takes the request and says nothing."""
    await exchange.gone()


async def hangs_up(exchange):
    """Closes the connection instead of answering."""


async def breaks_off(exchange):
    """Closes the connection in the middle of an answer."""
    await exchange.head()
    await exchange.write(event(chunk(content="half an ans")))


def drips(byte, pause):
    """One byte at a time, for ever."""

    async def behave(exchange):
        await exchange.head()
        while True:
            await exchange.write(byte)
            await trio.sleep(pause)

    return behave


async def endless_line(exchange):
    await exchange.head()
    while True:
        await exchange.write(b"x" * 65536)


@attrs.define
class Fake:
    """What the server has seen and does next; without plans it is well-behaved."""

    port: int = 0
    plans: list = attrs.field(factory=list)
    seen: list = attrs.field(factory=list)
    open: int = 0
    closed: trio.Event = attrs.field(factory=trio.Event)
    """Set whenever a connection is gone."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, stream):
        self.open += 1
        try:
            async with stream:
                http = h11.Connection(h11.SERVER)
                while (exchange := await receive(stream, http)) is not None:
                    self.seen.append(exchange)
                    plan = self.plans.pop(0) if self.plans else self.usual
                    await plan(exchange)
                    if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                        break
                    http.start_next_cycle()
        except (trio.BrokenResourceError, h11.LocalProtocolError):
            pass
        finally:
            self.open -= 1
            self.closed.set()

    async def usual(self, exchange):
        if exchange.path == "/v1/models":
            models = [{"id": name, "object": "model"} for name in ("small", "large")]
            await exchange.reply(200, {"object": "list", "data": models})
        elif exchange.json.get("stream"):
            await says("Hello", ", ", "world", usage={"total_tokens": 7})(exchange)
        else:
            message = {"role": "assistant", "content": "Hello, world"}
            await exchange.reply(200, {"id": "c-1", "choices": [{"index": 0, "message": message}]})


async def receive(stream, http):
    """Return the next request, or `None` if there is none."""
    request, body = None, b""
    while True:
        part = http.next_event()
        if part is h11.NEED_DATA:
            http.receive_data(await stream.receive_some())
        elif isinstance(part, h11.Request):
            request = part
        elif isinstance(part, h11.Data):
            body += part.data
        elif isinstance(part, h11.EndOfMessage):
            headers = {name.decode(): value.decode() for name, value in request.headers}
            method, path = request.method.decode(), request.target.decode()
            return Exchange(stream, http, method, path, headers, body)
        else:
            return None


@asynccontextmanager
async def serving(*plans):
    """A fake on a port of its own while the block runs."""
    fake = Fake(plans=list(plans))
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        fake.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, fake.serve, [listener])
        yield fake
        nursery.cancel_scope.cancel()
