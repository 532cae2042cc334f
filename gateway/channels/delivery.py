"""Sends what is in the outbox: each chat in order, no chat waits for another.

A platform that knows a message by its key is simply asked again.  With others a message is
noted as on its way before it is sent; if nobody can tell whether it arrived, it is sent
again with a mark on it: better twice than never, and never twice in silence.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import structlog
import trio

from gateway.bus import Bus
from gateway.channels import outbox
from gateway.channels.base import (
    SEND_SECONDS,
    Abilities,
    Channel,
    LostError,
    MarkupError,
    Media,
    Outbound,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.formatting import marked, without_file
from gateway.channels.outbox import Draft, Entry, State
from gateway.channels.post import Post
from gateway.errors import NotFoundError
from supervisors import Backoff

log = structlog.get_logger(__name__)

BATCH: Final = 200
"""Messages looked at together: bounds memory, whatever waits."""

CHATS: Final = 16
"""Chats served at the same time: a platform that takes a second for each message still
takes 16 a second, which is about what they allow."""

STORE_SECONDS: Final = 5.0
"""For writing down what became of a message that is under way when everything stops."""

AGAIN: Final = Backoff(first=1.0, factor=2.0, limit=15.0, jitter=0.2)
"""Waits between attempts to send one message: short, as a connection that fails is made anew
with waits of its own."""

STUCK: Final = 30.0
"""Seconds without a message that the platform took, while it was to take some, before that
counts as a failure: three attempts, of which the first is often only bad luck."""

Find = Callable[[str], Awaitable[Media]]
"""Returns a stored file by its id; raises `NotFoundError`."""


async def no_media(media_id: str) -> Media:
    """Return no file."""
    await trio.lowlevel.checkpoint()
    raise NotFoundError(f"there is no stored file {media_id!r}")


@attrs.define(eq=False)
class Delivery:
    """Sends the messages of one account while *channel* is there.

    *ready* waits until the channel is connected.  *spread* gives jitter from 0 to 1.
    """

    account: str
    post: Post
    bus: Bus
    find: Find
    spread: Callable[[], float]
    sent: int = attrs.field(default=0, init=False)
    """Messages that the platform has taken, since the start."""
    _lanes: dict[str, deque[Entry]] = attrs.field(factory=dict, init=False)
    _until: dict[str | None, float] = attrs.field(factory=dict, init=False)
    """When the platform wants to hear again, by chat; under `None` of all (Trio clock)."""
    _trouble: tuple[float, str] | None = attrs.field(default=None, init=False)
    """Since when no message was taken (Trio clock), and why not the last time."""
    _scopes: set[trio.CancelScope] = attrs.field(factory=set, init=False)
    """Around messages that are under way."""
    _latest: float = attrs.field(default=math.inf, init=False)
    """When nothing may be under way any more (Trio clock)."""
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _all_known: bool = attrs.field(default=False, init=False)

    @property
    def waiting(self) -> int:
        """Messages that are known to wait."""
        return sum(map(len, self._lanes.values()))

    @property
    def complaint(self) -> str | None:
        """Why nothing can be sent, if that has lasted."""
        if self._trouble is None or trio.current_time() - self._trouble[0] < STUCK:
            return None
        return f"nothing can be sent: {self._trouble[1]}"

    def finish_by(self, latest: float) -> None:
        """Have nothing be under way any more at *latest* (Trio clock), until the next run."""
        self._latest = latest
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, latest)

    async def run(self, channel: Channel, ready: Callable[[], "trio.Event"]) -> None:
        """Send until cancelled; a send that is under way is finished first, see `finish_by`."""
        limiter = trio.CapacityLimiter(CHATS)
        self._lanes.clear()
        self._trouble, self._latest = None, math.inf
        last = 0
        async with trio.open_nursery() as nursery:
            while True:
                self.post.read_news(self.account)
                news, self._all_known = self.post.news(self.account), False
                found = await self._find_after(last)
                for entry in found:
                    last = entry.id
                    lane = self._lanes.setdefault(entry.draft.place.chat, deque())
                    lane.append(entry)
                    if len(lane) == 1:
                        nursery.start_soon(self._serve, channel, ready, lane, limiter)
                if len(found) < BATCH:
                    self._all_known = True
                    self._note_change()
                    await news.wait()

    async def _find_after(self, last: int) -> list[Entry]:
        return await self.post.database.read(
            lambda sql: outbox.open_entries(sql, self.account, last, BATCH)
        )

    async def wait_idle(self) -> None:
        """Return when nothing is left to send."""
        while self._lanes or not self._all_known or self.post.news(self.account).is_set():
            await self._changed.wait()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _serve(
        self,
        channel: Channel,
        ready: Callable[[], trio.Event],
        lane: deque[Entry],
        limiter: trio.CapacityLimiter,
    ) -> None:
        """Send the messages of one chat, one after the other."""
        while lane:
            await ready().wait()
            await self._wait_allowed(lane[0].draft.place.chat)
            async with limiter:
                entry = await self._attempt(channel, lane[0])
            if entry is None:
                done = lane.popleft()
            else:
                lane[0] = entry
                await trio.sleep(AGAIN.delay(entry.attempts, self.spread()))
        del self._lanes[done.draft.place.chat]
        self._note_change()

    async def _wait_allowed(self, chat: str) -> None:
        """Wait as long as the platform wants us to."""
        # Twice: while it waits for the chat, all may be asked to wait.
        for place in (chat, None, chat):
            await trio.sleep_until(self._until.get(place, 0.0))
        self._until.pop(chat, None)

    # -- one message ------------------------------------------------------------------

    async def _attempt(self, channel: Channel, entry: Entry) -> Entry | None:
        """Try to send a message; return it as it is then if it is to be tried again."""
        if self.post.now() >= entry.draft.expires:
            await self._settle(entry, State.EXPIRED, error="it waited too long")
            return None
        under_way = entry.state == State.SENDING
        entry = attrs.evolve(
            entry,
            attempts=entry.attempts + 1,
            doubtful=entry.doubtful or (under_way and not channel.abilities.idempotent),
            state=State.SENDING,
        )
        until = min(trio.current_time() + SEND_SECONDS + 2 * STORE_SECONDS, self._latest)
        scope = trio.CancelScope(deadline=until, shield=True)
        self._scopes.add(scope)
        try:
            with scope:
                if not channel.abilities.idempotent:
                    # Before it leaves, so that whoever finds it knows that it may have.
                    await self.post.database.write(
                        lambda sql: outbox.begin(sql, entry.id, doubtful=entry.doubtful)
                    )
                return await self._send(channel, entry)
        finally:
            self._scopes.discard(scope)
        return entry

    async def _send(self, channel: Channel, entry: Entry) -> Entry | None:
        try:
            message_id = await self._transmit(channel, entry)
        except SlowDownError as error:
            self._note_trouble(error.message)
            self._slow_down(entry, error)
            return await self._postponed(entry, error.message)
        except LostError as error:
            self._note_trouble(error.message)
            if not error.maybe_done:
                return await self._postponed(entry, error.message)
            return attrs.evolve(entry, error=error.message)
        except UndeliverableError as error:
            self._trouble = None
            await self._settle(entry, State.FAILED, error=error.message)
        else:
            self.sent += 1
            self._trouble = None
            await self._settle(entry, State.SENT, message_id=message_id)
        return None

    def _note_trouble(self, why: str) -> None:
        since = trio.current_time() if self._trouble is None else self._trouble[0]
        self._trouble = (since, why)

    async def _transmit(self, channel: Channel, entry: Entry) -> str:
        """Hand a message over and return the platform's id of it."""
        message = await self._message(entry, channel.abilities)
        try:
            return await self._hand_over(channel, entry, message)
        except MarkupError:
            # The same key: with formatting it was refused, so it has not arrived.
            return await self._hand_over(channel, entry, attrs.evolve(message, markup=False))

    async def _hand_over(self, channel: Channel, entry: Entry, message: Outbound) -> str:
        with trio.move_on_after(SEND_SECONDS):
            if entry.draft.edits is not None and channel.abilities.edits:
                try:
                    await channel.edit(message.place, entry.draft.edits, message)
                    return entry.draft.edits
                except MarkupError:
                    raise
                except UndeliverableError:
                    # What was to be replaced is gone: the answer is not to go with it.
                    if entry.doubtful:
                        text = marked(message.text, channel.abilities)
                        message = attrs.evolve(message, text=text)
            return await channel.send(message)
        raise LostError(f"no answer to a message for {SEND_SECONDS:g} s", maybe_done=True)

    async def _message(self, entry: Entry, abilities: Abilities) -> Outbound:
        draft = entry.draft
        text, media = await self._content(draft, abilities)
        repeat = entry.doubtful and draft.edits is None
        return Outbound(
            place=draft.place,
            text=marked(text, abilities) if repeat else text,
            key=draft.key,
            markup=draft.markup,
            reply_to=draft.reply_to,
            media=media,
        )

    async def _content(self, draft: Draft, abilities: Abilities) -> tuple[str, Media | None]:
        """Return what is sent of a message: its file, or a note if the platform takes none."""
        if draft.media is None:
            return draft.text, None
        try:
            media = await self.find(draft.media)
        except NotFoundError as error:
            raise UndeliverableError(error.message) from None
        if (media.size or 0) <= abilities.media_bytes > 0:
            return draft.text, media
        return without_file(draft.text, media.name, media.size, abilities), None

    def _slow_down(self, entry: Entry, error: SlowDownError) -> None:
        place = entry.draft.place.chat if error.scope == "chat" else None
        until = trio.current_time() + error.after * (1 + 0.1 * self.spread())
        self._until[place] = max(self._until.get(place, 0.0), until)
        log.info("a platform wants us to wait", channel=self.account, seconds=error.after)

    async def _postponed(self, entry: Entry, why: str) -> Entry:
        await self.post.database.write(lambda sql: outbox.postpone(sql, entry.id, why))
        return attrs.evolve(entry, state=State.PENDING, error=why)

    async def _settle(
        self,
        entry: Entry,
        state: State,
        *,
        message_id: str | None = None,
        error: str | None = None,
    ) -> None:
        await self.post.database.write(
            lambda sql: outbox.settle(
                sql, entry.id, state, self.post.now(), message_id=message_id, error=error
            )
        )
        self.post.settled()
        if error is not None:
            log.warning(
                "a message was not sent", channel=self.account, key=entry.draft.key, why=error
            )
        self.bus.publish(
            "channel.message",
            {
                "channel": self.account,
                "direction": "out",
                "chat": entry.draft.place.chat,
                "key": entry.draft.key,
                "state": state,
                "messageId": message_id,
                "maybeDuplicate": entry.doubtful,
                "error": error,
            },
        )
