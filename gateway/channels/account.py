"""One account: the child that keeps a channel connected, and how that is going.

The object outlives the incarnations of its child; the channel does not.
"""

import random
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import attrs
import structlog
import trio

from gateway.bus import Bus
from gateway.channels import inbox
from gateway.channels.base import (
    Abilities,
    Channel,
    ChannelError,
    Inbound,
    LostError,
    Make,
    RefusedForGoodError,
    StalledError,
)
from gateway.channels.delivery import Delivery, Find, no_media
from gateway.channels.post import Post
from gateway.config.channels import Account as Settings
from gateway.errors import GatewayError, leaves
from gateway.web.hooks import Hooks, Receive
from supervisors import Lifetime

log = structlog.get_logger(__name__)

DRAIN_SECONDS: Final = 6.0
"""What a stop waits for answers that are being made and sent; what is left is on the disk."""

SENT_SECONDS: Final = 8.0
"""What a stop waits for messages that are under way, of which nobody would know else whether
they have arrived."""

DEAF: Final = 0.8
"""Share of ``stall_seconds`` after which a silent platform counts as not listening to us."""


CRASHED: Final = "it crashed, and is made anew; the log has the details"


class Condition(StrEnum):
    """How an account is."""

    STOPPED = "stopped"
    """Nobody wants it to run."""
    CONNECTING = "connecting"
    """Not known yet: neither seen to work nor to fail."""
    CONNECTED = "connected"
    """The platform has shown a sign of life lately."""
    DEAF = "deaf"
    """It seemed connected, and the platform says nothing any more."""
    RETRYING = "retrying"
    """The connection failed, and is made anew."""
    FAILED = "failed"
    """It waits for somebody to change something; ``error`` says what."""


Taken = Callable[[Sequence[inbox.Entry]], None]
"""Is told of messages that are on the disk; of none when the account comes up."""

Drain = Callable[[str], Awaitable[None]]
"""Returns when no message of an account is being answered."""


@attrs.define(eq=False)
class Account:
    """An account; *id* is ``platform:name``.

    *make* makes its channel, *taken* is told of what came, *drain* waits until that is
    answered.  Times below are Unix seconds unless said.
    """

    id: str
    make: Callable[[], Awaitable[Make]]
    post: Post
    bus: Bus
    hooks: Hooks
    taken: Taken
    drain: Drain
    find: Find = no_media
    spread: Callable[[], float] = random.random
    channel: Channel | None = attrs.field(default=None, init=False)
    """The channel while there is one; use it only when `condition` says connected."""
    abilities: Abilities | None = attrs.field(default=None, init=False)
    """Those of the channel, also while it is gone; `None` before there was one."""
    identity: str | None = attrs.field(default=None, init=False)
    error: str | None = attrs.field(default=None, init=False)
    """Why it does not work, or the last time did not; kept until it works again."""
    last_inbound: float | None = attrs.field(default=None, init=False)
    last_alive: float | None = attrs.field(default=None, init=False)
    since: float = attrs.field(default=0.0, init=False)
    """When its condition was last seen to change."""
    received: int = attrs.field(default=0, init=False)
    delivery: Delivery = attrs.field(init=False)
    settings: Settings | None = attrs.field(default=None, init=False)
    """Those of the incarnation that runs or ran last."""
    _alive: float | None = attrs.field(default=None, init=False)
    """The same as `last_alive` on Trio's clock; `None` unless connected."""
    _connected: trio.Event = attrs.field(factory=trio.Event, init=False)
    _running: bool = attrs.field(default=False, init=False)
    _failed: bool = attrs.field(default=False, init=False)
    _stalled: bool = attrs.field(default=False, init=False)
    _told: Condition | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.delivery = Delivery(self.id, self.post, self.bus, self.find, self.spread)
        self.since = self.post.now()

    @property
    def condition(self) -> Condition:
        """How it is this moment."""
        if self._failed:
            return Condition.FAILED
        if self._alive is not None:
            return Condition.DEAF if self._silent() else Condition.CONNECTED
        if self._stalled:
            return Condition.DEAF
        if self.error is not None:
            return Condition.RETRYING
        return Condition.CONNECTING if self._running else Condition.STOPPED

    def _silent(self) -> bool:
        assert self._alive is not None
        assert self.settings is not None
        return trio.current_time() - self._alive > DEAF * self.settings.stall_seconds

    @property
    def complaint(self) -> str | None:
        """Why it does not work; also why nothing can be sent, while it seems to be well."""
        return self.error or self.delivery.complaint

    def report(self) -> Mapping[str, object]:
        """Return how it is, for the supervisor's status."""
        return {"condition": self.condition, "identity": self.identity, "error": self.complaint}

    async def wait_connected(self) -> Channel:
        """Return the channel as soon as it can be used, which may be never."""
        while self.channel is None or not self._connected.is_set():
            await self._connected.wait()
        return self.channel

    # -- the child --------------------------------------------------------------------

    async def run(self, life: Lifetime, settings: Settings) -> None:
        """Keep the account connected until asked to stop; then finish what was begun.

        Returns when the platform has refused for good: then nobody tries again until the
        settings change or an operator restarts it.  Raises `LostError` for a new attempt.
        """
        self.settings = settings
        self._failed, self._running = False, True
        life.describe(self.report)
        life.started()
        self.tell()
        try:
            await self._live(life, settings)
        except* RefusedForGoodError as group:
            self._fail(leaves(group)[0])
        except* LostError as group:
            lost = leaves(group)[0]
            self.error = lost.message
            self._stalled = isinstance(lost, StalledError)
            # Not the group: its summary would hide the sentence.
            raise lost from None
        finally:
            self._end(life)

    def _fail(self, error: ChannelError) -> None:
        self._failed, self.error = True, error.message
        log.error("a channel has stopped for good", channel=self.id, why=error.message)

    def _end(self, life: Lifetime) -> None:
        if life.stopping:
            self.error = None if not self._failed else self.error
            self._stalled = False
        elif self._alive is not None and self._silent():
            # The supervisor has noticed that it no longer beats.
            self._stalled = True
            self.error = self.error or "the platform says nothing any more"
        elif self.error is None:
            self.error = _crash(sys.exception())
        self.channel, self._alive, self._running = None, None, False
        # Whoever waits goes on waiting, for the next incarnation.
        if self._connected.is_set():
            self._connected = trio.Event()
        self.tell()

    async def _live(self, life: Lifetime, settings: Settings) -> None:
        channel = (await self.make())(settings)
        self.channel, self.abilities = channel, channel.abilities
        link = AccountLink(self, life, await self._cursor(settings.whose))
        # What came before the last stop waits for it to be known how to answer.
        self.taken(())
        with link.closing():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive, channel, link)
                nursery.start_soon(self.delivery.run, channel, lambda: self._connected)
                await life.wait_stopping()
                link.open = False
                self.delivery.finish_by(trio.current_time() + SENT_SECONDS)
                with trio.move_on_after(DRAIN_SECONDS):
                    await self.drain(self.id)
                    if self._connected.is_set():
                        await self.delivery.wait_idle()
                nursery.cancel_scope.cancel(reason=f"{self.id} stops")

    async def _cursor(self, whose: str) -> str | None:
        """Return where to go on; nowhere if the account is another one's than before."""
        database = self.post.database
        if whose and not await database.read(lambda sql: inbox.belongs_to(sql, self.id, whose)):
            await database.write(lambda sql: inbox.take_over(sql, self.id, whose))
        return await database.read(lambda sql: inbox.read_cursor(sql, self.id))

    @staticmethod
    async def _receive(channel: Channel, link: "AccountLink") -> None:
        await channel.run(link)
        raise RuntimeError(f"{type(channel).__name__}.run returned")

    # -- what the link says -----------------------------------------------------------

    def see_connected(self, identity: str) -> None:
        """Note that it is logged in and can send."""
        self.identity = identity
        self.see_alive()
        self._connected.set()
        self.tell()

    def see_alive(self) -> None:
        """Note a sign of life."""
        self._alive, self.last_alive = trio.current_time(), self.post.now()
        if self.error is not None or self._stalled:
            self.error, self._stalled = None, False
            self.tell()

    def see_stopped(self) -> None:
        """Note that nobody wants it to run; also while it waited for another attempt."""
        self.error, self._failed, self._stalled = None, False, False
        self.tell()

    def see_taken(self, entries: Sequence[inbox.Entry]) -> None:
        """Note messages that are on the disk, and pass them on."""
        self.received += len(entries)
        self.last_inbound = self.post.now()
        for entry in entries:
            self.bus.publish("channel.message", entry.metadata)
        self.taken(entries)

    def tell(self) -> None:
        """Publish the condition if it has changed."""
        condition = self.condition
        if condition is self._told:
            return
        self._told, self.since = condition, self.post.now()
        self.bus.publish(
            "channel.status", {"channel": self.id, "state": condition, "error": self.error}
        )


def _crash(failure: BaseException | None) -> str | None:
    """Return what is said of a failure that is no channel's: of the database, or a bug."""
    if failure is None:
        return None
    found = leaves(failure) if isinstance(failure, BaseExceptionGroup) else [failure]
    failures = [each for each in found if not isinstance(each, trio.Cancelled)]
    if not failures:
        return None
    return failures[0].message if isinstance(failures[0], GatewayError) else CRASHED


@attrs.define(eq=False)
class AccountLink:
    """The `gateway.channels.base.Link` of one incarnation."""

    account: Account
    life: Lifetime
    cursor: str | None
    open: bool = attrs.field(default=True, init=False)
    """Whether messages are taken."""
    over: bool = attrs.field(default=False, init=False)
    """Whether the incarnation has ended: what a request that is still going on says counts no
    more, or the account would seem to be connected."""

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Close it behind the body."""
        try:
            yield
        finally:
            self.open, self.over = False, True

    async def accept(self, *messages: Inbound, cursor: str | None = None) -> None:
        """Take messages and the cursor; returns when they are on the disk."""
        if not self.open:
            await trio.sleep_forever()
        account = self.account
        entries = await account.post.database.write(
            lambda sql: inbox.accept(
                sql, account.id, messages, cursor=cursor, now=account.post.now()
            )
        )
        self.cursor = self.cursor if cursor is None else cursor
        self.alive()
        if entries:
            account.see_taken(entries)

    def connected(self, identity: str) -> None:
        """Say that we are logged in."""
        if self.over:
            return
        self.life.heartbeat()
        self.account.see_connected(identity)

    def alive(self) -> None:
        """Say that the platform has shown a sign of life."""
        if self.over:
            return
        self.life.heartbeat()
        self.account.see_alive()

    @contextmanager
    def receive_hook(self, receive: Receive) -> Iterator[None]:
        """Have *receive* take what is posted for this account in the body."""
        with self.account.hooks.mounted(self.account.id.replace(":", "/", 1), receive):
            yield
