"""``gateway channels``: how they are, start and stop one, send through one."""

import secrets
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

from cyclopts import Parameter
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.cli.accounts import PATIENCE, Id, Json, Wait
from gateway.cli.connecting import settle
from gateway.cli.errors import CommandError
from gateway.cli.screen import clean, coloured, duration, emit_json, make_console, print_pairs
from gateway.cli.screen import since as ago
from gateway.cli.session import talk
from gateway.cli.watching import ask, follow_json, loss, next_event, noted
from gateway.cli.where import HERE, Where
from gateway.client import Client

_COLUMNS: Final = ("channel", "condition", "since", "last alive", "waiting", "identity", "error")


def show_all(
    *,
    watch: Annotated[bool, Parameter(name=["--watch", "-w"], help="Follow changes.")] = False,
    json: Annotated[bool, Parameter(help="Print JSON; with --watch a line per change.")] = False,
    where: Where = HERE,
) -> None:
    """List all channels: how each is, since when, and why if it is not well."""
    if watch:
        talk(where, _watch_json if json else _watch, reconnect=True)
        return
    found = talk(where, _list)
    if json:
        emit_json(found)
    else:
        make_console().print(draw(found))


def show(
    channel: Annotated[str | None, Parameter(help="The channel; all of them without it.")] = None,
    /,
    *,
    json: Json = False,
    where: Where = HERE,
) -> None:
    """Show everything about one channel, or about each."""

    async def work(client: Client) -> list[dict[str, Any]]:
        if channel is None:
            return await _list(client)
        return [await client.call("channels.status", {"channel": channel})]

    found = talk(where, work)
    if json:
        emit_json(found if channel is None else found[0])
        return
    for number, each in enumerate(found):
        if number:
            print()
        print_pairs(rows(each), style="dim")


def probe(channel: Id, /, *, json: Json = False, where: Where = HERE) -> None:
    """Ask the platform itself, now, whether the account works."""
    found = talk(where, lambda client: client.call("channels.probe", {"channel": channel}))
    if json:
        emit_json(found)
    else:
        print(clean(f"{channel} is {found['identity']}; answered in {found['milliseconds']:g} ms."))


def start(
    channel: Id, /, *, wait: Wait = PATIENCE, json: Json = False, where: Where = HERE
) -> None:
    """Start a channel that was stopped or has failed, and wait until it is connected."""
    _command(where, "channels.start", channel, wait, json=json)


def stop(channel: Id, /, *, json: Json = False, where: Where = HERE) -> None:
    """Stop a channel until it is started, or the gateway is; answers under way are finished."""
    _command(where, "channels.stop", channel, 0.0, json=json)


def restart(
    channel: Id, /, *, wait: Wait = PATIENCE, json: Json = False, where: Where = HERE
) -> None:
    """Make the connection anew, and wait for it."""
    _command(where, "channels.restart", channel, wait, json=json)


def send(
    channel: Id,
    to: Annotated[str, Parameter(help="The platform's id of the chat.", allow_leading_hyphen=True)],
    text: Annotated[
        str,
        Parameter(
            help="What to say, as Markdown; - reads it from stdin.", allow_leading_hyphen=True
        ),
    ],
    /,
    *,
    thread: Annotated[str | None, Parameter(help="The platform's id of a thread there.")] = None,
    json: Json = False,
    where: Where = HERE,
) -> int:
    """Send a message; exit code 1 if the platform does not take it."""
    params = {
        "channel": channel,
        "to": to,
        "text": sys.stdin.read() if text == "-" else text,
        # A connection may be lost after the fact; asked again, it must not be sent twice.
        "idempotencyKey": secrets.token_hex(16),
    } | ({"thread": thread} if thread is not None else {})
    sent = talk(where, lambda client: client.call("channels.send", params), reconnect=True)
    if json:
        emit_json(sent)
    elif sent["state"] in ("failed", "expired"):
        raise CommandError(f"{sent['state']}: {clean(sent['error'] or 'nobody says why')}.")
    else:
        print(clean(_said(channel, sent)))
    return 0 if sent["state"] in ("sent", "pending") else 1


def _said(channel: str, sent: Mapping[str, Any]) -> str:
    if sent["state"] == "pending":
        return f"It is on its way; gateway channels status {channel} says what holds it up."
    twice = ", a part of it maybe twice" if sent["maybeDuplicate"] else ""
    return f"Sent{twice}: {', '.join(sent['messageIds'])}"


def _command(where: Where, method: str, channel: str, seconds: float, *, json: bool) -> None:
    status = talk(where, lambda client: client.call(method, {"channel": channel}))
    if seconds > 0:
        status = settle(where, channel, seconds)
    if json:
        emit_json(status)
    else:
        make_console().print(draw([status]))
    if status["condition"] in ("failed", "retrying", "deaf"):
        raise CommandError(f"{clean(status['error'] or channel)}")


async def _list(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.call("channels.list"))["channels"]
    return found


# -- how it looks -------------------------------------------------------------------------


def draw(channels: list[dict[str, Any]]) -> Table:
    """Return the table of *channels*, as `channels.list` has them."""
    table = Table(*_COLUMNS, box=None, pad_edge=False, header_style="dim")
    for each in channels:
        table.add_row(
            Text(clean(each["id"]), style="bold"),
            coloured(each["condition"]),
            _age(each["since"]),
            _age(each["lastAlive"]),
            str(each["waiting"] or ""),
            clean(each["identity"] or ""),
            Text(clean(each["error"] or ""), style="red"),
        )
    return table


def rows(status: Mapping[str, Any]) -> list[tuple[str, Text | str]]:
    """Return what is known of one channel; without what there is nothing to say about."""
    retry = status["retryInMs"]
    told: list[tuple[str, Text | str]] = [
        ("channel", clean(status["id"])),
        ("condition", coloured(status["condition"])),
        ("error", Text(clean(status["error"] or ""), style="red")),
        ("again in", "" if retry is None else duration(retry / 1000)),
        ("identity", clean(status["identity"] or "")),
        ("hook", clean(status["hook"] or "")),
        ("since", _age(status["since"])),
        ("last alive", _age(status["lastAlive"])),
        ("last message", _age(status["lastInbound"])),
        ("restarts", str(status["restarts"])),
        ("messages", f"{status['received']} received, {status['sent']} sent"),
        ("waiting", str(status["waiting"])),
    ]
    return [(name, value) for name, value in told if value]


def _age(stamp: float | None) -> str:
    return "" if stamp is None else ago(stamp)


async def _watch(client: Client) -> None:
    console = make_console()
    live = Live(console=console, auto_refresh=False, screen=console.is_terminal)
    with client.events("channel.status", "connection.*") as changes, live:
        found, note = await _list(client), ""
        while True:
            live.update(noted(draw(found), note))
            live.refresh()
            if (event := await next_event(changes)) is not None:
                note = loss(event)
            # Without news too: signs of life and what waits are told by no event.
            fresh = await ask(client, "channels.list") if client.connected else None
            if fresh is not None:
                found = fresh["channels"]


async def _watch_json(client: Client) -> None:
    await follow_json(client, "channels.list", "channel.status", key="channels")
