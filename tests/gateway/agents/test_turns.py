"""A run uses tools step by step, each is on the disk before the next, and none twice."""

import attrs
import trio
from tool_stage import Scripted, call
from trio.testing import wait_all_tasks_blocked

from gateway.agents.providers import Said, ToolCall
from gateway.agents.run import Ask
from gateway.agents.steps import LOST, legal, spoken
from gateway.agents.turns import CALLS, ENOUGH, added
from gateway.config.tools import ToolPolicy
from gateway.errors import UnavailableError


def change(stage, **settings):
    """Have the agent's settings be these."""
    agent = attrs.evolve(stage.catalog.find("main").settings, **settings)
    stage.catalog.apply([("main", agent)], [])
    stage.catalog.providers = {"told": stage.model}


HELLO = '{"text": "hello"}'


async def test_a_model_uses_a_tool_and_then_answers(autojump_clock, tool_stage):
    stage = tool_stage
    stage.model.script = [("Let me see.", call("shout", HELLO)), "It says HELLO."]
    async with stage.running():
        entry = await stage.ask("say hello")
        assert (entry.state, entry.reply) == ("done", "It says HELLO.")
        wants = Said("assistant", "Let me see.", (ToolCall("c1", "shout", HELLO),))
        result = Said("tool", "HELLO", call_id="c1")
        assert stage.model.turns[1].messages == (Said("user", "say hello"), wants, result)
    ((_, _, use),) = stage.workshop.used
    assert (use.agent_id, use.session_id, use.run_id) == ("main", entry.session_id, entry.id)


async def test_the_history_shows_what_tools_were_used(autojump_clock, tool_stage):
    stage = tool_stage
    stage.model.script = [("Let me see.", call("shout", HELLO)), "Done."]
    async with stage.running():
        entry = await stage.ask("say hello")
        page = await stage.sessions.history(entry.session_id, 10)
        shown = [(each.role, each.content, len(each.calls), each.call_id) for each in page.messages]
        assert shown == [
            ("user", "say hello", 0, None),
            ("assistant", "Let me see.", 1, None),
            ("tool", "HELLO", 0, "c1"),
            ("assistant", "Done.", 0, None),
        ]
        session = await stage.sessions.get(entry.session_id)
        assert session.message_count == 4


async def test_the_next_question_comes_with_tools_and_results_in_order(autojump_clock, tool_stage):
    stage = tool_stage
    stage.model.script = [("", call("shout", HELLO), call("launch", HELLO, 2)), "Done.", "Bye."]
    async with stage.running():
        entry = await stage.ask("one")
        await stage.ask("two", session_id=entry.session_id)
    roles = [said.role for said in stage.model.turns[-1].messages]
    assert roles == ["user", "assistant", "tool", "tool", "assistant", "user"]
    assert [said.call_id for said in stage.model.turns[-1].messages[2:4]] == ["c1", "c2"]


async def test_a_model_is_offered_what_its_agent_may_use(autojump_clock, tool_stage):
    stage = tool_stage
    stage.policy(allow=("shout",), ask=("fail",))
    async with stage.running():
        await stage.ask("hi")
    offered = stage.model.turns[0].tools
    assert [tool.name for tool in offered] == ["fail", "shout"]
    assert offered[1].description == "Say a text loudly."
    assert offered[1].parameters["required"] == ["text"]
    assert offered[1].parameters["type"] == "object"


async def test_the_usage_of_all_steps_is_added_up(autojump_clock, tool_stage):
    tool_stage.model.script = [("", call("shout", HELLO)), "Done."]
    async with tool_stage.running():
        entry = await tool_stage.ask("hi")
    assert entry.usage == {"words": 2, "of": {"text": 4}, "provider": "told", "model": "m"}


def test_counts_that_are_no_numbers_are_taken_from_the_last_step():
    assert added(None, None) is None
    assert added({"a": 1}, None) == {"a": 1}
    assert added({"a": 1, "b": "x"}, {"b": "y", "c": 2}) == {"a": 1, "b": "y", "c": 2}


async def test_a_model_that_wants_tools_for_ever_is_told_and_then_ended(autojump_clock, tool_stage):
    stage = tool_stage
    change(stage, tools=ToolPolicy(steps=3))
    stage.model.script = [("", call("shout", HELLO))] * 100
    async with stage.running():
        entry = await stage.ask("go round")
    assert (entry.state, entry.kind) == ("failed", "conflict")
    assert len(stage.workshop.used) == 3
    assert len(stage.model.turns) == 5


async def test_a_model_that_heeds_the_limit_answers_in_the_end(autojump_clock, tool_stage):
    stage = tool_stage
    change(stage, tools=ToolPolicy(steps=1))

    def stubborn(turn):
        ended = turn.messages[-1].content == ENOUGH
        return "Fine." if ended else ("", call("shout", HELLO))

    stage.model.script = [stubborn] * 4
    async with stage.running():
        entry = await stage.ask("go round")
    assert (entry.state, entry.reply) == ("done", "Fine.")
    assert len(stage.workshop.used) == 1
    assert len(stage.model.turns) == 3


async def test_more_calls_than_anybody_needs_are_not_heeded(autojump_clock, tool_stage):
    stage = tool_stage
    stage.model.script = [("", *[call("shout", HELLO, n) for n in range(1000)]), "Done."]
    async with stage.running():
        entry = await stage.ask("hi")
    assert entry.reply == "Done."
    assert len(stage.workshop.used) == CALLS


async def test_calls_without_an_id_of_their_own_get_one(autojump_clock, tool_stage):
    stage = tool_stage
    nameless = ToolCall("", "shout", HELLO)
    stage.model.script = [("", nameless, nameless, call("shout", HELLO), call("shout", HELLO)), "."]
    async with stage.running():
        await stage.ask("hi")
    ids = [each.id for each in stage.model.turns[1].messages[1].calls]
    assert all(ids)
    assert len(set(ids)) == 4
    assert [each.call_id for each in stage.model.turns[1].messages[2:]] == ids


async def test_huge_arguments_are_refused_and_not_kept(autojump_clock, tool_stage):
    stage = tool_stage
    stage.model.script = [("", call("shout", '{"text": "' + "x" * 10_000_000 + '"}')), "Done."]
    async with stage.running():
        entry = await stage.ask("hi")
        page = await stage.sessions.history(entry.session_id, 10)
    assert "too many" in page.messages[2].content or "at most" in page.messages[2].content
    assert len(page.messages[1].calls[0].arguments) < 100_000
    assert stage.workshop.used == []


async def test_what_was_said_before_a_tool_is_not_part_of_a_failed_answer(
    autojump_clock, tool_stage
):
    stage = tool_stage
    stage.model.script = [("Let me see.", call("shout", HELLO)), UnavailableError("gone")]
    async with stage.running():
        entry = await stage.ask("hi")
    assert (entry.state, entry.reply) == ("failed", "")


async def test_a_retry_goes_on_after_the_tools_that_were_used(autojump_clock, tool_stage):
    stage = tool_stage
    stage.model.script = [("", call("shout", HELLO)), UnavailableError("gone"), "Done."]
    async with stage.running():
        keyed = {"principal": "me", "word": "k"}
        assert (await stage.ask("hi", **keyed)).state == "failed"
        entry = await stage.ask("hi", **keyed)
        assert (entry.state, entry.reply) == ("done", "Done.")
        said = await stage.said(entry.session_id)
    assert len(stage.workshop.used) == 1
    assert [role for role, _, _ in said] == ["user", "assistant", "tool", "assistant"]
    assert [each.role for each in stage.model.turns[-1].messages] == ["user", "assistant", "tool"]


async def test_a_tool_that_was_cut_off_is_not_used_again_but_reported_as_lost(
    autojump_clock, tool_stage
):
    stage = tool_stage
    stage.model.script = [("", call("dawdle", HELLO), call("shout", HELLO, 2)), "Done."]
    keyed = {"principal": "me", "word": "k", "provenance": "user"}
    async with stage.running(grace=0):
        run = await stage.runs.submit(Ask("hi", **keyed))
        await wait_all_tasks_blocked()
    assert run.entry.state == "interrupted"
    stage.again()
    async with stage.running():
        entry = await stage.ask("hi", **keyed)
    assert entry.reply == "Done."
    assert entry.provenance == "user"
    assert [(name, use.provenance) for name, _, use in stage.workshop.used] == [("dawdle", "user")]
    results = stage.model.turns[-1].messages[2:]
    assert [each.content for each in results] == [LOST, LOST]


async def test_cancelling_a_run_cancels_its_tool(autojump_clock, tool_stage):
    stage = tool_stage
    stage.model.script = [("", call("dawdle", HELLO))]
    async with stage.running():
        run = await stage.runs.submit(Ask("hi"))
        await wait_all_tasks_blocked()
        run.cancel()
        assert (await run.wait()).state == "cancelled"
        with trio.fail_after(1):
            assert (await stage.ask("next", session_id=run.session_id)).state == "done"


async def test_a_summary_is_made_of_what_was_said_without_tools(autojump_clock, tool_stage):
    stage = tool_stage
    stage.model.script = [("Let me see.", call("shout", HELLO)), "Done."]
    async with stage.running():
        entry = await stage.ask("hi")
        compacted = await stage.sessions.compact(entry.session_id, keep=0)
    assert compacted.compacted == 4
    assert compacted.summary.content == "hi | Let me see. | Done."


async def test_a_history_that_begins_in_the_middle_of_a_step_is_legal(autojump_clock, tool_stage):
    stage = tool_stage
    steps = [("", *[call("shout", HELLO, n) for n in range(5)]), "Done."]
    stage.model.script = [*steps, "Next."]
    change(stage, history_messages=3)
    async with stage.running():
        entry = await stage.ask("hi")
        await stage.ask("more", session_id=entry.session_id)
    assert stage.model.turns[-1].messages == (Said("assistant", "Done."), Said("user", "more"))


def test_results_without_a_call_are_left_out_and_missing_ones_are_said():
    wants = Said("assistant", "", (call("a", number=1), call("b", number=2)))
    one, two = (Said("tool", text, call_id=text) for text in ("c1", "c2"))
    stray = Said("tool", "?", call_id="c9")
    user = Said("user", "hi")
    lost = Said("tool", LOST, call_id="c1")
    assert legal([]) == []
    assert legal([one, user]) == [user]
    assert legal([wants, two, one, stray, user, two]) == [wants, one, two, user]
    assert legal([user, wants, two]) == [user, wants, lost, two]
    assert legal([wants]) == [wants, lost, Said("tool", LOST, call_id="c2")]
    assert spoken([user, wants, one]) == (user,)


async def test_an_agent_without_tools_is_asked_as_before(autojump_clock, stage):
    model = stage.catalog.providers["told"] = Scripted(["Hi."])
    async with stage.running():
        await stage.ask("hi")
    assert model.turns[0].tools == ()
