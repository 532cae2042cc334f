"""Settings of MCP servers: other people's tools.  Pure."""

import re
from collections.abc import Iterator
from typing import Final

import attrs

from gateway.config import values
from gateway.config.setting import Secret, setting

NAME: Final = re.compile(r"(?=.{1,32}\Z)[A-Za-z0-9]+([_-][A-Za-z0-9]+)*")
"""Names of servers: they begin the names of tools, so there is nothing in them that no
provider takes, and no ``__``, which ends them there."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

_LOADED: Final = re.compile(r"(LD|DYLD|GATEWAY)_.*|BASH_ENV|NODE_OPTIONS|PYTHONSTARTUP|PERL5OPT")
"""Variables that make a program run other code, and those of the gateway itself.  Source: S43."""


def check_variable(value: str) -> None:
    """Accept the name of an environment variable that a child may have."""
    if not _VARIABLE.fullmatch(value):
        raise ValueError("must be the name of an environment variable")
    if _LOADED.fullmatch(value):
        raise ValueError("must not be passed on; it changes which code runs, or is the gateway's")


@attrs.frozen
class McpServer:
    """A server of tools that speaks the Model Context Protocol: a command, or a URL."""

    command: str | None = setting(
        None, "Program to run; it speaks over its standard input and output."
    )
    args: tuple[str, ...] = setting((), "Arguments of the program.")
    env: tuple[str, ...] = setting(
        (),
        "Environment variables of the gateway that the program gets, beside HOME, LOGNAME, PATH, "
        "SHELL, TERM and USER.",
        check=check_variable,
    )
    url: str | None = setting(
        None, "Address of a server that speaks streamable HTTP.", check=values.check_url
    )
    token: Secret | None = setting(
        None,
        "Sent to that address as `Authorization: Bearer`.",
        secret=True,
        check=values.check_token,
    )
    call_seconds: float = setting(
        60.0, "Longest use of one of its tools.", unit="seconds", minimum=1, maximum=3600
    )
    owner_only: bool = setting(
        True, "Whether only runs that the owner has begun may use its tools."
    )


def wrong(name: str, server: McpServer) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield path, message and hint of what the types of *server*'s settings cannot say."""
    if not NAME.fullmatch(name):
        yield (), "a name has 1 to 32 letters and digits, with single _ and - between them", ""
    if (server.command is None) == (server.url is None):
        yield (), "needs a command or a url, and not both", ""
    elif server.url is None and server.token is not None:
        yield ("token",), "is for a url", "name a variable in env instead"
