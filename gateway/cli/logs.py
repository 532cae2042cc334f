"""``gateway logs``: what was written down lately, and what is being written."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import trio
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from gateway.cli.screen import clean, clock, coloured, emit_json, make_console
from gateway.cli.session import talk
from gateway.cli.where import HERE, Where
from gateway.client import Client

POLL: Final = 0.5
"""Seconds between two questions for more: looks live and costs nothing."""

PAGE: Final = 1000
"""Most entries of one answer that the gateway gives."""

_KNOWN: Final = ("time", "level", "event", "logger", "exception")


def logs(
    *,
    follow: Annotated[
        bool, Parameter(name=["--follow", "-f"], help="Go on with new ones.")
    ] = False,
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Parameter(help="Least important level.")
    ] = "debug",
    limit: Annotated[int, Parameter(name=["--limit", "-n"], help="How many to begin with.")] = 100,
    json: Annotated[bool, Parameter(help="Print a line of JSON for each entry.")] = False,
    where: Where = HERE,
) -> None:
    """Show the latest entries of the log."""
    show = _Printer(json)

    async def tail(client: Client) -> None:
        asked: dict[str, Any] = {"level": level, "limit": min(max(limit, 1), PAGE)}
        while True:
            page = await client.call("logs.tail", asked)
            if page["gap"] and "cursor" in asked:
                show.note("entries are missing here")
            for entry in page["entries"]:
                show.entry(entry)
            if not follow:
                return
            asked |= {"cursor": page["cursor"], "limit": PAGE}
            if len(page["entries"]) < PAGE:
                await trio.sleep(POLL)

    talk(where, tail, reconnect=follow)


class _Printer:
    """Prints entries for people or for programs."""

    def __init__(self, json: bool) -> None:
        self._console: Console | None = None if json else make_console()

    def entry(self, entry: Mapping[str, Any]) -> None:
        if self._console is None:
            emit_json(entry, line=True)
        else:
            self._console.print(draw(entry), soft_wrap=True)

    def note(self, text: str) -> None:
        if self._console is not None:
            self._console.print(Text(f"-- {text} --", style="dim"))


def draw(entry: Mapping[str, Any]) -> Text:
    """Return one line (more with a traceback) for an entry of the log."""
    line = Text().append(clock(entry.get("time", "")), style="dim")
    line.append("  ").append_text(coloured(entry.get("level", "?")))
    line.append("  " + clean(entry.get("event", "")), style="bold")
    for key, value in entry.items():
        if key not in _KNOWN:
            line.append(f"  {clean(key)}=", style="dim").append(clean(value))
    if entry.get("exception"):
        line.append("\n" + clean(entry["exception"]), style="red")
    return line
