"""Real MCP servers, by the official package: their tools are there while they live."""

import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import psutil
import pytest
import trio
from tool_stage import OWNER, call

from gateway.agents.tools.servers import pool as pool_module
from gateway.agents.tools.servers.link import import_mcp
from gateway.agents.tools.servers.pool import Servers
from gateway.agents.tools.toolbox import Toolbox
from gateway.bus import Bus
from gateway.config.mcp import McpServer
from gateway.config.tools import ToolPolicy
from gateway.errors import UnavailableError
from supervisors import State

PROGRAM = str(Path(__file__).with_name("mcp_server.py"))
COMMAND = McpServer(command=sys.executable, args=(PROGRAM, "stdio"), env=("PASSED_ON", "MISSING"))
ENVIRON = {"PASSED_ON": "1", "SECRET": "2", "LD_PRELOAD": "3", "PYTHONPATH": "4"}

pytestmark = pytest.mark.slow  # a server takes some seconds to import its package


async def until(condition):
    """Return when *condition* holds; servers tell nobody when they are ready."""
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await trio.sleep(0.02)


@attrs.define(eq=False)
class Fleet:
    """Servers that run, and a toolbox with their tools."""

    box: Toolbox
    servers: Servers

    @property
    def names(self):
        return {tool.name.partition("__")[2] for tool in self.box.registry.list()}

    @property
    def status(self):
        return self.servers.supervisor.status().children[0]

    async def use(self, tool, use=OWNER, **arguments):
        return await self.box.use(call(f"test__{tool}", json.dumps(arguments)), use)

    async def up(self):
        await until(lambda: self.names)


@asynccontextmanager
async def running(settings, environ=ENVIRON):
    box = Toolbox(Bus(), policy_of=lambda _: ToolPolicy(allow=("test__*",)))
    servers = Servers(box.registry, lambda: {"test": settings}, environ)
    async with trio.open_nursery() as nursery:
        await nursery.start(servers.supervisor.run)
        yield Fleet(box, servers)
        servers.supervisor.shutdown(20)


@asynccontextmanager
async def serving_http():
    """Have the server as a process that speaks HTTP; the block gets its settings."""
    with trio.socket.socket() as probe:
        await probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, PROGRAM, "http", str(port)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.run_process, command, check=False, capture_stderr=True))
        yield McpServer(url=f"http://127.0.0.1:{port}/mcp")
        nursery.cancel_scope.cancel()


async def test_tools_of_a_command_are_used_and_gone_with_it():
    async with running(COMMAND) as fleet:
        await fleet.up()
        assert fleet.names >= {"add", "fail", "process"}
        assert await fleet.use("add", a=1, b=2) == "3"
        assert await fleet.use("fail") == "Error: Error executing tool fail"
        assert (await fleet.use("add", a="x")).startswith("Error: ")
        assert fleet.status.detail == {"tools": len(fleet.names)}
        process = int(await fleet.use("process"))
        assert psutil.pid_exists(process)
    assert fleet.names == set()
    assert not psutil.pid_exists(process)


async def test_a_command_gets_only_the_environment_that_it_is_meant_to():
    """S43, and secrets of the gateway stay with it."""
    async with running(COMMAND) as fleet:
        await fleet.up()
        (odd,) = (name for name in fleet.names if name.startswith("what_is_my_env_"))
        names = set((await fleet.use(odd)).split())
    assert "PASSED_ON" in names
    allowed = {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LC_CTYPE", "PASSED_ON"}
    assert names <= allowed


async def test_a_new_tool_is_there_as_soon_as_the_server_says_so():
    async with running(COMMAND) as fleet:
        await fleet.up()
        before = {tool.name: tool for tool in fleet.box.registry.list()}
        assert await fleet.use("grow") == "grown"
        await until(lambda: "added" in fleet.names)
        assert await fleet.use("added") == "new"
        # What has not changed is the same tool: an approval that waits for it stays good.
        for tool in fleet.box.registry.list():
            assert before.get(tool.name, tool) is tool


async def test_a_server_that_dies_is_started_again_and_its_tools_vanish_meanwhile():
    async with running(COMMAND) as fleet:
        await fleet.up()
        first = await fleet.use("process")
        assert (await fleet.use("die")).startswith("Error: ")
        await until(lambda: not fleet.names)
        assert "there is no tool" in await fleet.use("add", a=1, b=2)
        await fleet.up()
        assert await fleet.use("process") != first
        assert fleet.status.restarts == 1


async def test_a_server_that_dies_while_nobody_uses_it_is_noticed():
    async with running(COMMAND) as fleet:
        await fleet.up()
        os.kill(int(await fleet.use("process")), signal.SIGKILL)
        await until(lambda: fleet.status.restarts == 1)


async def test_a_server_that_hangs_is_started_again(monkeypatch):
    monkeypatch.setattr(pool_module, "PING", 0.1)
    monkeypatch.setattr(pool_module, "PATIENCE", 1.0)
    async with running(attrs.evolve(COMMAND, call_seconds=1)) as fleet:
        await fleet.up()
        process = int(await fleet.use("process"))
        os.kill(process, signal.SIGSTOP)
        assert (await fleet.use("add", a=1, b=2)).startswith("Error: ")
        await until(lambda: fleet.status.restarts >= 1)
        assert not psutil.pid_exists(process)


# The package leaves loops over streams early, which only collecting garbage then ends.
@pytest.mark.filterwarnings("ignore:Async generator 'http(x|core)2:ResourceWarning")
async def test_tools_over_http_are_used_and_come_back_with_their_server():
    # It is not up yet: that is one failed attempt or several, and no matter.
    async with serving_http() as settings, running(settings) as fleet:
        await fleet.up()
        assert await fleet.use("add", a=1, b=2) == "3"
        assert (await fleet.use("die")).startswith("Error: ")
        await until(lambda: not fleet.names)


async def test_other_peoples_tools_are_the_owners_unless_it_is_said():
    visitor = attrs.evolve(OWNER, provenance="user")
    for owner_only, answer in ((True, "Error: there is no tool"), (False, "3")):
        async with running(attrs.evolve(COMMAND, owner_only=owner_only)) as fleet:
            await fleet.up()
            assert (await fleet.use("add", visitor, a=1, b=2)).startswith(answer)


async def test_a_program_that_is_not_there_is_said_and_nobody_waits_for_it():
    async with running(McpServer(command="/nowhere/mcp")) as fleet:
        await until(lambda: fleet.status.state is State.BACKING_OFF)
        assert "/nowhere/mcp" in fleet.status.error


async def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(UnavailableError, match=r"pip install 'assistant-gateway\[mcp\]'"):
        await import_mcp()
    async with running(COMMAND) as fleet:
        await until(lambda: fleet.status.state is State.BACKING_OFF)
        assert "pip install" in fleet.status.error
