"""Receives what channels have taken, and sees that each message is answered once.

The queue is the disk: what is open there is looked for when something has come, and now and
then.  So it makes no difference whether a message came a moment ago, before the last crash,
or failed half way.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import structlog
import trio

from gateway.agents.lanes import Lanes, Place
from gateway.bus import Bus
from gateway.channels import inbox, outbox
from gateway.channels.account import Account
from gateway.channels.inbox import Entry, State
from gateway.channels.post import Post
from gateway.conversation import pairing
from gateway.conversation.access import Judgement, Verdict, judge
from gateway.conversation.answering import Answering
from gateway.errors import NotFoundError, UnavailableError
from gateway.protocol.commands import Command, parse
from supervisors import Child, Lifetime, Restart, Strategy, Supervisor

log = structlog.get_logger(__name__)

AT_ONCE: Final = 1_000
"""Messages in work at the same time, each a task of some KiB; the others wait on the disk."""

LOOK_SECONDS: Final = 15.0
"""Between two looks for what was left: a store that was down, an account that was not up."""

CLEAN_SECONDS: Final = 60 * 60.0
"""Between two clean-ups."""

KEPT_SECONDS: Final = 14 * 24 * 60 * 60.0
"""How long it is known what has come and gone: platforms repeat themselves for days
(WhatsApp: seven)."""

STOP_SECONDS: Final = 3.0
"""For an answer that is nearly there; the others are made after the next start."""


@attrs.define(eq=False)
class Reception:
    """Answers messages, each in a child of *supervisor* (``conversations``).

    *find* returns an account by id; *command* does what was typed and returns what to say.
    """

    post: Post
    bus: Bus
    answering: Answering
    find: Callable[[str], Account]
    command: Callable[[Account, Entry, Judgement, Command], Awaitable[str]]
    beside: Sequence[Child] = ()
    """Further children of the supervisor."""
    tidy: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint
    """Cleans up what is not in the inbox or the outbox, with them."""
    supervisor: Supervisor = attrs.field(init=False)
    _lanes: Lanes = attrs.field(factory=lambda: Lanes(depth=AT_ONCE), init=False)
    _open: dict[int, str] = attrs.field(factory=dict, init=False)
    """The account of every message in work, by the message's id."""
    _seen: int = attrs.field(default=0, init=False)
    """Messages up to this id have been looked at."""
    _all: bool = attrs.field(default=True, init=False)
    """Whether the next look is for all that are open."""
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)
    _done: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.supervisor = Supervisor(
            "conversations",
            [Child("reception", self.run, heartbeat=20 * LOOK_SECONDS), *self.beside],
            strategy=Strategy.POOL,
            max_restarts=None,
        )

    # -- what channels call -----------------------------------------------------------

    def look_soon(self, entries: Sequence[Entry] = ()) -> None:
        """Look for messages that have come: for *entries*, or for all that are open."""
        self._all |= not entries
        self._news.set()

    async def wait_answered(self, account: str) -> None:
        """Return when no message of *account* is in work."""
        while account in self._open.values():
            await self._done.wait()

    # -- the child that gives them out ------------------------------------------------

    async def run(self, life: Lifetime) -> None:
        """Give open messages to children of their own, until asked to stop."""
        life.describe(lambda: {"in_work": len(self._open)})
        cleaned = -CLEAN_SECONDS
        with life.until_stopping():
            life.started()
            while True:
                self._news = trio.Event()
                await self._give_out()
                if trio.current_time() - cleaned >= CLEAN_SECONDS:
                    await self._clean()
                    cleaned = trio.current_time()
                life.heartbeat()
                with trio.move_on_after(LOOK_SECONDS) as waiting:
                    await self._news.wait()
                self._all |= waiting.cancelled_caught

    async def _give_out(self) -> None:
        try:
            after, self._all = 0 if self._all else self._seen, False
            for entry in await self.post.database.read(lambda sql: inbox.open_entries(sql, after)):
                self._seen = max(self._seen, entry.id)
                while len(self._open) >= AT_ONCE:
                    await self._done.wait()
                if entry.id not in self._open:
                    await self._begin(entry)
        except UnavailableError as error:
            log.warning("messages have to wait", why=error.message)

    async def _begin(self, entry: Entry) -> None:
        self._open[entry.id] = entry.account
        child = Child(
            entry.word,
            self._serve,
            (entry,),
            restart=Restart.TEMPORARY,
            stop_timeout=STOP_SECONDS,
        )
        try:
            await self.supervisor.start(child)
        except RuntimeError as error:
            self._forget(entry)
            raise UnavailableError("conversations are stopping or restarting") from error

    async def _clean(self) -> None:
        before = self.post.now() - KEPT_SECONDS
        try:
            await self.post.database.write(lambda sql: inbox.prune(sql, before))
            await self.post.database.write(lambda sql: outbox.prune(sql, before))
            await self.tidy()
        except UnavailableError as error:
            log.warning("old messages are kept a little longer", why=error.message)

    # -- the child of one message -----------------------------------------------------

    async def _serve(self, life: Lifetime, entry: Entry) -> None:
        self._open[entry.id] = entry.account
        place = entry.message.place
        try:
            with self._lanes.join(f"{entry.account} {place.chat} {place.thread}") as lane:
                life.started()
                await self._receive(life, entry, lane)
        except UnavailableError as error:
            # It stays open: the next look finds it.
            log.info("a message waits", message=entry.word, why=error.message)
        finally:
            self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        self._open.pop(entry.id, None)
        self._done.set()
        self._done = trio.Event()

    async def _receive(self, life: Lifetime, entry: Entry, lane: Place) -> None:
        account = self._find(entry)
        if account is None or await self._is_expired(account, entry):
            return
        judgement = await self._judge(account, entry)
        if judgement.verdict is Verdict.NOTHING:
            await self.answering.settle(account, entry, State.IGNORED)
        elif judgement.verdict is Verdict.PAIR:
            await self._pair(account, entry)
        elif command := parse(entry.message.text):
            # Not in its turn: /stop is about what has it.
            text = await self.command(account, entry, judgement, command)
            await self.answering.settle(account, entry, State.ANSWERED, text)
        else:
            with life.until_stopping():
                await lane.turn.wait()
            if lane.first:
                await self.answering.answer(account, entry, judgement.role)

    def _find(self, entry: Entry) -> Account | None:
        """Return the account of a message, `None` if there is none that could answer now."""
        try:
            account = self.find(entry.account)
        except NotFoundError:
            return None
        return account if account.abilities is not None else None

    async def _is_expired(self, account: Account, entry: Entry) -> bool:
        """Settle a message that is too old; it is reported, but nobody is answered."""
        assert account.settings is not None
        sent, received = entry.message.at, entry.received
        # A clock of the platform that is ahead of ours makes nothing younger.
        age = self.post.now() - (sent if 0 < sent <= received else received)
        if age < account.settings.expiry_seconds:
            return False
        await self.answering.settle(account, entry, State.EXPIRED)
        log.warning("a message was too old to be answered", channel=entry.account, seconds=age)
        return True

    async def _judge(self, account: Account, entry: Entry) -> Judgement:
        assert account.settings is not None
        sender = entry.message.sender.id
        paired = await self.post.database.read(
            lambda sql: pairing.role_of(sql, entry.account, sender)
        )
        return judge(account.settings, entry.message, paired)

    async def _pair(self, account: Account, entry: Entry) -> None:
        code, message = pairing.new_code(), entry.message
        told = await self.post.database.write(
            lambda sql: pairing.request(
                sql,
                entry.account,
                message.sender,
                message.place.chat,
                code=code,
                now=self.post.now(),
            )
        )
        text = pairing.ASKED.format(code=told) if told else ""
        await self.answering.settle(account, entry, State.IGNORED, text)
        if told:
            sender = message.sender.id
            log.info("somebody unknown wants to talk", channel=entry.account, sender=sender)
