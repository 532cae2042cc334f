"""An MCP server by the official package, as a program: ``mcp_server.py stdio | http PORT``."""

import os
import signal
import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("test", log_level="ERROR")


@server.tool()
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool(name="what is.my/env")
def environment() -> str:
    """Return the names of all environment variables."""
    return " ".join(sorted(os.environ))


@server.tool()
def process() -> str:
    """Return the id of this process."""
    return str(os.getpid())


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("no such thing")


@server.tool()
def die() -> str:
    """End this process."""
    os.kill(os.getpid(), signal.SIGKILL)


@server.tool()
async def grow(context: Context) -> str:
    """Have one more tool."""

    def added() -> str:
        """Be the new one."""
        return "new"

    server.add_tool(added)
    await context.request_context.session.send_tool_list_changed()
    return "grown"


if __name__ == "__main__":
    sys.stderr.write("starting\n")
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", port=int(sys.argv[2]))
