"""A server over real sockets that speaks what it is made for, and lies on demand."""

import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import h11
import trio

SSE = [("content-type", "text/event-stream")]
JSON = [("content-type", "application/json")]


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
    """What the server has seen and does next; without plans, what is *usual*."""

    usual: Behaviour
    root: str = ""
    """The path of its base URL."""
    port: int = 0
    plans: list = attrs.field(factory=list)
    seen: list = attrs.field(factory=list)
    open: int = 0
    closed: trio.Event = attrs.field(factory=trio.Event)
    """Set whenever a connection is gone."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.root}"

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
        except (trio.BrokenResourceError, h11.ProtocolError):
            pass
        finally:
            self.open -= 1
            self.closed.set()


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
async def serve(fake):
    """Have *fake* on a port of its own while the block runs."""
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        fake.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, fake.serve, [listener])
        yield fake
        nursery.cancel_scope.cancel()
