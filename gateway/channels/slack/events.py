"""What Slack's events say.  Pure; what is not as expected counts as absent."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from gateway.channels.base import Attachment, Inbound, Place, Sender, kind_of
from gateway.channels.reading import integer_at, object_at, objects_at, text_at
from gateway.channels.slack.markup import to_text

TAKEN_SUBTYPES: Final = frozenset({"", "file_share", "thread_broadcast"})
"""Messages that somebody wrote; the others are edits, joins, what bots say.
Source: message event, Message subtypes."""

TEXT_LENGTH: Final = 12_000
"""Characters that Slack lets people write."""

ATTACHMENTS: Final = 10
NAME_LENGTH: Final = 255

_ID: Final = re.compile(r"[A-Z0-9]{2,32}", re.ASCII)
_TS: Final = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}", re.ASCII)


@attrs.frozen
class Me:
    """The app in its workspace: *user* is who is mentioned, *bot* who speaks."""

    user: str
    bot: str
    name: str


def read_event(payload: Any, me: Me) -> Inbound | None:
    """Return the message in the payload of an ``event_callback``; `None` if it is not for us.

    A mention comes twice, as ``message`` and as ``app_mention``: both have the same id.
    """
    event = object_at(payload, "event")
    kind, channel, ts = text_at(event, "type"), text_at(event, "channel"), text_at(event, "ts")
    user = text_at(event, "user")
    if kind not in ("message", "app_mention") or not _ID.fullmatch(channel):
        return None
    if not _TS.fullmatch(ts) or not _ID.fullmatch(user) or user == me.user:
        return None
    if event.get("bot_id") or event.get("hidden") or not _is_taken(event):
        return None
    words = text_at(event, "text")[:TEXT_LENGTH]
    text, attachments = to_text(words, me.user), tuple(_attachments(event))
    if not text and not attachments:
        return None
    direct = text_at(event, "channel_type") == "im" or channel.startswith("D")
    parent = text_at(event, "thread_ts")
    thread = parent if _TS.fullmatch(parent) else None
    named = kind == "app_mention" or f"<@{me.user}" in words
    return Inbound(
        id=f"{channel}:{ts}",
        # In a channel an answer opens a thread, and the thread is the conversation.
        place=Place(channel, thread if direct else thread or ts),
        sender=Sender(user),
        text=text,
        at=float(ts),
        direct=direct,
        mentioned=named or text_at(event, "parent_user_id") == me.user,
        reply_to=f"{channel}:{thread}" if thread and thread != ts else None,
        attachments=attachments,
    )


def _is_taken(event: Mapping[str, Any]) -> bool:
    return event.get("subtype") is None or text_at(event, "subtype") in TAKEN_SUBTYPES - {""}


def _attachments(event: Mapping[str, Any]) -> Iterator[Attachment]:
    for file in objects_at(event, "files")[:ATTACHMENTS]:
        url = text_at(file, "url_private_download") or text_at(file, "url_private")
        if not url or len(url) > 2000:
            continue
        mime = text_at(file, "mimetype")[:NAME_LENGTH] or "application/octet-stream"
        yield Attachment(
            kind=kind_of(mime),
            ref=url,
            name=text_at(file, "name")[:NAME_LENGTH],
            mime=mime,
            size=integer_at(file, "size"),
        )
