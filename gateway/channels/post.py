"""The post office: what is to be sent is put here, and whoever delivers is woken."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from gateway.channels import outbox
from gateway.channels.outbox import Draft, Entry, State
from gateway.errors import GatewayError, InvalidParamError
from gateway.storage.store import Store

unix_time: Final = time.time
"""Messages expire across restarts, which only the wall clock outlives."""

WAITING: Final = 2_000
"""Most messages of one account that wait: a platform that is down for a quarter of an hour
must not be flooded afterwards, and nobody types that many."""


@attrs.define(eq=False)
class Post:
    """Messages to send, of all accounts.  *now* returns Unix time."""

    database: Store
    now: Callable[[], float] = unix_time
    _news: dict[str, trio.Event] = attrs.field(factory=dict, init=False)
    _settled: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def put(self, drafts: Sequence[Draft]) -> None:
        """Have messages sent; they are on the disk when this returns.

        Those whose key was used are not sent again.  Raises ``overloaded``, and
        ``invalid-params`` for what no UTF-8 can hold.
        """
        for each in drafts:
            _check_text(each)
        await self.check_room({each.account for each in drafts})
        await self.database.write(lambda sql: outbox.add(sql, drafts, self.now()))
        for account in {each.account for each in drafts}:
            self.wake(account)

    async def check_room(self, accounts: set[str]) -> None:
        """Raise ``overloaded`` if `WAITING` messages of one of *accounts* wait."""
        for account in accounts:
            if (count := await self._count(account)) >= WAITING:
                raise GatewayError(
                    "overloaded", f"{count} messages to {account} wait; see channels.status"
                )

    async def _count(self, account: str) -> int:
        return await self.database.read(lambda sql: outbox.count_open(sql, account))

    def wake(self, account: str) -> None:
        """Have the messages of *account* looked for: there are new ones on the disk."""
        self.news(account).set()

    def news(self, account: str) -> trio.Event:
        """Return the event that is set when there may be new messages."""
        return self._news.setdefault(account, trio.Event())

    def read_news(self, account: str) -> None:
        """Begin to wait for further news; call it before looking, or some are missed."""
        if self.news(account).is_set():
            self._news[account] = trio.Event()

    def settled(self) -> None:
        """Say that something became of a message."""
        self._settled.set()
        self._settled = trio.Event()

    async def wait_settled(self, key: str) -> list[Entry]:
        """Return the messages of *key* when something became of all of them."""
        while True:
            changed = self._settled
            found = await self.database.read(lambda sql: outbox.by_key(sql, key))
            if all(each.state not in (State.PENDING, State.SENDING) for each in found):
                return found
            await changed.wait()


def _check_text(draft: Draft) -> None:
    """Raise ``invalid-params`` for half a surrogate pair, which has no place on a disk."""
    place = draft.place
    named = {"chat": place.chat, "thread": place.thread, "text": draft.text}
    for name, text in (named | {"reply_to": draft.reply_to}).items():
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            raise InvalidParamError(name, "has half a character in it") from None
