"""What is typed in `gateway chat` and is not for the agent: /new, /status, /allow ...

The same commands as in every channel.  Whoever may approve by the scopes of its token is
an owner here.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import trio

from gateway.cli.lines import Lines
from gateway.cli.screen import clean
from gateway.cli.session import explain
from gateway.client import Client, Event, RpcError
from gateway.errors import GatewayError
from gateway.protocol.commands import OWNERS_HELP, Command, help_text, parse

OWNER: Final = "admin"
"""The scope that makes an owner of a client."""

_METHODS: Final = {
    "approve": ("pairing.approve", "code"),
    "allow": ("approvals.approve", "id"),
    "deny": ("approvals.deny", "id"),
}
"""What a command with an argument calls, and the param that takes it."""


@attrs.frozen(eq=False)
class Typed:
    """Does commands with *client*; *params* are those of every ``agent.run``."""

    client: Client
    params: dict[str, Any]

    async def run(self, command: Command) -> str:
        """Do *command* and return what to say; also if it cannot be done."""
        try:
            return await self._said(command)
        except RpcError as error:
            return explain(error)
        except GatewayError as error:
            return error.message

    async def _said(self, command: Command) -> str:
        if command.name in OWNERS_HELP:
            return await self._for_owners(command)
        match command.name:
            case "new":
                had = self.params.pop("sessionId", None)
                return "A new conversation begins." if had else "This conversation is new already."
            case "stop":
                return "Nothing is being answered here."
            case "status":
                return await self._status()
        return help_text(owner=OWNER in self.client.welcome.get("scopes", ()))

    async def _status(self) -> str:
        agent = self.params.get("agentId")
        if agent is None:
            agents = (await self.client.call("agents.list"))["agents"]
            agent = next((each["id"] for each in agents if each["default"]), "unknown")
        lines, session = [f"Agent: {agent}"], self.params.get("sessionId")
        if session is None:
            lines.append("Conversation: new")
        else:
            found = await self.client.call("sessions.get", {"sessionId": session})
            lines.append(f"Conversation: {found['messageCount']} messages, {session}")
        return "\n".join([*lines, "Channel: webchat, connected"])

    async def _for_owners(self, command: Command) -> str:
        if not command.argument:
            return f"Like this: /{command.name} {OWNERS_HELP[command.name]}"
        method, param = _METHODS[command.name]
        found = await self.client.call(method, {param: command.argument})
        if command.name == "approve":
            return f"{found['name'] or found['sender']} may talk to {found['channel']} now."
        return f"{found['tool']}: {'allowed' if command.name == 'allow' else 'denied'}."


@attrs.define(eq=False)
class Deciding:
    """Asks whoever types what an agent may do, while its run waits for that.

    *obey* does a command and returns what to say; *stop* ends the run.
    """

    lines: Lines | None
    obey: Callable[[Command], Awaitable[str]]
    stop: Callable[[], Awaitable[None]]
    _waiting: set[str] = attrs.field(factory=set, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def take(self, event: Event) -> None:
        """Note an approval that is wanted for the run, or is not any more."""
        if event.name == "approval.requested":
            self._waiting.add(event.data["id"])
            print(clean(self._question(event.data)), file=sys.stderr)
        elif event.name == "approval.resolved":
            self._waiting.discard(event.data["id"])
        self._changed.set()

    async def run(self) -> None:
        """Read what is typed whenever something waits; until cancelled."""
        while True:
            while not self._waiting or self.lines is None or not self.lines.typed:
                await self._next()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, self.lines)
                while self._waiting:
                    await self._next()
                nursery.cancel_scope.cancel()

    async def _next(self) -> None:
        self._changed = trio.Event()
        await self._changed.wait()

    def _question(self, approval: Mapping[str, Any]) -> str:
        asked = f"May I use {approval['tool']} with {approval['arguments']}"
        if self.lines is not None and self.lines.typed:
            return f"{asked}\n/allow {approval['id']} or /deny {approval['id']}"
        return f"{asked}\nIn another terminal: gateway approvals approve {approval['id']}"

    async def _read(self, lines: Lines) -> None:
        while (line := await lines.read()) is not None:
            command = parse(line)
            if command is None:
                said = "The agent waits for /allow ID or /deny ID; /stop ends its answer."
            elif command.name == "stop":
                await self.stop()
                continue
            else:
                said = await self.obey(command)
            print(clean(said), file=sys.stderr)
        await self.stop()
