"""The channel: a number's account."""

import re
from typing import Any, Final

import attrs
import structlog
import trio

from gateway.channels.base import (
    Abilities,
    Attachment,
    Channel,
    Inbound,
    Link,
    LostError,
    Media,
    Outbound,
    Place,
    Probe,
    RefusedForGoodError,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.formatting import size_of
from gateway.channels.reading import integer_at, objects_at, text_at
from gateway.channels.whatsapp import webhooks
from gateway.channels.whatsapp.graph import WINDOW, Graph
from gateway.channels.whatsapp.markup import to_whatsapp
from gateway.config.channels import WhatsApp as Settings
from gateway.errors import GatewayError
from gateway.protocol.issues import shorten
from gateway.web.client import parsed
from gateway.web.hooks import HookAnswer, HookRequest, UnverifiedError

log = structlog.get_logger(__name__)

ABILITIES: Final = Abilities(
    length=4096,
    unit="utf-16",
    reactions=True,
    typing_seconds=25.0,
    media_bytes=16_000_000,
)
"""Source: "Text messages", "Typing indicators", "Supported media types"."""

CAPTION: Final = 1024
"""Characters of a text below a file."""

WATCH_SECONDS: Final = 20.0
"""Between looks at the number: nobody else says whether Meta is there when nobody writes.
180 an hour, of 5000 that an account has.  Source: "Rate limits"."""

LONGEST_PAUSE: Final = 25.0
"""Most seconds that a look waits when told to, or the account would count as stalled."""

REMEMBERED: Final = 1000
"""Chats whose last message is remembered: a sign of typing names it."""

_KINDS: Final = {
    "image/jpeg": ("image", 5_000_000),
    "image/png": ("image", 5_000_000),
    "audio/aac": ("audio", 16_000_000),
    "audio/amr": ("audio", 16_000_000),
    "audio/mpeg": ("audio", 16_000_000),
    "audio/mp4": ("audio", 16_000_000),
    "audio/ogg": ("audio", 16_000_000),
    "video/mp4": ("video", 16_000_000),
    "video/3gpp": ("video", 16_000_000),
}
"""What is shown as what it is, up to how many bytes; everything else is a document."""

_MEDIA_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""It becomes a part of a path."""

_size = size_of(ABILITIES)


@attrs.define(eq=False)
class WhatsApp(Channel):
    """One number.  *transport* replaces the network, for tests."""

    settings: Settings
    transport: Any = None
    abilities: Abilities = attrs.field(default=ABILITIES, init=False)
    _graph: Graph | None = attrs.field(default=None, init=False)
    _last: dict[str, str] = attrs.field(factory=dict, init=False)
    """The last message of each chat."""

    async def run(self, link: Link) -> None:
        """Take what is posted until cancelled, and see that the API answers all the while."""

        async def receive(request: HookRequest) -> HookAnswer:
            return await self._receive(link, request)

        async with (
            Graph.opened(self.settings, self.transport) as watching,
            Graph.opened(self.settings, self.transport) as sending,
        ):
            self._graph = sending
            try:
                with link.receive_hook(receive):
                    link.connected(await _identity(watching))
                    await _watch(link, watching)
            except SlowDownError as error:
                raise LostError(error.message) from None
            finally:
                self._graph = None

    # -- receiving ----------------------------------------------------------------------

    async def _receive(self, link: Link, request: HookRequest) -> HookAnswer:
        if request.method == "GET":
            return self._verified(request)
        signature = request.headers.get("x-hub-signature-256", "")
        if not webhooks.is_signed(request.body, signature, self.settings.app_secret.value):
            raise UnverifiedError
        messages: list[Inbound] = []
        for value in webhooks.values(parsed(request.body), self.settings.phone_number_id):
            messages += webhooks.read_messages(value)
            _report(value)
        # Answered when it is on the disk, and not before: else Meta posts it again.
        await link.accept(*messages)
        for message in messages:
            self._remember(message)
        return HookAnswer()

    def _verified(self, request: HookRequest) -> HookAnswer:
        answer = webhooks.challenge(request.query, self.settings.verify_token.value)
        if answer is None:
            raise UnverifiedError
        return HookAnswer(body=answer.encode())

    def _remember(self, message: Inbound) -> None:
        if len(self._last) >= REMEMBERED:
            self._last.clear()
        self._last[message.place.chat] = message.id

    # -- sending ------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """What sends; raises `LostError` while there is no connection."""
        if self._graph is None:
            raise LostError("not connected to WhatsApp")
        return self._graph

    async def send(self, message: Outbound) -> str:
        """Send a message; previews of links are off, as Meta would fetch what they name."""
        if message.media is not None:
            return await self._send_file(message, message.media)
        text = formatted(message.text, markup=message.markup)
        return await self._post(message, "text", {"body": text, "preview_url": False})

    async def _post(self, message: Outbound, kind: str, content: dict[str, Any]) -> str:
        request: dict[str, Any] = {"type": kind} | _recipient(message.place)
        if message.reply_to is not None:
            request["context"] = {"message_id": message.reply_to}
        found = await self.graph.post_message(request | {kind: content})
        sent = next((text_at(each, "id") for each in objects_at(found, "messages")), "")
        if not sent:
            raise LostError("Meta does not say which message it has sent", maybe_done=True)
        return sent

    async def _send_file(self, message: Outbound, media: Media) -> str:
        """Send a file, with the text below it, or behind it if it is long or cannot be there."""
        content = await media.read(ABILITIES.media_bytes)
        try:
            uploaded = await self.graph.upload(media.name, content, media.mime)
        except LostError as error:
            # Nothing has been sent: a file that nobody sees does not count.
            raise LostError(error.message) from None
        kind = kind_of(media.mime, len(content))
        text = formatted(message.text, markup=message.markup)
        caption = bool(text) and kind != "audio" and _size(text) <= CAPTION
        named = {"filename": media.name} if kind == "document" else {}
        said = {"caption": text} if caption else {}
        sent = await self._post(message, kind, {"id": uploaded} | named | said)
        if text and not caption:
            await self._follow(message)
        return sent

    async def _follow(self, message: Outbound) -> None:
        try:
            await self.send(attrs.evolve(message, media=None))
        except (LostError, SlowDownError) as error:
            # The file is there already: whoever tries again repeats it, and has to say so.
            raise LostError(error.message, maybe_done=True) from None

    async def typing(self, place: Place, *, on: bool) -> None:
        """Show that we type, for 25 s or until the answer: that also marks the chat as read."""
        last = self._last.get(place.chat)
        if on and last is not None:
            indicator = {"typing_indicator": {"type": "text"}}
            await self.graph.post_message({"status": "read", "message_id": last} | indicator)

    async def react(self, place: Place, message_id: str, emoji: str) -> None:
        """Put *emoji* to a message; nothing takes it away."""
        await self.graph.post_message(
            {"type": "reaction", "reaction": {"message_id": message_id, "emoji": emoji}}
            | _recipient(place)
        )

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """Return what is in a file; raises ``too-large`` beyond *limit* bytes."""
        if not _MEDIA_ID.fullmatch(attachment.ref):
            raise UndeliverableError("that is no id of a file on WhatsApp")
        found = await self.graph.describe(attachment.ref)
        if (integer_at(found, "file_size") or 0) > limit:
            raise GatewayError("too-large", f"the file has more than {limit} bytes")
        return await self.graph.download(text_at(found, "url"), limit)

    async def probe(self) -> Probe:
        """Ask what the number is."""
        return Probe(await _identity(self.graph))


def _recipient(place: Place) -> dict[str, Any]:
    """Return to whom: by number, or by the id of somebody who hides it."""
    field = "to" if place.chat.isdecimal() else "recipient"
    return {"recipient_type": "individual", field: place.chat}


async def _identity(graph: Graph) -> str:
    try:
        found = await graph.number_itself()
    except UndeliverableError as error:
        raise RefusedForGoodError(
            f"Meta does not know the number: see to `phone_number_id` ({error.message})"
        ) from None
    return text_at(found, "display_phone_number") or graph.number


async def _watch(link: Link, graph: Graph) -> None:
    while True:
        await trio.sleep(WATCH_SECONDS)
        try:
            await _identity(graph)
        except SlowDownError as error:
            # An answer as well; but one to obey.
            if error.after > LONGEST_PAUSE:
                raise
            link.alive()
            await trio.sleep(error.after)
        else:
            link.alive()


def _report(value: Any) -> None:
    for message_id, code, said in webhooks.failures(value):
        why = WINDOW if code == 131047 else shorten(said)
        log.warning("a message was not delivered", message=shorten(message_id), code=code, why=why)


def formatted(text: str, *, markup: bool) -> str:
    """Return a text to send: as it is if formatting would make it too long."""
    written = to_whatsapp(text) if markup else None
    return text if written is None or _size(written) > ABILITIES.length else written


def kind_of(mime: str, size: int) -> str:
    """Return the type of message that shows a file best."""
    kind, most = _KINDS.get(mime.partition(";")[0].strip().lower(), ("document", 0))
    return kind if size <= most else "document"
