"""What a homeserver sends, read without trusting a word of it.  Pure.

What is malformed is passed over: one event that nobody can read must not stop the others.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from gateway.channels.base import Attachment, Kind
from gateway.channels.reading import integer_at, object_at, objects_at, text_at

LONGEST_ID: Final = 255
"""Bytes of an id.  Source: spec, appendices, "Common Identifier Format"."""

AUTOMATED: Final = "dev.gateway.automated"
"""In the content of what we send.  Two gateways in one room must not talk for ever; that is
what ``m.notice`` is for, but clients notify nobody of those."""

MEDIA: Final = re.compile(r"mxc://([\w.:\[\]-]{1,255})/([\w-]{1,255})", re.ASCII)
"""Where a file is: server and id.  Source: spec, "Matrix Content (mxc://) URIs"."""

QUOTED: Final = re.compile(r"> (?:\* )?<@[^\n]*\n(?:>[^\n]*\n)*\n?")
"""The message that is answered, before the answer.  Clients did that until v1.13."""

LATEST: Final = 10**13
"""Milliseconds since 1970 up to the year 2286; later is no time."""

FILES: Final[Mapping[str, Kind]] = {
    "m.image": "image",
    "m.audio": "audio",
    "m.video": "video",
    "m.file": "file",
}


@attrs.frozen
class Event:
    """An event in a room.  *at* is Unix time; *key* is its state key, if it has one."""

    id: str
    type: str
    sender: str
    at: float
    content: Mapping[str, Any]
    key: str | None = None
    before: str = ""
    """Of a member: the membership until then, if that is told."""

    @property
    def membership(self) -> str:
        """Of a member: ``invite``, ``join``, ``leave`` ..."""
        return text_at(self.content, "membership")

    def is_entry(self, user: str) -> bool:
        """Whether *user* comes in with it, and does not only change his name."""
        return (
            self.type == "m.room.member"
            and self.key == user
            and (self.membership in ("invite", "join"))
            and self.before != "join"
        )


@attrs.frozen
class Room:
    """News of a room that we are in.

    *limited*: there are events before *timeline*, to be asked for by *earlier*.
    *recounted*: there may be other members than before.
    """

    id: str
    timeline: tuple[Event, ...]
    limited: bool
    earlier: str
    recounted: bool
    encrypted: bool


@attrs.frozen
class News:
    """One answer to a poll.  *invites* are rooms, and who invites us."""

    next: str
    rooms: tuple[Room, ...]
    invites: Mapping[str, str]
    left: frozenset[str]


@attrs.frozen
class Said:
    """What a message says.  *automated*: a program says it."""

    text: str
    attachments: tuple[Attachment, ...] = ()
    thread: str | None = None
    reply_to: str | None = None
    mentions: frozenset[str] = frozenset()
    automated: bool = False


def is_id(text: str, sigil: str) -> bool:
    """Whether *text* can be the id of something whose ids begin with *sigil*."""
    return text.startswith(sigil) and 1 < len(text) <= LONGEST_ID


def read_news(found: Any, user: str) -> News | None:
    """Return what a reply to ``/sync`` says to *user*; `None` if it is no such reply."""
    position = text_at(found, "next_batch")
    if not position:
        return None
    joined = object_at(found, "rooms", "join")
    return News(
        position,
        tuple(_room(room, news) for room, news in joined.items() if is_id(room, "!")),
        dict(_invites(object_at(found, "rooms", "invite"), user)),
        frozenset(object_at(found, "rooms", "leave")),
    )


def _room(room_id: str, found: Any) -> Room:
    timeline = tuple(read_events(objects_at(found, "timeline", "events")))
    state = tuple(read_events(objects_at(found, "state", "events")))
    types = {each.type for each in (*timeline, *state)}
    limited = object_at(found, "timeline").get("limited") is True
    return Room(
        room_id,
        timeline,
        limited,
        text_at(found, "timeline", "prev_batch"),
        # Members are not all told (lazy loading), but if their number changes that is.
        recounted=limited or "m.room.member" in types or bool(object_at(found, "summary")),
        encrypted=bool(types & {"m.room.encryption", "m.room.encrypted"}),
    )


def _invites(found: Mapping[str, Any], user: str) -> Iterator[tuple[str, str]]:
    for room, invite in found.items():
        for event in objects_at(invite, "invite_state", "events"):
            ours = text_at(event, "type") == "m.room.member" and event.get("state_key") == user
            if ours and is_id(room, "!") and is_id(text_at(event, "sender"), "@"):
                yield room, text_at(event, "sender")


def read_events(found: list[dict[str, Any]]) -> Iterator[Event]:
    """Yield the events in *found*, without those that lack what every event has."""
    for each in found:
        event_id, sender = text_at(each, "event_id"), text_at(each, "sender")
        if is_id(event_id, "$") and is_id(sender, "@"):
            at = integer_at(each, "origin_server_ts") or 0
            yield Event(
                event_id,
                text_at(each, "type"),
                sender,
                at / 1000 if 0 <= at <= LATEST else 0.0,
                object_at(each, "content"),
                each["state_key"] if isinstance(each.get("state_key"), str) else None,
                text_at(each, "unsigned", "prev_content", "membership"),
            )


def read_message(event: Event) -> Said | None:
    """Return what a message says; `None` if it is none, or only an edit, or a program's."""
    content = event.content
    kind = text_at(content, "msgtype")
    relation = text_at(content, "m.relates_to", "rel_type")
    if event.type != "m.room.message" or event.key is not None or relation == "m.replace":
        return None
    body = text_at(content, "body")
    file = _file(content, kind)
    if kind in FILES and file is None:
        return None
    if kind not in ("m.text", "m.emote", *FILES):
        return None
    reply_to = _related(content, "m.in_reply_to", "event_id")
    if reply_to:
        body = QUOTED.sub("", body, count=1) if QUOTED.match(body) else body
    if file is not None and text_at(content, "filename") in ("", body):
        # Without a caption the body is the name of the file.
        body = ""
    return Said(
        body,
        (file,) if file else (),
        thread=_related(content, "event_id") if relation == "m.thread" else None,
        # In a thread clients name the message before, for those who know no threads.
        reply_to=None if _is_fallback(content) else reply_to,
        mentions=_mentions(content),
        automated=AUTOMATED in content,
    )


def _file(content: Mapping[str, Any], kind: str) -> Attachment | None:
    found = MEDIA.fullmatch(text_at(content, "url"))
    if kind not in FILES or not found:
        return None
    size = integer_at(content, "info", "size")
    return Attachment(
        FILES[kind],
        found[0],
        name=(text_at(content, "filename") or text_at(content, "body"))[:LONGEST_ID],
        mime=text_at(content, "info", "mimetype")[:LONGEST_ID] or "application/octet-stream",
        size=size if size is not None and size >= 0 else None,
    )


def _related(content: Mapping[str, Any], *path: str) -> str | None:
    found = text_at(content, "m.relates_to", *path)
    return found if is_id(found, "$") else None


def _is_fallback(content: Mapping[str, Any]) -> bool:
    return object_at(content, "m.relates_to").get("is_falling_back") is True


def _mentions(content: Mapping[str, Any]) -> frozenset[str]:
    found = object_at(content, "m.mentions").get("user_ids")
    listed = found if isinstance(found, list) else []
    return frozenset(each for each in listed if isinstance(each, str))
