"""Reads what happens in our rooms: a poll, the messages in it, the next poll."""

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs
import orjson
import structlog
import trio

from gateway.channels.api import Reply
from gateway.channels.base import (
    Inbound,
    Link,
    LostError,
    Place,
    Sender,
    SlowDownError,
    StalledError,
    UndeliverableError,
)
from gateway.channels.matrix import calls as requests
from gateway.channels.matrix.bookmark import Bookmark
from gateway.channels.matrix.calls import Calls
from gateway.channels.matrix.door import Door
from gateway.channels.matrix.events import (
    Event,
    News,
    Room,
    Said,
    read_events,
    read_message,
    read_news,
)
from gateway.channels.matrix.names import is_named, names_of, without_address
from gateway.channels.reading import text_at
from gateway.errors import GatewayError

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 20.0
"""How long a poll waits for news: each is a sign of life, and 30 s are allowed."""

PATIENCE_SECONDS: Final = 10.0
"""How much later an answer may come: then nobody is there."""

FIRST_PATIENCE: Final = 4.0
"""Times as long for the first answer: a homeserver has to look at all our rooms for it."""

NEWS_BYTES: Final = 32 * 1024 * 1024
"""Largest answer: `TIMELINE` events of 64 KiB in 25 rooms."""

TIMELINE: Final = 20
"""Events of a room in one answer; those before are asked for page by page."""

PAGES: Final = 5
"""Most pages of 100 events: whoever has missed more than that is not answered any more."""

MOST_ROOMS: Final = 2_000
MOST_EVENTS: Final = 5_000
"""Rooms and events of which something is remembered; each takes some 100 bytes."""

MOST_NAMES: Final = 500
"""Members whose names are remembered; in larger rooms people are called by their ids."""

MOST_WAIT: Final = 30.0
"""Longest that we wait because a poll was too many; the supervisor waits from then on."""

TYPES: Final = ("m.room.message", "m.room.member", "m.room.encryption", "m.room.encrypted")


def sieve(limit: int) -> str:
    """Return the filter for a poll: at most *limit* events of each room, and no noise."""
    nothing: dict[str, list[str]] = {"types": []}
    state = {"types": ["m.room.member", "m.room.encryption"], "lazy_load_members": True}
    found = {
        "presence": nothing,
        "account_data": nothing,
        "room": {
            "account_data": nothing,
            "ephemeral": nothing,
            "state": state if limit else nothing,
            "timeline": {"types": TYPES, "limit": limit},
        },
    }
    return orjson.dumps(found).decode()


@attrs.define(eq=False)
class Memory:
    """What was seen lately: forgets the oldest beyond *most*."""

    most: int
    _seen: OrderedDict[Any, Any] = attrs.field(factory=OrderedDict, init=False)

    def note(self, key: Any, value: Any) -> None:
        """Remember *value*."""
        self._seen[key] = value
        self._seen.move_to_end(key)
        if len(self._seen) > self.most:
            self._seen.popitem(last=False)

    def get(self, key: Any) -> Any:
        """Return what was remembered, or `None`."""
        return self._seen.get(key)

    def forget(self, key: Any) -> Any:
        """Return what was remembered, or `None`, and do not remember it any more."""
        return self._seen.pop(key, None)


@attrs.define(eq=False)
class Listening:
    """Listens as the user of *calls*; *senders* is told who wrote which message.

    *poll_seconds* and *patience_seconds* are the constants above but in tests.
    """

    calls: Calls
    link: Link
    door: Door
    bookmark: Bookmark
    senders: Memory
    latest: Memory
    """By place, the last message there."""
    poll_seconds: float = POLL_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    _members: Memory = attrs.field(factory=lambda: Memory(MOST_ROOMS), init=False)
    _name: str = attrs.field(default="", init=False)

    @property
    def user(self) -> str:
        """Our user id."""
        return self.calls.user

    async def run(self) -> None:
        """Listen until cancelled; raises `LostError` where a new connection is needed."""
        try:
            profile = await self.calls.told("profile", self.user, "displayname")
            self._name = text_at(profile, "displayname")
            news = await self._poll(0.0)
            # What was said before we came the first time is not for us.
            await self._take(news, () if self.bookmark.since is None else news.rooms)
            self.link.connected(self.user)
            while True:
                news = await self._poll(self.poll_seconds)
                await self._take(news, news.rooms)
        except SlowDownError as error:
            await trio.sleep(min(error.after, MOST_WAIT))
            raise LostError(error.message) from error

    # -- polls ------------------------------------------------------------------------

    async def _poll(self, wait: float) -> News:
        limit = TIMELINE if self.bookmark.since else 0
        try:
            return await self._news(wait, limit)
        except GatewayError as error:
            if error.kind != "too-large":
                raise
            log.warning("a poll brought too much: asking for less", why=error.message)
            return await self._news(wait, 1)

    async def _news(self, wait: float, limit: int) -> News:
        since = self.bookmark.since
        wanted = {"timeout": str(round(wait * 1000)), "filter": sieve(limit)}
        wanted |= {"since": since} if since else {}
        reply = await self._answer(wait, wanted)
        if reply.status == 400 and since:
            # The server has lost its database, or the account is another one.
            log.warning("the homeserver does not know where we were: some messages are lost")
            self.bookmark = attrs.evolve(self.bookmark, since=None)
            await self.link.accept(cursor=self.bookmark.written())
        if reply.status in (400, 403, 404):
            raise LostError(f"the homeserver does not let us listen (HTTP {reply.status})")
        news = read_news(self.calls.checked(reply).object, self.user)
        if news is None:
            raise LostError("the homeserver answered a poll with something else")
        return news

    async def _answer(self, wait: float, wanted: dict[str, str]) -> Reply:
        patience = self.patience_seconds * (1 if wait else FIRST_PATIENCE)
        with trio.move_on_after(wait + patience):
            return await self.calls.api.download(
                requests.path("sync"), NEWS_BYTES, seconds=math.inf, params=wanted
            )
        raise StalledError(f"the homeserver has not answered a poll for {wait + patience:g} s")

    async def _take(self, news: News, rooms: Iterable[Room]) -> None:
        """Have the messages and the position written down."""
        for room in news.left:
            self._members.forget(room)
        for room, inviter in news.invites.items():
            self.door.invite(room, inviter)
        found = await self._messages(rooms)
        before = self.bookmark
        self.bookmark = attrs.evolve(before, since=news.next, invites=dict(self.door.invites))
        if found or self.bookmark != before:
            await self.link.accept(*found, cursor=self.bookmark.written())
        else:
            self.link.alive()
        for message in found:
            self.senders.note(message.id, message.sender.id)
            self.latest.note(message.place, message.id)

    # -- messages ---------------------------------------------------------------------

    async def _messages(self, rooms: Iterable[Room]) -> list[Inbound]:
        found = []
        for room in rooms:
            if room.recounted:
                self._members.forget(room.id)
            if room.encrypted:
                self.door.suspect(room.id)
            for event in await self._events(room):
                said = read_message(event)
                if event.sender == self.user:
                    self.senders.note(event.id, self.user)
                elif said is not None and not said.automated:
                    found.append(await self._inbound(room.id, event, said))
        return found

    async def _events(self, room: Room) -> list[Event]:
        entries = [each for each in room.timeline if each.is_entry(self.user)]
        if entries:
            # What was said before we were invited is not for us; what was after that is.
            return list(room.timeline[room.timeline.index(entries[0]) :])
        earlier = await self._earlier(room) if room.limited and room.earlier else []
        return [*earlier, *room.timeline]

    async def _earlier(self, room: Room) -> list[Event]:
        """Return what was left out of an answer to a poll, the oldest first."""
        found: list[Event] = []
        position, since = room.earlier, self.bookmark.since or ""
        for _ in range(PAGES):
            try:
                page, position = await requests.earlier_events(self.calls, room.id, position, since)
            except UndeliverableError as error:
                log.info("missed messages were not told", room=room.id, why=error.message)
                break
            self.link.alive()
            found += read_events(page)
            if not (page and position):
                break
        else:
            log.warning("too many messages were missed", room=room.id, read=len(found))
        return found[::-1]

    async def _inbound(self, room: str, event: Event, said: Said) -> Inbound:
        members = await self._members_of(room)
        direct = members is not None and len(members) == 2
        ours = tuple(self._names(members or {}))
        mentioned = not direct and await self._is_for_us(room, said, ours)
        return Inbound(
            id=event.id,
            place=Place(room, said.thread),
            sender=Sender(event.sender, (members or {}).get(event.sender, "")),
            text=without_address(said.text, ours) if mentioned else said.text,
            at=event.at,
            direct=direct,
            mentioned=mentioned,
            reply_to=said.reply_to,
            attachments=said.attachments,
        )

    def _names(self, members: dict[str, str]) -> Iterator[str]:
        yield from names_of(self.user, self._name, members.get(self.user, ""))

    async def _is_for_us(self, room: str, said: Said, names: tuple[str, ...]) -> bool:
        if self.user in said.mentions or is_named(said.text, names):
            return True
        if said.reply_to is None:
            return False
        author = self.senders.get(said.reply_to)
        if author is None:
            found = await self.calls.told("rooms", room, "event", said.reply_to)
            self.link.alive()
            author = text_at(found, "sender")
            self.senders.note(said.reply_to, author)
        return bool(author == self.user)

    async def _members_of(self, room: str) -> dict[str, str] | None:
        """Return who is in *room*, and their names; `None` if that is not told.

        Then it counts as one where others read too.
        """
        members: dict[str, str] | None = self._members.get(room)
        if members is None:
            members = await requests.members(self.calls, room)
            self.link.alive()
            if members is not None:
                self._members.note(room, _few(members, self.user))
        return members


def _few(members: dict[str, str], user: str) -> dict[str, str]:
    if len(members) <= MOST_NAMES:
        return members
    return dict([*list(members.items())[:MOST_NAMES], (user, members.get(user, ""))])
