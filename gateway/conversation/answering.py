"""One message, from the disk to an answer on the disk.

Every step can be taken again: the run has the message's word as its key, the answer's
messages have it as theirs, and what becomes of the message is written in the same
transaction as the answer.
"""

from collections.abc import Callable, Mapping, Sequence
from sqlite3 import Connection
from typing import Final

import attrs
import structlog
import trio

from gateway.agents.catalog import Catalog
from gateway.agents.ledger import Entry as Ended
from gateway.agents.resets import is_stale
from gateway.agents.run import Ask, Run
from gateway.agents.runs import Runs
from gateway.bus import Bus
from gateway.channels import inbox, outbox
from gateway.channels.account import Account, Condition
from gateway.channels.base import Channel
from gateway.channels.formatting import clean, split
from gateway.channels.inbox import Entry, State
from gateway.channels.outbox import Draft
from gateway.channels.post import Post
from gateway.config.bindings import Binding
from gateway.conversation import chats
from gateway.conversation.access import Role
from gateway.conversation.attachments import Attachments, described
from gateway.conversation.display import Preview, can_show, show_reaction, show_typing
from gateway.conversation.routing import Place, route
from gateway.errors import GatewayError, UnavailableError

log = structlog.get_logger(__name__)

ATTEMPTS: Final = 3
"""How often answering one message is begun: a message that kills whoever answers it must not
do so for ever.  The last time it is done without what an answer can do without: files that
are still to be fetched, and showing it before it is there."""

NOTHING_SAID: Final = "(The agent has answered nothing.)"
"""In place of an answer in which nothing is to be seen: silence would look like a loss."""

NAME: Final = 50
"""Longest name of a sender that an agent is shown."""


@attrs.frozen(eq=False)
class Working:
    """A message, and the run that answers it."""

    entry: Entry
    run: Run
    role: Role

    @property
    def is_owners(self) -> bool:
        """Whether an owner wrote it, where nobody else reads."""
        return self.role is Role.OWNER and self.entry.message.direct

    def is_beside(self, other: Entry) -> bool:
        """Whether *other* is of the same chat."""
        return (self.entry.account, self.entry.message.place) == (
            other.account,
            other.message.place,
        )


@attrs.define(eq=False)
class Answering:
    """Has agents answer messages.  *bindings* returns those in effect."""

    runs: Runs
    catalog: Catalog
    post: Post
    bus: Bus
    bindings: Callable[[], Mapping[str, Binding]]
    attachments: Attachments
    _running: dict[int, Working] = attrs.field(factory=dict, init=False)

    async def answer(self, account: Account, entry: Entry, role: Role) -> None:
        """See that *entry* is answered; returns when the answer is in the outbox.

        Raises `UnavailableError` where it has to be tried again later.
        """
        if not question(entry):
            await self.settle(account, entry, State.IGNORED)
            return
        try:
            entry = await self._claim(account, entry)
            # Not before: whatever goes wrong with a file counts as an attempt.
            entry = await self.attachments.keep(account, entry, fetch=entry.attempts < ATTEMPTS)
            run = await self._submit(entry, role)
        except UnavailableError:
            raise
        except GatewayError as error:
            await self.settle(account, entry, State.FAILED, apology(error.message))
            return
        self._running[entry.id] = Working(entry, run, role)
        try:
            ended, preview = await self._wait(account, entry, run)
        finally:
            del self._running[entry.id]
        await self._settle_run(account, attrs.evolve(entry, preview=preview), ended)

    async def _claim(self, account: Account, entry: Entry) -> Entry:
        agent_id = entry.agent_id or self.agent_for(account, entry)
        agent = self.catalog.find(agent_id).settings
        now = self.post.now()

        def stale(chat: chats.Chat) -> bool:
            return is_stale(agent, chat.used, now)

        claimed = await self.post.database.write(
            lambda sql: chats.claim(sql, entry, agent_id, stale=stale, now=now)
        )
        if claimed.attempts > ATTEMPTS:
            raise GatewayError("internal", f"it was tried {ATTEMPTS} times")
        return claimed

    def agent_for(self, account: Account, entry: Entry) -> str:
        """Return the id of the agent that a message is for; raises `NotFoundError`."""
        channel, _, name = account.id.partition(":")
        message = entry.message
        place = Place(channel, name, message.place.chat, message.sender.id)
        return self.catalog.find(route(self.bindings().values(), place)).id

    async def _submit(self, entry: Entry, role: Role) -> Run:
        ask = Ask(
            message=question(entry),
            agent_id=entry.agent_id,
            session_id=entry.session_id,
            principal=f"channel {entry.account}",
            word=entry.word,
            make_session=True,
            provenance=role,
            media=tuple(each.media for each in entry.files or () if each.media),
        )
        return await self.runs.submit(ask)

    def owner_of(self, run_id: str) -> Entry | None:
        """Return the message that a run answers, if an owner wrote it to us alone."""
        for each in self._running.values():
            if each.run.id == run_id:
                return each.entry if each.is_owners else None
        return None

    def stop(self, entry: Entry) -> int:
        """Cancel what is being answered in the chat of *entry*; return how much that is."""
        here = [each.run for each in self._running.values() if each.is_beside(entry)]
        for run in here:
            run.cancel()
        return len(here)

    # -- while it is being answered ---------------------------------------------------

    async def _wait(self, account: Account, entry: Entry, run: Run) -> tuple[Ended, str | None]:
        """Return how the run ended, and the message that has shown its answer growing."""
        preview: Preview | None = None
        async with trio.open_nursery() as nursery:
            channel = account.channel if entry.attempts < ATTEMPTS else None
            if channel is not None and account.condition is Condition.CONNECTED:
                nursery.start_soon(show_typing, channel, entry.message.place)
                nursery.start_soon(self._react, account, channel, entry)
                preview = self._preview(account, entry, run)
            if preview is not None:
                nursery.start_soon(preview.run)
            await run.wait_over()
            nursery.cancel_scope.cancel(reason="the run is over")
        # Outside: what it raises is to arrive as it is, not in a group.
        ended = await run.wait()
        return ended, preview.message_id if preview else entry.preview

    @staticmethod
    async def _react(account: Account, channel: Channel, entry: Entry) -> None:
        emoji = account.settings.reaction if account.settings else ""
        if entry.attempts == 1:
            await show_reaction(channel, entry.message.place, entry.message.id, emoji)

    def _preview(self, account: Account, entry: Entry, run: Run) -> Preview | None:
        channel, settings = account.channel, account.settings
        if channel is None or settings is None or not settings.streaming:
            return None
        if not can_show(channel, direct=entry.message.direct):
            return None

        async def note(message_id: str) -> None:
            await self.post.database.write(
                lambda sql: inbox.note_preview(sql, entry.id, message_id)
            )

        return Preview(
            channel,
            entry.message.place,
            f"{entry.word}.p",
            lambda: run.text,
            note,
            reply_to=_reply_to(entry),
            message_id=entry.preview,
        )

    # -- what became of it ------------------------------------------------------------

    async def _settle_run(self, account: Account, entry: Entry, ended: Ended) -> None:
        match ended.state:
            case "done":
                text = ended.reply or NOTHING_SAID
                await self.settle(account, entry, State.ANSWERED, text, run_id=ended.id)
            case "cancelled":
                text = f"{ended.reply} [stopped]" if ended.reply or entry.preview else ""
                await self.settle(account, entry, State.ANSWERED, text, run_id=ended.id)
            case "failed":
                text = apology(ended.error or "no reason is known")
                await self.settle(account, entry, State.FAILED, text, run_id=ended.id)
            case _:
                raise UnavailableError("the gateway stops; the message is answered afterwards")

    async def settle(
        self,
        account: Account,
        entry: Entry,
        state: State,
        text: str = "",
        *,
        run_id: str | None = None,
    ) -> None:
        """Write down what became of a message, and *text* to be sent, both or nothing."""
        drafts = self._drafts(account, entry, text)

        def work(sql: Connection) -> None:
            # Once: whoever comes second finds it settled and sends nothing.
            if inbox.settle(sql, entry.id, state, run_id):
                outbox.add(sql, drafts, self.post.now())

        await self.post.database.write(work)
        self.post.wake(account.id)
        self.bus.publish("channel.message", attrs.evolve(entry, state=state).metadata)

    def _drafts(self, account: Account, entry: Entry, text: str) -> Sequence[Draft]:
        assert account.abilities is not None, "nothing is answered before there is a channel"
        assert account.settings is not None
        expires = self.post.now() + account.settings.expiry_seconds
        parts = split(text, account.abilities) or (text and split(NOTHING_SAID, account.abilities))
        return [
            Draft(
                account=account.id,
                place=entry.message.place,
                text=part,
                key=f"{entry.word}.{number}",
                expires=expires,
                reply_to=_reply_to(entry) if number == 0 else None,
                edits=entry.preview if number == 0 else None,
            )
            for number, part in enumerate(parts)
        ]


def _reply_to(entry: Entry) -> str | None:
    """Return what an answer refers to: in groups it has to be clear, alone it is noise."""
    return None if entry.message.direct else entry.message.id


def question(entry: Entry) -> str:
    """Return what an agent is asked: the text, who says it in a group, what is attached.

    Nothing else goes into it than what is written down: asked again, it is the same.
    """
    message = entry.message
    kept = entry.files or (None,) * len(message.attachments)
    files = map(described, message.attachments, kept)
    text = "\n".join(line for line in (clean(message.text).strip(), *files) if line)
    if text and not message.direct:
        name = " ".join(clean(message.sender.name or message.sender.id).split())
        text = f"[{name[:NAME].replace(']', ')')}] {text}"
    return text


def apology(why: str) -> str:
    """Return what is said in place of an answer."""
    return f"I could not answer: {why}"
