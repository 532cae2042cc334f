"""Commands typed in `gateway chat`, and the answers that a waiting agent needs."""

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked as settled

from gateway.cli.typed import Deciding, Typed
from gateway.client import Event, RpcError
from gateway.protocol.commands import Command


@attrs.define
class FarGateway:
    """Answers from memory."""

    answers: dict = attrs.field(factory=dict)
    welcome: dict = attrs.field(factory=lambda: {"scopes": ["admin"]})
    calls: list = attrs.field(factory=list)

    async def call(self, method, params=None):
        self.calls.append((method, params))
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer


@attrs.define(eq=False)
class Keyboard:
    """Lines that a test types."""

    typed: bool = True
    send: object = None
    receive: object = None
    take: object = None
    obeyed: list = attrs.field(factory=list)
    stopped: int = 0

    def __attrs_post_init__(self):
        self.send, self.receive = trio.open_memory_channel(9)

    async def read(self):
        return await self.receive.receive()

    def hint(self):
        return False


REQUESTED = Event(
    "approval.requested", {"id": "abc", "tool": "web_fetch", "arguments": "{}", "runId": "r"}
)
RESOLVED = Event("approval.resolved", {"id": "abc", "runId": "r"})


async def test_new_forgets_the_session_and_nothing_else():
    params = {"agentId": "main", "sessionId": "s-1"}
    typed = Typed(FarGateway(), params)
    assert await typed.run(Command("new")) == "A new conversation begins."
    assert params == {"agentId": "main"}
    assert "new already" in await typed.run(Command("new"))


async def test_status_says_with_whom_and_for_how_long():
    answers = {
        "agents.list": {"agents": [{"id": "a", "default": False}, {"id": "b", "default": True}]},
        "sessions.get": {"messageCount": 4},
    }
    said = await Typed(FarGateway(answers), {"sessionId": "s-1"}).run(Command("status"))
    assert said.splitlines() == [
        "Agent: b",
        "Conversation: 4 messages, s-1",
        "Channel: webchat, connected",
    ]


async def test_a_client_that_may_approve_is_an_owner_and_others_are_not():
    answers = {
        "approvals.approve": {"tool": "web_fetch"},
        "approvals.deny": RpcError("not-found", "nothing waits under this id", code=-32001),
    }
    far = FarGateway(answers)
    assert await Typed(far, {}).run(Command("allow", "abc")) == "web_fetch: allowed."
    assert far.calls == [("approvals.approve", {"id": "abc"})]
    assert "nothing waits" in await Typed(far, {}).run(Command("deny", "abc"))
    assert "Like this: /allow" in await Typed(far, {}).run(Command("allow"))
    assert "/allow" in await Typed(far, {}).run(Command("help"))
    far.welcome = {"scopes": ["read"]}
    assert "/allow" not in await Typed(far, {}).run(Command("help"))


@pytest.fixture
async def keyboard(nursery):
    """Whoever types, and what came of it; `take` tells of an approval."""
    made = Keyboard()

    async def obey(command):
        made.obeyed.append(command)
        return "done"

    async def stop():
        made.stopped += 1

    deciding = Deciding(made, obey, stop)
    made.take = deciding.take
    nursery.start_soon(deciding.run)
    await settled()
    return made


async def test_lines_are_read_only_while_somebody_waits_for_them(keyboard, capsys):
    keyboard.send.send_nowait("/deny abc")
    await settled()
    assert keyboard.obeyed == []
    keyboard.take(REQUESTED)
    await settled()
    assert keyboard.obeyed == [Command("deny", "abc")]
    keyboard.take(RESOLVED)
    await settled()
    keyboard.send.send_nowait("next question")
    await settled()
    assert keyboard.receive.receive_nowait() == "next question"
    assert "May I use web_fetch with {}" in capsys.readouterr().err


async def test_what_is_no_command_is_not_taken_for_consent(keyboard, capsys):
    keyboard.take(REQUESTED)
    keyboard.send.send_nowait("yes")
    keyboard.send.send_nowait("/stop")
    await settled()
    assert keyboard.obeyed == []
    assert keyboard.stopped == 1
    assert "/allow ID" in capsys.readouterr().err
