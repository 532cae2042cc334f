"""On the way down nobody new is let in, and nobody who is in is forgotten."""

import attrs
import pytest
import structlog
import trio
from memory_rpc import Core

from gateway.rpc.gate import RETRY_AFTER_MS, Gate
from gateway.rpc.router import Methods
from supervisors.testing import running


@attrs.frozen
class Nap:
    seconds: float


def nap_methods():
    methods = Methods("nap")

    @methods.method("read", deadline=600)
    async def take(params: Nap) -> str:
        await trio.sleep(params.seconds)
        return "slept"

    @methods.method("read", always=True)
    async def anyway(params: Nap) -> str:
        await trio.sleep(params.seconds)
        return "slept"

    return methods


@pytest.fixture
async def core():
    """A core whose gate the test runs."""
    async with Core(nap_methods()).running(gate=False) as core:
        yield core


def nap(seconds, method="nap.take", id_="r"):
    return {"id": id_, "method": method, "params": {"seconds": seconds}}


async def kind_of(socket):
    return (await socket.next())["error"]["data"]["kind"]


async def test_nothing_passes_a_gate_that_does_not_run(autojump_clock, core):
    socket, _ = await core.connect()
    socket.say({"id": 1, "method": "ping"})
    error = (await socket.next())["error"]
    assert error["data"] == {"kind": "unavailable", "retryAfterMs": RETRY_AFTER_MS}


async def test_stopping_waits_for_requests_in_flight_and_refuses_new_ones(autojump_clock, core):
    socket, _ = await core.connect()
    async with running(core.gate.run, stop_timeout=60) as gate:
        socket.say(nap(9))
        await trio.testing.wait_all_tasks_blocked()
        assert gate.detail == {"inFlight": 1}
        began = trio.current_time()
        core.nursery.start_soon(_ask_late, socket)
    assert trio.current_time() - began == 9
    assert [(await socket.next()).get("result") for _ in range(2)] == [None, "slept"]


async def _ask_late(socket):
    await trio.sleep(1)
    socket.say({"id": "late", "method": "ping"})


async def test_what_is_left_is_logged_and_answered(autojump_clock, core):
    socket, _ = await core.connect()
    with structlog.testing.capture_logs() as entries:
        with pytest.raises(trio.TooSlowError):
            async with running(core.gate.run, stop_timeout=20):
                socket.say(nap(100))
                await trio.testing.wait_all_tasks_blocked()
        assert await kind_of(socket) == "unavailable"
    (entry,) = [each for each in entries if each["event"] == "request given up"]
    assert (entry["id"], entry["method"], entry["principal"]) == ("r", "nap.take", "owner")
    assert entry["age"] == 20


async def test_what_is_always_answered_is_not_waited_for(autojump_clock, core):
    socket, _ = await core.connect()
    began = trio.current_time()
    async with running(core.gate.run, stop_timeout=60):
        socket.say(nap(20, "nap.anyway"))
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == began
    assert (await socket.next())["result"] == "slept"


async def test_a_gate_can_run_again(autojump_clock, core):
    socket, _ = await core.connect()
    for _ in range(2):
        async with running(core.gate.run):
            socket.say(nap(1))
            assert (await socket.next())["result"] == "slept"


async def test_an_idle_gate_stops_at_once(autojump_clock):
    began = trio.current_time()
    async with running(Gate().run):
        pass
    assert trio.current_time() == began
