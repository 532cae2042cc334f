"""An agent finds what was said to it, and nothing that was said to others."""

import json

import attrs
import pytest
from agent_stage import Faulty
from tool_stage import OWNER, ToolStage, call

from gateway.agents.tools.conversations import MOST, conversation_tools
from gateway.agents.tools.toolbox import Toolbox
from gateway.bus import Bus
from gateway.config.tools import ToolPolicy


@pytest.fixture
def search(memory):
    box = Toolbox(Bus(), policy_of=lambda _: ToolPolicy(allow=("*",)))
    box.registry.add(conversation_tools(memory).all)

    async def search(text, use=OWNER, **more):
        arguments = json.dumps({"text": text, **more})
        answer = await box.use(call("sessions_search", arguments), use)
        return answer if answer.startswith("Error") else json.loads(answer)

    return search


async def test_what_was_said_is_found_newest_first(autojump_clock, memory, search):
    async with ToolStage(Faulty(memory)).running() as stage:
        stage.model.script = ["Paris it is.", "Yes, PARIS."]
        one = await stage.ask("where is it?")
        two = await stage.ask("really?")
    found = await search("paris")
    assert [(each["sessionId"], each["excerpt"]) for each in found] == [
        (two.session_id, "Yes, PARIS."), (one.session_id, "Paris it is."),
    ]  # fmt: skip


async def test_conversations_with_other_agents_are_not_found(autojump_clock, memory, search):
    async with ToolStage(Faulty(memory)).running() as stage:
        await stage.ask("my secret", agent_id="other")
    assert await search("secret") == []


async def test_only_the_owner_finds_what_was_said_in_other_sessions(autojump_clock, memory, search):
    async with ToolStage(Faulty(memory)).running() as stage:
        stage.model.script = ["noted"] * 2
        mine = await stage.ask("secret one")
        await stage.ask("secret two")
    visitor = attrs.evolve(OWNER, session_id=mine.session_id, provenance="user")
    assert len(await search("secret")) == 2
    assert [each["excerpt"] for each in await search("secret", visitor)] == ["secret one"]


async def test_neither_the_question_itself_nor_results_of_tools_are_found(
    autojump_clock, memory, search
):
    async with ToolStage(Faulty(memory)).running() as stage:
        stage.model.script = [("", call("shout", '{"text": "needle"}')), "done"]
        entry = await stage.ask("find the needle")
    own = attrs.evolve(OWNER, run_id=entry.id)
    assert await search("needle", own) == []
    assert [each["role"] for each in await search("needle")] == ["user"]


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "100%_\\"])
async def test_signs_that_mean_something_to_sql_are_only_signs(
    autojump_clock, memory, search, text
):
    async with ToolStage(Faulty(memory)).running() as stage:
        stage.model.script = [f"x{text}y", "nothing of it"]
        await stage.ask("a")
        await stage.ask("b")
    assert [each["excerpt"] for each in await search(text)] == [f"x{text}y"]


async def test_results_are_few_and_short(autojump_clock, memory, search):
    async with ToolStage(Faulty(memory)).running() as stage:
        for _ in range(MOST + 1):
            stage.model.script = ["a" * 1000 + "needle" + "b" * 1000]
            await stage.ask("x")
    found = await search("needle", limit=10**6)
    assert len(found) == MOST
    assert all("needle" in each["excerpt"] and len(each["excerpt"]) < 500 for each in found)
    assert len(await search("needle", limit=-1)) == 1


@pytest.mark.parametrize("text", ["", "  ", "x" * 201])
async def test_a_search_for_nothing_or_too_much_is_refused(autojump_clock, search, text):
    assert (await search(text)).startswith("Error: text: must have 1 to 200 characters")
