"""What the daemon tells: from an event to a message for the gateway.  Pure.

Source: the classes ``JsonMessageEnvelope`` and ``JsonDataMessage`` of signal-cli.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import attrs

from gateway.channels.base import Attachment, Inbound, Place, Sender, kind_of
from gateway.channels.reading import integer_at, object_at, objects_at, text_at

MENTION: Final = "\ufffc"
"""Stands in a text for somebody who is named."""

ATTACHMENTS: Final = 32
"""Files of one message that are looked at; Signal allows as many."""

MENTIONS: Final = 100
"""People named in one message that are looked at."""

_PERSON: Final = re.compile(
    r"\+[0-9]{3,20}|(?:PNI:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|u:.+", re.IGNORECASE
)


def is_person(chat: str) -> bool:
    """Whether *chat* is a number, an account id or a user name; else it is a group."""
    return _PERSON.fullmatch(chat) is not None


@attrs.frozen
class Reference:
    """A message of Signal: who wrote it, and when he says that he did (milliseconds)."""

    author: str
    timestamp: int

    @property
    def id(self) -> str:
        """What stands for it; unique, because nobody sends two messages at one time."""
        return f"{self.author}/{self.timestamp}"

    @classmethod
    def parse(cls, written: str) -> "Reference | None":
        """Return what *written*, an `id`, says; `None` if it is none."""
        author, _, timestamp = written.rpartition("/")
        if not author or not re.fullmatch(r"[0-9]{1,15}", timestamp):
            return None
        return cls(author, int(timestamp))


@attrs.define(eq=False)
class Reader:
    """Understands what comes for *number*; *own* is what we are called, as far as known."""

    number: str
    own: set[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.own = {self.number}

    def understand(self, event: Any) -> Inbound | None:
        """Return the message in an event; `None` if it is none for us to answer."""
        account = text_at(event, "account")
        envelope = object_at(event, "envelope")
        if account and account != self.number and account not in self.own:
            return None
        if self._is_ours(envelope):
            return None
        content = object_at(envelope, "dataMessage")
        author = text_at(envelope, "sourceUuid") or text_at(envelope, "source")
        timestamp = integer_at(content, "timestamp") or integer_at(envelope, "timestamp")
        # `sender` in a group update, a reaction, a deletion: there is nothing to answer.
        if not is_person(author) or not timestamp or "remoteDelete" in content:
            return None
        group = text_at(content, "groupInfo", "groupId")
        text, named = self._text(content)
        attachments = tuple(_attachments(content, group or author))
        if not (text or attachments) or "reaction" in content:
            return None
        quoted = self._quoted(content)
        return Inbound(
            id=Reference(author, timestamp).id,
            place=Place(group or author),
            sender=Sender(author, text_at(envelope, "sourceName")),
            text=text,
            at=timestamp / 1000,
            direct=not group,
            mentioned=named or not group or (quoted is not None and quoted.author in self.own),
            reply_to=None if quoted is None else quoted.id,
            attachments=attachments,
        )

    def _is_ours(self, envelope: Any) -> bool:
        """Whether it comes from ourselves, on this or another device."""
        names = {text_at(envelope, key) for key in ("source", "sourceNumber", "sourceUuid")}
        names.discard("")
        if names & self.own:
            # So we learn what else we are called.
            self.own |= names
            return True
        return not names

    def _text(self, content: Any) -> tuple[str, bool]:
        """Return the text with names where people are named, and whether we are."""
        # Positions count UTF-16 units.
        text = text_at(content, "message").encode("utf-16-le", "surrogatepass")
        named = False
        places: dict[int, tuple[int, str]] = {}
        for each in objects_at(content, "mentions")[:MENTIONS]:
            start, length = integer_at(each, "start"), integer_at(each, "length")
            names = [text_at(each, key) for key in ("name", "number", "uuid")]
            if start is None or length is None or start < 0 or length < 1:
                continue
            ours = bool(self.own.intersection(names))
            named = named or ours
            shown = "" if ours else f"@{next(filter(None, names), 'somebody')}"
            places.setdefault(2 * start, (2 * (start + length), shown))
        shown_text = b"".join(_with_names(text, places)).decode("utf-16-le", "replace")
        return shown_text.replace(MENTION, "").strip(), named

    @staticmethod
    def _quoted(content: Any) -> Reference | None:
        timestamp = integer_at(content, "quote", "id")
        names = ("authorUuid", "authorNumber", "author")
        author = next(filter(None, (text_at(content, "quote", name) for name in names)), "")
        number = text_at(content, "quote", "authorNumber")
        return Reference(author or number, timestamp) if author and timestamp else None


def _with_names(text: bytes, places: dict[int, tuple[int, str]]) -> Iterator[bytes]:
    """Yield *text* with names put in; *places* are in bytes, and may be wrong."""
    place = 0
    for start, (end, shown) in sorted(places.items()):
        if place <= start and end <= len(text):
            yield text[place:start]
            yield shown.encode("utf-16-le", "replace")
            place = end
    yield text[place:]


def _attachments(content: Any, chat: str) -> Iterator[Attachment]:
    for each in objects_at(content, "attachments")[:ATTACHMENTS]:
        name = text_at(each, "id")
        if not name or len(name) > 200 or not name.isprintable():
            continue
        mime = text_at(each, "contentType") or "application/octet-stream"
        size = integer_at(each, "size")
        yield Attachment(
            kind=kind_of(mime),
            # The chat: the daemon wants to know from where it is.
            ref=f"{chat} {name}",
            name=text_at(each, "filename"),
            mime=mime,
            size=size if size is not None and size >= 0 else None,
        )
