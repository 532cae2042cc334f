"""Outgoing WebSockets of channels: every way in which they end."""

from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, wrap_server_stream

from gateway.channels.base import ChannelError, LostError, StalledError
from gateway.channels.racing import run_with
from gateway.channels.sockets import (
    OPEN_SECONDS,
    SEND_SECONDS,
    TOO_BIG,
    ClosedError,
    Target,
    connect_tcp,
    open_socket,
)
from gateway.web.upgrade import CLOSE_SECONDS


class Line(trio.abc.Stream):
    """A stream whose far end can stop to hear (*deaf*) or to take anything (*clogged*)."""

    def __init__(self, inner):
        self.inner, self.deaf, self.clogged = inner, False, False

    async def send_all(self, data):
        if self.clogged:
            await trio.sleep_forever()
        if not self.deaf:
            await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self):
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes=None):
        return await self.inner.receive_some(max_bytes)

    async def aclose(self):
        await self.inner.aclose()


URL = "ws://far.example/socket?ticket=secret"


@asynccontextmanager
async def far_end(behave):
    """Yield what connects to a far end that does as *behave* says with each WebSocket."""

    async def serve(stream):
        async with trio.open_nursery() as inner:
            request = await wrap_server_stream(inner, stream)
            await behave(await request.accept(), stream)
            inner.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:

        async def connect(_):
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(serve, theirs)
            return Line(ours)

        yield connect
        nursery.cancel_scope.cancel()


async def stays(socket, stream):
    await trio.sleep_forever()


async def echoes(socket, stream):
    with suppress(ConnectionClosed):
        while True:
            await socket.send_message(await socket.get_message())


async def test_what_is_sent_arrives_and_what_comes_is_received(autojump_clock):
    async with far_end(echoes) as connect, open_socket(URL, connect=connect) as socket:
        await socket.send("hé")
        assert await socket.receive() == "hé"
        await socket.ping(1)


async def test_an_end_has_its_code_and_reason(autojump_clock):
    async def closes(socket, stream):
        await socket.aclose(4004, "Authentication\x07 failed")

    async with far_end(closes) as connect:
        with pytest.raises(ClosedError) as caught:
            async with open_socket(URL, connect=connect) as socket:
                await socket.receive()
    assert (caught.value.code, caught.value.reason) == (4004, "Authentication failed")
    assert caught.value.maybe_done


async def test_an_end_without_a_word_has_code_1006(autojump_clock):
    async def breaks(socket, stream):
        await trio.aclose_forcefully(stream)

    async with far_end(breaks) as connect:
        with pytest.raises(ClosedError) as caught:
            async with open_socket(URL, connect=connect) as socket:
                await socket.receive()
        assert caught.value.code == 1006
        with pytest.raises(ClosedError):
            async with open_socket(URL, connect=connect) as socket:
                await trio.sleep(1)
                await socket.send("into the void")


async def test_a_message_that_is_too_large_ends_it(autojump_clock):
    async def floods(socket, stream):
        await socket.send_message("x" * 2000)
        await trio.sleep_forever()

    async with far_end(floods) as connect:
        with pytest.raises(ClosedError) as caught:
            async with open_socket(URL, connect=connect, frame_bytes=1000) as socket:
                await socket.receive()
    assert caught.value.code == TOO_BIG


async def test_bytes_are_a_breach_of_the_protocol(autojump_clock):
    async def sends_bytes(socket, stream):
        await socket.send_message(b"x")
        await trio.sleep_forever()

    async with far_end(sends_bytes) as connect:
        with pytest.raises(LostError, match="bytes"):
            async with open_socket(URL, connect=connect) as socket:
                await socket.receive()


async def test_it_closes_behind_unread_messages(autojump_clock):
    codes = []

    async def talks(socket, stream):
        async with trio.open_nursery() as nursery:

            async def talk():
                for _ in range(100):
                    await socket.send_message("x" * 1000)

            nursery.start_soon(talk)
            await socket._close_handshake.wait()
        codes.append(socket.closed.code)

    async with far_end(talks) as connect:
        async with open_socket(URL, connect=connect, close_code=4000):
            await trio.sleep(1)
        await trio.testing.wait_all_tasks_blocked()
    assert codes == [4000]


async def test_closing_waits_only_so_long_for_who_does_not_answer(autojump_clock):
    async with far_end(stays) as connect:
        async with open_socket(URL, connect=connect) as socket:
            socket._stream._inner.deaf = True
            since = trio.current_time()
        assert trio.current_time() - since == pytest.approx(CLOSE_SECONDS)


async def test_cancelling_says_goodbye_without_waiting(autojump_clock):
    closed = []

    async def notes(socket, stream):
        await socket._close_handshake.wait()
        closed.append(socket.closed.code)

    async with far_end(notes) as connect:
        with trio.move_on_after(5):
            async with open_socket(URL, connect=connect, close_code=4000) as socket:
                await socket.receive()
        assert trio.current_time() <= 5.2
        await trio.testing.wait_all_tasks_blocked()
    assert closed == [4000]


async def test_a_far_end_that_reads_nothing_stalls_a_send(autojump_clock):
    async with far_end(stays) as connect:
        with pytest.raises(StalledError):
            async with open_socket(URL, connect=connect) as socket:
                socket._stream._inner.clogged = True
                since = trio.current_time()
                await socket.send("x")
        assert trio.current_time() - since == pytest.approx(SEND_SECONDS + CLOSE_SECONDS)


async def test_a_ping_without_a_pong_stalls(autojump_clock):
    async with far_end(stays) as connect:
        with pytest.raises(StalledError):
            async with open_socket(URL, connect=connect) as socket:
                socket._stream._inner.deaf = True
                await socket.ping(3)


async def test_a_far_end_that_does_not_answer_the_upgrade_stalls(autojump_clock):
    pairs = []

    async def connect(_):
        pairs.append(trio.testing.memory_stream_pair())
        return pairs[-1][0]

    with pytest.raises(StalledError):
        async with open_socket(URL, connect=connect):
            pass
    assert trio.current_time() == pytest.approx(OPEN_SECONDS)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n"])
async def test_a_far_end_that_is_no_websocket_is_lost(autojump_clock, answer):
    async def connect(_):
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_all(answer) if answer else None
        await theirs.aclose()
        return ours

    with pytest.raises(LostError):
        async with open_socket(URL, connect=connect):
            pass


async def test_a_refusal_of_the_upgrade_says_its_status_and_not_the_address(autojump_clock):
    async def connect(_):
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
        return ours

    with pytest.raises(LostError, match="HTTP 403") as caught:
        async with open_socket(URL, connect=connect):
            pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("error", [ConnectionRefusedError(), trio.BrokenResourceError()])
async def test_nobody_there_is_a_loss(autojump_clock, error):
    async def connect(_):
        raise error

    with pytest.raises(LostError, match="cannot be reached"):
        async with open_socket(URL, connect=connect):
            pass


async def test_who_never_answers_a_connection_stalls(autojump_clock):
    async def connect(_):
        await trio.sleep_forever()

    with pytest.raises(StalledError):
        async with open_socket(URL, connect=connect):
            pass


async def test_nothing_listening_is_a_loss_over_real_sockets_too():
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(LostError):
        async with open_socket(f"ws://127.0.0.1:{port}", connect=connect_tcp):
            pass


@pytest.mark.parametrize(
    "url", ["", "http://a", "wss://", "ws://a:x", "ws://[", "ws://ä.example", "file:///etc"]
)
def test_an_address_that_is_none_is_a_loss_and_not_repeated(url):
    with pytest.raises(LostError) as caught:
        Target.parse(url)
    assert not url or url not in str(caught.value)


def test_an_address_is_taken_apart():
    target = Target.parse("wss://gateway.example/x?v=10")
    assert (target.host, target.port, target.path, target.tls) == (
        "gateway.example", 443, "/x?v=10", True,
    )  # fmt: skip
    assert Target.parse("ws://[::1]:80/").authority == "[::1]"
    assert Target.parse("ws://a:81").authority == "a:81"
    assert "v=10" not in repr(target)


# -- tasks that end together ------------------------------------------------------------


async def test_the_others_end_with_the_main_task(autojump_clock):
    async def main():
        await trio.sleep(1)
        return "done"

    assert await run_with(main, trio.sleep_forever) == "done"


async def test_the_first_error_of_any_is_raised_as_it_is(autojump_clock):
    async def fails():
        await trio.sleep(1)
        raise StalledError("x")

    with pytest.raises(StalledError):
        await run_with(trio.sleep_forever, fails)


async def test_a_bug_is_not_taken_for_an_error_of_the_channel(autojump_clock):
    async def fails():
        await trio.lowlevel.checkpoint()
        raise KeyError

    with pytest.raises(ExceptionGroup) as caught:
        await run_with(trio.sleep_forever, fails)
    assert not caught.group_contains(ChannelError)
