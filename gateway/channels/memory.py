"""A platform in memory: what a channel is, in the fewest lines, and a double for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import trio

from gateway.channels.base import (
    Abilities,
    Attachment,
    Channel,
    Inbound,
    Link,
    Outbound,
    Place,
    Probe,
)
from gateway.errors import GatewayError
from gateway.web.hooks import Hooks, Receive

POLL_SECONDS = 20.0
"""Longest wait for a message; each turn is a sign of life."""


@attrs.define(eq=False)
class Platform:
    """The far end.  *faults* are raised instead of the next answers, first come first served.

    *deaf* makes it swallow everything in silence, like a black hole.
    """

    waiting: list[Inbound] = attrs.field(factory=list)
    """Messages that have not been acknowledged: they are given out again and again."""
    sent: list[Outbound] = attrs.field(factory=list)
    edited: list[tuple[Place, str, str]] = attrs.field(factory=list)
    typing: list[tuple[Place, bool]] = attrs.field(factory=list)
    files: dict[str, bytes] = attrs.field(factory=dict)
    given: list[str] = attrs.field(factory=list)
    """References of the files that were fetched."""
    reactions: list[tuple[Place, str, str]] = attrs.field(factory=list)
    faults: list[Exception] = attrs.field(factory=list)
    deaf: bool = False
    poll_seconds: float = POLL_SECONDS
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)

    def say(self, *messages: Inbound) -> None:
        """Have people write *messages*."""
        self.waiting += messages
        self.wake()

    def wake(self) -> None:
        """Have whoever polls look again."""
        self._news.set()

    async def greet(self) -> None:
        """Answer."""
        await self._answer()

    async def poll(self) -> tuple[Inbound, ...]:
        """Return what has not been acknowledged, at the latest after *poll_seconds*."""
        await self._answer()
        with trio.move_on_after(self.poll_seconds):
            while not self.waiting:
                self._news = trio.Event()
                await self._news.wait()
        await self._answer()
        return tuple(self.waiting)

    async def take(self, message: Outbound) -> str:
        """Take a message and return its id."""
        await self._answer()
        self.sent.append(message)
        return f"out-{len(self.sent)}"

    async def give(self, ref: str) -> bytes:
        """Return a file."""
        await self._answer()
        self.given.append(ref)
        return self.files.get(ref, ref.encode())

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.deaf:
            await trio.sleep_forever()
        if self.faults:
            raise self.faults.pop(0)


@attrs.define(eq=False)
class MemoryChannel(Channel):
    """An account on a `Platform`."""

    platform: Platform
    abilities: Abilities = attrs.field(factory=lambda: Abilities(length=4096))

    async def run(self, link: Link) -> None:
        """Poll, take, acknowledge."""
        # Not before the far end has answered: until then nobody knows.
        await self.platform.greet()
        link.connected("memory")
        while True:
            messages = await self.platform.poll()
            await link.accept(*messages)
            # Acknowledged after it is on the disk.
            self.platform.waiting = [each for each in self.platform.waiting if each not in messages]

    async def send(self, message: Outbound) -> str:
        """Send a message."""
        return await self.platform.take(message)

    async def edit(self, place: Place, message_id: str, message: Outbound) -> None:
        """Replace a message."""
        await trio.lowlevel.checkpoint()
        self.platform.edited.append((place, message_id, message.text))

    async def typing(self, place: Place, *, on: bool) -> None:
        """Note whether somebody types."""
        await trio.lowlevel.checkpoint()
        self.platform.typing.append((place, on))

    async def react(self, place: Place, message_id: str, emoji: str) -> None:
        """Note a reaction."""
        await trio.lowlevel.checkpoint()
        self.platform.reactions.append((place, message_id, emoji))

    async def fetch(self, attachment: Attachment, limit: int) -> bytes:
        """Return the reference itself, or what the platform has under it."""
        content = await self.platform.give(attachment.ref)
        if len(content) > limit:
            raise GatewayError("too-large", f"{len(content)} bytes, at most {limit}")
        return content

    async def probe(self) -> Probe:
        """Say that all is well."""
        await trio.lowlevel.checkpoint()
        return Probe("memory")


@attrs.define(eq=False)
class MemoryLink:
    """A `gateway.channels.base.Link` that only remembers, for tests of one channel."""

    cursor: str | None = None
    accepted: list[Inbound] = attrs.field(factory=list)
    identities: list[str] = attrs.field(factory=list)
    beats: int = 0
    hooks: Hooks = attrs.field(factory=Hooks)
    news: Any = attrs.field(factory=trio.Event)
    """Set whenever something happens; replace it to wait for the next time."""

    async def accept(self, *messages: Inbound, cursor: str | None = None) -> None:
        """Remember messages that are new, and the cursor."""
        await trio.lowlevel.checkpoint()
        known = {each.id for each in self.accepted}
        self.accepted += [each for each in messages if each.id not in known]
        self.cursor = self.cursor if cursor is None else cursor
        self.alive()

    def connected(self, identity: str) -> None:
        """Remember who we are."""
        self.identities.append(identity)
        self.alive()

    def alive(self) -> None:
        """Count a sign of life."""
        self.beats += 1
        self.news.set()

    @contextmanager
    def receive_hook(self, receive: Receive) -> Iterator[None]:
        """Mount a hook under the name ``test``."""
        with self.hooks.mounted("test", receive):
            yield
