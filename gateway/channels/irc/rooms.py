"""The channels that we want to be in, and when to try again to get in.

Being thrown out is a hint: we come back later each time, and in the end not at all.
"""

from collections.abc import Iterable
from typing import Final

import attrs
import structlog
import trio

from gateway.channels.irc.login import Session
from supervisors import Backoff

log = structlog.get_logger(__name__)

AGAIN: Final = Backoff(first=5.0, factor=2.0, limit=300.0)
"""Waits before joining again."""

ATTEMPTS: Final = 8
"""Times that we come back, over a quarter of an hour; then not until the next connection."""

SETTLED: Final = 600.0
"""Seconds in a channel after which what was before is forgotten."""

TOGETHER: Final = 10
"""Channels in one JOIN: fit into a line, and no server takes fewer targets."""


@attrs.define(eq=False)
class Room:
    """A channel.  Times are on Trio's clock."""

    name: str
    due: float | None = 0.0
    """When to join; `None` if that is not wanted."""
    entered: float | None = None
    """Since when we are in it."""
    failures: int = 0


@attrs.define(eq=False)
class Rooms:
    """All channels that are wanted, as *session* compares names."""

    session: Session
    wanted: Iterable[str]
    _rooms: dict[str, Room] = attrs.field(factory=dict, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._rooms = {self.session.fold(name): Room(name) for name in self.wanted}

    def take_due(self) -> list[str]:
        """Return the channels to join now, at most `TOGETHER`; they are no longer due."""
        now = trio.current_time()
        due = [each for each in self._rooms.values() if each.due is not None and each.due <= now]
        for room in due[:TOGETHER]:
            room.due = None
        return [room.name for room in due[:TOGETHER]]

    async def wait_due(self) -> None:
        """Return when there may be a channel to join."""
        self._changed = trio.Event()
        dues = [each.due for each in self._rooms.values() if each.due is not None]
        with trio.move_on_at(min(dues, default=float("inf"))):
            await self._changed.wait()

    def entered(self, name: str) -> None:
        """Note that we are in a channel."""
        if room := self._find(name):
            room.entered, room.due = trio.current_time(), None
            log.info("joined a channel", channel=room.name)

    def refused(self, name: str, why: str) -> None:
        """Note that we are not let in; the same is said of messages, then it means nothing."""
        room = self._find(name)
        if room is not None and room.entered is None and room.due is None:
            self._leave(room, why)

    def left(self, name: str, why: str) -> None:
        """Note that we are in it no longer."""
        room = self._find(name)
        if room is not None and room.entered is not None:
            self._leave(room, why)

    def _leave(self, room: Room, why: str) -> None:
        if room.entered is not None and trio.current_time() - room.entered >= SETTLED:
            room.failures = 0
        room.entered, room.failures = None, room.failures + 1
        if room.failures > ATTEMPTS:
            room.due = None
            log.error("not in a channel, and giving up", channel=room.name, why=why)
            return
        wait = AGAIN.delay(room.failures, 0.0)
        room.due = trio.current_time() + wait
        log.warning("not in a channel", channel=room.name, why=why, again_in=wait)
        self._changed.set()

    def is_coming(self, name: str) -> bool:
        """Whether we are not in a channel, and are going to try."""
        room = self._find(name)
        return room is not None and room.entered is None and room.failures <= ATTEMPTS

    def _find(self, name: str) -> Room | None:
        return self._rooms.get(self.session.fold(name))
