"""Every configuration that was accepted, so that one can go back.

Texts are kept as they were written: references stay references, and a secret that stood
in the file stands here as well.  The database is for the owner only, like the file.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final, TypeVar

import attrs

from gateway.errors import NotFoundError
from gateway.storage.store import Store

T = TypeVar("T")

KEPT: Final = 50
"""Revisions kept; with the largest file that there may be, 50 MiB."""

WAIT: Final = 1.0
"""Seconds that a start waits for somebody else's lock, such as that of a backup."""

_COLUMNS: Final = "number, at, who, hash, changed"


@attrs.frozen
class Revision:
    """A configuration that was in use.  *at* is Unix time, *who* changed it.

    *hash* is the SHA-256 of *text* in hex, *changed* has the paths that differed from
    the revision before, as in TOML.  *text* has secrets in it; in lists it is empty.
    """

    number: int
    at: float
    who: str
    hash: str
    changed: tuple[str, ...]
    text: str = attrs.field(default="", repr=False)


@attrs.frozen(eq=False)
class Revisions:
    """The last `KEPT` revisions.  *now* returns Unix time, for people."""

    _database: Store
    _now: Callable[[], float] = time.time

    async def add(self, text: str, hash: str, who: str, changed: tuple[str, ...]) -> Revision:  # noqa: A002  its name on the wire
        """Keep *text*, and drop the oldest if there are more than `KEPT` then.

        Cancelled, it is kept whole or not at all.  Raises `UnavailableError`.
        """
        new = Revision(0, self._now(), who, hash, changed, text)
        return await self._database.write(lambda sql: _add(sql, new))

    async def list(self, limit: int = KEPT) -> list[Revision]:
        """Return at most *limit* revisions without their texts, the newest first."""
        return await self._database.read(lambda sql: _list(sql, limit))

    async def get(self, number: int) -> Revision:
        """Return one revision with its text; raises `NotFoundError`."""
        return _found(number, await self._database.read(lambda sql: _get(sql, number)))

    async def latest(self) -> Revision | None:
        """Return the newest revision with its text; `None` if there is none yet."""
        return await self._database.read(_latest)


def last_good(database: Path) -> Revision | None:
    """Return the newest revision in the file *database*, before a gateway runs.

    Nothing is made or changed, and nothing raised: without a file, with a damaged one
    and with one of before there were revisions, there is none.  Blocks like the disk.
    """
    return _look(database, _latest, None)


def look_back(database: Path, limit: int = KEPT) -> list[Revision]:
    """Return what `Revisions.list` does, from a file as `last_good` reads it."""
    return _look(database, partial(_list, limit=limit), [])


def find(database: Path, number: int) -> Revision:
    """Return what `Revisions.get` does, from a file as `last_good` reads it."""
    return _found(number, _look(database, partial(_get, number=number), None))


def _look(database: Path, work: Callable[[Connection], T], nothing: T) -> T:
    try:
        address = f"{database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=WAIT)) as sql:
            return work(sql)
    except (sqlite3.Error, OSError, ValueError):
        return nothing


def _found(number: int, found: Revision | None) -> Revision:
    if found is None:
        raise NotFoundError(f"there is no revision {number}; the last {KEPT} are kept")
    return found


def _add(sql: Connection, new: Revision) -> Revision:
    row = (new.at, new.who, new.hash, json.dumps(new.changed), new.text)
    cursor = sql.execute(
        "INSERT INTO config_revisions (at, who, hash, changed, text) VALUES (?, ?, ?, ?, ?)", row
    )
    number = cursor.lastrowid
    assert number is not None, "an INSERT has a row"
    # By position, not by number: those of writes that were undone are missing.
    sql.execute(
        "DELETE FROM config_revisions WHERE number <="
        " (SELECT number FROM config_revisions ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (KEPT,),
    )
    return attrs.evolve(new, number=number)


def _list(sql: Connection, limit: int) -> list[Revision]:
    rows = sql.execute(
        f"SELECT {_COLUMNS} FROM config_revisions ORDER BY number DESC LIMIT ?",  # noqa: S608  a constant
        (limit,),
    )
    return [_revision(row) for row in rows]


def _get(sql: Connection, number: int) -> Revision | None:
    if not 0 < number < 2**63:
        return None  # SQLite raises for what has more than 64 bits
    rows = sql.execute(
        f"SELECT {_COLUMNS}, text FROM config_revisions WHERE number = ?",  # noqa: S608  a constant
        (number,),
    )
    return next(map(_revision, rows), None)


def _latest(sql: Connection) -> Revision | None:
    rows = sql.execute(
        f"SELECT {_COLUMNS}, text FROM config_revisions ORDER BY number DESC LIMIT 1"  # noqa: S608  a constant
    )
    return next(map(_revision, rows), None)


def _revision(row: tuple[Any, ...]) -> Revision:
    number, at, who, digest, changed, *text = row
    return Revision(number, at, who, digest, tuple(json.loads(changed)), *text)
