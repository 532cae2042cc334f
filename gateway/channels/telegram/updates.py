"""What Telegram tells of messages, as what channels tell of them.  Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from gateway.channels.base import Attachment, Inbound, Kind, Place, Sender
from gateway.channels.reading import integer_at, object_at, objects_at, text_at

_AROUND: Final = re.compile(r"^[\s,:;]+|\s+$")
"""What is left around a message whose mention is taken away: "@bot, what time is it?"."""

_GROUPS: Final = ("group", "supergroup")

_FILES: Final[Mapping[str, tuple[Kind, str, str]]] = {
    "audio": ("audio", "audio/mpeg", "audio.mp3"),
    "voice": ("audio", "audio/ogg", "voice.ogg"),
    "video": ("video", "video/mp4", "video.mp4"),
    "video_note": ("video", "video/mp4", "video.mp4"),
    "animation": ("video", "video/mp4", "animation.mp4"),
    "document": ("file", "application/octet-stream", "document"),
}
"""Fields that are files: kind, type and name, unless the file says otherwise."""


@attrs.frozen
class Me:
    """The bot itself."""

    id: int
    username: str

    @property
    def identity(self) -> str:
        """How it is called."""
        return f"@{self.username}"


def read_me(found: Any) -> Me | None:
    """Return who ``getMe`` says that we are."""
    number, username = integer_at(found, "id"), text_at(found, "username")
    return None if number is None or not username else Me(number, username)


def moved(update: Any) -> tuple[str, str] | None:
    """Return old and new id of a group, if the update says that it has become a supergroup."""
    old = integer_at(update, "message", "chat", "id")
    new = integer_at(update, "message", "migrate_to_chat_id")
    return None if old is None or new is None else (str(old), str(new))


def full_id(chat: str, message: int) -> str:
    """Return an id that is unique in the account: Telegram counts messages in each chat."""
    return f"{chat}:{message}"


def number_in(full: str) -> int | None:
    """Return Telegram's own number in an id of `full_id`; `None` if it is none of ours."""
    _, _, number = full.rpartition(":")
    return int(number) if re.fullmatch(r"[0-9]{1,18}", number) else None


def read_message(update: Any, me: Me) -> Inbound | None:
    """Return the message in an update, if there is one that a person has written."""
    message = object_at(update, "message")
    chat, number = integer_at(message, "chat", "id"), integer_at(message, "message_id")
    sender, kind = _sender(message), text_at(message, "chat", "type")
    if chat is None or number is None or sender is None or kind not in ("private", *_GROUPS):
        return None
    words = _Words.of(message)
    files = tuple(_attachments(message))
    text = words.text or _noted(message)
    if not text and not files:
        return None
    reply = _reply(message)
    answers_us = integer_at(reply, "from", "id") == me.id
    mentioned = kind in _GROUPS and (answers_us or words.names(me))
    return Inbound(
        id=full_id(str(chat), number),
        place=Place(str(chat), _thread(message)),
        sender=sender,
        text=words.without(me) if words.text else text,
        at=float(integer_at(message, "date") or 0),
        direct=kind == "private",
        mentioned=mentioned,
        reply_to=_reply_id(chat, reply),
        attachments=files,
    )


def _sender(message: Any) -> Sender | None:
    """Return who wrote it; nobody for other bots, and for what channels post into groups."""
    found = object_at(message, "from")
    number = integer_at(found, "id")
    if number is None or found.get("is_bot") is not False or message.get("is_automatic_forward"):
        return None
    name = f"{text_at(found, 'first_name')} {text_at(found, 'last_name')}".strip()
    return Sender(str(number), name or text_at(found, "username"))


def _thread(message: Any) -> str | None:
    """Return the topic.  Without ``is_topic_message`` the id is that of replies, not of one."""
    thread = integer_at(message, "message_thread_id")
    return str(thread) if thread is not None and message.get("is_topic_message") is True else None


def _reply(message: Any) -> dict[str, Any]:
    """Return what it replies to; whatever is written in a topic "replies" to its beginning."""
    found = object_at(message, "reply_to_message")
    return {} if "forum_topic_created" in found else found


def _reply_id(chat: int, reply: Any) -> str | None:
    number = integer_at(reply, "message_id")
    return None if number is None else full_id(str(chat), number)


def _noted(message: Any) -> str:
    """Return a word for what is no text and no file."""
    if emoji := text_at(message, "sticker", "emoji"):
        return emoji
    for name in ("location", "venue", "contact", "poll", "dice", "story", "checklist"):
        if name in message:
            return f"[{name}]"
    return ""


# -- text, and what Telegram has found in it ----------------------------------------------


@attrs.frozen
class _Words:
    """A text with its entities, whose offsets count UTF-16 units."""

    text: str
    entities: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, message: Any) -> "_Words":
        if text := text_at(message, "text"):
            return cls(text, tuple(objects_at(message, "entities")))
        caption = text_at(message, "caption")
        return cls(caption, tuple(objects_at(message, "caption_entities")))

    def names(self, me: Me) -> bool:
        """Whether it addresses us: by name, or with a command that has our name."""
        return any(True for _ in self._addresses(me))

    def without(self, me: Me) -> str:
        """Return the text without our name at its beginning, its end or in a command."""
        units = self.text.encode("utf-16-le", "surrogatepass")
        # From the back, so that offsets stay right.
        for start, end, kind in sorted(self._addresses(me), reverse=True):
            before, after = units[: 2 * start], units[2 * end :]
            within = _decoded(before).strip() and _decoded(after).strip()
            if kind == "bot_command" or not within:
                units = before + after
        # Nothing but our name is left as it is: it is what was said.
        return _AROUND.sub("", _decoded(units)) or self.text

    def _addresses(self, me: Me) -> Iterator[tuple[int, int, str]]:
        """Yield where our name is, in UTF-16 units, and what kind of entity that is."""
        name = f"@{me.username}".lower()
        for entity in self.entities:
            start, length = integer_at(entity, "offset"), integer_at(entity, "length")
            if start is None or length is None or start < 0 or length <= 0:
                continue
            end, said = start + length, self._slice(start, start + length).lower()
            match kind := text_at(entity, "type"):
                case "mention" if said == name:
                    yield start, end, kind
                case "text_mention" if integer_at(entity, "user", "id") == me.id:
                    yield start, end, kind
                case "bot_command" if said.endswith(name):
                    yield end - len(name), end, kind
                case _:
                    pass

    def _slice(self, start: int, end: int) -> str:
        return _decoded(self.text.encode("utf-16-le", "surrogatepass")[2 * start : 2 * end])


def _decoded(units: bytes) -> str:
    return units.decode("utf-16-le", "replace")


# -- files --------------------------------------------------------------------------------


def _attachments(message: Any) -> Iterator[Attachment]:
    """Yield the file in a message; there is at most one, albums are several messages."""
    photos = [each for each in objects_at(message, "photo") if text_at(each, "file_id")]
    if photos:
        largest = max(photos, key=lambda each: integer_at(each, "width") or 0)
        yield _attachment(largest, "image", "image/jpeg", "photo.jpg")
    elif found := object_at(message, "sticker"):
        yield from _sticker(found)
    else:
        for name, (kind, mime, called) in _FILES.items():
            if text_at(found := object_at(message, name), "file_id"):
                yield _attachment(found, kind, mime, called)
                # An animation is told a second time, as a document.
                return


def _sticker(found: dict[str, Any]) -> Iterator[Attachment]:
    if not text_at(found, "file_id"):
        return
    if found.get("is_animated") is True:
        yield _attachment(found, "file", "application/x-tgsticker", "sticker.tgs")
    elif found.get("is_video") is True:
        yield _attachment(found, "file", "video/webm", "sticker.webm")
    else:
        yield _attachment(found, "image", "image/webp", "sticker.webp")


def _attachment(found: dict[str, Any], kind: Kind, mime: str, name: str) -> Attachment:
    size = integer_at(found, "file_size")
    mime = text_at(found, "mime_type") or mime
    if kind == "file" and mime.startswith("image/"):
        kind = "image"
    return Attachment(
        kind=kind,
        ref=text_at(found, "file_id"),
        name=text_at(found, "file_name") or name,
        mime=mime,
        size=size if size is not None and size >= 0 else None,
    )
