"""Comes when invited, and leaves where it cannot read."""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

import attrs
import structlog
import trio

from gateway.channels.base import LostError, SlowDownError, UndeliverableError
from gateway.channels.matrix.bookmark import MOST_INVITES
from gateway.channels.matrix.calls import Calls
from gateway.channels.matrix.content import Content
from gateway.config.channels import Matrix as Settings

log = structlog.get_logger(__name__)

PAUSE_SECONDS: Final = 6.0
"""Between two rooms: ten a minute, however many want to have us."""

JOIN_SECONDS: Final = 60.0
"""A room of another server is joined by asking that one, which may be slow."""

ATTEMPTS: Final = 5
"""After which a room is given up: its server may be gone."""

UNREADABLE: Final = (
    "This room is encrypted, and I cannot read encrypted messages, so I leave it."
    " Please invite me to a room without encryption:"
    " it has to be switched off when the room is made."
)


def may_invite(settings: Settings, room: str, inviter: str) -> bool:
    """Whether anybody whom we may answer can be behind an invitation.

    With ``strangers = "ignore"`` those who are unknown get nothing, not even our presence.
    """
    known = {*settings.allow, *settings.owners}
    return settings.strangers != "ignore" or inviter in known or room in settings.groups


@attrs.define(eq=False)
class Door:
    """Joins the rooms in *invites*, and leaves those that are said to be encrypted."""

    settings: Settings
    calls: Calls
    invites: dict[str, str]
    """Rooms that we are to join, and who wants it; they are kept in the bookmark."""
    word: Callable[[], str] = lambda: uuid4().hex
    _suspected: set[str] = attrs.field(factory=set, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)

    def invite(self, room: str, inviter: str) -> None:
        """Join *room* soon, if *inviter* may have us there."""
        if not may_invite(self.settings, room, inviter):
            log.info("an invitation was not accepted", room=room, sender=inviter)
        elif len(self.invites) < MOST_INVITES:
            self.invites[room] = inviter
            self._news.set()

    def suspect(self, room: str) -> None:
        """Leave *room* soon if it is encrypted."""
        self._suspected.add(room)
        self._news.set()

    async def run(self) -> None:
        """Do so until cancelled."""
        while True:
            if not (self.invites or self._suspected):
                self._news = trio.Event()
                await self._news.wait()
            for room in tuple(self._suspected):
                await self._patiently(self._check, room)
                self._suspected.discard(room)
            for room in tuple(self.invites):
                await self._patiently(self._join, room)
                self.invites.pop(room, None)
                await trio.sleep(PAUSE_SECONDS)

    async def _patiently(self, step: Callable[[str], Awaitable[None]], room: str) -> None:
        """Take a step as often as it makes sense."""
        for attempt in range(ATTEMPTS):
            try:
                await step(room)
                return
            except SlowDownError as error:
                await trio.sleep(error.after)
            except LostError as error:
                log.info("a room was not reached", room=room, why=error.message)
                await trio.sleep(PAUSE_SECONDS * (attempt + 1))
            except UndeliverableError as error:
                log.info("a room was given up", room=room, why=error.message)
                return

    async def _join(self, room: str) -> None:
        await self.calls.call("POST", "join", room, json={}, seconds=JOIN_SECONDS)
        log.info("joined a room", room=room, sender=self.invites.get(room))
        await self._check(room)

    async def _check(self, room: str) -> None:
        """Leave an encrypted room, and say why."""
        try:
            await self.calls.call("GET", "rooms", room, "state", "m.room.encryption", "")
        except UndeliverableError:
            # There is no such state: everybody can be understood.
            return
        said: Content = {"msgtype": "m.notice", "body": UNREADABLE}
        await self.calls.put_event(room, "m.room.message", self.word(), said)
        await self.calls.call("POST", "rooms", room, "leave", json={})
        log.warning("left a room: it is encrypted", room=room)
