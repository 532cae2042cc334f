"""Everything between channels and agents, put together."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import attrs

from gateway.agents.catalog import Catalog
from gateway.agents.runs import Runs
from gateway.agents.sessions import Sessions
from gateway.agents.tools.approvals import Approvals
from gateway.bus import Bus
from gateway.channels.account import Account
from gateway.channels.base import Abilities, Place
from gateway.channels.base import Media as Outgoing
from gateway.channels.formatting import caption_fits, split
from gateway.channels.outbox import Draft
from gateway.channels.pool import Pool
from gateway.channels.post import Post
from gateway.config.bindings import Binding
from gateway.config.channels import Channels
from gateway.conversation.answering import Answering
from gateway.conversation.asking import Asking
from gateway.conversation.attachments import Attachments
from gateway.conversation.pairing import Pairings
from gateway.conversation.reception import Reception
from gateway.conversation.typed import Typed
from gateway.errors import InvalidParamError, UnavailableError
from gateway.storage.media import MediaFiles
from gateway.storage.store import Store
from gateway.web.hooks import Hooks
from supervisors import Child

SEND_WITHIN: Final = 900.0
"""Seconds after which a message is not sent any more.  Source: design, "State"."""


class Rules(Protocol):
    """What of the configuration counts here."""

    @property
    def channels(self) -> Channels:
        """The accounts."""

    @property
    def bindings(self) -> Mapping[str, Binding]:
        """Which agent is for whom."""


@attrs.define(eq=False)
class Office:
    """Channels, and the way from them to agents and back.

    Its supervisors are ``pool.supervisor`` and ``reception.supervisor``; the latter has to
    be up before the first.  *rules* returns the configuration in effect.  *pooling* are
    further arguments of `Pool`, for tests.
    """

    database: Store
    bus: Bus
    hooks: Hooks
    runs: Runs
    catalog: Catalog
    sessions: Sessions
    approvals: Approvals
    rules: Callable[[], Rules]
    media: MediaFiles
    post: Post = attrs.field(default=attrs.Factory(lambda self: Post(self.database), True))
    pooling: Mapping[str, Any] = attrs.field(factory=dict)
    pool: Pool = attrs.field(init=False)
    pairings: Pairings = attrs.field(init=False)
    reception: Reception = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        answering = Answering(
            self.runs,
            self.catalog,
            self.post,
            self.bus,
            lambda: self.rules().bindings,
            Attachments(self.media, self.post),
        )
        self.pairings = Pairings(self.post)
        typed = Typed(
            self.post,
            self.sessions,
            self.catalog,
            answering,
            self.pairings,
            self.approvals,
            answering.agent_for,
        )
        asking = Asking(self.post, self.bus, self._account, answering.owner_of)
        self.reception = Reception(
            self.post,
            answering,
            self._account,
            typed.run,
            [Child("approvals", asking.run)],
            self.media.clean,
        )
        self.pool = Pool(
            post=self.post,
            bus=self.bus,
            hooks=self.hooks,
            taken=self.reception.look_soon,
            drain=self.reception.wait_answered,
            initial=lambda: self.rules().channels,
            find=self._media,
            **self.pooling,
        )

    async def send(
        self,
        channel: str,
        chat: str,
        text: str,
        key: str,
        *,
        thread: str | None = None,
        media: str | None = None,
    ) -> None:
        """Have *text* sent within `SEND_WITHIN`; it is on the disk when this returns.

        *media* is the id of a stored file that goes with it, or alone.  The same *key* is
        sent once.  Raises `NotFoundError` for a channel or a file that does not exist,
        `UnavailableError` for a channel that has never run, ``invalid-params`` for a text
        in which nothing is to be seen, and ``overloaded``.
        """
        account = self.pool.get(channel)
        if account.abilities is None:
            raise UnavailableError(f"{channel} has not been started; see channels.status")
        if media is not None:
            await self.media.find(media)
        parts = _parts(text, media, account.abilities)
        if not parts:
            raise InvalidParamError("text", "must not be empty")
        expires, place = self.post.now() + SEND_WITHIN, Place(chat, thread)
        drafts = [
            Draft(account.id, place, part, f"{key}.{number}", expires, media=file)
            for number, (part, file) in enumerate(parts)
        ]
        await self.post.put(drafts)

    async def say(self, channel: str, chat: str, text: str, media: str | None = None) -> None:
        """Have *text* sent, as `send` does, also if the same was said before."""
        await self.send(channel, chat, text, f"say-{secrets.token_hex(12)}", media=media)

    async def _media(self, media_id: str) -> Outgoing:
        """Return a file to send; raises `NotFoundError`."""
        file = await self.media.find(media_id)
        return Outgoing(self.media.path(file), file.name or "file", file.mime, file.size)

    def _account(self, key: str) -> Account:
        return self.pool.get(key)


def _parts(text: str, media: str | None, abilities: Abilities) -> list[tuple[str, str | None]]:
    """Return the messages that *text* and a file are; a short text goes with the file."""
    parts: list[tuple[str, str | None]] = [(each, None) for each in split(text, abilities)]
    if media is None:
        return parts
    if len(parts) == 1 and caption_fits(parts[0][0], abilities):
        return [(parts[0][0], media)]
    return [("", media), *parts]
