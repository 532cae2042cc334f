"""A bot on Discord as a `gateway.channels.base.Channel`."""

import random
from collections.abc import Callable
from typing import Any, Final, NoReturn

import attrs
import orjson

from gateway.channels.api import Api, Reply
from gateway.channels.base import (
    Abilities,
    Attachment,
    Channel,
    Link,
    LostError,
    Outbound,
    Place,
    Probe,
    UndeliverableError,
)
from gateway.channels.discord.limits import Route
from gateway.channels.discord.messages import LENGTH, Me, read_me, write_edit, write_message
from gateway.channels.discord.reception import Reception
from gateway.channels.discord.rest import Rest
from gateway.channels.discord.session import Session
from gateway.channels.mending import mending
from gateway.channels.sockets import Connect, connect_tcp
from gateway.config.channels import Discord as Settings
from gateway.web.addresses import is_https_at

CDN: Final = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
"""Where Discord keeps files: nothing is fetched from anywhere else, whatever a message says."""

UPLOAD_BYTES: Final = 10_000_000
"""Largest file that a bot may send to a server without boosts is 10 MiB.
Source: Reference, Uploading Files."""

ME: Final = Route("GET", "/users/@me")
MESSAGES: Final = "/channels/{}/messages"
MESSAGE: Final = "/channels/{}/messages/{}"
REACTION: Final = "/channels/{}/messages/{}/reactions/{}/@me"
TYPING: Final = "/channels/{}/typing"

ABILITIES: Final = Abilities(
    length=LENGTH,
    unit="utf-16",  # Discord says characters; these are never fewer
    edits=True,
    idempotent=True,
    reactions=True,
    edit_seconds=1.2,  # five messages and edits each 5 s and chat
    typing_seconds=10.0,
    media_bytes=UPLOAD_BYTES,
)


def make(settings: Settings) -> Channel:
    """Return the channel of a bot."""
    return Bot(settings)


@attrs.define(eq=False)
class Bot(Channel):
    """A bot.  *transport*, *connect* and *cdn* replace the network, for tests."""

    settings: Settings
    transport: Any = None
    connect: Connect = connect_tcp
    cdn: frozenset[str] = CDN
    spread: Callable[[], float] = random.random
    abilities: Abilities = ABILITIES
    _rest: Rest | None = attrs.field(default=None, init=False)
    _files: Api | None = attrs.field(default=None, init=False)

    async def run(self, link: Link) -> None:
        """Receive until something fails; sends go over connections of their own."""
        async with (
            Rest.opened(self.settings, self.transport) as rest,
            # Without the token: it is for the API only.
            Api.opened("Discord", "", transport=self.transport) as files,
        ):
            self._rest, self._files = rest, files
            async with mending("Discord"):
                await self._receive(link, rest)

    async def _receive(self, link: Link, rest: Rest) -> NoReturn:
        me = await self._who(rest)
        await Reception(
            link,
            rest,
            self.settings.token.value,
            me,
            connect=self.connect,
            session=Session.parse(link.cursor),
            tls=self.settings.api.startswith("https:"),
            spread=self.spread,
        ).run()

    @staticmethod
    async def _who(rest: Rest) -> Me:
        me = read_me((await rest.ask(ME)).object)
        if me is None:
            raise LostError("Discord did not say who the bot is")
        return me

    @property
    def rest(self) -> Rest:
        """The API; only while connected."""
        if self._rest is None:
            raise LostError("not connected to Discord")
        return self._rest

    async def send(self, message: Outbound) -> str:
        """Send a message, with its file if it has one; a repeat of its key gives it again."""
        route = Route("POST", MESSAGES, (_channel(message.place),))
        body = write_message(message)
        if message.media is None:
            return _message_id(await self.rest.ask(route, json=body))
        content = await message.media.read(self.abilities.media_bytes)
        body["attachments"] = [{"id": 0, "filename": message.media.name}]
        files = {
            "payload_json": (None, orjson.dumps(body), "application/json"),
            "files[0]": (message.media.name, content, message.media.mime),
        }
        return _message_id(await self.rest.ask(route, files=files))

    async def edit(self, place: Place, message_id: str, message: Outbound) -> None:
        """Replace the text of a message."""
        route = Route("PATCH", MESSAGE, (_channel(place), message_id))
        await self.rest.ask(route, json=write_edit(message))

    async def typing(self, place: Place, *, on: bool) -> None:
        """Show for 10 s that an answer is on its way; the answer itself ends it."""
        if on:
            await self.rest.ask(Route("POST", TYPING, (_channel(place),)))

    async def react(self, place: Place, message_id: str, emoji: str) -> None:
        """Put *emoji* to a message."""
        await self.rest.ask(Route("PUT", REACTION, (_channel(place), message_id, emoji)))

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """Return a file from Discord's own servers."""
        if self._files is None:
            raise LostError("not connected to Discord")
        if not is_https_at(attachment.ref, self.cdn):
            raise UndeliverableError("the file is not on a server of Discord's")
        reply = await self._files.download(attachment.ref, limit)
        if not reply.ok:
            raise UndeliverableError(f"Discord does not give the file (HTTP {reply.status})")
        return reply.body

    async def probe(self) -> Probe:
        """Ask who the bot is."""
        return Probe((await self._who(self.rest)).name)


def _channel(place: Place) -> str:
    """Return where to write to: for Discord a thread is a channel."""
    return place.thread or place.chat


def _message_id(reply: Reply) -> str:
    found = reply.object.get("id")
    if not isinstance(found, str):
        raise LostError("Discord took a message and did not say its id", maybe_done=True)
    return found
