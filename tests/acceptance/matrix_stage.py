"""One account on a real homeserver, as the gateway runs it, and nothing behind it."""

from contextlib import asynccontextmanager

import attrs
import trio

from gateway.bus import Bus
from gateway.channels.base import Place
from gateway.channels.matrix.channel import Matrix
from gateway.channels.outbox import Draft
from gateway.channels.pool import Pool
from gateway.channels.post import Post
from gateway.config.channels import Channels
from gateway.config.channels import Matrix as Settings
from gateway.config.setting import Secret
from gateway.web.hooks import Hooks

ACCOUNT = "matrix:main"
SECONDS = 60


@attrs.define(eq=False)
class Stage:
    """*database* outlives it, as on a disk."""

    database: object
    server: object
    settings: Settings
    poll_seconds: float = 2.0
    patience_seconds: float = 2.0
    bus: Bus = attrs.field(factory=Bus)
    taken: list = attrs.field(factory=list)
    conditions: list = attrs.field(factory=list)
    changed: trio.Event = attrs.field(factory=trio.Event)
    post: Post = attrs.field(init=False)
    pool: Pool = attrs.field(init=False)

    def __attrs_post_init__(self):
        self.post = Post(self.database)
        self.pool = Pool(
            post=self.post,
            bus=self.bus,
            hooks=Hooks(),
            taken=self._take,
            drain=self._drain,
            initial=lambda: Channels(matrix={"main": self.settings}),
            platform=lambda _: self._platform,
            spread=lambda: 0.0,
        )

    def _take(self, entries):
        self.taken += [entry.message for entry in entries]
        self._note()

    def _note(self):
        self.changed.set()
        self.changed = trio.Event()

    async def _drain(self, _):
        await trio.lowlevel.checkpoint()

    async def _platform(self):
        await trio.lowlevel.checkpoint()
        return lambda settings: Matrix(
            settings, poll_seconds=self.poll_seconds, patience_seconds=self.patience_seconds
        )

    def _hear(self, news):
        if news.spec.name == "channel.status":
            self.conditions.append(news.data["state"])
            self._note()

    @property
    def account(self):
        return self.pool.get(ACCOUNT)

    @property
    def channel(self):
        return self.account.channel

    async def until(self, holds, seconds=SECONDS):
        """Return when *holds* does."""
        with trio.move_on_after(seconds):
            while not holds():
                with trio.move_on_after(0.2):
                    await self.changed.wait()
            return
        account = self.account
        said = [each.text for each in self.taken]
        raise AssertionError(f"{account.condition} {account.error} {self.conditions} {said}")

    async def until_connected(self, seconds=SECONDS):
        await self.until(lambda: self.account.condition == "connected", seconds)

    async def heard(self, text):
        """Return the message that says *text*."""
        await self.until(lambda: any(each.text == text for each in self.taken))
        return next(each for each in self.taken if each.text == text)

    async def send(self, key, text, room, **more):
        """Have a message sent and return what became of it."""
        place = Place(room, more.pop("thread", None))
        await self.post.put([Draft(ACCOUNT, place, text, f"{key}.0", 1e12, **more)])
        with trio.fail_after(SECONDS):
            (entry,) = await self.post.wait_settled(key)
        return entry

    @asynccontextmanager
    async def running(self):
        with self.bus.listening(self._hear):
            async with trio.open_nursery() as nursery:
                await nursery.start(self.pool.supervisor.run)
                yield self
                self.pool.supervisor.shutdown(10)


def by_token(server, person, **more):
    return Settings(homeserver=server.url, token=Secret(person.token), **more)


def by_password(server, user, password="password"):
    return Settings(homeserver=server.url, user=user, password=Secret(password))
