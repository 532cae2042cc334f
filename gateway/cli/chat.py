"""``gateway chat``: talk to an agent, in a terminal or through a pipe."""

import secrets
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Final

import attrs
import trio
from cyclopts import Parameter

from gateway.cli.errors import INTERRUPTED, CommandError, tell
from gateway.cli.lines import Lines, make_lines
from gateway.cli.reply import Reply
from gateway.cli.screen import clean, emit_json
from gateway.cli.session import explain, talk
from gateway.cli.typed import Deciding, Typed
from gateway.cli.where import HERE, Where
from gateway.client import Client, Events, RpcError
from gateway.errors import GatewayError
from gateway.protocol.commands import Command, parse

PATIENCE: Final = 2.0
"""Seconds after Ctrl-C in which the run that is to be cancelled must show itself."""


def chat(
    *,
    agent: Annotated[str | None, Parameter(help="Whom to talk to; default: the first.")] = None,
    session: Annotated[str | None, Parameter(help="Go on with this conversation.")] = None,
    message: Annotated[
        str | None,
        Parameter(
            name=["--message", "-m"], help="Ask this only, and leave.", allow_leading_hyphen=True
        ),
    ] = None,
    json: Annotated[bool, Parameter(help="Print a line of JSON for each reply.")] = False,
    where: Where = HERE,
) -> int:
    """Talk to an agent.  Ctrl-C cancels a reply, Ctrl-D leaves, /help lists commands.

    Through a pipe each line is a message, and the replies are all that is printed.
    """
    chosen = {"agentId": agent, "sessionId": session}
    params = {name: value for name, value in chosen.items() if value is not None}

    async def converse(client: Client) -> int:
        with trio.open_signal_receiver(signal.SIGINT) as interrupts:
            conversation = Conversation(client, interrupts, params, json)
            if message is not None:
                return await conversation.say(message)
            return await conversation.run()

    return talk(where, converse, reconnect=True)


@attrs.define(eq=False)
class Conversation:
    """Questions and answers of one session; *params* are those of every ``agent.run``."""

    client: Client
    interrupts: AsyncIterator[int]
    params: dict[str, Any]
    json: bool
    _lines: Lines | None = attrs.field(default=None, init=False)

    async def run(self) -> int:
        """Ask what is typed or piped until there is no more; return an exit code."""
        failed = 0
        with make_lines() as lines:
            self._lines = lines
            if lines.typed:
                print("Ctrl-C cancels a reply, Ctrl-D leaves, /help says more.", file=sys.stderr)
            while (line := await self._next(lines)) is not None:
                if line.strip():
                    failed = await self.say(line) or failed
        # Whoever types has seen what went wrong; a script has to be told.
        return 0 if lines.typed else failed

    async def _next(self, lines: Lines) -> str | None:
        """Return the next line, or `None` at the end or when Ctrl-C says so."""
        line = None
        async with trio.open_nursery() as nursery:

            async def leave_on_interrupt() -> None:
                async for _ in self.interrupts:
                    if not lines.hint():
                        nursery.cancel_scope.cancel()

            nursery.start_soon(leave_on_interrupt)
            line = await lines.read()
            nursery.cancel_scope.cancel()
        return line

    async def say(self, text: str) -> int:
        """Do what *text* is a command for, else ask it; return an exit code."""
        command = parse(text)
        if command is None:
            return await self.ask(text)
        said = await self._obey(command)
        if self.json:
            emit_json({"command": command.name, "reply": said}, line=True)
        else:
            print(clean(said))
        return 0

    async def _obey(self, command: Command) -> str:
        return await Typed(self.client, self.params).run(command)

    async def ask(self, text: str) -> int:
        """Ask one question and print the reply; return an exit code."""
        # The key lets a question survive a restart of the gateway without being asked twice.
        params = self.params | {"message": text, "idempotencyKey": secrets.token_hex(16)}
        reply = Reply(text, self.params.get("sessionId"), visible=not self.json)
        deciding = Deciding(self._lines, self._obey, partial(self._stop, reply))
        result: Mapping[str, Any] | GatewayError | None = None
        with self.client.events("agent.*", "approval.*", "connection.lost") as events:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow, events, reply, deciding)
                nursery.start_soon(deciding.run)
                nursery.start_soon(self._cancel_on_interrupt, reply, nursery.cancel_scope)
                try:
                    result = await self.client.call("agent.run", params)
                except GatewayError as error:
                    result = error
                nursery.cancel_scope.cancel()
        return self._conclude(result, reply)

    def _conclude(self, result: Mapping[str, Any] | GatewayError | None, reply: Reply) -> int:
        if isinstance(result, Mapping):
            self.params["sessionId"] = result["sessionId"]
            reply.finish(result["reply"])
            if self.json:
                emit_json(result, line=True)
            return 0
        reply.finish("")
        if reply.run is not None and reply.session is not None:
            # What was said until then is in its history, so go on there.
            self.params["sessionId"] = reply.session
        if result is None or result.kind == "cancelled":
            tell(CommandError("cancelled."))
            return INTERRUPTED
        tell(CommandError(explain(result) if isinstance(result, RpcError) else result.message))
        return 1

    async def _follow(self, events: Events, reply: Reply, deciding: Deciding) -> None:
        strangers = set()
        try:
            async for event in events:
                run = event.data.get("runId")
                if event.name == "connection.lost":
                    waiting = f"connection lost ({clean(event.data['reason'])}); trying again"
                    tell(CommandError(waiting))
                elif run is not None and reply.run is None and run not in strangers:
                    if await self._asked(event.data, reply):
                        reply.recognise(event.data)
                    else:
                        strangers.add(run)
                reply.take(event)
                if run is not None and run == reply.run:
                    deciding.take(event)
        except GatewayError:
            # The call that waits beside us fails of the same and says so.
            return

    async def _asked(self, news: Mapping[str, Any], reply: Reply) -> bool:
        """Return whether the run that *news* are about was begun by our question.

        Who asks learns the id of the run with its reply only, and others may be talking
        to the same agents; so the question is looked up.
        """
        if reply.session not in (None, news["sessionId"]):
            return False
        page = await self.client.call(
            "sessions.history", {"sessionId": news["sessionId"], "limit": 5}
        )
        return any(
            (each["runId"], each["role"], each["content"]) == (news["runId"], "user", reply.text)
            for each in page["messages"]
        )

    async def _cancel_on_interrupt(self, reply: Reply, scope: trio.CancelScope) -> None:
        async for _ in self.interrupts:
            with trio.move_on_after(PATIENCE):
                await reply.recognised.wait()
                try:
                    await self._cancel(reply)
                except GatewayError:
                    break
                # Its call answers now.
                await trio.sleep(PATIENCE)
            break
        scope.cancel()

    async def _cancel(self, reply: Reply) -> None:
        await self.client.call("agent.cancel", {"runId": reply.run})

    async def _stop(self, reply: Reply) -> None:
        with suppress(GatewayError):  # it has ended meanwhile, which its call says
            await self._cancel(reply)
