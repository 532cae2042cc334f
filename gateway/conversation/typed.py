"""Does what people type: /new, /stop, /status, and what owners may."""

from collections.abc import Callable
from typing import Final

import attrs

from gateway.agents.catalog import Catalog
from gateway.agents.sessions import Sessions
from gateway.agents.tools.approvals import Approvals
from gateway.channels.account import Account
from gateway.channels.inbox import Entry
from gateway.channels.post import Post
from gateway.conversation import chats
from gateway.conversation.access import Judgement, Role
from gateway.conversation.answering import Answering
from gateway.conversation.pairing import Pairings
from gateway.errors import GatewayError, NotFoundError
from gateway.protocol.commands import OWNERS_HELP, Command, help_text

NOT_YOURS: Final = "Only an owner can do that."


@attrs.frozen(eq=False)
class Typed:
    """Commands, by name.  *agent_for* returns the id of the agent that a message is for."""

    post: Post
    sessions: Sessions
    catalog: Catalog
    answering: Answering
    pairings: Pairings
    approvals: Approvals
    agent_for: Callable[[Account, Entry], str]

    async def run(
        self, account: Account, entry: Entry, judgement: Judgement, command: Command
    ) -> str:
        """Do *command* and return what to say; also if it cannot be done.

        Raises `UnavailableError` if the store is down.
        """
        if command.name in OWNERS_HELP:
            return await self._for_owners(account, entry, judgement, command)
        match command.name:
            case "new":
                return await self._new(account, entry)
            case "stop":
                return self._stop(entry)
            case "status":
                return await self._status(account, entry)
        return help_text(owner=judgement.role is Role.OWNER)

    async def _new(self, account: Account, entry: Entry) -> str:
        had = await self.post.database.write(
            lambda sql: chats.leave(sql, account.id, entry.message.place, entry.id)
        )
        return "A new conversation begins." if had else "This conversation is new already."

    def _stop(self, entry: Entry) -> str:
        stopped = self.answering.stop(entry)
        return "Stopped." if stopped else "Nothing is being answered here."

    async def _status(self, account: Account, entry: Entry) -> str:
        chat = await self.post.database.read(
            lambda sql: chats.find(sql, account.id, entry.message.place)
        )
        try:
            agent = self.agent_for(account, entry)
        except NotFoundError as error:
            agent = error.message
        lines = [f"Agent: {agent}"]
        if chat is not None:
            try:
                session = await self.sessions.get(chat.session_id)
                lines.append(f"Conversation: {session.message_count} messages")
            except NotFoundError:
                lines.append("Conversation: new")
        lines.append(f"Channel: {account.id}, {account.condition}")
        return "\n".join(lines)

    async def _for_owners(
        self, account: Account, entry: Entry, judgement: Judgement, command: Command
    ) -> str:
        if judgement.role is not Role.OWNER:
            return NOT_YOURS
        if not command.argument:
            return f"Like this: /{command.name} {OWNERS_HELP[command.name]}"
        by = f"{account.id} {entry.message.sender.id}"
        try:
            if command.name == "approve":
                found = await self.pairings.approve(command.argument, by)
                return f"{found.name or found.sender} may talk to {found.channel} now."
            answer = self.approvals.approve if command.name == "allow" else self.approvals.deny
            approval = answer(command.argument, by)
        except GatewayError as error:
            if error.kind == "unavailable":
                raise
            return f"{error.message[:1].upper()}{error.message[1:]}."
        return f"{approval.tool}: {'allowed' if command.name == 'allow' else 'denied'}."
