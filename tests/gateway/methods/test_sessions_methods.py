"""sessions.*: pages, cursors, and what is on the wire."""

import pytest
from agent_stage import Faulty, Stage

from gateway.errors import GatewayError, NotFoundError
from gateway.methods.sessions import sessions_methods
from gateway.protocol.convert import WIRE
from gateway.storage.memory import Memory


@pytest.fixture
def stage():
    with Memory.opened() as memory:
        yield Stage(Faulty(memory))


async def call(stage, method, **params):
    return WIRE.unstructure(await sessions_methods(stage.sessions).call(method, params))


async def pages(stage, method, part, **params):
    """Return the pages of a list, each without its cursor."""
    found, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        result = await call(stage, method, **params, **more)
        found.append(result[part])
        if (cursor := result["cursor"]) is None:
            return found


async def test_sessions_are_paged_to_the_last_one(autojump_clock, stage):
    async with stage.running():
        made = [(await stage.ask(str(n))).session_id for n in range(5)]
        found = await pages(stage, "sessions.list", "sessions", limit=2)
        assert [session["id"] for page in found for session in page] == made[::-1]


async def test_a_session_is_what_the_list_says(autojump_clock, stage):
    async with stage.running():
        entry = await stage.ask("hello")
        [session] = (await call(stage, "sessions.list"))["sessions"]
        found = await call(stage, "sessions.get", sessionId=entry.session_id)
        assert found == session | {"usage": {"runs": 1, "inputTokens": 0, "outputTokens": 0}}
        assert set(session) == {"id", "agentId", "title", "created", "updated", "messageCount"}
        assert (await call(stage, "sessions.list", agentId="x"))["sessions"] == []


async def test_a_session_says_what_it_has_cost_until_it_is_reset(autojump_clock, stage):
    stage.told.usage = {"prompt_tokens": 12, "completion_tokens": 3}
    async with stage.running():
        session = (await stage.ask("m0")).session_id
        stage.told.usage = {"input_tokens": 5, "output_tokens": 1}
        await stage.ask("m1", session_id=session)
        await stage.ask("elsewhere")
        usage = (await call(stage, "sessions.get", sessionId=session))["usage"]
        assert usage == {"runs": 2, "inputTokens": 17, "outputTokens": 4}
        await stage.sessions.reset(session)
        usage = (await call(stage, "sessions.get", sessionId=session))["usage"]
        assert usage == {"runs": 0, "inputTokens": 0, "outputTokens": 0}


async def test_a_history_is_paged_to_the_first_message(autojump_clock, stage):
    async with stage.running():
        session = (await stage.ask("m0")).session_id
        await stage.ask("m1", session_id=session)
        found = await pages(stage, "sessions.history", "messages", sessionId=session, limit=3)
        assert [[m["content"] for m in page] for page in found] == [["M0", "m1", "M1"], ["m0"]]
        assert set(found[0][0]) == {
            "calls", "callId", "id", "role", "content", "created", "state", "runId", "compacted",
        }  # fmt: skip


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "1", "1_", "1_2_3", "-1_2", "1e5_2", "9" * 30 + "_1", "1_" + "9" * 30, "1.5_2"],
)
async def test_a_cursor_that_is_none_is_refused(autojump_clock, stage, cursor):
    async with stage.running():
        session = (await stage.ask("m0")).session_id
        with pytest.raises(GatewayError, match="cursor") as caught:
            await call(stage, "sessions.history", sessionId=session, cursor=cursor)
        assert caught.value.kind == "invalid-params"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("sessions.list", {"limit": 0}),
        ("sessions.list", {"limit": 201}),
        ("sessions.history", {"sessionId": "x", "limit": 1001}),
        ("sessions.compact", {"sessionId": "x", "keep": -1}),
    ],
)
async def test_what_is_out_of_bounds_is_refused(stage, method, params):
    with pytest.raises(GatewayError, match="must be from") as caught:
        await call(stage, method, **params)
    assert caught.value.kind == "invalid-params"
    (issue,) = caught.value.data["issues"]
    assert issue["path"] in params


async def test_a_session_can_be_compacted_exported_reset_and_deleted(autojump_clock, stage):
    async with stage.running():
        session = (await stage.ask("one")).session_id
        done = await call(stage, "sessions.compact", sessionId=session, keep=0)
        assert (done["compacted"], done["summary"]["content"]) == (2, "one | ONE")
        export = await call(stage, "sessions.export", sessionId=session)
        assert [m["content"] for m in export["messages"]] == ["one", "ONE", "one | ONE"]
        export = await call(stage, "sessions.export", sessionId=session, format="markdown")
        assert export["content"].startswith("# one\n")
        assert (await call(stage, "sessions.reset", sessionId=session))["messageCount"] == 0
        await call(stage, "sessions.delete", sessionId=session)
        with pytest.raises(NotFoundError):
            await call(stage, "sessions.get", sessionId=session)
