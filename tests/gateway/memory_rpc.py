"""In-memory doubles of what lies below rpc, and a whole rpc core on top of them."""

import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
import trio

from gateway.bus import Bus
from gateway.config.model import Auth, Limits, Token
from gateway.config.setting import Secret
from gateway.methods.core import core_methods
from gateway.rpc.auth import Authenticator
from gateway.rpc.client import Endpoint
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.gate import Gate
from gateway.rpc.handshake import Handshake
from gateway.rpc.hub import Hub
from gateway.rpc.idempotency import Idempotency
from gateway.rpc.lockout import Lockout
from gateway.rpc.openrpc import document
from gateway.rpc.router import Router
from gateway.storage.schema import STEPS
from supervisors.testing import running


class MemorySocket:
    """The server's end of a WebSocket whose client is the test.

    Nothing is taken while *stalled*; it is full once *limit* bytes have been taken then.
    """

    def __init__(self, peer="127.0.0.1", headers=None, limit=1000, stalled=False):
        self.peer = peer
        self.headers = headers or {}
        self.on_drain = None
        self.trusted = False
        self.close_sent = None
        self.frames = []
        self.stalled = stalled
        self.queued = 0
        self.limit = limit
        self._inbox = []
        self._ended = False
        self._news = trio.Event()

    # --- the client's side

    def say(self, *frames):
        """Send frames that arrive together; what is no text is sent as JSON."""
        self._inbox += [
            each if isinstance(each, str | bytes) else orjson.dumps(each).decode()
            for each in frames
        ]
        self._wake()

    def hang_up(self):
        self._ended = True
        self._wake()

    def stall(self):
        self.stalled = True

    def read_again(self):
        self.stalled, self.queued = False, 0
        self._wake()
        if self.on_drain:
            self.on_drain()

    async def wait_frames(self, count):
        while len(self.frames) < count:
            await self._news.wait()
        return self.frames

    async def next(self):
        """Return the next frame that the client has not seen."""
        await self.wait_frames(1)
        return self.frames.pop(0)

    # --- the server's side

    @property
    def closed(self):
        return self.close_sent is not None or self._ended

    @property
    def full(self):
        return self.queued >= self.limit

    async def receive_batch(self):
        await trio.lowlevel.checkpoint()
        while not self._inbox:
            if self.closed:
                return []
            await self._news.wait()
        batch, self._inbox = self._inbox, []
        return batch

    def send_text(self, payload):
        if self.closed or self.full:
            return False
        if self.stalled:
            self.queued += len(payload)
        self.frames.append(orjson.loads(payload))
        self._wake()
        return True

    def send_shared(self, prefix, suffix):
        return self.send_text(prefix + suffix)

    async def send_patiently(self, payload):
        while not self.send_text(payload):
            if self.closed:
                return False
            await self._news.wait()
        return True

    def authenticated(self):
        self.trusted = True
        self.headers = {}

    def close_soon(self, code=1000, reason=""):
        assert len(reason.encode()) <= 123
        if self.close_sent is None:
            self.close_sent = (code, reason)
        self._wake()

    def _wake(self):
        self._news.set()
        self._news = trio.Event()


class MemoryConnections:
    """Stands for the transport's connections in the hub."""

    def __init__(self):
        self.closed_with = None
        self.sockets = []

    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
        task_status.started()
        await trio.sleep_forever()

    async def close_all(self, code, reason):
        self.closed_with = (code, reason)
        for socket in self.sockets:
            socket.close_soon(code, reason)


class MemoryDatabase:
    """SQLite in memory, without threads."""

    def __init__(self):
        self.sql = sqlite3.connect(":memory:")
        for step in STEPS:
            self.sql.executescript(step)
        self.fails_with = None

    async def read(self, work):
        return await self._do(work)

    async def write(self, work):
        return await self._do(work)

    async def _do(self, work):
        await trio.lowlevel.checkpoint()
        if self.fails_with is not None:
            raise self.fails_with
        return work(self.sql)

    def close(self):
        self.sql.close()


AUTH = Auth(
    password=Secret("let me in"),
    tokens={
        "owner": Token(Secret("owner-token")),
        "reader": Token(Secret("reader-token"), scopes=("read",)),
        "writer": Token(Secret("writer-token"), scopes=("read", "write")),
        "lamp": Token(Secret("lamp-token"), role="node", scopes=()),
    },
)


class Core:
    """Everything between the transport and the methods."""

    def __init__(self, *extra, limits=None, database=None, connections=None):
        self.limits = limits or Limits()
        self.bus = Bus()
        self.connections = connections or MemoryConnections()
        self.database = database or MemoryDatabase()
        self.hub = Hub(self.bus, self.connections)
        self.gate = Gate()
        self.router = Router(
            [*core_methods(lambda principal: document(self.router, principal)), *extra]
        )
        self.dispatcher = Dispatcher(self.router, self.gate, Idempotency(self.database))
        self.authenticator = Authenticator(AUTH)
        self.lockout = Lockout()
        self.endpoint = Endpoint(
            self.hub, self.dispatcher, Handshake(self.authenticator, self.lockout), self.limits
        )

    @asynccontextmanager
    async def running(self, *, gate=True):
        async with AsyncExitStack() as stack:
            stack.callback(self.database.close)
            await stack.enter_async_context(running(self.hub.run))
            if gate:
                await stack.enter_async_context(running(self.gate.run))
            async with trio.open_nursery() as self.nursery:
                yield self
                self.nursery.cancel_scope.cancel()

    def dial(self, **kwargs):
        """Return the client's end of a connection that has not said anything."""
        socket = MemorySocket(**kwargs)
        self.connections.sockets.append(socket)
        self.nursery.start_soon(self.endpoint.serve, socket)
        return socket

    async def connect(self, token="owner-token", resume=None, **kwargs):
        """Return a connected client's end, and what it was told."""
        socket = self.dial(**kwargs)
        params = {"auth": {"token": token}}
        if token == "lamp-token":
            params["node"] = {"id": "lamp"}
        if resume:
            params["resume"] = resume
        socket.say({"id": 0, "method": "connect", "params": params})
        answer = await socket.next()
        return socket, answer["result"]
