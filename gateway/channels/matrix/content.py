"""What we send: contents of events.  Pure."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson

from gateway.channels.base import Outbound, UndeliverableError
from gateway.channels.formatting import clean
from gateway.channels.matrix.events import AUTOMATED
from gateway.protocol.digest import digest

CONTENT_BYTES: Final = 60_000
"""Largest content: an event has at most 65 536 bytes, and about 2 000 are the server's.
Source: spec, "Size limits"."""

Content = dict[str, Any]


def transaction(*words: str) -> str:
    """Return the id of a transaction: the same for the same *words*."""
    return digest(*words, length=40)


def text_content(message: Outbound, html: str | None, mentioned: Collection[str] = ()) -> Content:
    """Return a message of text; *html* is left out where it would be too long."""
    content = _text(clean(message.text), html)
    # Named or not: without this, words in the text would notify whoever has that name.
    content["m.mentions"] = {"user_ids": sorted(mentioned)} if mentioned else {}
    content |= _relation(message)
    return bounded(content)


def media_content(message: Outbound, uri: str, size: int, html: str | None = None) -> Content:
    """Return a file that was uploaded to *uri*; the text of the message is its caption."""
    assert message.media is not None
    name = clean(message.media.name)
    content = _text(clean(message.text), html) if message.text.strip() else {"body": name}
    content |= {
        "msgtype": kind_of(message.media.mime),
        "filename": name,
        "url": uri,
        "info": {"mimetype": message.media.mime, "size": size},
        "m.mentions": {},
        AUTOMATED: True,
    }
    content |= _relation(message)
    return bounded(content)


def edit_content(message_id: str, message: Outbound, html: str | None) -> Content:
    """Return what replaces the text of *message_id*.

    Who knows no edits sees the new text with a star before it.
    """
    new = _text(clean(message.text), html) | {"m.mentions": {}}
    content = {
        **_text(f"* {clean(message.text)}", None),
        "m.new_content": new,
        "m.mentions": {},
        "m.relates_to": {"rel_type": "m.replace", "event_id": message_id},
    }
    if _size(content) > CONTENT_BYTES:
        content["body"] = "* ..."
    if _size(content) > CONTENT_BYTES:
        content["m.new_content"] = without_html(new)
    return bounded(content)


def reaction_content(message_id: str, emoji: str) -> Content:
    """Return *emoji* as a reaction to *message_id*."""
    return {
        "m.relates_to": {"rel_type": "m.annotation", "event_id": message_id, "key": clean(emoji)}
    }


def bounded(content: Content) -> Content:
    """Return *content*, without HTML if it is too long; raises `UndeliverableError`."""
    if _size(content) > CONTENT_BYTES:
        content = without_html(content)
    if _size(content) > CONTENT_BYTES:
        raise UndeliverableError(f"the message has more than {CONTENT_BYTES} bytes")
    return content


def without_html(content: Mapping[str, Any]) -> Content:
    """Return *content* with its plain text only."""
    return {key: value for key, value in content.items() if not key.startswith("format")}


def kind_of(mime: str) -> str:
    """Return the ``msgtype`` of a file."""
    main = mime.partition("/")[0]
    return f"m.{main}" if main in ("image", "audio", "video") else "m.file"


def _text(body: str, html: str | None) -> Content:
    content: Content = {"msgtype": "m.text", "body": body, AUTOMATED: True}
    if html is not None:
        content |= {"format": "org.matrix.custom.html", "formatted_body": html}
    return content


def _relation(message: Outbound) -> Content:
    thread, reply_to = message.place.thread, message.reply_to
    if thread is None:
        return {"m.relates_to": {"m.in_reply_to": {"event_id": reply_to}}} if reply_to else {}
    return {
        "m.relates_to": {
            "rel_type": "m.thread",
            "event_id": thread,
            "is_falling_back": reply_to is None,
            "m.in_reply_to": {"event_id": reply_to or thread},
        }
    }


def _size(content: Mapping[str, Any]) -> int:
    return len(orjson.dumps(content))
