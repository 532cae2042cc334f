"""Tools of parts that are wired in: they are the owner's, and ask the part for exactly that."""

import json

import attrs
import pytest
import trio
from tool_stage import OWNER, call

from gateway.agents.tools.devices import device_tools
from gateway.agents.tools.messages import message_tools
from gateway.agents.tools.schedule import schedule_tools
from gateway.agents.tools.toolbox import Toolbox
from gateway.bus import Bus
from gateway.config.tools import BUILT_IN_TOOLS, ToolPolicy
from gateway.errors import ConflictError, NotFoundError


@attrs.define
class Parts:
    """Channels, nodes and a schedule in memory."""

    done: list = attrs.field(factory=list)
    jobs: list = attrs.field(factory=list)

    async def send(self, channel, chat, text, media=None):
        await trio.lowlevel.checkpoint()
        if channel != "irc:home":
            raise NotFoundError(f"no channel {channel!r}")
        self.done.append((channel, chat, text) if media is None else (channel, chat, text, media))

    async def invoke(self, node, capability, params, seconds):
        await trio.lowlevel.checkpoint()
        self.done.append((node, capability, params))
        return {"ok": True}

    async def add(self, job):
        await trio.lowlevel.checkpoint()
        if any(each.name == job.name for each in self.jobs):
            raise ConflictError("there is one already")
        self.jobs.append(attrs.evolve(job, next=5.0))
        return self.jobs[-1]

    async def list(self, agent_id):
        await trio.lowlevel.checkpoint()
        return [each for each in self.jobs if each.agent_id == agent_id]


@pytest.fixture
def parts():
    return Parts()


@pytest.fixture
def use(parts):
    box = Toolbox(Bus(), policy_of=lambda _: ToolPolicy(allow=("*",)))
    for tools in (message_tools(parts.send), device_tools(parts), schedule_tools(parts)):
        box.registry.add(tools.all)
    assert {tool.name for tool in box.registry.list()} < BUILT_IN_TOOLS

    async def use(tool, use=OWNER, **arguments):
        return await box.use(call(tool, json.dumps(arguments)), use)

    return use


async def test_a_message_is_sent_to_the_chat_that_is_named(parts, use):
    answer = await use("send_message", channel="irc:home", chat="#a", text="hi")
    assert answer == "Accepted for delivery."
    assert parts.done == [("irc:home", "#a", "hi")]


async def test_a_stored_file_is_sent_by_its_id_with_or_without_words(parts, use):
    await use("send_message", channel="irc:home", chat="#a", media="media-1")
    assert parts.done == [("irc:home", "#a", "", "media-1")]
    assert "no channel" in await use("send_message", channel="x", chat="#a", text="hi")


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"channel": " "}, "channel: must not be empty"),
        ({"chat": ""}, "chat: must not be empty"),
        ({"text": "\n"}, "text: must not be empty"),
        ({"text": "x" * 40_000}, "text: at most"),
    ],
)
async def test_a_message_that_says_nothing_or_too_much_is_refused(parts, use, wrong, complaint):
    message = {"channel": "irc:home", "chat": "#a", "text": "hi"} | wrong
    assert complaint in await use("send_message", **message)
    assert parts.done == []


async def test_a_device_is_asked_and_its_answer_returned(parts, use):
    answer = await use("node_invoke", node="phone", capability="camera.snap", params={"a": 1})
    assert answer == '{"ok":true}'
    assert parts.done == [("phone", "camera.snap", {"a": 1})]


async def test_a_job_is_added_for_the_agent_that_asks(parts, use):
    job = {"name": "tea", "schedule": "0 16 * * *", "message": "Tea?"}
    wire = job | {"agentId": "main", "next": 5.0}
    assert json.loads(await use("cron_add", **job)) == wire
    assert json.loads(await use("cron_list")) == [wire]
    assert await use("cron_add", **job) == "Error: there is one already"
    other = attrs.evolve(OWNER, agent_id="other")
    assert json.loads(await use("cron_list", other)) == []


@pytest.mark.parametrize("tool", ["send_message", "node_invoke", "cron_add", "cron_list"])
async def test_nobody_but_the_owner_moves_them(parts, use, tool):
    for provenance in ("user", "hook", "cron"):
        visitor = attrs.evolve(OWNER, provenance=provenance)
        assert "there is no tool" in await use(tool, visitor)
    assert parts.done == []
