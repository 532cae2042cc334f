"""Accepting: isolation, refusals, budgets, shutdown; and the same over real sockets."""

import errno
from contextlib import suppress
from functools import partial

import pytest
import trio
from raw_peer import LOCAL, UPGRADE, MemoryListener, Peer, close, frame, served, text
from structlog.testing import capture_logs

from gateway.serving.connections import Connections, open_connections
from gateway.serving.echo import echo
from gateway.serving.limits import Limits
from gateway.serving.listener import address_of, serve


async def wait(websocket):
    """Stay a stranger."""
    await websocket.receive()


class TestIsolation:
    async def test_a_handler_that_fails_costs_its_own_connection_only(self, autojump_clock):
        async def fail(websocket):
            if await websocket.receive() == "fail":
                raise ZeroDivisionError
            await echo(websocket)

        async with served(fail) as server:
            bad, good = await server.websocket(), await server.websocket()
            await good.send(text("x"))
            with capture_logs() as logs:
                await bad.send(text("fail"))
                assert await bad.message() == 1011
            assert [entry["log_level"] for entry in logs] == ["error"]
            await good.send(text("still here"))
            assert await good.message() == "still here"

    async def test_a_group_of_failures_is_one_failure(self, autojump_clock):
        async def fail(_):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                raise ZeroDivisionError

        async with served(fail) as server:
            with capture_logs():
                peer = await server.websocket()
                assert await peer.message() == 1011
            assert await (await server.websocket()).message() == 1011

    async def test_interrupts_pass_through(self):
        async def interrupt(_):
            raise KeyboardInterrupt

        with pytest.raises(BaseExceptionGroup) as caught:
            async with served(interrupt) as server:
                await server.websocket()
                await trio.sleep_forever()
        assert caught.group_contains(KeyboardInterrupt)


class TestRefusals:
    @pytest.mark.parametrize(
        ("request_head", "status"),
        [
            (UPGRADE.replace(b"localhost", b"evil") % b"/" + b"\r\n", 421),
            (UPGRADE % b"/" + b"Origin: https://evil\r\n\r\n", 403),
            (UPGRADE % b"/nowhere" + b"\r\n", 404),
            (UPGRADE % b"/?token=x" + b"\r\n", 400),
            (UPGRADE % b"/" + b"Content-Length: 5\r\n\r\nhello", 400),
            (UPGRADE % b"/" + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ((UPGRADE % b"/").replace(b"13", b"12") + b"\r\n", 400),
            ((UPGRADE % b"/").replace(b"dGhl", b"") + b"\r\n", 400),
            ((UPGRADE % b"/").replace(b"Sec-WebSocket-Key", b"X") + b"\r\n", 400),
            ((UPGRADE % b"/").replace(b": Upgrade", b": close") + b"\r\n", 426),
            ((UPGRADE % b"/").replace(b": websocket", b": h2c, websocket") + b"\r\n", 426),
            ((UPGRADE % b"/").replace(b"GET", b"POST") + b"\r\n", 405),
            ((UPGRADE % b"/").replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n", 505),
            (b"\x16\x03\x01\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000, 431),
        ],
    )
    async def test_a_bad_upgrade_gets_its_status_and_no_place(
        self, autojump_clock, request_head, status
    ):
        async with (
            open_connections(Limits()) as connections,
            served(echo, connections=connections) as server,
        ):
            peer = server.connect()
            answer = await peer.request(request_head)
            assert int(answer.split()[1]) == status
            await peer.rest()
            await trio.sleep(2)
            assert (len(connections.strangers), connections.count) == (0, 0)

    @pytest.mark.parametrize(("version", "told"), [(b"8", True), (b"13", False)])
    async def test_who_asks_for_another_version_is_told_which_there_is(
        self, autojump_clock, version, told
    ):
        async with served() as server:
            asked = (UPGRADE % b"/").replace(b"Version: 13", b"Version: " + version)
            answer = await server.connect().request(asked + b"\r\n")
            assert (b"Sec-WebSocket-Version: 13" in answer) is told

    async def test_a_port_scanner_leaves_no_trace(self, autojump_clock):
        async with served() as server:
            with capture_logs() as logs:
                for sent in (b"", b"GET", UPGRADE % b"/"):
                    peer = server.connect()
                    await peer.send(sent)
                    await peer.stream.aclose()
                await trio.sleep(1)
            assert logs == []

    async def test_a_head_that_takes_too_long_is_answered_with_408(self, autojump_clock):
        async with served() as server:
            answer = await server.connect().rest()
            assert answer.startswith(b"HTTP/1.1 408")
            assert 10 <= trio.current_time() < 12

    async def test_there_is_a_limit_for_all_connections_together(self, autojump_clock):
        async with served(limits=Limits(connections=1)) as server:
            first = await server.websocket()
            second = server.connect()
            assert await second.upgrade() == 503
            await first.send(close(1000))
            await first.rest()
            await trio.sleep(1)
            await server.websocket()


class TestBudget:
    async def test_a_flood_of_silent_upgrades_does_not_keep_a_client_out(self, autojump_clock):
        async def once_known(websocket):
            if await websocket.receive():
                websocket.authenticated()
                websocket.send("welcome")
                await websocket.receive()

        async with (
            open_connections(Limits()) as connections,
            served(once_known, connections=connections) as server,
        ):
            silent = []
            for _ in range(300):
                silent.append(await server.websocket())
                await trio.sleep(0.001)
                assert len(connections.strangers) <= 16
            begun = trio.current_time()
            client = await server.websocket()
            await client.send(text("connect"))
            assert await client.message() == "welcome"
            assert await silent[0].message() == 1008
            assert trio.current_time() - begun < 0.25
            await trio.sleep(12)
            assert (len(connections.strangers), len(connections.websockets)) == (0, 1)

    async def test_a_flood_that_arrives_all_at_once_is_held_to_the_budget(self, autojump_clock):
        async with (
            open_connections(Limits(handshake_seconds=0)) as connections,
            served(wait, connections=connections) as server,
        ):
            peers = [server.connect() for _ in range(200)]
            for peer in peers:
                with suppress(trio.BrokenResourceError):  # evicted already
                    await peer.send(UPGRADE % b"/" + b"\r\n")
            await trio.sleep(5)
            assert len(connections.strangers) == connections.count == 16
            assert len(connections.websockets) == 16

    async def test_who_has_not_even_sent_a_head_is_just_closed(self, autojump_clock):
        async with served(wait, limits=Limits(preauth_per_address=1)) as server:
            first = server.connect()
            await trio.testing.wait_all_tasks_blocked()
            await server.websocket()
            assert await first.rest() == b""


class TestShutdown:
    async def test_connections_outlive_the_listener(self, autojump_clock):
        async with (
            open_connections(Limits()) as connections,
            served(echo, connections=connections) as server,
        ):
            peer = await server.websocket()
            await peer.send(text("still here"))
            assert await peer.message() == "still here"
            async with served(echo, connections=connections) as again:
                assert await again.websocket()

    async def test_closing_all_tells_everyone_and_waits(self, autojump_clock):
        async with (
            open_connections(Limits()) as connections,
            served(echo, connections=connections) as server,
        ):
            polite, rude = await server.websocket(), await server.websocket()

            async def be_polite():
                assert await polite.message() == 1001
                await polite.send(close(1001))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(be_polite)
                await connections.close_all(1001, "the gateway is shutting down")
            assert await rude.message() == 1001
            assert connections.websockets == set()
            assert trio.current_time() <= 5

    async def test_cancelling_says_1001_and_does_not_wait(self, autojump_clock):
        async with served() as server:
            peer = await server.websocket()
        assert await peer.message() in (1001, None)
        assert trio.current_time() < 2

    async def test_connections_that_do_not_run_say_so(self):
        with pytest.raises(RuntimeError, match="while Connections"):
            _ = Connections(Limits()).nursery

    async def test_connections_can_be_run_again(self, autojump_clock):
        connections = Connections(Limits())
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                await nursery.start(connections.run)
                async with served(echo, connections=connections) as server:
                    peer = await server.websocket()
                    await peer.send(text("x"))
                    assert await peer.message() == "x"
                nursery.cancel_scope.cancel()


class ExhaustedListener(MemoryListener):
    """Cannot accept for a while."""

    failures = 5

    async def accept(self):
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "too many open files")
        return await super().accept()


async def test_running_out_of_descriptors_is_survived_and_logged_once(autojump_clock):
    listener = ExhaustedListener()
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, echo, [listener], admission=LOCAL))
            assert await listener.websocket()
            assert len(logs) == 1
            assert trio.current_time() == pytest.approx(0.5)
            nursery.cancel_scope.cancel()


async def test_another_error_of_a_listener_ends_it():
    class BrokenListener(MemoryListener):
        async def accept(self):
            raise OSError(errno.EBADF, "gone")

    with pytest.raises(BaseExceptionGroup) as caught:
        await serve(echo, [BrokenListener()], admission=LOCAL)
    assert caught.group_contains(OSError)


class TestSockets:
    """Without timing, over loopback."""

    async def test_messages_pings_and_closing(self):
        async with listening() as connect:
            peer = await connect()
            assert await peer.upgrade() == 101
            large = b"x" * 900_000
            await peer.send(text("hello"), frame(9, b"?"))
            assert await peer.message() == "hello"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.send, frame(2, large))
                while (received := await peer.frame()).opcode != 2:
                    pass
            assert received.data == large
            await peer.send(close(1000))
            assert [await peer.message(), await peer.message()] == [1000, None]

    async def test_a_reader_that_stalls_gets_everything_in_the_end(self):
        async with listening(limits=Limits(queue_bytes=100_000)) as connect:
            peer = await connect()
            await peer.upgrade()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.send, b"".join(text(f"{n:050000}") for n in range(200)))
                for n in range(200):
                    assert await peer.message() == f"{n:050000}"

    async def test_a_reset_is_nothing_to_talk_about(self):
        with capture_logs() as logs:
            async with listening() as connect:
                for _ in range(20):
                    peer = await connect()
                    await peer.upgrade()
                    await peer.send(text("x") * 100)
                    peer.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, RESET)
                    await peer.stream.aclose()
                peer = await connect()
                assert await peer.upgrade() == 101
        assert logs == []

    async def test_the_peer_is_known_by_its_address(self):
        seen = []

        async def look(websocket):
            seen.append(websocket.peer)

        async with listening(look) as connect:
            peer = await connect()
            await peer.upgrade()
            assert await peer.message() == 1000
        assert seen == ["127.0.0.1"]

    async def test_connections_leave_nothing_behind(self):
        async with (
            open_connections(Limits()) as connections,
            listening(connections=connections) as connect,
        ):
            for _ in range(100):
                peer = await connect()
                await peer.upgrade()
                await peer.send(text("x"), close(1000))
                await peer.rest()
                await peer.stream.aclose()
            while connections.count:
                await trio.lowlevel.checkpoint()
            assert connections.websockets == set()
            assert len(connections.nursery.child_tasks) <= 4


RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""struct linger: on, for 0 seconds."""


class listening:  # noqa: N801 - reads as a verb
    """Serve on a free port of loopback; yields a function that connects."""

    def __init__(self, handler=echo, **options):
        self._serve = partial(serve, handler, admission=LOCAL, **options)

    async def __aenter__(self):
        self._listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self._peers = []
        self._nursery_context = trio.open_nursery()
        self._nursery = await self._nursery_context.__aenter__()
        await self._nursery.start(partial(self._serve, self._listeners))
        return self._connect

    async def _connect(self):
        stream = await trio.testing.open_stream_to_socket_listener(self._listeners[0])
        self._peers.append(stream)
        return Peer(stream)

    async def __aexit__(self, *error):
        self._nursery.cancel_scope.cancel()
        await self._nursery_context.__aexit__(*error)
        for stream in (*self._listeners, *self._peers):
            await trio.aclose_forcefully(stream)


def test_a_stream_without_socket_has_no_address():
    ours, _ = trio.testing.memory_stream_pair()
    assert address_of(ours) == ""
