"""Waiting until a channel is connected or has failed, and what comes next."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import trio
from rich.console import Console
from rich.status import Status

from gateway.cli.errors import CommandError
from gateway.cli.screen import clean
from gateway.cli.session import talk
from gateway.cli.where import Where
from gateway.client import Client

SETTLED: Final = ("connected", "failed")
"""Conditions that are not waited out."""

LOOK: Final = 1.0
"""Seconds after which it is looked again without news: an event may be missed."""


def settle(where: Where, channel: str, seconds: float) -> dict[str, Any]:
    """Return how *channel* is when it is connected or has failed, or after *seconds*."""

    async def work(client: Client) -> dict[str, Any]:
        with _progress() as show:
            return await watch(client, channel, seconds, show)

    return talk(where, work, reconnect=True)


async def watch(client: Client, channel: str, seconds: float, show: Any) -> dict[str, Any]:
    """Do the same with a *client*; *show* is told what to say meanwhile."""

    async def look() -> dict[str, Any]:
        found: dict[str, Any] = await client.call("channels.status", {"channel": channel})
        return found

    with client.events("channel.status") as events:
        status = await look()
        with trio.move_on_after(seconds):
            while status["condition"] not in SETTLED:
                show(f"{channel} is {status['condition']}: {status['error'] or '...'}")
                with trio.move_on_after(LOOK):
                    await anext(events)
                status = await look()
    return status


def next_steps(status: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield how an account does and what to do next; raises `CommandError` if it is not well."""
    channel, identity = status["id"], status["identity"]
    _check(status)
    yield f"{channel} is connected as {identity}."
    if status["hook"]:
        yield f"The platform has to reach it at https://YOUR.HOST{status['hook']}"
    if settings["strangers"] == "allow":
        yield f"Whoever writes to {identity} is answered."
    elif settings["strangers"] == "pair":
        yield f"Write to {identity}. You get a code; with it, make yourself its owner:"
        yield "  gateway pairing approve CODE --owner"
    elif not (settings["owners"] or settings["allow"]):
        key = "channels.{}.{}.owners".format(*channel.split(":", 1))
        yield f"Nobody may talk to it yet: gateway config set {key} '[\"YOUR ID\"]'"


def _check(status: Mapping[str, Any]) -> None:
    channel, condition = status["id"], status["condition"]
    why = clean(status["error"] or "it has not answered yet").rstrip(".")
    path = ".".join(["channels", *channel.split(":", 1)])
    if condition == "failed":
        raise CommandError(
            f"{channel} does not work: {why}. It is in the configuration: change it with"
            f" gateway config set {path}.KEY VALUE, or gateway channels remove {channel}."
        )
    if condition != "connected":
        raise CommandError(
            f"{channel} is not connected: {why}. It is tried again;"
            f" see gateway channels status {channel}."
        )


@contextmanager
def _progress() -> Iterator[Any]:
    """Yield what shows a line on a terminal while something is waited for."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with Status("", console=console) as status:
        yield lambda line: status.update(clean(line))
