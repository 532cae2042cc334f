"""``gateway config import-openclaw``: move in from OpenClaw."""

import os
import sys
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter
from rich.text import Text

from gateway.cli.changes import tell_done
from gateway.cli.edits import Done, report, rewrite
from gateway.cli.errors import CommandError
from gateway.cli.screen import clean, emit_json, make_console
from gateway.cli.where import HERE, Where
from gateway.config import openclaw
from gateway.config.file import ConfigFile
from gateway.config.files import read_bounded
from gateway.config.issues import render_path
from gateway.config.load import load
from gateway.config.openclaw import Imported, Json5Error, Row
from gateway.config.paths import find
from gateway.config.text import MOST_BYTES

_STYLES = {"taken": "green", "no counterpart": "yellow", "needs attention": "bold red"}


def import_openclaw(
    file: Annotated[Path, Parameter(help="OpenClaw's configuration (JSON5).")],
    /,
    *,
    write: Annotated[
        bool, Parameter(help="Use what it makes; what was there is kept beside it.")
    ] = False,
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
    where: Where = HERE,
) -> None:
    """Say what of OpenClaw's FILE can be taken, and with --write take it."""
    imported = _convert(file)
    if not json:
        _print(imported)
    done = _use(imported.config_text, where) if write else None
    if json:
        rows = [_row(each) for each in imported.rows]
        emit_json({"rows": rows, "written": done is not None})
    elif done is not None:
        tell_done(done, json=False)
    else:
        print("nothing is written; --write does.")


def _convert(file: Path) -> Imported:
    try:
        return openclaw.import_openclaw(_read(file))
    except Json5Error as error:
        raise CommandError(str(attrs.evolve(error.issue, source=str(file)))) from error


def _read(file: Path) -> str:
    try:
        return read_bounded(file, MOST_BYTES).content.decode()
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not UTF-8 text.") from None
    except ValueError as error:
        raise CommandError(f"{file} {error}.") from None


def _use(text: str, where: Where) -> Done:
    """Put *text* in the place of the file; raises `CommandError` if it is not complete."""
    target = find(os.environ, config=where.config).config
    loaded = load(text, str(target))
    if loaded.config is None:
        draft = _free(target, "imported")
        _write(draft, text)
        sys.stderr.write(report(loaded.errors))
        raise CommandError(
            f"it is not complete, so it is not used. Mend {draft}, then put it in the place of "
            f"{target}."
        )
    if not target.exists():
        _write(target, text)
        return Done(running=False, changed=None, file=target)
    backup = _free(target, "before-import")
    _write(backup, ConfigFile(target, os.environ).read().text)
    print(f"what was there is in {backup}.", file=sys.stderr)
    return rewrite(where, lambda _: text)


def _free(target: Path, word: str) -> Path:
    """Return a name beside *target* with *word* in it that is not taken."""
    number, free = 1, target.with_name(f"{target.name}.{word}")
    while free.exists():
        number += 1
        free = target.with_name(f"{target.name}.{word}.{number}")
    return free


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ConfigFile(path, {}).write(text)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error


def _print(imported: Imported) -> None:
    console = make_console()
    for each in imported.rows:
        row = _row(each)
        places = " -> ".join(part for part in (row["source"], row["target"]) if part)
        note = f": {each.note}" if each.note else ""
        status = Text(f"{each.status:<15}  ", style=_STYLES[each.status])
        console.print(status.append(clean(places + note), style="none"))


def _row(row: Row) -> dict[str, str]:
    return {
        "source": render_path(row.source),
        "target": render_path(row.target) if row.target is not None else "",
        "status": row.status,
        "note": row.note,
    }
