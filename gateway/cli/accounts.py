"""Accounts on platforms in the configuration: which there are, and edits of them.

An edit is done when the gateway has taken it; whether the platform takes the account is
waited for, and said.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

import attrs
from cyclopts import Parameter

from gateway.cli.connecting import next_steps, settle
from gateway.cli.edits import Done, Edit, machine_file, online_or, submit
from gateway.cli.errors import CommandError, did_you_mean
from gateway.cli.platforms import split_id
from gateway.cli.screen import clean, emit_json
from gateway.cli.values import nested
from gateway.cli.where import HERE, Where, local_config
from gateway.client import Client
from gateway.config.edit import DELETE, set_value, unset
from gateway.config.shown import show

Json = Annotated[bool, Parameter(help="Print JSON.")]
Id = Annotated[str, Parameter(help="The channel: telegram:main; `channels list` has them.")]
Wait = Annotated[float, Parameter(help="Seconds to wait until it is connected; 0: do not.")]

PATIENCE: Final = 30.0
"""Seconds until a platform should have answered; most do within two."""


@attrs.frozen
class Change:
    """An edit of one account, and the seconds that its connection is then waited for.

    *said* is what is true of the account when the edit is made.
    """

    channel: str
    edit: Edit
    said: str
    seconds: float = 0.0


def remove(channel: Id, /, *, json: Json = False, where: Where = HERE) -> None:
    """Remove an account from the configuration; conversations stay, to be read."""
    path = _path(where, channel)
    params = {"patch": nested(path, DELETE)}
    edit = Edit("config.patch", params, partial(unset, path=path))
    carry_out(where, Change(channel, edit, "is removed"), json=json)


def enable(
    channel: Id, /, *, wait: Wait = PATIENCE, json: Json = False, where: Where = HERE
) -> None:
    """Have a disabled account run."""
    carry_out(
        where, Change(channel, _switch(where, channel, on=True), "is enabled", wait), json=json
    )


def disable(channel: Id, /, *, json: Json = False, where: Where = HERE) -> None:
    """Have an account not run, also after a restart, but keep its settings."""
    carry_out(where, Change(channel, _switch(where, channel, on=False), "is disabled"), json=json)


def accounts(where: Where) -> dict[str, Mapping[str, Any]]:
    """Return the settings of all accounts by id, without secrets; disabled ones too."""

    async def look(client: Client) -> Any:
        return (await client.call("config.get", {"path": ["channels"]}))["config"]

    def look_offline() -> Any:
        machine_file(where)
        return show(local_config(where.config), ("channels",))

    return {
        f"{platform}:{name}": settings
        for platform, named in online_or(where, look, look_offline).items()
        for name, settings in named.items()
    }


def carry_out(where: Where, change: Change, *, json: bool) -> None:
    """Have *change* made, wait for the account, and say what came of both.

    Raises `CommandError` if the account does not work; it is in the configuration then.
    """
    done = submit(where, change.edit)
    if not json:
        print(clean(_told(change, done)))
    status, settings = None, None
    if done.running and change.seconds > 0 and not done.restart_required:
        settings = accounts(where)[change.channel]
        if settings["enabled"]:
            status = settle(where, change.channel, change.seconds)
    if json:
        _emit(change.channel, done, status)
    if status is not None and settings is not None:
        for line in next_steps(status, settings):
            _ = json or print(clean(line))


def _told(change: Change, done: Done) -> str:
    line = f"{change.channel} {change.said}"
    if not done.running:
        return f"{line}. No gateway runs here: changed {done.file} itself, for the next start."
    if done.restarting:
        return f"{line}; the gateway starts over."
    if done.restart_required:
        return f"{line}; it takes effect when the gateway is restarted."
    return f"{line} (revision {done.revision})."


def _emit(channel: str, done: Done, status: Mapping[str, Any] | None) -> None:
    emit_json(
        {
            "channel": channel,
            "running": done.running,
            "changedPaths": done.changed,
            "revision": done.revision,
            "status": status,
        }
    )


def _switch(where: Where, channel: str, *, on: bool) -> Edit:
    path = (*_path(where, channel), "enabled")
    return Edit("config.set", {"path": path, "value": on}, partial(set_value, path=path, value=on))


def _path(where: Where, channel: str) -> tuple[str, ...]:
    """Return where an account is in the configuration; raises `CommandError` if nowhere."""
    platform, name = split_id(channel)
    known = list(accounts(where))
    if channel not in known:
        listed = f" There are: {', '.join(known)}." if known else " There is none yet."
        raise CommandError(
            f"there is no channel {clean(channel)}.{did_you_mean(channel, known) or listed}"
        )
    return ("channels", platform, name)
