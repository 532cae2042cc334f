"""``gateway tree``: what runs inside of it, live."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import trio
from cyclopts import Parameter
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from gateway.cli.screen import clean, coloured, duration, emit_json, make_console, since
from gateway.cli.session import talk
from gateway.cli.watching import ask, follow_json, loss, next_event, noted
from gateway.cli.where import HERE, Where
from gateway.client import Client

SETTLE: Final = 0.1
"""Seconds after a change until it is shown: changes come in bursts."""


def tree(
    *,
    watch: Annotated[bool, Parameter(name=["--watch", "-w"], help="Follow changes.")] = False,
    json: Annotated[bool, Parameter(help="Print JSON; with --watch a line per change.")] = False,
    where: Where = HERE,
) -> None:
    """Show what runs inside of the gateway, and what of that has failed."""
    if watch:
        talk(where, _watch_json if json else _watch, reconnect=True)
        return
    root: dict[str, Any] = talk(where, lambda client: client.call("supervision.tree"))
    if json:
        emit_json(root)
    else:
        make_console().print(draw(root))


def draw(child: Mapping[str, Any], age: float = 0.0, above: Tree | None = None) -> Tree:
    """Return the picture of a child and all below it, as it was *age* seconds ago."""
    label = Text().append(clean(child["path"].rpartition("/")[2]), style="bold")
    label.append("  ").append_text(coloured(child["state"]))
    label.append(f"  {since(child['since'])}", style="dim")
    if child["restarts"]:
        label.append(f"  restarts: {child['restarts']}", style="yellow")
    if child.get("retryInMs") is not None:
        label.append(f"  again in {duration(child['retryInMs'] / 1000 - age)}", style="yellow")
    if child.get("error"):
        # One from before the last restart is history.
        style = "dim" if child["state"] == "running" else "red"
        label.append(f"  {clean(child['error'])}", style=style)
    branch = Tree(label) if above is None else above.add(label)
    for each in child["children"]:
        draw(each, age, branch)
    return branch


async def _watch(client: Client) -> None:
    console = make_console()
    live = Live(console=console, auto_refresh=False, screen=console.is_terminal)
    with client.events("supervision.changed", "connection.*") as changes, live:
        root, asked = await client.call("supervision.tree"), trio.current_time()
        note, stale = "", False
        while True:
            live.update(noted(draw(root, trio.current_time() - asked), note))
            live.refresh()
            if (event := await next_event(changes)) is not None:
                note = loss(event)
                if not note:
                    stale = True
                    await trio.sleep(SETTLE)
            fresh = await ask(client, "supervision.tree") if stale and client.connected else None
            if fresh is not None:
                root, asked, stale = fresh, trio.current_time(), False


async def _watch_json(client: Client) -> None:
    await follow_json(client, "supervision.tree", "supervision.changed")
