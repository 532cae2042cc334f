"""The rpc core on the real transport: what the doubles promise, it keeps."""

from contextlib import asynccontextmanager
from functools import partial

import attrs
import orjson
import pytest
import trio
from memory_rpc import Core
from raw_peer import CLOSE, Close, Peer, close, served, text
from trio.testing import lockstep_stream_pair

from gateway.rpc.router import Methods
from gateway.serving.connections import Connections
from gateway.serving.http import Rpc, make_app, standard_pages
from gateway.serving.limits import Limits

BEARER = b"Authorization: Bearer owner-token\r\n"


@attrs.define(eq=False)
class Client:
    """A client on a raw connection, that knows the protocol."""

    peer: Peer

    async def say(self, method, **params):
        frame = {"id": 1, "method": method, "params": params}
        await self.peer.send(text(orjson.dumps(frame).decode()))

    async def hear(self):
        return orjson.loads(await self.peer.message())

    async def connect(self, token="owner-token", **params):
        await self.say("connect", auth={"token": token}, **params)
        return await self.hear()

    async def closed(self):
        """Return code and reason of the close frame, and answer it like a good peer."""
        while (frame := await self.peer.frame()).opcode is not CLOSE:
            pass
        reason = Close.parse(bytes(frame.data))
        await self.leave(reason.code)
        return reason.code, reason.reason

    async def leave(self, code=1000):
        with trio.move_on_after(1):
            await self.peer.send(close(code))
        await self.peer.stream.aclose()


@attrs.define(eq=False)
class Port:
    core: Core
    listener: object

    async def open(self, headers=b""):
        peer = self.listener.connect()
        assert await peer.upgrade(headers=headers) == 101
        return Client(peer)


def nap_methods():
    methods = Methods()

    @methods.method("read", deadline=600)
    async def nap() -> None:
        await trio.sleep(500)

    return methods


@asynccontextmanager
async def listening(make_pair=None, methods=(), **limits):
    connections = Connections(Limits(**limits))
    core = Core(*methods, connections=connections)
    pages = standard_pages(
        Rpc(core.dispatcher, core.authenticator, lambda: core.limits),
        status=lambda: "ok",
        ready=lambda: core.gate.is_open,
        metrics=lambda: b"",
    )
    app = make_app(pages, core.authenticator, core.lockout)
    options = {"make_pair": make_pair} if make_pair else {}
    serving = partial(served, core.endpoint.serve, http=app, connections=connections, **options)
    async with core.running(), serving() as listener:
        yield Port(core, listener)


@pytest.fixture
async def port():
    async with listening() as port:
        yield port


async def test_a_session_with_requests_and_events(autojump_clock, port):
    client = await port.open()
    assert (await client.connect())["result"]["role"] == "control"
    await client.say("ping")
    assert (await client.hear())["result"] == {}
    port.core.bus.publish("tick", {"time": 1})
    assert await client.hear() == {"event": "tick", "data": {"time": 1}, "seq": 1}


async def test_a_client_resumes_over_a_new_connection(autojump_clock, port):
    client = await port.open()
    hello = (await client.connect())["result"]
    port.core.bus.publish("agent.delta", {"text": "a"})
    await client.hear()
    await client.leave()
    await trio.sleep(1)
    port.core.bus.publish("agent.delta", {"text": "b"})
    again = await port.open()
    resume = {"epoch": hello["epoch"], "seq": 1}
    assert (await again.connect(resume=resume))["result"]["resumed"]
    assert (await again.hear())["data"] == {"text": "b"}


async def test_a_wrong_token_is_told_why_and_closed(autojump_clock, port):
    client = await port.open()
    assert (await client.connect("wrong"))["error"]["data"]["kind"] == "unauthorized"
    code, reason = await client.closed()
    assert code == 1008
    assert "python -m gateway token" in reason


async def test_a_token_on_the_upgrade_will_do(autojump_clock, port):
    client = await port.open(BEARER)
    await client.say("connect")
    assert (await client.hear())["result"]["scopes"] == ["admin", "read", "write"]


async def test_silence_is_closed_when_the_handshake_time_is_over(autojump_clock, port):
    client = await port.open(BEARER)
    began = trio.current_time()
    assert (await client.closed())[0] == 1008
    assert trio.current_time() - began == 10


async def test_a_first_frame_over_its_limit_is_closed(autojump_clock, port):
    client = await port.open()
    await client.say("connect", auth={"token": "x" * 70_000})
    assert (await client.closed())[0] == 1009


async def test_after_connect_frames_may_be_larger(autojump_clock, port):
    client = await port.open()
    await client.connect()
    await client.say("ping", x="x" * 1_000_000)
    assert (await client.hear())["error"]["data"]["kind"] == "invalid-params"
    await client.say("ping", x="x" * 1_100_000)
    assert (await client.closed())[0] == 1009


async def test_revoking_a_credential_closes_its_socket(autojump_clock, port):
    client = await port.open()
    await client.connect()
    port.core.hub.revoke(lambda principal: principal.name == "owner")
    assert await client.closed() == (4001, "credential revoked")


async def test_a_client_that_never_reads_is_closed_and_others_get_everything(autojump_clock):
    limits = {"queue_bytes": 10_000, "slow_seconds": 10}
    async with listening(lockstep_stream_pair, **limits) as port:
        stalled, reader = await port.open(), await port.open()
        await stalled.connect()
        await reader.connect()
        for number in range(1, 401):
            port.core.bus.publish("agent.delta", {"text": "x" * 1000})
            assert (await reader.hear())["seq"] == number
            await trio.sleep(0.1)
        assert len(port.core.hub.clients) == 1
        await stalled.peer.stream.aclose()


async def test_a_client_that_reads_slowly_misses_nothing(autojump_clock):
    async with listening(lockstep_stream_pair, queue_bytes=10_000) as port:
        client = await port.open()
        await client.connect()
        for _ in range(100):
            port.core.bus.publish("agent.delta", {"text": "x" * 1000})
        assert [(await client.hear())["seq"] for _ in range(100)] == list(range(1, 101))
        await client.leave()


async def test_the_lockout_is_the_same_for_both_ways_in(autojump_clock, port):
    for _ in range(5):
        client = await port.open()
        await client.connect("wrong")
        await client.closed()
    peer = port.listener.connect()
    head = await peer.request(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + BEARER + b"\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: 60\r\n" in head


async def test_a_request_over_http_is_answered(autojump_clock, port):
    body = b'{"id":1,"method":"ping"}'
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\n" + BEARER
    head += b"Content-Type: application/json\r\nConnection: close\r\n"
    peer = port.listener.connect()
    await peer.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert (await peer.rest()).endswith(b'{"id":1,"result":{}}')


async def test_who_hangs_up_has_its_http_request_cancelled(autojump_clock):
    async with listening(methods=[nap_methods()]) as port:
        body = b'{"id":1,"method":"nap"}'
        head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\n" + BEARER
        head += b"Content-Type: application/json\r\n"
        peer = port.listener.connect()
        await peer.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await trio.sleep(1)
        assert len(port.core.gate.in_flight) == 1
        await peer.stream.aclose()
        await trio.sleep(1)
        assert not port.core.gate.in_flight


async def test_a_foreign_page_gets_no_socket(autojump_clock, port):
    peer = port.listener.connect()
    assert await peer.upgrade(headers=b"Origin: https://evil.example\r\n" + BEARER) == 403


async def test_stopping_says_goodbye(autojump_clock):
    goodbye = []

    async def stay(client):
        goodbye.append(await client.closed())

    async with trio.open_nursery() as nursery, listening() as port:
        client = await port.open()
        await client.connect()
        nursery.start_soon(stay, client)
    assert goodbye == [(1001, "the gateway is shutting down")]
