"""An account on a Matrix homeserver."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import attrs
import trio

from gateway.channels.base import (
    Abilities,
    Attachment,
    Channel,
    Link,
    LostError,
    Media,
    Outbound,
    Place,
    Probe,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.formatting import clean
from gateway.channels.matrix import content
from gateway.channels.matrix.bookmark import Bookmark, Login
from gateway.channels.matrix.calls import CLIENT, Calls, check_room, log_in, opened
from gateway.channels.matrix.content import transaction
from gateway.channels.matrix.door import Door
from gateway.channels.matrix.events import MEDIA, is_id
from gateway.channels.matrix.html import render
from gateway.channels.matrix.listening import (
    MOST_EVENTS,
    MOST_ROOMS,
    MOST_WAIT,
    PATIENCE_SECONDS,
    POLL_SECONDS,
    Listening,
    Memory,
)
from gateway.channels.matrix.replies import NO_HOMESERVER
from gateway.channels.reading import text_at
from gateway.config.channels import Matrix as Settings
from gateway.errors import GatewayError

ABILITIES: Final = Abilities(
    # Plain and as HTML, an edit also with a text for those who know no edits: 60 KB.
    length=12_000,
    unit="bytes",
    edits=True,
    idempotent=True,
    reactions=True,
    # Synapse allows ten events at once and then one in five seconds, edits too.
    edit_seconds=3.0,
    typing_seconds=25.0,
    # Synapse's default; a server that takes less says so.
    media_bytes=50_000_000,
)

TYPING_MILLISECONDS: Final = 30_000
"""A little longer than `ABILITIES` say: it is renewed in time."""

SMALL: Final = 1_000
"""Characters of Markdown that are rendered at once; more could take too long for the loop."""

MEDIA_DOWNLOAD: Final = "/_matrix/client/v1/media/download"
MEDIA_UPLOAD: Final = "/_matrix/media/v3/upload"

MIME: Final = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)


@attrs.define(eq=False)
class Matrix(Channel):
    """One account.  *transport* replaces the network, *word* makes random words."""

    settings: Settings
    transport: Any = None
    word: Callable[[], str] = lambda: uuid4().hex
    poll_seconds: float = POLL_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    abilities: Abilities = ABILITIES
    _calls: Calls | None = attrs.field(default=None, init=False)
    _salt: str = attrs.field(default="", init=False)
    _senders: Memory = attrs.field(factory=lambda: Memory(MOST_EVENTS), init=False)
    _latest: Memory = attrs.field(factory=lambda: Memory(MOST_ROOMS), init=False)
    _uploads: Memory = attrs.field(factory=lambda: Memory(100), init=False)

    # -- connection -------------------------------------------------------------------

    async def run(self, link: Link) -> None:
        """Log in if need be, then listen."""
        bookmark = await self._logged_in(link)
        self._salt = bookmark.salt
        async with self._opened(bookmark) as polling, self._opened(bookmark) as calls:
            door = Door(self.settings, calls, dict(bookmark.invites), self.word)
            listening = Listening(
                polling,
                link,
                door,
                bookmark,
                self._senders,
                self._latest,
                self.poll_seconds,
                self.patience_seconds,
            )
            self._calls = calls
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(door.run)
                    await listening.run()
            finally:
                self._calls = None

    async def _logged_in(self, link: Link) -> Bookmark:
        """Return whom we are, with a token that was just found to be valid."""
        login = Login(self.settings.homeserver, None if self.settings.token else self.settings.user)
        bookmark = Bookmark.read(link.cursor, login, self.word())
        try:
            fresh = not (self.settings.token or bookmark.token)
            if fresh or (user := await self._who_am_i(bookmark)) is None:
                bookmark = await log_in(self.settings, bookmark, self.transport)
                # Before anything else: another login would be another device.
                await link.accept(cursor=bookmark.written())
                user = await self._who_am_i(bookmark)
        except SlowDownError as error:
            await trio.sleep(min(error.after, MOST_WAIT))
            raise LostError(error.message) from error
        if user is None:
            raise LostError("the homeserver does not accept the token that it just gave")
        known = bookmark.of_user(user)
        if known != bookmark or link.cursor is None:
            await link.accept(cursor=known.written())
        return known

    async def _who_am_i(self, bookmark: Bookmark) -> str | None:
        """Return our user id, `None` if we have to log in again."""
        async with self._opened(bookmark) as calls:
            reply = await calls.api.request("GET", f"{CLIENT}/account/whoami")
        if reply.status == 401 and calls.has_password:
            return None
        if reply.status in (400, 403, 404):
            raise LostError(_not_there(reply.status))
        user = text_at(calls.checked(reply).object, "user_id")
        if not is_id(user, "@"):
            raise LostError(_not_there(reply.status))
        return user

    @asynccontextmanager
    async def _opened(self, bookmark: Bookmark) -> AsyncIterator[Calls]:
        given = self.settings.token
        token = given.value if given else bookmark.token
        async with opened(self.settings, token, self.transport) as api:
            yield Calls(api, bookmark.user or "", has_password=given is None)

    @property
    def calls(self) -> Calls:
        """What sends, on connections that no poll uses; raises `LostError` if there is none."""
        if self._calls is None:
            raise LostError("not connected to the homeserver")
        return self._calls

    # -- sending ----------------------------------------------------------------------

    async def send(self, message: Outbound) -> str:
        """Send a message; with the same key it is the same message."""
        room, html = message.place.chat, await self._html(message)
        if message.media is None:
            asked = self._senders.get(message.reply_to)
            made = content.text_content(message, html, {asked} - {None, self.calls.user})
        else:
            uri, size = await self._uploaded(message.key, message.media)
            made = content.media_content(message, uri, size, html)
        key = transaction(self._salt, message.key)
        return await self.calls.put_event(room, "m.room.message", key, made)

    async def edit(self, place: Place, message_id: str, message: Outbound) -> None:
        """Replace a text; one message is replaced many times with the same key."""
        made = content.edit_content(message_id, message, await self._html(message))
        key = transaction(self._salt, message.key, message_id, message.text, str(message.markup))
        await self.calls.put_event(place.chat, "m.room.message", key, made)

    async def react(self, place: Place, message_id: str, emoji: str) -> None:
        """Put *emoji* to a message."""
        made = content.reaction_content(message_id, emoji)
        key = transaction(self._salt, "reaction", message_id, emoji)
        await self.calls.put_event(place.chat, "m.reaction", key, made)

    async def typing(self, place: Place, *, on: bool) -> None:
        """Show that we type; what was said there is read then, and is shown to be."""
        check_room(place.chat)
        latest = self._latest.forget(place) if on else None
        wanted = {"typing": True, "timeout": TYPING_MILLISECONDS} if on else {"typing": False}
        calls = self.calls
        await calls.call("PUT", "rooms", place.chat, "typing", calls.user, json=wanted)
        if latest is not None:
            receipt = {"thread_id": place.thread} if place.thread else {}
            where = ("rooms", place.chat, "receipt", "m.read", latest)
            await calls.call("POST", *where, json=receipt)

    @staticmethod
    async def _html(message: Outbound) -> str | None:
        if not message.markup:
            return None
        text = clean(message.text)
        if len(text) <= SMALL:
            return render(text)
        return await trio.to_thread.run_sync(render, text)

    # -- files ------------------------------------------------------------------------

    async def _uploaded(self, key: str, media: Media) -> tuple[str, int]:
        """Return where a file is, and its size; what was sent once is not sent again."""
        if found := self._uploads.get(key):
            return found[0], found[1]
        read = await media.read(self.abilities.media_bytes)
        mime = media.mime if MIME.fullmatch(media.mime) else "application/octet-stream"
        calls = self.calls
        reply = await calls.api.request(
            "POST",
            MEDIA_UPLOAD,
            params={"filename": clean(media.name)},
            content=read,
            headers={"Content-Type": mime},
        )
        uri = text_at(calls.checked(reply).object, "content_uri")
        if not MEDIA.fullmatch(uri):
            raise LostError("the homeserver did not say where the file is", maybe_done=True)
        self._uploads.note(key, (uri, len(read)))
        return uri, len(read)

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """Return a file that somebody sent."""
        found = MEDIA.fullmatch(attachment.ref)
        if not found:
            raise UndeliverableError("a file on Matrix is at mxc://SERVER/ID")
        if attachment.size is not None and attachment.size > limit:
            raise GatewayError("too-large", f"the file has more than {limit} bytes")
        where = "/".join((MEDIA_DOWNLOAD, *(quote(part, safe="") for part in found.groups())))
        calls = self.calls
        return calls.checked(await calls.api.download(where, limit)).body

    async def probe(self) -> Probe:
        """Ask who we are."""
        return Probe(await self.calls.who_am_i())


def _not_there(status: int) -> str:
    return f"{NO_HOMESERVER} (HTTP {status})"
