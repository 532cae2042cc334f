"""``gateway config``: look at the configuration, change it, go back.

Each public function is a command; where an edit goes is decided in `gateway.cli.edits`.
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from gateway.cli.changes import tell_check, tell_done, tell_revisions
from gateway.cli.check import INVALID
from gateway.cli.editor import ask, edit_text
from gateway.cli.edits import (
    Done,
    Edit,
    RejectedError,
    machine_file,
    online_or,
    read_text,
    rewrite,
    submit,
)
from gateway.cli.errors import CommandError
from gateway.cli.screen import clean, emit_json
from gateway.cli.session import talk
from gateway.cli.values import nested, read_value, refers
from gateway.cli.where import HERE, InvalidFileError, Where
from gateway.client import Client
from gateway.config import paths
from gateway.config import revisions as kept
from gateway.config.edit import DELETE, path_of, set_value
from gateway.config.edit import unset as remove
from gateway.config.migrate import migrate
from gateway.config.schema import schema as describe
from gateway.config.shown import show

Json = Annotated[bool, Parameter(help="Print JSON.")]
Key = Annotated[str, Parameter(help='A setting or a table: gateway.port, agents."a b".model.')]
Value = Annotated[
    str,
    Parameter(
        help="A TOML value, or a text as it is; - reads it from stdin, for secrets.",
        allow_leading_hyphen=True,
    ),
]

SCREENFUL: Final = 20
"""Revisions shown unless asked for more."""


def get(key: Key | None = None, /, *, json: Json = False, where: Where = HERE) -> None:
    """Show the configuration in use, or what it has at KEY, without its secrets.

    Without a gateway it is what the file says.
    """
    path = () if key is None else path_of(key)

    async def look(client: Client) -> dict[str, Any]:
        params = {"path": path} if path else {}
        return {"running": True, **await client.call("config.get", params)}

    found = online_or(where, look, partial(_get_offline, where, path))
    if json:
        emit_json(found)
    elif isinstance(found["config"], str):
        sys.stdout.write(clean(found["config"]) + "\n")
    else:
        emit_json(found["config"])


def assign(key: Key, value: Value, /, *, json: Json = False, where: Where = HERE) -> None:
    """Set KEY to VALUE; every other line of the file stays as it is.

    On this machine a secret may be a reference: "${NAME}" or { env = "NAME" }.
    """
    path = path_of(key)
    meant = read_value(path, sys.stdin.read().removesuffix("\n") if value == "-" else value)
    change = Edit(
        "config.set",
        {"path": path, "value": meant},
        partial(set_value, path=path, value=meant, references=True),
        refers=refers(path, meant),
    )
    tell_done(submit(where, change), json=json)


def unset(key: Key, /, *, json: Json = False, where: Where = HERE) -> None:
    """Remove KEY from the file, so that its default counts."""
    path = path_of(key)
    params = {"patch": nested(path, DELETE)}
    tell_done(submit(where, Edit("config.patch", params, partial(remove, path=path))), json=json)


def edit(*, json: Json = False, where: Where = HERE) -> None:
    """Change the file in $VISUAL or $EDITOR; it is checked before it is used."""
    before = read_text(machine_file(where)).text
    text = edit_text(before)
    while text != before:
        try:
            done = rewrite(where, partial(_unless_changed, before, text))
        except RejectedError as error:
            print(f"gateway: {error.message}", file=sys.stderr)
            if not ask("Edit it again?"):
                raise CommandError("what was written in the editor is not used.") from None
            text = edit_text(text)
        else:
            return tell_done(done, json=json)
    return tell_done(Done(running=None, changed=()), json=json)


def diff(*, json: Json = False, where: Where = HERE) -> int:
    """Show what the file would change of what the gateway runs on; 78 if it is not valid."""
    verdict: dict[str, Any] = talk(where, lambda client: client.call("config.check"))
    tell_check(verdict, json=json)
    return 0 if verdict["valid"] else INVALID


def revisions(
    *,
    limit: Annotated[int, Parameter(help="At most so many.")] = SCREENFUL,
    json: Json = False,
    where: Where = HERE,
) -> None:
    """List what was in use, the newest first: when, by whom, what was changed."""
    limit = max(1, min(limit, kept.KEPT))

    async def look(client: Client) -> list[dict[str, Any]]:
        answer = await client.call("config.revisions", {"limit": limit})
        listed: list[dict[str, Any]] = answer["revisions"]
        return listed

    tell_revisions(online_or(where, look, partial(_revisions_offline, limit)), json=json)


def rollback(
    revision: Annotated[int, Parameter(help="A number that `config revisions` lists.")],
    /,
    *,
    json: Json = False,
    where: Where = HERE,
) -> None:
    """Put the text of an earlier REVISION into the file, and have it take effect."""

    def back(_: str) -> str:
        # It may be of before the layout of the file changed.
        return migrate(kept.find(_database(), revision).text).text

    tell_done(submit(where, Edit("config.rollback", {"revision": revision}, back)), json=json)


def schema(*, json: Json = False) -> None:
    """Print the JSON Schema of the file, for editors; it is JSON either way."""
    del json
    emit_json(describe())


def _get_offline(where: Where, path: tuple[str, ...]) -> dict[str, Any]:
    file = machine_file(where)
    loaded = read_text(file)
    if loaded.config is None:
        raise InvalidFileError(
            f"{file.path} is not valid; python -m gateway check says what is wrong."
        )
    return {"running": False, "config": show(loaded.config, path), "baseHash": loaded.hash}


def _revisions_offline(limit: int) -> list[dict[str, Any]]:
    return [
        {
            "revision": each.number,
            "at": each.at,
            "who": each.who,
            "hash": each.hash,
            "changedPaths": each.changed,
        }
        for each in kept.look_back(_database(), limit)
    ]


def _database() -> Path:
    return paths.find(os.environ).database


def _unless_changed(before: str, after: str, now: str) -> str:
    if now != before:
        raise CommandError("the file was changed while you edited it; nothing is overwritten.")
    return after
