"""Connections to MCP servers, by the official package, which is imported when it is needed.

It runs on anyio, so on Trio as well.  It brings pydantic and an HTTP client of its own, some
30 MB: that is why it is an extra.
"""

import importlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import structlog
import trio

from gateway.config.mcp import McpServer
from gateway.errors import UnavailableError
from gateway.web.client import CONNECT_SECONDS, USER_AGENT, tls_context

log = structlog.get_logger(__name__)

INSTALL: Final = "MCP servers need the package mcp: pip install 'assistant-gateway[mcp]'"

SAID_BYTES: Final = 2000
"""Longest piece of what a server says on stderr that is logged at once."""

SHOWN: Final = 300
"""Characters of a server's own message that are passed on: a sentence or two."""

PAGES: Final = 10
"""Most pages of a list of tools."""

SILENCE: Final = 300.0
"""Seconds that an open stream may be silent; a server is asked whether it lives in between."""


async def import_mcp() -> Any:
    """Return the module; raises `UnavailableError` that says how to install it."""
    try:
        # In a thread: it takes most of a second.
        return await trio.to_thread.run_sync(importlib.import_module, "mcp")
    except ImportError as error:
        raise UnavailableError(INSTALL) from error


@attrs.frozen(eq=False)
class Session:
    """A connection as we need it.

    Every method raises `UnavailableError` if it is lost, or if the server answers with an
    error or with nonsense.
    """

    mcp: Any
    session: Any

    async def list(self) -> list[Any]:
        """Return the tools as the package has them, from `PAGES` pages at most."""
        types = self.mcp.types
        listed: list[Any] = []
        cursor: str | None = None
        for _ in range(PAGES):
            params = types.PaginatedRequestParams(cursor=cursor)
            request = types.ListToolsRequest(params=params)
            page = await self._ask(request, types.ListToolsResult)
            listed += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        return listed

    async def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        """Return the result of a tool as the package has it."""
        types = self.mcp.types
        params = types.CallToolRequestParams(name=tool, arguments=arguments)
        return await self._ask(types.CallToolRequest(params=params), types.CallToolResult)

    async def ping(self) -> None:
        """Return if the server lives."""
        types = self.mcp.types
        await self._ask(types.PingRequest(), types.EmptyResult)

    async def _ask(self, request: Any, wanted: Any) -> Any:
        # Not the package's `call_tool`: it validates results with a schema that the server has
        # written, in this thread, for as long as that takes.
        try:
            return await self.session.send_request(request, wanted)
        except self.mcp.MCPError as error:
            raise UnavailableError(f"the MCP server: {error.error.message[:SHOWN]}") from error
        except ValueError as error:
            raise UnavailableError("the MCP server does not keep to the protocol") from error


@attrs.frozen(eq=False)
class Link:
    """How to connect to one server.

    *environ* is the gateway's environment.  *changed* is called when the server says that
    its tools are others now, *ended* when its process has closed stderr, so has died.
    """

    name: str
    settings: McpServer
    environ: Mapping[str, str]
    changed: Callable[[], None]
    ended: Callable[[], None]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Session]:
        """Have a session with the server around a block; with it the server's process ends.

        Raises `UnavailableError`, `OSError`, or a group of what the package raises.
        """
        mcp = await import_mcp()
        # Every server knows the handshake of "legacy", and announces changes of its list then.
        async with mcp.Client(
            self._command(mcp) if self.settings.url is None else self._http(),
            mode="legacy",
            message_handler=self._listen,
            cache=None,
        ) as client:
            yield Session(mcp, client.session)

    async def _listen(self, message: Any) -> None:
        await trio.lowlevel.checkpoint()
        if getattr(message, "method", None) == "notifications/tools/list_changed":
            self.changed()

    @asynccontextmanager
    async def _command(self, mcp: Any) -> AsyncIterator[Any]:
        """Have a process and the streams to it around a block."""
        parameters = mcp.StdioServerParameters(
            command=self.settings.command,
            args=list(self.settings.args),
            env={name: self.environ[name] for name in self.settings.env if name in self.environ},
        )
        reading, writing = os.pipe()
        async with trio.lowlevel.FdStream(reading) as stderr, trio.open_nursery() as nursery:
            with os.fdopen(writing, "w") as theirs:
                async with mcp.stdio_client(parameters, errlog=theirs) as streams:
                    # Only the process has it now: when it ends, so does the stream.
                    theirs.close()
                    nursery.start_soon(self._read_stderr, stderr)
                    yield streams
            nursery.cancel_scope.cancel()

    async def _read_stderr(self, stderr: trio.lowlevel.FdStream) -> None:
        async for received in stderr:
            for line in received[:SAID_BYTES].decode("utf-8", "replace").splitlines():
                log.debug("an MCP server says", server=self.name, text=line)
        self.ended()

    @asynccontextmanager
    async def _http(self) -> AsyncIterator[Any]:
        """Have the streams to an address around a block."""
        # Not `open_client`, but made as it makes them: the package has an HTTP client of
        # its own.  No proxy of the environment is used, and no redirect leads elsewhere.
        httpx2 = importlib.import_module("httpx2")
        http = importlib.import_module("mcp.client.streamable_http")
        token = self.settings.token
        headers = {} if token is None else {"Authorization": f"Bearer {token.value}"}
        async with (
            httpx2.AsyncClient(
                headers={"User-Agent": USER_AGENT, **headers},
                timeout=httpx2.Timeout(30.0, connect=CONNECT_SECONDS, read=SILENCE),
                verify=await tls_context(),
                trust_env=False,
                follow_redirects=False,
            ) as client,
            http.streamable_http_client(self.settings.url, http_client=client) as streams,
        ):
            yield streams
