"""What Discord's messages say, and how ours are written.  Pure.

Everything here takes whatever JSON there is: what is not as expected counts as absent.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from gateway.channels.base import Attachment, Inbound, Outbound, Place, Sender, kind_of
from gateway.channels.formatting import units
from gateway.channels.reading import integer_at, object_at, objects_at, text_at

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
    return None if found is None else Me(found, text_at(user, "username")[:NAME_LENGTH])


def read_message(content: Mapping[str, Any], me: Me) -> Inbound | None:
    """Return the message of a ``MESSAGE_CREATE``, in its channel; `None` if it is not for us.

    That is one of a program (a bot, a webhook, ourselves), about something else than what
    somebody wrote, empty, or damaged.
    """
    author = object_at(content, "author")
    message_id, channel = snowflake(content.get("id")), snowflake(content.get("channel_id"))
    sender = snowflake(author.get("id"))
    if message_id is None or channel is None or sender is None or sender == me.id:
        return None
    if author.get("bot") or author.get("system") or content.get("webhook_id") is not None:
        return None
    kind = content.get("type", 0)
    if not isinstance(kind, int) or kind not in TAKEN_TYPES:
        return None
    text, attachments = _words(content, me), tuple(_attachments(content))
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
        reply_to=snowflake(text_at(content, "message_reference", "message_id")),
        attachments=attachments,
    )


def read_threads(content: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield channels of a guild or thread event: id, and the parent of a thread."""
    for channel in (content, *objects_at(content, "threads"), *objects_at(content, "channels")):
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


def nonce(key: str) -> str:
    """Return 24 characters that stand for *key*; Discord takes 25.  Source: Create Message."""
    return base64.b32encode(hashlib.sha256(key.encode()).digest()[:15]).decode()


# -- parts ------------------------------------------------------------------------------


def _words(content: Mapping[str, Any], me: Me) -> str:
    """Return the text, without our name in it and with those of others in words."""
    names = {me.id: ""}
    for user in objects_at(content, "mentions"):
        if (found := snowflake(user.get("id"))) is not None:
            names.setdefault(found, "@" + text_at(user, "username")[:NAME_LENGTH])
    text = text_at(content, "content")[:TEXT_LENGTH]
    return re.sub(r"<@!?([0-9]{1,20})>", lambda m: names.get(m[1], m[0]), text).strip()


def _is_for(content: Mapping[str, Any], me: Me) -> bool:
    answered = text_at(content, "referenced_message", "author", "id")
    return me.id == answered or any(
        text_at(each, "id") == me.id for each in objects_at(content, "mentions")
    )


def _name(content: Mapping[str, Any], author: Mapping[str, Any]) -> str:
    nick = text_at(content, "member", "nick")
    return (nick or text_at(author, "global_name") or text_at(author, "username"))[:NAME_LENGTH]


def _attachments(content: Mapping[str, Any]) -> Iterator[Attachment]:
    for found in objects_at(content, "attachments")[:ATTACHMENTS]:
        url, size = text_at(found, "url"), integer_at(found, "size")
        if not url or len(url) > 2000:
            continue
        mime = text_at(found, "content_type")[:NAME_LENGTH] or "application/octet-stream"
        yield Attachment(
            kind=kind_of(mime),
            ref=url,
            name=text_at(found, "filename")[:255],
            mime=mime.partition(";")[0].strip(),
            size=None if size is None or size < 0 else size,
        )
