"""The channel: a number on Signal."""

import base64
import binascii
from typing import Any, Final

import attrs

from gateway.channels.api import Api
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
    UndeliverableError,
)
from gateway.channels.formatting import clean
from gateway.channels.reading import text_at
from gateway.channels.signal.daemon import Daemon, fail_if_refused, timestamp_of
from gateway.channels.signal.envelopes import Reader, Reference, is_person
from gateway.channels.signal.events import Events
from gateway.channels.signal.styles import render
from gateway.config.channels import Signal as Settings
from gateway.errors import GatewayError

NAME: Final = "signal-cli"

LENGTH: Final = 2_000
"""Bytes of a message; phones show what is beyond only on request."""

MEDIA_BYTES: Final = 8_000_000
"""Largest file that is sent: what the daemon passes on within the seconds that it has."""

ABILITIES: Final = Abilities(
    length=LENGTH,
    unit="bytes",
    reactions=True,
    # Phones hide it after 15 s.
    typing_seconds=10.0,
    media_bytes=MEDIA_BYTES,
)


def make(settings: Settings) -> Channel:
    """Return the channel of an account; connects nothing."""
    return Signal(settings)


@attrs.define(eq=False)
class Signal(Channel):
    """One number.  *transport* replaces the network, for tests."""

    settings: Settings
    transport: Any = None
    abilities: Abilities = attrs.field(default=ABILITIES, init=False)
    _reader: Reader = attrs.field(init=False)
    _daemon: Daemon | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = Reader(self.settings.number)

    async def run(self, link: Link) -> None:
        """Read events until cancelled; sending has connections of its own."""
        url = self.settings.url.rstrip("/")
        async with (
            Api.opened(NAME, url, transport=self.transport) as reading,
            Api.opened(NAME, url, transport=self.transport) as asking,
        ):
            await _check(asking)
            self._daemon = Daemon(asking, self.settings.number)
            try:
                await Events(reading, self._reader, link).run(self.settings.number)
            finally:
                self._daemon = None

    def _here(self) -> Daemon:
        if self._daemon is None:
            raise LostError(f"not connected to {NAME}")
        return self._daemon

    async def send(self, message: Outbound) -> str:
        """Send a message; the id says who sent it and when, which is what Signal knows it by."""
        daemon = self._here()
        params = _to(message.place) | _said(message)
        quoted = Reference.parse(message.reply_to or "")
        if quoted is not None:
            params |= {"quoteTimestamp": quoted.timestamp, "quoteAuthor": quoted.author}
        if message.media is not None:
            params["attachments"] = [await _inlined(message.media)]
        sent = timestamp_of(await daemon.call("send", **params))
        return Reference(self.settings.number, sent).id

    async def typing(self, place: Place, *, on: bool) -> None:
        """Show that we type, or that we do not."""
        await self._here().call("sendTyping", **_to(place), **({} if on else {"stop": True}))

    async def react(self, place: Place, message_id: str, emoji: str) -> None:
        """Put *emoji* to a message."""
        reference = Reference.parse(message_id)
        if reference is None:
            raise UndeliverableError("no message of Signal")
        await self._here().call(
            "sendReaction",
            **_to(place),
            emoji=emoji,
            targetAuthor=reference.author,
            targetTimestamp=reference.timestamp,
        )

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """Return what is in a file; raises ``too-large`` beyond *limit* bytes."""
        too_large = GatewayError("too-large", f"the file has more than {limit} bytes")
        if attachment.size is not None and attachment.size > limit:
            raise too_large
        chat, _, name = attachment.ref.partition(" ")
        # Base64 makes four bytes of three; the rest is for what is around it.
        room = 4 * (limit // 3 + 1) + 1_000
        result = await self._here().fetch(room, "getAttachment", id=name, **_to(Place(chat)))
        try:
            content = base64.b64decode(text_at(result, "data"), validate=True)
        except (binascii.Error, ValueError) as error:
            raise UndeliverableError("signal-cli gave no file") from error
        if len(content) > limit:
            raise too_large
        return content

    async def probe(self) -> Probe:
        """Ask the daemon whether it is there."""
        await _check(self._here().api)
        return Probe(self.settings.number)


async def _check(api: Api) -> None:
    """Ask whether the daemon runs; raises what its answer means."""
    reply = await api.request("GET", "/api/v1/check")
    fail_if_refused(reply.status, api.name)


def _to(place: Place) -> dict[str, Any]:
    """Return who or what *place* is, as the daemon wants it."""
    return {"recipient": [place.chat]} if is_person(place.chat) else {"groupId": place.chat}


def _said(message: Outbound) -> dict[str, Any]:
    text = clean(message.text)
    if not message.markup:
        return {"message": text}
    styled = render(text)
    return {"message": styled.text} | ({"textStyles": styled.styles} if styled.styles else {})


async def _inlined(media: Media) -> str:
    """Return a file as signal-cli takes it from elsewhere.  Source: signal-cli(1), send."""
    content = await media.read(MEDIA_BYTES)
    name = "".join(each for each in media.name if each.isalnum() or each in "._- ")
    encoded = base64.b64encode(content).decode()
    return f"data:{media.mime};filename={name};base64,{encoded}"
