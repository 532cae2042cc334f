"""One account on a platform in memory, under a supervisor, in virtual time."""

from contextlib import asynccontextmanager

import attrs
import trio

from gateway.bus import Bus
from gateway.channels.base import Abilities, Inbound, Place, Sender
from gateway.channels.memory import MemoryChannel, Platform
from gateway.channels.outbox import Draft
from gateway.channels.pool import Pool
from gateway.channels.post import Post
from gateway.config.channels import Channels, Signal
from gateway.storage.memory import Memory
from gateway.web.hooks import Hooks

ACCOUNT = "signal:main"


def message(number, text="hello", **more):
    """Return a message from Ann in her chat with us."""
    fields = {"place": Place("ann"), "sender": Sender("ann", "Ann"), "at": 0.0} | more
    return Inbound(id=f"m-{number}", text=text, **fields)


def draft(key, text="hi", chat="ann", expires=1e9, **more):
    return Draft(ACCOUNT, Place(chat), text, key, expires, **more)


@attrs.define(eq=False)
class Stage:
    """Accounts of one platform; *names* says which."""

    database: Memory
    platform: Platform = attrs.field(factory=Platform)
    abilities: Abilities = attrs.field(factory=lambda: Abilities(length=100))
    settings: Signal = attrs.field(factory=lambda: Signal(number="+1"))
    bus: Bus = attrs.field(factory=Bus)
    events: list = attrs.field(factory=list)
    taken: list = attrs.field(factory=list)
    busy: trio.Event = attrs.field(factory=trio.Event)
    channel: type = MemoryChannel
    post: Post = attrs.field(init=False)
    pool: Pool = attrs.field(init=False)

    def __attrs_post_init__(self):
        self.busy.set()
        self.again()

    def again(self):
        """Be a new process on the same database."""
        self.post = Post(self.database, now=trio.current_time)
        self.pool = Pool(
            post=self.post,
            bus=self.bus,
            hooks=Hooks(),
            taken=self.taken.extend,
            drain=self._drain,
            initial=lambda: Channels(signal={"main": self.settings}),
            platform=lambda _: self._platform,
            spread=lambda: 0.0,
        )

    async def _platform(self):
        await trio.lowlevel.checkpoint()
        return lambda _: self.channel(self.platform, self.abilities)

    async def _drain(self, _):
        await self.busy.wait()

    @property
    def account(self):
        return self.pool.get(ACCOUNT)

    @property
    def status(self):
        """What the supervisor says of the account."""
        (status,) = self.pool.supervisor.status().children
        return status

    @property
    def texts(self):
        """Where and what was sent, in order."""
        return [(each.place.chat, each.text) for each in self.platform.sent]

    def conditions(self):
        """Return the conditions that were told, in order."""
        return [data["state"] for name, data in self.events if name == "channel.status"]

    @asynccontextmanager
    async def running(self):
        with self.bus.listening(lambda news: self.events.append((news.spec.name, news.data))):
            # Virtual seconds: what waits for something that never comes fails at once.
            with trio.fail_after(10_000):
                async with trio.open_nursery() as nursery:
                    await nursery.start(self.pool.supervisor.run)
                    yield self
                    self.pool.supervisor.shutdown(30)
