"""HTTP/1.1 through hypercorn's protocol, with hostile clients; in memory, virtual time."""

import pytest
import trio
from raw_peer import UPGRADE, served
from structlog.testing import capture_logs
from trio.testing import lockstep_stream_pair

from gateway.serving.echo import echo
from gateway.serving.limits import Limits

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"


async def app(scope, receive, send):
    """Answer by path; what tests need."""
    path = scope["path"]
    body = b""
    while path == "/echo" and (event := await receive())["type"] == "http.request":
        body += event["body"]
        if not event["more_body"]:
            break
    if path == "/fail":
        raise ZeroDivisionError("a bug in the app")
    if path == "/sleep":
        await trio.sleep(100)
    if path == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
    if path == "/large":
        body = b"x" * 1_000_000
    headers = [(b"content-length", str(len(body or path)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body or path.encode()})


def http(**options):
    return served(http=app, **options)


async def answer(peer):
    """Return status and body of one response with a length."""
    head = await peer.head()
    if not head:
        return None
    fields = dict(line.lower().split(b": ", 1) for line in head.strip().split(b"\r\n")[1:])
    length = int(fields[b"content-length"])
    while len(peer._reader.buffer) < length and await peer._more():
        pass
    body = bytes(peer._reader.buffer[:length])
    del peer._reader.buffer[:length]
    return int(head.split()[1]), body


async def test_requests_on_one_connection_are_answered_in_order(autojump_clock):
    async with http() as server:
        peer = server.connect()
        await peer.send(*(GET % b"/%d" % n for n in range(100)))
        for n in range(100):
            assert await answer(peer) == (200, b"/%d" % n)


async def test_a_body_is_received_whole_and_in_chunks(autojump_clock):
    async with http() as server:
        peer = server.connect()
        await peer.send(POST + b"Content-Length: 100000\r\n\r\n", b"x" * 100_000)
        assert await answer(peer) == (200, b"x" * 100_000)
        await peer.send(
            POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        assert await answer(peer) == (200, b"abcde")


async def test_a_bug_in_the_app_is_a_500_that_is_logged_and_hurts_nobody_else(autojump_clock):
    async with http() as server:
        peer, other = server.connect(), server.connect()
        with capture_logs() as logs:
            await peer.send(GET % b"/fail")
            assert (await answer(peer))[0] == 500
        assert [entry["log_level"] for entry in logs] == ["error"]
        await other.send(GET % b"/fine")
        assert await answer(other) == (200, b"/fine")


class TestGuards:
    async def test_a_foreign_host_is_refused_on_every_request(self, autojump_clock):
        async with http() as server:
            peer = server.connect()
            await peer.send(GET % b"/", b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n")
            assert (await answer(peer))[0] == 200
            assert (await answer(peer))[0] == 421

    async def test_another_site_may_not_post(self, autojump_clock):
        async with http() as server:
            peer = server.connect()
            await peer.send(POST + b"Origin: https://evil\r\nContent-Length: 0\r\n\r\n")
            assert (await answer(peer))[0] == 403

    async def test_an_upgrade_never_reaches_the_app(self, autojump_clock):
        async with http() as server:
            peer = server.connect()
            await peer.send(GET % b"/", UPGRADE % b"/" + b"\r\n")
            assert (await answer(peer))[0] == 200
            assert (await answer(peer))[0] == 400
            assert await answer(peer) is None

    @pytest.mark.parametrize("upgrade", [b"h2c", b"h2c\r\nHTTP2-Settings: AAMAAABk", b"TLS/1.0"])
    async def test_other_upgrades_are_ignored(self, autojump_clock, upgrade):
        async with http() as server:
            peer = server.connect()
            for _ in range(2):
                await peer.send(
                    b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: "
                    + upgrade + b"\r\n\r\n"
                )  # fmt: skip
                assert await answer(peer) == (200, b"/x")

    async def test_http_2_is_refused(self, autojump_clock):
        async with http() as server:
            peer = server.connect()
            await peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert (await answer(peer))[0] in (400, 505)
            peer = server.connect()
            await peer.send(GET % b"/", b"PRI * HTTP/2.0\r\nHost: localhost\r\n\r\nSM\r\n\r\n")
            assert (await answer(peer))[0] == 200
            assert (await answer(peer))[0] == 505

    @pytest.mark.parametrize("announced", [True, False])
    async def test_a_large_body_is_refused(self, autojump_clock, announced):
        limits = Limits(body_bytes=1000)
        async with http(limits=limits) as server:
            peer = server.connect()
            if announced:
                await peer.send(POST + b"Content-Length: 1001\r\n\r\n")
            else:
                await peer.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
                await peer.send(*[b"64\r\n" + b"x" * 100 + b"\r\n"] * 11)
            assert (await answer(peer))[0] == 413
            assert await answer(peer) is None

    @pytest.mark.parametrize(
        "garbage",
        [
            b"\0" * 100,
            b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
            POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
            POST + b"Transfer-Encoding: xchunked\r\n\r\n",
            GET % (b"/" + b"x" * 50_000),
        ],
    )
    async def test_garbage_is_answered_with_an_error_and_hurts_nobody(
        self, autojump_clock, garbage
    ):
        async with http() as server:
            peer, other = server.connect(), server.connect()
            await other.send(GET % b"/before")
            assert await answer(other) == (200, b"/before")
            await peer.send(garbage)
            statuses = []
            while (received := await answer(peer)) is not None:
                statuses.append(received[0])
            assert all(status >= 400 for status in statuses[-1:])
            peer = server.connect()
            await peer.send(GET % b"/", garbage)
            while await answer(peer) is not None:
                pass
            await other.send(GET % b"/after")
            assert await answer(other) == (200, b"/after")


class TestTime:
    async def test_an_idle_connection_is_closed(self, autojump_clock):
        async with http() as server:
            peer = server.connect()
            await peer.send(GET % b"/")
            await answer(peer)
            assert await answer(peer) is None
            assert trio.current_time() == pytest.approx(15, abs=0.1)

    @pytest.mark.parametrize("before", [b"", GET % b"/"])
    async def test_a_slow_head_is_given_up(self, autojump_clock, before):
        async with http() as server:
            peer = server.connect()
            if before:
                await peer.send(before)
                await answer(peer)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drip, peer, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
                received = await peer.rest()
                assert not received or received.startswith(b"HTTP/1.1 408")
                nursery.cancel_scope.cancel()
            assert trio.current_time() < 13

    async def test_a_slow_body_is_given_up(self, autojump_clock):
        async with http() as server:
            peer = server.connect()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drip, peer, POST + b"Content-Length: 1000\r\n\r\n")
                await peer.rest()
                nursery.cancel_scope.cancel()
            assert trio.current_time() < 13

    async def test_a_peer_that_does_not_read_is_given_up(self, autojump_clock):
        async with http(make_pair=lockstep_stream_pair) as server:
            peer = server.connect()
            await peer.send(GET % b"/large")
            await trio.sleep(15)
            assert len(await peer.rest()) < 100_000

    async def test_the_app_may_take_its_time(self, autojump_clock):
        async with http() as server:
            peer = server.connect()
            await peer.send(GET % b"/sleep")
            assert await answer(peer) == (200, b"/sleep")
            assert trio.current_time() >= 100

    async def test_a_peer_that_leaves_is_reported_to_the_app(self, autojump_clock):
        async with http() as server:
            peer = server.connect()
            await peer.send(GET % b"/wait")
            await trio.sleep(20)
            await peer.stream.send_eof()
            await peer.rest()
            assert trio.current_time() < 25

    async def test_cancelling_cuts_a_peer_that_does_not_read(self, autojump_clock):
        with trio.fail_after(5):
            async with http(make_pair=lockstep_stream_pair) as server:
                peer = server.connect()
                await peer.send(GET % b"/large")


class TestNumbers:
    async def test_the_connection_idle_longest_makes_room(self, autojump_clock):
        async with http(limits=Limits(http_per_address=3)) as server:
            peers = []
            for n in range(5):
                peers.append(server.connect())
                await peers[-1].send(GET % b"/%d" % n)
                assert await answer(peers[-1]) == (200, b"/%d" % n)
            assert [await answer(peer) for peer in peers[:2]] == [None, None]
            await peers[4].send(GET % b"/still")
            assert await answer(peers[4]) == (200, b"/still")

    async def test_connections_that_are_served_do_not(self, autojump_clock):
        async with http(limits=Limits(http_per_address=2)) as server:
            busy = [server.connect() for _ in range(2)]
            for peer in busy:
                await peer.send(GET % b"/sleep")
            await trio.sleep(1)
            refused = server.connect()
            await refused.send(GET % b"/")
            assert (await answer(refused))[0] == 503
            assert [await answer(peer) for peer in busy] == [(200, b"/sleep")] * 2

    async def test_slow_bodies_do_not_keep_others_out(self, autojump_clock):
        async with http(limits=Limits(http_per_address=2)) as server:
            for _ in range(5):
                await server.connect().send(POST + b"Content-Length: 9\r\n\r\nx")
                await trio.sleep(0.1)
            peer = server.connect()
            await peer.send(GET % b"/")
            assert (await answer(peer))[0] == 200


async def test_without_app_there_is_a_404_and_the_host_counts_all_the_same(autojump_clock):
    async with served(echo) as server:
        for host, status in (b"localhost", 404), (b"evil", 421):
            peer = server.connect()
            await peer.send(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            assert (await answer(peer))[0] == status


async def drip(peer, start):
    """Send *start*, then a byte a second."""
    try:
        await peer.send(start)
        while True:
            await trio.sleep(1)
            await peer.send(b"x")
    except trio.BrokenResourceError:
        pass  # given up
