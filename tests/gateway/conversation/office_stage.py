"""A whole office in virtual time: a platform in memory, agents, and what is between them."""

from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio
from agent_stage import Told
from channel_stage import ACCOUNT

from gateway.agents.catalog import Catalog
from gateway.agents.lanes import Lanes
from gateway.agents.runs import Runs
from gateway.agents.sessions import Sessions
from gateway.agents.tools.approvals import Approvals
from gateway.agents.vision import sight
from gateway.bus import Bus
from gateway.channels.base import Abilities
from gateway.channels.memory import MemoryChannel, Platform
from gateway.channels.post import Post
from gateway.config.agents import Agent
from gateway.config.channels import Channels, Signal
from gateway.config.model import Config
from gateway.conversation.office import Office
from gateway.storage.media import MediaFiles, Quota
from gateway.storage.memory import Memory
from gateway.web.hooks import Hooks
from supervisors import Supervisor

AGENTS = {
    "main": Agent("told", "m", reset="never", run_seconds=10_000.0),
    "other": Agent("told", "n", reset="never"),
}


async def at_once(work):
    """Run what blocks: while a thread does, virtual time would go on."""
    await trio.lowlevel.checkpoint()
    return work()


@attrs.define(eq=False)
class Stage:
    """What is needed for conversations; `again` is a new process on the same database."""

    database: Memory
    directory: Path
    platform: Platform = attrs.field(factory=Platform)
    abilities: Abilities = attrs.field(factory=lambda: Abilities(length=100))
    settings: Signal = attrs.field(
        factory=lambda: Signal(number="+1", strangers="allow", expiry_seconds=900.0)
    )
    channel: type = MemoryChannel
    bindings: dict = attrs.field(factory=dict)
    told: Told = attrs.field(factory=Told)
    agents: dict = attrs.field(factory=lambda: dict(AGENTS))
    events: list = attrs.field(factory=list)
    start: float = 1000.0
    quota: Quota = attrs.field(factory=Quota)
    bus: Bus = attrs.field(init=False)
    office: Office = attrs.field(init=False)
    media: MediaFiles = attrs.field(init=False)
    runs: Runs = attrs.field(init=False)
    approvals: Approvals = attrs.field(init=False)
    root: Supervisor = attrs.field(init=False)

    def __attrs_post_init__(self):
        self.again()

    def again(self):
        self.bus = Bus()
        lanes = Lanes()
        catalog = Catalog.of(Config(agents=self.agents))
        catalog.providers["told"] = self.told
        self.media = MediaFiles(
            self.directory, self.database, lambda: self.quota, self.now, at_once
        )
        self.runs = Runs(self.database, self.bus, catalog, lanes, self.now, look=sight(self.media))
        self.approvals = Approvals(self.bus, self.now)
        self.office = Office(
            database=self.database,
            bus=self.bus,
            hooks=Hooks(),
            runs=self.runs,
            catalog=catalog,
            sessions=Sessions(self.database, catalog, lanes, self.now),
            approvals=self.approvals,
            rules=lambda: self,
            media=self.media,
            post=Post(self.database, now=self.now),
            pooling={"platform": lambda _: self._platform, "spread": lambda: 0.0},
        )
        self.root = Supervisor(
            "gateway",
            [
                self.runs.supervisor.as_child(),
                self.office.reception.supervisor.as_child(),
                self.office.pool.supervisor.as_child(),
            ],
        )

    @property
    def channels(self):
        return Channels(signal={"main": self.settings})

    def now(self):
        """Unix time that goes on with the clock of the test."""
        return self.start + trio.current_time()

    async def _platform(self):
        await trio.lowlevel.checkpoint()
        return lambda _: self.channel(self.platform, self.abilities)

    @property
    def account(self):
        return self.office.pool.get(ACCOUNT)

    @property
    def texts(self):
        """Where and what was sent, in order."""
        return [(each.place.chat, each.text) for each in self.platform.sent]

    async def ask(self, *messages, seconds=5.0):
        """Have people write *messages*, and give them time."""
        self.platform.say(*messages)
        await trio.sleep(seconds)

    async def states(self):
        """Return what became of every message, in order."""
        rows = await self.database.read(
            lambda sql: sql.execute("SELECT message_id, state FROM inbox ORDER BY id").fetchall()
        )
        return dict(rows)

    async def sessions(self):
        return [each[0] for each in self.database.connection.execute("SELECT id FROM sessions")]

    @asynccontextmanager
    async def running(self):
        with self.bus.listening(lambda news: self.events.append((news.spec.name, news.data))):
            # Virtual seconds: what waits for something that never comes fails at once.
            with trio.fail_after(100_000):
                async with trio.open_nursery() as nursery:
                    await nursery.start(self.root.run)
                    yield self
                    self.root.shutdown(30)
