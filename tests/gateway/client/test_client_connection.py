"""Connecting, being refused, coming back: one exception at a time, and bounded waits."""

import pytest
import trio
from stand_in import TOKEN, URL, standing_in
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from gateway.client import ConnectionLostError, RefusedError, UnreachableError, connect


async def test_the_client_introduces_itself_and_gets_a_welcome(autojump_clock):
    async with standing_in() as gateway, gateway.client(name="test") as client:
        assert client.welcome["connectionId"] == "c-1"
        assert client.connected
        params = gateway.current.received[0]["params"]
        assert params["auth"] == {"token": TOKEN}
        assert params["client"]["name"] == "test"
        assert "resume" not in params


async def test_a_wrong_token_is_refused_once_and_says_what_to_do(autojump_clock):
    async with standing_in() as gateway:
        with pytest.raises(RefusedError, match=r"wrong token\): check the token") as caught:
            async with gateway.client(token="wrong", wait=1000):
                pytest.fail("connected")
        assert caught.value.kind == "unauthorized"
        assert len(gateway.attempts) == 1


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 421])
async def test_an_upgrade_that_is_refused_for_good_is_not_tried_again(autojump_clock, status):
    async with standing_in(status=status) as gateway:
        with pytest.raises(RefusedError, match=f"HTTP {status}: no"):
            async with gateway.client(wait=1000):
                pytest.fail("connected")
        assert len(gateway.attempts) == 1


async def test_a_page_of_another_server_is_not_repeated(autojump_clock):
    async with standing_in(status=200, body=b"<!doctype html>\n<html>") as server:
        with pytest.raises(RefusedError, match=r"\(HTTP 200\): what listens there is no gateway"):
            async with server.client(wait=1000):
                pytest.fail("connected")


async def test_an_overloaded_gateway_is_tried_again(autojump_clock):
    async with standing_in(status=503) as gateway:
        with pytest.raises(UnreachableError, match="HTTP 503"):
            async with gateway.client(wait=20):
                pytest.fail("connected")
        assert len(gateway.attempts) > 3


async def test_nothing_listening_is_said_at_once(autojump_clock):
    async with standing_in(down=True) as gateway:
        with pytest.raises(
            UnreachableError, match=r"nothing listens at gateway\.test:18789 \(connection refused\)"
        ):
            async with gateway.client():
                pytest.fail("connected")
        assert len(gateway.attempts) == 1


async def test_a_patient_client_waits_for_the_gateway_to_start(autojump_clock):
    async with standing_in(down=True) as gateway:
        gateway.nursery.start_soon(_start_later, gateway)
        async with gateway.client(wait=30) as client:
            assert await client.call("echo") == {}


async def _start_later(gateway):
    await trio.sleep(10)
    gateway.down = False


async def test_a_locked_out_client_waits_as_long_as_it_is_told(autojump_clock):
    lock_out = {"kind": "rate-limited", "retryAfterMs": 60_000}
    refusal = {"code": -32003, "message": "locked out", "data": lock_out}
    async with standing_in(refusal=refusal) as gateway:
        with pytest.raises(UnreachableError, match="not let anybody in now: locked out") as caught:
            async with gateway.client(wait=100):
                pytest.fail("connected")
        assert caught.value.answered
        first, second = gateway.attempts
        assert second - first >= 60


async def test_another_version_of_the_protocol_is_refused(autojump_clock):
    async with standing_in(welcome={"protocol": 2}) as gateway:
        with pytest.raises(RefusedError, match="it speaks protocol 2"):
            async with gateway.client():
                pytest.fail("connected")


async def _greeted_by(greeting):
    async def answer(stream):
        await stream.receive_some()
        await stream.send_all(greeting)
        await stream.send_eof()

    async with trio.open_nursery() as nursery:

        async def open_stream():
            ours, theirs = memory_stream_pair()
            nursery.start_soon(answer, ours)
            return theirs

        async with connect(URL, open_stream=open_stream):
            pytest.fail("connected")


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6\r\n", b""])
async def test_something_else_on_the_port_is_noticed_at_once(autojump_clock, greeting):
    before = trio.current_time()
    with pytest.RaisesGroup(pytest.RaisesExc(UnreachableError, match="does not speak WebSocket")):
        await _greeted_by(greeting)
    assert trio.current_time() == before


async def test_something_that_never_answers_is_given_up(autojump_clock):
    async def open_stream():
        return memory_stream_pair()[0]

    with pytest.raises(UnreachableError, match="did not answer"):
        async with connect(URL, open_stream=open_stream):
            pytest.fail("connected")


async def test_what_the_body_raises_comes_out_as_it_is(autojump_clock):
    async with standing_in() as gateway:
        error = KeyError("mine")
        with pytest.raises(KeyError) as caught:
            async with gateway.client():
                raise error
        assert caught.value is error
        with pytest.RaisesGroup(KeyError):
            async with gateway.client():
                raise ExceptionGroup("mine", [error])


async def test_cancelling_the_block_is_cancellation_and_nothing_else(autojump_clock):
    async with standing_in() as gateway:
        with trio.move_on_after(1) as scope:
            async with gateway.client() as client:
                await client.call("hang")
        assert scope.cancelled_caught


async def test_leaving_says_goodbye_and_takes_no_time(autojump_clock):
    async with standing_in() as gateway:
        before = trio.current_time()
        async with gateway.client() as client:
            await client.call("echo")
        assert trio.current_time() == before
        await wait_all_tasks_blocked()
        assert gateway.current.socket.closed.code == 1000


async def test_leaving_a_gateway_that_does_not_answer_is_bounded(autojump_clock):
    async with standing_in() as gateway:
        async with gateway.client():
            gateway.current.stream.receive_stream.receive_some_hook = trio.sleep_forever
            before = trio.current_time()
        assert trio.current_time() - before <= 4


async def test_leaving_without_a_connection_does_not_wait_for_one(autojump_clock):
    async with standing_in() as gateway:
        async with gateway.client():
            gateway.down = True
            await gateway.current.cut()
            await trio.sleep(100)
            before = trio.current_time()
        assert trio.current_time() == before


async def test_a_client_comes_back_after_each_loss_with_growing_bounded_delays(autojump_clock):
    async with standing_in() as gateway, gateway.client():
        gateway.down = True
        await gateway.current.cut()
        await trio.sleep(600)
        gaps = [b - a for a, b in zip(gateway.attempts[1:], gateway.attempts[2:], strict=False)]
        assert 0.25 <= gaps[0] <= 2
        assert min(gaps[-3:]) >= 15
        assert max(gaps) <= 30


async def test_delays_are_short_again_after_a_connection_that_lasted(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        gateway.down = True
        await gateway.current.cut()
        await trio.sleep(600)
        gateway.down = False
        await client.call("echo")
        await trio.sleep(11)
        before = trio.current_time()
        await gateway.current.cut()
        await wait_all_tasks_blocked()
        await client.call("echo")
        assert trio.current_time() - before <= 1


async def test_a_restart_that_was_announced_is_waited_for(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        await gateway.publish("gateway_closing", reason="restart", restartExpectedMs=20_000)
        await gateway.current.close(1001, "shutdown")
        before = trio.current_time()
        await client.call("echo")
        assert 20 <= trio.current_time() - before <= 21


@pytest.mark.parametrize(
    ("code", "words"),
    [(1008, "check the credentials"), (4001, "has been revoked"), (4009, "newer connection")],
)
async def test_a_close_that_is_meant_ends_the_client_for_good(autojump_clock, code, words):
    async with standing_in() as gateway, gateway.client() as client:
        events = client.events()
        await gateway.current.close(code, "because")
        with pytest.raises(RefusedError, match=words):
            await client.call("echo")
        with pytest.raises(RefusedError, match=words):
            await anext(events)
        with pytest.raises(RefusedError, match=words):
            await anext(client.events())
        await trio.sleep(100)
        assert len(gateway.attempts) == 1


async def test_without_reconnecting_a_loss_is_the_end(autojump_clock):
    async with standing_in() as gateway, gateway.client(reconnect=False) as client:
        await gateway.current.cut()
        await wait_all_tasks_blocked()
        with pytest.raises(ConnectionLostError, match="it hung up"):
            await client.call("echo")


async def test_a_gateway_that_falls_silent_is_noticed(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        gateway.current.stream.receive_stream.receive_some_hook = trio.sleep_forever
        events = client.events("connection.*")
        lost = await anext(events)
        assert lost.name == "connection.lost"
        assert "ping" in lost.data["reason"]


@pytest.mark.parametrize("frame", ["nonsense", "[]", "1"])
async def test_nonsense_from_the_gateway_ends_the_connection_not_the_client(autojump_clock, frame):
    async with standing_in() as gateway, gateway.client() as client:
        await gateway.current.socket.send_message(frame)
        await wait_all_tasks_blocked()
        assert await client.call("echo") == {}
        assert len(gateway.connections) == 2


@pytest.mark.parametrize(
    "url",
    ["", "localhost", "ftp://a", "ws://", "ws://user:secret@a", "ws://a/?token=x", "ws://a:b"],
)
async def test_a_bad_address_is_a_value_error(autojump_clock, url):
    with pytest.raises(ValueError):
        async with connect(url):
            pytest.fail("connected")
