"""A whole gateway inside a test's own event loop, and a foreign client for it."""

import itertools
import json
from contextlib import asynccontextmanager

import attrs
import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.client import connect

from gateway.app import App
from gateway.config.load import load
from gateway.config.paths import Paths

TOKEN = "a-test-token-of-many-more-than-128-bits"
CONFIG = f"""
[gateway]
port = 0
[gateway.limits]
preauth_connections = 0
preauth_per_address = 0
[auth.tokens.default]
token = "{TOKEN}"
"""


@asynccontextmanager
async def gateway(tmp_path, config=CONFIG, prepare=lambda _: None):
    """Run a gateway around a block; it is stopped in order when the block ends.

    *prepare* may change what it is made of before it runs.
    """
    app = App(load(config), Paths(tmp_path / "gateway.toml", tmp_path / "state"), {})
    prepare(app)
    (tmp_path / "state").mkdir(mode=0o700, exist_ok=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(app.root.run)
        yield app
        app.process.reason = "the test is over"
        app.root.shutdown(10)


async def wait_until(condition, seconds=10):
    """Return when *condition* holds; for what tells nobody, like tasks that end."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await trio.sleep(0.01)


@attrs.define(eq=False)
class Client:
    """One connection; answers are given to whoever asked, events are kept."""

    socket: object
    hello: dict = attrs.field(factory=dict)
    events: list = attrs.field(factory=list)
    leaving: bool = False
    _waiting: dict = attrs.field(factory=dict)
    _numbers: object = attrs.field(factory=lambda: itertools.count(1))

    async def read(self):
        """Give out what comes, until the connection is closed."""
        while True:
            try:
                frame = json.loads(await self.socket.recv())
            except ConnectionClosed:
                if not self.leaving:
                    raise
                return
            if "event" in frame:
                self.events.append(frame)
            else:
                self._waiting.pop(frame["id"]).send_nowait(frame)

    async def call(self, method, params=None):
        """Return the whole answering frame."""
        number = next(self._numbers)
        self._waiting[number], answer = trio.open_memory_channel(1)
        frame = {"id": number, "method": method, "params": params or {}}
        await self.socket.send(json.dumps(frame))
        return await answer.receive()


@asynccontextmanager
async def client(app, token=TOKEN, resume=None):
    """Connect a client that is not ours around a block."""
    async with (
        connect(f"ws://{app.port.addresses[0]}/", compression=None) as socket,
        trio.open_nursery() as nursery,
    ):
        connected = Client(socket)
        nursery.start_soon(connected.read)
        params = {"auth": {"token": token}, "client": {"type": "control", "name": "test"}}
        params |= {"resume": resume} if resume else {}
        connected.hello = (await connected.call("connect", params))["result"]
        yield connected
        nursery.cancel_scope.cancel()
