"""The servers: each a child whose tools are there while it lives, and gone when it does not."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs
import structlog
import trio

from gateway.agents.tools import Use
from gateway.agents.tools.registry import Registry, Tool
from gateway.agents.tools.servers.link import Link, Session
from gateway.agents.tools.servers.translation import Offered, offered, result_text
from gateway.config.mcp import McpServer
from gateway.errors import UnavailableError
from supervisors import Backoff, Child, Lifetime, Strategy, Supervisor

log = structlog.get_logger(__name__)

PING: Final = 15.0
"""Seconds between two questions whether a server lives."""

PATIENCE: Final = 10.0
"""Seconds for the answer."""

SILENT: Final = 60.0
"""Seconds without any answer, from the start on, after which a server is started over."""


@attrs.define(eq=False)
class Servers:
    """All MCP servers, and the supervisor ``mcp`` that keeps them alive.

    *initial* returns those that are configured at the start.
    """

    registry: Registry
    initial: Callable[[], Mapping[str, McpServer]]
    environ: Mapping[str, str] = attrs.field(factory=lambda: os.environ)
    supervisor: Supervisor = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the pool."""
        self.supervisor = Supervisor(
            "mcp",
            lambda: self.children(self.initial()),
            strategy=Strategy.POOL,
            max_restarts=None,
        )

    def children(self, servers: Mapping[str, McpServer]) -> list[Child]:
        """Return a child for each of *servers*."""
        return [
            Child(
                name,
                self._serve,
                (name, settings),
                backoff=Backoff(first=1.0, limit=60.0),
                # The package gives the process 2 s to end, then asks and kills it, 2 s each.
                stop_timeout=8,
                heartbeat=SILENT,
            )
            for name, settings in servers.items()
        ]

    async def _serve(self, life: Lifetime, name: str, settings: McpServer) -> None:
        """Be one connection to a server, from its start to its end."""
        server = Server(name, settings, self.registry)
        life.describe(server.describe)
        # Before it is connected: the gateway does not wait for other people's programs.
        life.started()
        with life.until_stopping():
            link = Link(name, settings, self.environ, server.look_soon, server.ping_soon)
            async with link.opened() as session:
                await server.run(session, life)


@attrs.define(eq=False)
class Server:
    """One server while it is connected."""

    name: str
    settings: McpServer
    registry: Registry
    tools: Sequence[Tool] = ()
    _changed: bool = attrs.field(default=True, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)
    _known: dict[str, tuple[Offered, Tool]] = attrs.field(factory=dict, init=False)

    def describe(self) -> Mapping[str, object]:
        """Return what a status says of it."""
        return {"tools": len(self.tools)}

    def look_soon(self) -> None:
        """Ask for the list of tools again."""
        self._changed = True
        self._news.set()

    def ping_soon(self) -> None:
        """Ask whether it lives, now."""
        self._news.set()

    async def run(self, session: Session, life: Lifetime) -> None:
        """Offer its tools for as long as it answers; raises what shows that it does not."""
        while True:
            self._changed = False
            self.tools = await self._list(session)
            life.heartbeat()
            log.info("an MCP server offers tools", server=self.name, tools=len(self.tools))
            with self.registry.offering(self.tools):
                try:
                    await self._keep_alive(session, life)
                finally:
                    self.tools = ()

    async def _keep_alive(self, session: Session, life: Lifetime) -> None:
        """Return when it says that its tools have changed."""
        while not self._changed:
            self._news = trio.Event()
            with trio.move_on_after(PING):
                await self._news.wait()
            with trio.fail_after(PATIENCE):
                await session.ping()
            life.heartbeat()

    async def _list(self, session: Session) -> list[Tool]:
        with trio.fail_after(PATIENCE):
            found, refused = offered(self.name, await session.list())
        if refused:
            log.warning("some tools cannot be offered", server=self.name, tools=refused)
        tools = {each.name: self._tool(session, each) for each in found}
        self._known = {each.name: (each, tools[each.name]) for each in found}
        return list(tools.values())

    def _tool(self, session: Session, wanted: Offered) -> Tool:
        """Return a tool; the same as before if nothing about it has changed.

        A person may be thinking about it: a yes is for the tool that was shown.
        """
        known = self._known.get(wanted.name)
        if known is not None and known[0] == wanted:
            return known[1]
        return Tool(
            name=wanted.name,
            description=wanted.description,
            parameters=wanted.schema,
            read=dict,
            code=partial(self._call, session, wanted.original),
            deadline=self.settings.call_seconds,
            privileged=self.settings.owner_only,
        )

    async def _call(self, session: Session, tool: str, arguments: dict[str, Any], _: Use) -> str:
        try:
            result = await session.call(tool, arguments)
        except UnavailableError:
            # Perhaps it is dead, and nobody has noticed yet.
            self.ping_soon()
            raise
        return result_text(result)
