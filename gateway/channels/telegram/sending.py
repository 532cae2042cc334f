"""What a bot sends."""

import zlib
from contextlib import suppress
from typing import Any, Final

import attrs
import structlog
import trio

from gateway.channels.base import (
    LostError,
    Media,
    Outbound,
    Place,
    SlowDownError,
    UndeliverableError,
)
from gateway.channels.formatting import size_of
from gateway.channels.reading import integer_at
from gateway.channels.telegram.abilities import ABILITIES, CAPTION
from gateway.channels.telegram.calls import BotApi, MovedError, NotModifiedError
from gateway.channels.telegram.markup import to_html, visible
from gateway.channels.telegram.updates import full_id, number_in

log = structlog.get_logger(__name__)

GROUP_EDIT_SECONDS: Final = 3.0
"""Least time between two edits in a group: 20 a minute are allowed.  Source: bots FAQ."""

PHOTO_BYTES: Final = 10_000_000
"""Largest photo; a larger one goes as a document.  Source: ``sendPhoto``."""

REMEMBERED: Final = 1000
"""Chats of which something is remembered; beyond, it is learned anew."""

NO_PREVIEW: Final = {"is_disabled": True}
"""Telegram fetches what it previews: a link that a model was tricked into writing must not
carry anything away before a person has looked at it.  Source: EchoLeak, CVE-2025-32711."""

_size = size_of(ABILITIES)


@attrs.define(eq=False)
class Outlet:
    """Sends with *api*; remembers groups that have moved."""

    api: BotApi
    _moved: dict[str, str] = attrs.field(factory=dict, init=False)
    _edits: dict[str, float] = attrs.field(factory=dict, init=False)
    """When a group was last edited in, on Trio's clock."""

    def note_move(self, old: str, new: str) -> None:
        """Remember that a group has a new id."""
        if len(self._moved) >= REMEMBERED:
            self._moved.clear()
        self._moved[old] = new
        log.warning("a group has a new id: use it in the settings", old=old, new=new)

    async def send(self, message: Outbound) -> str:
        """Send a message and return its id."""
        if message.media is not None:
            return await self._send_file(message, message.media)
        written = formatted(message.text, markup=message.markup)
        return await self._post("sendMessage", message, **_as_text(written))

    async def edit(self, place: Place, message_id: str, message: Outbound) -> None:
        """Replace the text of a message."""
        self._pace(place.chat)
        written = formatted(message.text, markup=message.markup)
        with suppress(NotModifiedError):
            await self._call(
                "editMessageText",
                place.chat,
                message_id=_number(message_id),
                **_as_text(written),
            )

    def _pace(self, chat: str) -> None:
        """Raise `SlowDownError` rather than have Telegram refuse all messages for a while."""
        if not chat.startswith("-"):
            return
        now = trio.current_time()
        left = self._edits.get(chat, -GROUP_EDIT_SECONDS) + GROUP_EDIT_SECONDS - now
        if left > 0:
            raise SlowDownError(left)
        if len(self._edits) >= REMEMBERED:
            self._edits.clear()
        self._edits[chat] = now

    async def draft(self, place: Place, key: str, text: str) -> None:
        """Show what is being written, for 30 seconds or until something is sent."""
        number = zlib.crc32(key.encode("utf-8", "replace")) % (2**31 - 1) + 1
        written = formatted(text, markup=True)
        await self._call(
            "sendMessageDraft",
            place.chat,
            draft_id=number,
            message_thread_id=_thread(place),
            **{name: value for name, value in _as_text(written).items() if name in _OF_DRAFTS},
        )

    async def act(self, place: Place) -> None:
        """Show for five seconds that we type."""
        await self._call(
            "sendChatAction", place.chat, message_thread_id=_thread(place), action="typing"
        )

    async def react(self, place: Place, message_id: str, emoji: str) -> None:
        """Put *emoji* to a message, or nothing if it is empty."""
        reaction = [{"type": "emoji", "emoji": emoji}] if emoji else []
        await self._call(
            "setMessageReaction", place.chat, message_id=_number(message_id), reaction=reaction
        )

    # -- files --------------------------------------------------------------------------

    async def _send_file(self, message: Outbound, media: Media) -> str:
        """Send a file, with the text below it, or behind it if it is long."""
        content = await media.read(ABILITIES.media_bytes)
        written = formatted(message.text, markup=message.markup, length=CAPTION)
        fits = _size(message.text) <= CAPTION or written[1]
        caption = {"caption": written[0], "parse_mode": written[1]} if fits and message.text else {}
        sent = await self._upload(message, media, content, caption)
        if message.text and not fits:
            await self._follow(message)
        return sent

    async def _follow(self, message: Outbound) -> None:
        text = attrs.evolve(message, media=None)
        try:
            await self.send(text)
        except (LostError, SlowDownError) as error:
            # The file is there already: whoever tries again repeats it, and has to say so.
            raise LostError(error.message, maybe_done=True) from None

    async def _upload(
        self, message: Outbound, media: Media, content: bytes, caption: dict[str, Any]
    ) -> str:
        method, field = way(media.mime, len(content))
        file = (media.name, content, media.mime)
        try:
            return await self._post(method, message, files={field: file}, **caption)
        except UndeliverableError:
            if method == "sendDocument":
                raise
            # Not a picture as Telegram likes it: too wide, too many pixels, another codec.
            return await self._post("sendDocument", message, files={"document": file}, **caption)

    # -- calls --------------------------------------------------------------------------

    async def _post(self, method: str, message: Outbound, **parameters: Any) -> str:
        """Send something new and return its id."""
        place, reply = message.place, None
        if message.reply_to is not None and (number := number_in(message.reply_to)) is not None:
            reply = {"message_id": number, "allow_sending_without_reply": True}
        found = await self._call(
            method,
            place.chat,
            message_thread_id=_thread(place),
            reply_parameters=reply,
            **parameters,
        )
        number = integer_at(found, "message_id")
        if number is None:
            raise LostError("Telegram does not say which message it has sent", maybe_done=True)
        return full_id(self._moved.get(place.chat, place.chat), number)

    async def _call(self, method: str, chat: str, **parameters: Any) -> Any:
        """Do something in a chat, also if it has moved."""
        try:
            return await self._request(method, self._moved.get(chat, chat), parameters)
        except MovedError as error:
            self.note_move(chat, error.chat)
            return await self._request(method, error.chat, parameters)

    async def _request(self, method: str, chat: str, parameters: dict[str, Any]) -> Any:
        number = chat_number(chat)
        if "files" in parameters:
            return await self.api.upload(method, chat_id=number, **parameters)
        return await self.api.call(method, chat_id=number, **parameters)


_OF_DRAFTS: Final = ("text", "parse_mode")


def formatted(text: str, *, markup: bool, length: int = ABILITIES.length) -> tuple[str, str | None]:
    """Return a text and its ``parse_mode``: as it is if formatting would make it too long."""
    html = to_html(text) if markup else None
    if html is None or _size(visible(html)) > length:
        return text, None
    return html, "HTML"


def _as_text(written: tuple[str, str | None]) -> dict[str, Any]:
    text, mode = written
    return {"text": text, "parse_mode": mode, "link_preview_options": NO_PREVIEW}


def way(mime: str, size: int) -> tuple[str, str]:
    """Return the method that shows a file best, and its field."""
    match mime.partition(";")[0].strip().lower():
        case "image/jpeg" | "image/png" | "image/webp" if size <= PHOTO_BYTES:
            return "sendPhoto", "photo"
        case "audio/mpeg" | "audio/mp4" | "audio/x-m4a":
            return "sendAudio", "audio"
        case "audio/ogg":
            return "sendVoice", "voice"
        case "video/mp4":
            return "sendVideo", "video"
        case _:
            return "sendDocument", "document"


def chat_number(chat: str) -> int | str:
    """Return an id as Telegram has it: a number, or the ``@name`` of a public group."""
    try:
        return int(chat)
    except ValueError:
        return chat


def _thread(place: Place) -> int | None:
    return None if place.thread is None else number_in(place.thread)


def _number(message_id: str) -> int:
    number = number_in(message_id)
    if number is None:
        raise UndeliverableError("that is no id of a message on Telegram")
    return number
