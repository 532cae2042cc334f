"""A small gateway that speaks the protocol over streams in memory; tests script it.

Independent of the real one on purpose: it was written from the protocol, so that client
and gateway cannot agree on a mistake.
"""

import errno
import json
from contextlib import asynccontextmanager, suppress
from functools import partial

import attrs
import trio
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, wrap_server_stream

from gateway.client import connect

TOKEN = "right"
URL = "ws://gateway.test:18789"
LIMITS = {"frameBytes": 65536, "queueBytes": 65536, "inFlight": 64, "requestsPerSecond": 200}


@attrs.define(eq=False)
class Connection:
    """The gateway's side of one connection; *received* has every frame of the client."""

    socket: object
    stream: object
    received: list = attrs.field(factory=list)
    host: str = ""

    async def send(self, **frame):
        await self.socket.send_message(json.dumps(frame))

    async def close(self, code, reason):
        with trio.move_on_after(1):
            await self.socket.aclose(code, reason)

    async def cut(self):
        """End the connection without a word, like a lost network."""
        await trio.aclose_forcefully(self.stream)

    def methods(self):
        return [frame["method"] for frame in self.received]


@attrs.define(eq=False)
class StandIn:
    """*methods* maps names to ``async f(params)``; *down* refuses connections."""

    nursery: trio.Nursery
    methods: dict = attrs.field(factory=dict)
    connections: list = attrs.field(factory=list)
    attempts: list = attrs.field(factory=list)  # Trio clock
    welcome: dict = attrs.field(factory=dict)  # overrides what `connect` answers
    refusal: dict | None = None  # an error instead of a welcome
    down: bool = False
    status: int | None = None  # an HTTP status instead of an upgrade
    body: bytes = b"no"
    epoch: str = "e-1"
    log: list = attrs.field(factory=list)

    @property
    def current(self):
        return self.connections[-1]

    async def open_stream(self):
        self.attempts.append(trio.current_time())
        if self.down:
            raise OSError(errno.ECONNREFUSED, "Connection refused")
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self._serve, ours)
        return theirs

    @asynccontextmanager
    async def client(self, **options):
        options = {"token": TOKEN, "open_stream": self.open_stream} | options
        async with connect(URL, **options) as client:
            yield client

    async def publish(self, name, **data):
        """Log an event and send it to whoever is connected."""
        self.log.append((name, data))
        if self.connections:
            with suppress(ConnectionClosed):
                await self.current.send(event=name, data=data, seq=len(self.log))

    async def restart(self):
        """Come back with another event log."""
        self.epoch, self.log = "e-2", []
        await self.current.cut()

    async def _serve(self, stream):
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            if self.status is not None:
                await request.reject(self.status, body=self.body)
                await trio.aclose_forcefully(stream)
                return
            connection = Connection(await request.accept(), stream)
            connection.host = request._event.host
            # Its reader outlives the conversation: it finishes the closing handshake.
            async with trio.open_nursery() as answers:
                with suppress(ConnectionClosed):
                    await self._converse(connection, answers)
                answers.cancel_scope.cancel()

    async def _converse(self, connection, nursery):
        while True:
            frame = json.loads(await connection.socket.get_message())
            connection.received.append(frame)
            if frame["method"] == "connect":
                await self._greet(connection, frame)
            else:
                nursery.start_soon(self._answer, connection, frame)

    async def _greet(self, connection, frame):
        params = frame["params"]
        error = self.refusal
        if params["auth"].get("token") != TOKEN:
            error = {"code": -32001, "message": "wrong token", "data": {"kind": "unauthorized"}}
        if error is not None:
            await connection.send(id=frame["id"], error=error)
            await connection.close(1008, error["message"])
            return
        self.connections.append(connection)
        resume = params.get("resume")
        resumed = resume is not None and resume["epoch"] == self.epoch
        seq = resume["seq"] if resumed else 0
        if not resumed:
            self.log.clear()
        result = {
            "connectionId": f"c-{len(self.connections)}",
            "protocol": 1,
            "scopes": ["read", "write", "admin"],
            "epoch": self.epoch,
            "seq": seq,
            "resumed": resumed,
            "gap": resume is not None and not resumed,
            "limits": LIMITS,
        } | self.welcome
        await connection.send(id=frame["id"], result=result)
        for number, (name, data) in enumerate(self.log[seq:], seq + 1):
            await connection.send(event=name, data=data, seq=number)

    async def _answer(self, connection, frame):
        method = self.methods.get(frame["method"])
        if "id" not in frame:
            return
        if method is None and frame["method"] == "events.subscribe":
            await connection.send(id=frame["id"], result={})
        elif method is None:
            error = {
                "code": -32601,
                "message": "no such method",
                "data": {"kind": "unknown-method"},
            }
            await connection.send(id=frame["id"], error=error)
        else:
            with suppress(ConnectionClosed):
                await connection.send(id=frame["id"], result=await method(frame["params"]))


@asynccontextmanager
async def standing_in(**options):
    """Run a `StandIn` for the body; what it still does then is cancelled."""
    async with trio.open_nursery() as nursery:
        gateway = StandIn(nursery, **options)
        gateway.methods["echo"] = _echo
        gateway.methods["hang"] = partial(_hang)
        yield gateway
        nursery.cancel_scope.cancel()


async def _echo(params):
    return params


async def _hang(params):
    await trio.sleep_forever()
