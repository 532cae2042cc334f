"""``gateway tree``: what runs inside of it, live."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import trio
from cyclopts import Parameter
from rich.console import Group
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from gateway.cli.screen import clean, coloured, duration, emit_json, make_console, since
from gateway.cli.session import talk
from gateway.cli.where import HERE, Where
from gateway.client import Client, ConnectionLostError, Events, RpcError

SETTLE: Final = 0.1
"""Seconds after a change until it is shown: changes come in bursts."""

REDRAW: Final = 1.0
"""Seconds between two pictures without news: ages and countdowns move."""


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
            picture = draw(root, trio.current_time() - asked)
            live.update(Group(Text(note, style="bold red"), picture) if note else picture)
            live.refresh()
            note, changed = await _next(changes, note)
            stale = stale or changed
            if stale and client.connected and (fresh := await _ask(client)) is not None:
                root, asked, stale = fresh, trio.current_time(), False


async def _next(changes: Events, note: str) -> tuple[str, bool]:
    """Wait for a change or the next redraw; return what to say, and whether to ask again."""
    event = None
    with trio.move_on_after(REDRAW):
        event = await anext(changes)
    if event is None:
        return note, False
    if event.name == "connection.lost":
        return clean(f"connection lost: {event.data['reason']}"), False
    await trio.sleep(SETTLE)
    return "", True


async def _ask(client: Client) -> dict[str, Any] | None:
    """Return the tree, or `None` if the gateway goes meanwhile; another event says so."""
    try:
        tree: dict[str, Any] = await client.call("supervision.tree", timeout=REDRAW)
    except ConnectionLostError:
        return None
    except RpcError as error:
        if error.kind not in ("timeout", "unavailable"):
            raise
        return None
    return tree


async def _watch_json(client: Client) -> None:
    with client.events("supervision.changed", "connection.*") as changes:
        emit_json(await client.call("supervision.tree"), line=True)
        async for event in changes:
            if event.name != "connection.lost" and (fresh := await _ask(client)) is not None:
                emit_json(fresh, line=True)
