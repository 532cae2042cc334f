"""What a platform's module is, and what it is given: `Channel` and `Link`.

A channel is made for one incarnation of its account's child and thrown away with it.  What
has to outlive that (where to go on reading) is the link's *cursor*.
"""

import errno
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import attrs
import trio

from gateway.errors import GatewayError
from gateway.storage.files import read_confined
from gateway.web.hooks import Receive

# -- what comes and goes ----------------------------------------------------------------


@attrs.frozen
class Place:
    """Where a message is: a chat, and a thread in it on platforms that have them."""

    chat: str
    thread: str | None = None


@attrs.frozen
class Sender:
    """Who wrote a message: a stable *id* that is his alone, and a *name* that is not."""

    id: str
    name: str = ""


Kind = Literal["image", "audio", "video", "file"]
"""What a file is to people."""

_KINDS: Final[Mapping[str, Kind]] = {"image": "image", "audio": "audio", "video": "video"}


def kind_of(mime: str) -> Kind:
    """Return what a file of a MIME type is, which the far end may have made up."""
    return _KINDS.get(mime.partition("/")[0], "file")


@attrs.frozen
class Attachment:
    """A file in a message.  *ref* is what the channel needs to fetch it; *size* in bytes."""

    kind: Kind
    ref: str
    name: str = ""
    mime: str = "application/octet-stream"
    size: int | None = None


@attrs.frozen
class Inbound:
    """A message from a person.  *id* is unique in the account; *at* is Unix time.

    *direct*: nobody else reads the chat.  *mentioned*: in a group, it names us or answers
    us; the name itself need not be in *text* any more.  *reply_to* is a message's id.
    """

    id: str
    place: Place
    sender: Sender
    text: str
    at: float
    direct: bool = True
    mentioned: bool = False
    reply_to: str | None = None
    attachments: tuple[Attachment, ...] = ()


@attrs.frozen
class Media:
    """A file to send: *path* is inside the media directory.  *size* in bytes, if known."""

    path: Path
    name: str
    mime: str
    size: int | None = None

    async def read(self, limit: int) -> bytes:
        """Return what is in it; raises `UndeliverableError`, also beyond *limit* bytes.

        Follows no symbolic links: what is sent is what was stored.
        """
        try:
            return await trio.to_thread.run_sync(read_confined, self.path, limit)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise UndeliverableError(f"files may have {limit} bytes") from None
            reason = (error.strerror or "it cannot be read").lower()
            raise UndeliverableError(f"the file is not there any more: {reason}") from None


@attrs.frozen
class Outbound:
    """One message to send, of a length that the platform takes.

    *text* is Markdown if *markup*, to be rendered as the platform can; else it is sent as
    it is.  *key* is the same whenever the same message is tried again.
    """

    place: Place
    text: str
    key: str
    markup: bool = True
    reply_to: str | None = None
    media: Media | None = None


@attrs.frozen
class Abilities:
    """What a platform can do.  A message may have *length* times *unit*.

    *lines*: a message is one line.  *edits*: a message can be replaced.  *drafts*: a text
    can be shown in direct chats before it is sent.  *idempotent*: of two sends with one
    key only one arrives.  *edit_seconds*: least time between two edits or drafts.
    *typing_seconds*: how long a sign of typing lasts, 0 if there is none.  *media_bytes*:
    largest file that can be sent, 0 for none.
    """

    length: int
    unit: Literal["utf-16", "bytes", "characters"] = "characters"
    lines: bool = False
    edits: bool = False
    drafts: bool = False
    idempotent: bool = False
    reactions: bool = False
    edit_seconds: float = 1.0
    typing_seconds: float = 0.0
    media_bytes: int = 0


@attrs.frozen
class Probe:
    """What a platform says when asked: who we are there."""

    identity: str


# -- what may go wrong ------------------------------------------------------------------


class ChannelError(GatewayError):
    """The platform did not do what was asked; the message is for operators, without secrets."""

    def __init__(self, message: str, **data: object) -> None:
        super().__init__("unavailable", message, **data)


class LostError(ChannelError):
    """The connection failed: another attempt may succeed.

    *maybe_done*: what was asked may have been done nevertheless.
    """

    def __init__(self, message: str, *, maybe_done: bool = False) -> None:
        super().__init__(message)
        self.maybe_done = maybe_done


class StalledError(LostError):
    """The connection seems fine, and nothing comes: a black hole, a half-open socket."""

    def __init__(self, message: str) -> None:
        super().__init__(message, maybe_done=True)


class RefusedForGoodError(ChannelError):
    """The account will not work until somebody changes something; the message says what."""


class SlowDownError(ChannelError):
    """The platform wants *after* seconds without further requests: for the chat, or for all."""

    def __init__(self, after: float, scope: Literal["chat", "account"] = "chat") -> None:
        super().__init__(f"wants us to wait {after:g} s", retryAfterMs=round(after * 1000))
        self.after = after
        self.scope = scope


class UndeliverableError(ChannelError):
    """This message will never be taken: the chat is gone, we are blocked, it is too long."""


class MarkupError(UndeliverableError):
    """The platform does not take the formatting; plain text it may take."""


# -- the two sides ----------------------------------------------------------------------


class Link(Protocol):
    """The gateway as a channel sees it."""

    @property
    def cursor(self) -> str | None:
        """What the last `accept` has stored: where to go on; `None` the first time."""

    async def accept(self, *messages: Inbound, cursor: str | None = None) -> None:
        """Take messages, and remember *cursor*; returns when both are on the disk.

        Acknowledge them to the platform after this and not before.  A message whose id
        was taken before is dropped.  While the account stops it does not return, so that
        nothing more is acknowledged.  Raises `UnavailableError` if it was not stored.
        """

    def connected(self, identity: str) -> None:
        """Say that we are logged in, as *identity*, and can send; implies `alive`."""

    def alive(self) -> None:
        """Say that the platform has just shown a sign of life.

        A completed poll, an acknowledged heartbeat: never because time has passed.
        """

    def receive_hook(self, receive: Receive) -> AbstractContextManager[None]:
        """Have *receive* take what is posted to ``/hooks/PLATFORM/ACCOUNT`` in the body."""


class Channel:
    """One account on one platform.  A platform's class replaces what it can do.

    Everything may be called by several tasks at once, and be cancelled at any time.
    Errors are those above; anything else is a bug and restarts the channel.
    """

    abilities: Abilities

    async def run(self, link: Link) -> None:
        """Connect, then receive until cancelled; does not return.

        Raises `LostError` for everything that a new connection may mend: it is made anew
        by the supervisor, after a wait.  Raises `RefusedForGoodError` where trying again
        is of no use.  Calls ``link.connected`` when messages can be sent, and
        ``link.alive`` at least every 30 s while all is well.
        """
        raise NotImplementedError

    async def send(self, message: Outbound) -> str:
        """Send a message and return the platform's id of it; called only when connected.

        Takes at most `SEND_SECONDS`.
        """
        raise NotImplementedError

    async def edit(self, place: Place, message_id: str, message: Outbound) -> None:
        """Replace the text of a message that was sent; only with ``abilities.edits``."""
        raise NotImplementedError

    async def draft(self, place: Place, key: str, text: str) -> None:
        """Show a text that is not finished; only with ``abilities.drafts``."""
        raise NotImplementedError

    async def typing(self, place: Place, *, on: bool) -> None:
        """Show that an answer is on its way, or (where that is possible) that it is not."""

    async def react(self, place: Place, message_id: str, emoji: str) -> None:
        """Put *emoji* to a message; only with ``abilities.reactions``."""

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """Return what is in an attachment; raises ``too-large`` beyond *limit* bytes."""
        raise UndeliverableError(f"no {attachment.kind} of up to {limit} bytes: nothing is fetched")

    async def probe(self) -> Probe:
        """Ask the platform something cheap that proves that the account works."""
        raise NotImplementedError


Make = Callable[[Any], Channel]
"""Makes a channel from the settings of its account; connects nothing yet."""

Work = Callable[[], Awaitable[object]]

SEND_SECONDS: Final = 10.0
"""Longest that one send, edit or fetch of a piece may take.  One that is under way when the
account stops goes on for a while, because cut off nobody knows whether it arrived."""
