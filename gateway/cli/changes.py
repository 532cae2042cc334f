"""What has changed, would change, or was changed, for people and for programs."""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from gateway.cli.edits import Done, describe
from gateway.cli.screen import clean, emit_json, plural, print_pairs

MOST: Final = 5
"""Settings of one table that are named; an agent that is new has 19."""


def tell_done(done: Done, *, json: bool) -> None:
    """Print what came of an edit."""
    if json:
        emit_json(
            {
                "running": done.running,
                "changedPaths": done.changed,
                "revision": done.revision,
                "restartRequired": done.restart_required,
                "restarting": done.restarting,
            }
        )
    else:
        _print(_said(done))


def tell_check(verdict: Mapping[str, Any], *, json: bool) -> None:
    """Print what ``config.check`` has answered."""
    if json:
        emit_json(verdict)
    else:
        _print(_judged(verdict))


def tell_revisions(revisions: list[dict[str, Any]], *, json: bool) -> None:
    """Print what ``config.revisions`` has answered."""
    if json:
        emit_json({"revisions": revisions})
        return
    rows = ((str(each["revision"]), clean(_row(each))) for each in revisions)
    print_pairs(rows, style="bold")


def _said(done: Done) -> Iterator[str]:
    if done.changed == ():
        yield "no setting has changed."
    elif not done.running:
        yield f"no gateway runs here: changed {done.file} itself, for the next start."
    elif done.restarting:
        yield "the gateway starts over with:"
    else:
        yield f"revision {done.revision}:"
    yield from _planned(done.changed or (), done.restart_required)


def _judged(verdict: Mapping[str, Any]) -> Iterator[str]:
    if not verdict["valid"]:
        yield "the file is not valid:"
        yield from (f"  {describe(each)}" for each in verdict["issues"])
    elif verdict["changedPaths"] is None:
        yield "it includes other files, so the gateway cannot tell what it would change."
    elif not verdict["changedPaths"]:
        yield "the file is what the gateway runs on."
    else:
        yield "the file would change:"
        yield from _planned(verdict["changedPaths"], verdict["restartRequired"])


def _planned(changed: Collection[str], restart: Collection[str]) -> Iterator[str]:
    """Yield a line for each path that changes, with what it takes."""
    yield from (f"  {each}" for each in folded(path for path in changed if path not in restart))
    yield from (f"  {path}  (needs a restart)" for path in changed if path in restart)


def folded(paths: Iterable[str]) -> Iterator[str]:
    """Yield *paths*; of a table of which more than `MOST` have changed only how many."""
    for table, group in groupby(paths, _table):
        members = list(group)
        if len(members) > MOST:
            yield f"{table} ({plural(len(members), 'setting')})"
        else:
            yield from members


def _table(path: str) -> str:
    """Return the table with a name of its own in which *path* is: ``channels.irc.home``."""
    names = path.split(".")
    return ".".join(names[: 3 if names[0] in ("channels", "auth") else 2])


def _row(revision: Mapping[str, Any]) -> str:
    stamp = datetime.fromtimestamp(revision["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return "  ".join([stamp, revision["who"], ", ".join(folded(revision["changedPaths"]))])


def _print(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{clean(line)}\n" for line in lines)
