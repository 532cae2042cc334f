"""The channel: a bot's account."""

from typing import Any, Final

import attrs

from gateway.channels.base import (
    Abilities,
    Attachment,
    Channel,
    Link,
    LostError,
    Outbound,
    Place,
    Probe,
    RefusedForGoodError,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.reading import integer_at, text_at
from gateway.channels.telegram.abilities import ABILITIES
from gateway.channels.telegram.calls import BotApi
from gateway.channels.telegram.receiving import Intake
from gateway.channels.telegram.sending import Outlet
from gateway.channels.telegram.updates import Me, read_me
from gateway.config.channels import Telegram as Settings
from gateway.errors import GatewayError

FILE_BYTES: Final = 20_000_000
"""Largest file that a bot can have from Telegram itself.  Source: ``getFile``."""


@attrs.define(eq=False)
class Telegram(Channel):
    """One bot.  *transport* replaces the network, for tests."""

    settings: Settings
    transport: Any = None
    abilities: Abilities = attrs.field(default=ABILITIES, init=False)
    _outlet: Outlet | None = attrs.field(default=None, init=False)

    async def run(self, link: Link) -> None:
        """Receive until cancelled; sending has a connection of its own."""
        async with (
            BotApi.opened(self.settings, self.transport) as receiving,
            BotApi.opened(self.settings, self.transport) as sending,
        ):
            self._outlet = Outlet(sending)
            try:
                await self._receive(link, receiving, self._outlet)
            except (SlowDownError, UndeliverableError) as error:
                # Refused what every bot may do: it may be taken another time.
                raise LostError(error.message) from None
            finally:
                self._outlet = None

    async def _receive(self, link: Link, api: BotApi, outlet: Outlet) -> None:
        intake = Intake(await _me(api), link, outlet.note_move)
        if self.settings.webhook is None:
            await intake.poll(api)
        elif self.settings.webhook_secret is None:
            raise RefusedForGoodError("`webhook` needs a `webhook_secret`: set one")
        else:
            secret = self.settings.webhook_secret.value
            await intake.receive_posts(api, self.settings.webhook, secret)

    @property
    def outlet(self) -> Outlet:
        """What sends; raises `LostError` while there is no connection."""
        if self._outlet is None:
            raise LostError("not connected to Telegram")
        return self._outlet

    async def send(self, message: Outbound) -> str:
        """Send a message."""
        return await self.outlet.send(message)

    async def edit(self, place: Place, message_id: str, message: Outbound) -> None:
        """Replace the text of a message; one that says the same already is fine."""
        await self.outlet.edit(place, message_id, message)

    async def draft(self, place: Place, key: str, text: str) -> None:
        """Show a text that is not finished, in a direct chat."""
        await self.outlet.draft(place, key, text)

    async def typing(self, place: Place, *, on: bool) -> None:
        """Show that we type; it ends by itself, or with the next message."""
        if on:
            await self.outlet.act(place)

    async def react(self, place: Place, message_id: str, emoji: str) -> None:
        """Put *emoji* to a message; Telegram takes only some."""
        await self.outlet.react(place, message_id, emoji)

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """Return what is in a file; raises ``too-large`` beyond *limit* bytes."""
        if attachment.size is not None and attachment.size > limit:
            raise GatewayError("too-large", f"the file has more than {limit} bytes")
        api = self.outlet.api
        try:
            found = await api.call("getFile", file_id=attachment.ref)
        except UndeliverableError as error:
            if "file is too big" not in error.message:
                raise
            message = f"Telegram gives bots files of at most {FILE_BYTES} bytes"
            raise GatewayError("too-large", message) from None
        path = text_at(found, "file_path")
        if not path:
            raise UndeliverableError("Telegram does not say where the file is")
        if (integer_at(found, "file_size") or 0) > limit:
            raise GatewayError("too-large", f"the file has more than {limit} bytes")
        return await api.download(path, limit)

    async def probe(self) -> Probe:
        """Ask who we are."""
        return Probe((await _me(self.outlet.api)).identity)


async def _me(api: BotApi) -> Me:
    me = read_me(await api.call("getMe"))
    if me is None:
        raise LostError("Telegram does not say who the bot is")
    return me
