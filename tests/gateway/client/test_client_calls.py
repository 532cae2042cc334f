"""Calls: answers, errors, and what a lost connection does to them."""

import pytest
import trio
from stand_in import standing_in
from trio.testing import wait_all_tasks_blocked

from gateway.client import ConnectionLostError, RpcError


async def test_a_call_returns_what_the_gateway_answers(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        assert await client.call("echo", {"word": "hello"}) == {"word": "hello"}
        assert gateway.current.host == "gateway.test:18789"


async def test_answers_find_their_calls_whatever_their_order(autojump_clock):
    async def slow(params):
        await trio.sleep(10 - params["n"])
        return params["n"]

    answers = {}
    async with standing_in() as gateway, gateway.client() as client:
        gateway.methods["slow"] = slow

        async def ask(n):
            answers[n] = await client.call("slow", {"n": n})

        async with trio.open_nursery() as nursery:
            for n in range(10):
                nursery.start_soon(ask, n)
    assert answers == {n: n for n in range(10)}
    assert list(answers) != sorted(answers)


async def test_an_error_has_its_kind_code_and_message(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        with pytest.raises(RpcError, match="no such method") as caught:
            await client.call("nothing")
    assert (caught.value.kind, caught.value.code) == ("unknown-method", -32601)
    assert caught.value.data == {}


async def test_a_call_that_takes_too_long_is_cancelled_at_the_gateway(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        with pytest.raises(RpcError, match="hang was not answered within 5 s") as caught:
            await client.call("hang", timeout=5)
        await wait_all_tasks_blocked()
        hang, cancel = gateway.current.received[1:]
    assert caught.value.kind == "timeout"
    assert cancel == {"method": "request.cancel", "params": {"id": hang["id"]}}


async def test_cancelling_a_caller_leaves_the_others_alone(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        with trio.move_on_after(1):
            await client.call("hang")
        assert await client.call("echo", {"still": "here"}) == {"still": "here"}


async def test_a_call_in_flight_at_a_loss_fails_and_says_that_it_is_unknown(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        gateway.nursery.start_soon(_cut_soon, gateway)
        with pytest.raises(ConnectionLostError, match="hang was answered: it may or may not"):
            await client.call("hang")
        assert await client.call("echo") == {}
        assert len(gateway.connections) == 2


async def _cut_soon(gateway):
    await trio.sleep(1)
    await gateway.current.cut()


async def test_a_call_with_an_idempotency_key_is_sent_again(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:

        async def cut_the_first_time(params):
            if len(gateway.connections) == 1:
                await gateway.current.cut()
                await trio.sleep_forever()
            return "done"

        gateway.methods["run"] = cut_the_first_time
        assert await client.call("run", {"idempotencyKey": "k"}) == "done"
        first, second = gateway.connections
        assert first.received[1] == second.received[1]


async def test_a_call_that_kills_every_connection_is_not_sent_for_ever(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:

        async def poison(params):
            await gateway.current.cut()
            await trio.sleep_forever()

        gateway.methods["poison"] = poison
        with pytest.raises(ConnectionLostError):
            await client.call("poison", {"idempotencyKey": "k"})
        assert len(gateway.connections) == 5


async def test_a_call_made_without_a_connection_waits_for_one(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        gateway.down = True
        await gateway.current.cut()
        await wait_all_tasks_blocked()
        assert not client.connected
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call, "echo")
            await trio.sleep(20)
            gateway.down = False
        assert gateway.current.methods() == ["connect", "echo"]


async def test_a_call_that_gave_up_waiting_for_a_connection_is_never_sent(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        gateway.down = True
        await gateway.current.cut()
        await wait_all_tasks_blocked()
        with pytest.raises(RpcError, match="within 3 s"):
            await client.call("echo", timeout=3)
        gateway.down = False
        await trio.sleep(60)
        assert gateway.current.methods() == ["connect"]


async def test_a_gateway_that_stops_answers_keyed_calls_after_its_restart(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:

        async def stopping(params):
            if len(gateway.connections) > 1:
                return "done"
            await gateway.publish("gateway_closing", reason="restart", restartExpectedMs=2000)
            error = {"code": -32006, "message": "stopping", "data": {"kind": "unavailable"}}
            await gateway.current.send(id=1, error=error)
            await gateway.current.close(1001, "shutdown")
            await trio.sleep_forever()
            return None

        gateway.methods["run"] = stopping
        assert await client.call("run", {"idempotencyKey": "k"}) == "done"


async def test_no_more_calls_are_in_flight_than_the_gateway_takes(autojump_clock):
    running = most = 0

    async def count(params):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1

    async with standing_in(welcome={"limits": {"inFlight": 3}}) as gateway:
        gateway.methods["count"] = count
        async with gateway.client() as client, trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(client.call, "count")
    assert most == 3


async def test_a_request_larger_than_the_gateway_allows_is_not_sent(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        with pytest.raises(RpcError, match="larger than the 65536 bytes") as caught:
            await client.call("echo", {"text": "x" * 70_000})
        assert caught.value.kind == "too-large"
        assert await client.call("echo") == {}


async def test_params_that_json_has_not_are_the_callers_error(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:
        with pytest.raises(TypeError):
            await client.call("echo", {"what": object()})
        assert await client.call("echo") == {}


async def test_a_keyed_call_is_not_repeated_when_frames_are_too_large(autojump_clock):
    async with standing_in() as gateway, gateway.client() as client:

        async def too_large(params):
            await gateway.current.close(1009, "too large")

        gateway.methods["big"] = too_large
        with pytest.raises(ConnectionLostError, match="1009"):
            await client.call("big", {"idempotencyKey": "k"})


async def test_leaving_the_block_fails_the_calls_that_wait(autojump_clock):
    async with standing_in() as gateway, trio.open_nursery() as nursery:
        failed = trio.Event()

        async def ask(client):
            with pytest.raises(ConnectionLostError, match="the client is closed"):
                await client.call("hang")
            failed.set()

        async with gateway.client() as client:
            nursery.start_soon(ask, client)
            await wait_all_tasks_blocked()
        await failed.wait()
        with pytest.raises(ConnectionLostError, match="the client is closed"):
            await client.call("echo")
