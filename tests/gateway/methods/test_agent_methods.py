"""agent.*: what a client asks and gets."""

import pytest
import trio
from agent_stage import Faulty, Stage

from gateway.errors import GatewayError, NotFoundError, UnavailableError
from gateway.methods.agent import agent_methods
from gateway.protocol.convert import WIRE, InvalidError
from gateway.rpc.auth import Principal
from gateway.rpc.router import Call
from gateway.storage.memory import Memory


@pytest.fixture
def stage():
    with Memory.opened() as memory:
        yield Stage(Faulty(memory))


async def call(stage, method, key=None, **params):
    """Call as a client does; return what is on the wire."""
    circumstances = Call(Principal("me", "control", frozenset({"write"})), idempotency_key=key)
    return WIRE.unstructure(await agent_methods(stage.runs).call(method, params, circumstances))


async def test_a_reply_has_exactly_three_names(autojump_clock, stage):
    async with stage.running():
        result = await call(stage, "agent.run", agentId="main", message="hi there")
        assert set(result) == {"sessionId", "runId", "reply"}
        assert result["reply"] == "HI THERE"
        again = await call(stage, "agent.run", sessionId=result["sessionId"], message="and")
        assert again["sessionId"] == result["sessionId"]


async def test_the_same_key_of_the_same_principal_is_the_same_run(autojump_clock, stage):
    async with stage.running():
        first = await call(stage, "agent.run", "k", message="once")
        assert await call(stage, "agent.run", "k", message="once") == first
        assert len(stage.told.turns) == 1


@pytest.mark.parametrize(
    "params",
    [{}, {"message": 5}, {"message": "x", "agent": "main"}, {"message": "x", "agentId": 1}],
)
async def test_bad_params_are_refused(stage, params):
    with pytest.raises(InvalidError):
        await call(stage, "agent.run", **params)


async def test_a_run_that_fails_is_an_error_with_its_ids(autojump_clock, stage):
    stage.told.errors = [UnavailableError("set an api_key")]
    async with stage.running():
        with pytest.raises(GatewayError, match="set an api_key") as caught:
            await call(stage, "agent.run", message="one two")
        assert caught.value.kind == "unavailable"
        run = await stage.runs.find(caught.value.data["runId"])
        assert run.session_id == caught.value.data["sessionId"]


async def test_waiting_gets_the_same_reply_while_it_runs_and_afterwards(autojump_clock, stage):
    stage.told.delay = 10.0
    results = []

    async def ask():
        results.append(await call(stage, "agent.run", message="hi"))

    async with stage.running(), trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(5)
        run_id = stage.events[0][1]["runId"]
        early = await call(stage, "agent.wait", runId=run_id)
        late = await call(stage, "agent.wait", runId=run_id)
    assert results == [early] == [late]


async def test_waiting_may_be_limited(autojump_clock, stage):
    stage.told.delay = 10.0
    async with stage.running(), trio.open_nursery() as nursery:
        nursery.start_soon(lambda: call(stage, "agent.run", message="hi"))
        await trio.sleep(1)
        run_id = stage.events[0][1]["runId"]
        for limit in (0, 1500):
            with pytest.raises(GatewayError) as caught:
                await call(stage, "agent.wait", runId=run_id, timeoutMs=limit)
            assert caught.value.kind == "timeout"
        with pytest.raises(GatewayError, match="negative"):
            await call(stage, "agent.wait", runId=run_id, timeoutMs=-1)


async def test_cancelling_ends_the_run_for_everybody_who_waits(autojump_clock, stage):
    stage.told.delay = 10.0

    async def ask():
        with pytest.raises(GatewayError) as caught:
            await call(stage, "agent.run", message="one two")
        assert caught.value.kind == "cancelled"

    async with stage.running(), trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(15)
        run_id = stage.events[0][1]["runId"]
        ended = await call(stage, "agent.cancel", runId=run_id)
        assert (ended["runId"], ended["state"]) == (run_id, "cancelled")
        assert await call(stage, "agent.cancel", runId=run_id) == ended


async def test_cancelling_what_is_over_changes_nothing(autojump_clock, stage):
    async with stage.running():
        done = await call(stage, "agent.run", message="hi")
        ended = await call(stage, "agent.cancel", runId=done["runId"])
        assert ended["state"] == "done"
        assert (await call(stage, "agent.wait", runId=done["runId"])) == done


@pytest.mark.parametrize("method", ["agent.wait", "agent.cancel"])
async def test_an_unknown_run_is_not_found(autojump_clock, stage, method):
    async with stage.running():
        with pytest.raises(NotFoundError):
            await call(stage, method, runId="run-x")
