"""What Discord's messages say, and how ours are written.  Pure.

Everything here takes whatever JSON there is: what is not as expected counts as absent.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import attrs

from gateway.channels.base import Attachment, Inbound, Outbound, Place, Sender

EPOCH_MS: Final = 1_420_070_400_000
"""The first millisecond of 2015, from which ids count.  Source: Reference, Snowflakes."""

TAKEN_TYPES: Final = frozenset({0, 19})
"""Messages that somebody has written, and replies; the others are about joins, pins, calls.
Source: Message Types."""

THREAD_TYPES: Final = frozenset({10, 11, 12})
"""Channels that are threads.  Source: Channel Types."""

TEXT_LENGTH: Final = 8000
"""Characters of a text that are taken; Discord lets people write 4000."""

ATTACHMENTS: Final = 10
"""Files taken of one message; Discord allows 10."""

NAME_LENGTH: Final = 100

LENGTH: Final = 2000
"""Longest text of ours.  Source: Create Message."""

_SNOWFLAKE: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_SPECIAL: Final = re.compile(r"([\\*_~`|<>\[\]()#:@-])")


@attrs.frozen
class Me:
    """The bot itself."""

    id: str
    name: str


def snowflake(value: Any) -> str | None:
    """Return *value* if it is an id."""
    return value if isinstance(value, str) and _SNOWFLAKE.fullmatch(value) else None


def read_me(user: Mapping[str, Any]) -> Me | None:
    """Return who a user object is."""
    found = snowflake(user.get("id"))
    return None if found is None else Me(found, _text(user.get("username"), NAME_LENGTH))


def read_message(content: Mapping[str, Any], me: Me) -> Inbound | None:
    """Return the message of a ``MESSAGE_CREATE``, in its channel; `None` if it is not for us.

    That is one of a program (a bot, a webhook, ourselves), about something else than what
    somebody wrote, empty, or damaged.
    """
    author = _object(content.get("author"))
    message_id, channel = snowflake(content.get("id")), snowflake(content.get("channel_id"))
    sender = snowflake(author.get("id"))
    if message_id is None or channel is None or sender is None or sender == me.id:
        return None
    if author.get("bot") or author.get("system") or content.get("webhook_id") is not None:
        return None
    kind = content.get("type", 0)
    if not isinstance(kind, int) or kind not in TAKEN_TYPES:
        return None
    text, attachments = _words(content, me), tuple(_attachments(content.get("attachments")))
    if not text and not attachments:
        return None
    return Inbound(
        id=message_id,
        place=Place(channel),
        sender=Sender(sender, _name(content, author)),
        text=text,
        at=((int(message_id) >> 22) + EPOCH_MS) / 1000,
        direct=content.get("guild_id") is None,
        mentioned=_is_for(content, me),
        reply_to=snowflake(_object(content.get("message_reference")).get("message_id")),
        attachments=attachments,
    )


def read_threads(content: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield channels of a guild or thread event: id, and the parent of a thread."""
    for each in (content, *_list(content.get("threads")), *_list(content.get("channels"))):
        channel = _object(each)
        found = snowflake(channel.get("id"))
        if found is not None and isinstance(channel.get("type"), int):
            thread = channel["type"] in THREAD_TYPES
            yield found, snowflake(channel.get("parent_id")) if thread else None


def write_message(message: Outbound) -> dict[str, Any]:
    """Return the body that creates a message, once however often it is sent.

    Nobody is notified whom the text names; who is answered is.
    """
    body = write_edit(message) | {"nonce": nonce(message.key), "enforce_nonce": True}
    if message.reply_to is not None and snowflake(message.reply_to):
        reference = {"message_id": message.reply_to, "fail_if_not_exists": False}
        body["message_reference"] = reference
    return body


def write_edit(message: Outbound) -> dict[str, Any]:
    """Return the body that replaces a message."""
    text = message.text if message.markup else plain(message.text)
    return {"content": text, "allowed_mentions": {"parse": [], "replied_user": True}}


def plain(text: str) -> str:
    """Return *text* so that Discord shows it as it is, if that fits; else *text* itself."""
    escaped = _SPECIAL.sub(r"\\\1", text)
    return escaped if units(escaped) <= LENGTH else text


def units(text: str) -> int:
    """Return the length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def nonce(key: str) -> str:
    """Return 24 characters that stand for *key*; Discord takes 25.  Source: Create Message."""
    return base64.b32encode(hashlib.sha256(key.encode()).digest()[:15]).decode()


# -- parts ------------------------------------------------------------------------------


def _words(content: Mapping[str, Any], me: Me) -> str:
    """Return the text, without our name in it and with those of others in words."""
    names = {me.id: ""}
    for each in _list(content.get("mentions")):
        user = _object(each)
        if (found := snowflake(user.get("id"))) is not None:
            names.setdefault(found, "@" + _text(user.get("username"), NAME_LENGTH))
    text = _text(content.get("content"), TEXT_LENGTH)
    return re.sub(r"<@!?([0-9]{1,20})>", lambda m: names.get(m[1], m[0]), text).strip()


def _is_for(content: Mapping[str, Any], me: Me) -> bool:
    answered = _object(_object(content.get("referenced_message")).get("author"))
    named = (_object(each).get("id") for each in _list(content.get("mentions")))
    return me.id in named or answered.get("id") == me.id


def _name(content: Mapping[str, Any], author: Mapping[str, Any]) -> str:
    nick = _object(content.get("member")).get("nick")
    return _text(nick or author.get("global_name") or author.get("username"), NAME_LENGTH)


def _attachments(value: Any) -> Iterator[Attachment]:
    for each in _list(value)[:ATTACHMENTS]:
        found = _object(each)
        url, size = found.get("url"), found.get("size")
        if not isinstance(url, str) or len(url) > 2000:
            continue
        mime = _text(found.get("content_type"), NAME_LENGTH) or "application/octet-stream"
        yield Attachment(
            kind=_kind(mime),
            ref=url,
            name=_text(found.get("filename"), 255),
            mime=mime.partition(";")[0].strip(),
            size=size if isinstance(size, int) and size >= 0 else None,
        )


def _kind(mime: str) -> Literal["image", "audio", "video", "file"]:
    match mime.partition("/")[0]:
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
    return "file"


def _text(value: Any, longest: int) -> str:
    return value[:longest] if isinstance(value, str) else ""


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
