"""Agents in memory: a database, a bus that is listened to, a provider that does as told."""

from contextlib import asynccontextmanager

import attrs
import trio

from gateway.agents.catalog import Catalog
from gateway.agents.lanes import Lanes
from gateway.agents.providers import Answer, Chunk
from gateway.agents.run import Ask
from gateway.agents.runs import Runs
from gateway.agents.sessions import Sessions
from gateway.bus import Bus
from gateway.config.agents import Agent
from gateway.config.model import Config
from gateway.errors import UnavailableError
from gateway.storage.memory import Memory
from supervisors import Supervisor

CONFIG = Config(
    agents={
        "main": Agent("told", "m", system_prompt="Be kind.", run_seconds=100.0),
        "other": Agent("echo"),
    }
)


@attrs.define
class Told:
    """Answers each question in upper case, after *delay* seconds before each word.

    *errors* are raised instead, first come first served, after the first word.
    """

    delay: float = 0.0
    errors: list = attrs.field(factory=list)
    turns: list = attrs.field(factory=list)
    busy: set = attrs.field(factory=set)
    usage: dict = attrs.field(factory=dict)

    async def answer(self, turn, emit):
        self.turns.append(turn)
        question = turn.messages[-1].content
        error = self.errors.pop(0) if self.errors else None
        words = question.upper().split()
        emit(Chunk("thinking", "hm"))
        for number, word in enumerate(words):
            await trio.sleep(self.delay)
            emit(Chunk("delta", f" {word}" if number else word))
            if error is not None:
                raise error
        return Answer(" ".join(words), {"words": len(words)} | self.usage)

    async def summary(self, turn):
        await trio.sleep(self.delay)
        if self.errors:
            raise self.errors.pop(0)
        return " | ".join(said.content for said in turn.messages)

    async def models(self):
        return ("m", "n")


@attrs.define
class Faulty:
    """A database whose disk is full while *full* is true."""

    inner: Memory
    full: bool = False

    async def read(self, work):
        return await self.inner.read(work)

    async def write(self, work):
        if self.full:
            raise UnavailableError("the disk is full")
        return await self.inner.write(work)


@attrs.define
class Stage:
    """Everything about agents, and what was told."""

    database: Faulty
    told: Told = attrs.field(factory=Told)
    events: list = attrs.field(factory=list)
    bus: Bus = attrs.field(factory=Bus)
    lanes: Lanes = attrs.field(factory=Lanes)
    clock: float = 1000.0
    catalog: Catalog = attrs.field(init=False)
    runs: Runs = attrs.field(init=False)
    sessions: Sessions = attrs.field(init=False)
    root: Supervisor = attrs.field(init=False)

    def __attrs_post_init__(self):
        self.catalog = Catalog.of(CONFIG)
        self.catalog.providers["told"] = self.told
        self.again()

    def again(self):
        """Be a new process on the same database."""
        self.lanes = Lanes()
        self.runs = Runs(self.database, self.bus, self.catalog, self.lanes, self.now)
        self.sessions = Sessions(self.database, self.catalog, self.lanes, self.now)
        self.root = Supervisor("gateway", [self.runs.supervisor.as_child()])

    def now(self):
        self.clock += 1.0
        return self.clock

    @asynccontextmanager
    async def running(self, grace=100.0):
        with self.bus.listening(lambda news: self.events.append((news.spec.name, news.data))):
            async with trio.open_nursery() as nursery:
                await nursery.start(self.root.run)
                yield self
                self.root.shutdown(grace)

    async def ask(self, message, **more):
        """Ask and return how it ended."""
        run = await self.runs.submit(Ask(message, **more))
        return await run.wait()

    async def said(self, session_id):
        """Return role, content and state of everything in a session."""
        page = await self.sessions.history(session_id, 1000)
        return [(each.role, each.content, each.state) for each in page.messages]

    def told_of(self, run_id):
        """Return the names of the events about a run, in order."""
        return [name for name, data in self.events if data["runId"] == run_id]
