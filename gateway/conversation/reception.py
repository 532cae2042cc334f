"""Receives what channels have taken, and sees that each message is answered once.

The queue is the disk: what is open there is looked for when something has come, and now and
then.  So it makes no difference whether a message came a moment ago, before the last crash,
or failed half way.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from sqlite3 import Connection
from typing import Final

import attrs
import structlog
import trio

from gateway.agents.lanes import Lanes, Place
from gateway.channels import inbox, outbox
from gateway.channels.account import Account
from gateway.channels.inbox import Entry, State
from gateway.channels.post import Post
from gateway.conversation import pairing
from gateway.conversation.access import Judgement, Role, Verdict, judge
from gateway.conversation.answering import Answering
from gateway.errors import NotFoundError, UnavailableError
from gateway.protocol.commands import Command, parse
from supervisors import Child, Lifetime, Restart, Strategy, Supervisor

log = structlog.get_logger(__name__)

AT_ONCE: Final = 1_000
"""Messages in work at the same time, each a task of some KiB; the others wait on the disk."""

IN_CHAT: Final = 16
"""Of these in one chat: whoever writes a thousand messages to a slow agent keeps nobody else
waiting.  More than one, so that those that get no answer are not held up by one that does."""

BATCH: Final = 200
"""Messages read together: bounds memory, whatever waits on the disk."""

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
    _in_chat: Counter[str] = attrs.field(factory=Counter, init=False)
    """How many of them are of one chat."""
    _crowded: set[str] = attrs.field(factory=set, init=False)
    """Chats of which more wait on the disk than are in work."""
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
                await self._give_out(life)
                if trio.current_time() - cleaned >= CLEAN_SECONDS:
                    await self._clean()
                    cleaned = trio.current_time()
                life.heartbeat()
                with trio.move_on_after(LOOK_SECONDS) as waiting:
                    await self._news.wait()
                self._all |= waiting.cancelled_caught

    async def _give_out(self, life: Lifetime) -> None:
        """Begin what is open, as far as there is room for it."""
        try:
            after, self._all = 0 if self._all else self._seen, False
            while found := await self._find_after(after):
                for entry in found:
                    after = entry.id
                    self._seen = max(self._seen, after)
                    await self._consider(life, entry)
        except UnavailableError as error:
            log.warning("messages have to wait", why=error.message)

    async def _find_after(self, after: int) -> list[Entry]:
        return await self.post.database.read(lambda sql: inbox.open_entries(sql, after, BATCH))

    async def _consider(self, life: Lifetime, entry: Entry) -> None:
        """Begin with *entry* unless its chat has its share; then it is found again later."""
        chat = _chat(entry)
        if self._find(entry) is None:
            return
        # What is typed with a slash is not in its turn: /stop is needed most in a crowd.
        if self._in_chat[chat] >= IN_CHAT and parse(entry.message.text) is None:
            self._crowded.add(chat)
            return
        while len(self._open) >= AT_ONCE:
            life.heartbeat()
            with trio.move_on_after(LOOK_SECONDS):
                await self._done.wait()
        if entry.id not in self._open:
            await self._begin(entry)

    async def _begin(self, entry: Entry) -> None:
        self._note(entry)
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

    def _note(self, entry: Entry) -> None:
        if entry.id not in self._open:
            self._open[entry.id] = entry.account
            self._in_chat[_chat(entry)] += 1

    def _forget(self, entry: Entry) -> None:
        if self._open.pop(entry.id, None) is not None:
            # Without those at nought: chats that nobody is in cost nothing.
            self._in_chat -= Counter([_chat(entry)])
        self._done.set()
        self._done = trio.Event()

    def _refill(self, chat: str) -> None:
        """Look for more of *chat* if more wait there than could be begun."""
        # Not each time: a look is for everything that is open.
        if chat in self._crowded and self._in_chat[chat] <= IN_CHAT // 2:
            self._crowded.discard(chat)
            self.look_soon()

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
        self._note(entry)
        try:
            with self._lanes.join(_chat(entry)) as lane:
                life.started()
                await self._receive(life, entry, lane)
        except UnavailableError as error:
            # It stays open: the next look finds it.
            log.info("a message waits", message=entry.word, why=error.message)
            return
        finally:
            self._forget(entry)
        self._refill(_chat(entry))

    async def _receive(self, life: Lifetime, entry: Entry, lane: Place) -> None:
        allowed = await self._admitted(entry)
        if allowed is None:
            return
        account, judgement = allowed
        if command := parse(entry.message.text):
            # Not in its turn: /stop is about what has it.
            text = await self.command(account, entry, judgement, command)
            await self.answering.settle(account, entry, State.ANSWERED, text)
            return
        with life.until_stopping():
            await lane.turn.wait()
        # Again: it may have waited for long, and its sender may not talk any more.
        if lane.first and (allowed := await self._admitted(entry)):
            account, judgement = allowed
            await self.answering.answer(account, entry, judgement.role)

    async def _admitted(self, entry: Entry) -> tuple[Account, Judgement] | None:
        """Return who answers *entry*, and whose it is; `None` if it is not to be answered.

        Then what becomes of it is written down, unless that cannot be known now.
        """
        account = self._find(entry)
        if account is None or await self._is_expired(account, entry):
            return None
        judgement = await self._judge(account, entry)
        if judgement is None:
            return None
        if judgement.verdict is Verdict.NOTHING:
            await self.answering.settle(account, entry, State.IGNORED)
        elif judgement.verdict is Verdict.PAIR:
            await self._pair(account, entry)
        else:
            return account, judgement
        return None

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

    async def _judge(self, account: Account, entry: Entry) -> Judgement | None:
        """Return what *entry* gets; `None` if something has become of it meanwhile."""
        assert account.settings is not None
        sender = entry.message.sender.id

        def work(sql: Connection) -> tuple[bool, Role | None]:
            # Read from the disk a while ago, it may have been done with since.
            return inbox.is_open(sql, entry.id), pairing.role_of(sql, entry.account, sender)

        is_open, paired = await self.post.database.read(work)
        return judge(account.settings, entry.message, paired) if is_open else None

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


def _chat(entry: Entry) -> str:
    """Return the lane of a message: each chat is answered in its order."""
    return f"{entry.account} {entry.message.place.chat} {entry.message.place.thread}"
