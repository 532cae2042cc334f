"""``--watch``: a picture, or lines of JSON, that follow a gateway while connections come and go."""

from typing import Any, Final

import trio
from rich.console import Group, RenderableType
from rich.text import Text

from gateway.cli.screen import clean, emit_json
from gateway.client import Client, ConnectionLostError, Event, Events, RpcError

REDRAW: Final = 1.0
"""Seconds between two pictures without news: ages and countdowns move.  Also how long an
answer is waited for before the picture that is there is drawn once more."""


async def ask(client: Client, method: str) -> Any:
    """Return what *method* answers, or `None` if the gateway goes meanwhile.

    Another event says so then.
    """
    try:
        return await client.call(method, timeout=REDRAW)
    except ConnectionLostError:
        return None
    except RpcError as error:
        if error.kind not in ("timeout", "unavailable"):
            raise
        return None


async def next_event(changes: Events) -> Event | None:
    """Return the next event; `None` if it is time to draw again without one."""
    with trio.move_on_after(REDRAW):
        return await anext(changes)
    return None


def loss(event: Event) -> str:
    """Return what to say about the connection after *event*; empty if there is one."""
    lost = event.name == "connection.lost"
    return clean(f"connection lost: {event.data['reason']}") if lost else ""


def noted(picture: RenderableType, note: str) -> RenderableType:
    """Return *picture* with *note* above it, if there is one."""
    return Group(Text(note, style="bold red"), picture) if note else picture


async def follow_json(client: Client, method: str, topic: str, key: str | None = None) -> None:
    """Print what *method* answers, or what it has under *key*, now and after each *topic*."""
    with client.events(topic, "connection.*") as changes:
        answer = await client.call(method)
        emit_json(answer if key is None else answer[key], line=True)
        async for event in changes:
            if not loss(event) and (answer := await ask(client, method)) is not None:
                emit_json(answer if key is None else answer[key], line=True)
