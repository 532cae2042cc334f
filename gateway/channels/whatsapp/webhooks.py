"""What Meta posts: who may, and what it says.  Pure."""

import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.channels.base import Attachment, Inbound, Kind, Place, Sender
from gateway.channels.reading import integer_at, object_at, objects_at, text_at

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_.-]{1,256}")
"""What is sent back; Meta's are numbers."""

_TIME: Final = re.compile(r"[0-9]{1,12}")

_FILES: Final[dict[str, tuple[Kind, str]]] = {
    "image": ("image", "image.jpg"),
    "sticker": ("image", "sticker.webp"),
    "audio": ("audio", "audio.ogg"),
    "video": ("video", "video.mp4"),
    "document": ("file", "document"),
}
"""Types of messages that are files: what they are, and a name if they have none."""

_NOTHING: Final = ("reaction", "system")
"""Types that nobody has to answer."""


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Whether *signature* (``sha256=...``) is that of the bytes as they came.

    Of the bytes: Meta escapes characters in its own way, and JSON that was read and
    written again has another signature.
    """
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(signature.encode(), f"sha256={expected}".encode())


def challenge(query: Any, secret: str) -> str | None:
    """Return what proves to Meta that this is our address; `None` if it does not ask so."""
    shown, asked = text_at(query, "hub.verify_token"), text_at(query, "hub.challenge")
    verified = hmac.compare_digest(shown.encode(), secret.encode())
    if not verified or text_at(query, "hub.mode") != "subscribe":
        return None
    return asked if _CHALLENGE.fullmatch(asked) else None


def values(post: Any, number: str) -> Iterator[dict[str, Any]]:
    """Yield what a post says of our *number*; one app may have several."""
    for entry in objects_at(post, "entry"):
        for change in objects_at(entry, "changes"):
            value = object_at(change, "value")
            ours = text_at(value, "metadata", "phone_number_id") == number
            if text_at(change, "field") == "messages" and ours:
                yield value


def read_messages(value: Any) -> Iterator[Inbound]:
    """Yield the messages in a value of `values`; ids are Meta's."""
    names = {
        text_at(contact, field): text_at(contact, "profile", "name")
        for contact in objects_at(value, "contacts")
        for field in ("wa_id", "user_id")
    }
    for message in objects_at(value, "messages"):
        if found := _read(message, names):
            yield found


def failures(value: Any) -> Iterator[tuple[str, int | None, str]]:
    """Yield messages of ours that failed after they were taken: id, code and words.

    Other statuses come in any order and say nothing that is needed.
    """
    for status in objects_at(value, "statuses"):
        if text_at(status, "status") == "failed":
            error = next(iter(objects_at(status, "errors")), {})
            said = text_at(error, "error_data", "details") or text_at(error, "title")
            yield text_at(status, "id"), integer_at(error, "code"), said


def _read(message: dict[str, Any], names: dict[str, str]) -> Inbound | None:
    number, kind = text_at(message, "id"), text_at(message, "type")
    # Who hides his telephone number has only the other id.
    sender = text_at(message, "from") or text_at(message, "from_user_id")
    if not number or not sender or not kind or kind in _NOTHING:
        return None
    if "group_id" in message:
        # An answer to the sender alone would be to another question.
        return None
    files = tuple(_attachments(message, kind))
    text = _text(message, kind) or ("" if files else f"[{kind[:40]}]")
    stamp = text_at(message, "timestamp")
    return Inbound(
        id=number,
        place=Place(sender),
        sender=Sender(sender, names.get(sender, "")),
        text=text,
        at=float(stamp) if _TIME.fullmatch(stamp) else 0.0,
        reply_to=text_at(message, "context", "id") or None,
        attachments=files,
    )


def _text(message: dict[str, Any], kind: str) -> str:
    match kind:
        case "text":
            return text_at(message, "text", "body")
        case "button":
            return text_at(message, "button", "text")
        case "interactive":
            chosen = object_at(message, "interactive")
            reply = object_at(chosen, "button_reply") or object_at(chosen, "list_reply")
            return text_at(reply, "title")
        case _:
            return text_at(message, kind, "caption")


def _attachments(message: dict[str, Any], kind: str) -> Iterator[Attachment]:
    found = object_at(message, kind)
    if kind not in _FILES or not (ref := text_at(found, "id")):
        return
    what, name = _FILES[kind]
    yield Attachment(
        kind=what,
        ref=ref,
        name=text_at(found, "filename") or name,
        mime=text_at(found, "mime_type") or "application/octet-stream",
    )
